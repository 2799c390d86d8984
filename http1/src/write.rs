//! Writes the parts of messages: start lines, header fields and chunks.

use bytes::{BufMut as _, BytesMut};
use http::StatusCode;

use crate::fields::Fields;

/// The interim answer with which a server asks for the body (RFC 9110 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes the start line of a request.
pub fn request_line(output: &mut BytesMut, method: &str, target: &str) {
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        output.put_slice(part.as_bytes());
    }
}

/// Writes the start line of an answer, with the reason phrase that RFC 9110 gives the status.
pub fn status_line(output: &mut BytesMut, status: u16) {
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    output.put_slice(b"HTTP/1.1 ");
    decimal(output, status.into());
    output.put_slice(b" ");
    output.put_slice(phrase.unwrap_or_default().as_bytes());
    output.put_slice(b"\r\n");
}

/// Writes a header field. The caller must ensure that HTTP allows its name and its value.
pub fn field(output: &mut BytesMut, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
    for part in [name.as_ref(), b": ", value.as_ref(), b"\r\n"] {
        output.put_slice(part);
    }
}

/// Writes header fields in their order.
pub fn fields(output: &mut BytesMut, fields: &Fields) {
    for (name, value) in fields.iter() {
        field(output, name, value);
    }
}

/// Writes `Content-Length`.
pub fn content_length(output: &mut BytesMut, length: u64) {
    output.put_slice(b"Content-Length: ");
    decimal(output, length);
    output.put_slice(b"\r\n");
}

/// Writes the empty line that ends a head.
pub fn end(output: &mut BytesMut) {
    output.put_slice(b"\r\n");
}

/// Writes a chunk. An empty chunk would end the body, and is therefore not written.
pub fn chunk(output: &mut BytesMut, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    digits::<16>(output, data.len() as u64);
    for part in [b"\r\n", data, b"\r\n"] {
        output.put_slice(part);
    }
}

/// Writes the last chunk, without trailers.
pub fn last_chunk(output: &mut BytesMut) {
    output.put_slice(b"0\r\n\r\n");
}

/// Writes a number without the cost of a formatter.
pub fn decimal(output: &mut BytesMut, number: u64) {
    digits::<10>(output, number);
}

fn digits<const BASE: u64>(output: &mut BytesMut, mut number: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b"0123456789abcdef"[(number % BASE) as usize];
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    output.put_slice(&text[at..]);
}
