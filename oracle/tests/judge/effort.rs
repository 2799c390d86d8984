//! The cost of runs.

use stickler_model::{Leg, RequestId, What};
use stickler_oracle::{Cost, Effort};

use crate::trace_builder::{IIS1, IIS2, Logon, TraceBuilder, user};

fn asks_for_a_ticket(trace: &mut TraceBuilder, service: &str) {
    let (client, service) = (Some(user("alice")), service.into());
    trace.see("dc", What::DcTicket { client, service, etype: 18, error: 0 });
}

#[test]
fn ntlm_asks_the_dc_for_each_handshake_and_persisted_requests_cost_nothing_more() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.send(id, 1, Leg::Authenticate);
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: 0 });
    trace.again("alice", IIS1);
    let effort = Effort::of(&trace.build());
    assert_eq!(effort.request(RequestId(1)), Cost { http_requests: 3, logons: 1, ..Cost::default() });
    assert_eq!(effort.request(RequestId(2)), Cost { http_requests: 1, ..Cost::default() });
    assert_eq!(effort.request(RequestId(3)), Cost::default());
    assert_eq!(effort.total, Cost { http_requests: 4, logons: 1, ..Cost::default() });
    assert_eq!(effort.total.dc_round_trips(), 1);
}

#[test]
fn kerberos_asks_the_dc_for_tickets_and_the_server_checks_each_that_it_gets_also_those_it_refuses() {
    let mut trace = TraceBuilder::default();
    asks_for_a_ticket(&mut trace, "krbtgt/CORP.EXAMPLE");
    asks_for_a_ticket(&mut trace, "HTTP/www.corp.example");
    for _ in 0..3 {
        trace.whole_ticket("alice", IIS1);
    }
    let id = trace.start("alice");
    trace.present(id, IIS2, 41, 401);
    let effort = Effort::of(&trace.build());
    assert_eq!(effort.total, Cost { http_requests: 4, ticket_checks: 4, logons: 0, dc_tickets: 2 });
    assert_eq!(effort.total.dc_round_trips(), 2);
    assert_eq!(effort.by_request.len(), 4);
    assert!(
        effort.by_request.values().all(|cost| *cost == Cost { http_requests: 1, ticket_checks: 1, ..Cost::default() })
    );
}

#[test]
fn logons_and_tickets_of_unknown_senders_count_in_the_total_alone() {
    let mut trace = TraceBuilder::default();
    let decided = What::DcLogon { server: "iis1".into(), logon: 1, account: user("probe"), status: 0, bad_count: 0 };
    trace.see("dc", decided);
    trace.see("iis1", What::ServerLogon { connection: 1, request: None, logon: 1, account: user("probe"), status: 0 });
    let service = "HTTP/www.corp.example".into();
    trace.see("iis1", What::ServerTicket { connection: 1, request: None, client: None, service, error: 34 });
    let effort = Effort::of(&trace.build());
    assert_eq!(effort.total, Cost { ticket_checks: 1, logons: 1, ..Cost::default() });
    assert!(effort.by_request.is_empty());
}

#[test]
fn one_event_is_one_operation_or_none() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.present(id, IIS1, 0, 200);
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: 0 });
    asks_for_a_ticket(&mut trace, "krbtgt/CORP.EXAMPLE");
    let nothing = Cost::default();
    let costs: Vec<Cost> = trace.events.iter().map(|event| Cost::of(&event.what)).collect();
    assert_eq!(
        costs,
        [
            nothing,
            Cost { http_requests: 1, ..nothing },
            nothing,
            Cost { ticket_checks: 1, ..nothing },
            nothing,
            nothing,
            // The DC's decision counts, and not the server's record of it.
            Cost { logons: 1, ..nothing },
            nothing,
            Cost { dc_tickets: 1, ..nothing },
        ]
    );
}
