//! The options that a script can give to a client of any kind.

use std::fmt::Display;
use std::time::Duration;

use starlark::values::dict::DictRef;
use starlark::values::float::UnpackFloat;
use starlark::values::{UnpackValue, Value};
use stickler_model::agent::Agent;
use stickler_model::bounds::{MAX_PATIENCE, MAX_TIME, MAX_TIMER};
use stickler_model::topology::Http2;
use stickler_model::{ClientSpec, Identity, Name, Profile, Topology};

use super::errors::ScriptError;
use super::globals::{in_range, one_of, timer};
use super::values::Client;
use crate::site::names::HTTP2;
use crate::site::{Unknown, identity};

/// The options of a client. Those that are not given depend on the kind of the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClientOptions {
    user: User,
    /// The password that is typed; `None` stands for the directory's.
    password: Option<String>,
    close_after_first_401: bool,
    closes_with_proof: bool,
    cookies: Option<bool>,
    preconnects: Option<bool>,
    at: Option<Name>,
    port: Option<u16>,
    no_kerberos: bool,
    delegates: bool,
    clock_skew: i64,
    host: Option<String>,
    http2: Http2,
    patience: Option<Duration>,
    keep_alive: Option<Duration>,
}

/// The user as whom a client authenticates.
#[derive(Debug, Default, PartialEq, Eq)]
enum User {
    /// The user with the same name as the client.
    #[default]
    Namesake,
    /// The user of this name.
    Named(String),
    Nobody,
}

/// The description of an option: its name, its type, its default, and its meaning.
pub(super) struct About {
    pub(super) name: &'static str,
    /// The type, as Starlark writes it.
    pub(super) typ: &'static str,
    /// The default, as a script would write it; empty if it depends on the kind of the client.
    pub(super) default: &'static str,
    pub(super) meaning: &'static str,
}

const fn about(name: &'static str, typ: &'static str, default: &'static str, meaning: &'static str) -> About {
    About { name, typ, default, meaning }
}

/// The options of every client.
pub(super) const OPTIONS: [About; 15] = [
    about(
        "user",
        "str | None",
        "",
        "The user. Without it, the user has the client's name. With `None` there is no user, and the client never authenticates.",
    ),
    about("password", "str", "", "The password that is typed. Without it, it is the directory's."),
    about("cookies", "bool", "", "Whether the client keeps cookies. Without it, it depends on the kind of the client."),
    about("at", "client", "", "A client whose host and address this client shares."),
    about(
        "port",
        "int",
        "",
        "The port from which the client connects, from 1024 to 65535. Without it, it is a free port.",
    ),
    about("host", "str", "", "The name of the site, in `Host` and in the service name."),
    about("patience", "float | int", "30", "The time that the client waits for an answer, in seconds, at least 0.001."),
    about(
        "keep_alive",
        "float | int",
        "",
        "The time for which the client keeps an idle connection, in seconds, at least 0.001. Without it, there is no limit.",
    ),
    about("kerberos", "bool", "True", "Whether the client may use Kerberos."),
    about("delegates", "bool", "False", "Whether the client delegates its user's credentials to the server."),
    about(
        "clock_skew",
        "int",
        "0",
        "The number of seconds by which the client's clock is ahead. A negative number means that it is behind.",
    ),
    about(
        "http2",
        "str",
        "\"never\"",
        "Whether the client speaks HTTP/2 if it is offered: `\"never\"`, `\"until-challenged\"` or `\"always\"`.",
    ),
    about(
        "preconnects",
        "bool",
        "",
        "Whether the client opens a second connection beside its first. Without it, it depends on the kind of the client.",
    ),
    about("close_after_first_401", "bool", "False", "Whether the client closes the connection after a first 401."),
    about(
        "closes_with_proof",
        "bool",
        "False",
        "Whether the client sends `Connection: close` with the leg that proves its user's identity.",
    ),
];

impl ClientOptions {
    /// Reads the options from named arguments.
    pub(super) fn read(given: &DictRef<'_>) -> Result<Self, ScriptError> {
        let mut options = Self::default();
        for (name, value) in given.iter() {
            options.take(&name.to_str(), value)?;
        }
        match &options {
            Self { user: User::Nobody, password: Some(_), .. } => Err(ScriptError::PasswordOfNobody),
            _ => Ok(options),
        }
    }

    fn take(&mut self, name: &str, value: Value<'_>) -> Result<(), ScriptError> {
        match name {
            "user" if value.is_none() => self.user = User::Nobody,
            "user" => self.user = User::Named(unpack("the name of a user, or None", value)?),
            "password" => self.password = Some(unpack("a password", value)?),
            "close_after_first_401" => self.close_after_first_401 = truth(value)?,
            "closes_with_proof" => self.closes_with_proof = truth(value)?,
            "cookies" => self.cookies = Some(truth(value)?),
            "preconnects" => self.preconnects = Some(truth(value)?),
            "at" => self.at = Some(unpack::<&Client>("a client", value)?.name()),
            "port" => self.port = Some(in_range("port", whole(value)?, 1024, 65_535)? as u16),
            "kerberos" => self.no_kerberos = !truth(value)?,
            "delegates" => self.delegates = truth(value)?,
            "clock_skew" => {
                self.clock_skew = whole(value)?;
                in_range("clock_skew, either way", self.clock_skew.saturating_abs(), 0, MAX_TIME.as_secs())?;
            }
            "host" => self.host = Some(unpack("what the client calls the site", value)?),
            "http2" => self.http2 = one_of("way with HTTP/2", &value.to_str(), &HTTP2)?,
            "patience" => self.patience = Some(timer("patience", seconds(value)?, MAX_PATIENCE)?),
            "keep_alive" => self.keep_alive = Some(timer("keep_alive", seconds(value)?, MAX_TIMER)?),
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Returns the first given option that makes sense for a single client only.
    pub(super) fn is_for_one(&self) -> Option<&'static str> {
        let given = [
            ("user", self.user != User::Namesake),
            ("password", self.password.is_some()),
            ("port", self.port.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// Returns the identity of the user who is at the client of this name.
    pub(super) fn identity(&self, topology: &Topology, name: &Name) -> Result<Option<Identity>, ScriptError> {
        let user = match &self.user {
            User::Namesake => name.as_str(),
            User::Nobody => return Ok(None),
            User::Named(user) => user,
        };
        Ok(Some(identity(topology, user, self.password.clone())?))
    }

    /// Returns the specification of the client of this name, and of its user.
    pub(super) fn spec(&self, name: Name, agent: Agent, identity: Option<Identity>) -> ClientSpec {
        let own = Profile::of(agent);
        let profile = Profile {
            close_after_first_401: self.close_after_first_401,
            closes_with_proof: self.closes_with_proof,
            cookies: self.cookies.unwrap_or(own.cookies),
            preconnects: self.preconnects.unwrap_or(own.preconnects),
            ..own
        };
        ClientSpec {
            at: self.at.clone(),
            port: self.port,
            no_kerberos: self.no_kerberos,
            delegates: self.delegates,
            clock_skew: self.clock_skew,
            host: self.host.clone(),
            http2: self.http2,
            patience: self.patience,
            keep_alive: self.keep_alive,
            ..ClientSpec::new(name, profile, identity)
        }
    }
}

fn unknown(name: &str) -> ScriptError {
    let known = OPTIONS.iter().map(|option| option.name.to_owned()).collect();
    Unknown { kind: "option of a client called", given: name.to_owned(), known }.into()
}

fn truth(value: Value<'_>) -> Result<bool, ScriptError> {
    unpack("True or False", value)
}

fn whole(value: Value<'_>) -> Result<i64, ScriptError> {
    unpack("a whole number", value)
}

fn seconds(value: Value<'_>) -> Result<f64, ScriptError> {
    unpack::<UnpackFloat>("a number of seconds", value).map(|seconds| seconds.0)
}

/// Unpacks a value. The error message calls the expected type `expected`.
pub(super) fn unpack<'v, T>(expected: &'static str, value: Value<'v>) -> Result<T, ScriptError>
where
    T: UnpackValue<'v>,
    T::Error: Display,
{
    let found = || ScriptError::Type { expected, found: value.to_repr() };
    T::unpack_value_impl(value).ok().flatten().ok_or_else(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_is_documented_is_one_that_is_read() {
        starlark::values::Heap::temp(|heap| {
            for option in OPTIONS {
                // A function is a value of none of these types.
                let value = heap.alloc(starlark::values::structs::AllocStruct([("nothing", 1)]));
                let error = ClientOptions::default().take(option.name, value).map_err(|error| error.to_string());
                assert!(!error.is_err_and(|error| error.contains("option of a client called")), "{}", option.name);
            }
            assert!(matches!(ClientOptions::default().take("patients", heap.alloc(3)), Err(ScriptError::Unknown(_))));
        });
    }
}
