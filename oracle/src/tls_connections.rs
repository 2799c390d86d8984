//! Which connections have TLS, and by which certificate.

use std::collections::BTreeMap;

use stickler_model::payload::Digest;
use stickler_model::{Leg, Trace, What};

use crate::index::{ClientConnection, Index, Request, ServerConnection};

/// TLS, by connection.
pub(crate) struct Secured<'t> {
    clients: BTreeMap<ClientConnection<'t>, ClientTls>,
    /// From when on a connection of this number has TLS by which certificate. The numbers begin again
    /// when a server restarts.
    servers: BTreeMap<ServerConnection<'t>, Vec<Certificate>>,
}

/// What a client knows of the TLS on its connection.
#[derive(Clone, Copy)]
struct ClientTls {
    shown: Certificate,
    http2: bool,
}

/// A certificate on a connection.
#[derive(Clone, Copy)]
pub(crate) struct Certificate {
    pub(crate) event: usize,
    pub(crate) digest: Digest,
}

/// A request's way from its client to a server, with TLS at both ends.
pub(crate) struct Way<'t> {
    /// What the client was shown.
    pub(crate) shown: Certificate,
    /// What the server shows.
    pub(crate) own: Certificate,
    pub(crate) leg: Leg,
    pub(crate) at: ServerConnection<'t>,
    /// The request's number on the server's connection.
    pub(crate) number: u32,
    pub(crate) received: usize,
}

impl<'t> Secured<'t> {
    /// Reads a trace once.
    pub(crate) fn new(trace: &'t Trace) -> Self {
        let mut secured = Self { clients: BTreeMap::new(), servers: BTreeMap::new() };
        for (event, seen) in trace.events.iter().enumerate() {
            match seen.what {
                What::ClientSecured { connection, certificate: digest, http2 } => {
                    let shown = Certificate { event, digest };
                    secured.clients.insert((&seen.by, connection), ClientTls { shown, http2 });
                }
                What::ServerSecured { connection, certificate: digest } => {
                    let own = Certificate { event, digest };
                    secured.servers.entry((&seen.by, connection)).or_default().push(own);
                }
                _ => {}
            }
        }
        secured
    }

    /// Whether any client's connection has HTTP/2.
    pub(crate) fn any_http2(&self) -> bool {
        self.clients.values().any(|tls| tls.http2)
    }

    /// Whether any server's connection has TLS.
    pub(crate) fn any_server(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Whether this client's connection has HTTP/2.
    pub(crate) fn is_http2(&self, on: ClientConnection<'t>) -> bool {
        self.clients.get(&on).is_some_and(|tls| tls.http2)
    }

    fn own(&self, at: ServerConnection<'t>, event: usize) -> Option<Certificate> {
        let since = self.servers.get(&at)?;
        since.partition_point(|own| own.event < event).checked_sub(1).map(|last| since[last])
    }
}

impl Way<'_> {
    /// Whether the client was shown the server's own certificate.
    pub(crate) fn is_the_servers(&self) -> bool {
        self.shown.digest == self.own.digest
    }
}

impl<'t> Index<'t> {
    /// The ways of a request that have TLS at both ends: one for each time that a server received it.
    pub(crate) fn secured_ways(&self, request: &Request<'t>) -> impl Iterator<Item = Way<'t>> {
        let mut on = None;
        request.events.iter().filter_map(move |&event| match *self.what(event) {
            What::ClientSent { connection, .. } => {
                on = Some((self.by(event), connection));
                None
            }
            What::ServerReceived { connection, number, leg, .. } => {
                let at = (self.by(event), connection);
                let &ClientTls { shown, .. } = self.secured.clients.get(&on?)?;
                let own = self.secured.own(at, event)?;
                Some(Way { shown, own, leg, at, number, received: event })
            }
            _ => None,
        })
    }
}
