//! The KDC on a network: requests in, tickets out (RFC 4120 7.2).

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

/// Longest request that is read, in bytes: a ticket is some thousand.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Longest answer over UDP, in bytes; a longer one goes over TCP (RFC 4120 7.2.1). The limit is that of
/// Windows XP's KDC, which an Ethernet frame holds.
pub const MAX_DATAGRAM: usize = 1400;

/// How long a client may be silent between requests.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// How long a request, once begun, may take to arrive, and an answer to be taken.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// KRB_ERR_FIELD_TOOLONG: the length before a request is not one (RFC 4120 7.2.2).
const FIELD_TOO_LONG: KrbErrorCode = KrbErrorCode(61);

/// Serves requests over TCP until the task is dropped, or the listener has failed for good.
pub async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, dc: Arc<DomainController>) {
    while let Some((stream, _)) = next_connection(&listener).await {
        let (env, dc) = (env.clone(), Arc::clone(&dc));
        net.spawn(async move {
            // Why a connection ended shows at its other end: the client gets no ticket.
            let _ = serve_connection(stream, &env, &dc).await;
        });
    }
}

/// Answers one request, and notes it. An answer of more than `limit` bytes ([`MAX_DATAGRAM`] over UDP)
/// becomes KRB_ERR_RESPONSE_TOO_BIG, whereupon the client asks again over TCP.
pub fn answer(env: &Env, dc: &DomainController, request: &[u8], limit: usize) -> Vec<u8> {
    let mut ticket = dc.directory().ticket(request, &env.entropy, now(env));
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

/// Requests come one after another, each with its length before it (RFC 4120 7.2.2: 4 bytes, big-endian).
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

/// A KRB-ERROR that no directory is asked for.
fn error(env: &Env, dc: &DomainController, code: KrbErrorCode) -> Vec<u8> {
    let (stime, susec) = KerberosTime::split(now(env));
    let directory = dc.directory();
    let (realm, sname) = (directory.realm(), PrincipalName::krbtgt(directory.realm()));
    KrbError { stime, susec, code, crealm: None, cname: None, realm, sname, e_data: None }.encode()
}

fn now(env: &Env) -> FileTime {
    FileTime(env.clock.filetime())
}
