//! Tests of backends that misbehave, each in its own way.

use stickler_model::event::Closed;
use stickler_model::topology::{Acceptor, Rogue};
use stickler_model::{Leg, RequestId, What};

use crate::bench::{Bench, Http, domain};

const REQUEST: &str = "POST / HTTP/1.1\r\nHost: x\r\nX-Stickler-Request: r3\r\nContent-Length: 4\r\n\r\nbody";

async fn bench(kind: Rogue) -> (Bench, Http) {
    let bench = Bench::with(domain(None), |site| site.with_acceptor(Acceptor::Rogue(kind))).await;
    let http = bench.connect().await;
    (bench, http)
}

/// Returns the answers to two requests on one connection, and whether the connection ended.
async fn misbehaviour(kind: Rogue) -> (String, bool) {
    let (_bench, mut http) = bench(kind).await;
    http.write([REQUEST, REQUEST].concat()).await;
    let (bytes, ended) = http.rest().await;
    (String::from_utf8_lossy(&bytes).into_owned(), ended)
}

#[tokio::test]
async fn garbage_is_no_http_and_the_connection_stays() {
    let (text, ended) = misbehaviour(Rogue::Garbage).await;
    assert_eq!((text.matches("this is not HTTP").count(), ended), (2, false));
    assert!(!text.contains("HTTP/1.1"));
}

#[tokio::test]
async fn half_a_head_and_half_a_body_end_the_connection() {
    let (text, ended) = misbehaviour(Rogue::HalfHead).await;
    assert_eq!((text.as_str(), ended), ("HTTP/1.1 200 OK\r\nX-Stickler-Request: r3\r\nContent-Type: text/ht", true));
    let (text, ended) = misbehaviour(Rogue::HalfBody).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with("Content-Length: 1000"));
    assert_eq!((body.len(), ended), (500, true));
}

#[tokio::test]
async fn a_wrong_length_leaves_a_whole_answer_too_much_on_an_open_connection() {
    let (text, ended) = misbehaviour(Rogue::WrongLength).await;
    let once = "HTTP/1.1 200 OK\r\nX-Stickler-Request: r3\r\nContent-Length: 5\r\n\r\nright\
                HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
    assert_eq!((text, ended), (once.repeat(2), false));
}

#[tokio::test]
async fn a_header_flood_has_no_end_and_is_bounded_all_the_same() {
    let (_bench, mut http) = bench(Rogue::HeaderFlood).await;
    http.write(REQUEST).await;
    let (bytes, ended) = http.rest().await;
    assert!((15_000_000..17_000_000).contains(&bytes.len()), "{}", bytes.len());
    assert!(!ended && !bytes.windows(4).any(|four| four == b"\r\n\r\n"));
}

#[tokio::test]
async fn a_silent_one_reads_and_says_nothing_and_another_closes_at_once() {
    assert_eq!(misbehaviour(Rogue::Silent).await, (String::new(), false));
    assert_eq!(misbehaviour(Rogue::Closes).await, (String::new(), true));
}

#[tokio::test]
async fn it_notes_what_it_received_and_how_the_connection_ended() {
    let (bench, mut http) = bench(Rogue::Garbage).await;
    http.write(REQUEST).await;
    http.write("GET / HTTP/1.1\r\nAuthorization: NTLM TlRMTVNTUAABAAAA\r\n\r\n").await;
    http.rest().await;
    drop(http);
    let mut closing = bench.connect().await;
    closing.write("x".repeat(70_000)).await;
    assert!(closing.is_closed().await, "a head without end");
    let noted = bench.take(|what| match what {
        What::ServerReceived { connection, number, request, leg } => {
            Some(format!("{connection}.{number} {:?} {leg:?}", request == Some(RequestId(3))))
        }
        What::ServerClosed { connection, how } => Some(format!("{connection} {how:?}")),
        What::ServerAnswered { .. } => panic!("a rogue answers nothing"),
        _ => None,
    });
    let legs = [Leg::Anonymous, Leg::Negotiate];
    assert_eq!(noted[..2], [format!("1.1 true {:?}", legs[0]), format!("1.2 false {:?}", legs[1])]);
    assert!(noted.contains(&format!("1 {:?}", Closed::ByPeer)), "{noted:?}");
    assert!(noted.contains(&format!("2 {:?}", Closed::Here)), "{noted:?}");
}
