//! Tests of the acceptor with a table: the clients that its key confuses, and the confusion that its checks prevent.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use stickler_auth::http::{AuthToken, Scheme, token_kind};
use stickler_auth::logon::LogonRequest;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_mock_dc::Directory;
use stickler_mock_iis::ServerLimits;
use stickler_mock_iis::authn::{AuthRules, Decision, Turn, Unauthorized};
use stickler_mock_iis::credentials::Presented;
use stickler_mock_iis::tracker::{Sender, Tracker};
use stickler_model::What;
use stickler_model::topology::{Acceptor, Tracked, TrackedBy, TrackedCheck};

use crate::bench::{Bench, Http, NOW, authenticate, authorization, domain, initiator, token};
use crate::machine::{config, request};

const KEY: &str = "Jespa-Connection-Id: 10.1.0.1:50000\r\n";
const OTHER_KEY: &str = "Jespa-Connection-Id: 10.1.0.2:50000\r\n";

async fn bench(by: TrackedBy, check: TrackedCheck) -> Bench {
    bench_of(by, check, ServerLimits::default()).await
}

async fn bench_of(by: TrackedBy, check: TrackedCheck, limits: ServerLimits) -> Bench {
    let acceptor = Acceptor::Tracked(Tracked { by, check });
    Bench::with(domain(None), |site| site.with_acceptor(acceptor).with_limits(limits)).await
}

fn header() -> TrackedBy {
    TrackedBy::Header("Jespa-Connection-Id".into())
}

async fn get(bench: &Bench, lines: &str) -> u16 {
    bench.connect().await.get(lines).await.status
}

/// Performs a handshake whose legs use separate connections, as behind a proxy without keep-alive.
async fn login_in_pieces(bench: &Bench, user: &str, lines: &str) -> crate::bench::Response {
    let (negotiate, initiator) = initiator("CORP", user, &format!("{user}-pw"), NtlmProfile::windows());
    let challenge = bench.connect().await.get(&(authorization("NTLM", &negotiate) + lines)).await;
    assert_eq!(challenge.status, 401);
    let leg = authorization("NTLM", &authenticate(initiator, &token(&challenge, "NTLM")));
    bench.connect().await.get(&(leg + lines)).await
}

#[tokio::test]
async fn by_the_header_a_handshake_spans_connections_and_only_its_key_is_served() {
    let bench = bench(header(), TrackedCheck::Nothing).await;
    let answer = login_in_pieces(&bench, "alice", KEY).await;
    assert_eq!((answer.status, answer.user().as_deref()), (200, Some("CORP\\alice")));
    assert_eq!(answer.header("set-cookie"), "", "no token was asked for");
    assert_eq!(get(&bench, KEY).await, 200);
    assert_eq!(get(&bench, OTHER_KEY).await, 401);
    assert_eq!(get(&bench, "").await, 401, "no header: the connection is the key");
    let trusted = bench.take(|what| match what {
        What::ServerTrusted { value, .. } => Some(value),
        _ => None,
    });
    let (alice, other) = ("10.1.0.1:50000", "10.1.0.2:50000");
    assert_eq!(trusted, [alice, alice, alice, other]);
}

#[tokio::test]
async fn a_client_that_claims_anothers_key_is_served_as_that_one() {
    let bench = bench(header(), TrackedCheck::Nothing).await;
    login_in_pieces(&bench, "alice", KEY).await;
    let mut mallory = bench.connect().await;
    assert_eq!(mallory.get(KEY).await.user().as_deref(), Some("CORP\\alice"), "the leak that the field describes");
    // If there are two, the first counts: a proxy that appends a header does not overwrite the client's.
    assert_eq!(get(&bench, &format!("{KEY}{OTHER_KEY}")).await, 200);
    assert_eq!(get(&bench, &format!("{OTHER_KEY}{KEY}")).await, 401);
}

#[tokio::test]
async fn by_the_connection_it_is_like_iis_and_forgets_with_the_connection() {
    let bench = bench(TrackedBy::Peer, TrackedCheck::Nothing).await;
    let mut http = bench.connect().await;
    assert_eq!(http.login("alice", "alice-pw").await.user().as_deref(), Some("CORP\\alice"));
    assert_eq!(http.get(KEY).await.user().as_deref(), Some("CORP\\alice"));
    assert_eq!(get(&bench, "").await, 401);
    assert_eq!(login_in_pieces(&bench, "alice", KEY).await.status, 401, "each leg has another key");
    assert_eq!(http.login("bob", "bob-pw").await.user().as_deref(), Some("CORP\\bob"));
    assert_eq!(http.login("bob", "wrong").await.status, 401);
    assert_eq!(http.get("").await.status, 401);
}

#[tokio::test]
async fn two_handshakes_under_one_key_fail_each_other() {
    let bench = bench(header(), TrackedCheck::Nothing).await;
    let (negotiate, alices) = initiator("CORP", "alice", "alice-pw", NtlmProfile::windows());
    let first = bench.connect().await.get(&(authorization("NTLM", &negotiate) + KEY)).await;
    let (negotiate, _) = initiator("CORP", "bob", "bob-pw", NtlmProfile::windows());
    bench.connect().await.get(&(authorization("NTLM", &negotiate) + KEY)).await;
    let leg = authorization("NTLM", &authenticate(alices, &token(&first, "NTLM")));
    assert_eq!(get(&bench, &(leg + KEY)).await, 401, "it answers the other challenge");
}

/// A table without a server.
struct Table {
    tracker: Tracker,
    directory: Directory,
}

impl Table {
    fn new(check: TrackedCheck) -> Self {
        let rule = Tracked { by: header(), check };
        let capacity = NonZeroUsize::new(8).unwrap();
        Self {
            tracker: Tracker::new(&rule, config(AuthRules::default()), capacity),
            directory: Directory::new(&domain(None)),
        }
    }

    fn sender(&self, key: u8, address: u8) -> Sender {
        let mut headers = HeaderMap::new();
        headers.insert("jespa-connection-id", HeaderValue::try_from(format!("10.1.0.{key}:50000")).unwrap());
        headers.insert("x-forwarded-for", HeaderValue::try_from(format!("10.1.0.{address}")).unwrap());
        self.tracker.sender(&headers, ([10, 0, 0, 80], 1024).into()).unwrap()
    }

    fn present(&self, sender: &Sender, presented: &Presented) -> Decision {
        self.tracker.turn(sender, Turn::Request(request(presented, 9)))
    }

    /// Sends both legs, up to the logon.
    fn ask(&self, sender: &Sender, user: &str, password: &str) -> LogonRequest {
        let token = |token: Vec<u8>| {
            let kind = token_kind(&token);
            Presented::Token { token: AuthToken { scheme: Scheme::Ntlm, token }, kind }
        };
        let (negotiate, initiator) = initiator("CORP", user, password, NtlmProfile::windows());
        let Decision::Unauthorized(Unauthorized { challenge: Some(challenge), .. }) =
            self.present(sender, &token(negotiate))
        else {
            panic!("a challenge is due")
        };
        let Decision::NeedLogon(request) = self.present(sender, &token(authenticate(initiator, &challenge.token)))
        else {
            panic!("a logon is due")
        };
        request
    }

    fn finish(&mut self, sender: &Sender, request: &LogonRequest) -> Option<String> {
        let reply = self.directory.logon(request, NOW).reply;
        served(&self.tracker.turn(sender, Turn::Logon(&reply)))
    }
}

fn served(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Serve(identity) => identity.user.as_ref().map(ToString::to_string),
        _ => None,
    }
}

/// Tests two overlapping logons with one key: the DC's answer for alice must not complete the handshake of bob.
#[test]
fn a_reply_counts_only_for_the_request_that_asked_last() {
    let mut table = Table::new(TrackedCheck::Nothing);
    let (alice, bob) = (table.sender(1, 1), table.sender(1, 2));
    let [of_alice, of_bob] = [table.ask(&alice, "alice", "alice-pw"), table.ask(&bob, "bob", "bob-pw")];
    assert_eq!(table.finish(&alice, &of_alice), None);
    assert_eq!(table.finish(&bob, &of_bob).as_deref(), Some("CORP\\bob"));
}

proptest! {
    #[test]
    fn whoever_is_served_has_the_key_and_the_address_of_a_handshake_where_that_is_checked(
        checked: bool,
        moves in prop::collection::vec((1..3_u8, 1..3_u8, prop::option::of((any::<bool>(), any::<bool>()))), 1..30),
    ) {
        let check = if checked { TrackedCheck::ClientAddress } else { TrackedCheck::Nothing };
        let mut table = Table::new(check);
        // The user and the address that belong to each key.
        let mut known: BTreeMap<u8, (String, u8)> = BTreeMap::new();
        for (key, address, logon) in moves {
            let sender = table.sender(key, address);
            if let Some((is_alice, good)) = logon {
                let user = if is_alice { "alice" } else { "bob" };
                let password = if good { format!("{user}-pw") } else { "wrong".into() };
                let request = table.ask(&sender, user, &password);
                let user = table.finish(&sender, &request);
                prop_assert_eq!(user.is_some(), good);
                known.remove(&key);
                known.extend(user.map(|user| (key, (user, address))));
            } else {
                let expected = known.get(&key).filter(|(_, from)| !checked || *from == address);
                let user = served(&table.present(&sender, &Presented::Nothing));
                prop_assert_eq!(user.as_ref(), expected.map(|(user, _)| user));
            }
        }
    }
}

#[tokio::test]
async fn the_address_check_refuses_the_key_from_elsewhere_and_leaves_its_owner_alone() {
    let bench = bench(header(), TrackedCheck::ClientAddress).await;
    let from = |address: &str| format!("{KEY}X-Forwarded-For: 1.2.3.4, {address}\r\n");
    assert_eq!(login_in_pieces(&bench, "alice", &from("10.1.0.1")).await.status, 200);
    assert_eq!(get(&bench, &from("10.1.0.2")).await, 401);
    assert_eq!(get(&bench, KEY).await, 401, "without the header, the connection's other end counts");
    assert_eq!(get(&bench, &from("10.1.0.1")).await, 200);
    let forged = format!("{KEY}X-Forwarded-For: 10.1.0.1\r\nX-Forwarded-For: 10.1.0.2\r\n");
    assert_eq!(get(&bench, &forged).await, 401, "the last entry is the proxy's");
    // A new client with the same key takes over the key by its own handshake.
    let bob = login_in_pieces(&bench, "bob", &from("10.1.0.2")).await;
    assert_eq!(bob.user().as_deref(), Some("CORP\\bob"));
    assert_eq!(get(&bench, &from("10.1.0.1")).await, 401);
}

#[tokio::test]
async fn the_token_check_serves_only_who_has_the_cookie_of_the_last_answer() {
    let bench = bench(header(), TrackedCheck::Token).await;
    let answer = login_in_pieces(&bench, "alice", KEY).await;
    assert_eq!(answer.status, 200);
    let cookie = answer.header("set-cookie").strip_suffix("; Path=/; HttpOnly").unwrap().to_owned();
    assert_eq!(cookie.len(), "acceptor-token=".len() + 32);
    assert_eq!(get(&bench, KEY).await, 401);
    assert_eq!(get(&bench, &format!("{KEY}Cookie: acceptor-token=0\r\n")).await, 401);
    let good = format!("{KEY}Cookie: other=1; {cookie}\r\n");
    assert_eq!(get(&bench, &good).await, 200);
    // A second logon issues a second token, and the first becomes invalid.
    let again = login_in_pieces(&bench, "alice", &good).await;
    assert_ne!(again.header("set-cookie").split(';').next(), Some(cookie.as_str()));
    assert_eq!(get(&bench, &good).await, 401);
}

#[tokio::test]
async fn the_table_is_bounded_and_forgets_who_was_away_for_longest() {
    let limits = ServerLimits { sessions: NonZeroUsize::new(2).unwrap(), ..ServerLimits::default() };
    let bench = bench_of(header(), TrackedCheck::Nothing, limits).await;
    let key = |n: u8| format!("Jespa-Connection-Id: 10.1.0.{n}:50000\r\n");
    for n in [1, 2] {
        login_in_pieces(&bench, "alice", &key(n)).await;
    }
    assert_eq!(get(&bench, &key(1)).await, 200);
    login_in_pieces(&bench, "alice", &key(3)).await;
    assert_eq!([get(&bench, &key(1)).await, get(&bench, &key(2)).await, get(&bench, &key(3)).await], [200, 401, 200]);
    // Clients that do not authenticate take no room in the table.
    for n in 10..20 {
        assert_eq!(get(&bench, &key(n)).await, 401);
    }
    assert_eq!(get(&bench, &key(1)).await, 200);
}

#[tokio::test]
async fn a_key_longer_than_any_address_is_a_bad_request() {
    let bench = bench(header(), TrackedCheck::Nothing).await;
    let mut http: Http = bench.connect().await;
    let long = format!("Jespa-Connection-Id: {}\r\n", "1".repeat(129));
    assert_eq!(http.get(&long).await.status, 400);
    assert!(http.is_closed().await);
}
