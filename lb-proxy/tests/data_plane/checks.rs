//! Tests of single checks against raw peers.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::health::{Expect, Probe, Statuses};
use stickler_lb_core::{Backend, Text};
use stickler_lb_proxy::BoxFuture;
use stickler_lb_proxy::health::{self, LogonAgent, LogonResult};
use stickler_net::TokioNet;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::peers::{PATIENCE, Reply, Server, challenge, farm, ok};

async fn passes(probe: Probe, server: &Server) -> bool {
    let backend: Backend = farm(&[server]).backends.remove(0);
    let prober = health::probe(TokioNet, None, probe, None);
    timeout(PATIENCE, prober.probe(0, &backend)).await.unwrap()
}

const fn http(expect: Expect) -> Probe {
    Probe::Http { uri: Text::Borrowed("/check?x=1"), expect }
}

#[tokio::test]
async fn a_check_of_the_port_connects_and_closes() {
    let server = Server::telling().await;
    assert!(passes(Probe::Tcp, &server).await);
    server.until_closed(1).await;
    assert!(server.seen().is_empty());
    assert!(!passes(Probe::Tcp, &Server::refusing().await).await);
}

#[tokio::test]
async fn an_http_check_is_one_anonymous_request_without_an_id_on_a_connection_of_its_own() {
    let server = Server::telling().await;
    assert!(passes(http(Expect::ALIVE), &server).await);
    server.until_closed(1).await;
    let head = server.seen()[0].head.to_ascii_lowercase();
    assert_eq!(head, format!("get /check?x=1 http/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address));
    assert!(passes(http(Expect::ALIVE), &server).await);
    assert_eq!(server.seen()[1].connection, 2);
}

#[tokio::test]
async fn a_401_is_alive_unless_success_is_asked_for() {
    let server = Server::start(|_| Reply::Bytes(challenge("NTLM"))).await;
    for (expect, alive) in [
        (Expect::ALIVE, true),
        (Expect::SUCCESS, false),
        (Expect::status(StatusCode::UNAUTHORIZED), true),
        (Expect::status(StatusCode::OK), false),
    ] {
        assert_eq!(passes(http(expect.clone()), &server).await, alive, "{expect:?}");
    }
    let broken = Server::start(|_| Reply::Bytes(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n".to_vec())).await;
    assert!(!passes(http(Expect::ALIVE), &broken).await);
}

#[tokio::test]
async fn a_check_takes_the_statuses_that_it_lists_and_looks_for_a_string_in_the_body() {
    let expect = |statuses: &[(u16, u16)], find: &'static str| {
        let statuses = statuses.iter().map(|&(first, last)| Statuses { first, last }).collect();
        http(Expect { statuses, find: find.into() })
    };
    let server = Server::start(|_| Reply::Bytes(ok("everything is fine"))).await;
    assert!(passes(expect(&[(500, 599), (200, 200)], ""), &server).await);
    assert!(!passes(expect(&[(201, 399), (401, 401)], ""), &server).await);
    assert!(passes(expect(&[(200, 399)], "is fine"), &server).await);
    assert!(!passes(expect(&[(200, 399)], "is good"), &server).await);
    let late = Server::start(|_| Reply::Bytes(ok(&format!("{}fine", "x".repeat(64 * 1024))))).await;
    assert!(!passes(expect(&[(200, 399)], "fine"), &late).await, "beyond 64 KiB nobody looks");
    let head_alone = Server::start(|_| Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec())).await;
    assert!(!passes(expect(&[(200, 399)], "fine"), &head_alone).await);
    assert!(passes(expect(&[(200, 399)], ""), &head_alone).await);
}

#[tokio::test]
async fn the_head_is_enough_and_what_is_no_head_fails() {
    let endless = Server::raw(|mut socket| async move {
        let mut buffer = [0; 1024];
        let _ = socket.read(&mut buffer).await;
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while socket.write_all(&[b'x'; 1024]).await.is_ok() {}
    })
    .await;
    assert!(passes(http(Expect::ALIVE), &endless).await);
    endless.until_closed(1).await;
    let flood = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Line: 1\r\n".repeat(20_000)].concat();
    for bytes in [b"garbage\r\n\r\n".to_vec(), b"HTTP/1.1 200 OK\r\nHalf".to_vec(), Vec::new(), flood] {
        let server = Server::start(move |_| Reply::Last(bytes.clone())).await;
        assert!(!passes(http(Expect::ALIVE), &server).await);
    }
    assert!(!passes(http(Expect::ALIVE), &Server::refusing().await).await);
}

#[tokio::test]
async fn a_check_that_is_given_up_closes_its_connection() {
    let server = Server::start(|_| Reply::Silence).await;
    let backend: Backend = farm(&[&server]).backends.remove(0);
    let prober = health::probe(TokioNet, None, http(Expect::ALIVE), None);
    assert!(timeout(Duration::from_millis(50), prober.probe(0, &backend)).await.is_err());
    server.until_closed(1).await;
}

struct Agent {
    result: LogonResult,
    asked: Mutex<Vec<(String, String)>>,
}

impl LogonAgent for Agent {
    fn log_on<'a>(&'a self, backend: &'a Backend, uri: &'a str) -> BoxFuture<'a, LogonResult> {
        self.asked.lock().unwrap().push((backend.name.to_string(), uri.to_owned()));
        Box::pin(async { self.result.clone() })
    }
}

#[tokio::test]
async fn a_logon_check_asks_its_agent_and_judges_what_comes_of_it() {
    let answered = |status: u16, logged_on, body: &'static str| LogonResult::Answered {
        status: StatusCode::from_u16(status).unwrap(),
        logged_on,
        body: body.into(),
    };
    let backend: Backend = farm(&[&Server::start(|_| Reply::Bytes(ok(""))).await]).backends.remove(0);
    for (result, strict, lenient) in [
        (answered(200, true, "<h1>Welcome</h1>"), true, true),
        (answered(200, true, "<h1>Error</h1>"), false, false),
        (answered(200, false, "<h1>Welcome</h1>"), false, false), // anonymous access shows nothing
        (answered(401, false, ""), false, false),
        (answered(401, true, ""), false, true), // 401.3
        (answered(403, true, ""), false, true),
        (answered(500, true, "Welcome"), false, false),
        (LogonResult::Unanswered, false, false),
    ] {
        for (forbidden_is_up, up) in [(false, strict), (true, lenient)] {
            let agent = Arc::new(Agent { result: result.clone(), asked: Mutex::default() });
            let own: Arc<dyn LogonAgent> = Arc::<Agent>::clone(&agent);
            let probe = Probe::Logon { uri: "/in".into(), find: "Welcome".into(), forbidden_is_up };
            let prober = health::probe(TokioNet, None, probe, Some(own));
            assert_eq!(prober.probe(0, &backend).await, up, "{result:?} {forbidden_is_up}");
            assert_eq!(*agent.asked.lock().unwrap(), [("iis1".to_owned(), "/in".to_owned())]);
        }
    }
    let alone =
        health::probe(TokioNet, None, Probe::Logon { uri: "/".into(), find: "".into(), forbidden_is_up: true }, None);
    assert!(!alone.probe(0, &backend).await, "nobody can log on without an agent");
}
