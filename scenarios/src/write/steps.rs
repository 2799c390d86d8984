//! How the steps of a plan are written, one statement after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use stickler_model::action::{CheckWait, CrowdSpec, TokenId};
use stickler_model::topology::ServerSpec;
use stickler_model::{
    Action, ClientSpec, Fault, Name, Payload, Piece, Plan, RawSpec, RequestId, RequestSpec, Topology,
};
use stickler_oracle::Cited;

use super::client::{User, client};
use super::expectations::Expectations;
use super::names::Names;
use super::text::{self, Call, Expression, dictionary, milliseconds, seconds, statement, string};
use super::{Finding, Inexpressible, Unwritable};
use crate::site::names::{CHECK_CHANGES, name_of};

/// What `send_raw()` has as its patience, in milliseconds, where a script says nothing.
const RAW_PATIENCE: &str = "1000";

/// The statements so far, and what their variables are called.
pub(super) struct Steps<'p> {
    plan: &'p Plan,
    finding: Option<&'p Finding>,
    expectations: Expectations,
    /// The servers as they are set up at this step.
    topology: Topology,
    uses: Uses<'p>,
    names: Names,
    clients: BTreeMap<Name, String>,
    requests: BTreeMap<RequestId, String>,
    tokens: BTreeMap<TokenId, String>,
    lines: Vec<String>,
}

/// What later steps refer to.
#[derive(Default)]
struct Uses<'p> {
    clients: BTreeSet<&'p Name>,
    requests: BTreeSet<RequestId>,
    tokens: BTreeSet<TokenId>,
    /// How many requests are waited for apart from their start, and how many tokens are made.
    waits: usize,
    made: usize,
}

impl<'p> Steps<'p> {
    /// Writes all steps of a canonical plan.
    ///
    /// # Errors
    /// [`Unwritable::Step`]: the first step that scripts cannot ask for.
    pub(super) fn written(plan: &'p Plan, finding: Option<&'p Finding>) -> Result<String, Unwritable> {
        let mut steps = Self {
            plan,
            finding,
            expectations: Expectations::of(plan, finding),
            topology: plan.topology.clone(),
            uses: Uses::of(plan),
            names: Names::default(),
            clients: BTreeMap::new(),
            requests: BTreeMap::new(),
            tokens: BTreeMap::new(),
            lines: Vec::new(),
        };
        for name in &steps.uses.clients {
            steps.clients.insert((*name).clone(), steps.names.fresh(name.as_str()));
        }
        let mut step = 0;
        while step < plan.steps.len() {
            steps.begin_paragraph(step);
            step += steps.step(step).map_err(|Inexpressible(why)| Unwritable::Step { step, why })?;
        }
        Ok(steps.lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        }))
    }

    /// Leaves a line empty between the clients and what they do, and where some time has passed.
    fn begin_paragraph(&mut self, step: usize) {
        let is_client = |step: usize| matches!(self.plan.steps.get(step), Some(Action::AddClient(_)));
        let Some(before) = step.checked_sub(1) else { return };
        let long = match &self.plan.steps[before] {
            Action::Advance(time) => time.as_secs() > 0,
            Action::AwaitChecks(_) => true,
            _ => false,
        };
        if long || is_client(step) != is_client(before) {
            self.lines.push(String::new());
        }
    }

    /// Writes the statement that begins with this step. Returns how many steps it has.
    fn step(&mut self, step: usize) -> Result<usize, Inexpressible> {
        let plan = self.plan;
        let call = match &plan.steps[step] {
            Action::AddClient(spec) => return self.add_client(spec).map(|()| 1),
            Action::Start { id, request } => return self.start(step, *id, request),
            Action::Await(_) => return Ok(self.wait(step)),
            Action::Crowd(crowd) => return self.crowd(step, crowd),
            Action::SendRaw(raw) => return self.send_raw(step, raw).map(|()| 1),
            Action::MakeToken { id, client } => {
                let variable = self.uses.tokens.contains(id).then(|| self.token_variable(*id));
                let call = self.of(client, "make_token");
                self.say(variable.as_deref(), &[call]);
                return Ok(1);
            }
            Action::Advance(time) => text::advance(*time)?,
            Action::AwaitChecks(wait) => await_checks(*wait)?,
            Action::Disconnect(client) => self.of(client, "disconnect"),
            Action::SwitchUser(client, identity) => {
                let User { name, password } = User::of(identity, &self.topology)?;
                self.of(client, "switch_user")
                    .with(string(&name))
                    .and_any("password", password.map(|password| string(&password)))
            }
            Action::Drain(host) => Call::new("drain").with(string(host.as_str())),
            Action::Undrain(host) => Call::new("undrain").with(string(host.as_str())),
            Action::Configure(server) => self.configure(server)?,
            Action::Fault(fault) => self::fault(fault),
        };
        self.say(None, &[call]);
        Ok(1)
    }

    fn say(&mut self, variable: Option<&str>, calls: &[Call]) {
        self.lines.push(statement("", variable, calls));
    }

    /// A method of a client.
    fn of(&self, client: &Name, method: &str) -> Call {
        let variable = self.clients.get(client).map_or_else(|| client.as_str(), String::as_str);
        Call::new(format!("{variable}.{method}"))
    }

    fn add_client(&mut self, spec: &ClientSpec) -> Result<(), Inexpressible> {
        let at = spec.at.as_ref().and_then(|at| self.clients.get(at)).map(String::as_str);
        let call = client(spec, at, &self.topology)?;
        let variable = self.clients.get(&spec.name).cloned();
        self.say(variable.as_deref(), &[call]);
        Ok(())
    }

    /// Writes a request, and the wait for it if that is next.
    fn start(&mut self, step: usize, id: RequestId, request: &RequestSpec) -> Result<usize, Inexpressible> {
        self.say_what_it_is(|cited| matches!(cited, Cited::Request { id: cited, .. } if *cited == id), &id.to_string());
        let waits = self.plan.steps.get(step + 1) == Some(&Action::Await(id));
        let call = self.request(request, waits)?;
        if waits {
            let calls: Vec<Call> = std::iter::once(call).chain(self.expectations.call(id)).collect();
            self.say(None, &calls);
            return Ok(2);
        }
        let variable = self.uses.requests.contains(&id).then(|| {
            let number = self.requests.len() + 1;
            let wanted = if self.uses.waits == 1 { "p".to_owned() } else { format!("p{number}") };
            self.names.fresh(&wanted)
        });
        self.say(variable.as_deref(), &[call]);
        if let Some(variable) = variable {
            self.requests.insert(id, variable);
        }
        Ok(1)
    }

    fn request(&self, request: &RequestSpec, waits: bool) -> Result<Call, Inexpressible> {
        let RequestSpec { client, method, path, body, headers, sending } = request;
        let body = match body {
            Payload::Empty => None,
            Payload::Text(text) => Some(Expression::text(text)),
            Payload::Bytes(count) => Some(Expression::from(format!("bytes_of({count})"))),
        };
        let path = Expression::text(path);
        let call = match (waits, method.as_str(), body) {
            (true, "GET", None) if sending.is_default() => self.of(client, "get").with(path),
            (true, "POST", Some(body)) => self.of(client, "post").with(path).with(body),
            (waits, _, body) => {
                let call = self.of(client, if waits { "request" } else { "start" });
                call.with(string(method)).with(path).and_any("body", body)
            }
        };
        if sending.limit_rate.is_some_and(|rate| i64::try_from(rate).is_err()) {
            return Err(Inexpressible("`limit_rate` is higher than any number of a script"));
        }
        let fields: Vec<(&String, String)> =
            headers.iter().map(|(name, value)| (name, Expression::text(value).on_one_line())).collect();
        let fields = (!fields.is_empty()).then(|| dictionary(&fields)).transpose()?;
        Ok(call
            .and_any("headers", fields)
            .and_truth("chunked", sending.chunked.then_some(true))
            .and_truth("expect", sending.expect)
            .and_any("limit_rate", sending.limit_rate.map(|rate| rate.to_string())))
    }

    /// Writes the waits that stand side by side. Returns how many there are.
    fn wait(&mut self, step: usize) -> usize {
        let waited = self.plan.steps[step..].iter().map_while(|step| match step {
            Action::Await(id) => Some(*id),
            _ => None,
        });
        let ids: Vec<RequestId> = waited.collect();
        let variable = |steps: &Self, id: &RequestId| steps.requests.get(id).cloned().unwrap_or_else(|| id.to_string());
        if ids.len() > 1 && ids.iter().all(|id| self.expectations.call(*id).is_none()) {
            let requests = text::list(ids.iter().map(|id| variable(self, id)));
            self.say(None, &[Call::new("wait_all").with(requests)]);
            return ids.len();
        }
        for id in &ids {
            let wait = Call::new(format!("{}.wait", variable(self, id)));
            let calls: Vec<Call> = std::iter::once(wait).chain(self.expectations.call(*id)).collect();
            self.say(None, &calls);
        }
        ids.len()
    }

    /// Writes a crowd, and the waits for its requests if these are next.
    fn crowd(&mut self, step: usize, crowd: &CrowdSpec) -> Result<usize, Inexpressible> {
        let clients = text::list(crowd.clients.iter().map(|name| self.clients.get(name).cloned().unwrap_or_default()));
        let think = milliseconds(crowd.think)?;
        let call = |name: &str| {
            Call::new(name)
                .with(clients.clone())
                .and_any("requests", (crowd.requests != 1).then(|| crowd.requests.to_string()))
                .and_any("think_ms", (think != "0").then(|| think.clone()))
                .and_any("path", (crowd.path != "/").then(|| string(&crowd.path)))
        };
        let ids: Vec<RequestId> = crowd.ids().collect();
        let (members, requests) = (crowd.clients.len(), crowd.requests as usize);
        let next = &self.plan.steps[step + 1..];
        let awaited = |place: fn(usize, usize, usize) -> usize| {
            let waits = (0..ids.len()).map(|number| Action::Await(ids[place(number, members, requests)]));
            next.len() >= ids.len() && next.iter().zip(waits).all(|(next, wait)| *next == wait)
        };
        let in_turns = awaited(|number, members, requests| number % members * requests + number / members);
        let in_order = awaited(|number, _, _| number);
        let expects = self.expectations.are_of_one_user(ids.iter().copied());
        if in_turns && !expects {
            self.say(None, &[call("crowd")]);
        } else if in_turns {
            let crowd = call("crowd").on_one_line();
            let expectation = "answer.expect(user = [member.user, None])";
            self.lines
                .push(format!("for member in {crowd}:\n    for answer in member.answers:\n        {expectation}"));
        } else {
            let variable = self.names.fresh("members");
            self.say(Some(&variable), &[call("start_crowd")]);
            if in_order {
                let expectation = if expects { ".expect(user = [member.user, None])" } else { "" };
                self.lines.push(format!(
                    "for member in {variable}:\n    for request in member.requests:\n        request.wait(){expectation}"
                ));
            } else {
                for (place, id) in ids.iter().enumerate() {
                    let request = format!("{variable}[{}].requests[{}]", place / requests, place % requests);
                    self.requests.insert(*id, request);
                }
                return Ok(1);
            }
        }
        Ok(1 + ids.len())
    }

    fn send_raw(&mut self, step: usize, raw: &RawSpec) -> Result<(), Inexpressible> {
        self.say_what_it_is(|cited| matches!(cited, Cited::Raw { step: cited, .. } if *cited == step), "the raw bytes");
        let mut parts = Vec::new();
        for piece in &raw.bytes {
            match piece {
                Piece::Text(text) => parts.extend(text::text_parts(text)),
                Piece::Token(id) => parts.extend(self.tokens.get(id).cloned()),
                Piece::Bytes(_) => return Err(Inexpressible("the bytes are not text in UTF-8")),
            }
        }
        if parts.is_empty() {
            parts.push(string(""));
        }
        let patience = milliseconds(raw.patience)?;
        let call = self.of(&raw.client, "send_raw").with(Expression::joined(parts));
        let call = call.and_any("patience_ms", (patience != RAW_PATIENCE).then_some(patience));
        self.say(None, &[call]);
        Ok(())
    }

    fn token_variable(&mut self, id: TokenId) -> String {
        let number = self.tokens.len() + 1;
        let wanted = if self.uses.made == 1 { "token".to_owned() } else { format!("token{number}") };
        let variable = self.names.fresh(&wanted);
        self.tokens.insert(id, variable.clone());
        variable
    }

    fn configure(&mut self, server: &ServerSpec) -> Result<Call, Inexpressible> {
        let tls = self.topology.tls.is_some();
        let here = self.topology.servers.iter_mut().find(|here| here.name == server.name);
        let here = here.ok_or(Inexpressible("the site has no such server"))?;
        let call = super::site::configure(here, server, tls)?;
        *here = server.clone();
        Ok(call)
    }

    /// Says above a statement that it is what the finding is about.
    fn say_what_it_is(&mut self, is_it: impl Fn(&Cited) -> bool, name: &str) {
        let Some(Finding { evidence, .. }) = self.finding else { return };
        let named = evidence.summary.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name);
        if named || evidence.about.iter().any(is_it) {
            self.lines.push(format!("# This is {name}."));
        }
    }
}

impl<'p> Uses<'p> {
    fn of(plan: &'p Plan) -> Self {
        let mut uses = Self::default();
        let mut before: Option<&Action> = None;
        for step in &plan.steps {
            match step {
                Action::AddClient(spec) => uses.clients.extend(&spec.at),
                Action::Start { request, .. } => _ = uses.clients.insert(&request.client),
                Action::Await(id) => {
                    uses.requests.insert(*id);
                    uses.waits +=
                        usize::from(!matches!(before, Some(Action::Start { id: started, .. }) if started == id));
                }
                Action::Crowd(crowd) => uses.clients.extend(&crowd.clients),
                Action::SendRaw(raw) => {
                    uses.clients.insert(&raw.client);
                    uses.tokens.extend(raw.bytes.iter().filter_map(|piece| match piece {
                        Piece::Token(id) => Some(*id),
                        Piece::Text(_) | Piece::Bytes(_) => None,
                    }));
                }
                Action::MakeToken { client, .. } => {
                    uses.clients.insert(client);
                    uses.made += 1;
                }
                Action::Disconnect(client) | Action::SwitchUser(client, _) => _ = uses.clients.insert(client),
                Action::Advance(_)
                | Action::AwaitChecks(_)
                | Action::Drain(_)
                | Action::Undrain(_)
                | Action::Configure(_)
                | Action::Fault(_) => {}
            }
            before = Some(step);
        }
        uses
    }
}

fn await_checks(wait: CheckWait) -> Result<Call, Inexpressible> {
    let change = name_of(wait.change, &CHECK_CHANGES).ok_or(Inexpressible("the change has no name"))?;
    let call = Call::new("await_checks").with(string(change));
    Ok(call.and("extra", seconds(wait.extra)?).and("otherwise", seconds(wait.otherwise)?))
}

fn fault(fault: &Fault) -> Call {
    let (name, one, other) = match fault {
        Fault::Crash(host) => ("crash", host, None),
        Fault::PowerLoss(host) => ("power_loss", host, None),
        Fault::Restart(host) => ("restart", host, None),
        Fault::Hang(host) => ("hang", host, None),
        Fault::Resume(host) => ("resume", host, None),
        Fault::Hold(one, other) => ("hold", one, Some(other)),
        Fault::Release(one, other) => ("release", one, Some(other)),
        Fault::Reset(one, other) => ("reset", one, Some(other)),
    };
    let call = Call::new(name).with(string(one.as_str()));
    match other {
        Some(other) => call.with(string(other.as_str())),
        None => call,
    }
}
