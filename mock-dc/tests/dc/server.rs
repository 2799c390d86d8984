//! Tests of the logon channel over real sockets.

use std::sync::Arc;

use crate::client::{Client, domain};
use stickler_auth::logon::{FRAME_PREFIX, LogonClient, LogonReply, MAX_FRAME, denial, frame_len};
use stickler_auth::status::NtStatus;
use stickler_mock_dc::{Directory, DomainController, serve};
use stickler_model::{Clock, Entropy, Env, Journal, Name, Time, What};
use stickler_net::{Listener as _, Net as _, TokioNet};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const SECRET: &[u8] = b"machine secret";

pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Time {
        Time(0)
    }

    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

async fn start() -> (impl Socket, Arc<Journal>) {
    let clock: Arc<dyn Clock> = Arc::new(Noon);
    let journal = Journal::new(Arc::clone(&clock));
    let env = Env { name: Name::from("dc"), clock, entropy: Entropy::new(1, "dc"), journal: Arc::clone(&journal) };
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let dc = DomainController::new(Directory::new(&domain(None)));
    dc.join(&Name::from("iis1"), SECRET);
    TokioNet.spawn(serve(TokioNet, listener, env, Arc::new(dc)));
    (TokioNet.connect(address).await.unwrap(), journal)
}

async fn read_reply(socket: &mut impl Socket, channel: &mut LogonClient) -> LogonReply {
    let mut prefix = [0; FRAME_PREFIX];
    socket.read_exact(&mut prefix).await.unwrap();
    let mut frame = vec![0; frame_len(prefix).unwrap()];
    socket.read_exact(&mut frame).await.unwrap();
    channel.decode_reply(&frame).unwrap()
}

/// Returns whether the DC closes the connection without an answer after these bytes.
async fn is_closed_after(bytes: &[u8]) -> bool {
    after(bytes).await == (Vec::new(), 0)
}

/// Returns the bytes that the DC answers until it closes the connection, and the number of logons that it records.
async fn after(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut socket, journal) = start().await;
    socket.write_all(bytes).await.unwrap();
    let mut rest = Vec::new();
    // A reset counts as a close, because the DC may not have read all bytes that were sent.
    let _ = socket.read_to_end(&mut rest).await;
    (rest, journal.take().len())
}

fn frame(machine: &str, secret: &[u8]) -> Vec<u8> {
    let mut request = Client::alice().request();
    request.channel_machine = machine.into();
    let frame = LogonClient::new(machine, secret).encode_request(&request).unwrap();
    [1_u64.to_be_bytes().as_slice(), &frame].concat()
}

#[tokio::test]
async fn logons_are_pipelined_answered_in_order_and_noted_under_the_numbers_that_the_server_gives() {
    let (mut socket, journal) = start().await;
    let mut channel = LogonClient::new("IIS1", SECRET);
    let mut bytes = Vec::new();
    let clients = [
        Client::alice(),
        Client { password: "guess", ..Client::alice() },
        Client { user: "mallory", ..Client::alice() },
    ];
    for (number, client) in [41_u64, 42, 7].into_iter().zip(clients) {
        bytes.extend(number.to_be_bytes());
        bytes.extend(channel.encode_request(&client.request()).unwrap());
    }
    // The bytes are divided at arbitrary places: frames need arrive neither whole nor separately.
    for part in bytes.chunks(100) {
        socket.write_all(part).await.unwrap();
        socket.flush().await.unwrap();
    }
    let expected = [NtStatus::SUCCESS, NtStatus::WRONG_PASSWORD, NtStatus::NO_SUCH_USER];
    for status in expected {
        assert_eq!(read_reply(&mut socket, &mut channel).await.status, status);
    }
    let noted: Vec<_> = journal.take().into_iter().map(|event| event.what).collect();
    let logon = |logon, account, status: NtStatus, bad_count| What::DcLogon {
        server: Name::from("iis1"),
        logon,
        account: stickler_model::Principal::new("CORP", account),
        status: status.0,
        bad_count,
    };
    assert_eq!(
        noted,
        [logon(41, "alice", expected[0], 0), logon(42, "alice", expected[1], 1), logon(7, "mallory", expected[2], 0)]
    );
}

#[tokio::test]
async fn a_machine_that_is_unknown_or_has_another_secret_is_told_so_and_cut_off() {
    for (machine, secret, expected) in [
        ("IIS9", SECRET, NtStatus::NO_TRUST_SAM_ACCOUNT),
        ("IIS1", b"another secret".as_slice(), NtStatus::ACCESS_DENIED),
        // There is no trust with the domain of such a host.
        ("dc.partner.example", SECRET, NtStatus::NO_TRUST_SAM_ACCOUNT),
    ] {
        let (rest, noted) = after(&frame(machine, secret)).await;
        assert_eq!((rest, noted), (denial(expected), 0), "{machine}");
    }
    // Once the channel is established, a frame that does not verify was altered on its way, and the DC sends nothing
    // more.
    let whole = frame("IIS1", SECRET);
    let (rest, noted) = after(&[whole.as_slice(), &whole].concat()).await;
    let reply = frame_len(*rest.first_chunk().unwrap()).unwrap();
    assert_eq!((rest.len(), noted), (FRAME_PREFIX + reply, 1));
}

#[tokio::test]
async fn a_frame_that_promises_too_much_is_refused_before_it_is_read() {
    let mut bytes = 1_u64.to_be_bytes().to_vec();
    bytes.extend((MAX_FRAME as u32 + 1).to_be_bytes());
    assert!(is_closed_after(&bytes).await);
}

#[tokio::test]
async fn garbage_is_refused() {
    let mut bytes = 1_u64.to_be_bytes().to_vec();
    bytes.extend(8_u32.to_be_bytes());
    bytes.extend([0x55; 8]);
    assert!(is_closed_after(&bytes).await);
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_is_not_waited_for_without_end() {
    let whole = frame("IIS1", SECRET);
    assert!(is_closed_after(&whole[..whole.len() - 1]).await);
}
