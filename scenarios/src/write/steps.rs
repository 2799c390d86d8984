//! Writes the steps of a plan, one statement after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use stickler_model::action::{CheckWait, CrowdSpec, TokenId};
use stickler_model::agent::Agent;
use stickler_model::topology::ServerSpec;
use stickler_model::{
    Action, ClientSpec, Fault, Name, Payload, Piece, Plan, RawSpec, RequestId, RequestSpec, Topology, standard,
};
use stickler_oracle::Cited;

use super::client::{self, User};
use super::expectations::Expectations;
use super::names::Names;
use super::text::{self, Call, Expression, dictionary, milliseconds, seconds, statement, string};
use super::{Finding, Inexpressible, Unwritable};
use crate::site::names::{CHECK_CHANGES, name_of};

/// The default patience of `send_raw()`, in milliseconds.
const RAW_PATIENCE: &str = "1000";

/// The statements that were written so far, and the names of their variables.
pub(super) struct Steps<'p> {
    plan: &'p Plan,
    finding: Option<&'p Finding>,
    expectations: Expectations,
    /// The topology, with the servers as they are set up at this step.
    topology: Topology,
    uses: Uses<'p>,
    names: Names,
    clients: BTreeMap<Name, String>,
    requests: BTreeMap<RequestId, String>,
    tokens: BTreeMap<TokenId, String>,
    /// The crowds whose answers are not awaited at once, with their variables.
    crowds: Vec<(String, Vec<RequestId>)>,
    /// The names of the clients that were added so far.
    added: BTreeSet<Name>,
    lines: Vec<String>,
}

/// The clients, requests and tokens to which later steps refer.
#[derive(Default)]
struct Uses<'p> {
    /// The number of steps that refer to each client.
    clients: BTreeMap<&'p Name, usize>,
    requests: BTreeSet<RequestId>,
    tokens: BTreeSet<TokenId>,
    /// The number of requests outside crowds that the script starts and awaits in separate statements. `made` is the
    /// number of tokens that are made.
    waits: usize,
    made: usize,
}

impl<'p> Steps<'p> {
    /// Writes all steps of a canonical plan.
    ///
    /// # Errors
    /// [`Unwritable::Step`]: the first step that a script cannot ask for.
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
            crowds: Vec::new(),
            added: BTreeSet::new(),
            lines: Vec::new(),
        };
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

    /// Leaves a line empty after the first clients, before later ones, and where some time has passed.
    fn begin_paragraph(&mut self, step: usize) {
        let is_client = |step: &Action| matches!(step, Action::AddClient(_));
        let (before, rest) = self.plan.steps.split_at(step);
        let (Some(last), Some(next)) = (before.last(), rest.first()) else { return };
        let time_has_passed = match last {
            Action::Advance(time) => time.as_secs() > 0,
            Action::AwaitChecks(_) => true,
            _ => false,
        };
        let are_clients = before.iter().all(is_client);
        if time_has_passed || (is_client(next) && !is_client(last)) || (are_clients && !is_client(next)) {
            self.lines.push(String::new());
        }
    }

    /// Writes the statement that begins with this step. Returns the number of steps that the statement covers.
    fn step(&mut self, step: usize) -> Result<usize, Inexpressible> {
        let plan = self.plan;
        let call = match &plan.steps[step] {
            Action::AddClient(spec) => return self.add_client(step, spec),
            Action::Start { id, request } => return self.start(step, *id, request),
            Action::Await(_) => return Ok(self.wait(step)),
            Action::Crowd(crowd) => {
                let clients = crowd.clients.iter().filter_map(|name| self.variable_of(Some(name)));
                let who = Call::new("crowd").with(text::list(clients.map(str::to_owned)));
                return self.crowd(step, crowd, who);
            }
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
        self.lines.push(statement(variable, calls));
    }

    /// Returns the call of a client's method.
    fn of(&self, client: &Name, method: &str) -> Call {
        let variable = self.clients.get(client).map_or_else(|| client.as_str(), String::as_str);
        Call::new(format!("{variable}.{method}"))
    }

    /// Returns the variable that holds a client in the script.
    fn variable_of(&self, client: Option<&Name>) -> Option<&str> {
        client.and_then(|client| self.clients.get(client)).map(String::as_str)
    }

    fn add_client(&mut self, step: usize, spec: &ClientSpec) -> Result<usize, Inexpressible> {
        if let Some(count) = self.new_crowd(step, spec)? {
            return Ok(count);
        }
        self.added.insert(spec.name.clone());
        let call = client::client(spec, self.variable_of(spec.at.as_ref()), &self.topology)?;
        let variable = self.uses.clients.contains_key(&spec.name).then(|| self.names.fresh(spec.name.as_str()));
        self.say(variable.as_deref(), &[call]);
        if let Some(variable) = variable {
            self.clients.insert(spec.name.clone(), variable);
        }
        Ok(1)
    }

    /// Writes a request, and the wait for its answer if that is the next step.
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
        // The variable `_` shows a reader of the script that the answer is deliberately not awaited.
        self.say(Some(variable.as_deref().unwrap_or("_")), &[call]);
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
        let fields = headers.iter().map(|(name, value)| (name, Expression::text(value)));
        let fields = (!headers.is_empty()).then(|| dictionary(fields)).transpose()?;
        Ok(call
            .and_any("headers", fields)
            .and_truth("chunked", sending.chunked.then_some(true))
            .and_truth("expect", sending.expect)
            .and_any("limit_rate", sending.limit_rate.map(|rate| rate.to_string())))
    }

    /// Writes adjacent waits: all for one crowd, or those for other requests. Returns the number of waits.
    fn wait(&mut self, step: usize) -> usize {
        let waited = self.plan.steps[step..].iter().map_while(|step| match step {
            Action::Await(id) => Some(*id),
            _ => None,
        });
        let mut ids: Vec<RequestId> = waited.collect();
        if let Some((variable, crowd)) = self.crowds.iter().find(|(_, crowd)| ids.starts_with(crowd)) {
            let count = crowd.len();
            let expects = self.expectations.are_of_one_user(crowd.iter().copied());
            let expectation = if expects { ".expect(user = [member.user, None])" } else { "" };
            let body = format!("    for request in member.requests:\n        request.wait(){expectation}");
            self.lines.push(format!("for member in {variable}:\n{body}"));
            return count;
        }
        let is_crowd = |place: &usize| self.crowds.iter().any(|(_, crowd)| ids[*place..].starts_with(crowd));
        ids.truncate((1..ids.len()).find(is_crowd).unwrap_or(ids.len()));
        let variable = |id: &RequestId| self.requests.get(id).cloned().unwrap_or_else(|| id.to_string());
        let waits: Vec<Vec<Call>> = if ids.len() > 1 && ids.iter().all(|id| self.expectations.call(*id).is_none()) {
            vec![vec![Call::new("wait_all").with(text::list(ids.iter().map(variable)))]]
        } else {
            let wait = |id: &RequestId| std::iter::once(Call::new(format!("{}.wait", variable(id))));
            ids.iter().map(|id| wait(id).chain(self.expectations.call(*id)).collect()).collect()
        };
        for calls in &waits {
            self.say(None, calls);
        }
        ids.len()
    }

    /// Writes a crowd of new clients, beginning with the first of them, and the waits for its requests if these are the
    /// next steps. Returns the number of steps; `None` if the step does not begin such a crowd.
    fn new_crowd(&mut self, step: usize, first: &ClientSpec) -> Result<Option<usize>, Inexpressible> {
        let plan = self.plan;
        let members = plan.steps[step..].iter().map_while(|step| match step {
            Action::AddClient(spec) => Some(spec),
            _ => None,
        });
        let members: Vec<&ClientSpec> = members.collect();
        let Some(Action::Crowd(crowd)) = plan.steps.get(step + members.len()) else { return Ok(None) };
        let vacant = (1..).map(standard::numbered).map(Name::from).filter(|name| !self.added.contains(name));
        let is_alike = |spec: &ClientSpec| {
            let alike = ClientSpec { name: spec.name.clone(), identity: spec.identity.clone(), ..first.clone() };
            alike == *spec && User::is_namesake(spec, &self.topology)
        };
        let is_new = crowd.clients.iter().eq(members.iter().map(|spec| &spec.name))
            && crowd.clients.iter().cloned().eq(vacant.take(members.len()))
            && first.port.is_none()
            && members.iter().all(|spec| is_alike(spec));
        if !is_new {
            return Ok(None);
        }
        let who = Call::new("crowd").with(members.len().to_string());
        let who = who.and_any("kind", name_of(first.profile.agent, Agent::ALL).map(string));
        let who = client::options(who, first, self.variable_of(first.at.as_ref()), &self.topology)?;
        let waits = self.crowd(step + members.len(), crowd, who)?;
        self.added.extend(crowd.clients.iter().cloned());
        Ok(Some(members.len() + waits))
    }

    /// Writes a crowd, and the waits for its requests if these are the next steps. `who` is the call with the clients.
    /// Returns the number of steps.
    fn crowd(&mut self, step: usize, crowd: &CrowdSpec, who: Call) -> Result<usize, Inexpressible> {
        let think = milliseconds(crowd.think)?;
        let call = who
            .and_any("requests", (crowd.requests != 1).then(|| crowd.requests.to_string()))
            .and_any("think_ms", (think != "0").then_some(think))
            .and_any("path", (crowd.path != "/").then(|| string(&crowd.path)));
        let ids: Vec<RequestId> = crowd.ids().collect();
        let (members, requests) = (crowd.clients.len(), crowd.requests as usize);
        let in_turns = (0..ids.len()).map(|number| ids[number % members * requests + number / members]);
        let waits = in_turns.map(Action::Await).collect::<Vec<_>>();
        let is_awaited = self.plan.steps[step + 1..].starts_with(&waits);
        let expects = self.expectations.are_of_one_user(ids.iter().copied());
        // Clients that were added with the crowd have no variables.
        let later = crowd.clients.iter().any(|name| !self.added.contains(name) && self.uses.clients[name] > 1);
        if is_awaited && !expects && !later {
            self.say(None, &[call]);
            return Ok(1 + ids.len());
        }
        let variable = self.names.fresh("members");
        for (place, name) in crowd.clients.iter().enumerate().filter(|(_, name)| !self.added.contains(*name)) {
            self.clients.insert(name.clone(), format!("{variable}[{place}].client"));
        }
        if is_awaited {
            self.say(Some(&variable), &[call]);
            if expects {
                let body = "    for answer in member.answers:\n        answer.expect(user = [member.user, None])";
                self.lines.push(format!("for member in {variable}:\n{body}"));
            }
            return Ok(1 + ids.len());
        }
        self.say(Some(&variable), &[call.called("start_crowd")]);
        for (place, id) in ids.iter().enumerate() {
            let request = format!("{variable}[{}].requests[{}]", place / requests, place % requests);
            self.requests.insert(*id, request);
        }
        self.crowds.push((variable, ids));
        Ok(1)
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
        let call = self.of(&raw.client, "send_raw").with(Expression::Sum(parts));
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

    /// Writes a comment above a statement if the finding is about it.
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
        let mut started: BTreeSet<RequestId> = BTreeSet::new();
        let mut before: Option<&Action> = None;
        for step in &plan.steps {
            match step {
                Action::AddClient(spec) => spec.at.iter().for_each(|at| uses.client(at)),
                Action::Start { id, request } => {
                    started.insert(*id);
                    uses.client(&request.client);
                }
                Action::Await(id) => {
                    uses.requests.insert(*id);
                    let at_once = matches!(before, Some(Action::Start { id: started, .. }) if started == id);
                    uses.waits += usize::from(started.contains(id) && !at_once);
                }
                Action::Crowd(crowd) => crowd.clients.iter().for_each(|name| uses.client(name)),
                Action::SendRaw(raw) => {
                    uses.client(&raw.client);
                    uses.tokens.extend(raw.bytes.iter().filter_map(|piece| match piece {
                        Piece::Token(id) => Some(*id),
                        Piece::Text(_) | Piece::Bytes(_) => None,
                    }));
                }
                Action::MakeToken { client, .. } => {
                    uses.client(client);
                    uses.made += 1;
                }
                Action::Disconnect(client) | Action::SwitchUser(client, _) => uses.client(client),
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

    fn client(&mut self, name: &'p Name) {
        *self.clients.entry(name).or_default() += 1;
    }
}

fn await_checks(wait: CheckWait) -> Result<Call, Inexpressible> {
    let change = name_of(wait.change, &CHECK_CHANGES).ok_or(Inexpressible("the change has no name"))?;
    let call = Call::new("await_checks").with(string(change));
    Ok(call.and("extra", seconds(wait.extra)?).and("otherwise", seconds(wait.otherwise)?))
}

fn fault(fault: &Fault) -> Call {
    fault.hosts().fold(Call::new(fault.verb()), |call, host| call.with(string(host.as_str())))
}
