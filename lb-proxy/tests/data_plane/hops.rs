//! Tests of the rules about connections, hop by hop: `Connection`, upgrades and tunnels.

use stickler_lb_core::{Hops, Upgrades};
use stickler_lb_proxy::HttpProxyConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::peers::{Bed, PATIENCE, Reply, Server, ok, service};

const UPGRADE: &str =
    "GET /hub HTTP/1.1\r\nHost: site\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

async fn with(mechanism: &str, hops: Hops, server: &Server) -> Bed {
    Bed::with_service(HttpProxyConfig { hops, ..service(mechanism, &[server]) }).await
}

/// Returns a backend that agrees to an upgrade, and then sends everything back in upper case.
async fn shouting() -> Server {
    Server::raw(|mut socket| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if socket.read_exact(&mut byte).await.is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        if !(text.contains("upgrade: websocket\r\n") && text.contains("connection: upgrade\r\n")) {
            let _ = socket.write_all(&ok("no upgrade")).await;
            return;
        }
        let _ = socket.write_all(SWITCHING).await;
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            buffer[..count].make_ascii_uppercase();
            let _ = socket.write_all(&buffer[..count]).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_upgrade_that_is_passed_on_carries_what_comes_and_its_connection_serves_nobody_else() {
    let server = shouting().await;
    let bed = with("shared-pool", Hops { upgrades: Upgrades::Passed, ..Hops::default() }, &server).await;
    let mut client = bed.client().await;
    client.send(UPGRADE.as_bytes()).await;
    let (head, _) = client.message(true).await.unwrap();
    let told = head.to_ascii_lowercase();
    assert!(told.starts_with("http/1.1 101") && told.contains("upgrade: websocket"), "{head}");
    for word in ["hello", "again"] {
        client.send(word.as_bytes()).await;
        let mut answer = [0; 5];
        timeout(PATIENCE, client.socket.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, word.to_ascii_uppercase().as_bytes());
    }
    // Another client gets its own connection, both while the upgraded one exists and after it has ended.
    assert_eq!(bed.client().await.get("/").await.1, "no upgrade");
    drop(client);
    server.until_closed(1).await;
    assert_eq!(bed.client().await.get("/").await.1, "no upgrade");
}

#[tokio::test]
async fn the_end_of_an_upgraded_connection_behind_the_balancer_ends_the_clients() {
    let server = Server::start(|_| Reply::Last(SWITCHING.to_vec())).await;
    let bed = with("pin-on-401", Hops { upgrades: Upgrades::Passed, ..Hops::default() }, &server).await;
    let mut client = bed.client().await;
    client.send(UPGRADE.as_bytes()).await;
    assert!(client.message(true).await.unwrap().0.starts_with("HTTP/1.1 101"));
    assert!(client.until_closed().await.is_empty());
}

#[tokio::test]
async fn an_upgrade_is_dropped_by_default_and_one_that_is_not_understood_ends_in_502() {
    let server = shouting().await;
    let dropped = with("shared-pool", Hops::default(), &server).await;
    assert_eq!(dropped.client().await.ask(UPGRADE).await.1, "no upgrade");
    let broken = with("shared-pool", Hops { upgrades: Upgrades::Broken, ..Hops::default() }, &server).await;
    assert!(broken.client().await.ask(UPGRADE).await.0.starts_with("HTTP/1.1 502"));
    // An `Upgrade` field that `Connection` does not name is not a request for an upgrade.
    let passed = with("shared-pool", Hops { upgrades: Upgrades::Passed, ..Hops::default() }, &server).await;
    let unnamed = UPGRADE.replace("keep-alive, Upgrade", "keep-alive");
    assert_eq!(passed.client().await.ask(&unnamed).await.1, "no upgrade");
}

#[tokio::test]
async fn the_clients_connection_field_is_passed_on_where_the_rules_say_so() {
    let server = Server::telling().await;
    for (passes_connection, passed) in [(false, false), (true, true)] {
        let bed = with("shared-pool", Hops { passes_connection, ..Hops::default() }, &server).await;
        bed.client().await.ask("GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n").await;
        let head = server.seen().last().unwrap().head.to_ascii_lowercase();
        assert_eq!(head.contains("connection: close\r\n"), passed, "{head}");
    }
}

#[tokio::test]
async fn a_tunnel_passes_what_comes_after_the_first_request_unread_and_ends_with_either_side() {
    let server = Server::telling().await;
    let bed = with("close-per-request", Hops { tunnels: true, ..Hops::default() }, &server).await;
    let mut client = bed.client().await;
    let first = "GET /one HTTP/1.1\r\nHost: site\r\nConnection: X-Odd\r\nX-Odd: 1\r\n\r\n";
    client.ask(first).await;
    client.ask("BREW /two HTTP/1.1\r\nHost: site\r\nHost: twice\r\n\r\n").await;
    let seen = server.seen();
    assert_eq!(seen.iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(seen[0].head, first, "as it came");
    assert!(seen[1].head.starts_with("BREW /two"), "{}", seen[1].head);
    drop(client);
    server.until_closed(1).await;

    let last = Server::start(|_| Reply::Last(ok("bye"))).await;
    let bed = with("close-per-request", Hops { tunnels: true, ..Hops::default() }, &last).await;
    let mut client = bed.client().await;
    assert_eq!(client.get("/").await.1, "bye");
    assert!(client.until_closed().await.is_empty());
}

#[tokio::test]
async fn a_tunnel_without_a_backend_is_an_error_and_what_is_no_request_is_told_so() {
    let gone = Server::refusing().await;
    let bed = with("close-per-request", Hops { tunnels: true, ..Hops::default() }, &gone).await;
    let (head, _) = bed.client().await.get("/").await;
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    let mut client = bed.client().await;
    client.send(b"what is this\r\n\r\n").await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 400"));
    // This is more than all buffers on the way can hold, so a reset would destroy the answer.
    let mut client = bed.client().await;
    client.send(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(8 << 20)).as_bytes()).await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 431"));
}
