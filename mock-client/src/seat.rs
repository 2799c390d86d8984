//! Who sits at a client, and what of a site's headers is noted about it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};
use stickler_auth::http::Scheme;
use stickler_auth::ntlm::initiator::{self, InitiatorConfig};
use stickler_model::trace::Promises;
use stickler_model::{Env, Identity, Principal, RequestId, What};

use crate::cookies;
use crate::profile::UserAgent;
use crate::tickets::Wallet;

/// A user at a client, until another takes the seat.
pub(crate) struct Seat {
    /// How many sat there before.
    pub(crate) number: u32,
    /// Who it is; `None`: nobody, so it never authenticates.
    pub(crate) identity: Option<Principal>,
    /// What makes the user's tokens.
    pub(crate) initiator: Option<Arc<InitiatorConfig>>,
    /// The user's tickets.
    pub(crate) wallet: Option<Wallet>,
}

/// By whom a connection was authenticated, and how.
#[derive(Clone, Copy)]
pub(crate) struct Holder {
    /// [`Seat::number`].
    pub(crate) seat: u32,
    /// The scheme that the server took.
    pub(crate) scheme: Scheme,
}

impl Seat {
    /// The user of `identity`, for a site that is called `host`.
    pub(crate) fn new(number: u32, identity: Option<&Identity>, agent: &UserAgent, host: &str) -> Self {
        Self {
            number,
            identity: identity.map(|identity| identity.principal.clone()),
            initiator: identity.map(|identity| Arc::new(initiator(identity, agent, host))),
            wallet: identity.map(Wallet::new),
        }
    }
}

/// How a user agent makes the tokens of a user, for the site in `host`, a `Host` header.
pub(crate) fn initiator(identity: &Identity, agent: &UserAgent, host: &str) -> InitiatorConfig {
    let host = host_name(host);
    let Identity { principal, password } = identity;
    InitiatorConfig {
        profile: agent.ntlm.clone(),
        credentials: initiator::Credentials::new(principal.user(), principal.domain(), password),
        target_name: Some(format!("HTTP/{host}")),
        channel_binding: None,
    }
}

/// The name in `Host`, without the port.
pub(crate) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has colons of its own, in brackets.
        Some((_, port)) if port.ends_with(']') => host,
        Some((host, _)) => host,
        None => host,
    }
}

/// Which cookie and which header of a site a client notes in the trace.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The balancer's persistence cookie.
    cookie: Option<String>,
    /// The header that the site trusts the balancer to set.
    trusted: Option<HeaderName>,
}

impl Watch {
    pub(crate) fn new(promises: &Promises) -> Self {
        let trusted = promises.trusted_header.as_ref().and_then(|name| HeaderName::try_from(name.as_str()).ok());
        Self { cookie: promises.cookie.clone(), trusted }
    }

    /// Notes what a request is about to say.
    pub(crate) fn sending(&self, env: &Env, connection: u32, request: RequestId, headers: &HeaderMap) {
        if let Some(name) = &self.cookie {
            for cookie in headers.get_all(header::COOKIE) {
                let Some(value) = cookies::find(cookie.as_bytes(), name).map(text) else { continue };
                env.record(What::CookieSent { connection, request, value });
            }
        }
        if let Some(name) = &self.trusted {
            for value in headers.get_all(name) {
                env.record(What::ClientClaimed { connection, request, value: text(value.as_bytes()) });
            }
        }
    }

    /// The values that an answer gives the persistence cookie.
    pub(crate) fn received(&self, headers: &HeaderMap) -> Vec<String> {
        let Some(watched) = &self.cookie else { return Vec::new() };
        let cookies = headers.get_all(header::SET_COOKIE).iter().filter_map(|value| cookies::read(value.as_bytes()));
        cookies.filter(|(name, _)| *name == watched.as_bytes()).map(|(_, value)| text(value)).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
