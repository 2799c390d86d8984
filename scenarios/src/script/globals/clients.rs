//! The clients that a script adds.

#![expect(clippy::too_many_arguments, reason = "a script's function has as many named arguments as it needs")]

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::float::UnpackFloat;
use starlark::values::none::NoneOr;
use stickler_model::agent::Agent;
use stickler_model::bounds::{MAX_PATIENCE, MAX_TIME, MAX_TIMER};
use stickler_model::{ClientSpec, Name, Profile};

use super::super::errors::ScriptError;
use super::super::session::Session;
use super::super::site::{HTTP2, check_name, identity, one_of};
use super::super::values::Client;
use super::{in_range, timer};

#[starlark_module]
pub(in super::super) fn clients(builder: &mut GlobalsBuilder) {
    /// Adds a client that behaves as `curl --ntlm`. As for every client, `patience` is how many seconds it waits for an answer,
    /// `keep_alive` how many it keeps an idle connection. `user` is a name of the directory, the client's
    /// own if unsaid, or None for nobody; `password` is the directory's if unsaid. With `cookies` it
    /// has a cookie jar. `at` is a client whose host, and address, it shares; `port` the port that it
    /// connects from.
    fn curl<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] cookies: bool,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile { cookies, ..Profile::CURL };
        Ok(add_client(eval, (name, user, password), |spec| {
            spec.profile = profile;
            set_timers(spec, patience, keep_alive)?;
            set_source(spec, at, port)
        })?)
    }

    /// Adds a client that behaves as `curl --negotiate -u :`: it has tickets, and nothing else.
    fn curl_negotiate<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] delegates: bool,
        #[starlark(require = named, default = 0)] clock_skew: i64,
        #[starlark(require = named)] host: Option<String>,
        #[starlark(require = named, default = "never")] http2: &str,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        Ok(add_client(eval, (name, user, password), |spec| {
            spec.profile = Profile::CURL_NEGOTIATE;
            set_timers(spec, patience, keep_alive)?;
            negotiates(spec, (delegates, clock_skew), host, http2)
        })?)
    }

    /// Adds a client that behaves as a browser. Where `kerberos` is false it may not use that; `clock_skew` is how many
    /// seconds its clock is ahead; `host` is what it calls the site; with `delegates` it lets servers act as its user.
    fn browser<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] close_after_first_401: bool,
        #[starlark(require = named, default = true)] cookies: bool,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        #[starlark(require = named, default = true)] kerberos: bool,
        #[starlark(require = named, default = false)] delegates: bool,
        #[starlark(require = named, default = 0)] clock_skew: i64,
        #[starlark(require = named)] host: Option<String>,
        #[starlark(require = named, default = "never")] http2: &str,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile { close_after_first_401, cookies, ..Profile::BROWSER };
        Ok(add_client(eval, (name, user, password), |spec| {
            (spec.profile, spec.no_kerberos) = (profile, !kerberos);
            set_source(spec, at, port)?;
            set_timers(spec, patience, keep_alive)?;
            negotiates(spec, (delegates, clock_skew), host, http2)
        })?)
    }

    /// Adds a client that behaves as the user agent `kind`. The arguments are those of `browser`; where `cookies` is not
    /// given, the user agent decides.
    fn client<'v>(
        name: &str,
        kind: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] close_after_first_401: bool,
        #[starlark(require = named)] cookies: Option<bool>,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        #[starlark(require = named, default = true)] kerberos: bool,
        #[starlark(require = named, default = false)] delegates: bool,
        #[starlark(require = named, default = 0)] clock_skew: i64,
        #[starlark(require = named)] host: Option<String>,
        #[starlark(require = named, default = "never")] http2: &str,
        #[starlark(require = named)] patience: Option<UnpackFloat>,
        #[starlark(require = named)] keep_alive: Option<UnpackFloat>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile::of(one_of("kind of client", kind, Agent::ALL)?);
        let cookies = cookies.unwrap_or(profile.cookies);
        Ok(add_client(eval, (name, user, password), |spec| {
            (spec.profile, spec.no_kerberos) = (Profile { close_after_first_401, cookies, ..profile }, !kerberos);
            set_source(spec, at, port)?;
            set_timers(spec, patience, keep_alive)?;
            negotiates(spec, (delegates, clock_skew), host, http2)
        })?)
    }
}

/// Adds a client of that name; `describe` says what it is.
fn add_client(
    eval: &Evaluator<'_, '_, '_>,
    (name, user, password): (&str, Option<NoneOr<String>>, Option<String>),
    describe: impl FnOnce(&mut ClientSpec) -> Result<(), ScriptError>,
) -> Result<Client, ScriptError> {
    check_name(name)?;
    let session = Session::of(eval);
    let identity = match user.map(NoneOr::into_option) {
        Some(None) if password.is_some() => return Err(ScriptError::PasswordOfNobody),
        Some(None) => None,
        Some(Some(user)) => Some(session.site(|topology| identity(topology, &user, password))?),
        None => Some(session.site(|topology| identity(topology, name, password))?),
    };
    let name = Name::from(name);
    let mut spec = ClientSpec::new(name.clone(), Profile::CURL, identity);
    describe(&mut spec)?;
    session.add_client(spec)?;
    Ok(Client { name })
}

/// Sets the client whose address this one shares, and the port that it connects from.
fn set_source(spec: &mut ClientSpec, at: Option<&Client>, port: Option<i64>) -> Result<(), ScriptError> {
    let port = port.map(|port| in_range("port", port, 1024, 65_535)).transpose()?;
    (spec.at, spec.port) = (at.map(Client::name), port.map(|port| port as u16));
    Ok(())
}

/// What clients have in common that can get tickets.
fn negotiates(
    spec: &mut ClientSpec,
    (delegates, skew): (bool, i64),
    host: Option<String>,
    http2: &str,
) -> Result<(), ScriptError> {
    in_range("clock_skew, either way", skew.saturating_abs(), 0, MAX_TIME.as_secs())?;
    (spec.delegates, spec.clock_skew, spec.host) = (delegates, skew, host);
    spec.http2 = one_of("way with HTTP/2", http2, &HTTP2)?;
    Ok(())
}

/// Sets how long a client waits, and keeps connections.
fn set_timers(
    spec: &mut ClientSpec,
    patience: Option<UnpackFloat>,
    keep_alive: Option<UnpackFloat>,
) -> Result<(), ScriptError> {
    spec.patience = patience.map(|time| timer("patience", time.0, MAX_PATIENCE)).transpose()?;
    spec.keep_alive = keep_alive.map(|time| timer("keep_alive", time.0, MAX_TIMER)).transpose()?;
    Ok(())
}
