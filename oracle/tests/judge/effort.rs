//! What work costs.

use stickler_model::{Leg, RequestId, What};
use stickler_oracle::{Cost, Effort};

use crate::story::{Story, user};

fn asks_for_a_ticket(story: &mut Story, service: &str) {
    let (client, service) = (Some(user("alice")), service.into());
    story.see("dc", What::DcTicket { client, service, etype: 18, error: 0 });
}

#[test]
fn ntlm_asks_the_dc_for_each_handshake_and_persisted_requests_cost_nothing_more() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
    story.send(id, 1, Leg::Authenticate);
    story.logon(id, "iis1", 1, "alice", 0);
    story.again("alice", (1, "iis1", 1));
    let effort = Effort::of(&story.trace());
    assert_eq!(effort.request(RequestId(1)), Cost { http_requests: 3, logons: 1, ..Cost::default() });
    assert_eq!(effort.request(RequestId(2)), Cost { http_requests: 1, ..Cost::default() });
    assert_eq!(effort.request(RequestId(3)), Cost::default());
    assert_eq!(effort.total, Cost { http_requests: 4, logons: 1, ..Cost::default() });
    assert_eq!(effort.total.dc_round_trips(), 1);
}

#[test]
fn kerberos_asks_the_dc_for_tickets_and_the_server_checks_each_that_it_gets_also_those_it_refuses() {
    let mut story = Story::default();
    asks_for_a_ticket(&mut story, "krbtgt/CORP.EXAMPLE");
    asks_for_a_ticket(&mut story, "HTTP/www.corp.example");
    for _ in 0..3 {
        story.whole_ticket("alice", (1, "iis1", 1));
    }
    let id = story.start("alice");
    story.present(id, (1, "iis2", 1), 41, 401);
    let effort = Effort::of(&story.trace());
    assert_eq!(effort.total, Cost { http_requests: 4, ticket_checks: 4, logons: 0, dc_tickets: 2 });
    assert_eq!(effort.total.dc_round_trips(), 2);
    assert_eq!(effort.by_request.len(), 4);
    assert!(
        effort.by_request.values().all(|cost| *cost == Cost { http_requests: 1, ticket_checks: 1, ..Cost::default() })
    );
}

#[test]
fn logons_and_tickets_of_unknown_senders_count_in_the_total_alone() {
    let mut story = Story::default();
    let decided = What::DcLogon { server: "iis1".into(), logon: 1, account: user("probe"), status: 0, bad_count: 0 };
    story.see("dc", decided);
    story.see("iis1", What::ServerLogon { connection: 1, request: None, logon: 1, account: user("probe"), status: 0 });
    let service = "HTTP/www.corp.example".into();
    story.see("iis1", What::ServerTicket { connection: 1, request: None, client: None, service, error: 34 });
    let effort = Effort::of(&story.trace());
    assert_eq!(effort.total, Cost { ticket_checks: 1, logons: 1, ..Cost::default() });
    assert!(effort.by_request.is_empty());
}
