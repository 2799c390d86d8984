//! HS with Kerberos: how many requests it takes, who can log on at all, and what is not a balancer's fault.

use stickler_model::site::SiteSpec;
use stickler_model::topology::{Agent, Provider};
use stickler_model::{Fault, Leg, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Fo2, Hs1, Hs2, Hs3, Hs5, Hs6};

use crate::story::{LOCKOUT, Story, servers, user};

const SKEW: u32 = 37;
const MODIFIED: u32 = 41;
const PREAUTH_FAILED: u32 = 24;
const REVOKED: u32 = 18;

/// A request over these legs, each on one way: tickets with what the server makes of them.
fn over(preemptive: bool, legs: &[(Leg, u32)]) -> Story {
    let mut story = Story::default();
    story.preemptive = preemptive;
    let id = story.start("alice");
    for (place, &(leg, error)) in (1..).zip(legs) {
        let status = if place == legs.len() { 200 } else { 401 };
        match leg {
            Leg::Ticket => story.present(id, (1, "iis1", 1), error, status),
            _ => story.exchange(id, (1, "iis1", 1), leg, status),
        }
    }
    story.end(id, 200);
    story
}

const ANONYMOUS: (Leg, u32) = (Leg::Anonymous, 0);
const NEGOTIATE: (Leg, u32) = (Leg::Negotiate, 0);
const AUTHENTICATE: (Leg, u32) = (Leg::Authenticate, 0);
const TICKET: (Leg, u32) = (Leg::Ticket, 0);
const SKEWED: (Leg, u32) = (Leg::Ticket, SKEW);
const REFUSED: (Leg, u32) = (Leg::Ticket, MODIFIED);

#[test]
fn hs1_expects_of_each_package_its_own_legs() {
    for (preemptive, legs, expected) in [
        (true, &[TICKET][..], Ok),
        (true, &[TICKET, TICKET], Violated),
        // It took its connection for authenticated.
        (true, &[ANONYMOUS, TICKET], Ok),
        (true, &[ANONYMOUS, ANONYMOUS, TICKET], Violated),
        (false, &[ANONYMOUS, TICKET], Ok),
        (false, &[ANONYMOUS, ANONYMOUS, TICKET], Violated),
        (false, &[ANONYMOUS, TICKET, TICKET], Violated),
        (true, &[SKEWED, TICKET], Ok),
        (false, &[ANONYMOUS, SKEWED, TICKET], Ok),
        (false, &[ANONYMOUS, SKEWED, SKEWED, TICKET], Violated),
        (false, &[ANONYMOUS, REFUSED, NEGOTIATE, AUTHENTICATE], Ok),
        (true, &[REFUSED, NEGOTIATE, AUTHENTICATE], Ok),
        (true, &[ANONYMOUS, REFUSED, NEGOTIATE, AUTHENTICATE], Violated),
        (false, &[ANONYMOUS, NEGOTIATE, AUTHENTICATE], Ok),
        (false, &[ANONYMOUS, ANONYMOUS, NEGOTIATE, AUTHENTICATE], Violated),
    ] {
        assert_eq!(over(preemptive, legs).grade(Hs1), expected, "{preemptive} {legs:?}");
    }
}

#[test]
fn hs1_says_how_many_requests_a_ticket_may_take() {
    let summary = over(true, &[TICKET, TICKET]).summary(Hs1);
    assert_eq!(summary, "alice's request r1 took 2 HTTP requests, not the 1 it may");
}

#[test]
fn hs1_lets_a_preemptive_client_ask_first_where_the_site_authenticates_each_request() {
    for (single_request, expected) in [(true, Ok), (false, Violated)] {
        let mut story = over(true, &[ANONYMOUS, NEGOTIATE, AUTHENTICATE]);
        story.servers = Story::at(&SiteSpec { single_request, ..SiteSpec::default() }).servers;
        assert_eq!(story.grade(Hs1), expected);
    }
}

/// A client of this kind is refused by a site with this provider, whatever it sent.
fn refused(agent: Agent, no_kerberos: bool, provider: Provider) -> Story {
    let mut story = Story::default();
    story.servers = servers(&[provider], &SiteSpec::default());
    story.add_client("alice", agent, no_kerberos);
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    story.end(id, 401);
    story
}

#[test]
fn hs1_judges_a_refusal_only_where_client_and_site_have_a_package_in_common() {
    use Agent::{Browser, Curl, CurlNegotiate};
    use Provider::{Nego2, Negotiate, NegotiateKerberos, Ntlm};
    for (agent, no_kerberos, provider, expected) in [
        (Browser, true, NegotiateKerberos, NotExercised),
        (Browser, false, NegotiateKerberos, Violated),
        (Browser, true, Negotiate, Violated),
        (Browser, true, Nego2, Violated),
        (Browser, false, Ntlm, Violated),
        (Curl, false, Negotiate, NotExercised),
        (Curl, false, Ntlm, Violated),
        (CurlNegotiate, false, Negotiate, Violated),
        (CurlNegotiate, true, Negotiate, NotExercised),
        (CurlNegotiate, false, Ntlm, NotExercised),
        (CurlNegotiate, false, Nego2, NotExercised),
    ] {
        let grade = refused(agent, no_kerberos, provider).grade(Hs1);
        assert_eq!(grade, expected, "{agent:?} {no_kerberos} {provider:?}");
    }
}

#[test]
fn hs1_judges_no_answer_and_service_of_a_client_without_a_common_package_all_the_same() {
    let mut story = refused(Agent::Browser, true, Provider::NegotiateKerberos);
    let id = story.start("alice");
    story.end(id, 502);
    assert_eq!(story.grade(Hs1), Violated);
}

#[test]
fn hs1_is_violated_where_no_backend_can_read_the_services_tickets() {
    let mut story = Story::at(&SiteSpec::default());
    story.add_client("alice", Agent::CurlNegotiate, false);
    let id = story.start("alice");
    story.present(id, (1, "iis1", 1), MODIFIED, 401);
    story.end(id, 401);
    assert!(story.summary(Hs1).ends_with("ended in 401 after 1 HTTP request though the credentials are valid"));
}

#[test]
fn hs1_excuses_a_client_that_needs_a_ticket_while_a_fault_keeps_the_kdc_away() {
    for (agent, fault, expected) in [
        (Agent::CurlNegotiate, Some(Fault::Hold("alice".into(), "dc".into())), Ok),
        (Agent::CurlNegotiate, Some(Fault::Crash("dc".into())), Ok),
        (Agent::CurlNegotiate, None, Violated),
        (Agent::CurlNegotiate, Some(Fault::Hold("lb".into(), "iis2".into())), Violated),
        (Agent::Browser, Some(Fault::Crash("dc".into())), Violated),
    ] {
        let mut story = Story::at(&SiteSpec::default());
        story.add_client("alice", agent, false);
        if let Some(fault) = fault.clone() {
            story.fault(fault);
        }
        let id = story.start("alice");
        story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
        story.end(id, 401);
        assert_eq!(story.grade(Hs1), expected, "{agent:?} {fault:?}");
    }
}

#[test]
fn hs1_does_not_excuse_a_refused_ticket_by_a_kdc_that_is_away() {
    let mut story = Story::at(&SiteSpec::default());
    story.add_client("alice", Agent::CurlNegotiate, false);
    story.fault(Fault::Crash("dc".into()));
    let id = story.start("alice");
    story.present(id, (1, "iis1", 1), MODIFIED, 401);
    story.end(id, 401);
    assert_eq!(story.grade(Hs1), Violated);
}

#[test]
fn hs1_excuses_a_client_whose_account_users_have_locked_at_the_kdc_and_hs6_counts_its_failures_as_theirs() {
    for (mistakes, excused) in [(LOCKOUT, Ok), (LOCKOUT - 1, Violated)] {
        let told = |story: &mut Story, error| {
            let (client, service) = (Some(user("alice")), "krbtgt/CORP.EXAMPLE".into());
            story.see("dc", What::DcTicket { client, service, etype: 0, error });
        };
        let mut story = Story::at(&SiteSpec::default());
        story.add_client("alice", Agent::CurlNegotiate, false);
        for _ in 0..mistakes {
            told(&mut story, PREAUTH_FAILED);
        }
        let id = story.start("alice");
        told(&mut story, REVOKED);
        story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
        story.end(id, 401);
        assert_eq!(story.grade(Hs1), excused, "{mistakes}");

        story.logon(id, "iis1", 1, "alice", 0xC000_0234);
        assert_eq!(story.grade(Hs6), excused, "{mistakes}");
    }
}

#[test]
fn hs5_allows_a_ticket_beside_ntlm() {
    let with = |tickets: u32| {
        let mut story = Story::default();
        let id = story.start_wrong("alice");
        story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
        for _ in 0..tickets {
            story.present(id, (1, "iis1", 1), MODIFIED, 401);
        }
        story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
        story.exchange(id, (1, "iis1", 1), Leg::Authenticate, 401);
        story.end(id, 401);
        story.grade(Hs5)
    };
    assert_eq!((with(0), with(1), with(2)), (Ok, Ok, Violated));
}

/// A server that has no key for tickets answers one with a token that asks for NTLM; the rest goes there.
fn negotiated(there: (&str, u32), challenge: bool, error: u32) -> Story {
    let mut story = Story::default();
    let id = story.start("alice");
    let (first, second) = ((1, "iis1", 1), (1, there.0, there.1));
    story.send(id, 1, Leg::Ticket);
    story.serve(id, first, Leg::Ticket, 401, None);
    if error != 0 {
        let service = String::new();
        story.see("iis1", What::ServerTicket { connection: 1, request: Some(id), client: None, service, error });
    }
    let (status, user) = (401, None);
    story.see("alice", What::ClientReceived { connection: 1, request: id, echoed: Some(id), status, challenge, user });
    story.exchange(id, second, Leg::Negotiate, 401);
    story.exchange(id, second, Leg::Authenticate, 200);
    story.end(id, 200);
    story
}

#[test]
fn hs2_is_violated_when_what_follows_a_ticket_in_one_negotiation_goes_elsewhere() {
    let verdict = negotiated(("iis1", 1), true, 0).verdict(Hs2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
    assert_eq!(
        negotiated(("iis2", 3), true, 0).summary(Hs2),
        "alice's request r1: iis2 received the Negotiate leg on connection 3, but its ticket went elsewhere: \
         on connection 1 of iis1"
    );
}

#[test]
fn hs2_lets_a_handshake_begin_anywhere_after_a_ticket_that_was_refused() {
    for (challenge, error) in [(false, 0), (true, MODIFIED)] {
        let verdict = negotiated(("iis2", 3), challenge, error).verdict(Hs2);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
    }
}

#[test]
fn hs2_ties_a_last_leg_to_the_ticket_that_began_its_handshake_and_asks_nothing_of_a_ticket_alone() {
    let with = |server: &str| {
        let mut story = Story::default();
        let id = story.start("alice");
        story.exchange(id, (1, "iis1", 1), Leg::Ticket, 401);
        story.exchange(id, (1, server, 1), Leg::Authenticate, 200);
        story
    };
    assert_eq!(with("iis1").grade(Hs2), Ok);
    assert!(with("iis2").summary(Hs2).ends_with("but its ticket went elsewhere: on connection 1 of iis1"));
    assert_eq!(over(true, &[TICKET]).grade(Hs2), NotExercised);
}

/// alice's handshake is under way while bob's ticket comes to this end.
fn beside_a_handshake(error: Option<u32>, status: u16) -> Story {
    let mut story = Story::default();
    let (alice, bob) = (story.start("alice"), story.start("bob"));
    story.exchange(alice, (1, "iis1", 1), Leg::Negotiate, 401);
    match error {
        Some(error) => story.present(bob, (1, "iis1", 2), error, status),
        None => story.exchange(bob, (1, "iis1", 2), Leg::Ticket, status),
    }
    story.end(bob, status);
    story.exchange(alice, (1, "iis1", 1), Leg::Authenticate, 200);
    story.end(alice, 200);
    story
}

#[test]
fn hs3_counts_a_ticket_as_a_handshake_and_not_its_refusal_for_what_it_is() {
    let kept = beside_a_handshake(Some(0), 200).verdict(Hs3);
    assert_eq!((kept.grade, kept.exercised), (Ok, 2));
    assert_eq!(beside_a_handshake(None, 401).grade(Hs3), Violated);
    assert_eq!(beside_a_handshake(Some(MODIFIED), 401).grade(Hs3), Ok);
    // A replay is not the ticket's fault.
    assert_eq!(beside_a_handshake(Some(34), 401).grade(Hs3), Violated);
}

#[test]
fn one_ticket_sent_once_and_received_once_is_no_replay() {
    assert_eq!(over(true, &[TICKET]).grade(Fo2), Ok);
}
