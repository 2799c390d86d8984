//! Tests of what HTTP requires of an intermediary, observed from both sides.

use std::time::Duration;

use stickler_lb_proxy::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::peers::{Bed, PATIENCE, Reply, Server, ok};

const BIG: usize = 10 * 1024 * 1024;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop_in_both_directions() {
    let server = Server::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nConnection: x-backend\r\nX-Backend: 1\r\nKeep-Alive: timeout=9\r\n\
                    Persistent-Auth: true\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
        Reply::Bytes(head.into())
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let (answer, _) = bed
        .client()
        .await
        .ask(
            "GET /a?b=c HTTP/1.1\r\nHost: site.example\r\nConnection: keep-alive, X-Client\r\nX-Client: 1\r\n\
             Proxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\nAuthorization: NTLM TlRM\r\n\r\n",
        )
        .await;
    let asked = server.seen()[0].head.to_ascii_lowercase();
    assert_eq!(asked, "get /a?b=c http/1.1\r\nhost: site.example\r\nauthorization: ntlm tlrm\r\n\r\n");
    let answer = answer.to_ascii_lowercase();
    assert!(!answer.contains("x-backend") && !answer.contains("keep-alive") && !answer.contains("date:"), "{answer}");
    assert!(answer.contains("persistent-auth: true\r\n") && answer.contains("www-authenticate: ntlm\r\n"), "{answer}");
}

#[tokio::test]
async fn head_204_and_304_have_no_body_and_free_the_connection_at_once() {
    let server = Server::start(|seen| {
        let status = seen.head.split(['/', ' ']).nth(2).unwrap().to_owned();
        Reply::Bytes(match status.as_str() {
            "204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            "304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".to_vec(),
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_vec(),
        })
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"HEAD / HTTP/1.1\r\nHost: site\r\n\r\n").await;
    let (head, _) = client.message(true).await.unwrap();
    assert!(head.to_ascii_lowercase().contains("content-length: 1234\r\n"), "{head}");
    for path in ["/204", "/304"] {
        let (head, body) = client.get(path).await;
        assert!(head.contains(&path[1..]) && body.is_empty(), "{head}");
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 1));
}

#[tokio::test]
async fn chunked_bodies_pass_both_ways_even_with_a_get() {
    let server = Server::start(|seen| {
        let body = String::from_utf8(seen.body.clone()).unwrap();
        Reply::Bytes(
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
                .into(),
        )
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    for method in ["POST", "GET"] {
        let (head, body) = client
            .ask(&format!(
                "{method} / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            ))
            .await;
        assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
        assert_eq!(body, "abcde");
    }
    assert_eq!(server.seen()[1].number, 2, "a chunked answer leaves the connection to the pool");
}

#[tokio::test]
async fn a_body_that_ends_with_the_backends_connection_arrives_whole() {
    let server = Server::start(|_| Reply::Last(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec())).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.1, "until the end");
    }
    assert_eq!(server.seen()[1].connection, 2);
}

#[tokio::test]
async fn ten_mebibytes_pass_both_ways_and_the_connection_is_reused() {
    let server = Server::start(|seen| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n").into_bytes();
        assert_eq!(seen.body.len(), if seen.number == 1 { BIG } else { 0 });
        answer.extend(if seen.number == 1 { &seen.body } else { &[][..] });
        Reply::Bytes(if seen.number == 1 { answer } else { ok("2") })
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    let body = pattern(BIG);
    client.send(format!("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: {BIG}\r\n\r\n").as_bytes()).await;
    client.send(&body).await;
    let (_, back) = timeout(PATIENCE, client.message(false)).await.unwrap().unwrap();
    assert!(back == body, "every byte in its place");
    assert_eq!(client.get("/").await.1, "2");
}

#[tokio::test]
async fn a_slow_reader_holds_the_backend_back() {
    let server = Server::start(|_| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 8 * BIG).into_bytes();
        answer.resize(answer.len() + 8 * BIG, b'x');
        Reply::Bytes(answer)
    })
    .await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n").await;
    sleep(Duration::from_millis(300)).await;
    assert!(!bed.decisions().contains(&"pool"), "80 MiB are not held by the balancer");
    let mut total = 0;
    let mut buffer = vec![0; 256 * 1024];
    while total < 8 * BIG {
        let read = timeout(PATIENCE, client.socket.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0);
        total += read;
    }
    while !bed.decisions().contains(&"pool") {
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let server = Server::start(|seen| Reply::Bytes(ok(&seen.body.len().to_string()))).await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(b"POST / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    let (head, _) = client.message(true).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 100 "), "{head}");
    assert_eq!(client.ask("12345").await.1, "5");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_frees_the_connection_only_at_that_end() {
    // This backend answers as soon as it has the head, and never looks at the length.
    let server = Server::start(|seen| Reply::Bytes(ok(&format!("{}.{}", seen.connection, seen.number)))).await;
    let early = early_answerer().await;
    let bed = Bed::start("shared-pool", &[&early]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    alice.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n\r\n12345").await;
    assert_eq!(alice.answer().await.1, "early");
    assert_eq!(bed.decisions(), ["open"], "the request is still on its way");
    bob.get("/").await;
    assert_eq!(bed.decisions(), ["open", "pool"], "so nobody else is sent after it");
    alice.send(b"67890").await;
    assert_eq!(alice.get("/").await.1, "early");
    drop(server);
}

/// Returns a server that answers each head at once, without waiting for the body.
async fn early_answerer() -> Server {
    Server::raw(|mut socket| async move {
        let mut buffer = vec![0; 4096];
        let mut pending: Vec<u8> = Vec::new();
        while let Ok(read @ 1..) = socket.read(&mut buffer).await {
            pending.extend(&buffer[..read]);
            while let Some(at) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
                pending.drain(..at + 4);
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_absolute_target_replaces_host_and_an_old_client_gets_one() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    bed.client().await.ask("GET http://real/x HTTP/1.1\r\nHost: fake\r\n\r\n").await;
    assert!(server.seen()[0].head.starts_with("GET /x HTTP/1.1\r\nhost: real\r\n"));
    let mut old = bed.client().await;
    let (head, _) = old.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    old.until_closed().await;
    let asked = &server.seen()[1].head;
    assert!(asked.starts_with(&format!("GET / HTTP/1.1\r\nhost: {}\r\n", server.address)), "{asked}");
}

#[tokio::test]
async fn requests_that_no_proxy_may_pass_on_are_refused() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "501"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let mut client = bed.client().await;
        let (head, _) = client.ask(request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {head}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut client = bed.client().await;
    client.send(&b"GET / HTTP/1.1\r\nHost: s\r\n\r\n".repeat(3)).await;
    for number in 1..=3 {
        assert_eq!(client.answer().await.1, format!("1.{number}"));
    }
}

#[tokio::test]
async fn a_flood_of_header_fields_or_bytes_is_refused_in_bounded_memory() {
    let server = Server::telling().await;
    let bed = Bed::start("shared-pool", &[&server]).await;
    let mut fields = b"GET / HTTP/1.1\r\nHost: s\r\n".to_vec();
    fields.extend(b"X: 1\r\n".repeat(200));
    fields.extend(b"\r\n");
    let long = [b"GET / HTTP/1.1\r\nHost: s\r\nX: ".to_vec(), vec![b'x'; 70_000], b"\r\n\r\n".to_vec()].concat();
    for flood in [fields, long] {
        let mut client = bed.client().await;
        client.send(&flood).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 431"), "{head}");
        client.until_closed().await;
    }
    let mut endless = bed.client().await;
    endless.send(b"GET / HTTP/1.1\r\n").await;
    let flooding = async { while endless.socket.write_all(&b"X-Line: 1\r\n".repeat(1000)).await.is_ok() {} };
    timeout(PATIENCE, flooding).await.expect("the balancer stops reading and closes");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_but_an_idle_connection_is_not() {
    let server = Server::telling().await;
    let limits = Limits { request_head: Duration::from_millis(60), ..Limits::default() };
    let bed = Bed::with("shared-pool", &[&server], limits).await;
    let mut idle = bed.client().await;
    idle.get("/").await;
    let mut slow = bed.client().await;
    slow.send(b"GET / HTTP/1.1\r\nHo").await;
    slow.until_closed().await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(idle.get("/").await.1, "1.2");
}

#[tokio::test]
async fn too_many_clients_at_a_time_are_turned_away() {
    let server = Server::telling().await;
    let bed = Bed::with("shared-pool", &[&server], Limits { downstreams: 1, ..Limits::default() }).await;
    let mut first = bed.client().await;
    first.get("/").await;
    bed.client().await.until_closed().await;
    assert_eq!(first.get("/").await.1, "1.2");
}
