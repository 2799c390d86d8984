//! Clients that send requests, and check the answers.

use std::net::SocketAddr;

use bytes::{Buf as _, BytesMut};
use stickler_net::{Net, TokioNet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::background::runtime;
use super::origin::PAGE;

const REQUEST: &[u8] = b"GET /reports/q3 HTTP/1.1\r\nHost: www.corp.example\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chromium\r\nAccept: */*\r\n\r\n";

/// The maximum number of field lines in an answer; none of the balancers comes close to it.
const FIELDS: usize = 32;

type Stream = <TokioNet as Net>::Stream;

/// The connections over which requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Each client has one persistent connection.
    Kept,
    /// Each request has a new connection.
    Fresh,
}

/// The clients of a front end, which all work at the same time on this thread. Each sends its next request when it has
/// its answer.
#[derive(Debug)]
pub struct Load {
    target: SocketAddr,
    connections: Connections,
    each: usize,
    /// The persistent connection of each client, if it has one.
    clients: Vec<Option<Stream>>,
    runtime: Runtime,
}

impl Load {
    /// Returns this number of clients, each with this number of requests in a round.
    pub fn new(target: SocketAddr, connections: Connections, clients: usize, each: usize) -> Self {
        let clients = (0..clients).map(|_| None).collect();
        Self { target, connections, each, clients, runtime: runtime() }
    }

    /// Sends all requests of one round, and returns their number.
    ///
    /// # Panics
    /// A request is not answered with the whole page and 200, so the figure would mean nothing.
    pub fn round(&mut self) -> usize {
        let (target, connections, each) = (self.target, self.connections, self.each);
        let clients = &mut self.clients;
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            let count = clients.len();
            for stream in clients.drain(..) {
                tasks.spawn(client(target, connections, each, stream));
            }
            *clients = tasks.join_all().await;
            count * each
        })
    }
}

async fn client(target: SocketAddr, connections: Connections, each: usize, kept: Option<Stream>) -> Option<Stream> {
    let mut input = BytesMut::with_capacity(4096);
    let mut kept = kept;
    for _ in 0..each {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => TokioNet.connect(target).await.expect("the balancer listens"),
        };
        stream.write_all(REQUEST).await.expect("the balancer takes requests");
        answer(&mut stream, &mut input).await;
        kept = (connections == Connections::Kept).then_some(stream);
    }
    kept
}

/// Reads one whole answer.
async fn answer(stream: &mut Stream, input: &mut BytesMut) {
    input.clear();
    let mut whole = None;
    while whole.is_none_or(|length| input.len() < length) {
        let read = stream.read_buf(input).await.expect("the balancer answers");
        assert_ne!(read, 0, "the balancer closed before the whole answer");
        whole = whole.or_else(|| length(input));
    }
    let rest = input.len() - whole.unwrap_or_default();
    input.advance(input.len() - rest);
    assert_eq!(rest, 0, "more came than was asked for");
}

/// Returns the length of the answer that begins here, once its head is complete.
fn length(input: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(input).expect("the balancer speaks HTTP") else { return None };
    let announced = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let announced = announced.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
    assert_eq!((head.code, announced), (Some(200), Some(PAGE)), "the page, and nothing else");
    Some(length + PAGE)
}

#[cfg(test)]
mod tests {
    use stickler_catalogue::find;

    use super::super::{Origin, Own};
    use super::*;

    #[test]
    fn each_request_of_a_round_is_answered_through_each_kind_of_balancer() {
        let origin = Origin::start(2);
        for name in ["pin-on-401", "shared-pool", "l4-splice"] {
            let own = Own::start(&find(name).unwrap(), origin.addresses());
            for connections in [Connections::Kept, Connections::Fresh] {
                let mut load = Load::new(own.front(), connections, 3, 4);
                assert_eq!((load.round(), load.round()), (12, 12), "{name} {connections:?}");
                let kept = load.clients.iter().flatten().count();
                assert_eq!(kept, if connections == Connections::Kept { 3 } else { 0 });
            }
        }
    }

    #[test]
    fn an_answer_is_as_long_as_its_head_says_once_that_is_whole() {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {PAGE}\r\n\r\n");
        assert_eq!(length(head.as_bytes()), Some(head.len() + PAGE));
        assert_eq!(length(&head.as_bytes()[..head.len() - 1]), None);
    }

    #[test]
    #[should_panic(expected = "the page, and nothing else")]
    fn an_error_page_is_not_counted() {
        length(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 512\r\n\r\n");
    }
}
