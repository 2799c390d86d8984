//! Tests of clients whose user changes, and of clients with one connection at a time.

use stickler_auth::http::Scheme;
use stickler_model::agent::Agent;
use stickler_model::trace::Promises;
use stickler_model::{ClientSpec, Identity, Principal, Profile};
use tokio::join;

use crate::peer::Reply::Send;
use crate::peer::{Bench, bare, challenged, ok};

fn bob() -> Identity {
    Identity { principal: Principal::new("CORP", "bob"), password: "bob-pw".into() }
}

#[tokio::test]
async fn the_next_user_authenticates_anew_at_once_on_the_connection_there_is_in_the_scheme_it_has() {
    let handshake = [Send(bare()), Send(challenged(Scheme::Ntlm)), Send(ok())];
    let again = [Send(challenged(Scheme::Ntlm)), Send(ok()), Send(ok())];
    // This server offers only NTLM, although a browser prefers Negotiate.
    let only_ntlm = |reply: &crate::peer::Reply| match reply {
        Send(text) => Send(text.replace("WWW-Authenticate: Negotiate\r\n", "")),
        other => other.clone(),
    };
    let script = handshake.iter().chain(&again).map(only_ntlm).collect();
    let bench = Bench::new(Agent::Browser, false, vec![script]).await;
    bench.get(1).await;
    bench.client.switch_user(&bob());
    assert_eq!((bench.get(2).await.requests, bench.get(3).await.requests), (2, 1));
    insta::assert_snapshot!(bench.events(), @r#"
    r1 starts: GET, 0 bytes, Valid, preemptive false
    connection 1 opens
    r1 sent on 1: Anonymous, 0 bytes
    r1 received on 1: 401, echoes r1
    r1 sent on 1: Negotiate, 0 bytes
    r1 received on 1: 401, echoes r1, challenge
    r1 sent on 1: Authenticate, 0 bytes
    r1 received on 1: 200, echoes r1
    r1 ends: Some(200) None
    r2 starts: GET, 0 bytes, Valid, preemptive false
    r2 sent on 1: Negotiate, 0 bytes
    r2 received on 1: 401, echoes r2, challenge
    r2 sent on 1: Authenticate, 0 bytes
    r2 received on 1: 200, echoes r2
    r2 ends: Some(200) None
    r3 starts: GET, 0 bytes, Valid, preemptive false
    r3 sent on 1: Anonymous, 0 bytes
    r3 received on 1: 200, echoes r3
    r3 ends: Some(200) None
    "#);
    let received = bench.received();
    assert!(received.contains("Authorization: NTLM <Negotiate>") && !received.contains("Authorization: Negotiate"));
}

/// In a part of the site that needs no logon, the server ignores the token, so the connection is still the previous user's.
#[tokio::test]
async fn another_user_logs_on_even_after_a_page_that_needs_no_logon() {
    let handshake = [Send(bare()), Send(challenged(Scheme::Negotiate)), Send(ok())];
    let open = [Send(ok()), Send(ok())];
    let again = [Send(challenged(Scheme::Negotiate)), Send(ok()), Send(ok())];
    let script = handshake.into_iter().chain(open).chain(again).collect();
    let bench = Bench::new(Agent::Browser, false, vec![script]).await;
    bench.get(1).await;
    bench.client.switch_user(&bob());
    let requests = [bench.get(2).await, bench.get(3).await, bench.get(4).await, bench.get(5).await];
    assert_eq!(requests.map(|answer| answer.requests), [1, 1, 2, 1]);
    let tokens = bench.received().matches("Authorization: Negotiate <Negotiate>").count();
    assert_eq!(tokens, 4, "in the handshake, on both open pages, and before the first page that needs a logon");
}

#[tokio::test]
async fn a_connection_that_nobody_authenticated_is_used_as_before() {
    let script = vec![Send(ok()), Send(bare()), Send(challenged(Scheme::Negotiate)), Send(ok())];
    let bench = Bench::new(Agent::Browser, false, vec![script]).await;
    bench.get(1).await;
    bench.client.switch_user(&bob());
    assert_eq!(bench.get(2).await.requests, 3);
}

#[tokio::test]
async fn a_client_with_a_port_of_its_own_has_one_connection_and_requests_wait_for_their_turn() {
    let scripts = vec![vec![Send(challenged(Scheme::Ntlm)), Send(ok()), Send(ok()), Send(ok())]];
    let change = |spec| ClientSpec { port: Some(40_000), ..spec };
    let bench = Bench::with(Profile::CURL, Promises::default(), change, scripts).await;
    let (first, second, third) = join!(bench.get(1), bench.get(2), bench.get(3));
    assert_eq!([first.status, second.status, third.status], [Some(200); 3]);
    assert_eq!(bench.events().matches("opens").count(), 1);
}
