//! Tests of a site that takes the user from a header of the balancer.

use stickler_model::What;
use stickler_model::topology::Acceptor;

use crate::bench::{Bench, domain};

async fn bench() -> Bench {
    Bench::with(domain(None), |site| site.with_acceptor(Acceptor::TrustedHeader("X-User".into()))).await
}

#[tokio::test]
async fn the_user_is_whom_the_header_names_for_one_request_whoever_sends_it() {
    let bench = bench().await;
    let mut http = bench.connect().await;
    assert_eq!(http.get("X-User: CORP\\alice\r\n").await.user().as_deref(), Some("CORP\\alice"));
    assert_eq!(http.get("X-User: bob\r\n").await.user().as_deref(), Some("CORP\\bob"), "the site's own domain");
    // If there are two, the first counts. `Authorization` does not count.
    let both = "X-User: bob\r\nX-User: alice\r\nAuthorization: NTLM TlRMTVNTUAABAAAA\r\n";
    assert_eq!(http.get(both).await.user().as_deref(), Some("CORP\\bob"));
    assert_eq!(http.request("GET", "/forbidden", "X-User: bob\r\n", b"").await.status, 401);
    assert_eq!(http.get("X-User: eve\r\n").await.status, 401, "an ACL still refuses");
}

#[tokio::test]
async fn without_the_header_it_is_403_and_the_connection_goes_on() {
    let bench = bench().await;
    let mut http = bench.connect().await;
    let refused = http.request("POST", "/", "", b"abc").await;
    assert_eq!((refused.status, refused.all("www-authenticate").len()), (403, 0));
    assert_eq!(http.get("X-User: \r\n").await.status, 403);
    assert_eq!(http.get("X-User: alice\r\n").await.status, 200);
}

#[tokio::test]
async fn what_it_trusts_is_noted_just_before_the_answer() {
    let bench = bench().await;
    let mut http = bench.connect().await;
    http.get("").await;
    http.get("X-User: alice\r\nX-Stickler-Request: r7\r\n").await;
    let noted = bench.take(|what| match what {
        What::ServerTrusted { connection, number, request, value } => {
            Some(format!("{connection}.{number} {request:?} trusts {value}"))
        }
        What::ServerAnswered { number, status, substatus, win32, user, processed, .. } => {
            let user = user.map(|user| user.to_string());
            Some(format!("{number}: {status} {substatus} {win32} {user:?} {processed}"))
        }
        _ => None,
    });
    assert_eq!(
        noted,
        ["1: 403 0 5 None false", "1.2 Some(RequestId(7)) trusts alice", "2: 200 0 0 Some(\"CORP\\\\alice\") true"]
    );
}
