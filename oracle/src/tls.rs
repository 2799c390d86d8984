//! TL-1 and TL-2: how TLS and HTTP/2 in front of the servers affect the identities of users.
//!
//! **TL-1** applies where clients use TLS and a server requires extended protection: clients that authenticate there
//! have to bind the certificate of exactly that connection (RFC 5929 4, `tls-server-end-point`). It does not apply with
//! the flag `Proxy`, or where the servers have no TLS: service names are compared then.
//! * *Passthrough*, or one certificate for all: a client was shown the certificate that the server shows. TL-1 is put
//!   to the test by each ended request of such a client, if it has valid credentials and binds, whose Authenticate leg
//!   or ticket a server received in this path. It is violated if the request ends in 401 (or 407) and no server took it
//!   for its user, unless somebody else is at fault (`excuses`), such as for a ticket that the server could not read.
//! * *Termination*: the two certificates differ. TL-1 is put to the test by each Authenticate leg and each ticket that
//!   a server answers in this path. It is violated if a server takes such a request for a user: somebody between the
//!   two can act as the client.
//!
//! **TL-2** applies where a client's connection uses HTTP/2. A server's connection is *authenticated* from an answer
//! that accepted an Authenticate leg or a ticket and left it authenticated
//! ([`Settings::persists`](crate::settings::Settings::persists)), until the next such answer. A connection of a site
//! where `Via` ends persistence is ignored, because the trace does not show that header. TL-2 is put to the test by
//! each such answer to a request that came over HTTP/2, and by each later request received there, if either the request
//! or the proof that authenticated the connection came over HTTP/2. It is violated if the two come from different
//! clients: their streams, or the streams of one and the HTTP/1.1 connection of the other, then share what belongs to
//! one user.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::event::Credentials;
use stickler_model::topology::UpstreamTls;
use stickler_model::{Name, RequestId, What};

use crate::excuses::refused_because;
use crate::finding::Finding;
use crate::index::Index;
use crate::order::Position;
use crate::requests::{Answered, ClientConnection, Request, ServerConnection, asks_for_credentials, is_proof};
use crate::tls_connections::TlsPath;
use crate::verdict::{Failure, Party};

/// Judges TL-1.
pub(crate) fn tl1_channel_bindings_are_enforced(index: &Index<'_>) -> Finding {
    let tls = index.topology().tls;
    let upstream = tls.is_some_and(|tls| tls.upstream != UpstreamTls::Plain) || index.tls.any_server();
    if tls.is_none() || !upstream || !index.settings.any_requires_binding() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    for request in index.requests() {
        let bound = index.tls_paths(request).filter(|path| index.settings.requires_binding(path.at.0, path.received));
        let (same, other): (Vec<_>, Vec<_>) = bound.partition(TlsPath::has_one_certificate);
        judge_one_certificate(index, request, &same, &mut finding);
        judge_two_certificates(index, request, &other, &mut finding);
    }
    finding
}

/// Judges a request whose client was shown the server's own certificate on these paths.
fn judge_one_certificate(index: &Index<'_>, request: &Request<'_>, paths: &[TlsPath<'_>], finding: &mut Finding) {
    let proven = paths.iter().rfind(|path| is_proof(path.leg));
    let (Some(path), Some(end)) = (proven, request.ended) else { return };
    if request.credentials != Credentials::Valid || !index.settings.binds(request.client, path.leg) {
        return;
    }
    let taken = index.answered(request).any(|answer| answer.taken_for().is_some());
    if !asks_for_credentials(end.status) || taken {
        finding.exercise();
    } else {
        let explained = index.is_disrupted(request).then_some(Party::InjectedFault);
        let fault = explained
            .or_else(|| refused_because(index, request))
            .or_else(|| has_unreadable_ticket(index, request).then_some(Party::Undetermined))
            .unwrap_or(Party::Balancer);
        let (server, number) = path.at;
        let summary = format!(
            "{}'s request {} was refused, though its client was shown the certificate of {server} on connection {number}",
            request.client, request.id,
        );
        if fault == Party::Balancer {
            finding.exercise();
        }
        finding.blame(
            fault,
            Failure::Refused,
            request.cited(),
            summary,
            request.events.iter().copied().chain([path.shown.event, path.own.event]).collect(),
        );
    }
}

/// Judges a request whose client was shown a certificate other than the server's on these paths.
fn judge_two_certificates(index: &Index<'_>, request: &Request<'_>, paths: &[TlsPath<'_>], finding: &mut Finding) {
    for answer in index.answered(request) {
        let arrived = paths.iter().filter(|path| (path.at, path.number) == (answer.at, answer.number));
        let Some(path) = arrived.take_while(|path| path.received.is_before(answer.event)).last() else { continue };
        if is_proof(path.leg) {
            finding.exercise();
        }
        let Some(user) = answer.taken_for() else { continue };
        let (server, number) = path.at;
        let summary = format!(
            "{server} took {}'s request {} for {user} on connection {number}, though the client was shown another \
             certificate ({}) than the server's ({})",
            request.client, request.id, path.shown.digest, path.own.digest,
        );
        finding.violate(
            Failure::WrongUser,
            request.cited(),
            summary,
            vec![path.shown.event, path.own.event, path.received, answer.event],
        );
    }
}

/// Returns whether the server refused the request's last ticket with a KRB-ERROR, which concerns the ticket itself and
/// not its binding.
fn has_unreadable_ticket(index: &Index<'_>, request: &Request<'_>) -> bool {
    let last = request.events.iter().rev().find_map(|&event| match *index.what(event) {
        What::ServerTicket { error, .. } => Some(error),
        _ => None,
    });
    last.is_some_and(|error| (1..128).contains(&error))
}

/// Judges TL-2.
pub(crate) fn tl2_http2_streams_share_no_authenticated_connection(index: &Index<'_>) -> Finding {
    if !index.tls.any_http2() {
        return Finding::not_applicable();
    }
    let mut finding = Finding::default();
    let mut state = Tl2State::default();
    for (event, seen) in index.events() {
        match &seen.what {
            What::ClientSent { connection, request, .. } => {
                _ = state.sent_on.insert(*request, (&seen.by, *connection));
            }
            // The numbers start again when a server restarts.
            What::ServerAccepted { connection, .. } => _ = state.authenticated.remove(&(&seen.by, *connection)),
            What::ServerReceived { connection, request, .. } => {
                if let Some(request) = index.request(*request) {
                    state.received(index, request, (&seen.by, *connection), event, &mut finding);
                }
            }
            What::ServerAnswered { .. } => state.answered(index, event, &mut finding),
            _ => {}
        }
    }
    finding
}

/// The state of TL-2 while a trace is being read.
#[derive(Default)]
struct Tl2State<'t> {
    /// The client's connection on which a request was last sent, by request.
    sent_on: BTreeMap<RequestId, ClientConnection<'t>>,
    /// The authenticated connections of servers.
    authenticated: BTreeMap<ServerConnection<'t>, Authenticated<'t>>,
}

/// An authenticated connection of a server.
struct Authenticated<'t> {
    /// The user of the connection who authenticated it; `None` for an unknown sender.
    by: Option<User<'t>>,
    /// The last user of the connection over HTTP/2, if there is one.
    http2: Option<User<'t>>,
    /// The clients for which a violation was reported.
    reported: BTreeSet<&'t Name>,
}

/// A use of a server's connection by a client.
#[derive(Clone, Copy)]
struct User<'t> {
    client: &'t Name,
    http2: bool,
    event: usize,
}

impl<'t> Tl2State<'t> {
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
            if connection.reported.insert(user.client) {
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
                finding.violate(
                    Failure::Shared,
                    request.cited(),
                    summary,
                    by.into_iter().chain([other.event, event]).collect(),
                );
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
        if !index.authenticates(&answer) || index.settings.via_ends_persistence(answer.at.0, answer.event) {
            self.authenticated.remove(&answer.at);
            return;
        }
        let by = index.request(answer.request).and_then(|request| self.user(index, request, event));
        if by.is_some_and(|by| by.http2) {
            finding.exercise();
        }
        self.authenticated.insert(answer.at, Authenticated { by, http2: None, reported: BTreeSet::new() });
    }

    fn user(&self, index: &Index<'t>, request: &Request<'t>, event: usize) -> Option<User<'t>> {
        let &on = self.sent_on.get(&request.id)?;
        Some(User { client: request.client, http2: index.tls.is_http2(on), event })
    }
}
