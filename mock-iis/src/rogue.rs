//! Backends that misbehave. They use bare sockets, since a server library would prevent the misbehaviour.
//!
//! A rogue reads requests to their end, so that it misbehaves at the right moment. Bytes that are not a request close
//! its connection. It records the requests that it receives, but no answers.

use std::sync::Arc;

use stickler_http1::{BodyDecoder, Framing, HeadLimits, Lookup as _, RequestHead, Wire};
use stickler_model::event::Closed;
use stickler_model::topology::Rogue;
use stickler_model::{Env, REQUEST_ID_HEADER, RequestId, What};
use stickler_net::{Net, Stream, next_connection};
use tokio::time::timeout;

use crate::WebSite;
use crate::body::how;
use crate::credentials::Presented;
use crate::secure::secure;

/// The length of a flood of headers, in bytes. The rest of the head never follows.
const FLOOD: usize = 16 * 1024 * 1024;

/// The maximum number of header fields in a request.
const MAX_FIELDS: usize = 4_096;

/// One line of a flood of headers.
const FLOOD_LINE: &[u8] = b"X-Flood: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n";

/// Misbehaves in the way of `kind` until the task is dropped or the listener has failed permanently.
pub(crate) async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, site: Arc<WebSite>, kind: Rogue) {
    while let Some((stream, peer)) = next_connection(&listener).await {
        let number = site.next_connection();
        env.record(What::ServerAccepted { connection: number, peer });
        let (env, site) = (env.clone(), Arc::clone(&site));
        net.spawn(async move {
            match secure(&site, &env, number, stream).await {
                Ok(stream) => {
                    let wire = Wire::new(stream);
                    Conversation { wire, env, site, number, requests: 0 }.run(kind).await;
                }
                Err(how) => env.record(What::ServerClosed { connection: number, how }),
            }
        });
    }
}

/// One connection.
struct Conversation<S> {
    wire: Wire<S>,
    env: Env,
    site: Arc<WebSite>,
    number: u32,
    requests: u32,
}

impl<S: Stream> Conversation<S> {
    async fn run(mut self, kind: Rogue) {
        let Err(how) = self.misbehave(kind).await;
        let (env, connection) = (self.env.clone(), self.number);
        // The socket closes before the event is recorded.
        drop(self);
        env.record(What::ServerClosed { connection, how });
    }

    /// Answers requests until the connection ends, and returns the way in which it ended.
    async fn misbehave(&mut self, kind: Rogue) -> Result<std::convert::Infallible, Closed> {
        let mut head = RequestHead::default();
        loop {
            self.head(&mut head, kind != Rogue::Silent).await?;
            let id = head.fields().first(REQUEST_ID_HEADER);
            let echo = id.map_or(Vec::new(), |id| [b"X-Stickler-Request: ", id, b"\r\n"].concat());
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
                // The surplus is a complete response. The next user of the connection mistakes it for the answer to
                // their request.
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
            self.skip(&head).await?;
        }
    }

    /// Reads and records a head. `bounded` says whether the time for reading it is limited.
    async fn head(&mut self, head: &mut RequestHead, bounded: bool) -> Result<(), Closed> {
        let limits = &self.site.limits;
        let read = self.wire.request(head, HeadLimits { length: limits.head_read, fields: MAX_FIELDS });
        let read = if bounded { timeout(limits.idle, read).await.map_err(|_| Closed::Here)? } else { read.await };
        if !read.map_err(|error| how(&error))? {
            return Err(Closed::ByPeer);
        }
        self.requests += 1;
        self.env.record(What::ServerReceived {
            connection: self.number,
            number: self.requests,
            request: head.fields().first(REQUEST_ID_HEADER).and_then(RequestId::parse),
            leg: Presented::read(head.fields(), self.site.head.field).leg(),
        });
        Ok(())
    }

    /// Reads and discards the body of a request.
    async fn skip(&mut self, head: &RequestHead) -> Result<(), Closed> {
        let mut decoder = BodyDecoder::new(Framing::of_request(head).map_err(|_| Closed::Here)?);
        while !decoder.is_complete() {
            let read = timeout(self.site.limits.idle, self.wire.body(&mut decoder, |_| ())).await;
            read.map_err(|_| Closed::Here)?.map_err(|error| how(&error))?;
        }
        Ok(())
    }

    async fn write(&mut self, parts: &[&[u8]]) -> Result<(), Closed> {
        for part in parts {
            self.wire.output().extend_from_slice(part);
        }
        self.wire.flush().await.map_err(|_| Closed::Broken)
    }
}
