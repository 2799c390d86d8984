//! The clients that a script adds, one by one.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::DictRef;
use stickler_model::Name;
use stickler_model::agent::Agent;

use super::super::client_options::ClientOptions;
use super::super::errors::ScriptError;
use super::super::session::Session;
use super::super::values::Client;
use crate::site::check_name;
use crate::site::names::one_of;

/// What a user agent is called in a script.
const KIND: &str = "kind of client";

#[starlark_module]
pub(in super::super) fn clients(builder: &mut GlobalsBuilder) {
    /// Adds a client that behaves as `curl --ntlm`. The options are those of every client (`client_options.rs`).
    fn curl<'v>(
        name: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, Agent::Curl, &options)?)
    }

    /// Adds a client that behaves as `curl --negotiate -u :`: it has tickets, and nothing else.
    fn curl_negotiate<'v>(
        name: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, Agent::CurlNegotiate, &options)?)
    }

    /// Adds a client that behaves as a browser on Windows.
    fn browser<'v>(
        name: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, Agent::Browser, &options)?)
    }

    /// Adds a client that behaves as the user agent `kind`.
    fn client<'v>(
        name: &str,
        kind: Value<'v>,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, agent(kind)?, &options)?)
    }
}

/// The user agent that a name stands for, or the function that adds such a client: `"browser"`, `browser`.
pub(super) fn agent(kind: Value<'_>) -> Result<Agent, ScriptError> {
    Ok(one_of(KIND, &kind.to_str(), Agent::ALL)?)
}

fn add_client(
    eval: &Evaluator<'_, '_, '_>,
    name: &str,
    agent: Agent,
    options: &DictRef<'_>,
) -> Result<Client, ScriptError> {
    check_name(name)?;
    let (session, name) = (Session::of(eval), Name::from(name));
    let options = ClientOptions::read(options)?;
    let identity = session.site(|topology| options.identity(topology, &name))?;
    session.add_client(options.spec(name.clone(), agent, identity))?;
    Ok(Client { name })
}
