//! The state behind a script: the world, which is built when it is first needed, and the expectations that failed.

#![expect(unsafe_code, reason = "Starlark's derives expand to `unsafe impl`; nothing here is written unsafe")]

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use starlark::PrintHandler;
use starlark::eval::Evaluator;
use starlark::values::ProvidesStaticType;
use stickler_model::action::{CheckWait, CrowdSpec, Fault};
use stickler_model::bounds::MAX_PLAN_BYTES;
use stickler_model::plan::StepProblem;
use stickler_model::trace::Promises;
use stickler_model::{
    Action, Answer, BalancerSpec, ClientSpec, Event, Identity, Name, Outcome, Piece, Principal, RawSpec, RequestId,
    RequestSpec, TokenId, Topology, World, WorldError, standard,
};
use stickler_runner::{Arm, Diagnostic, End};

use super::Played;
use super::errors::ScriptError;
use super::place::Place;
use crate::site::{self, ServerChange, server};
use crate::{Scenario, limits};

/// One run of a script. The evaluator carries it as its extra value.
#[derive(ProvidesStaticType)]
pub(super) struct Session {
    scenario: Scenario,
    balancer: BalancerSpec,
    seed: u64,
    arm: Arc<dyn Arm>,
    state: RefCell<State>,
    /// The expectations that did not hold. This field and those below are kept apart from the state, so that they can
    /// be read wherever the script is stopped.
    failures: RefCell<Vec<Diagnostic>>,
    printed: RefCell<Vec<String>>,
    /// Whether the script has any expectation.
    expects: Cell<bool>,
    /// Whether an action is being performed. If the script's thread panicked meanwhile, the world cannot be trusted.
    in_world: Cell<bool>,
    /// Whether a file is being loaded.
    loading: Cell<bool>,
}

/// The state that actions change. It is borrowed for the duration of one call, and no call makes another.
struct State {
    topology: Topology,
    site_given: bool,
    stage: Stage,
    actions: u32,
    /// The memory that the actions hold, in bytes.
    weight: usize,
    asked: bool,
    last_request: u32,
    last_token: u32,
    /// The tokens that were made so far. A client without credentials has none.
    tokens: BTreeMap<TokenId, String>,
    answers: BTreeMap<RequestId, Answer>,
    /// The clients, each with its user.
    clients: BTreeMap<Name, Option<Principal>>,
    /// The reason why the arm does not support what the script asks for.
    unsupported: Option<String>,
}

/// The stages of a session. The world is built with the first action, so that `site()` can come before it.
enum Stage {
    Planned,
    Built(Box<dyn World>),
    /// The arm refused to build the world; the script ends with the arm's error.
    Failed,
}

impl Session {
    pub(super) fn new(scenario: Scenario, balancer: BalancerSpec, seed: u64, arm: Arc<dyn Arm>) -> Self {
        let state = State {
            topology: standard::site(2),
            site_given: false,
            stage: Stage::Planned,
            actions: 0,
            weight: 0,
            asked: false,
            last_request: 0,
            last_token: 0,
            tokens: BTreeMap::new(),
            answers: BTreeMap::new(),
            clients: BTreeMap::new(),
            unsupported: None,
        };
        Self {
            scenario,
            balancer,
            seed,
            arm,
            state: RefCell::new(state),
            failures: RefCell::default(),
            printed: RefCell::default(),
            expects: Cell::new(false),
            in_world: Cell::new(false),
            loading: Cell::new(false),
        }
    }

    /// Gives the script a site that is already described.
    pub(super) fn at(&self, site: Topology) {
        let mut state = self.state.borrow_mut();
        (state.topology, state.site_given) = (site, true);
    }

    /// Returns whether the script has asked for something that the arm does not support.
    pub(super) fn is_unsupported(&self) -> bool {
        self.state.borrow().unsupported.is_some()
    }

    /// Loads files, which must not perform any action.
    pub(super) fn load<T>(&self, load: impl FnOnce() -> T) -> T {
        self.loading.set(true);
        let loaded = load();
        self.loading.set(false);
        loaded
    }

    fn check_not_loading(&self) -> Result<(), ScriptError> {
        if self.loading.get() { Err(ScriptError::ActsWhileLoaded) } else { Ok(()) }
    }

    /// Returns the session of the script that is running.
    pub(super) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> &'a Self {
        eval.extra.and_then(|extra| extra.downcast_ref()).expect("every script runs with a session as its extra value")
    }

    /// Replaces the description of the site. This is possible only once, and only before there is a world.
    pub(super) fn set_site(&self, change: impl FnOnce(&mut Topology)) -> Result<(), ScriptError> {
        self.check_not_loading()?;
        let mut state = self.state.borrow_mut();
        if state.site_given || !matches!(state.stage, Stage::Planned) {
            return Err(ScriptError::SiteTooLate);
        }
        state.site_given = true;
        change(&mut state.topology);
        Ok(())
    }

    /// Reads a property of the site.
    pub(super) fn site<T>(&self, read: impl FnOnce(&Topology) -> T) -> T {
        read(&self.state.borrow().topology)
    }

    /// Returns whether the script has already asked for an action at the site.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state.borrow().stage, Stage::Planned)
    }

    pub(super) fn add_client(&self, spec: ClientSpec) -> Result<(), ScriptError> {
        let (name, user) = (spec.name.clone(), spec.identity.as_ref().map(|identity| identity.principal.clone()));
        self.done(Action::AddClient(spec))?;
        self.state.borrow_mut().clients.insert(name, user);
        Ok(())
    }

    /// Returns the user as whom a client authenticates.
    pub(super) fn user_at(&self, client: &Name) -> Option<Principal> {
        self.state.borrow().clients.get(client).cloned().flatten()
    }

    /// Returns the first `count` names of users `user01`, `user02` and so on that no client has yet.
    pub(super) fn vacant(&self, count: usize) -> Vec<Name> {
        let clients = &self.state.borrow().clients;
        let numbered = (1_u32..).map(standard::numbered).map(Name::from);
        numbered.filter(|name| !clients.contains_key(name)).take(count).collect()
    }

    /// Adds accounts with these names, unless they exist. This is possible only before there is a world.
    pub(super) fn provide_accounts(&self, names: &[Name]) -> Result<(), ScriptError> {
        let mut state = self.state.borrow_mut();
        let planned = matches!(state.stage, Stage::Planned);
        for name in names {
            if site::identity(&state.topology, name.as_str(), None).is_ok() {
                continue;
            }
            if !planned {
                return Err(ScriptError::NoAccountForCrowd(name.to_string()));
            }
            add_account(&mut state.topology, name);
        }
        Ok(())
    }

    /// Starts the requests of a crowd, and returns their ids.
    pub(super) fn start_crowd(&self, crowd: CrowdSpec) -> Result<Vec<RequestId>, ScriptError> {
        let crowd = {
            let mut state = self.state.borrow_mut();
            state.asked = true;
            let first = RequestId(state.last_request + 1);
            state.last_request += u32::try_from(crowd.count()).unwrap_or(u32::MAX);
            CrowdSpec { first, ..crowd }
        };
        let ids = crowd.ids().collect();
        self.done(Action::Crowd(crowd))?;
        Ok(ids)
    }

    pub(super) fn start(&self, spec: RequestSpec) -> Result<RequestId, ScriptError> {
        let id = {
            let mut state = self.state.borrow_mut();
            state.asked = true;
            state.last_request += 1;
            RequestId(state.last_request)
        };
        self.done(Action::Start { id, request: spec })?;
        Ok(id)
    }

    /// Waits for the answer to a request. A second call returns the same answer.
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

    pub(super) fn await_checks(&self, wait: CheckWait) -> Result<(), ScriptError> {
        self.done(Action::AwaitChecks(wait))
    }

    pub(super) fn disconnect(&self, client: Name) -> Result<(), ScriptError> {
        self.done(Action::Disconnect(client))
    }

    pub(super) fn drain(&self, host: Name, on: bool) -> Result<(), ScriptError> {
        self.done(if on { Action::Drain(host) } else { Action::Undrain(host) })
    }

    /// Changes the set-up of a server.
    pub(super) fn configure(&self, host: &str, change: &ServerChange) -> Result<(), ScriptError> {
        let mut server = {
            let topology = &mut self.state.borrow_mut().topology;
            let tls = topology.tls.is_some();
            let mut server = server::find(&mut topology.servers, host)?.clone();
            change.apply(&mut server, tls)?;
            server
        };
        self.done(Action::Configure(Box::new(server.clone())))?;
        let topology = &mut self.state.borrow_mut().topology;
        std::mem::swap(server::find(&mut topology.servers, host)?, &mut server);
        Ok(())
    }

    pub(super) fn switch_user(&self, client: Name, identity: Identity) -> Result<(), ScriptError> {
        let user = identity.principal.clone();
        self.done(Action::SwitchUser(client.clone(), identity))?;
        self.state.borrow_mut().clients.insert(client, Some(user));
        Ok(())
    }

    /// Returns the token with which a client would begin.
    pub(super) fn make_token(&self, client: Name) -> Result<Option<String>, ScriptError> {
        let id = {
            let mut state = self.state.borrow_mut();
            state.last_token += 1;
            TokenId(state.last_token)
        };
        match self.perform(Action::MakeToken { id, client })? {
            Outcome::Token(token) => {
                if let Some(token) = &token {
                    self.state.borrow_mut().tokens.insert(id, token.clone());
                }
                Ok(token)
            }
            other => Err(wrong_outcome(&other)),
        }
    }

    /// Calls `see` for each event so far. The world is built if there is none yet.
    pub(super) fn visit(&self, see: &mut dyn FnMut(&Event)) -> Result<(), ScriptError> {
        self.check_not_loading()?;
        self.state.borrow_mut().world(self)?.visit(see);
        Ok(())
    }

    /// Sends text on a bare connection, and returns the bytes that came back. Tokens in the text are sent by reference,
    /// so that the plan does not depend on the seed with which they were made.
    pub(super) fn send_raw(&self, client: Name, text: &str, patience: Duration) -> Result<Vec<u8>, ScriptError> {
        let bytes = {
            let mut state = self.state.borrow_mut();
            // A connection on which nothing is sent does not count as a request.
            state.asked |= !text.is_empty();
            pieces(text, &state.tokens)
        };
        let raw = RawSpec { client, bytes, patience };
        match self.perform(Action::SendRaw(raw))? {
            Outcome::Bytes(bytes) => Ok(bytes),
            other => Err(wrong_outcome(&other)),
        }
    }

    /// Returns the promises of the balancer. The world is built if there is none yet.
    pub(super) fn promises(&self) -> Result<Promises, ScriptError> {
        self.check_not_loading()?;
        Ok(self.state.borrow_mut().world(self)?.promises())
    }

    pub(super) fn fault(&self, fault: Fault) -> Result<(), ScriptError> {
        self.done(Action::Fault(fault))
    }

    /// Records that the script has an expectation, whether or not it holds.
    pub(super) fn expects(&self) {
        self.expects.set(true);
    }

    /// Records that an expectation did not hold, at this place of the script.
    pub(super) fn fail(&self, at: Place, message: String, actual: Option<String>) {
        let failure = at.diagnostic(&self.scenario, message, actual);
        limits::unmetered(|| self.failures.borrow_mut().push(failure));
    }

    /// Refuses a script that asks for nothing, because a pass would be meaningless.
    pub(super) fn check_asked(&self) -> Result<(), Diagnostic> {
        if self.state.borrow().asked {
            return Ok(());
        }
        let message = "the script sends nothing: add a client and call its get(), or send bytes".into();
        Err(self.scenario.diagnostic(0..0, message, None))
    }

    /// Ends the world, and returns the result of the script so far. The trace is missing if the world panicked, or if
    /// it is performing an action at this moment.
    pub(super) fn finish(&self, error: Option<Diagnostic>) -> Played {
        let (mut trace, mut unsupported) = (None, None);
        if let Ok(mut state) = self.state.try_borrow_mut() {
            unsupported = state.unsupported.take();
            let stage = std::mem::replace(&mut state.stage, Stage::Failed);
            if let (Stage::Built(world), false) = (stage, self.in_world.get()) {
                trace = Some(world.finish());
            }
        }
        let end = match (unsupported, error) {
            (Some(reason), _) => End::Skipped(reason),
            (None, Some(error)) => End::Failed(Box::new(error)),
            (None, None) => End::Complete,
        };
        let (failures, printed) = (self.failures.take(), self.printed.take());
        Played { trace, failures, end, printed, expects: self.expects.get() }
    }

    fn done(&self, action: Action) -> Result<(), ScriptError> {
        match self.perform(action)? {
            Outcome::Done => Ok(()),
            other => Err(wrong_outcome(&other)),
        }
    }

    fn perform(&self, action: Action) -> Result<Outcome, ScriptError> {
        self.check_not_loading()?;
        let mut state = self.state.borrow_mut();
        if state.actions >= limits::ACTIONS {
            return Err(ScriptError::TooManyActions);
        }
        state.actions += 1;
        state.weight += action.weight();
        if state.weight > MAX_PLAN_BYTES {
            return Err(StepProblem::TooMuchText.into());
        }
        // The memory of the world does not count as the script's.
        limits::unmetered(|| {
            self.in_world.set(true);
            let outcome = state.world(self).and_then(|world| world.perform(action));
            self.in_world.set(false);
            if let Err(WorldError::Unsupported(reason)) = &outcome {
                state.unsupported = Some(reason.clone());
            }
            Ok(outcome?)
        })
    }
}

impl State {
    fn world(&mut self, session: &Session) -> Result<&mut Box<dyn World>, WorldError> {
        if let Stage::Planned = &self.stage {
            self.stage = Stage::Failed;
            self.stage = Stage::Built(session.arm.build(self.topology.clone(), &session.balancer, session.seed)?);
        }
        match &mut self.stage {
            Stage::Built(world) => Ok(world),
            Stage::Planned | Stage::Failed => Err(WorldError::Invalid("the world could not be built".into())),
        }
    }
}

impl PrintHandler for Session {
    fn println(&self, text: &str) -> starlark::Result<()> {
        if self.printed.borrow().len() >= limits::PRINTED {
            return Err(ScriptError::TooMuchPrinted.into());
        }
        // The text counts as the script's memory. If it exceeds the limit, the lines that were printed before are still
        // available.
        let text = text.to_owned();
        limits::unmetered(|| self.printed.borrow_mut().push(text));
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

/// Adds an account with the standard password: to the domain, and to the servers that are in no domain.
fn add_account(topology: &mut Topology, name: &Name) {
    let account = standard::account(name.to_string());
    for server in topology.servers.iter_mut().filter(|server| server.workgroup) {
        server.accounts.push(account.clone());
    }
    topology.domain.users.push(account);
}

fn wrong_outcome(outcome: &Outcome) -> ScriptError {
    ScriptError::WrongOutcome(match outcome {
        Outcome::Answered(_) => "answered",
        Outcome::Bytes(_) => "bytes",
        Outcome::Token(_) => "token",
        Outcome::Done => "done",
    })
}

/// Splits text into pieces, in which each complete token becomes a reference.
fn pieces(text: &str, tokens: &BTreeMap<TokenId, String>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((at, id, token)) = first_token(rest, tokens) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_owned()));
        }
        pieces.push(Piece::Token(id));
        rest = &rest[at + token.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

/// Returns the first token in the text: its position, its id and its text. A client that begins with NTLM makes the
/// same token each time; of equal tokens, the latest one is returned.
fn first_token<'t>(text: &str, tokens: &'t BTreeMap<TokenId, String>) -> Option<(usize, TokenId, &'t str)> {
    let found = tokens.iter().filter_map(|(id, token)| Some((text.find(token.as_str())?, *id, token.as_str())));
    found.min_by_key(|(at, id, token)| (*at, Reverse(token.len()), Reverse(*id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_a_text_become_references() {
        let tokens = [(TokenId(1), "Negotiate AAA=".to_owned()), (TokenId(2), "Negotiate BBB=".to_owned())];
        let tokens = BTreeMap::from(tokens);
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(pieces("GET /", &tokens), [text("GET /")]);
        assert_eq!(pieces("", &tokens), []);
        assert_eq!(
            pieces("a Negotiate BBB=b Negotiate AAA=Negotiate AAA=", &tokens),
            [text("a "), Piece::Token(TokenId(2)), text("b "), Piece::Token(TokenId(1)), Piece::Token(TokenId(1)),]
        );
    }

    #[test]
    fn of_equal_tokens_the_latest_is_meant_and_of_two_that_begin_alike_the_longer() {
        let tokens = |texts: [&str; 2]| BTreeMap::from([(TokenId(1), texts[0].into()), (TokenId(2), texts[1].into())]);
        let found = |text: &str, texts: [&str; 2]| pieces(text, &tokens(texts));
        assert_eq!(found("NTLM AAA", ["NTLM AAA", "NTLM AAA"]), [Piece::Token(TokenId(2))]);
        for texts in [["NTLM AAA", "NTLM AAAA"], ["NTLM AAAA", "NTLM AAA"]] {
            let longer = TokenId(if texts[0].len() > texts[1].len() { 1 } else { 2 });
            assert_eq!(found("NTLM AAAA", texts), [Piece::Token(longer)]);
        }
    }
}
