//! Determines the version of HTTP on a connection without TLS: the first bytes of HTTP/2 cannot be the beginning of an
//! HTTP/1.1 request (RFC 9113 3.4).

use std::io::Cursor;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Chain, Join, ReadHalf, Take, WriteHalf, join, split};
use tokio::time::timeout;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes were read before and can be read again.
pub(super) type Again<S> = Join<Chain<Take<Cursor<[u8; PREFACE.len()]>>, ReadHalf<S>>, WriteHalf<S>>;

/// Reads until the version is certain. Returns a stream that can be read from the beginning, and whether it is HTTP/2.
/// Returns `None` if the stream ended, or if a time limit passed: `idle` for the first byte, or `rest` for the
/// following ones.
pub(super) async fn preface<S>(mut stream: S, idle: Option<Duration>, rest: Duration) -> Option<(Again<S>, bool)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut start = [0; PREFACE.len()];
    let first = stream.read(&mut start);
    let mut length = match idle {
        Some(idle) => timeout(idle, first).await.ok()?,
        None => first.await,
    }
    .ok()?;
    let more = async {
        while length > 0 && length < PREFACE.len() && start[..length] == PREFACE[..length] {
            match stream.read(&mut start[length..]).await.ok()? {
                0 => return None,
                read => length += read,
            }
        }
        (length > 0).then_some(())
    };
    timeout(rest, more).await.ok()??;
    let is_http2 = start == *PREFACE;
    let (rest, writer) = split(stream);
    Some((join(Cursor::new(start).take(length as u64).chain(rest), writer), is_http2))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the result for these parts, sent one by one, and what can be read afterwards.
    async fn told(parts: &[&[u8]]) -> Option<(bool, Vec<u8>)> {
        let (mut near, far) = tokio::io::duplex(64);
        let send = async {
            for part in parts {
                near.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(near);
        };
        let read = async {
            let (mut stream, is_http2) = preface(far, None, SECOND).await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            Some((is_http2, all))
        };
        tokio::join!(send, read).1
    }

    #[tokio::test]
    async fn the_preface_is_known_in_any_parts_and_read_again() {
        assert_eq!(told(&[PREFACE]).await, Some((true, PREFACE.to_vec())));
        let bytes: Vec<&[u8]> = PREFACE.chunks(1).collect();
        assert_eq!(told(&bytes).await, Some((true, PREFACE.to_vec())));
        assert_eq!(told(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\nx"]).await.unwrap().1.last(), Some(&b'x'));
    }

    #[tokio::test]
    async fn anything_else_is_told_at_the_first_byte_that_differs() {
        assert_eq!(told(&[b"G"]).await, Some((false, b"G".to_vec())));
        assert_eq!(told(&[b"PRI * HTTP/1.1\r\n"]).await, Some((false, b"PRI * HTTP/1.1\r\n".to_vec())));
        assert_eq!(told(&[b"PRI", b""]).await, None, "it ends before anybody can tell");
        assert_eq!(told(&[]).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_preface_that_does_not_end_has_its_time() {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(b"PRI").await.unwrap();
        assert!(preface(far, None, SECOND).await.is_none());
        let (_near, far) = tokio::io::duplex(64);
        assert!(preface(far, Some(SECOND), SECOND).await.is_none());
    }
}
