//! Tests of the byte data plane.

use std::time::Duration;

use stickler_lb_core::{FlowIdle, FlowIdleEnd};
use stickler_lb_proxy::{FlowLimits, SpliceConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::peers::{Bed, PATIENCE, Server, flows};

/// Returns a server that reads to the end, answers with what it has read, and closes.
async fn after_the_end() -> Server {
    Server::raw(|mut socket| async move {
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all).await;
        let _ = socket.write_all(&all).await;
    })
    .await
}

#[tokio::test]
async fn connections_take_the_backends_in_turn_and_stay_there() {
    let (first, second) = (Server::telling().await, Server::telling().await);
    let bed = Bed::start("l4-nat", &[&first, &second]).await;
    let (mut alice, mut bob) = (bed.client().await, bed.client().await);
    for number in 1..4 {
        assert_eq!(alice.get("/").await.1, format!("1.{number}"));
        assert_eq!(bob.get("/").await.1, format!("1.{number}"));
    }
    assert_eq!((first.seen().len(), second.seen().len()), (3, 3));
    assert_eq!(first.seen()[0].head, "GET / HTTP/1.1\r\nHost: site\r\n\r\n", "bytes pass untouched");
}

#[tokio::test]
async fn a_half_close_passes_through_and_ten_mebibytes_come_back() {
    let server = after_the_end().await;
    let bed = Bed::start("l4-nat", &[&server]).await;
    let mut client = bed.client().await;
    let sent: Vec<u8> = (0..10 * 1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    client.send(&sent).await;
    client.socket.shutdown().await.unwrap();
    assert!(client.until_closed().await == sent, "every byte in its place");
}

#[tokio::test]
async fn a_backends_half_close_leaves_the_other_direction_open() {
    let server = Server::raw(|mut socket| async move {
        let _ = socket.write_all(b"hello").await;
        let _ = socket.shutdown().await;
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        assert_eq!(rest, b"still here");
    })
    .await;
    let bed = Bed::start("l4-nat", &[&server]).await;
    let mut client = bed.client().await;
    assert_eq!(client.until_closed().await, b"hello");
    client.send(b"still here").await;
    client.socket.shutdown().await.unwrap();
    server.until_closed(1).await;
}

/// Returns a splice that tolerates 200 ms of quiet on a half-closed flow.
async fn impatient(server: &Server) -> Bed {
    let limits = FlowLimits { half_closed: Duration::from_millis(200), ..FlowLimits::default() };
    Bed::with_flows(SpliceConfig { limits, ..flows("l4-nat", &[server]) }).await
}

#[tokio::test]
async fn a_flow_whose_other_end_never_ends_is_closed() {
    let server = Server::raw(|socket| async move {
        sleep(PATIENCE * 2).await;
        drop(socket);
    })
    .await;
    let bed = impatient(&server).await;
    let mut client = bed.client().await;
    client.socket.shutdown().await.unwrap();
    timeout(PATIENCE, client.until_closed()).await.expect("the backend says nothing, and does not end");
}

#[tokio::test]
async fn a_half_closed_flow_lasts_for_as_long_as_bytes_come() {
    let server = Server::raw(|mut socket| async move {
        for _ in 0..10 {
            sleep(Duration::from_millis(50)).await;
            let _ = socket.write_all(b"x").await;
        }
    })
    .await;
    let bed = impatient(&server).await;
    let mut client = bed.client().await;
    client.socket.shutdown().await.unwrap();
    assert_eq!(client.until_closed().await, b"xxxxxxxxxx");
}

/// Returns a splice that gives up a flow after 200 ms without a byte.
async fn forgetful(server: &Server, then: FlowIdleEnd) -> Bed {
    let idle = Some(FlowIdle { after: Duration::from_millis(200), then });
    let limits = FlowLimits { idle, ..FlowLimits::default() };
    Bed::with_flows(SpliceConfig { limits, ..flows("l4-nat", &[server]) }).await
}

#[tokio::test]
async fn an_idle_flow_is_closed_at_once_or_with_the_next_bytes_or_drops_them() {
    const PAUSE: Duration = Duration::from_millis(400);
    for then in [FlowIdleEnd::Closed, FlowIdleEnd::ResetOnNext, FlowIdleEnd::Silent] {
        let server = Server::telling().await;
        let bed = forgetful(&server, then).await;
        let mut client = bed.client().await;
        // Each pause is within the limit, but their sum is longer.
        for _ in 0..4 {
            sleep(Duration::from_millis(80)).await;
            client.get("/").await;
        }
        sleep(PAUSE).await;
        let closed = timeout(PAUSE, client.until_closed()).await.is_ok();
        assert_eq!(closed, then == FlowIdleEnd::Closed, "{then:?}");
        client.send(b"GET /lost HTTP/1.1\r\nHost: site\r\n\r\n").await;
        let told = timeout(PAUSE, client.until_closed()).await;
        match then {
            FlowIdleEnd::Silent => assert!(told.is_err(), "nobody says anything"),
            FlowIdleEnd::Closed | FlowIdleEnd::ResetOnNext => {
                assert!(told.is_ok_and(|bytes| bytes.is_empty()), "{then:?}");
            }
        }
        assert_eq!(server.seen().len(), 4, "what came afterwards is lost, {then:?}");
        drop(client);
        server.until_closed(1).await;
    }
}

#[tokio::test]
async fn a_backend_that_refuses_closes_the_client() {
    let server = Server::refusing().await;
    let bed = Bed::start("l4-nat", &[&server]).await;
    assert!(bed.client().await.until_closed().await.is_empty());
    let nobody = Bed::start("l4-nat", &[]).await;
    assert!(nobody.client().await.until_closed().await.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_backends_connection() {
    let server = Server::telling().await;
    let bed = Bed::start("l4-nat", &[&server]).await;
    let mut client = bed.client().await;
    client.get("/").await;
    drop(client);
    server.until_closed(1).await;
}

#[tokio::test]
async fn a_dropped_connection_is_held_in_silence_and_work_closes_flows() {
    let server = Server::telling().await;
    let bed = Bed::with_l4(Box::new(policy::Moody::default()), &[&server]).await;
    let mut lucky = bed.client().await;
    lucky.get("/").await;
    let mut ignored = bed.client().await;
    ignored.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n").await;
    let silence = timeout(Duration::from_millis(50), ignored.socket.read_u8()).await;
    assert!(silence.is_err(), "neither an answer nor a close");
    let mut refused = bed.client().await;
    refused.until_closed().await;
    timeout(PATIENCE, lucky.until_closed()).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    server.until_closed(1).await;
}

mod policy {
    use stickler_lb_core::{BackendAware, FiveTuple, L4Decision, L4Policy, L4Work};
    use stickler_model::Time;

    /// A policy that serves the first connection, ignores the second, refuses the others, and then ends the first.
    #[derive(Default)]
    pub(super) struct Moody {
        first: Option<FiveTuple>,
        count: u32,
        work: Option<L4Work>,
    }

    impl L4Policy for Moody {
        fn connect(&mut self, _now: Time, flow: FiveTuple) -> L4Decision {
            self.count += 1;
            match self.count {
                1 => {
                    self.first = Some(flow);
                    L4Decision::Backend(0)
                }
                2 => L4Decision::Drop,
                _ => {
                    self.work = self.first.take().map(L4Work::CloseFlow);
                    L4Decision::Refuse
                }
            }
        }
    }

    impl BackendAware for Moody {
        type Work = L4Work;

        fn poll(&mut self, _now: Time) -> Option<L4Work> {
            self.work.take()
        }

        fn next_deadline(&self) -> Option<Time> {
            self.work.map(|_| Time(0))
        }
    }
}
