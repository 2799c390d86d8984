//! Tests of the KDC over real sockets: frames, limits, and bytes that are not requests.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stickler_auth::kerberos::client::{Nonces, TgsExchange};
use stickler_auth::kerberos::message::{ApReq, Authenticator, EncryptedData, KdcReq, KrbError, PaData};
use stickler_auth::kerberos::status::KrbErrorCode as Code;
use stickler_auth::kerberos::{PrincipalName, usage};
use stickler_mock_dc::kdc::{MAX_DATAGRAM, MAX_REQUEST, answer, serve};
use stickler_mock_dc::{Directory, DomainController};
use stickler_model::{Entropy, Env, Journal, Name, What};
use stickler_net::{Listener as _, Net as _, TokioNet};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::client::{NOW, domain};
use crate::realm::{Kdc, alice, first_request, ticket};
use crate::server::Noon;

fn dc() -> (Env, DomainController) {
    let clock: Arc<dyn stickler_model::Clock> = Arc::new(Noon);
    let journal = Journal::new(Arc::clone(&clock));
    let env = Env { name: Name::from("dc"), clock, entropy: Entropy::new(1, "dc"), journal };
    (env, DomainController::new(Directory::new(&domain(None)).with_iterations(8)))
}

async fn connect() -> (impl AsyncRead + AsyncWrite + Unpin, Arc<Journal>) {
    let (env, dc) = dc();
    let journal = Arc::clone(&env.journal);
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    TokioNet.spawn(serve(TokioNet, listener, env, Arc::new(dc)));
    (TokioNet.connect(address).await.unwrap(), journal)
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

async fn reply(socket: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let length = socket.read_u32().await.unwrap() as usize;
    let mut message = vec![0; length];
    socket.read_exact(&mut message).await.unwrap();
    message
}

/// Returns the client, the service, the encryption type and the error of each recorded request.
fn noted(journal: &Journal) -> Vec<(Option<String>, String, i32, u32)> {
    let seen = journal.take().into_iter().map(|event| match event.what {
        What::DcTicket { client, service, etype, error } => {
            (client.map(|client| client.as_str().to_owned()), service, etype, error)
        }
        other => panic!("{other:?}"),
    });
    seen.collect()
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order_and_noted() {
    let (mut socket, journal) = connect().await;
    let both = [frame(&first_request("alice")), frame(&first_request("mallory"))].concat();
    socket.write_all(&both).await.unwrap();
    for code in [Code::PREAUTH_REQUIRED, Code::C_PRINCIPAL_UNKNOWN] {
        let message = reply(&mut socket).await;
        assert_eq!(KrbError::decode(&message).unwrap().code, code);
    }
    let tgs = "krbtgt/CORP.EXAMPLE".to_owned();
    assert_eq!(
        noted(&journal),
        [(Some("CORP\\alice".to_owned()), tgs.clone(), 0, 25), (Some("CORP.EXAMPLE\\mallory".to_owned()), tgs, 0, 6)]
    );
}

#[tokio::test]
async fn bytes_that_are_no_request_get_an_error_and_the_connection_goes_on() {
    let (mut socket, journal) = connect().await;
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0x6A, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]] {
        socket.write_all(&frame(bytes)).await.unwrap();
        assert_eq!(KrbError::decode(&reply(&mut socket).await).unwrap().code, Code::MSG_TYPE);
    }
    assert_eq!(noted(&journal), vec![(None, String::new(), 0, 40); 3]);
}

#[tokio::test]
async fn a_length_out_of_bounds_gets_field_too_long_and_a_close() {
    for length in [MAX_REQUEST as u32 + 1, 0x8000_0000, u32::MAX] {
        let (mut socket, journal) = connect().await;
        socket.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(KrbError::decode(&reply(&mut socket).await).unwrap().code, Code(61));
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
        assert!(journal.take().is_empty());
    }
}

/// Returns a request for a ticket without a checksum in its authenticator, as impacket sends it, and the directory that
/// accepts it.
fn without_checksum() -> (Directory, Vec<u8>) {
    let mut kdc = [Kdc::corp(None)];
    let tgt = ticket(&mut kdc, &alice(), "krbtgt/CORP.EXAMPLE").unwrap();
    let nonces = Nonces { nonce: 1, confounder: [1; 16], subkey: [2; 32] };
    let (request, _) = TgsExchange::start(&alice(), &tgt, &PrincipalName::parse("HOST/iis1"), 0, nonces, NOW);
    let (parsed, _) = KdcReq::decode(&request).unwrap();
    let (message, _) = ApReq::decode(parsed.padata[0].value).unwrap();
    let plain = tgt.key.decrypt(usage::TGS_REQ_AUTHENTICATOR, message.authenticator.cipher).unwrap();
    let authenticator = Authenticator { checksum: None, ..Authenticator::decode(&plain).unwrap() };
    let cipher = tgt.key.encrypt(usage::TGS_REQ_AUTHENTICATOR, &[3; 16], &authenticator.encode());
    let authenticator = EncryptedData { cipher: &cipher, ..message.authenticator };
    let message = ApReq { authenticator, ..message }.encode();
    let request = KdcReq { padata: vec![PaData { kind: PaData::TGS_REQ, value: &message }], ..parsed }.encode();
    let [kdc] = kdc;
    (kdc.directory, request)
}

#[test]
fn each_dc_takes_a_request_without_a_checksum_or_refuses_it() {
    for requires in [false, true] {
        let (env, _) = dc();
        let (directory, request) = without_checksum();
        let dc = DomainController::new(directory).with_requires_checksum(requires);
        let code = KrbError::decode(&answer(&env, &dc, &request, usize::MAX)).ok().map(|error| error.code);
        assert_eq!(code, requires.then_some(Code::INAPP_CKSUM));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_come_to_its_end_is_given_up() {
    let (mut socket, _) = connect().await;
    socket.write_all(&frame(b"begun")[..6]).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(11), socket.read(&mut [0])).await;
    assert!(matches!(closed.expect("a close within the limit"), Ok(0) | Err(_)));
}

#[test]
fn an_answer_too_long_for_a_datagram_asks_for_tcp() {
    let (env, dc) = dc();
    dc.directory().account_mut("alice").unwrap().no_preauth = true;
    let request = first_request("alice");
    let whole = answer(&env, &dc, &request, MAX_DATAGRAM);
    assert!(KrbError::decode(&whole).is_err() && whole.len() <= MAX_DATAGRAM);
    let cut = answer(&env, &dc, &request, whole.len() - 1);
    assert_eq!(KrbError::decode(&cut).unwrap().code, Code::RESPONSE_TOO_BIG);
    let errors: Vec<u32> = noted(&env.journal).into_iter().map(|(.., error)| error).collect();
    assert_eq!(errors, [0, 52]);
}

proptest! {
    #[test]
    fn any_bytes_get_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (env, dc) = dc();
        let message = answer(&env, &dc, &bytes, usize::MAX);
        prop_assert!(KrbError::decode(&message).is_ok() && message.len() < 300);
    }

    #[test]
    fn a_request_with_a_changed_byte_gets_an_answer_that_is_bounded_by_it(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (env, dc) = dc();
        let mut request = first_request("alice");
        let index = at.index(request.len());
        request[index] = byte;
        request.truncate(cut.index(request.len() * 4).max(1));
        let message = answer(&env, &dc, &request, usize::MAX);
        prop_assert!(message.len() < request.len() + 400);
        prop_assert!(KrbError::decode(&message).is_ok() || KdcReq::decode(&request).is_ok());
    }

    #[test]
    fn any_stream_of_bytes_is_answered_in_whole_frames(
        frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut socket, _) = connect().await;
            let bytes = frames.iter().flat_map(|(whole, bytes)| if *whole { frame(bytes) } else { bytes.clone() });
            // The KDC may close the connection at an invalid length, before it has read the rest.
            let _ = socket.write_all(&bytes.collect::<Vec<u8>>()).await;
            let _ = socket.shutdown().await;
            let mut replies = Vec::new();
            let ended = socket.read_to_end(&mut replies).await;
            let mut rest = replies.as_slice();
            while let Some((length, behind)) = rest.split_first_chunk() {
                let length = u32::from_be_bytes(*length) as usize;
                if length > behind.len() && ended.is_err() {
                    break;
                }
                let (message, behind) = behind.split_at(length);
                assert!(KrbError::decode(message).is_ok());
                rest = behind;
            }
        });
    }
}
