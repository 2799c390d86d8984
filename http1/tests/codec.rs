//! Tests of the codec with bytes that arrive divided into any parts, and with bytes that are not HTTP.

use std::fmt::Write as _;

use bytes::BytesMut;
use proptest::prelude::*;
use stickler_http1::{
    BodyDecoder, BodyError, Framing, FramingError, HeadError, HeadLimits, Lookup as _, RequestHead, ResponseHead,
    Version, write,
};

const LIMITS: HeadLimits = HeadLimits { length: 4_096, fields: 100 };

fn request(text: &str) -> RequestHead {
    let mut head = RequestHead::default();
    assert_eq!(head.parse(text.as_bytes(), LIMITS), Ok(Some(text.len())));
    head
}

fn response(text: &str) -> ResponseHead {
    let mut head = ResponseHead::default();
    assert_eq!(head.parse(text.as_bytes(), LIMITS), Ok(Some(text.len())));
    head
}

/// Returns the framing of a request with these lines after `Host`.
fn framing(lines: &str) -> Result<Framing, FramingError> {
    Framing::of_request(&request(&format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n")))
}

#[test]
fn a_head_is_read_as_it_came() {
    let head = request("PUT /a?b=c HTTP/1.1\r\nHost: x\r\nX-A:  one \r\nx-a: two\r\nEmpty:\r\n\r\n");
    assert_eq!((head.method(), head.path(), head.query()), ("PUT", "/a", Some("b=c")));
    assert_eq!(head.fields().all("X-a").collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(head.fields().first("empty"), Some(b"".as_slice()));
    assert_eq!(head.fields().first("x"), None);
    assert_eq!(head.fields().iter().map(|(name, _)| name).collect::<Vec<_>>()[2], b"x-a", "spelled as it came");
    assert_eq!((head.version(), head.length()), (Version::Http11, 62));
    let answer = response("HTTP/1.0 401 No\r\nA: b\r\n\r\n");
    assert_eq!((answer.status(), answer.version(), answer.fields().len()), (401, Version::Http10, 1));
}

#[test]
fn targets_have_paths() {
    for (target, path, query) in [
        ("/", "/", None),
        ("/a?b?c", "/a", Some("b?c")),
        ("http://x.y:80/a?b", "/a", Some("b")),
        ("http://x.y", "/", None),
        ("http://x.y?b", "/", Some("b")),
        ("/a?u=http://x/", "/a", Some("u=http://x/")),
        ("*", "*", None),
    ] {
        let head = request(&format!("GET {target} HTTP/1.1\r\n\r\n"));
        assert_eq!((head.path(), head.query()), (path, query), "{target}");
    }
}

#[test]
fn a_connection_stays_open_unless_a_side_says_otherwise() {
    for (version, connection, stays) in [
        ("1.1", "", true),
        ("1.1", "Connection: Close\r\n", false),
        ("1.1", "Connection: x, close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = request(&format!("GET / HTTP/{version}\r\n{connection}\r\n"));
        assert_eq!(head.keeps_alive(), stays, "{version} {connection}");
        let head = response(&format!("HTTP/{version} 200 OK\r\n{connection}\r\n"));
        assert_eq!(head.keeps_alive(), stays, "{version} {connection}");
    }
}

#[test]
fn only_http_1_1_expects_100() {
    assert!(request("PUT / HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n").expects_continue());
    assert!(!request("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue());
    assert!(!request("PUT / HTTP/1.1\r\nExpect: 200-ok\r\n\r\n").expects_continue());
    assert!(response("HTTP/1.1 100 Continue\r\n\r\n").is_interim());
    assert!(response("HTTP/1.1 103 Early Hints\r\n\r\n").is_interim());
    assert!(!response("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_interim());
}

#[test]
fn the_framing_of_a_request_is_clear_or_refused() {
    for (lines, expected) in [
        ("", Ok(Framing::Length(0))),
        ("Content-Length: 17\r\n", Ok(Framing::Length(17))),
        ("Content-Length: 17\r\nContent-Length: 17\r\n", Ok(Framing::Length(17))),
        ("Content-Length: 17, 17\r\n", Ok(Framing::Length(17))),
        ("Content-Length: 17, 18\r\n", Err(FramingError::Length)),
        ("Content-Length: 17\r\nContent-Length: 18\r\n", Err(FramingError::Length)),
        ("Content-Length: +1\r\n", Err(FramingError::Length)),
        ("Content-Length: -1\r\n", Err(FramingError::Length)),
        ("Content-Length: 0x1\r\n", Err(FramingError::Length)),
        ("Content-Length:\r\n", Err(FramingError::Length)),
        ("Content-Length: 18446744073709551616\r\n", Err(FramingError::Length)),
        ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", Err(FramingError::Ambiguous)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(FramingError::Ambiguous)),
        ("Transfer-Encoding: chunked, gzip\r\n", Err(FramingError::Coding)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(FramingError::Coding)),
        ("Transfer-Encoding: identity\r\n", Err(FramingError::Coding)),
        ("Transfer-Encoding: xchunked\r\n", Err(FramingError::Coding)),
    ] {
        assert_eq!(framing(lines), expected, "{lines}");
    }
    let old = request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(Framing::of_request(&old), Err(FramingError::Ambiguous));
}

#[test]
fn the_framing_of_an_answer_depends_on_status_and_method() {
    let of = |status: u16, head_only, lines: &str| {
        Framing::of_response(&response(&format!("HTTP/1.1 {status} X\r\n{lines}\r\n")), head_only)
    };
    assert_eq!(of(200, false, "Content-Length: 3\r\n"), Ok(Framing::Length(3)));
    assert_eq!(of(200, true, "Content-Length: 3\r\n"), Ok(Framing::Length(0)));
    assert_eq!(of(204, false, "Content-Length: 3\r\n"), Ok(Framing::Length(0)));
    assert_eq!(of(304, false, "Transfer-Encoding: chunked\r\n"), Ok(Framing::Length(0)));
    assert_eq!(of(200, false, ""), Ok(Framing::UntilClose));
    assert_eq!(of(200, false, "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), Ok(Framing::Chunked));
    assert_eq!(of(200, false, "Transfer-Encoding: gzip\r\n"), Err(FramingError::Coding));
    assert_eq!(of(200, false, "Content-Length: x\r\n"), Err(FramingError::Length));
}

#[test]
fn what_is_beyond_a_limit_is_refused_however_it_comes() {
    let head = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(100));
    let mut parsed = RequestHead::default();
    let limit = |length, fields| HeadLimits { length, fields };
    assert_eq!(parsed.parse(head.as_bytes(), limit(head.len(), 1)), Ok(Some(head.len())));
    assert_eq!(parsed.parse(head.as_bytes(), limit(head.len() - 1, 1)), Err(HeadError::TooLong));
    assert_eq!(parsed.parse(&head.as_bytes()[..50], limit(50, 1)), Err(HeadError::TooLong));
    assert_eq!(parsed.parse(&head.as_bytes()[..49], limit(50, 1)), Ok(None));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(300));
    assert_eq!(parsed.parse(many.as_bytes(), limit(4_096, 300)), Ok(Some(many.len())));
    assert_eq!(parsed.fields().len(), 300);
    assert_eq!(parsed.parse(many.as_bytes(), limit(4_096, 299)), Err(HeadError::TooManyFields));
    for chunks in ["x\r\n", "1\r\nab\r\n", "1\r\na\n\n", &format!("1;{}\r\n", "x".repeat(2_000))] {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        decoder.decode(&mut chunks.as_bytes().into(), |_| ()).expect_err(chunks);
    }
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let trailers = format!("0\r\n{}", "A: bcdefgh\r\n".repeat(1_000));
    assert_eq!(decoder.decode(&mut trailers.as_bytes().into(), |_| ()), Err(BodyError::TooLong));
}

#[test]
fn what_comes_after_a_body_is_left_and_an_end_too_soon_shows() {
    let mut input: BytesMut = b"5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\nGET".as_slice().into();
    let (mut decoder, mut data) = (BodyDecoder::new(Framing::Chunked), Vec::new());
    assert_eq!(decoder.decode(&mut input, |part| data.extend_from_slice(part)), Ok(true));
    assert_eq!((data.as_slice(), &input[..]), (b"hello".as_slice(), b"GET".as_slice()));
    let mut decoder = BodyDecoder::new(Framing::Length(9));
    assert_eq!(decoder.decode(&mut b"hello".as_slice().into(), |_| ()), Ok(false));
    assert_eq!((decoder.announced(), decoder.end()), (Some(4), false));
    let mut decoder = BodyDecoder::new(Framing::UntilClose);
    assert_eq!(decoder.decode(&mut b"hello".as_slice().into(), |_| ()), Ok(false));
    assert!(decoder.end());
}

/// A request that was read: its head as text, and its body.
type Message = (String, Vec<u8>);

/// Returns everything that a server reads from bytes that arrive in these parts, until there are no more or an error
/// occurs.
fn read(parts: &[&[u8]]) -> (Vec<Message>, bool) {
    let mut messages: Vec<Message> = Vec::new();
    let (mut input, mut head, mut decoder) = (BytesMut::new(), RequestHead::default(), None::<BodyDecoder>);
    for part in parts {
        input.extend_from_slice(part);
        loop {
            if let Some(decoding) = &mut decoder {
                let body = &mut messages.last_mut().expect("a body has a head").1;
                match decoding.decode(&mut input, |data| body.extend_from_slice(data)) {
                    Ok(true) => decoder = None,
                    Ok(false) => break,
                    Err(_) => return (messages, true),
                }
            }
            match head.parse(&input, LIMITS) {
                Ok(None) => break,
                Err(_) => return (messages, true),
                Ok(Some(length)) => {
                    let _ = input.split_to(length);
                    let mut text = format!("{} {} {:?}", head.method(), head.target(), head.version());
                    for (name, value) in head.fields().iter() {
                        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                        let _ = write!(text, "\n{name}: {value}");
                    }
                    messages.push((text, Vec::new()));
                    let Ok(framing) = Framing::of_request(&head) else { return (messages, true) };
                    decoder = Some(BodyDecoder::new(framing));
                }
            }
        }
    }
    (messages, false)
}

/// Cuts bytes at these positions.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut parts = Vec::new();
    let mut from = 0;
    for to in places.into_iter().chain([bytes.len()]) {
        parts.push(&bytes[from..to]);
        from = to;
    }
    parts
}

/// A request to be written: its fields, its body in pieces, and whether the body is sent in chunks.
#[derive(Debug, Clone)]
struct Sent {
    method: String,
    fields: Vec<(String, String)>,
    pieces: Vec<Vec<u8>>,
    chunked: bool,
}

impl Sent {
    fn write(&self, output: &mut BytesMut) {
        write::request_line(output, &self.method, "/path?query");
        for (name, value) in &self.fields {
            write::field(output, name, value);
        }
        if self.chunked {
            write::field(output, "Transfer-Encoding", "chunked");
            write::end(output);
            self.pieces.iter().for_each(|piece| write::chunk(output, piece));
            write::last_chunk(output);
        } else {
            write::content_length(output, self.pieces.concat().len() as u64);
            write::end(output);
            output.extend_from_slice(&self.pieces.concat());
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let field = ("X-[A-Za-z]{1,8}", "[!-~]([ -~]{0,20}[!-~])?");
    let piece = prop::collection::vec(any::<u8>(), 0..40);
    let parts = ("[A-Z]{3,8}", prop::collection::vec(field, 0..6), prop::collection::vec(piece, 0..5), any::<bool>());
    parts.prop_map(|(method, fields, pieces, chunked)| Sent { method, fields, pieces, chunked })
}

/// Returns a strategy for bytes that look like HTTP in some places.
fn nearly_http() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"POST /x HTTP/1.0\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"3\r\nabc\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"abc".to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_whatever_parts_it_comes(
        requests in prop::collection::vec(sent(), 1..4),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut output = BytesMut::new();
        for request in &requests {
            request.write(&mut output);
        }
        let (messages, failed) = read(&cut(&output, &places));
        prop_assert!(!failed);
        prop_assert_eq!(messages.len(), requests.len());
        for ((head, body), request) in messages.iter().zip(&requests) {
            prop_assert_eq!(body, &request.pieces.concat());
            let mut expected = format!("{} /path?query Http11", request.method);
            for (name, value) in &request.fields {
                let _ = write!(expected, "\n{name}: {value}");
            }
            prop_assert!(head.starts_with(&expected), "{}", head);
            prop_assert_eq!(head.lines().count(), request.fields.len() + 2);
        }
    }

    #[test]
    fn any_bytes_give_the_same_in_any_parts_and_never_a_panic(
        bytes in nearly_http(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        let whole = read(&[&bytes]);
        prop_assert_eq!(&read(&cut(&bytes, &places)), &whole);
        prop_assert_eq!(&read(&each), &whole);
        let _ = ResponseHead::default().parse(&bytes, LIMITS);
    }
}
