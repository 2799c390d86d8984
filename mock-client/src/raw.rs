//! The HTTP answers in what comes back on a bare connection.

use stickler_model::What;
use stickler_model::action::AppAnswer;
use stickler_model::event::Served;

/// Most header fields of an answer that is read.
const MOST_FIELDS: usize = 64;

/// Returns the events for the HTTP/1.1 answers that these bytes begin with, in order. It ends where the bytes are no longer
/// whole answers: what is not HTTP is nobody's answer.
///
/// An answer without a length lasts until the end of the bytes.
pub fn raw_answers(mut bytes: &[u8]) -> Vec<What> {
    let mut answers = Vec::new();
    while let Some((status, application, rest)) = answer(bytes) {
        bytes = rest;
        if status < 200 {
            continue;
        }
        let (served, user) = application.map_or((None, None), |answer| {
            let AppAnswer { server, connection, number, user, .. } = answer;
            (Some(Served { server, connection, number }), user)
        });
        let number = u32::try_from(answers.len() + 1).unwrap_or(u32::MAX);
        answers.push(What::RawAnswered { number, status, served, user });
    }
    answers
}

/// Reads the first answer: its status, what the application says in it, and the bytes after it.
fn answer(bytes: &[u8]) -> Option<(u16, Option<AppAnswer>, &[u8])> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
    let (status, rest) = (head.code?, bytes.get(length..)?);
    let field = |name: &str| head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    if status < 200 || matches!(status, 204 | 304) {
        return Some((status, None, rest));
    }
    let chunked =
        field("Transfer-Encoding").is_some_and(|field| field.value.to_ascii_lowercase().ends_with(b"chunked"));
    let (body, rest) = if chunked {
        dechunk(rest)?
    } else {
        let length = match field("Content-Length") {
            Some(field) => std::str::from_utf8(field.value).ok()?.trim().parse().ok()?,
            None => rest.len(),
        };
        let (body, rest) = rest.split_at_checked(length)?;
        (body.to_vec(), rest)
    };
    let json = field("Content-Type").is_some_and(|field| field.value.starts_with(b"application/json"));
    let application = if json { serde_json::from_slice(&body).ok() } else { None };
    Some((status, application, rest))
}

/// Reads a body in chunks (RFC 9112 7.1): the body, and the bytes after it.
fn dechunk(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(bytes).ok()? else { return None };
        let size = usize::try_from(size).ok()?;
        bytes = bytes.get(start..)?;
        if size == 0 {
            // The trailer section ends with an empty line.
            loop {
                let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
                bytes = bytes.get(end + 2..)?;
                if end == 0 {
                    return Some((body, bytes));
                }
            }
        }
        let (chunk, rest) = bytes.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use stickler_model::Principal;

    use super::*;

    /// The page of the application on connection 3 of iis1, as alice.
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
