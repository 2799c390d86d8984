//! How servers and clients are set up, according to the trace's header and the script: whether a logon authenticates a
//! connection, and who can log on at all.
//!
//! A server that the header does not describe (in a trace of unknown origin) has IIS's defaults. A client that the
//! script did not add can do everything.

use std::collections::BTreeMap;

use stickler_model::site::{Checking, KeepAlive, ProtectionSpec};
use stickler_model::topology::{Acceptor, ServerSpec};
use stickler_model::{Action, ClientSpec, Leg, Name, What};

use crate::requests::{Answered, Requests};

/// Settings of servers and clients, by name.
pub(crate) struct Settings<'t> {
    servers: BTreeMap<&'t Name, &'t ServerSpec>,
    clients: BTreeMap<&'t Name, &'t ClientSpec>,
}

/// The security packages by which a client can log on at the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommonPackages {
    pub(crate) ntlm: bool,
    pub(crate) kerberos: bool,
}

impl<'t> Settings<'t> {
    /// Reads the header's servers and the clients that the script added.
    pub(crate) fn read(requests: &Requests<'t>) -> Self {
        let servers = requests.topology().servers.iter().map(|server| (&server.name, server)).collect();
        let clients = requests.events().filter_map(|(_, event)| match &event.what {
            What::Action(Action::AddClient(spec)) => Some((&spec.name, spec)),
            _ => None,
        });
        Self { servers, clients: clients.collect() }
    }

    /// Returns whether an answer accepted a proof of identity and left its connection authenticated.
    pub(crate) fn authenticates(&self, answer: &Answered<'_>) -> bool {
        answer.is_logon() && self.persists(answer.at.0, answer.leg)
    }

    /// Returns whether a request with this leg, if this server takes it for a user, leaves its connection
    /// authenticated. A ticket is valid for its request alone unless `authPersistNonNTLM` is set (MS-N2HT 3.1.5,
    /// `Persistent-Auth`). With `authPersistSingleRequest` every proof is valid for its request alone.
    pub(crate) fn persists(&self, server: &Name, leg: Leg) -> bool {
        self.servers.get(server).is_none_or(|server| {
            let site = &server.site;
            !site.single_request && (leg != Leg::Ticket || site.persist_non_ntlm)
        })
    }

    /// Returns whether each request to this server has to authenticate (`authPersistSingleRequest`).
    pub(crate) fn is_single_request(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| server.site.single_request)
    }

    /// Returns whether a `Via` header in a request ends the authentication of the connection at this server. No trace
    /// shows that header.
    pub(crate) fn via_ends_persistence(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| server.site.via_ends_persistence)
    }

    /// Returns whether this server refuses, on connections with TLS, clients that have not bound its certificate. With
    /// the flag `Proxy` it compares service names instead of bindings.
    pub(crate) fn requires_binding(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| requires_binding(server))
    }

    /// Returns whether any server refuses clients that have not bound its certificate.
    pub(crate) fn any_requires_binding(&self) -> bool {
        self.servers.values().any(|server| requires_binding(server))
    }

    /// Returns whether a client binds its tokens to the certificate that it was shown.
    pub(crate) fn binds(&self, client: &Name) -> bool {
        self.clients.get(client).is_none_or(|client| client.binds())
    }

    /// Returns whether two clients are the same or sit at the same host, and so have the same address.
    pub(crate) fn share_host(&self, one: &Name, other: &Name) -> bool {
        self.host(one) == self.host(other)
    }

    /// Returns the client whose host this client sits at, which is itself unless the script says otherwise.
    pub(crate) fn host<'n>(&self, client: &'n Name) -> &'n Name
    where
        't: 'n,
    {
        let mut host = client;
        // No longer than there are clients, should they sit at each other's hosts.
        for _ in 0..self.clients.len() {
            match self.clients.get(host).and_then(|spec| spec.at.as_ref()) {
                Some(at) => host = at,
                None => break,
            }
        }
        host
    }

    /// Returns the port that this client connects from, if the script has chosen one.
    pub(crate) fn port(&self, client: &Name) -> Option<u16> {
        self.clients.get(client).and_then(|spec| spec.port)
    }

    /// Returns whether this is a server of the site, as far as the header says.
    pub(crate) fn is_server(&self, name: &Name) -> bool {
        self.servers.is_empty() || self.servers.contains_key(name)
    }

    /// Returns whether a server speaks no proper HTTP.
    pub(crate) fn is_rogue(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| matches!(server.acceptor, Acceptor::Rogue(_)))
    }

    /// Returns whether a server closes the connection with its challenge, so that NTLM never ends there.
    pub(crate) fn closes_by_challenge(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| server.site.keep_alive == KeepAlive::ClosedByChallenge)
    }

    /// Returns whether the script forbids this client what its user agent could do (Kerberos).
    pub(crate) fn is_restricted(&self, client: &Name) -> bool {
        self.clients.get(client).is_some_and(|client| client.no_kerberos)
    }

    /// Returns the packages that a client has in common with any server, under a scheme that both have.
    pub(crate) fn common_packages(&self, client: &Name) -> CommonPackages {
        let Some(client) = self.clients.get(client).filter(|_| !self.servers.is_empty()) else {
            return CommonPackages { ntlm: true, kerberos: true };
        };
        let mut providers = self.servers.values().flat_map(|server| server.providers.iter().copied());
        CommonPackages {
            ntlm: providers.clone().any(|provider| client.has_ntlm_for(provider)),
            kerberos: providers.any(|provider| client.has_kerberos_for(provider)),
        }
    }
}

fn requires_binding(server: &ServerSpec) -> bool {
    let protection = &server.site.protection;
    server.acceptor.is_connection()
        && protection.checking == Checking::Require
        && !protection.has(ProtectionSpec::PROXY)
}
