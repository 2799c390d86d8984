//! The part of WebSocket (RFC 6455) that the application of `/socket` uses: the handshake, a first message that
//! describes the request, and an echo of every later frame.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Buf as _, Bytes, BytesMut};
use sha1::{Digest as _, Sha1};
use stickler_http1::{Lookup as _, RequestHead, Version, Wire};
use stickler_model::event::Closed;
use stickler_net::Stream;

use crate::sending::{self, Sending};

/// The string that a server appends to the key before it hashes it (RFC 6455 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The version of the protocol (RFC 6455 4.1).
pub(crate) const VERSION: &str = "13";

/// The maximum length of a frame's payload, in bytes; a longer one ends the connection.
const MAX_PAYLOAD: usize = 64 * 1024;

/// The maximum length of a control frame's payload (RFC 6455 5.5).
const MAX_CONTROL: usize = 125;

/// The opcodes of frames (RFC 6455 5.2).
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The status codes of a close (RFC 6455 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;
const TOO_BIG: u16 = 1009;

/// The upgrade that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Plain HTTP: there is no `Upgrade`, or a balancer has removed it.
    Nothing,
    /// A WebSocket, with the value of `Sec-WebSocket-Accept` that grants it.
    Socket(String),
    /// A version of the protocol that the server does not speak: 426 (RFC 6455 4.4).
    OtherVersion,
    /// A malformed handshake: 400 (RFC 6455 4.2.1).
    Malformed,
}

impl Asked {
    /// Reads a request (RFC 6455 4.2.1).
    pub(crate) fn of(head: &RequestHead) -> Self {
        let fields = head.fields();
        if !fields.lists("Upgrade", "websocket") || !fields.lists("Connection", "Upgrade") {
            return Self::Nothing;
        }
        if head.method() != "GET" || head.version() == Version::Http10 {
            return Self::Malformed;
        }
        if fields.first("Sec-WebSocket-Version") != Some(VERSION.as_bytes()) {
            return Self::OtherVersion;
        }
        match fields.first("Sec-WebSocket-Key") {
            Some(key) if BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16) => Self::Socket(accept(key)),
            _ => Self::Malformed,
        }
    }
}

/// Returns the value of `Sec-WebSocket-Accept` for a key (RFC 6455 4.2.2).
fn accept(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Sends the greeting as a text message, and echoes messages until the connection ends. Returns the way in which it
/// ended.
///
/// No timer of HTTP ends a WebSocket that is idle.
pub(crate) async fn serve<S: Stream>(wire: &mut Wire<Sending<S>>, greeting: Bytes) -> Closed {
    put(wire.output(), true, TEXT, &greeting);
    loop {
        let frame = loop {
            if let Err(error) = wire.flush().await {
                return if sending::is_untaken(&error) { Closed::Here } else { Closed::Broken };
            }
            match take(wire.input()) {
                Ok(Some(frame)) => break Ok(frame),
                Ok(None) => {}
                Err(code) => break Err(code),
            }
            match wire.fill().await {
                Ok(0) => return Closed::ByPeer,
                Ok(_) => {}
                Err(_) => return Closed::Broken,
            }
        };
        let ends = !matches!(frame, Ok(Frame { opcode: 0..=7 | PING | PONG, .. }));
        answer(wire.output(), frame);
        if ends {
            // The shutdown fails if the client is gone already.
            let _ = wire.shutdown().await;
            return Closed::Here;
        }
    }
}

/// Answers a frame, or bytes that are not a frame. The answer is the same data, a pong, nothing, or a close.
fn answer(output: &mut BytesMut, frame: Result<Frame, u16>) {
    match frame {
        Ok(Frame { opcode: PING, payload, .. }) => put(output, true, PONG, &payload),
        Ok(Frame { opcode: PONG, .. }) => {}
        Ok(Frame { last, opcode, payload }) => put(output, last, opcode, &payload),
        Err(code) => put(output, true, CLOSE, &code.to_be_bytes()),
    }
}

/// A frame of a client, unmasked.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    /// Whether the frame is the last of its message.
    last: bool,
    opcode: u8,
    payload: Vec<u8>,
}

/// Takes a frame; `None` if it is not complete (RFC 6455 5.2).
///
/// # Errors
/// The error is the status code with which the server closes the connection. The reason is a frame that is not masked
/// (5.1), uses an extension that was not negotiated, or is too long.
fn take(input: &mut BytesMut) -> Result<Option<Frame>, u16> {
    let &[first, second, ..] = &input[..] else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    let (masked, short) = (second & 0x80 != 0, usize::from(second & 0x7f));
    let known = matches!(opcode, 0 | TEXT | BINARY | CLOSE | PING | PONG);
    let control = opcode >= CLOSE;
    if first & 0x70 != 0 || !masked || !known || (control && !(last && short <= MAX_CONTROL)) {
        return Err(PROTOCOL_ERROR);
    }
    let (start, length) = match (short, &input[2..]) {
        (126, &[high, low, ..]) => (4, usize::from(u16::from_be_bytes([high, low]))),
        (127, rest) => match rest.first_chunk() {
            Some(&length) => (10, usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        _ => (2, short),
    };
    if length > MAX_PAYLOAD {
        return Err(TOO_BIG);
    }
    let Some((mask, rest)) = input[start..].split_first_chunk::<4>() else { return Ok(None) };
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    input.advance(start + mask.len() + length);
    Ok(Some(Frame { last, opcode, payload }))
}

/// Writes a frame of the server, which is not masked.
fn put(output: &mut BytesMut, last: bool, opcode: u8, payload: &[u8]) {
    let first = if last { 0x80 | opcode } else { opcode };
    match payload.len() {
        length @ 0..=MAX_CONTROL => output.extend_from_slice(&[first, length as u8]),
        length @ ..=0xffff => {
            output.extend_from_slice(&[first, 126]);
            output.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            output.extend_from_slice(&[first, 127]);
            output.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    output.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(method: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new(method, "/socket");
        for (name, value) in fields {
            head.push(name, value);
        }
        head
    }

    #[test]
    fn a_handshake_is_told_from_what_is_none_and_granted_as_in_the_specifications_example() {
        let fields = [
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        // Returns the result for a request in which one of these fields has another value.
        let asked = |method: &str, at: usize, value: &'static str| {
            let mut fields = fields;
            fields[at].1 = value;
            Asked::of(&request(method, &fields))
        };
        // RFC 6455 1.3 has this example.
        assert_eq!(asked("GET", 2, "13"), Asked::Socket("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
        assert_eq!(asked("POST", 2, "13"), Asked::Malformed);
        assert_eq!(asked("GET", 0, "keep-alive"), Asked::Nothing);
        assert_eq!(asked("GET", 1, "h2c"), Asked::Nothing);
        assert_eq!(asked("GET", 2, "8"), Asked::OtherVersion);
        assert_eq!(asked("GET", 3, "c2hvcnQ="), Asked::Malformed);
        assert_eq!(asked("GET", 3, "?"), Asked::Malformed);
    }

    /// Returns a client's frame. `head` has the first byte, the second with the length, and the rest of the length if
    /// there is any.
    fn frame(head: &[u8], payload: &[u8]) -> BytesMut {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        head.iter().chain(&mask).copied().chain(masked).collect::<Vec<_>>().as_slice().into()
    }

    #[test]
    fn a_frame_is_unmasked_whatever_parts_it_comes_in() {
        // This is "Hello", masked (RFC 6455 5.7).
        let mut whole = frame(&[0x81, 0x85], b"Hello");
        assert_eq!(&whole[..], [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        for length in 0..whole.len() {
            assert_eq!(take(&mut whole[..length].into()), Ok(None), "{length} bytes");
        }
        let hello = Frame { last: true, opcode: TEXT, payload: b"Hello".to_vec() };
        assert_eq!(take(&mut whole), Ok(Some(hello)));
        assert!(whole.is_empty());
        for (head, length) in [(&[0x02, 0xfe, 1, 0][..], 256), (&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0][..], MAX_PAYLOAD)]
        {
            let mut long = frame(head, &vec![b'x'; length]);
            assert_eq!(take(&mut long).unwrap().unwrap().payload.len(), length);
            assert!(long.is_empty());
        }
    }

    #[test]
    fn what_breaks_the_protocol_or_the_limit_is_known_by_the_head_alone() {
        for (head, code) in [
            (&[0x81, 0x05][..], PROTOCOL_ERROR),              // not masked
            (&[0xc1, 0x85], PROTOCOL_ERROR),                  // a reserved bit
            (&[0x83, 0x85], PROTOCOL_ERROR),                  // a reserved opcode
            (&[0x09, 0x80], PROTOCOL_ERROR),                  // a fragment of a ping
            (&[0x89, 0xfe], PROTOCOL_ERROR),                  // a long ping
            (&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1], TOO_BIG), // 64 KiB and a byte
            (&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], TOO_BIG),
        ] {
            assert_eq!(take(&mut head.into()), Err(code), "{head:02x?}");
        }
    }

    #[test]
    fn data_is_echoed_a_ping_gets_a_pong_and_what_is_wrong_a_close() {
        let answered = |frame| {
            let mut output = BytesMut::new();
            answer(&mut output, frame);
            output.to_vec()
        };
        let frame = |last, opcode, payload: &[u8]| Ok(Frame { last, opcode, payload: payload.to_vec() });
        assert_eq!(answered(frame(true, TEXT, b"Hello")), b"\x81\x05Hello");
        assert_eq!(answered(frame(false, BINARY, b"He")), b"\x02\x02He");
        assert_eq!(answered(frame(true, 0, b"llo")), b"\x80\x03llo");
        assert_eq!(answered(frame(true, PING, b"?")), b"\x8a\x01?");
        assert_eq!(answered(frame(true, PONG, b"!")), b"");
        assert_eq!(answered(frame(true, CLOSE, &1000_u16.to_be_bytes())), b"\x88\x02\x03\xe8");
        assert_eq!(answered(Err(TOO_BIG)), b"\x88\x02\x03\xf1");
        let long = answered(frame(true, BINARY, &vec![0; 0x1_0000]));
        assert_eq!(&long[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(&answered(frame(true, BINARY, &[0; 126]))[..4], [0x82, 126, 0, 126]);
    }
}
