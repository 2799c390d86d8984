//! Load on the whole simulated world.

use std::sync::Arc;

use stickler_catalogue::Mechanism;
use stickler_mock_client::Client;
use stickler_model::event::Credentials;
use stickler_model::{
    Action, Answer, BalancerSpec, ClientSpec, Name, Payload, Profile, RequestId, RequestSpec, Topology, World as _,
    standard,
};
use stickler_sim::SimWorld;
use stickler_sim::engine::SimNet;

use super::{Plan, Shape, Work, run_on_all};

/// The number of rounds until connections, pools and identities have settled.
const WARM_UP: usize = 3;

/// A site with its clients. There is one engine per thread: drop this value before creating the next.
pub struct Site {
    world: SimWorld,
    seats: Vec<Seat>,
    shape: Shape,
    next_request: u32,
}

struct Seat {
    client: Client<SimNet>,
    net: SimNet,
    spec: Arc<RequestSpec>,
    credentials: Credentials,
}

/// Returns the standard site with two backends.
pub fn standard_topology() -> Topology {
    standard::site(2)
}

/// Returns a browser, which sends an anonymous request first, so its handshake takes three exchanges, and which sends a
/// MIC.
pub(crate) fn browser(name: &Name, logs_on: bool) -> ClientSpec {
    ClientSpec::new(name.clone(), Profile::BROWSER, logs_on.then(|| standard::identity("alice")))
}

impl Site {
    /// Returns a warmed-up site behind `mechanism`.
    ///
    /// If each request has its own upstream connection, no connection can be authenticated. Then the clients of
    /// [`Work::Requests`] have no credentials, and each request results in one 401.
    ///
    /// # Panics
    /// The world does not start, which would be a bug in it.
    pub fn new(mechanism: &Mechanism, shape: Shape) -> Self {
        let logs_on = shape.work == Work::Authentications || mechanism.name != "close-per-request";
        let mut world = SimWorld::new(standard_topology(), &BalancerSpec::named(&mechanism.name), 1)
            .expect("the topology is sound");
        // A measurement may take any number of rounds.
        world.engine().set_most_turns(u64::MAX);
        let seats = (0..shape.clients).map(|index| {
            let name = Name::from(format!("client{index}"));
            world.perform(Action::AddClient(browser(&name, logs_on))).expect("names differ");
            let (client, net) = world.client(&name).expect("it was added just now");
            let body = Payload::Empty;
            let spec = Arc::new(RequestSpec { body, ..RequestSpec::new(name, "GET", "/") });
            let credentials = if logs_on { Credentials::Valid } else { Credentials::None };
            Seat { client, net, spec, credentials }
        });
        let seats = seats.collect();
        let mut site = Self { world, seats, shape, next_request: 0 };
        for _ in 0..WARM_UP {
            site.round();
        }
        site
    }

    /// Performs one round. Its events are dropped at the end.
    pub fn round(&mut self) -> Plan {
        let Shape { work, each, .. } = self.shape;
        let first = self.next_request;
        self.next_request = first.wrapping_add(self.shape.total() as u32);
        let tasks = self.seats.iter().enumerate().map(|(index, seat)| {
            let (client, spec, credentials) = (seat.client.clone(), Arc::clone(&seat.spec), seat.credentials);
            let first = first.wrapping_add((index * each) as u32);
            (seat.net.clone(), client_round(client, spec, credentials, first, each, work))
        });
        let mut plan = Plan::default();
        for (index, answers) in run_on_all(self.world.engine(), tasks) {
            plan.note(index, answers);
        }
        drop(self.world.take_events());
        plan
    }
}

async fn client_round(
    client: Client<SimNet>,
    spec: Arc<RequestSpec>,
    credentials: Credentials,
    first: u32,
    each: usize,
    work: Work,
) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(each);
    for at in 0..each {
        let id = RequestId(first.wrapping_add(at as u32));
        answers.push(client.request(id, &spec, credentials).await);
        if work == Work::Authentications {
            client.disconnect();
        }
    }
    answers
}
