//! The settings of servers and clients, according to the trace's header and the script: whether a logon authenticates a
//! connection, and who can log on at all.
//!
//! A server can get new settings during the run ([`Action::Configure`]), so each query names an event.
//!
//! A server that the header does not describe (in a trace of unknown origin) has IIS's defaults. A client that the
//! script did not add can do everything.

use std::collections::BTreeMap;
use std::time::Duration;

use stickler_model::site::{Checking, KeepAlive, ProtectionSpec};
use stickler_model::topology::{Acceptor, Provider, ServerSpec};
use stickler_model::{Action, ClientSpec, Identity, Leg, Name, Topology, What};

use crate::local::is_of_domain;
use crate::order::before;
use crate::requests::{Answered, Request, Requests};

/// The settings of servers and clients, by name.
pub(crate) struct Settings<'t> {
    topology: &'t Topology,
    /// The settings of each server, each with the event from which they apply, in order.
    servers: BTreeMap<&'t Name, Vec<(usize, &'t ServerSpec)>>,
    clients: BTreeMap<&'t Name, &'t ClientSpec>,
    /// The users at each client in order, each with the event at which the user took over the client.
    seated: BTreeMap<&'t Name, Vec<(usize, &'t Identity)>>,
}

/// The security packages by which a client can log on at the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommonPackages {
    pub(crate) ntlm: bool,
    pub(crate) kerberos: bool,
}

impl<'t> Settings<'t> {
    /// Collects the servers in the header, the clients that the script added, and the changes that it made to either.
    pub(crate) fn read(requests: &Requests<'t>) -> Self {
        let topology = requests.topology();
        let servers = topology.servers.iter().map(|server| (&server.name, vec![(0, server)])).collect();
        let mut settings = Self { topology, servers, clients: BTreeMap::new(), seated: BTreeMap::new() };
        for (event, seen) in requests.events() {
            let What::Action(action) = &seen.what else { continue };
            match action {
                Action::AddClient(spec) => {
                    settings.clients.insert(&spec.name, spec);
                    let identity = spec.identity.iter().map(|identity| (event, identity));
                    settings.seated.insert(&spec.name, identity.collect());
                }
                Action::SwitchUser(client, identity) => {
                    settings.seated.entry(client).or_default().push((event, identity));
                }
                Action::Configure(server) => settings.servers.entry(&server.name).or_default().push((event, server)),
                _ => {}
            }
        }
        settings
    }

    /// Returns the settings of a server at this event.
    fn server(&self, name: &Name, at: usize) -> Option<&'t ServerSpec> {
        latest(self.servers.get(name)?, at)
    }

    /// Returns the settings that servers have at any time.
    fn all(&self) -> impl Iterator<Item = &'t ServerSpec> {
        self.servers.values().flatten().map(|&(_, server)| server)
    }

    /// Returns whether an answer accepted a proof of identity and left its connection authenticated.
    pub(crate) fn authenticates(&self, answer: &Answered<'_>) -> bool {
        answer.is_logon() && self.persists(answer.at.0, answer.leg, answer.event)
    }

    /// Returns whether a request with this leg, if this server takes it for a user, leaves its connection
    /// authenticated. A ticket is valid for its request alone unless `authPersistNonNTLM` is set (MS-N2HT 3.1.5,
    /// `Persistent-Auth`). With `authPersistSingleRequest` every proof is valid for its request alone.
    pub(crate) fn persists(&self, server: &Name, leg: Leg, at: usize) -> bool {
        self.server(server, at).is_none_or(|server| {
            let site = &server.site;
            !site.single_request && (leg != Leg::Ticket || site.persist_non_ntlm)
        })
    }

    /// Returns whether each request to this server has to authenticate (`authPersistSingleRequest`).
    pub(crate) fn is_single_request(&self, server: &Name, at: usize) -> bool {
        self.server(server, at).is_some_and(|server| server.site.single_request)
    }

    /// Returns whether a `Via` header in a request ends the authentication of the connection at this server. No trace
    /// shows that header.
    pub(crate) fn via_ends_persistence(&self, server: &Name, at: usize) -> bool {
        self.server(server, at).is_some_and(|server| server.site.via_ends_persistence)
    }

    /// Returns whether this server refuses, on connections with TLS, clients that have not bound its certificate. With
    /// the flag `Proxy` it compares service names instead of bindings.
    pub(crate) fn requires_binding(&self, server: &Name, at: usize) -> bool {
        self.server(server, at).is_some_and(requires_binding)
    }

    /// Returns whether any server refuses clients that have not bound its certificate.
    pub(crate) fn any_requires_binding(&self) -> bool {
        self.all().any(requires_binding)
    }

    /// Returns whether a client binds the token of this leg to the certificate that it sees.
    pub(crate) fn binds(&self, client: &Name, leg: Leg) -> bool {
        self.clients.get(client).is_none_or(|client| client.binds(leg))
    }

    /// Returns whether a client asks for its connection to be closed on the leg that proves who its user is.
    pub(crate) fn closes_with_proof(&self, client: &Name) -> bool {
        self.clients.get(client).is_some_and(|client| client.profile.closes_with_proof)
    }

    /// Returns whether two clients are the same or are at the same host, and therefore have the same address.
    pub(crate) fn share_host(&self, one: &Name, other: &Name) -> bool {
        self.host(one) == self.host(other)
    }

    /// Returns the client whose host this client shares, which is the client itself unless the script says otherwise.
    pub(crate) fn host<'n>(&self, client: &'n Name) -> &'n Name
    where
        't: 'n,
    {
        let mut host = client;
        // The loop ends even if clients are at each other's hosts.
        for _ in 0..self.clients.len() {
            match self.clients.get(host).and_then(|spec| spec.at.as_ref()) {
                Some(at) => host = at,
                None => break,
            }
        }
        host
    }

    /// Returns the source port of this client, if the script has chosen one.
    pub(crate) fn port(&self, client: &Name) -> Option<u16> {
        self.clients.get(client).and_then(|spec| spec.port)
    }

    /// Returns whether this is a server of the site according to the header.
    pub(crate) fn is_server(&self, name: &Name) -> bool {
        self.servers.is_empty() || self.servers.contains_key(name)
    }

    /// Returns whether a server does not speak proper HTTP.
    pub(crate) fn is_rogue(&self, server: &Name, at: usize) -> bool {
        self.server(server, at).is_some_and(|server| matches!(server.acceptor, Acceptor::Rogue(_)))
    }

    /// Returns whether a server believes a header that names the user, and asks nobody for credentials.
    pub(crate) fn believes_header(&self, server: &Name, at: usize) -> bool {
        self.server(server, at).is_some_and(|server| matches!(server.acceptor, Acceptor::TrustedHeader(_)))
    }

    /// Returns the time for which a client waits for an answer.
    pub(crate) fn patience(&self, client: &Name) -> Duration {
        self.clients.get(client).and_then(|spec| spec.patience).unwrap_or(ClientSpec::PATIENCE)
    }

    /// Returns whether a server closes the connection with its challenge, in which case an NTLM handshake never
    /// completes there. With keep-alives off, it closes the connection after each answer.
    pub(crate) fn closes_by_challenge(&self, server: &Name, at: usize) -> bool {
        self.server(server, at)
            .is_some_and(|server| matches!(server.site.keep_alive, KeepAlive::ClosedByChallenge | KeepAlive::Never))
    }

    /// Returns whether the clock of a server is further from the world's time than that of a client.
    pub(crate) fn is_clock_of_server_wrong(&self, server: &Name, client: &Name, at: usize) -> bool {
        let client = self.clients.get(client).map_or(0, |client| client.clock_skew.unsigned_abs());
        self.server(server, at).is_some_and(|server| server.clock_skew.unsigned_abs() > client)
    }

    /// Returns whether a server needs no logon for this request.
    pub(crate) fn is_anonymous(&self, server: &Name, request: &Request<'_>, at: usize) -> bool {
        let path = request.path.split_once('?').map_or(request.path, |(path, _)| path);
        self.server(server, at)
            .is_some_and(|server| server.acceptor.is_connection() && server.site.anonymous.covers(request.method, path))
    }

    /// Returns whether a server that speaks TLS shows a certificate that nobody accepts.
    pub(crate) fn has_bad_certificate(&self, server: &Name, at: usize) -> bool {
        self.topology.tls.is_some() && self.server(server, at).is_some_and(|server| server.certificate.is_bad())
    }

    /// Returns whether any server is a member of the domain and therefore asks a DC.
    pub(crate) fn any_joined(&self) -> bool {
        self.servers.is_empty() || self.all().any(|server| !server.workgroup)
    }

    /// Returns whether a server lacks the account of the user who was at the request's client when it was started, or
    /// has it with another password. Only local accounts count, either because the server is in a workgroup or because
    /// the user belongs to no domain.
    pub(crate) fn lacks_account(&self, server: &Name, request: &Request<'_>, at: usize) -> bool {
        let (Some(server), Some(seated)) = (self.server(server, at), self.seated.get(request.client)) else {
            return false;
        };
        latest(seated, request.started).is_some_and(|identity| {
            server.acceptor.is_connection()
                && (server.workgroup || !is_of_domain(self.topology, &identity.principal))
                && !server.has_account(identity)
        })
    }

    /// Returns whether the script prevents this client from using Kerberos, which its user agent supports.
    pub(crate) fn is_restricted(&self, client: &Name) -> bool {
        self.clients.get(client).is_some_and(|client| client.no_kerberos)
    }

    /// Returns the packages that a client has in common with any server, under a scheme that both have.
    pub(crate) fn common_packages(&self, client: &Name) -> CommonPackages {
        let Some(client) = self.clients.get(client).filter(|_| !self.servers.is_empty()) else {
            return CommonPackages { ntlm: true, kerberos: true };
        };
        CommonPackages::of(client, self.all())
    }

    /// Returns the providers that a server offers at this event, or none if the header does not describe the server.
    pub(crate) fn providers(&self, server: &Name, at: usize) -> &'t [Provider] {
        self.server(server, at).map_or(&[], |server| &server.providers)
    }

    /// Returns the packages that a client has in common with this server at this event.
    pub(crate) fn packages_at(&self, server: &Name, client: &Name, at: usize) -> CommonPackages {
        match (self.clients.get(client), self.server(server, at)) {
            (Some(client), Some(server)) => CommonPackages::of(client, std::iter::once(server)),
            _ => CommonPackages { ntlm: true, kerberos: true },
        }
    }
}

impl CommonPackages {
    fn of<'s>(client: &ClientSpec, servers: impl Iterator<Item = &'s ServerSpec>) -> Self {
        let mut packages = Self { ntlm: false, kerberos: false };
        for server in servers {
            let mut tried = client.tried(&server.providers);
            packages.ntlm |= tried.any(|provider| client.has_ntlm_for(provider));
            let mut tried = client.tried(&server.providers);
            packages.kerberos |= server.takes_tickets() && tried.any(|provider| client.has_kerberos_for(provider));
        }
        packages
    }

    /// Returns whether there is no common package.
    pub(crate) fn is_none(self) -> bool {
        !(self.ntlm || self.kerberos)
    }
}

/// Returns the last value that applied before this event, or the first if all apply later.
fn latest<T: Copy>(since: &[(usize, T)], at: usize) -> Option<T> {
    before(since, at).last().or(since.first()).map(|&(_, value)| value)
}

fn requires_binding(server: &ServerSpec) -> bool {
    let protection = &server.site.protection;
    server.acceptor.is_connection()
        && protection.checking == Checking::Require
        && !protection.has(ProtectionSpec::PROXY)
}
