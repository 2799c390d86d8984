//! TL-1 and TL-2.

use stickler_model::Leg;
use stickler_model::agent::Agent;
use stickler_model::site::{Checking, ProtectionSpec, SiteSpec};
use stickler_model::topology::{TlsSpec, UpstreamTls};
use stickler_model::{Payload, What};
use stickler_oracle::Grade;
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Fo1, Hs1, Hs3, Tl1, Tl2};

use crate::trace_builder::{Answer, ClientTls, IIS1, Route, TraceBuilder, digest, user};

/// Returns a site with these settings of extended protection.
fn protected(checking: Checking, flags: u32) -> SiteSpec {
    let protection = ProtectionSpec { checking, flags, ..ProtectionSpec::default() };
    SiteSpec { protection, ..SiteSpec::default() }
}

/// A farm with TLS that requires extended protection. On alice's connection 1 her browser was shown the certificate
/// `shown`; connection 1 of iis1 has the server's own certificate, `iis1`.
fn secured(shown: &str) -> TraceBuilder {
    let mut trace = TraceBuilder::at(&protected(Checking::Require, 0));
    trace.tls = Some(TlsSpec::default());
    trace.add_client("alice", Agent::Browser, false);
    trace.connect("alice", 1);
    trace.secure(ClientTls { client: "alice", connection: 1, certificate: shown, http2: false });
    accept(&mut trace, "iis1", 1);
    trace.secure_server("iis1", 1, "iis1");
    trace
}

/// Adds an event: a server accepts a connection.
fn accept(trace: &mut TraceBuilder, server: &str, connection: u32) {
    trace.see(server, What::ServerAccepted { connection, peer: ([10, 0, 0, 9], 40_000).into() });
}

/// Adds a request of alice over the first connections. Its handshake ends with this leg and this status.
fn ends(trace: &mut TraceBuilder, proof: Leg, status: u16) {
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    if proof == Leg::Authenticate {
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
    }
    trace.exchange(id, IIS1, proof, status);
    trace.end(id, status);
}

const PROOFS: [Leg; 2] = [Leg::Authenticate, Leg::Ticket];

#[test]
fn tl1_is_kept_by_passthrough_that_works_and_by_termination_that_fails_closed() {
    for proof in PROOFS {
        for (shown, status) in [("iis1", 200), ("lb", 401)] {
            let mut trace = secured(shown);
            ends(&mut trace, proof, status);
            let verdict = trace.verdict(Tl1);
            assert_eq!((verdict.grade, verdict.exercised), (Ok, 1), "{shown} {proof:?}");
        }
    }
}

#[test]
fn tl1_is_violated_by_passthrough_that_is_refused() {
    for proof in PROOFS {
        let mut trace = secured("iis1");
        ends(&mut trace, proof, 401);
        assert_eq!(
            trace.summary(Tl1),
            "alice's request r1 was refused, though its client was shown the certificate of iis1 on connection 1"
        );
        assert_eq!(trace.grade(Hs1), Violated, "the login does not work");
    }
}

#[test]
fn tl1_is_violated_by_termination_that_is_let_in() {
    for proof in PROOFS {
        let mut trace = secured("lb");
        ends(&mut trace, proof, 200);
        assert_eq!(
            trace.summary(Tl1),
            format!(
                r"iis1 took alice's request r1 for CORP\alice on connection 1, though the client was shown another certificate ({}) than the server's ({})",
                digest("lb"),
                digest("iis1"),
            )
        );
        assert_eq!(trace.grade(Hs1), Ok, "whoever gets in has their answer");
    }
}

#[test]
fn tl1_counts_a_request_without_a_token_on_an_authenticated_connection_as_let_in() {
    let mut trace = secured("lb");
    trace.again("alice", IIS1);
    assert_eq!(trace.grade(Tl1), Violated);
}

#[test]
fn tl1_is_not_put_to_the_test_without_a_proof_by_clients_that_do_not_bind_or_by_wrong_passwords() {
    let mut asked = secured("iis1");
    let id = asked.start("alice");
    asked.exchange(id, IIS1, Leg::Anonymous, 401);
    asked.end(id, 401);
    let mut unbound = secured("iis1");
    unbound.add_client("alice", Agent::Curl, false);
    ends(&mut unbound, Leg::Authenticate, 401);
    let mut wrong = secured("iis1");
    let id = wrong.start_wrong("alice");
    wrong.exchange(id, IIS1, Leg::Authenticate, 401);
    wrong.end(id, 401);
    for trace in [asked, unbound, wrong] {
        assert_eq!(trace.grade(Tl1), NotExercised);
    }
}

#[test]
fn tl1_judges_a_client_that_binds_one_package_by_the_tokens_of_that_package() {
    for (proof, tl1, at_fault) in
        [(Leg::Authenticate, Violated, Party::Balancer), (Leg::Ticket, NotExercised, Party::Client)]
    {
        let mut trace = secured("iis1");
        trace.add_client("alice", Agent::ChromiumLinux, false);
        ends(&mut trace, proof, 401);
        assert_eq!(trace.grade(Tl1), tl1, "{proof:?}");
        assert_eq!(trace.verdict(Hs1).evidence[0].fault, at_fault, "{proof:?}");
    }
}

#[test]
fn tl1_does_not_blame_the_binding_for_a_ticket_that_the_server_cannot_read_and_does_for_a_bad_binding() {
    // KRB_AP_ERR_MODIFIED, and SEC_E_BAD_BINDINGS, for which Kerberos has no code.
    for (error, expected) in [(41, NotExercised), (0x8009_0346, Violated)] {
        let mut trace = secured("iis1");
        let id = trace.start("alice");
        trace.present(id, IIS1, error, 401);
        trace.end(id, 401);
        assert_eq!(trace.grade(Tl1), expected, "{error:x}");
    }
}

#[test]
fn tl1_cannot_tell_a_bad_binding_from_a_replayed_ticket() {
    let mut trace = secured("iis1");
    let id = trace.start("alice");
    trace.present(id, IIS1, 34, 401);
    trace.end(id, 401);
    assert_eq!(trace.blame(Tl1), (NotExercised, Some(Party::Undetermined)));
}

#[test]
fn tl1_is_kept_by_passthrough_that_ends_otherwise_or_is_refused_for_the_user() {
    let mut forbidden = secured("iis1");
    let id = forbidden.start("alice");
    forbidden.forbid(id, IIS1, Leg::Ticket);
    forbidden.end(id, 401);
    let mut lost = secured("iis1");
    let id = lost.start("alice");
    lost.send(id, 1, Leg::Ticket);
    lost.reach(id, IIS1, Leg::Ticket);
    lost.end(id, 502);
    for trace in [forbidden, lost] {
        let verdict = trace.verdict(Tl1);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
    }
}

#[test]
fn tl1_looks_at_the_certificate_of_the_very_connection_also_after_a_restart() {
    let mut trace = secured("lb");
    accept(&mut trace, "iis1", 1);
    trace.secure_server("iis1", 1, "lb");
    ends(&mut trace, Leg::Ticket, 200);
    assert_eq!(trace.grade(Tl1), Ok);

    let mut refused = secured("iis1");
    ends(&mut refused, Leg::Ticket, 401);
    accept(&mut refused, "iis1", 1);
    refused.secure_server("iis1", 1, "lb");
    assert_eq!(refused.grade(Tl1), Violated, "it was another connection's");
}

#[test]
fn tl1_applies_only_where_a_binding_is_required_and_there_is_tls_to_bind() {
    let with = |checking, flags, upstream: Option<UpstreamTls>, server_has_tls: bool| {
        let mut trace = TraceBuilder::at(&protected(checking, flags));
        trace.tls = upstream.map(|upstream| TlsSpec { upstream, ..TlsSpec::default() });
        trace.secure(ClientTls { client: "alice", connection: 1, certificate: "lb", http2: false });
        if server_has_tls {
            trace.secure_server("iis1", 1, "iis1");
        }
        ends(&mut trace, Leg::Ticket, 200);
        trace.grade(Tl1)
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
    let site = (NotExercised, Some(Party::SiteSetUp));
    assert_eq!((closed.blame(Hs1), closed.blame(Hs3)), (site, site));

    let mut unbound = secured("iis1");
    unbound.add_client("alice", Agent::CurlNegotiate, false);
    ends(&mut unbound, Leg::Ticket, 401);
    assert_eq!(unbound.blame(Hs1), (NotExercised, Some(Party::Client)));

    let mut allowed = secured("lb");
    allowed.servers = TraceBuilder::at(&protected(Checking::Allow, 0)).servers;
    ends(&mut allowed, Leg::Authenticate, 401);
    assert_eq!(allowed.grade(Hs1), Violated, "nothing asks for that to fail");
    assert_eq!(allowed.grade(Fo1), NotApplicable);
}

#[test]
fn hs1_lets_a_client_send_again_over_http1_what_was_reset_over_http2_and_no_more() {
    for (resets, answered, expected) in [(1, false, Ok), (2, false, Violated), (1, true, Violated), (0, false, Ok)] {
        let mut trace = TraceBuilder::default();
        trace.secure(ClientTls { client: "alice", connection: 1, certificate: "lb", http2: true });
        trace.secure(ClientTls { client: "alice", connection: 2, certificate: "lb", http2: false });
        let id = trace.start("alice");
        for _ in 0..resets {
            trace.send(id, 1, Leg::Anonymous);
        }
        if answered {
            trace.receive(id, 1, 401, Some(id), None);
        }
        trace.handshake(id, Route { client_connection: 2, ..IIS1 });
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs1), expected, "{resets} {answered}");
    }
}

#[test]
fn hs1_lets_a_client_begin_again_over_http1_where_it_began_over_http2_and_no_more() {
    for (begun, leg, expected) in
        [(1, Leg::Negotiate, Ok), (2, Leg::Negotiate, Violated), (1, Leg::Authenticate, Violated)]
    {
        let mut trace = TraceBuilder::default();
        trace.secure(ClientTls { client: "alice", connection: 1, certificate: "lb", http2: true });
        trace.secure(ClientTls { client: "alice", connection: 2, certificate: "lb", http2: false });
        trace.preemptive = true;
        let id = trace.start("alice");
        for _ in 0..begun {
            trace.exchange(id, IIS1, leg, 401);
        }
        let over_http1 = Route { client_connection: 2, ..IIS1 };
        trace.exchange(id, over_http1, Leg::Negotiate, 401);
        trace.exchange(id, over_http1, Leg::Authenticate, 200);
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs1), expected, "{begun} {leg:?}");
    }
}

/// alice's ticket authenticates connection 1 of iis1. The flags say whether alice and bob use HTTP/2.
fn streams(site: &SiteSpec, alice: bool, bob: bool) -> TraceBuilder {
    let mut trace = TraceBuilder::at(site);
    trace.tls = Some(TlsSpec { http2: true, ..TlsSpec::default() });
    trace.secure(ClientTls { client: "alice", connection: 1, certificate: "lb", http2: alice });
    trace.secure(ClientTls { client: "bob", connection: 1, certificate: "lb", http2: bob });
    trace.secure(ClientTls { client: "carol", connection: 1, certificate: "lb", http2: true });
    trace.whole_ticket("alice", IIS1);
    trace
}

#[test]
fn tl2_is_kept_by_an_authenticated_connection_that_carries_one_clients_streams() {
    let mut trace = streams(&SiteSpec::default(), true, true);
    trace.again("alice", IIS1);
    trace.whole_ticket("bob", Route { server_connection: 2, ..IIS1 });
    trace.again("bob", Route { server_connection: 2, ..IIS1 });
    let verdict = trace.verdict(Tl2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 4));
}

#[test]
fn tl2_is_kept_by_a_client_that_comes_by_both_versions_of_http() {
    let over_connection_2 = Route { client_connection: 2, ..IIS1 };
    // The logon counts if it came over HTTP/2, and the later request because one of the two did.
    for (first, exercised) in [(true, 2), (false, 1)] {
        let mut trace = streams(&SiteSpec::default(), first, true);
        trace.secure(ClientTls { client: "alice", connection: 2, certificate: "lb", http2: !first });
        trace.again("alice", over_connection_2);
        let verdict = trace.verdict(Tl2);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, exercised), "{first}");
    }
}

#[test]
fn tl2_is_violated_by_two_clients_on_one_authenticated_connection_if_one_of_them_has_http2() {
    for (alice, bob) in [(true, true), (true, false), (false, true)] {
        let mut trace = streams(&SiteSpec::default(), alice, bob);
        let id = trace.start("bob");
        trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
        trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
        let over = |http2| if http2 { "HTTP/2" } else { "HTTP/1.1" };
        assert_eq!(
            trace.summary(Tl2),
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
    let mut trace = streams(&SiteSpec::default(), false, false);
    trace.again("carol", IIS1);
    trace.again("bob", IIS1);
    assert_eq!(trace.verdict(Tl2).evidence.len(), 2, "carol on alice's, and bob on what carol has used");
}

#[test]
fn tl2_is_violated_over_ntlm_too_and_by_a_client_that_means_to_authenticate_anew() {
    let mut trace = streams(&SiteSpec::default(), true, true);
    trace.whole("carol", Route { server_connection: 5, ..IIS1 });
    trace.whole("bob", Route { server_connection: 5, ..IIS1 });
    assert!(trace.summary(Tl2).starts_with("iis1 received bob's request r3 (over HTTP/2) on connection 5"));
}

#[test]
fn tl2_is_not_put_to_the_test_where_connections_stay_unauthenticated_or_carry_http1_alone() {
    let by_request = SiteSpec { persist_non_ntlm: false, ..SiteSpec::default() };
    let via = SiteSpec { via_ends_persistence: true, ..SiteSpec::default() };
    for (site, http2) in [(by_request, true), (via, true), (SiteSpec::default(), false)] {
        let mut trace = streams(&site, http2, http2);
        trace.whole_ticket("bob", IIS1);
        assert_eq!(trace.grade(Tl2), NotExercised, "{site:?}");
    }
}

#[test]
fn tl2_forgets_a_connection_when_its_number_begins_again_and_does_not_judge_unknown_senders() {
    let mut trace = streams(&SiteSpec::default(), true, true);
    accept(&mut trace, "iis1", 1);
    let id = trace.start("bob");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    assert_eq!(trace.grade(Tl2), Ok);
    trace.check("iis1", 7, 200, Some(user("probe")));
    let id = trace.start("bob");
    trace.exchange(id, Route { server_connection: 7, ..IIS1 }, Leg::Anonymous, 401);
    assert_eq!(trace.grade(Tl2), Ok);
}

#[test]
fn tl2_does_not_apply_without_http2() {
    let mut trace = TraceBuilder::default();
    trace.secure(ClientTls { client: "alice", connection: 1, certificate: "lb", http2: false });
    trace.whole_ticket("alice", IIS1);
    trace.answer(Answer {
        request: None,
        route: IIS1,
        number: 9,
        leg: Leg::Anonymous,
        status: 200,
        user: None,
        body: Payload::Empty,
    });
    let grade: Grade = trace.grade(Tl2);
    assert_eq!(grade, NotApplicable);
}
