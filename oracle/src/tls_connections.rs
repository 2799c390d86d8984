//! The connections that use TLS, and their certificates.

use std::collections::BTreeMap;

use stickler_model::payload::Digest;
use stickler_model::{Leg, What};

use crate::order::{Of, before, since};
use crate::requests::{ClientConnection, Request, Requests, ServerConnection};
use crate::settings::Settings;

/// The connections that use TLS. A `usize` is an index into the trace's events.
pub(crate) struct TlsConnections<'t> {
    clients: BTreeMap<ClientConnection<'t>, ClientTls>,
    /// The certificates of a server's connections with this number, each with the event at which TLS was established.
    /// The numbers start again when a server restarts.
    servers: BTreeMap<ServerConnection<'t>, Vec<Certificate>>,
    /// The events at which connections began to servers with a certificate that nobody accepts, and on which TLS was
    /// not established.
    turned_away: Vec<usize>,
}

/// What a client knows about TLS on its connection.
#[derive(Clone, Copy)]
struct ClientTls {
    shown: Certificate,
    http2: bool,
}

/// A certificate on a connection.
#[derive(Clone, Copy)]
pub(crate) struct Certificate {
    /// The event at which TLS was established.
    pub(crate) event: usize,
    /// The digest of the certificate.
    pub(crate) digest: Digest,
}

/// The path of an HTTP request from its client to a server, with TLS at both ends.
pub(crate) struct TlsPath<'t> {
    /// The certificate that the client was shown.
    pub(crate) shown: Certificate,
    /// The certificate that the server shows.
    pub(crate) own: Certificate,
    pub(crate) leg: Leg,
    pub(crate) at: ServerConnection<'t>,
    /// The number of the HTTP request on the server's connection.
    pub(crate) number: u32,
    /// The event at which the server received the HTTP request.
    pub(crate) received: usize,
}

impl<'t> TlsConnections<'t> {
    /// Collects the TLS connections of a trace.
    pub(crate) fn read(requests: &Requests<'t>, settings: &Settings<'t>) -> Self {
        let mut tls = Self { clients: BTreeMap::new(), servers: BTreeMap::new(), turned_away: Vec::new() };
        let mut unsecured: BTreeMap<ServerConnection<'t>, usize> = BTreeMap::new();
        for (event, seen) in requests.events() {
            match seen.what {
                What::ClientSecured { connection, certificate: digest, http2 } => {
                    let shown = Certificate { event, digest };
                    tls.clients.insert((&seen.by, connection), ClientTls { shown, http2 });
                }
                What::ServerAccepted { connection, .. } => {
                    // The numbers start again when a server restarts.
                    tls.turned_away.extend(unsecured.remove(&(&seen.by, connection)));
                    if settings.has_bad_certificate(&seen.by, event) {
                        unsecured.insert((&seen.by, connection), event);
                    }
                }
                What::ServerSecured { connection, certificate: digest } => {
                    unsecured.remove(&(&seen.by, connection));
                    let own = Certificate { event, digest };
                    tls.servers.entry((&seen.by, connection)).or_default().push(own);
                }
                _ => {}
            }
        }
        tls.turned_away.extend(unsecured.into_values());
        tls.turned_away.sort_unstable();
        tls
    }

    /// Returns whether a server's certificate was refused between the two events.
    pub(crate) fn is_turned_away(&self, from: usize, to: usize) -> bool {
        since(&self.turned_away, from).first().is_some_and(|&event| event <= to)
    }

    /// Returns whether any client's connection uses HTTP/2.
    pub(crate) fn any_http2(&self) -> bool {
        self.clients.values().any(|tls| tls.http2)
    }

    /// Returns whether any server's connection uses TLS.
    pub(crate) fn any_server(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Returns whether this client's connection uses HTTP/2.
    pub(crate) fn is_http2(&self, on: ClientConnection<'t>) -> bool {
        self.clients.get(&on).is_some_and(|tls| tls.http2)
    }

    /// Returns the paths of a request that have TLS at both ends: one for each time that a server received it.
    pub(crate) fn paths(&self, requests: &Requests<'t>, request: &Request<'t>) -> impl Iterator<Item = TlsPath<'t>> {
        let mut on = None;
        request.events.iter().filter_map(move |&event| match *requests.what(event) {
            What::ClientSent { connection, .. } => {
                on = Some((requests.by(event), connection));
                None
            }
            What::ServerReceived { connection, number, leg, .. } => {
                let at = (requests.by(event), connection);
                let &ClientTls { shown, .. } = self.clients.get(&on?)?;
                let own = self.own(at, event)?;
                Some(TlsPath { shown, own, leg, at, number, received: event })
            }
            _ => None,
        })
    }

    fn own(&self, at: ServerConnection<'t>, event: usize) -> Option<Certificate> {
        let since = self.servers.get(&at)?;
        before(since, event).last().copied()
    }
}

impl Of for Certificate {
    fn event(&self) -> usize {
        self.event
    }
}

impl TlsPath<'_> {
    /// Returns whether the client was shown the server's own certificate.
    pub(crate) fn has_one_certificate(&self) -> bool {
        self.shown.digest == self.own.digest
    }
}
