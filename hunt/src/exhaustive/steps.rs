//! The steps of a plan, derived from its letters.

use std::time::Duration;

use stickler_model::action::{CheckChange, CheckWait};
use stickler_model::{Action, BalancerSpec, Fault, Name, Payload, Plan, RequestId, RequestSpec, TokenId};

use super::alphabet::{Letter, Person, STRUCK};
use super::plans::Word;
use super::worlds::World;
use crate::generate::{A_MOMENT, behind_token};

/// The time that a balancer needs, beyond what it declares, until it has noticed that everything works again.
const NOTICED: Duration = Duration::from_secs(15);

/// Returns the plan of a word over a balancer. All plans have seed 0.
///
/// At the end, held packets are released, faults are repaired, and requests that were started are awaited. If a fault
/// or a drain concerned a server, the balancer is given time to notice that it is over. Then everybody sends one more
/// request.
pub(super) fn plan(place: &World, word: &Word, balancer: BalancerSpec) -> Plan {
    let mut steps = Steps::new(place);
    for letter in &word.letters {
        steps.add(*letter);
    }
    steps.end(&word.release);
    Plan { seed: 0, balancer, topology: place.topology.clone(), steps: steps.actions }
}

struct Steps<'a> {
    world: &'a World,
    actions: Vec<Action>,
    requests: u32,
    tokens: u32,
    under_way: Vec<(RequestId, Person)>,
    held: Vec<Person>,
    is_down: bool,
    is_drained: bool,
    /// Whether a server has changed in a way that a balancer must notice.
    is_struck: bool,
    /// The person who has a connection from the shared port.
    at_port: Option<Person>,
}

impl<'a> Steps<'a> {
    fn new(world: &'a World) -> Self {
        Self {
            world,
            actions: world.people.iter().cloned().map(Action::AddClient).collect(),
            requests: 0,
            tokens: 0,
            under_way: Vec::new(),
            held: Vec::new(),
            is_down: false,
            is_drained: false,
            is_struck: false,
            at_port: None,
        }
    }

    fn add(&mut self, letter: Letter) {
        match letter {
            Letter::Get(who) => self.get(who),
            Letter::Post(who) => self.post(who),
            Letter::Start(who) => {
                self.start(who, "GET", "", Payload::Empty);
            }
            Letter::Hold(who) => {
                self.start(who, "GET", "", Payload::Empty);
                self.actions.push(Action::Advance(self.world.first_leg));
                self.actions.push(Action::Fault(Fault::Hold(name(who), lb())));
                self.held.push(who);
            }
            Letter::Disconnect(who) => {
                self.release(who);
                self.disconnect(who);
            }
            Letter::Pipeline(who) => self.pipeline(who),
            Letter::Reset => self.strike(Fault::Reset(lb(), struck())),
            Letter::Crash => self.crash(),
            Letter::Restart => {
                self.crash();
                self.crash();
            }
            Letter::Drain => self.drain(),
            Letter::Wait(time) => self.actions.push(Action::Advance(time.duration())),
        }
    }

    fn get(&mut self, who: Person) {
        self.go_on(who);
        let id = self.start(who, "GET", "", Payload::Empty);
        self.await_all(|other, _| other == id);
    }

    fn post(&mut self, who: Person) {
        self.go_on(who);
        let id = self.start(who, "POST", "/api", Payload::Bytes(10));
        self.await_all(|other, _| other == id);
    }

    fn start(&mut self, who: Person, method: &str, part: &str, body: Payload) -> RequestId {
        self.leave_port_to(who);
        self.requests += 1;
        let id = RequestId(self.requests);
        let path = format!("{part}/{}", self.requests);
        let request = RequestSpec { body, ..RequestSpec::new(name(who), method, &path) };
        self.actions.push(Action::Start { id, request });
        self.under_way.push((id, who));
        id
    }

    /// Closes the connections of the person who occupies the port from which this person connects too.
    fn leave_port_to(&mut self, who: Person) {
        if !self.world.has_one_port() {
            return;
        }
        if let Some(other) = self.at_port.filter(|other| *other != who) {
            self.disconnect(other);
            self.actions.push(Action::Advance(A_MOMENT));
        }
        self.at_port = Some(who);
    }

    fn disconnect(&mut self, who: Person) {
        self.actions.push(Action::Disconnect(name(who)));
        self.at_port.take_if(|other| *other == who);
    }

    /// Awaits those requests under way that `which` selects.
    fn await_all(&mut self, which: impl Fn(RequestId, Person) -> bool) {
        let actions = &mut self.actions;
        self.under_way.retain(|&(id, who)| {
            let is_awaited = which(id, who);
            if is_awaited {
                actions.push(Action::Await(id));
            }
            !is_awaited
        });
    }

    /// Releases the held packets of a person, and returns whether there were any.
    fn release(&mut self, who: Person) -> bool {
        let count = self.held.len();
        self.held.retain(|held| *held != who);
        let was_held = self.held.len() < count;
        if was_held {
            self.actions.push(Action::Fault(Fault::Release(name(who), lb())));
        }
        was_held
    }

    /// Releases the held packets of a person, and waits for the effects.
    fn go_on(&mut self, who: Person) {
        if self.release(who) {
            self.await_all(|_, of| of == who);
        }
    }

    /// Sends requests behind the first token, on a separate connection.
    fn pipeline(&mut self, who: Person) {
        self.go_on(who);
        self.tokens += 1;
        let id = TokenId(self.tokens);
        self.actions.push(Action::MakeToken { id, client: name(who) });
        self.actions.push(Action::SendRaw(behind_token(name(who), id)));
    }

    fn strike(&mut self, fault: Fault) {
        self.is_struck = true;
        self.actions.push(Action::Fault(fault));
    }

    /// Crashes the server, or starts it again.
    fn crash(&mut self) {
        self.strike(if self.is_down { Fault::Restart(struck()) } else { Fault::Crash(struck()) });
        self.is_down = !self.is_down;
    }

    /// Drains the server, or ends the drain.
    fn drain(&mut self) {
        self.is_struck = true;
        self.actions.push(if self.is_drained { Action::Undrain(struck()) } else { Action::Drain(struck()) });
        self.is_drained = !self.is_drained;
    }

    fn end(&mut self, release: &[Person]) {
        for who in release {
            self.go_on(*who);
        }
        if self.is_down {
            self.crash();
        }
        if self.is_drained {
            self.drain();
        }
        self.await_all(|_, _| true);
        if self.is_struck {
            let wait = CheckWait { change: CheckChange::Up, extra: NOTICED, otherwise: NOTICED };
            self.actions.push(Action::AwaitChecks(wait));
        }
        for who in Person::ALL {
            self.get(who);
        }
    }
}

fn name(who: Person) -> Name {
    Name::from(who.name())
}

fn struck() -> Name {
    Name::from(STRUCK)
}

fn lb() -> Name {
    Name::from("lb")
}
