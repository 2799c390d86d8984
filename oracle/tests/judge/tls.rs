//! TL-1 and TL-2.

use stickler_model::Leg;
use stickler_model::site::{Checking, ProtectionSpec, SiteSpec};
use stickler_model::topology::{Agent, TlsSpec, UpstreamTls};
use stickler_model::{Payload, What};
use stickler_oracle::Grade;
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Fo1, Hs1, Hs3, Tl1, Tl2};

use crate::story::{Story, digest, user};

fn protected(checking: Checking, flags: u32) -> SiteSpec {
    let protection = ProtectionSpec { checking, flags, ..ProtectionSpec::default() };
    SiteSpec { protection, ..SiteSpec::default() }
}

/// A farm with TLS and extended protection required; alice's browser has connection 1, where it was shown the
/// certificate `shown`, and iis1 has connection 1 with its own, `iis1`.
fn secured(shown: &str) -> Story {
    let mut story = Story::at(&protected(Checking::Require, 0));
    story.tls = Some(TlsSpec::default());
    story.add_client("alice", Agent::Browser, false);
    story.connect("alice", 1);
    story.secure("alice", 1, shown, false);
    accept(&mut story, "iis1", 1);
    story.secure_server("iis1", 1, "iis1");
    story
}

fn accept(story: &mut Story, server: &str, connection: u32) {
    story.see(server, What::ServerAccepted { connection, peer: ([10, 0, 0, 9], 40_000).into() });
}

/// alice's handshake ends so, over the first connections.
fn ends(story: &mut Story, proof: Leg, status: u16) {
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    if proof == Leg::Authenticate {
        story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
    }
    story.exchange(id, (1, "iis1", 1), proof, status);
    story.end(id, status);
}

const PROOFS: [Leg; 2] = [Leg::Authenticate, Leg::Ticket];

#[test]
fn tl1_is_kept_by_passthrough_that_works_and_by_termination_that_fails_closed() {
    for proof in PROOFS {
        for (shown, status) in [("iis1", 200), ("lb", 401)] {
            let mut story = secured(shown);
            ends(&mut story, proof, status);
            let verdict = story.verdict(Tl1);
            assert_eq!((verdict.grade, verdict.exercised), (Ok, 1), "{shown} {proof:?}");
        }
    }
}

#[test]
fn tl1_is_violated_by_passthrough_that_is_refused() {
    for proof in PROOFS {
        let mut story = secured("iis1");
        ends(&mut story, proof, 401);
        assert_eq!(
            story.summary(Tl1),
            "alice's request r1 was refused, though its client was shown the certificate of iis1 on connection 1"
        );
        assert_eq!(story.grade(Hs1), Violated, "the login does not work");
    }
}

#[test]
fn tl1_is_violated_by_termination_that_is_let_in() {
    for proof in PROOFS {
        let mut story = secured("lb");
        ends(&mut story, proof, 200);
        assert_eq!(
            story.summary(Tl1),
            format!(
                r"iis1 took alice's request r1 for CORP\alice on connection 1, though the client was shown another certificate ({}) than the server's ({})",
                digest("lb"),
                digest("iis1"),
            )
        );
        assert_eq!(story.grade(Hs1), Ok, "whoever gets in has their answer");
    }
}

#[test]
fn tl1_counts_a_request_without_a_token_on_an_authenticated_connection_as_let_in() {
    let mut story = secured("lb");
    story.again("alice", (1, "iis1", 1));
    assert_eq!(story.grade(Tl1), Violated);
}

#[test]
fn tl1_is_not_put_to_the_test_without_a_proof_by_clients_that_do_not_bind_or_by_wrong_passwords() {
    let mut asked = secured("iis1");
    let id = asked.start("alice");
    asked.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    asked.end(id, 401);
    let mut unbound = secured("iis1");
    unbound.add_client("alice", Agent::Curl, false);
    ends(&mut unbound, Leg::Authenticate, 401);
    let mut wrong = secured("iis1");
    let id = wrong.start_wrong("alice");
    wrong.exchange(id, (1, "iis1", 1), Leg::Authenticate, 401);
    wrong.end(id, 401);
    for story in [asked, unbound, wrong] {
        assert_eq!(story.grade(Tl1), NotExercised);
    }
}

#[test]
fn tl1_does_not_blame_the_binding_for_a_ticket_that_the_server_cannot_read_and_does_for_a_bad_binding() {
    // KRB_AP_ERR_MODIFIED, and SEC_E_BAD_BINDINGS, for which Kerberos has no code.
    for (error, expected) in [(41, Ok), (0x8009_0346, Violated)] {
        let mut story = secured("iis1");
        let id = story.start("alice");
        story.present(id, (1, "iis1", 1), error, 401);
        story.end(id, 401);
        assert_eq!(story.grade(Tl1), expected, "{error:x}");
    }
}

#[test]
fn tl1_looks_at_the_certificate_of_the_very_connection_also_after_a_restart() {
    let mut story = secured("lb");
    accept(&mut story, "iis1", 1);
    story.secure_server("iis1", 1, "lb");
    ends(&mut story, Leg::Ticket, 200);
    assert_eq!(story.grade(Tl1), Ok);
}

#[test]
fn tl1_applies_only_where_a_binding_is_required_and_there_is_tls_to_bind() {
    let with = |checking, flags, upstream: Option<UpstreamTls>, server_has_tls: bool| {
        let mut story = Story::at(&protected(checking, flags));
        story.tls = upstream.map(|upstream| TlsSpec { upstream, http2: false });
        story.secure("alice", 1, "lb", false);
        if server_has_tls {
            story.secure_server("iis1", 1, "iis1");
        }
        ends(&mut story, Leg::Ticket, 200);
        story.grade(Tl1)
    };
    let own = Some(UpstreamTls::Own);
    assert_eq!(with(Checking::Require, 0, own, true), Violated);
    assert_eq!(with(Checking::Require, ProtectionSpec::PROXY_COHOSTING, own, true), Violated);
    assert_eq!(with(Checking::Require, 0, Some(UpstreamTls::Plain), true), Violated, "passed through after all");
    for (checking, flags, upstream, server_has_tls) in [
        (Checking::Allow, 0, own, true),
        (Checking::None, 0, own, true),
        (Checking::Require, ProtectionSpec::PROXY, own, true),
        (Checking::Require, 0, Some(UpstreamTls::Plain), false),
        (Checking::Require, 0, None, false),
    ] {
        assert_eq!(with(checking, flags, upstream, server_has_tls), NotApplicable, "{checking:?} {flags} {upstream:?}");
    }
}

#[test]
fn hs1_and_hs3_do_not_blame_a_termination_that_fails_closed_or_a_client_that_cannot_bind() {
    let mut closed = secured("lb");
    let other = closed.start("bob");
    closed.send(other, 1, Leg::Negotiate);
    ends(&mut closed, Leg::Authenticate, 401);
    assert_eq!((closed.grade(Hs1), closed.grade(Hs3)), (NotExercised, Ok));

    let mut unbound = secured("iis1");
    unbound.add_client("alice", Agent::CurlNegotiate, false);
    ends(&mut unbound, Leg::Ticket, 401);
    assert_eq!(unbound.grade(Hs1), NotExercised);

    let mut allowed = secured("lb");
    allowed.servers = Story::at(&protected(Checking::Allow, 0)).servers;
    ends(&mut allowed, Leg::Authenticate, 401);
    assert_eq!(allowed.grade(Hs1), Violated, "nothing asks for that to fail");
    assert_eq!(allowed.grade(Fo1), NotApplicable);
}

#[test]
fn hs1_lets_a_client_send_again_over_http1_what_was_reset_over_http2_and_no_more() {
    for (resets, answered, expected) in [(1, false, Ok), (2, false, Violated), (1, true, Violated), (0, false, Ok)] {
        let mut story = Story::default();
        story.secure("alice", 1, "lb", true);
        story.secure("alice", 2, "lb", false);
        let id = story.start("alice");
        for _ in 0..resets {
            story.send(id, 1, Leg::Anonymous);
        }
        if answered {
            story.receive(id, 1, 401, Some(id), None);
        }
        story.handshake(id, (2, "iis1", 1));
        story.end(id, 200);
        assert_eq!(story.grade(Hs1), expected, "{resets} {answered}");
    }
}

/// alice's ticket authenticates connection 1 of iis1; each client's protocol.
fn streams(site: &SiteSpec, alice: bool, bob: bool) -> Story {
    let mut story = Story::at(site);
    story.tls = Some(TlsSpec { http2: true, ..TlsSpec::default() });
    story.secure("alice", 1, "lb", alice);
    story.secure("bob", 1, "lb", bob);
    story.secure("carol", 1, "lb", true);
    story.whole_ticket("alice", (1, "iis1", 1));
    story
}

#[test]
fn tl2_is_kept_by_an_authenticated_connection_that_carries_one_clients_streams() {
    let mut story = streams(&SiteSpec::default(), true, true);
    story.again("alice", (1, "iis1", 1));
    story.whole_ticket("bob", (1, "iis1", 2));
    story.again("bob", (1, "iis1", 2));
    let verdict = story.verdict(Tl2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 4));
}

#[test]
fn tl2_is_violated_by_two_clients_on_one_authenticated_connection_if_one_of_them_has_http2() {
    for (alice, bob) in [(true, true), (true, false), (false, true)] {
        let mut story = streams(&SiteSpec::default(), alice, bob);
        let id = story.start("bob");
        story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
        story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
        let over = |http2| if http2 { "HTTP/2" } else { "HTTP/1.1" };
        assert_eq!(
            story.summary(Tl2),
            format!(
                "iis1 received bob's request r2 (over {}) on connection 1, which is authenticated and had carried alice's (over {})",
                over(bob),
                over(alice),
            )
        );
    }
}

#[test]
fn tl2_is_violated_by_whoever_comes_after_an_http2_client_on_anothers_connection() {
    let mut story = streams(&SiteSpec::default(), false, false);
    story.again("carol", (1, "iis1", 1));
    story.again("bob", (1, "iis1", 1));
    assert_eq!(story.verdict(Tl2).evidence.len(), 2, "carol on alice's, and bob on what carol has used");
}

#[test]
fn tl2_is_violated_over_ntlm_too_and_by_a_client_that_means_to_authenticate_anew() {
    let mut story = streams(&SiteSpec::default(), true, true);
    story.whole("carol", (1, "iis1", 5));
    story.whole("bob", (1, "iis1", 5));
    assert!(story.summary(Tl2).starts_with("iis1 received bob's request r3 (over HTTP/2) on connection 5"));
}

#[test]
fn tl2_is_not_put_to_the_test_where_connections_stay_unauthenticated_or_carry_http1_alone() {
    let by_request = SiteSpec { persist_non_ntlm: false, ..SiteSpec::default() };
    let via = SiteSpec { via_ends_persistence: true, ..SiteSpec::default() };
    for (site, http2) in [(by_request, true), (via, true), (SiteSpec::default(), false)] {
        let mut story = streams(&site, http2, http2);
        story.whole_ticket("bob", (1, "iis1", 1));
        assert_eq!(story.grade(Tl2), NotExercised, "{site:?}");
    }
}

#[test]
fn tl2_forgets_a_connection_when_its_number_begins_again_and_does_not_judge_unknown_senders() {
    let mut story = streams(&SiteSpec::default(), true, true);
    accept(&mut story, "iis1", 1);
    let id = story.start("bob");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    assert_eq!(story.grade(Tl2), Ok);
    story.check("iis1", 7, 200, Some(user("probe")));
    let id = story.start("bob");
    story.exchange(id, (1, "iis1", 7), Leg::Anonymous, 401);
    assert_eq!(story.grade(Tl2), Ok);
}

#[test]
fn tl2_does_not_apply_without_http2() {
    let mut story = Story::default();
    story.secure("alice", 1, "lb", false);
    story.whole_ticket("alice", (1, "iis1", 1));
    story.answer(None, (0, "iis1", 1), 9, Leg::Anonymous, 200, None, &Payload::Empty);
    let grade: Grade = story.grade(Tl2);
    assert_eq!(grade, NotApplicable);
}
