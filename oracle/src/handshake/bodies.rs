//! HS-4: a body sent during the handshake is processed exactly once, whole.
//!
//! HS-4 is put to the test by each request that has ended, has a body, was sent by a client with valid credentials, and
//! was answered with success (2xx) or processed by an application. It is violated if
//! * an application processed a body with another length or digest than the client's; or
//! * the request was answered with success and processed by nobody; or
//! * the request was processed more than once. An idempotent request may be repeated automatically when a connection is
//!   lost to a fault (RFC 9110 9.2.2). In that case, processing it more than once is not a violation.
//!
//! Some user agents withhold a body until a challenge has come, and begin with an empty request. If the server
//! requires no logon, the consequence is the client's fault: the application gets no data, or gets the request once
//! empty and once whole.

use stickler_model::event::Credentials;

use crate::excuses::reached_rogue;
use crate::finding::Finding;
use crate::index::Index;
use crate::requests::Request;
use crate::verdict::{Failure, Party};

/// Judges HS-4.
pub(crate) fn hs4_bodies_are_processed_once(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    let with_body = |request: &&Request<'_>| request.credentials == Credentials::Valid && request.length > 0;
    for request in index.requests().filter(with_body) {
        let Some(end) = request.ended else { continue };
        let (withheld, processed): (Vec<_>, Vec<_>) = index
            .answered(request)
            .filter(|answer| answer.processed)
            .partition(|answer| index.is_withheld(request, answer));
        let succeeded = end.status.is_some_and(|status| (200..300).contains(&status));
        let (client, id) = (request.client, request.id);
        for answer in &withheld {
            let summary = format!(
                "{client} held the body of its request {id} back for a challenge, and {} processed the request without",
                answer.at.0,
            );
            let events = vec![request.started, answer.event, end.event];
            finding.blame(Party::Client, Failure::WrongBody, request.cited(), summary, events);
        }
        if processed.is_empty() && (!succeeded || !withheld.is_empty()) {
            continue;
        }
        // A server that speaks no proper HTTP may answer anything.
        if processed.is_empty() && reached_rogue(index, request) {
            let summary =
                format!("{client}'s request {id} was answered with success by a server that processes nothing");
            finding.blame(Party::Server, Failure::WrongBody, request.cited(), summary, request.events.clone());
            continue;
        }
        finding.exercise();
        for answer in &processed {
            if (answer.length, answer.digest) != (request.length, request.digest) {
                let (server, connection) = answer.at;
                let summary = format!(
                    "{client}'s request {id} was processed by {server} on connection {connection} \
                     with a body of {} bytes (digest {}), not the {} sent (digest {})",
                    answer.length, answer.digest, request.length, request.digest,
                );
                finding.violate(
                    Failure::WrongBody,
                    request.cited(),
                    summary,
                    vec![request.started, answer.event, end.event],
                );
            }
        }
        let repeatable = request.is_idempotent() && index.is_disrupted(request);
        if processed.is_empty() {
            let summary =
                format!("{client}'s request {id} was answered with success, but no application processed its body");
            finding.violate(Failure::WrongBody, request.cited(), summary, request.events.clone());
        } else if processed.len() > 1 && !repeatable {
            let summary = format!("{client}'s request {id} was processed {} times", processed.len());
            let events = processed.iter().map(|answer| answer.event);
            finding.violate(
                Failure::Repeated,
                request.cited(),
                summary,
                events.chain([request.started, end.event]).collect(),
            );
        }
    }
    finding
}
