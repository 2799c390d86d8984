//! Writes the clients with their users.

use stickler_model::agent::Agent;
use stickler_model::topology::Http2;
use stickler_model::{ClientSpec, Identity, Profile, Topology};

use super::Inexpressible;
use super::text::{Call, seconds, string};
use crate::site;
use crate::site::names::{HTTP2, name_of};

/// The kinds of clients that have their own function.
const OWN_FUNCTIONS: [Agent; 3] = [Agent::Curl, Agent::CurlNegotiate, Agent::Browser];

/// Writes a client. `at` is the variable of the client whose address it shares.
///
/// # Errors
/// A property of the client cannot be expressed in a script.
pub(super) fn client(spec: &ClientSpec, at: Option<&str>, topology: &Topology) -> Result<Call, Inexpressible> {
    let kind = name_of(spec.profile.agent, Agent::ALL).ok_or(Inexpressible("the user agent has no name"))?;
    let name = string(spec.name.as_str());
    let call = if OWN_FUNCTIONS.contains(&spec.profile.agent) {
        Call::new(kind).with(name)
    } else {
        Call::new("client").with(name).with(string(kind))
    };
    options(call, spec, at, topology)
}

/// Adds the options in which a client differs from the default of its kind.
///
/// # Errors
/// A property of the client cannot be expressed in a script.
pub(super) fn options(
    call: Call,
    spec: &ClientSpec,
    at: Option<&str>,
    topology: &Topology,
) -> Result<Call, Inexpressible> {
    let ClientSpec {
        name,
        profile,
        identity,
        at: _,
        port,
        no_kerberos,
        delegates,
        clock_skew,
        host,
        http2,
        patience,
        keep_alive,
    } = spec;
    if port.is_some_and(|port| port < 1024) {
        return Err(Inexpressible("a client connects from a port of 1024 or above"));
    }
    let own = Profile::of(profile.agent);
    let truth = |value: bool, default: bool| (value != default).then_some(value);
    let http2 = (*http2 != Http2::Never).then(|| name_of(*http2, &HTTP2)).flatten();
    let call = match identity {
        None => call.and("user", "None"),
        Some(identity) => {
            let User { name: user, password } = User::of(identity, topology)?;
            call.and_any("user", (user != name.as_str()).then(|| string(&user)))
                .and_any("password", password.map(|password| string(&password)))
        }
    };
    Ok(call
        .and_any("at", at)
        .and_any("port", port.map(|port| port.to_string()))
        .and_any("host", host.as_deref().map(string))
        .and_truth("kerberos", no_kerberos.then_some(false))
        .and_truth("delegates", delegates.then_some(true))
        .and_any("clock_skew", (*clock_skew != 0).then(|| clock_skew.to_string()))
        .and_any("http2", http2.map(string))
        .and_truth("cookies", truth(profile.cookies, own.cookies))
        .and_truth("preconnects", truth(profile.preconnects, own.preconnects))
        .and_truth("close_after_first_401", truth(profile.close_after_first_401, own.close_after_first_401))
        .and_truth("closes_with_proof", truth(profile.closes_with_proof, own.closes_with_proof))
        .and_any("patience", patience.map(seconds).transpose()?)
        .and_any("keep_alive", keep_alive.map(seconds).transpose()?))
}

/// A user in the form in which a script names one.
pub(super) struct User {
    pub(super) name: String,
    /// The password, if it is not the directory's.
    pub(super) password: Option<String>,
}

impl User {
    /// Returns whether the user of the same name is at the client, in which case the script does not have to name the
    /// user.
    pub(super) fn is_namesake(client: &ClientSpec, topology: &Topology) -> bool {
        let user = client.identity.as_ref().and_then(|identity| Self::of(identity, topology).ok());
        user.is_some_and(|user| user.name == client.name.as_str() && user.password.is_none())
    }

    /// Returns the user and the password by which a script expresses these credentials.
    ///
    /// # Errors
    /// A script cannot name that user.
    pub(super) fn of(identity: &Identity, topology: &Topology) -> Result<Self, Inexpressible> {
        let means = |name: &str, password: Option<&String>| {
            site::identity(topology, name, password.cloned()).is_ok_and(|read| {
                read.principal.as_str() == identity.principal.as_str() && read.password == identity.password
            })
        };
        for name in [identity.principal.user(), identity.principal.as_str()] {
            for password in [None, Some(&identity.password)] {
                if means(name, password) {
                    return Ok(Self { name: name.to_owned(), password: password.cloned() });
                }
            }
        }
        Err(Inexpressible("a user has a domain and a name"))
    }
}
