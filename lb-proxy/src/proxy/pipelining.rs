//! The defect in which pipelined requests overtake one another
//! ([`Pipelining::Overtakes`](stickler_lb_core::Pipelining)).
//!
//! RFC 9112 9.3.2 lets a client send requests before it has their answers. A balancer that forwards each request at
//! once cannot send the second on the pinned connection, which is busy with the first. It therefore takes another
//! connection, on which either nobody or another client has authenticated. Only the order of the answers is correct.
//!
//! ```text
//! client ══ reader ── request by request ──▶ lanes: one exchange each, by the sound plane's `forward`
//!              writer ◀── answers in order ──┘       the first on the connection's own number, and so on its pin;
//!                                                    those that come while it is busy on a fresh one each
//! ```
//!
//! Bodies of requests need a `Content-Length`; a chunked one closes the connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stickler_lb_core::Protocol;
use stickler_net::Net;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::activity::HeadWatch;
use super::arrival::{Arrival, Registered};
use super::config::Limits;
use super::forward::forward;
use super::peer::Peer;

/// The maximum number of requests under way on one downstream connection. The next one is read when one of them is
/// answered.
const LANES: usize = 16;
/// The number of bytes in flight in a lane, in each direction.
const BUFFER: usize = 64 * 1024;
/// The maximum size of the head of an answer, in bytes: twice the longest head that a backend can send, with the
/// balancer's fields added.
const ANSWER_HEAD: usize = 128 * 1024;
/// The maximum number of field lines in a request.
const FIELDS: usize = 100;

/// Serves one client's connection until either side ends it.
pub(super) async fn serve<N: Net, S: AsyncRead + AsyncWrite>(arrival: Arrival<N>, stream: S) {
    let Arrival { registered, client, front, close } = arrival;
    let (read, write) = split(stream);
    let (lanes, answers) = mpsc::channel(LANES);
    let reader =
        Reader { own: Arc::new(registered), busy: Arc::default(), client, front, read, buffer: BytesMut::new(), lanes };
    let reading = async move {
        tokio::select! {
            biased;
            // The coupled close: requests under way are answered first.
            _ = close => {}
            _ = reader.run() => {}
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        // This future ends when the reader has ended and all requests are answered.
        () = pass_answers(write, answers) => {}
        () = reading => {}
    }
}

/// One exchange under way, as the source of an answer.
struct Lane {
    answer: ReadHalf<DuplexStream>,
    /// Receives whether the answer is complete.
    whole: oneshot::Receiver<bool>,
    /// Whether the client has announced that no request follows this one.
    last: bool,
}

struct Reader<N: Net, R> {
    /// The connection's own registration, and with it its pin, which ends after the last exchange on it.
    own: Arc<Registered<N>>,
    busy: Arc<AtomicBool>,
    client: SocketAddr,
    front: Option<SocketAddr>,
    read: R,
    buffer: BytesMut,
    lanes: mpsc::Sender<Lane>,
}

impl<N: Net, R: AsyncRead + Unpin> Reader<N, R> {
    /// Reads requests until there are no more, or until something else arrives.
    async fn run(mut self) -> Option<()> {
        let limits = self.own.proxy().shell.limits;
        loop {
            let end = self.head(&limits).await?;
            let head = self.buffer.split_to(end);
            let request = Request::parse(&head)?;
            let (lane, mut sent) = self.lane(request.last)?;
            self.lanes.send(lane).await.ok()?;
            // The lane's own connection closes after the answer, and its end marks the end of the answer.
            sent.write_all(&head[..head.len() - 2]).await.ok()?;
            sent.write_all(b"Connection: close\r\n\r\n").await.ok()?;
            self.body(request.length, &mut sent, limits.answer).await?;
            if request.last {
                return None;
            }
        }
    }

    /// Starts the exchange of a request, which the caller then writes to the second part of the result.
    fn lane(&self, last: bool) -> Option<(Lane, WriteHalf<DuplexStream>)> {
        let proxy = Arc::clone(self.own.proxy());
        let (ours, theirs) = duplex(BUFFER);
        let (answer, sent) = split(ours);
        let (tell, whole) = oneshot::channel();
        let pinned = !self.busy.swap(true, Ordering::Relaxed);
        // The defect: a request that arrives too early belongs to no known connection. The new connection needs no
        // close signal, because it has only one request.
        let registered =
            if pinned { Arc::clone(&self.own) } else { Arc::new(Registered::new(&proxy, proxy.shell.connected()?.0)) };
        let head = Arc::<HeadWatch>::default();
        let protocol = Protocol::Http1;
        let (client, front, upgraded) = (self.client, self.front, Arc::default());
        let peer = Peer { id: registered.id(), client, front, protocol, head, upgraded };
        let busy = Arc::clone(&self.busy);
        let owner = Arc::clone(&proxy);
        proxy.net.spawn(async move {
            let service = service_fn(|request| forward(Arc::clone(&owner), peer.clone(), peer.head.begin(), request));
            let served = owner.server.serve_connection(TokioIo::new(theirs), service).await;
            if pinned {
                busy.store(false, Ordering::Relaxed);
            }
            drop(registered);
            // The send fails if the client is gone already.
            let _ = tell.send(served.is_ok());
        });
        Some((Lane { answer, whole, last }, sent))
    }

    /// Returns the position in the buffer at which the head of the next request ends.
    async fn head(&mut self, limits: &Limits) -> Option<usize> {
        if self.buffer.is_empty() {
            let first = self.read.read_buf(&mut self.buffer);
            let read = match limits.idle {
                Some(idle) => timeout(idle, first).await.ok()?,
                None => first.await,
            };
            read.ok().filter(|&read| read > 0)?;
        }
        timeout(limits.request_head, head_end(&mut self.read, &mut self.buffer, limits.head_bytes)).await.ok()?
    }

    /// Passes on this number of bytes of a body.
    async fn body(&mut self, length: u64, to: &mut (impl AsyncWrite + Unpin), limit: Duration) -> Option<()> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() {
                let read = timeout(limit, self.read.read_buf(&mut self.buffer)).await.ok()?;
                read.ok().filter(|&read| read > 0)?;
            }
            let part = self.buffer.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len()));
            left -= part.len() as u64;
            // The write fails if the lane has answered early and has ended.
            let _ = to.write_all(&part).await;
        }
        Some(())
    }
}

/// Writes the answers in the order of their requests.
async fn pass_answers(mut write: impl AsyncWrite + Unpin, mut lanes: mpsc::Receiver<Lane>) {
    while let Some(lane) = lanes.recv().await {
        let last = lane.last;
        if pass(&mut write, lane).await.is_none() || last {
            break;
        }
    }
    let _ = write.shutdown().await;
}

/// Writes one answer. Returns `None` if the answer is incomplete, or if nobody reads it.
async fn pass(write: &mut (impl AsyncWrite + Unpin), mut lane: Lane) -> Option<()> {
    let mut buffer = BytesMut::new();
    loop {
        let end = head_end(&mut lane.answer, &mut buffer, ANSWER_HEAD).await?;
        let head = buffer.split_to(end);
        // This line ends the lane, but not the client's connection.
        let ends_lane = |line: &&[u8]| line.eq_ignore_ascii_case(b"connection: close\r\n");
        for line in head.split_inclusive(|&byte| byte == b'\n').filter(|line| lane.last || !ends_lane(line)) {
            write.write_all(line).await.ok()?;
        }
        // An interim answer (100) is followed by another head.
        if !head.starts_with(b"HTTP/1.1 1") {
            break;
        }
    }
    write.write_all(&buffer).await.ok()?;
    tokio::io::copy(&mut lane.answer, write).await.ok()?;
    lane.whole.await.ok()?.then_some(())
}

/// Reads until the buffer contains a complete head. Returns `None` at the end of the stream, or if the head is longer
/// than `most`.
pub(super) async fn head_end(read: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, most: usize) -> Option<usize> {
    let mut seen = 0;
    loop {
        // The end of the head may be divided between two reads.
        let from = usize::saturating_sub(seen, 3);
        if let Some(at) = buffer[from..].windows(4).position(|window| window == b"\r\n\r\n") {
            return Some(from + at + 4).filter(|&end| end <= most);
        }
        seen = buffer.len();
        if seen >= most || read.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The properties of a request that separate it from the next.
struct Request {
    length: u64,
    last: bool,
}

impl Request {
    /// Parses a head. Returns `None` if the bytes are not a head, or if the body is not framed by one length (RFC 9112
    /// 6.3).
    fn parse(head: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let version = request.parse(head).ok().filter(httparse::Status::is_complete).and(request.version)?;
        let mut lengths = values(&request, "content-length");
        let length = match (lengths.next(), lengths.next()) {
            (None, _) => 0,
            (Some(digits), None) if digits.iter().all(u8::is_ascii_digit) => {
                std::str::from_utf8(digits).ok()?.parse().ok()?
            }
            _ => return None,
        };
        if values(&request, "transfer-encoding").next().is_some() {
            return None;
        }
        let close =
            |value: &[u8]| value.split(|&byte| byte == b',').any(|o| o.trim_ascii().eq_ignore_ascii_case(b"close"));
        let last = version == 0 || values(&request, "connection").any(close);
        Some(Self { length, last })
    }
}

fn values<'a>(request: &'a httparse::Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}
