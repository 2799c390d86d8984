//! The functions that add a single client.

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
use super::one_of;
use crate::site::check_name;

/// The name that error messages use for the kind of a user agent.
const KIND: &str = "kind of client";

#[starlark_module]
pub(super) fn clients(builder: &mut GlobalsBuilder) {
    /// Adds a client that behaves like `curl --ntlm`: it sends the Negotiate leg at once, and the body of a POST with
    /// the last leg only.
    ///
    /// # Arguments
    /// * `name`: The name of the client, and of its user unless `user` says otherwise.
    /// * `options`: The options of every client.
    ///
    /// Examples:
    /// ```python
    /// alice = curl("alice")
    /// mallory = curl("mallory", user = None)
    /// ```
    fn curl<'v>(
        name: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, Agent::Curl, &options)?)
    }

    /// Adds a client that behaves like `curl --negotiate -u :`: it sends a ticket at once, and supports nothing else.
    ///
    /// # Arguments
    /// * `name`: The name of the client, and of its user unless `user` says otherwise.
    /// * `options`: The options of every client.
    fn curl_negotiate<'v>(
        name: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, Agent::CurlNegotiate, &options)?)
    }

    /// Adds a client that behaves like a browser on Windows, Chromium or Edge: it first sends a request without
    /// credentials, and then authenticates with a ticket, or by NTLM if it has none.
    ///
    /// # Arguments
    /// * `name`: The name of the client, and of its user unless `user` says otherwise.
    /// * `options`: The options of every client.
    ///
    /// Examples:
    /// ```python
    /// bob = browser("bob-at-home", user = "bob", kerberos = False)
    /// ```
    fn browser<'v>(
        name: &str,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, Agent::Browser, &options)?)
    }

    /// Adds a client that behaves like the user agent of the given name.
    ///
    /// # Arguments
    /// * `name`: The name of the client, and of its user unless `user` says otherwise.
    /// * `kind`: The user agent: `"curl"`, `"curl_negotiate"`, `"curl_anyauth"`, `"browser"`, `"wininet"`,
    ///   `"chromium_linux"`, `"firefox_linux"`, `"wget"`, `"mono"`, `"lwp"` or `"requests_kerberos"`.
    /// * `options`: The options of every client.
    ///
    /// Examples:
    /// ```python
    /// dave = client("dave", "chromium_linux")
    /// ```
    fn client<'v>(
        name: &str,
        kind: Value<'v>,
        #[starlark(kwargs)] options: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, name, agent(kind)?, &options)?)
    }
}

/// Returns the user agent of a kind of client, given by its name or by the function that adds such a client:
/// `"browser"`, `browser`.
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
