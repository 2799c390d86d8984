//! A world without a network: one server that knows the directory, and answers at once.
//!
//! The world replaces `sim` where the script language is tested rather than the balancers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_model::action::AppAnswer;
use stickler_model::trace::Promises;
use stickler_model::{
    Action, Answer, BalancerSpec, ClientSpec, Clock, Event, Fault, Header, Journal, Name, Outcome, RequestId,
    RequestSpec, Time, Topology, Trace, What, World, WorldError,
};
use stickler_runner::Arm;

#[derive(Default)]
struct TestClock(Mutex<Time>);

impl Clock for TestClock {
    fn now(&self) -> Time {
        *self.0.lock().unwrap()
    }

    fn epoch(&self) -> u64 {
        0
    }
}

/// A world in which every client has one connection to `iis1`, and each request takes 1 ms.
pub(crate) struct Double {
    header: Header,
    clock: Arc<TestClock>,
    journal: Arc<Journal>,
    clients: BTreeMap<String, (ClientSpec, u32)>,
    under_way: BTreeMap<RequestId, Answer>,
    crashed: bool,
}

/// An arm that builds such worlds.
struct DoubleArm;

/// Returns an arm that builds such worlds.
pub(crate) fn arm() -> Arc<dyn Arm> {
    Arc::new(DoubleArm)
}

impl Arm for DoubleArm {
    fn name(&self) -> &'static str {
        "double"
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        if balancer.to_string() == "no-such" {
            let known = vec!["l4-nat".into()];
            return Err(WorldError::Unknown { kind: "balancer", name: balancer.to_string(), known });
        }
        let clock = Arc::new(TestClock::default());
        let journal = Journal::new(clock.clone());
        let header = Header { seed, balancer: balancer.clone(), topology, promises: Promises::default() };
        let (clients, under_way) = (BTreeMap::new(), BTreeMap::new());
        Ok(Box::new(Double { header, clock, journal, clients, under_way, crashed: false }))
    }

    fn build_control(&self, _: Topology, _: u64) -> Result<Box<dyn World>, WorldError> {
        Err(WorldError::Unsupported("this world has no balancer that could be replaced".into()))
    }
}

impl World for Double {
    fn perform(&mut self, action: Action) -> Result<Outcome, WorldError> {
        let action = action.over(&self.header.promises);
        self.journal.record(&"world".into(), What::Action(action.clone()));
        let outcome = self.act(action);
        if outcome.is_err() {
            self.journal.retract_action();
        }
        outcome
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn promises(&self) -> Promises {
        self.header.promises.clone()
    }

    fn visit(&self, see: &mut dyn FnMut(&Event)) {
        self.journal.visit(see);
    }

    fn finish(self: Box<Self>) -> Trace {
        Trace { header: self.header, events: self.journal.take() }
    }
}

impl Double {
    fn act(&mut self, action: Action) -> Result<Outcome, WorldError> {
        match action {
            Action::AddClient(spec) if self.clients.contains_key(spec.name.as_str()) => {
                return Err(WorldError::Duplicate(spec.name.to_string()));
            }
            Action::AddClient(spec) => drop(self.clients.insert(spec.name.to_string(), (spec, 0))),
            Action::Start { id, request } => return self.start(id, &request),
            Action::Await(request) => {
                let answer = self.under_way.remove(&request).ok_or(WorldError::NotStarted(request))?;
                return Ok(Outcome::Answered(Box::new(answer)));
            }
            Action::Crowd(crowd) => {
                let asking = crowd.clients.iter().flat_map(|client| (0..crowd.requests).map(move |_| client));
                for (id, client) in crowd.ids().zip(asking) {
                    self.start(id, &crowd.request(client))?;
                }
            }
            Action::Advance(time) => self.pass(time),
            Action::AwaitChecks(wait) => self.pass(wait.over(&self.promises())),
            Action::Disconnect(client) => self.client(&client)?.1 = 0,
            Action::Fault(Fault::Crash(host)) => self.crash(&host, true)?,
            Action::Fault(Fault::Restart(host)) => self.crash(&host, false)?,
            Action::MakeToken { .. } => return Ok(Outcome::Token(None)),
            Action::SendRaw(raw) => return Ok(Outcome::Bytes(raw.resolve(|_| None)?)),
            Action::Fault(Fault::PowerLoss(host)) if host.as_str() == "lb" => {
                return Err(WorldError::Unsupported("there is no power to lose here".into()));
            }
            Action::Fault(_)
            | Action::Configure(_)
            | Action::SwitchUser(..)
            | Action::Drain(_)
            | Action::Undrain(_) => {}
        }
        Ok(Outcome::Done)
    }

    fn start(&mut self, request: RequestId, spec: &RequestSpec) -> Result<Outcome, WorldError> {
        let accounts = self.header.topology.domain.users.clone();
        let crashed = self.crashed;
        let (client, number) = self.client(&spec.client)?;
        *number += 1;
        let (identity, number) = (client.identity.clone(), *number);
        let good = |user: &str, password: &str| {
            accounts.iter().any(|account| account.name == user && account.password == password)
        };
        let user = identity
            .filter(|identity| good(identity.principal.user(), &identity.password))
            .map(|identity| identity.principal);
        let status = if user.is_some() { 200 } else { 401 };
        let application = user.filter(|_| !crashed).map(|user| AppAnswer {
            server: "iis1".into(),
            connection: 1,
            number,
            user: Some(user),
            method: spec.method.clone(),
            path: spec.path.clone(),
            length: spec.body.len(),
            digest: spec.body.digest(),
            hop: None,
        });
        self.pass(Duration::from_millis(1));
        let answer = Answer {
            request,
            status: (!crashed).then_some(status),
            error: crashed.then(|| "connection refused".into()),
            requests: 2,
            elapsed: Duration::from_millis(1),
            application,
            body_length: 0,
            body_digest: stickler_model::payload::Digest::EMPTY,
            headers: vec![
                ("Server".into(), "Double".into()),
                ("Set-Cookie".into(), "a=1".into()),
                ("Set-Cookie".into(), "b=2".into()),
            ],
        };
        self.under_way.insert(request, answer);
        Ok(Outcome::Done)
    }

    fn pass(&self, time: Duration) {
        let mut now = self.clock.0.lock().unwrap();
        *now = *now + time;
    }

    fn client(&mut self, name: &Name) -> Result<&mut (ClientSpec, u32), WorldError> {
        let known = self.clients.keys().cloned().collect();
        self.clients.get_mut(name.as_str()).ok_or_else(|| WorldError::Unknown {
            kind: "client",
            name: name.to_string(),
            known,
        })
    }

    fn crash(&mut self, host: &Name, crashed: bool) -> Result<(), WorldError> {
        let known: Vec<String> = self.header.topology.servers.iter().map(|server| server.name.to_string()).collect();
        if !known.contains(&host.to_string()) {
            return Err(WorldError::Unknown { kind: "host", name: host.to_string(), known });
        }
        self.crashed = crashed;
        Ok(())
    }
}
