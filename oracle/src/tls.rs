//! TL-1 and TL-2: what TLS and HTTP/2 in front of the servers do to who is who.
//!
//! **TL-1** applies where clients have TLS, and a server requires extended protection: whoever
//! authenticates there has to bind the certificate of that very connection (RFC 5929 4,
//! `tls-server-end-point`). Not so with the flag `Proxy`, nor where the servers have no TLS: there it is
//! service names that are compared.
//! * *Passthrough*, or one certificate for all: a client was shown the certificate that the server
//!   shows. TL-1 is put to the test by each ended request of such a client, if it has valid credentials
//!   and binds, whose Authenticate leg or ticket a server received so. It is violated when the request
//!   ends in 401 (or 407) and no server took it for its user, unless the site refused it for something
//!   else (a ticket that the server could not read, an account that is locked).
//! * *Termination*: the two certificates differ. TL-1 is put to the test by each Authenticate leg and
//!   each ticket that a server answers so, and violated when a server takes a request so for a user:
//!   somebody in between can speak for the client.
//!
//! **TL-2** applies where a client's connection has HTTP/2. A server's connection is *authenticated*
//! from an answer that took an Authenticate leg or a ticket, and left it authenticated
//! ([`Site::persists`](crate::site::Site::persists)), until the next; a connection of a site that minds
//! `Via` is not looked at, for the trace does not show that header. TL-2 is put to the test by each such
//! answer to a request that came over HTTP/2, and by each later request received there, if that or what
//! authenticated the connection came over HTTP/2. It is violated when the two are of different clients:
//! their streams, or the streams of one and the HTTP/1.1 connection of the other, then share what is
//! one user's.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::event::Credentials;
use stickler_model::topology::UpstreamTls;
use stickler_model::{Name, RequestId, What};

use crate::index::{Answered, ClientConnection, Index, Request, ServerConnection, asks_for_credentials, is_proof};
use crate::judge::Finding;
use crate::secured::Way;
use crate::site::refused_by_site;

/// TL-1.
pub(crate) fn bindings_are_kept(index: &Index<'_>) -> Finding {
    let tls = index.trace.header.topology.tls;
    let upstream = tls.is_some_and(|tls| tls.upstream != UpstreamTls::Plain) || index.secured.any_server();
    if tls.is_none() || !upstream || !index.site.any_requires_binding() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    for request in index.requests.values() {
        let bound = index.secured_ways(request).filter(|way| index.site.requires_binding(way.at.0));
        let (same, other): (Vec<_>, Vec<_>) = bound.partition(Way::is_the_servers);
        passes(index, request, &same, &mut finding);
        fails_closed(index, request, &other, &mut finding);
    }
    finding
}

/// The client was shown the server's own certificate.
fn passes(index: &Index<'_>, request: &Request<'_>, ways: &[Way<'_>], finding: &mut Finding) {
    let proven = ways.iter().rfind(|way| is_proof(way.leg));
    let (Some(way), Some(end)) = (proven, request.ended) else { return };
    if request.credentials != Credentials::Valid || !index.site.binds(request.client) {
        return;
    }
    finding.exercise();
    let taken = index.answered(request).any(|answer| answer.taken_for().is_some());
    let excused = index.explained(request) || refused_by_site(index, request) || unreadable(index, request);
    if asks_for_credentials(end.status) && !taken && !excused {
        let (server, number) = way.at;
        let summary = format!(
            "{}'s request {} was refused, though its client was shown the certificate of {server} on connection {number}",
            request.client, request.id,
        );
        finding.violate(summary, request.events.iter().copied().chain([way.shown.event, way.own.event]).collect());
    }
}

/// The client was shown another certificate than the server's.
fn fails_closed(index: &Index<'_>, request: &Request<'_>, ways: &[Way<'_>], finding: &mut Finding) {
    for answer in index.answered(request) {
        let arrived = ways.iter().filter(|way| (way.at, way.number) == (answer.at, answer.number));
        let Some(way) = arrived.take_while(|way| way.received < answer.event).last() else { continue };
        if is_proof(way.leg) {
            finding.exercise();
        }
        let Some(user) = answer.taken_for() else { continue };
        let (server, number) = way.at;
        let summary = format!(
            "{server} took {}'s request {} for {user} on connection {number}, though the client was shown another \
             certificate ({}) than the server's ({})",
            request.client, request.id, way.shown.digest, way.own.digest,
        );
        finding.violate(summary, vec![way.shown.event, way.own.event, way.received, answer.event]);
    }
}

/// Whether the server refused the request's last ticket with a KRB-ERROR: for what it is, not for what
/// it is bound to.
fn unreadable(index: &Index<'_>, request: &Request<'_>) -> bool {
    let last = request.events.iter().rev().find_map(|&event| match *index.what(event) {
        What::ServerTicket { error, .. } => Some(error),
        _ => None,
    });
    last.is_some_and(|error| (1..128).contains(&error))
}

/// TL-2.
pub(crate) fn streams_keep_apart(index: &Index<'_>) -> Finding {
    if !index.secured.any_http2() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    let mut reader = Streams::default();
    for (event, seen) in index.trace.events.iter().enumerate() {
        match &seen.what {
            What::ClientSent { connection, request, .. } => {
                _ = reader.sent_on.insert(*request, (&seen.by, *connection));
            }
            // The numbers begin again when a server restarts.
            What::ServerAccepted { connection, .. } => _ = reader.authenticated.remove(&(&seen.by, *connection)),
            What::ServerReceived { connection, request, .. } => {
                if let Some(request) = index.request(*request) {
                    reader.received(index, request, (&seen.by, *connection), event, &mut finding);
                }
            }
            What::ServerAnswered { .. } => reader.answered(index, event, &mut finding),
            _ => {}
        }
    }
    finding
}

/// What TL-2 needs to know while it reads a trace from start to end.
#[derive(Default)]
struct Streams<'t> {
    /// On which of its client's connections a request was last sent.
    sent_on: BTreeMap<RequestId, ClientConnection<'t>>,
    authenticated: BTreeMap<ServerConnection<'t>, Authenticated<'t>>,
}

/// A server's connection that is authenticated.
struct Authenticated<'t> {
    /// By whom, over what, and when; `None`: an unknown sender.
    by: Option<User<'t>>,
    /// Who last used it over HTTP/2.
    http2: Option<User<'t>>,
    /// Clients that it was told against.
    told: BTreeSet<&'t Name>,
}

/// A client on a server's connection.
#[derive(Clone, Copy)]
struct User<'t> {
    client: &'t Name,
    http2: bool,
    event: usize,
}

impl<'t> Streams<'t> {
    fn received(
        &mut self,
        index: &Index<'t>,
        request: &Request<'t>,
        at: ServerConnection<'t>,
        event: usize,
        finding: &mut Finding,
    ) {
        let Some(user) = self.user(index, request, event) else { return };
        let Some(connection) = self.authenticated.get_mut(&at) else { return };
        let other = [connection.by, connection.http2].into_iter().flatten();
        let mut other = other.filter(|other| other.client != user.client && (other.http2 || user.http2));
        let concerns = user.http2 || connection.by.is_some_and(|by| by.http2);
        if let Some(other) = other.next() {
            if connection.told.insert(user.client) {
                let ((server, number), http2) = (at, |http2| if http2 { "HTTP/2" } else { "HTTP/1.1" });
                let summary = format!(
                    "{server} received {}'s request {} (over {}) on connection {number}, which is authenticated and had \
                     carried {}'s (over {})",
                    user.client,
                    request.id,
                    http2(user.http2),
                    other.client,
                    http2(other.http2),
                );
                let by = connection.by.map(|by| by.event);
                finding.violate(summary, by.into_iter().chain([other.event, event]).collect());
            }
        } else if concerns {
            finding.exercise();
        }
        if user.http2 {
            connection.http2 = Some(user);
        }
    }

    fn answered(&mut self, index: &Index<'t>, event: usize, finding: &mut Finding) {
        let Some(answer) = index.answer(event).filter(Answered::is_logon) else { return };
        if !index.authenticates(&answer) || index.site.minds_via(answer.at.0) {
            self.authenticated.remove(&answer.at);
            return;
        }
        let by = index.request(answer.request).and_then(|request| self.user(index, request, event));
        if by.is_some_and(|by| by.http2) {
            finding.exercise();
        }
        self.authenticated.insert(answer.at, Authenticated { by, http2: None, told: BTreeSet::new() });
    }

    fn user(&self, index: &Index<'t>, request: &Request<'t>, event: usize) -> Option<User<'t>> {
        let &on = self.sent_on.get(&request.id)?;
        Some(User { client: request.client, http2: index.secured.is_http2(on), event })
    }
}
