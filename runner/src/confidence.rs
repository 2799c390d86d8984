//! The confidence in a result without leaks over a balancer: how rare a leak could be and still have been missed.
//!
//! A leak can depend on chance, for example on which connections are idle at the moment. A run without a leak therefore
//! proves little if it had few requests. A trial is a request that could have been served as another user: the server
//! that answered it had accepted another user's proof of identity before. If a leak of 1% per request is to be missed
//! with a probability of less than 5%, 300 trials are needed (0.99^300 = 0.049). At least six clients are needed as
//! well, since each of two clients could have a worker of the balancer, with all its connections, to itself.
//!
//! On the simulated network the seed determines the schedule, and a scenario states what is expected. Confidence is not
//! needed there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use stickler_model::{Leg, Name, Principal, RequestId, Trace, What};
use stickler_oracle::{Grade, Requirement};

use crate::{End, Run};

/// The smallest number of requests that can be called clean.
pub const REQUESTS: u64 = 300;

/// The smallest number of clients whose requests can be called clean.
pub const CLIENTS: usize = 6;

/// The rate of the leak, per request, whose detection is judged.
pub const RATE: f64 = 0.01;

/// How thoroughly runs looked for users who are mixed up, and whether they found any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confidence {
    /// The number of requests that could have been served as another user.
    pub requests: u64,
    /// The largest number of clients that sent them in one run.
    pub clients: usize,
    /// The number of runs in which a requirement of the family ID was violated.
    pub leaking: u32,
}

/// What can be concluded about the identity of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// Users were mixed up. One occurrence is sufficient.
    Leaks,
    /// Users were not mixed up, in enough requests that a rare leak would have shown.
    Clean,
    /// Users were not mixed up, but in too few requests.
    Inconclusive,
}

impl Confidence {
    /// Returns the confidence that a run gives. A run that was not performed to its end contributes no clean requests.
    pub fn of(run: &Run) -> Self {
        let is_of_identity = |requirement: Requirement| requirement.id().starts_with("ID-");
        let leaks = run.graded(Grade::Violated).any(|verdict| is_of_identity(verdict.requirement));
        let seen = run.trace.as_ref().filter(|_| run.end == End::Complete).map(Self::of_trace);
        Self { leaking: leaks.into(), ..seen.unwrap_or_default() }
    }

    /// Counts the requests of a trace that could have been served as another user, and their clients.
    pub fn of_trace(trace: &Trace) -> Self {
        let mut senders: BTreeMap<RequestId, (&Name, Option<&Principal>)> = BTreeMap::new();
        let mut logged_on: BTreeMap<&Name, BTreeSet<String>> = BTreeMap::new();
        let mut tried: BTreeSet<RequestId> = BTreeSet::new();
        let mut clients: BTreeSet<&Name> = BTreeSet::new();
        for event in &trace.events {
            match &event.what {
                What::RequestStarted { request, identity, .. } => {
                    senders.insert(*request, (&event.by, identity.as_ref()));
                }
                What::ServerAnswered { request, leg, user, .. } => {
                    let users = logged_on.entry(&event.by).or_default();
                    let sender = request.and_then(|id| senders.get(&id).map(|&sender| (id, sender)));
                    if let Some((id, (client, identity))) = sender
                        && has_other(users, identity)
                    {
                        tried.insert(id);
                        clients.insert(client);
                    }
                    if let (Leg::Authenticate | Leg::Ticket, Some(user)) = (leg, user) {
                        users.insert(folded(user));
                    }
                }
                _ => {}
            }
        }
        Self { requests: tried.len() as u64, clients: clients.len(), leaking: 0 }
    }

    /// Adds the confidence of other runs over the same balancer.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.clients = self.clients.max(other.clients);
        self.leaking += other.leaking;
    }

    /// Returns the probability that all these requests were served as their own user although each had the probability
    /// `rate` (0 to 1) of being served as another.
    pub fn missed(&self, rate: f64) -> f64 {
        (1.0 - rate).powf(self.requests as f64)
    }

    /// Returns the conclusion.
    pub fn conclusion(&self) -> Conclusion {
        match self {
            Self { leaking: 1.., .. } => Conclusion::Leaks,
            Self { requests: REQUESTS.., clients: CLIENTS.., .. } => Conclusion::Clean,
            _ => Conclusion::Inconclusive,
        }
    }

    /// Returns how many times as many runs would have enough requests. Returns `None` if more of the same runs would
    /// not help, because they have too few clients or no request that counts.
    pub fn times_needed(&self) -> Option<u64> {
        (self.requests > 0 && self.clients >= CLIENTS).then(|| REQUESTS.div_ceil(self.requests))
    }
}

/// Returns whether a user other than this one has logged on. Names are compared without their domains, because servers
/// have their own names for local accounts.
fn has_other(users: &BTreeSet<String>, identity: Option<&Principal>) -> bool {
    let own = identity.map(folded);
    users.iter().any(|user| own.as_ref() != Some(user))
}

fn folded(user: &Principal) -> String {
    user.user().to_lowercase()
}

impl fmt::Display for Confidence {
    /// Formats the conclusion with its number as one sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, clients, leaking } = self;
        match self.conclusion() {
            Conclusion::Leaks => {
                let runs = if *leaking == 1 { "run" } else { "runs" };
                return write!(f, "users are mixed up, in {leaking} {runs}");
            }
            Conclusion::Clean => f.write_str("clean: no identity leak")?,
            Conclusion::Inconclusive => f.write_str("inconclusive: no identity leak")?,
        }
        write!(
            f,
            " in {requests} requests of {clients} clients that could have been served as others \
             (a leak of 1% per request would be missed with p = {:.2})",
            self.missed(RATE)
        )?;
        if self.conclusion() == Conclusion::Inconclusive {
            write!(f, "; clean takes {REQUESTS} requests of {CLIENTS} clients")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stickler_model::event::Credentials;
    use stickler_model::payload::Digest;
    use stickler_model::trace::Promises;
    use stickler_model::{BalancerSpec, Event, Header, Payload, Time, standard};

    use super::*;

    fn digest() -> Digest {
        Payload::Empty.digest()
    }

    /// Returns the events of one request that a server answers. Its client has the user of its own name, or no
    /// credentials.
    fn request(id: u32, client: &str, user: Option<&str>, leg: Leg) -> [Event; 2] {
        let user = user.map(|user| Principal::new("CORP", user));
        let event = |by: &str, what| Event { at: Time(u64::from(id)), by: by.into(), what };
        let started = What::RequestStarted {
            request: RequestId(id),
            identity: user.clone(),
            credentials: if user.is_some() { Credentials::Valid } else { Credentials::None },
            preemptive: false,
            method: "GET".into(),
            path: "/".into(),
            length: 0,
            digest: digest(),
        };
        let answered = What::ServerAnswered {
            connection: 1,
            number: id,
            request: Some(RequestId(id)),
            leg,
            status: 200,
            substatus: 0,
            win32: 0,
            user,
            processed: true,
            length: 0,
            digest: digest(),
        };
        [event(client, started), event("iis1", answered)]
    }

    fn trace(events: Vec<Event>) -> Trace {
        let (balancer, topology) = (BalancerSpec::named("l4-nat"), standard::site(1));
        Trace { header: Header { seed: 0, balancer, topology, promises: Promises::default() }, events }
    }

    fn of(requests: impl IntoIterator<Item = [Event; 2]>) -> Confidence {
        Confidence::of_trace(&trace(requests.into_iter().flatten().collect()))
    }

    #[test]
    fn a_request_counts_once_somebody_else_has_logged_on() {
        let alice = |id| request(id, "alice", Some("alice"), Leg::Authenticate);
        let bob = |id| request(id, "bob", Some("bob"), Leg::Authenticate);
        assert_eq!(of([alice(1), alice(2)]).requests, 0, "alice alone can be nobody else");
        assert_eq!(of([alice(1), bob(2)]), Confidence { requests: 1, clients: 1, leaking: 0 });
        assert_eq!(of([alice(1), bob(2), alice(3)]), Confidence { requests: 2, clients: 2, leaking: 0 });
        let mallory = |id| request(id, "mallory", None, Leg::Anonymous);
        assert_eq!(of([mallory(1), alice(2), mallory(3)]).requests, 1, "before alice, there was nobody to be");
        assert_eq!(of([alice(1), mallory(2), mallory(2)]).requests, 1, "two legs of one request are one");
    }

    #[test]
    fn two_clients_of_one_user_cannot_be_mixed_up_and_servers_share_no_connection() {
        let alice = |id, client| request(id, client, Some("alice"), Leg::Authenticate);
        assert_eq!(of([alice(1, "one"), alice(2, "two")]).requests, 0);
        let mut elsewhere = request(2, "bob", Some("bob"), Leg::Authenticate);
        elsewhere[1].by = "iis2".into();
        assert_eq!(of([alice(1, "one"), elsewhere]).requests, 0);
    }

    #[test]
    fn clean_takes_300_requests_of_six_clients() {
        let of = |requests, clients| Confidence { requests, clients, leaking: 0 };
        assert_eq!(of(300, 6).conclusion(), Conclusion::Clean);
        assert_eq!(of(299, 6).conclusion(), Conclusion::Inconclusive);
        assert_eq!(of(3_000, 5).conclusion(), Conclusion::Inconclusive);
        assert_eq!(of(0, 0).conclusion(), Conclusion::Inconclusive);
        assert!(of(300, 6).missed(RATE) < 0.05 && of(298, 6).missed(RATE) > 0.05);
        assert_eq!(Confidence { leaking: 1, ..of(300, 6) }.conclusion(), Conclusion::Leaks);
        assert_eq!(Confidence { leaking: 1, ..of(1, 2) }.conclusion(), Conclusion::Leaks, "one leak is one");
    }

    #[test]
    fn runs_of_one_balancer_add_up() {
        let mut all = Confidence { requests: 36, clients: 7, leaking: 0 };
        assert_eq!(all.times_needed(), Some(9));
        all.add(Confidence { requests: 264, clients: 2, leaking: 0 });
        assert_eq!(all, Confidence { requests: 300, clients: 7, leaking: 0 });
        assert_eq!(all.conclusion(), Conclusion::Clean);
        assert_eq!(Confidence { clients: 2, ..all }.times_needed(), None, "more of two clients are two clients");
    }

    #[test]
    fn it_is_said_with_its_number() {
        let said = |requests, clients, leaking| Confidence { requests, clients, leaking }.to_string();
        assert_eq!(
            said(412, 7, 0),
            "clean: no identity leak in 412 requests of 7 clients that could have been served as others (a leak of 1% per request \
             would be missed with p = 0.02)"
        );
        assert_eq!(
            said(40, 7, 0),
            "inconclusive: no identity leak in 40 requests of 7 clients that could have been served as others (a leak of 1% per \
             request would be missed with p = 0.67); clean takes 300 requests of 6 clients"
        );
        assert_eq!(said(40, 7, 2), "users are mixed up, in 2 runs");
    }
}
