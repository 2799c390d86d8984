//! The user at a client, and the creation of that user's tokens.

use std::sync::Arc;

use stickler_auth::http::Scheme;
use stickler_auth::ntlm::initiator::{self, InitiatorConfig};
use stickler_model::{Identity, Principal};

use crate::profile::UserAgent;
use crate::tickets::TicketCache;

/// A user at a client, until another user takes over.
pub(crate) struct UserSession {
    /// The number of sessions before this one.
    pub(crate) number: u32,
    /// The name of the user; `None` if the client has no credentials and never authenticates.
    pub(crate) identity: Option<Principal>,
    /// The configuration for the user's NTLM tokens.
    pub(crate) initiator: Option<Arc<InitiatorConfig>>,
    /// The user's Kerberos tickets.
    pub(crate) tickets: Option<TicketCache>,
}

/// The session that authenticated a connection, and the scheme.
#[derive(Clone, Copy)]
pub(crate) struct Holder {
    /// The session's number ([`UserSession::number`]).
    pub(crate) session: u32,
    /// The scheme that the server accepted.
    pub(crate) scheme: Scheme,
}

impl UserSession {
    /// Begins a session of `identity` at a client that refers to its site as `host` (the `Host` header).
    pub(crate) fn new(number: u32, identity: Option<&Identity>, agent: &UserAgent, host: &str) -> Self {
        Self {
            number,
            identity: identity.map(|identity| identity.principal.clone()),
            initiator: identity.map(|identity| Arc::new(initiator(identity, agent, host))),
            tickets: identity.map(TicketCache::new),
        }
    }
}

/// Returns the configuration with which a user agent makes the NTLM tokens of a user for a site. `host` is the site's
/// `Host` header.
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

/// Returns the name in a `Host` header, without the port.
pub(crate) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address contains colons, in brackets.
        Some((_, port)) if port.ends_with(']') => host,
        Some((host, _)) => host,
        None => host,
    }
}
