//! Backends that misbehave. They use bare sockets, since a server library would prevent the misbehaviour.
//!
//! A rogue parses requests as far as it has to in order to misbehave at the right moment: heads up to the empty line,
//! and bodies by their `Content-Length`. It records the requests that it receives, and no answers.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use stickler_model::event::Closed;
use stickler_model::topology::Rogue;
use stickler_model::{Env, REQUEST_ID_HEADER, RequestId, What};
use stickler_net::{Net, Stream, next_connection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::WebSite;
use crate::credentials::Presented;
use crate::secure::secure;

/// Length of a flood of headers in bytes, after which the rest of the head never comes.
const FLOOD: usize = 16 * 1024 * 1024;

/// One line of a flood of headers.
const FLOOD_LINE: &[u8] = b"X-Flood: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n";

/// Misbehaves in the way of `kind` until the task is dropped or the listener has failed for good.
pub(crate) async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, site: Arc<WebSite>, kind: Rogue) {
    while let Some((stream, peer)) = next_connection(&listener).await {
        let number = site.next_connection();
        env.record(What::ServerAccepted { connection: number, peer });
        let (env, site) = (env.clone(), Arc::clone(&site));
        net.spawn(async move {
            match secure(&site, &env, number, stream).await {
                Ok(stream) => {
                    let input = BytesMut::new();
                    Conversation { stream, input, env, site, number, requests: 0 }.run(kind).await;
                }
                Err(how) => env.record(What::ServerClosed { connection: number, how }),
            }
        });
    }
}

/// One connection.
struct Conversation<S> {
    stream: S,
    input: BytesMut,
    env: Env,
    site: Arc<WebSite>,
    number: u32,
    requests: u32,
}

/// The parts of a request's head that a rogue uses.
struct Head {
    /// The request id as received, to be echoed.
    id: Option<HeaderValue>,
    length: u64,
}

impl<S: Stream> Conversation<S> {
    async fn run(mut self, kind: Rogue) {
        let Err(how) = self.misbehave(kind).await;
        let (env, connection) = (self.env.clone(), self.number);
        // The socket closes first.
        drop(self);
        env.record(What::ServerClosed { connection, how });
    }

    /// Answers requests until the connection ends, and returns how it ended.
    async fn misbehave(&mut self, kind: Rogue) -> Result<std::convert::Infallible, Closed> {
        loop {
            let head = self.head(kind != Rogue::Silent).await?;
            let echo = head
                .id
                .as_ref()
                .map_or(Vec::new(), |id| [REQUEST_ID_HEADER.as_bytes(), b": ", id.as_bytes(), b"\r\n"].concat());
            match kind {
                Rogue::Silent => {}
                Rogue::Closes => return Err(Closed::Here),
                Rogue::Garbage => self.write(&[b"\x15\x03\x01\x00\x02\x02\x46 this is not HTTP\r\n\r\n"]).await?,
                Rogue::HalfHead => {
                    self.write(&[b"HTTP/1.1 200 OK\r\n", &echo, b"Content-Type: text/ht"]).await?;
                    return Err(Closed::Here);
                }
                Rogue::HalfBody => {
                    let half = Box::new([b'x'; 500]);
                    self.write(&[b"HTTP/1.1 200 OK\r\n", &echo, b"Content-Length: 1000\r\n\r\n", &*half]).await?;
                    return Err(Closed::Here);
                }
                // The surplus is a response in itself: the next user of the connection takes it for the answer to
                // theirs.
                Rogue::WrongLength => {
                    let surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
                    self.write(&[b"HTTP/1.1 200 OK\r\n", &echo, b"Content-Length: 5\r\n\r\nright", surplus]).await?;
                }
                Rogue::HeaderFlood => {
                    self.write(&[b"HTTP/1.1 200 OK\r\n", &echo]).await?;
                    let lines = FLOOD_LINE.repeat(100);
                    for _ in 0..FLOOD / lines.len() {
                        self.write(&[&lines]).await?;
                    }
                }
            }
            self.skip(head.length).await?;
        }
    }

    /// Reads and records a head. `bounded` says whether the time for it is limited.
    async fn head(&mut self, bounded: bool) -> Result<Head, Closed> {
        let mut searched = 0;
        let end = loop {
            let from = usize::saturating_sub(searched, 3);
            if let Some(at) = self.input[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                break from + at + 4;
            }
            searched = self.input.len();
            if searched > self.site.limits.head_read {
                return Err(Closed::Here);
            }
            self.read(bounded).await?;
        };
        let headers = headers(&self.input[..end]);
        self.input.advance(end);
        self.requests += 1;
        let id = headers.get(REQUEST_ID_HEADER).cloned();
        self.env.record(What::ServerReceived {
            connection: self.number,
            number: self.requests,
            request: id.as_ref().and_then(|id| RequestId::parse(id.as_bytes())),
            leg: Presented::read(&headers).leg(),
        });
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(Head { id, length: length.unwrap_or(0) })
    }

    /// Reads and discards a body of `length` bytes.
    async fn skip(&mut self, length: u64) -> Result<(), Closed> {
        let mut left = length;
        loop {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
            self.input.advance(count);
            left -= count as u64;
            if left == 0 {
                return Ok(());
            }
            self.read(true).await?;
        }
    }

    async fn read(&mut self, bounded: bool) -> Result<(), Closed> {
        let read = self.stream.read_buf(&mut self.input);
        let read =
            if bounded { timeout(self.site.limits.idle, read).await.map_err(|_| Closed::Here)? } else { read.await };
        match read {
            Ok(0) => Err(Closed::ByPeer),
            Ok(_) => Ok(()),
            Err(_) => Err(Closed::Broken),
        }
    }

    async fn write(&mut self, parts: &[&[u8]]) -> Result<(), Closed> {
        let written = self.stream.write_all(&parts.concat()).await;
        // TLS buffers what did not fit into the socket.
        written.and(self.stream.flush().await).map_err(|_| Closed::Broken)
    }
}

/// Parses the header fields of a head, and skips lines that are not fields.
fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
            let _ = headers.try_append(name, value);
        }
    }
    headers
}
