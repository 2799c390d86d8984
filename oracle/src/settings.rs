//! What the trace's header says of the servers, and its script of the clients: what a connection is
//! worth, who can log on at all, and what the site refuses by itself, whoever is in front of it.
//!
//! A server that the header does not know (a trace of strangers) has IIS's own defaults; a client that
//! the script does not know can do anything.

use std::collections::BTreeMap;

use stickler_model::event::Credentials;
use stickler_model::site::{Checking, ProtectionSpec};
use stickler_model::topology::{Agent, Provider, ServerSpec};
use stickler_model::{Action, ClientSpec, Leg, Name, Trace, What};

use crate::index::{Index, Request, is_proof};
use crate::logons::{ACCOUNT_LOCKED_OUT, Cause, NO_LOGON_SERVERS};

/// STATUS_NO_TRUST_SAM_ACCOUNT, STATUS_TRUSTED_RELATIONSHIP_FAILURE, STATUS_DOMAIN_TRUST_INCONSISTENT (MS-ERREF 2.3.1).
const NO_TRUST: [u32; 3] = [0xC000_018B, 0xC000_018D, 0xC000_019B];

/// Settings of servers and clients, by name.
pub(crate) struct Site<'t> {
    servers: BTreeMap<&'t Name, &'t ServerSpec>,
    clients: BTreeMap<&'t Name, &'t ClientSpec>,
}

/// The packages by which a client can log on at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packages {
    pub(crate) ntlm: bool,
    pub(crate) kerberos: bool,
}

/// Whether the request was refused for what the site did, not the balancer:
/// * its account is locked out by wrong passwords that users sent, or a fault keeps the DC from
///   answering a server, or a client that can log on with a ticket alone;
/// * a machine or a domain is not trusted, or not believed: no balancer brings that about;
/// * or nobody could log on so: see [`is_barred`].
pub(crate) fn refused_by_site(index: &Index<'_>, request: &Request<'_>) -> bool {
    let logon = request.events.iter().any(|&event| match *index.what(event) {
        What::ServerLogon { status: ACCOUNT_LOCKED_OUT, .. } => index.cause(event) == Cause::User,
        What::ServerLogon { status: NO_LOGON_SERVERS, .. } => index.explained(request),
        What::ServerLogon { status, .. } => NO_TRUST.contains(&status),
        _ => false,
    });
    logon || lacks_ticket(index, request) || is_barred(index, request)
}

/// Whether the client could not log on at this site without any balancer, with credentials that are
/// good elsewhere:
/// * they have no package in common (it may not use Kerberos, and the site wants `Negotiate:Kerberos`);
/// * or the site requires a channel binding, and the client's is of another certificate, or it sends
///   none. With TLS ended in between this is how it has to be (TL-1).
pub(crate) fn is_barred(index: &Index<'_>, request: &Request<'_>) -> bool {
    let Packages { ntlm, kerberos } = index.site.packages(request.client);
    let binds = index.site.binds(request.client);
    let unbound = || {
        let bound = index.secured_ways(request).filter(|way| is_proof(way.leg));
        bound.filter(|way| index.site.requires_binding(way.at.0)).any(|way| !binds || !way.is_the_servers())
    };
    !(ntlm || kerberos) || unbound()
}

/// Whether a client that can log on with a ticket alone got none, because the KDC was out of reach or
/// users had locked the account.
fn lacks_ticket(index: &Index<'_>, request: &Request<'_>) -> bool {
    let Some(end) = request.ended else { return false };
    let sent = || index.sent(request).any(|(.., leg)| leg == Leg::Ticket);
    let locked = || {
        let from = index.locked.partition_point(|&(event, _)| event < request.started);
        let meanwhile = index.locked[from..].iter().take_while(|&&(event, _)| event < end.event);
        meanwhile.into_iter().any(|&(_, account)| Some(account) == request.identity)
    };
    request.credentials == Credentials::Valid
        && !index.site.packages(request.client).ntlm
        && !sent()
        && (!index.farm.quiet_elsewhere(request.started, end.event) || locked())
}

impl<'t> Site<'t> {
    /// Reads a trace once.
    pub(crate) fn new(trace: &'t Trace) -> Self {
        let servers = trace.header.topology.servers.iter().map(|server| (&server.name, server)).collect();
        let clients = trace.events.iter().filter_map(|event| match &event.what {
            What::Action(Action::AddClient(spec)) => Some((&spec.name, spec)),
            _ => None,
        });
        Self { servers, clients: clients.collect() }
    }

    /// Whether a request with this leg, which this server took for a user, leaves its connection
    /// authenticated. A ticket is good for its request alone without `authPersistNonNTLM` (MS-N2HT
    /// 3.1.5, `Persistent-Auth`), and so is anything with `authPersistSingleRequest`.
    pub(crate) fn persists(&self, server: &Name, leg: Leg) -> bool {
        self.servers.get(server).is_none_or(|server| {
            let site = &server.site;
            !site.single_request && (leg != Leg::Ticket || site.persist_non_ntlm)
        })
    }

    /// Whether whoever authenticates at this server has to do so again for the next request.
    pub(crate) fn is_single_request(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| server.site.single_request)
    }

    /// Whether a proxy that tells of itself ends what a connection is worth, which no trace shows.
    pub(crate) fn minds_via(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| server.site.via_ends_persistence)
    }

    /// Whether this server refuses whoever has not bound its certificate, on connections with TLS. With
    /// the flag `Proxy` it compares service names in place of bindings.
    pub(crate) fn requires_binding(&self, server: &Name) -> bool {
        self.servers.get(server).is_some_and(|server| requires_binding(server))
    }

    /// Whether any server does.
    pub(crate) fn any_requires_binding(&self) -> bool {
        self.servers.values().any(|server| requires_binding(server))
    }

    /// Whether a client binds its tokens to the certificate that it is shown: browsers do, curl does not.
    pub(crate) fn binds(&self, client: &Name) -> bool {
        self.clients.get(client).is_none_or(|client| client.profile.agent == Agent::Browser)
    }

    /// The packages that a client has in common with any server, under a scheme that both have.
    pub(crate) fn packages(&self, client: &Name) -> Packages {
        let Some(client) = self.clients.get(client).filter(|_| !self.servers.is_empty()) else {
            return Packages { ntlm: true, kerberos: true };
        };
        let offers = || self.servers.values().flat_map(|server| server.providers.iter().copied());
        let ntlm = offers().any(|provider| has_ntlm(client.profile.agent, provider));
        let kerberos = !client.no_kerberos && offers().any(|provider| has_kerberos(client.profile.agent, provider));
        Packages { ntlm, kerberos }
    }
}

fn requires_binding(server: &ServerSpec) -> bool {
    let protection = &server.site.protection;
    server.acceptor.is_connection()
        && protection.checking == Checking::Require
        && !protection.has(ProtectionSpec::PROXY)
}

fn has_ntlm(agent: Agent, provider: Provider) -> bool {
    match agent {
        Agent::Curl => provider == Provider::Ntlm,
        Agent::CurlNegotiate => false,
        Agent::Browser => provider != Provider::NegotiateKerberos,
    }
}

fn has_kerberos(agent: Agent, provider: Provider) -> bool {
    match agent {
        Agent::Curl => false,
        Agent::CurlNegotiate => matches!(provider, Provider::Negotiate | Provider::NegotiateKerberos),
        Agent::Browser => provider != Provider::Ntlm,
    }
}
