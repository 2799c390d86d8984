//! The HTTP answers among the bytes that arrive on a bare connection.

use bytes::{Buf as _, BytesMut};
use stickler_http1::{BodyDecoder, Framing, Lookup as _, ResponseHead};
use stickler_model::What;
use stickler_model::action::AppAnswer;
use stickler_model::event::Served;

use crate::http1::HEAD;

/// Returns the events for the HTTP/1.1 answers that these bytes begin with, in order. The result contains only complete
/// answers, and ends at the first bytes that are not one.
///
/// An answer without a length extends to the end of the bytes.
pub fn raw_answers(bytes: &[u8]) -> Vec<What> {
    let mut bytes = BytesMut::from(bytes);
    let mut answers = Vec::new();
    while let Some((status, application)) = answer(&mut bytes) {
        if status < 200 && status != SWITCHING {
            continue;
        }
        let (served, user) = application.map_or((None, None), |answer| {
            let AppAnswer { server, connection, number, user, .. } = answer;
            (Some(Served { server, connection, number }), user)
        });
        let number = u32::try_from(answers.len() + 1).unwrap_or(u32::MAX);
        answers.push(What::RawAnswered { number, status, served, user });
        if status == SWITCHING {
            break;
        }
    }
    answers
}

/// The status Switching Protocols, which is the last HTTP answer on its connection (RFC 9110 15.2.2).
const SWITCHING: u16 = 101;

/// Takes the first answer, and returns its status and the application's report in it.
fn answer(bytes: &mut BytesMut) -> Option<(u16, Option<AppAnswer>)> {
    let mut head = ResponseHead::default();
    let length = head.parse(bytes, HEAD).ok()??;
    bytes.advance(length);
    let mut decoder = BodyDecoder::new(Framing::of_response(&head, false).ok()?);
    let mut body = Vec::new();
    let whole = decoder.decode(bytes, |data| body.extend_from_slice(data)).ok()? || decoder.end();
    let json = head.fields().first("Content-Type").is_some_and(|kind| kind.starts_with(b"application/json"));
    let application = if json { serde_json::from_slice(&body).ok() } else { None };
    whole.then(|| (head.status(), application))
}

#[cfg(test)]
mod tests {
    use stickler_model::Principal;

    use super::*;

    /// Returns the application's page for alice on connection 3 of iis1.
    fn page() -> String {
        let page = AppAnswer {
            server: "iis1".into(),
            connection: 3,
            number: 2,
            user: Some(Principal::new("CORP", "alice")),
            method: "GET".into(),
            path: "/".into(),
            length: 0,
            digest: stickler_model::payload::Digest::EMPTY,
            hop: None,
        };
        serde_json::to_string(&page).unwrap()
    }

    fn told(number: u32) -> What {
        let served = Some(Served { server: "iis1".into(), connection: 3, number: 2 });
        What::RawAnswered { number, status: 200, served, user: Some(Principal::new("CORP", "alice")) }
    }

    fn refused(number: u32, status: u16) -> What {
        What::RawAnswered { number, status, served: None, user: None }
    }

    #[test]
    fn answers_in_a_row_are_told_apart_whatever_ends_them() {
        let page = page();
        let bytes = format!(
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nno\r\n\
             HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{page}\
             HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\n{}\r\n{:x}\r\n{}\r\n0\r\nTrailer: x\r\n\r\n\
             HTTP/1.1 502 Bad Gateway\r\n\r\nto the end",
            page.len(),
            &page[..5],
            page.len() - 5,
            &page[5..],
        );
        let expected = [refused(1, 401), told(2), refused(3, 304), told(4), refused(5, 502)];
        assert_eq!(raw_answers(bytes.as_bytes()), expected);
    }

    #[test]
    fn after_a_101_comes_no_answer() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let bytes = [answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", answer].concat();
        assert_eq!(raw_answers(bytes.as_bytes()), [refused(1, 200), refused(2, 101)]);
    }

    #[test]
    fn what_is_no_whole_answer_is_none() {
        for bytes in [
            "",
            "garbage",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nhalf",
        ] {
            assert_eq!(raw_answers(bytes.as_bytes()), [], "{bytes:?}");
        }
        let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(raw_answers(json.as_bytes()), [refused(1, 200)], "JSON of somebody else");
    }
}
