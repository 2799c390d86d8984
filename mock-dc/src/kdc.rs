//! The KDC on a network, which answers requests with tickets (RFC 4120 7.2).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stickler_auth::FileTime;
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::message::KrbError;
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::kerberos::{KerberosTime, PrincipalName};
use stickler_model::{Env, What};
use stickler_net::{Net, Stream, next_connection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::DomainController;

/// The maximum length of a request that is accepted, in bytes. A ticket has about 1,000 bytes.
pub const MAX_REQUEST: usize = 64 * 1024;

/// The maximum length of a reply over UDP, in bytes; longer replies require TCP (RFC 4120 7.2.1). This is the limit of
/// Windows XP's KDC; such a reply fits into an Ethernet frame.
pub const MAX_DATAGRAM: usize = 1400;

/// The time that a client may be silent between requests.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// The time that a request may take to arrive once it has begun, and that the client may take to accept a reply.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The error KRB_ERR_FIELD_TOOLONG: the length that precedes a request is invalid (RFC 4120 7.2.2).
const FIELD_TOO_LONG: KrbErrorCode = KrbErrorCode(61);

/// Serves requests over TCP until the task is dropped or the listener has failed permanently.
pub async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, dc: Arc<DomainController>) {
    while let Some((stream, _)) = next_connection(&listener).await {
        let (env, dc) = (env.clone(), Arc::clone(&dc));
        net.spawn(async move {
            // The reason for an error is visible at the other end, where the client gets no ticket.
            let _ = serve_connection(stream, &env, &dc).await;
        });
    }
}

/// Answers and records one request. A reply of more than `limit` bytes ([`MAX_DATAGRAM`] over UDP) is replaced by
/// KRB_ERR_RESPONSE_TOO_BIG, after which the client asks again over TCP.
pub fn answer(env: &Env, dc: &DomainController, request: &[u8], limit: usize) -> Vec<u8> {
    let mut ticket = dc.directory().ticket(request, &env.entropy, now(env), dc.requires_checksum);
    if ticket.message.len() > limit {
        ticket.message = error(env, dc, KrbErrorCode::RESPONSE_TOO_BIG);
        ticket.result = Err(KrbErrorCode::RESPONSE_TOO_BIG);
    }
    env.record(What::DcTicket {
        client: ticket.client,
        service: ticket.service,
        etype: ticket.result.map_or(0, Etype::number),
        error: ticket.result.err().map_or(0, |code| code.0),
    });
    ticket.message
}

/// Serves the requests on a connection, each of which is preceded by its length (RFC 4120 7.2.2: 4 bytes, big-endian).
async fn serve_connection(mut stream: impl Stream, env: &Env, dc: &DomainController) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        let mut prefix = [0; 4];
        timeout(IDLE_LIMIT, stream.read_exact(&mut prefix)).await??;
        let length = u32::from_be_bytes(prefix) as usize;
        if length > MAX_REQUEST {
            return send(&mut stream, &error(env, dc, FIELD_TOO_LONG)).await;
        }
        request.resize(length, 0);
        timeout(REQUEST_LIMIT, stream.read_exact(&mut request)).await??;
        send(&mut stream, &answer(env, dc, &request, usize::MAX)).await?;
    }
}

async fn send(stream: &mut impl Stream, message: &[u8]) -> io::Result<()> {
    let frame = [&(message.len() as u32).to_be_bytes(), message].concat();
    timeout(REQUEST_LIMIT, stream.write_all(&frame)).await?
}

/// Creates a KRB-ERROR without consulting the directory.
fn error(env: &Env, dc: &DomainController, code: KrbErrorCode) -> Vec<u8> {
    let (stime, susec) = KerberosTime::split(now(env));
    let directory = dc.directory();
    let (realm, sname) = (directory.realm(), PrincipalName::krbtgt(directory.realm()));
    KrbError { stime, susec, code, crealm: None, cname: None, realm, sname, e_data: None }.encode()
}

fn now(env: &Env) -> FileTime {
    FileTime(env.clock.filetime())
}
