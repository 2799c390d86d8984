//! The source ports that a script chose for clients.
//!
//! A port of a host can have only one connection to the front end at a time (RFC 9293 3.3.2: a connection is identified
//! by its two ends). If clients at one host share a port, a script that lets them connect at the same time requires
//! something impossible. A host also keeps the port of a closed connection whose peer does not acknowledge the end, until
//! the host gives up (RFC 9293 3.8.3).

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::bounds::LINGERS;
use stickler_model::{Name, Time, What};

use crate::order::Position;
use crate::requests::{ClientConnection, Requests};
use crate::settings::Settings;

/// The connections of clients that have a fixed source port. A `usize` is an index into the trace's events.
pub(crate) struct Ports<'t> {
    /// The connections by host and port.
    held: BTreeMap<(&'t Name, u16), Vec<Held<'t>>>,
}

/// A connection from such a port.
struct Held<'t> {
    by: &'t Name,
    from: usize,
    /// The event at which the client closed the connection, or saw that it was closed. `None`: it was open until the
    /// end of the trace.
    until: Option<usize>,
    /// The time until which the client's host may still hold the port, because nobody acknowledges the end of the
    /// connection.
    lingers: Option<Time>,
}

impl<'t> Ports<'t> {
    /// Collects these connections from a trace.
    pub(crate) fn read(requests: &Requests<'t>, settings: &Settings<'t>) -> Self {
        let mut ports = Self { held: BTreeMap::new() };
        let mut unanswered: BTreeSet<ClientConnection<'_>> = BTreeSet::new();
        for (event, seen) in requests.events() {
            match seen.what {
                What::ClientSent { connection, .. } => _ = unanswered.insert((&seen.by, connection)),
                What::ClientReceived { connection, .. } => _ = unanswered.remove(&(&seen.by, connection)),
                _ => {}
            }
            let (What::ClientConnected { connection, .. } | What::ClientClosed { connection, .. }) = seen.what else {
                continue;
            };
            let unanswered = unanswered.remove(&(&seen.by, connection));
            let Some(port) = settings.port(&seen.by) else { continue };
            let held = ports.held.entry((settings.host(&seen.by), port)).or_default();
            if matches!(seen.what, What::ClientConnected { .. }) {
                for held in held.iter_mut() {
                    held.lingers = held.lingers.min(Some(seen.at));
                }
                held.push(Held { by: &seen.by, from: event, until: None, lingers: None });
            } else if let Some(last) = held.iter_mut().rfind(|held| *held.by == seen.by && held.until.is_none()) {
                last.until = Some(event);
                last.lingers = unanswered.then(|| seen.at + LINGERS);
            }
        }
        ports
    }

    /// Returns whether another client at the same host has a connection from this client's port at this event. It may
    /// have closed the connection already, if its last HTTP request there was not answered, so its peer may be gone, and
    /// if nobody has had a connection from the port since.
    pub(crate) fn is_held_by_another(
        &self,
        (requests, settings): (&Requests<'t>, &Settings<'t>),
        client: &'t Name,
        event: usize,
    ) -> bool {
        let held = settings.port(client).and_then(|port| self.held.get(&(settings.host(client), port)));
        let open = |held: &Held<'_>| {
            let lingers = held.lingers.is_some_and(|until| requests.at(event) < until);
            held.by != client
                && held.from.is_before(event)
                && (lingers || held.until.is_none_or(|until| until.is_after(event)))
        };
        held.is_some_and(|held| held.iter().any(open))
    }
}
