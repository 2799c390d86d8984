//! The docstring of a finding: the failure, the people involved, and the other events of the plan.

use std::time::Duration;

use stickler_model::{Action, Plan};
use stickler_oracle::Failure;

use super::{Finding, Story};

/// The maximum number of other events that the docstring mentions.
const MOST_EVENTS: usize = 12;

impl Story {
    /// Describes the course of a plan, and the finding that it shows.
    pub fn of_finding(plan: &Plan, finding: Finding) -> Self {
        let title = title(finding.evidence.failure).to_owned();
        let text =
            [people(plan), events(plan)].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
        Self { title, text, finding: Some(finding) }
    }
}

fn title(failure: Failure) -> &'static str {
    match failure {
        Failure::Unanswered => "A request gets no answer.",
        Failure::Refused => "A client is asked for credentials although it should not be.",
        Failure::WrongStatus => "A request ends in a different status than it should.",
        Failure::TooManyRequests => "A request takes more legs than it needs.",
        Failure::Split => "Requests that belong together are separated.",
        Failure::WrongBody => "A body is not processed as it was sent.",
        Failure::Repeated => "Something is done more often than allowed.",
        Failure::FailedLogon => "The DC counts a failed logon that no user caused.",
        Failure::WrongUser => "A request is processed as another user.",
        Failure::WrongAnswer => "A client receives the answer to another request.",
        Failure::Shared => "Two clients share something that belongs to one.",
        Failure::Moved => "A request goes to a different place than the one to which it belongs.",
        Failure::Closed => "A connection is closed that had to stay open.",
        Failure::Uneven => "Load is not spread as promised.",
        Failure::NoLogonServer => "A request goes to a backend that cannot log users on.",
        Failure::TurnedAway => "A request is turned away though a backend could have served it.",
        Failure::NotTurnedAway => "A request is not turned away though no backend could have served it.",
    }
}

/// Describes the clients, and the number of their requests.
fn people(plan: &Plan) -> String {
    let mut people = Vec::new();
    let (mut requests, mut raw) = (0, false);
    for step in &plan.steps {
        match step {
            Action::AddClient(client) => people.push(match &client.identity {
                Some(identity) if identity.principal.user() == client.name.as_str() => client.name.to_string(),
                Some(identity) => format!("{} (as {})", client.name, identity.principal.as_str()),
                None => format!("{} (without credentials)", client.name),
            }),
            Action::Start { .. } => requests += 1,
            Action::Crowd(crowd) => requests += crowd.count(),
            Action::SendRaw(_) => raw = true,
            _ => {}
        }
    }
    let count = people.len();
    people.truncate(6);
    if count > people.len() {
        people.push(format!("{} more", count - people.len()));
    }
    let servers = match plan.topology.servers.len() {
        1 => "one server".to_owned(),
        servers => format!("{servers} servers"),
    };
    let requests = match requests {
        0 => None,
        1 => Some("one request".to_owned()),
        requests => Some(format!("{requests} requests")),
    };
    let asked: Vec<String> = requests.into_iter().chain(raw.then(|| "raw bytes".to_owned())).collect();
    let uses = if count == 1 { "uses" } else { "use" };
    format!("{} {uses} a site of {servers}: {}.", listed(&people), listed(&asked))
}

/// Describes the other events of the plan, in their order.
fn events(plan: &Plan) -> String {
    let mut events: Vec<String> = plan.steps.iter().filter_map(event).collect();
    events.dedup();
    if events.len() > MOST_EVENTS {
        events.truncate(MOST_EVENTS);
        events.push("more events of this kind follow".to_owned());
    }
    if events.is_empty() { String::new() } else { format!("In the meantime, {}.", listed(&events)) }
}

fn event(step: &Action) -> Option<String> {
    Some(match step {
        Action::Advance(time) if *time >= Duration::from_secs(1) => format!("{} s pass", time.as_secs_f64()),
        Action::AwaitChecks(_) => "the balancer's checks have time to notice".to_owned(),
        Action::Disconnect(client) => format!("{client} closes its connections"),
        Action::SwitchUser(client, identity) => format!("{} takes the seat at {client}", identity.principal.as_str()),
        Action::Drain(host) => format!("{host} is drained"),
        Action::Undrain(host) => format!("{host} is in full use again"),
        Action::Configure(server) => format!("{} is set up anew", server.name),
        Action::Fault(fault) => fault.to_string(),
        _ => return None,
    })
}

/// Returns the items as a list in prose: `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => "Nobody".to_owned(),
        [one] => one.clone(),
        [start @ .., last] => format!("{} and {last}", start.join(", ")),
    }
}
