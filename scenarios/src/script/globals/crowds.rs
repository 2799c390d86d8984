//! Crowds: clients that send requests at the same time.

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::DictRef;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::structs::AllocStruct;
use starlark::values::{UnpackValue as _, Value};
use stickler_model::action::CrowdSpec;
use stickler_model::agent::Agent;
use stickler_model::bounds::{MAX_CROWD, MAX_THINK, MAX_UNDER_WAY};
use stickler_model::{Name, Principal, RequestId, RequestSpec};

use super::super::client_options::{ClientOptions, unpack};
use super::super::errors::ScriptError;
use super::super::session::Session;
use super::super::values::{Client, Pending, Response};
use super::clients::agent;
use super::in_range;

/// The requests that each member of a crowd sends.
struct Asked {
    requests: i64,
    think_ms: i64,
    path: String,
}

/// A client of a crowd, with its user and its requests.
struct Member {
    name: Name,
    user: Option<Principal>,
    requests: Vec<RequestId>,
}

#[starlark_module]
pub(super) fn crowds(builder: &mut GlobalsBuilder) {
    /// Lets many clients send requests at the same time, and waits for all answers.
    ///
    /// New clients have the names of their users, `user01`, `user02` and so on, leaving out names that a client already
    /// has. The directory has 20 such users, and gets more if the crowd is the first action of the script.
    ///
    /// # Arguments
    /// * `who`: The number of new clients, at most 1,000, or a list of existing clients.
    /// * `kind`: The user agent of new clients, as a text or as the function that adds one: `"curl"`, `curl`. The
    ///   default is a browser.
    /// * `requests`: The number of requests that each client sends, one after the other.
    /// * `think_ms`: The average pause of a client before each request, in milliseconds. The seed draws each pause
    ///   between zero and twice the average.
    /// * `path`: The path that each client requests.
    /// * `options`: The options of every client, except those that make sense for a single client only.
    ///
    /// # Returns
    /// A list of structs, each with the `client`, its `user` and its `answers`.
    ///
    /// Examples:
    /// ```python
    /// for member in crowd(50, kind = "browser", requests = 6, think_ms = 200):
    ///     for answer in member.answers:
    ///         answer.expect(status = 200, user = member.user)
    /// ```
    fn crowd<'v>(
        who: Value<'v>,
        #[starlark(require = named)] kind: Option<Value<'v>>,
        #[starlark(require = named, default = 1)] requests: i64,
        #[starlark(require = named, default = 0)] think_ms: i64,
        #[starlark(require = named, default = "/")] path: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Value<'v>>> {
        let asked = Asked { requests, think_ms, path: path.to_owned() };
        let members = start(eval, who, kind, asked, &options)?;
        // The answers are taken in the order of the requests, as far as it is known: the first of each client, then the
        // second of each client, and so on.
        for turn in 0..members.first().map_or(0, |member| member.requests.len()) {
            for member in &members {
                Session::of(eval).wait(member.requests[turn])?;
            }
        }
        let mut seen = Vec::new();
        for member in members {
            let answers = member.requests.iter().map(|&request| Pending::new(request).answer(eval));
            let answers = answers.collect::<Result<Vec<Response>, _>>()?;
            let answers = eval.heap().alloc(answers);
            seen.push(member.alloc(eval, "answers", answers));
        }
        Ok(seen)
    }

    /// Lets many clients send requests at the same time, without waiting for the answers.
    ///
    /// # Arguments
    /// * `who`: The number of new clients, at most 1,000, or a list of existing clients.
    /// * `kind`: The user agent of new clients, as a text or as the function that adds one: `"curl"`, `curl`. The
    ///   default is a browser.
    /// * `requests`: The number of requests that each client sends, one after the other.
    /// * `think_ms`: The average pause of a client before each request, in milliseconds. The seed draws each pause
    ///   between zero and twice the average.
    /// * `path`: The path that each client requests.
    /// * `options`: The options of every client, except those that make sense for a single client only.
    ///
    /// # Returns
    /// A list of structs, each with the `client`, its `user` and its `requests`, each of which has `wait()`.
    ///
    /// Examples:
    /// ```python
    /// members = start_crowd([alice, bob], requests = 3)
    /// crash("iis1")
    /// wait_all(members[0].requests)
    /// ```
    fn start_crowd<'v>(
        who: Value<'v>,
        #[starlark(require = named)] kind: Option<Value<'v>>,
        #[starlark(require = named, default = 1)] requests: i64,
        #[starlark(require = named, default = 0)] think_ms: i64,
        #[starlark(require = named, default = "/")] path: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Value<'v>>> {
        let asked = Asked { requests, think_ms, path: path.to_owned() };
        let mut seen = Vec::new();
        for member in start(eval, who, kind, asked, &options)? {
            let requests: Vec<Pending> = member.requests.iter().map(|&request| Pending::new(request)).collect();
            let requests = eval.heap().alloc(requests);
            seen.push(member.alloc(eval, "requests", requests));
        }
        Ok(seen)
    }
}

impl Member {
    /// Returns the member as a script sees it, with one more attribute.
    fn alloc<'v>(self, eval: &Evaluator<'v, '_, '_>, name: &'static str, value: Value<'v>) -> Value<'v> {
        let heap = eval.heap();
        let user = self.user.map_or(Value::new_none(), |user| heap.alloc(user.as_str()));
        heap.alloc(AllocStruct([("client", heap.alloc(Client { name: self.name })), ("user", user), (name, value)]))
    }
}

fn start(
    eval: &Evaluator<'_, '_, '_>,
    who: Value<'_>,
    kind: Option<Value<'_>>,
    asked: Asked,
    options: &DictRef<'_>,
) -> Result<Vec<Member>, ScriptError> {
    let options = ClientOptions::read(options)?;
    let think = Duration::from_millis(in_range("think_ms", asked.think_ms, 0, MAX_THINK.as_millis() as u64)?);
    RequestSpec::new(Name::from("anybody"), "GET", &asked.path).check()?;
    let session = Session::of(eval);
    let given = UnpackListOrTuple::<&Client>::unpack_value_impl(who).ok().flatten();
    let count = match &given {
        Some(clients) => i64::try_from(clients.items.len()).unwrap_or(i64::MAX),
        None => unpack("a number of clients, or a list of them", who)?,
    };
    let count = in_range("the number of clients", count, 1, MAX_CROWD as u64)?;
    let requests = in_range("requests", asked.requests, 1, MAX_UNDER_WAY as u64 / count)?;
    let clients = if let Some(clients) = given {
        if kind.is_some() || options != ClientOptions::default() {
            return Err(ScriptError::CrowdOfClients);
        }
        clients.items.into_iter().map(Client::name).collect()
    } else {
        let agent = kind.map_or(Ok(Agent::Browser), agent)?;
        add(session, count as usize, agent, &options)?
    };
    let spec = CrowdSpec { clients, first: RequestId(0), requests: requests as u32, think, path: asked.path };
    let users: Vec<_> = spec.clients.iter().map(|client| (client.clone(), session.user_at(client))).collect();
    let ids: Vec<RequestId> = session.start_crowd(spec)?;
    let members = users.into_iter().zip(ids.chunks(requests as usize));
    Ok(members.map(|((name, user), ids)| Member { name, user, requests: ids.to_vec() }).collect())
}

/// Adds the new clients of a crowd, and returns their names.
fn add(session: &Session, count: usize, agent: Agent, options: &ClientOptions) -> Result<Vec<Name>, ScriptError> {
    if let Some(option) = options.is_for_one() {
        return Err(ScriptError::OptionOfOne(option));
    }
    let names = session.vacant(count);
    session.provide_accounts(&names)?;
    for name in &names {
        let identity = session.site(|topology| options.identity(topology, name))?;
        session.add_client(options.spec(name.clone(), agent, identity))?;
    }
    Ok(names)
}
