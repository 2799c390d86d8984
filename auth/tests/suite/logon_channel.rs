//! Tests of the logon channel: order, replay, wrong keys, altered and truncated frames.

use stickler_auth::logon::{
    FRAME_PREFIX, LogonClient, LogonError, LogonReply, LogonRequest, LogonServer, MAX_FRAME, denial, frame_len,
};
use stickler_auth::status::NtStatus;

const SECRET: &[u8] = b"machine secret";

fn request(user: &str) -> LogonRequest {
    LogonRequest {
        channel_machine: "WEB1".into(),
        logon_domain: "CORP".into(),
        user: user.into(),
        workstation: "DESKTOP".into(),
        challenge: [1, 2, 3, 4, 5, 6, 7, 8],
        nt_response: vec![5; 200],
        lm_response: vec![6; 24],
        parameter_control: 0x0001_0820,
        hops: 3,
    }
}

fn reply(user: &str) -> LogonReply {
    LogonReply {
        status: NtStatus::SUCCESS,
        authoritative: true,
        session_base_key: [7; 16],
        lm_key: [8; 8],
        user_flags: LogonReply::GUEST,
        effective_name: user.into(),
        domain: "CORP".into(),
        sids: vec!["S-1-5-21-1-2-3-1104".into(), "S-1-1-0".into()],
        logon_server: "DC1".into(),
    }
}

fn channel() -> (LogonClient, LogonServer) {
    (LogonClient::new("WEB1", SECRET), LogonServer::new("web1", SECRET))
}

/// Returns a frame without its length prefix, which must be right.
fn body(frame: &[u8]) -> &[u8] {
    let (prefix, rest) = frame.split_first_chunk::<FRAME_PREFIX>().unwrap();
    assert_eq!(frame_len(*prefix), Ok(rest.len()));
    rest
}

#[test]
fn requests_and_replies_arrive_whole_and_in_order() {
    let (mut client, mut server) = channel();
    let asked: Vec<_> = ["a", "b", "c"].map(|user| client.encode_request(&request(user)).unwrap()).into();
    assert_eq!(LogonServer::claimed_machine(body(&asked[0])), Ok("WEB1".into()));
    let answered: Vec<_> = asked
        .iter()
        .map(|frame| {
            let got = server.decode_request(body(frame)).unwrap();
            assert_eq!(got, request(&got.user));
            server.encode_reply(&reply(&got.user)).unwrap()
        })
        .collect();
    for (frame, user) in answered.iter().zip(["a", "b", "c"]) {
        assert_eq!(client.decode_reply(body(frame)), Ok(reply(user)));
    }
}

#[test]
fn a_replayed_or_skipped_frame_is_told_from_an_altered_one() {
    let (mut client, mut server) = channel();
    let [one, two, three] = ["a", "b", "c"].map(|user| client.encode_request(&request(user)).unwrap());
    server.decode_request(body(&one)).unwrap();
    assert_eq!(server.decode_request(body(&one)), Err(LogonError::Replayed { got: 0, expected: 1 }));
    assert_eq!(server.decode_request(body(&three)), Err(LogonError::OutOfSequence { got: 2, expected: 1 }));
    let mut altered = body(&two).to_vec();
    altered[40] ^= 1;
    assert_eq!(server.decode_request(&altered), Err(LogonError::BadMac));
    assert!(server.decode_request(body(&two)).is_ok(), "the refused frames changed nothing");
}

#[test]
fn a_reply_to_nothing_is_out_of_sequence_on_both_sides() {
    let (mut client, mut server) = channel();
    let nothing = Err(LogonError::OutOfSequence { got: 0, expected: 0 });
    assert_eq!(server.encode_reply(&reply("a")).map(|_| ()), nothing);
    let frame = client.encode_request(&request("a")).unwrap();
    server.decode_request(body(&frame)).unwrap();
    let answer = server.encode_reply(&reply("a")).unwrap();
    let (mut silent, _) = channel();
    assert_eq!(silent.decode_reply(body(&answer)).map(|_| ()), nothing);
}

#[test]
fn another_secret_machine_direction_or_version_is_refused() {
    let (mut client, mut server) = channel();
    let frame = client.encode_request(&request("a")).unwrap();
    let mut other = LogonServer::new("WEB1", b"another secret");
    assert_eq!(other.decode_request(body(&frame)), Err(LogonError::BadMac));
    assert_eq!(client.decode_reply(body(&frame)), Err(LogonError::Kind));
    let mut newer = body(&frame).to_vec();
    newer[0] = 2;
    assert_eq!(server.decode_request(&newer), Err(LogonError::Version(2)));

    let posing = LogonRequest { channel_machine: "WEB2".into(), ..request("a") };
    let frame = client.encode_request(&posing);
    let (_, mut server) = channel();
    client = LogonClient::new("WEB1", SECRET);
    assert!(frame.is_ok());
    let frame = client.encode_request(&posing).unwrap();
    assert_eq!(
        server.decode_request(body(&frame)),
        Err(LogonError::WrongMachine { got: "WEB2".into(), expected: "web1".into() })
    );
}

#[test]
fn a_denial_says_why_and_is_no_reply() {
    let (mut client, mut server) = channel();
    let frame = denial(NtStatus::ACCESS_DENIED);
    assert_eq!(frame_len(*frame.first_chunk().unwrap()), Ok(body(&frame).len()));
    // A denial is valid even before any request, because there is no channel yet that could be out of sequence.
    assert_eq!(client.decode_reply(body(&frame)), Err(LogonError::Denied(NtStatus::ACCESS_DENIED)));
    assert_eq!(server.decode_request(body(&frame)), Err(LogonError::Kind));
    assert!(client.decode_reply(&body(&frame)[1..]).is_err());
}

#[test]
fn every_changed_or_missing_byte_of_a_frame_is_refused() {
    let (mut client, mut server) = channel();
    let frame = client.encode_request(&request("alice")).unwrap();
    let frame = body(&frame);
    for at in 0..frame.len() {
        assert!(server.decode_request(&frame[..at]).is_err(), "cut at {at}");
        let mut altered = frame.to_vec();
        for bit in [0x01, 0x80] {
            altered[at] = frame[at] ^ bit;
            assert!(server.decode_request(&altered).is_err(), "byte {at} changed by {bit:02x}");
        }
    }
    assert!(server.decode_request(frame).is_ok());
}

#[test]
fn what_is_too_long_is_neither_read_nor_sent() {
    let too_long = LogonError::TooLong { len: MAX_FRAME + 1, limit: MAX_FRAME };
    assert_eq!(frame_len((MAX_FRAME as u32 + 1).to_be_bytes()), Err(too_long.clone()));
    assert!(frame_len(u32::MAX.to_be_bytes()).is_err());
    let (mut client, mut server) = channel();
    assert_eq!(server.decode_request(&vec![0; MAX_FRAME + 1]), Err(too_long));
    let huge = LogonRequest { nt_response: vec![0; 65_536], ..request("a") };
    assert_eq!(client.encode_request(&huge), Err(LogonError::TooLong { len: 65_536, limit: 65_535 }));
    let wide = LogonRequest { user: "x".repeat(65_535), workstation: "x".repeat(65_535), ..request("") };
    assert!(matches!(client.encode_request(&wide), Err(LogonError::TooLong { limit: MAX_FRAME, .. })));
    assert!(client.encode_request(&request("a")).is_ok(), "the channel goes on");

    let frame = LogonClient::new("WEB1", SECRET).encode_request(&request("a")).unwrap();
    server.decode_request(body(&frame)).unwrap();
    let many = LogonReply { sids: vec![String::new(); 1_025], ..reply("a") };
    assert_eq!(server.encode_reply(&many), Err(LogonError::Malformed { field: "sids" }));
}
