//! The state behind a script: the world, built when it is first needed, and what failed.

#![expect(unsafe_code, reason = "Starlark's derives expand to `unsafe impl`; nothing here is written unsafe")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use starlark::PrintHandler;
use starlark::eval::Evaluator;
use starlark::values::ProvidesStaticType;
use stickler_model::action::Fault;
use stickler_model::trace::Promises;
use stickler_model::{
    Action, Answer, ClientSpec, Event, Identity, Name, Outcome, RawSpec, RequestId, RequestSpec, Topology, World,
    WorldError,
};

use super::Played;
use super::errors::ScriptError;
use crate::runner::WorldBuilder;
use crate::{Diagnostic, Scenario, directory, limits};

type Builder = Box<dyn FnOnce(Topology, u64) -> Result<Box<dyn World>, WorldError>>;

/// One run of a script. The evaluator carries it as its extra value.
#[derive(ProvidesStaticType)]
pub(super) struct Session {
    scenario: Scenario,
    seed: u64,
    state: RefCell<State>,
}

/// What changes. Borrowed for the length of one call, and no call calls another.
struct State {
    topology: Topology,
    site_given: bool,
    stage: Stage,
    actions: u32,
    asked: bool,
    answers: BTreeMap<RequestId, Answer>,
    failures: Vec<Diagnostic>,
    printed: Vec<String>,
}

/// The world comes into being with the first action, once `site()` had its chance.
enum Stage {
    Planned(Builder),
    Built(Box<dyn World>),
    /// The builder refused; the script ends with its error.
    Failed,
}

impl Session {
    pub(super) fn new(scenario: Scenario, balancer: &str, seed: u64, build: impl WorldBuilder) -> Self {
        let state = State {
            topology: directory::site(balancer, 2),
            site_given: false,
            stage: Stage::Planned(Box::new(move |topology, seed| build.build(topology, seed))),
            actions: 0,
            asked: false,
            answers: BTreeMap::new(),
            failures: Vec::new(),
            printed: Vec::new(),
        };
        Self { scenario, seed, state: RefCell::new(state) }
    }

    /// The session of the script that is running.
    pub(super) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> &'a Self {
        eval.extra.and_then(|extra| extra.downcast_ref()).expect("every script runs with a session as its extra value")
    }

    /// Describes the site anew; only before there is a world, and once.
    pub(super) fn set_site(&self, change: impl FnOnce(&mut Topology)) -> Result<(), ScriptError> {
        let mut state = self.state.borrow_mut();
        if state.site_given || !matches!(state.stage, Stage::Planned(_)) {
            return Err(ScriptError::SiteTooLate);
        }
        state.site_given = true;
        change(&mut state.topology);
        Ok(())
    }

    /// Reads something of the site.
    pub(super) fn site<T>(&self, read: impl FnOnce(&Topology) -> T) -> T {
        read(&self.state.borrow().topology)
    }

    pub(super) fn add_client(&self, spec: ClientSpec) -> Result<(), ScriptError> {
        self.done(Action::AddClient(spec))
    }

    pub(super) fn start(&self, spec: RequestSpec) -> Result<RequestId, ScriptError> {
        self.state.borrow_mut().asked = true;
        match self.perform(Action::Start(spec))? {
            Outcome::Started(request) => Ok(request),
            other => Err(wrong_outcome(&other)),
        }
    }

    /// The answer to a request; a second time, the same.
    pub(super) fn wait(&self, request: RequestId) -> Result<Answer, ScriptError> {
        if let Some(answer) = self.state.borrow().answers.get(&request) {
            return Ok(answer.clone());
        }
        match self.perform(Action::Await(request))? {
            Outcome::Answered(answer) => {
                self.state.borrow_mut().answers.insert(request, (*answer).clone());
                Ok(*answer)
            }
            other => Err(wrong_outcome(&other)),
        }
    }

    pub(super) fn advance(&self, time: Duration) -> Result<(), ScriptError> {
        self.done(Action::Advance(time))
    }

    pub(super) fn disconnect(&self, client: Name) -> Result<(), ScriptError> {
        self.done(Action::Disconnect(client))
    }

    pub(super) fn drain(&self, host: Name, on: bool) -> Result<(), ScriptError> {
        self.done(if on { Action::Drain(host) } else { Action::Undrain(host) })
    }

    pub(super) fn switch_user(&self, client: Name, identity: Identity) -> Result<(), ScriptError> {
        self.done(Action::SwitchUser(client, identity))
    }

    /// The token that a client would begin with.
    pub(super) fn make_token(&self, client: Name) -> Result<Option<String>, ScriptError> {
        match self.perform(Action::MakeToken(client))? {
            Outcome::Token(token) => Ok(token),
            other => Err(wrong_outcome(&other)),
        }
    }

    /// Shows each event so far. There is a world from now on.
    pub(super) fn visit(&self, see: &mut dyn FnMut(&Event)) -> Result<(), ScriptError> {
        self.state.borrow_mut().world(self.seed)?.visit(see);
        Ok(())
    }

    /// What came back for bytes on a bare connection.
    pub(super) fn send_raw(&self, raw: RawSpec) -> Result<Vec<u8>, ScriptError> {
        self.state.borrow_mut().asked = true;
        match self.perform(Action::SendRaw(raw))? {
            Outcome::Bytes(bytes) => Ok(bytes),
            other => Err(wrong_outcome(&other)),
        }
    }

    /// What the balancer declares about itself. There is a world from now on.
    pub(super) fn promises(&self) -> Result<Promises, ScriptError> {
        Ok(self.state.borrow_mut().world(self.seed)?.promises())
    }

    pub(super) fn fault(&self, fault: Fault) -> Result<(), ScriptError> {
        self.done(Action::Fault(fault))
    }

    /// Notes that an expectation did not hold, at these bytes of the script.
    pub(super) fn fail(&self, at: Range<usize>, message: String, actual: Option<String>) {
        let failure = Diagnostic::new(&self.scenario, at, message, actual);
        self.state.borrow_mut().failures.push(failure);
    }

    /// The script's text.
    pub(super) fn source(&self) -> &str {
        self.scenario.source()
    }

    /// A script that asks for nothing would be green and mean nothing.
    pub(super) fn check_asked(&self) -> Result<(), Diagnostic> {
        if self.state.borrow().asked {
            return Ok(());
        }
        let message = "the script asks for nothing: add a client and let it get() something".into();
        Err(Diagnostic::new(&self.scenario, 0..0, message, None))
    }

    /// Ends the world, and hands out what came of the script.
    pub(super) fn finish(self, error: Option<Diagnostic>) -> Played {
        let state = self.state.into_inner();
        let trace = match state.stage {
            Stage::Built(world) => Some(world.finish()),
            Stage::Planned(_) | Stage::Failed => None,
        };
        Played { trace, failures: state.failures, error, printed: state.printed }
    }

    fn done(&self, action: Action) -> Result<(), ScriptError> {
        match self.perform(action)? {
            Outcome::Done => Ok(()),
            other => Err(wrong_outcome(&other)),
        }
    }

    fn perform(&self, action: Action) -> Result<Outcome, ScriptError> {
        let mut state = self.state.borrow_mut();
        if state.actions >= limits::ACTIONS {
            return Err(ScriptError::TooManyActions);
        }
        state.actions += 1;
        // The world's memory is the world's affair, not the script's.
        limits::unmetered(|| Ok(state.world(self.seed)?.perform(action)?))
    }
}

impl State {
    fn world(&mut self, seed: u64) -> Result<&mut Box<dyn World>, WorldError> {
        if let Stage::Planned(_) = &self.stage
            && let Stage::Planned(build) = std::mem::replace(&mut self.stage, Stage::Failed)
        {
            self.stage = Stage::Built(build(self.topology.clone(), seed)?);
        }
        match &mut self.stage {
            Stage::Built(world) => Ok(world),
            Stage::Planned(_) | Stage::Failed => Err(WorldError::Invalid("the world could not be built".into())),
        }
    }
}

impl PrintHandler for Session {
    fn println(&self, text: &str) -> starlark::Result<()> {
        let mut state = self.state.borrow_mut();
        if state.printed.len() >= limits::PRINTED {
            return Err(ScriptError::TooMuchPrinted.into());
        }
        state.printed.push(text.to_owned());
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("scenario", &self.scenario.name())
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

fn wrong_outcome(outcome: &Outcome) -> ScriptError {
    ScriptError::WrongOutcome(match outcome {
        Outcome::Started(_) => "started",
        Outcome::Answered(_) => "answered",
        Outcome::Bytes(_) => "bytes",
        Outcome::Token(_) => "token",
        Outcome::Done => "done",
    })
}
