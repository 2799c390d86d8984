//! HS with Kerberos: how many requests a logon takes, who can log on at all, and what the balancer did not cause.

use stickler_model::agent::Agent;
use stickler_model::site::SiteSpec;
use stickler_model::topology::Provider;
use stickler_model::{Fault, Leg, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Fo2, Hs1, Hs2, Hs3, Hs5, Hs6};

use crate::trace_builder::{IIS1, IIS2, LOCKOUT, Logon, Route, TraceBuilder, servers, user};

const SKEW: u32 = 37;
const MODIFIED: u32 = 41;
const PREAUTH_FAILED: u32 = 24;
const REVOKED: u32 = 18;

/// One leg of a request, and the error with which the server checks it if it is a ticket (0 if the ticket is valid).
#[derive(Debug, Clone, Copy)]
struct Try {
    leg: Leg,
    ticket_error: u32,
}

/// A request over these legs, all on one route.
fn over(preemptive: bool, legs: &[Try]) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.preemptive = preemptive;
    let id = trace.start("alice");
    for (place, &Try { leg, ticket_error }) in (1..).zip(legs) {
        let status = if place == legs.len() { 200 } else { 401 };
        match leg {
            Leg::Ticket => trace.present(id, IIS1, ticket_error, status),
            _ => trace.exchange(id, IIS1, leg, status),
        }
    }
    trace.end(id, 200);
    trace
}

const ANONYMOUS: Try = Try { leg: Leg::Anonymous, ticket_error: 0 };
const NEGOTIATE: Try = Try { leg: Leg::Negotiate, ticket_error: 0 };
const AUTHENTICATE: Try = Try { leg: Leg::Authenticate, ticket_error: 0 };
const TICKET: Try = Try { leg: Leg::Ticket, ticket_error: 0 };
const SKEWED: Try = Try { leg: Leg::Ticket, ticket_error: SKEW };
const REFUSED: Try = Try { leg: Leg::Ticket, ticket_error: MODIFIED };

#[test]
fn hs1_expects_of_each_package_its_own_legs() {
    for (preemptive, legs, expected) in [
        (true, &[TICKET][..], Ok),
        (true, &[TICKET, TICKET], Violated),
        // The client took its connection for authenticated.
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
    assert_eq!(summary, "alice's request r1 took 2 HTTP requests, although at most 1 are allowed");
}

#[test]
fn hs1_lets_a_preemptive_client_ask_first_where_the_site_authenticates_each_request() {
    for (single_request, expected) in [(true, Ok), (false, Violated)] {
        let mut trace = over(true, &[ANONYMOUS, NEGOTIATE, AUTHENTICATE]);
        trace.servers = TraceBuilder::at(&SiteSpec { single_request, ..SiteSpec::default() }).servers;
        assert_eq!(trace.grade(Hs1), expected);
    }
}

/// A client with this user agent is refused by a site with this provider.
fn refused(agent: Agent, no_kerberos: bool, provider: Provider) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.servers = servers(&[provider], &SiteSpec::default());
    trace.add_client("alice", agent, no_kerberos);
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.end(id, 401);
    trace
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
    let party = |agent, no_kerberos, provider| refused(agent, no_kerberos, provider).blame(Hs1).1;
    assert_eq!(party(Browser, true, NegotiateKerberos), Some(Party::Client), "the script forbids it Kerberos");
    assert_eq!(party(Curl, false, Negotiate), Some(Party::SiteSetUp));
}

#[test]
fn hs1_counts_a_package_under_a_scheme_that_the_client_goes_over_to_and_no_other() {
    use Provider::{Negotiate, Ntlm};
    for (agent, expected) in
        [(Agent::ChromiumLinux, Violated), (Agent::FirefoxLinux, Violated), (Agent::CurlAnyauth, NotExercised)]
    {
        let mut trace = refused(agent, true, Ntlm);
        trace.servers = servers(&[Negotiate, Ntlm], &SiteSpec::default());
        assert_eq!(trace.grade(Hs1), expected, "{agent:?} without a ticket");
        assert_eq!(refused(agent, true, Ntlm).grade(Hs1), Violated, "{agent:?} where NTLM alone is offered");
    }
}

#[test]
fn hs1_judges_no_answer_and_service_of_a_client_without_a_common_package_all_the_same() {
    let mut trace = refused(Agent::Browser, true, Provider::NegotiateKerberos);
    let id = trace.start("alice");
    trace.end(id, 502);
    assert_eq!(trace.grade(Hs1), Violated);
}

#[test]
fn hs1_is_violated_where_no_backend_can_read_the_services_tickets() {
    let mut trace = TraceBuilder::at(&SiteSpec::default());
    trace.add_client("alice", Agent::CurlNegotiate, false);
    let id = trace.start("alice");
    trace.present(id, IIS1, MODIFIED, 401);
    trace.end(id, 401);
    assert!(trace.summary(Hs1).ends_with("ended in 401 after 1 HTTP request though the credentials are valid"));
}

#[test]
fn hs1_excuses_a_client_that_needs_a_ticket_while_a_fault_keeps_the_kdc_away() {
    let excused = (NotExercised, Some(Party::InjectedFault));
    let violated = (Violated, Some(Party::Balancer));
    for (agent, fault, expected) in [
        (Agent::CurlNegotiate, Some(Fault::Hold("alice".into(), "dc".into())), excused),
        (Agent::CurlNegotiate, Some(Fault::Crash("dc".into())), excused),
        (Agent::CurlNegotiate, None, violated),
        (Agent::CurlNegotiate, Some(Fault::Hold("lb".into(), "iis2".into())), violated),
        (Agent::CurlNegotiate, Some(Fault::Hold("bob".into(), "dc".into())), violated),
        (Agent::Browser, Some(Fault::Crash("dc".into())), violated),
    ] {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        trace.add_client("alice", agent, false);
        trace.add_client("bob", agent, false);
        if let Some(fault) = fault.clone() {
            trace.fault(fault);
        }
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{agent:?} {fault:?}");
    }
}

#[test]
fn hs1_excuses_a_client_for_as_long_as_it_remembers_that_its_kdc_did_not_answer() {
    for (seconds, expected) in [(49, NotExercised), (51, Violated)] {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        trace.add_client("alice", Agent::CurlNegotiate, false);
        trace.fault(Fault::Crash("dc".into()));
        trace.fault(Fault::Restart("dc".into()));
        trace.pass(seconds);
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        trace.end(id, 401);
        assert_eq!(trace.grade(Hs1), expected, "{seconds}");
    }
}

#[test]
fn hs1_blames_the_site_for_a_ticket_that_its_server_cannot_read_and_no_kdc_that_is_away() {
    let mut trace = TraceBuilder::at(&SiteSpec::default());
    trace.add_client("alice", Agent::CurlNegotiate, false);
    trace.fault(Fault::Crash("dc".into()));
    let id = trace.start("alice");
    trace.present(id, IIS1, MODIFIED, 401);
    trace.end(id, 401);
    assert_eq!(trace.blame(Hs1), (NotExercised, Some(Party::SiteSetUp)));
}

#[test]
fn hs1_blames_a_balancer_for_a_ticket_that_it_refuses_itself_and_for_ntlm_that_fails_after_a_ticket() {
    let site = (NotExercised, Some(Party::SiteSetUp));
    let balancer = (Violated, Some(Party::Balancer));
    for (by, ntlm, expected) in [("iis1", false, site), ("lb", false, balancer), ("iis1", true, balancer)] {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        trace.add_client("alice", Agent::Browser, false);
        let id = trace.start("alice");
        trace.present(id, Route { server: by, ..IIS1 }, MODIFIED, 401);
        if ntlm {
            trace.exchange(id, IIS1, Leg::Negotiate, 401);
            trace.exchange(id, IIS1, Leg::Authenticate, 401);
        }
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), expected, "{by} {ntlm}");
    }
}

#[test]
fn hs1_excuses_a_client_whose_account_users_have_locked_at_the_kdc_and_hs6_counts_its_failures_as_theirs() {
    for (mistakes, excused) in [(LOCKOUT, Ok), (LOCKOUT - 1, Violated)] {
        let note = |trace: &mut TraceBuilder, error| {
            let (client, service) = (Some(user("alice")), "krbtgt/CORP.EXAMPLE".into());
            trace.see("dc", What::DcTicket { client, service, etype: 0, error });
        };
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        trace.add_client("alice", Agent::CurlNegotiate, false);
        for _ in 0..mistakes {
            note(&mut trace, PREAUTH_FAILED);
        }
        let id = trace.start("alice");
        note(&mut trace, REVOKED);
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        trace.end(id, 401);
        let expected =
            if excused == Ok { (NotExercised, Some(Party::Client)) } else { (Violated, Some(Party::Balancer)) };
        assert_eq!(trace.blame(Hs1), expected, "{mistakes}");

        trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: 0xC000_0234 });
        assert_eq!(trace.grade(Hs6), excused, "{mistakes}");
    }
}

#[test]
fn hs5_allows_a_ticket_beside_ntlm() {
    let with = |tickets: u32| {
        let mut trace = TraceBuilder::default();
        let id = trace.start_wrong("alice");
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        for _ in 0..tickets {
            trace.present(id, IIS1, MODIFIED, 401);
        }
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
        trace.exchange(id, IIS1, Leg::Authenticate, 401);
        trace.end(id, 401);
        trace.grade(Hs5)
    };
    assert_eq!((with(0), with(1), with(2)), (Ok, Ok, Violated));
}

/// A server answers a ticket with a token that asks for NTLM: it has no key for tickets, or has `checked` this one with
/// this error. The other legs go `there`.
fn negotiated(there: Route<'_>, challenge: bool, checked: Option<u32>) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Ticket);
    trace.serve(id, IIS1, Leg::Ticket, 401, None);
    if let Some(error) = checked {
        let service = String::new();
        trace.see("iis1", What::ServerTicket { connection: 1, request: Some(id), client: None, service, error });
    }
    let (status, user) = (401, None);
    trace.see("alice", What::ClientReceived { connection: 1, request: id, echoed: Some(id), status, challenge, user });
    trace.exchange(id, there, Leg::Negotiate, 401);
    trace.exchange(id, there, Leg::Authenticate, 200);
    trace.end(id, 200);
    trace
}

#[test]
fn hs2_is_violated_when_what_follows_a_ticket_in_one_negotiation_goes_elsewhere() {
    for checked in [None, Some(0)] {
        let verdict = negotiated(IIS1, true, checked).verdict(Hs2);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
        assert_eq!(
            negotiated(Route { server_connection: 3, ..IIS2 }, true, checked).summary(Hs2),
            "alice's request r1: iis2 received the Negotiate leg on connection 3, but its ticket went elsewhere: \
             on connection 1 of iis1"
        );
    }
    let elsewhere = Route { client_connection: 2, server_connection: 3, ..IIS2 };
    let verdict = negotiated(elsewhere, true, None).verdict(Hs2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1), "on another connection the client begins anew");
}

#[test]
fn hs2_lets_a_handshake_begin_anywhere_after_a_ticket_that_was_refused() {
    for (challenge, checked) in [(false, None), (true, Some(MODIFIED))] {
        let verdict = negotiated(Route { server_connection: 3, ..IIS2 }, challenge, checked).verdict(Hs2);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
    }
}

#[test]
fn hs2_ties_a_last_leg_to_the_ticket_that_began_its_handshake_and_asks_nothing_of_a_ticket_alone() {
    let with = |server: &str| {
        let mut trace = TraceBuilder::default();
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Ticket, 401);
        trace.exchange(id, Route { server, ..IIS1 }, Leg::Authenticate, 200);
        trace
    };
    assert_eq!(with("iis1").grade(Hs2), Ok);
    assert!(with("iis2").summary(Hs2).ends_with("but its ticket went elsewhere: on connection 1 of iis1"));
    assert_eq!(over(true, &[TICKET]).grade(Hs2), NotExercised);
}

/// alice's handshake is in progress while bob's ticket has this result.
fn beside_a_handshake(error: Option<u32>, status: u16) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    let (alice, bob) = (trace.start("alice"), trace.start("bob"));
    trace.exchange(alice, IIS1, Leg::Negotiate, 401);
    match error {
        Some(error) => trace.present(bob, Route { server_connection: 2, ..IIS1 }, error, status),
        None => trace.exchange(bob, Route { server_connection: 2, ..IIS1 }, Leg::Ticket, status),
    }
    trace.end(bob, status);
    trace.exchange(alice, IIS1, Leg::Authenticate, 200);
    trace.end(alice, 200);
    trace
}

#[test]
fn hs3_counts_a_ticket_as_a_handshake_and_not_its_refusal_for_what_it_is() {
    let kept = beside_a_handshake(Some(0), 200).verdict(Hs3);
    assert_eq!((kept.grade, kept.exercised), (Ok, 2));
    assert_eq!(beside_a_handshake(None, 401).grade(Hs3), Violated);
    assert_eq!(beside_a_handshake(Some(MODIFIED), 401).grade(Hs3), Ok);
    // A replayed ticket is valid in itself.
    assert_eq!(beside_a_handshake(Some(34), 401).grade(Hs3), Violated);
}

#[test]
fn one_ticket_sent_once_and_received_once_is_no_replay() {
    assert_eq!(over(true, &[TICKET]).grade(Fo2), Ok);
}
