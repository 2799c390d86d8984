//! Health checks that go on for days: what a server sees again and again is counted, and not kept.
//!
//! A check is a conversation of its own: a server accepts a connection, answers what has no request id, asks a DC
//! perhaps, and the connection is gone. A server's first [`KEPT`] conversations in a row that are alike are kept in full.
//! Each further one is taken out again when it has ended, and counted in one [`What::Repeated`]. An action, or a
//! conversation that differs, begins anew. Clients' requests carry ids, so nothing of them is ever left out.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::{Event, Name, What};

/// Conversations in a row that are kept although they are alike: some minutes of checks.
pub(crate) const KEPT: u32 = 256;

/// How far back the beginning of a conversation is looked for, in events.
const FAR: usize = 512;

/// What each server saw last.
#[derive(Debug, Default)]
pub(crate) struct Repeats(BTreeMap<Name, Last>);

/// The conversations of one server that were alike.
#[derive(Debug)]
struct Last {
    /// What was seen in each, without numbers that are others each time.
    shape: Vec<What>,
    /// How many there were in a row.
    times: u32,
    /// The connection of the last one that was kept.
    like: u32,
    /// The place of the event that counts the others, from the start of the journal.
    counted_at: Option<usize>,
}

/// What the journal does with the events of a conversation that has just ended.
pub(crate) enum Recording {
    /// The journal keeps the events.
    Keep,
    /// The journal removes the events. It counts the conversation in the event at `at`, or in a new one, which says that
    /// the conversation is the same as the one on connection `like`.
    Count { at: Option<usize>, like: u32 },
}

impl Repeats {
    /// Begins anew: something was done that may change what is seen.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// Decides on the conversation on this connection of a server, of these events.
    pub(crate) fn ended(&mut self, by: &Name, connection: u32, events: &[&Event]) -> Recording {
        let shape: Vec<What> = events.iter().map(|event| without_numbers(&event.what)).collect();
        match self.0.get_mut(by).filter(|last| last.shape == shape) {
            None => {
                self.0.insert(by.clone(), Last { shape, times: 1, like: connection, counted_at: None });
                Recording::Keep
            }
            Some(last) => {
                last.times = last.times.saturating_add(1);
                if last.times > KEPT {
                    return Recording::Count { at: last.counted_at, like: last.like };
                }
                last.like = connection;
                Recording::Keep
            }
        }
    }

    /// The event that counts a server's conversations stands at this place.
    pub(crate) fn counted_at(&mut self, by: &Name, at: usize) {
        if let Some(last) = self.0.get_mut(by) {
            last.counted_at = Some(at);
        }
    }

    /// The event at this place was taken out: those behind it move up.
    pub(crate) fn removed(&mut self, place: usize) {
        for at in self.0.values_mut().filter_map(|last| last.counted_at.as_mut()) {
            *at -= usize::from(*at > place);
        }
    }
}

/// The places, in order, of the conversation whose end is the last of these events; `None` where it is no check's: a
/// request in it has an id, or its beginning is too far back.
pub(crate) fn conversation(events: &[Event]) -> Option<Vec<usize>> {
    let (end, before) = events.split_last()?;
    let What::ServerClosed { connection: own, .. } = end.what else { return None };
    let mut places = vec![before.len()];
    let mut logons = Vec::new();
    for (place, event) in before.iter().enumerate().rev().take(FAR) {
        let mine = event.by == end.by;
        match &event.what {
            What::ServerAccepted { connection, .. } if mine && *connection == own => {
                places.push(place);
                places.reverse();
                return Some(places);
            }
            What::ServerSecured { connection, .. } | What::SenderNamed { connection, .. }
                if mine && *connection == own =>
            {
                places.push(place);
            }
            What::ServerReceived { connection, request, .. }
            | What::ServerTrusted { connection, request, .. }
            | What::ServerTicket { connection, request, .. }
            | What::ServerAnswered { connection, request, .. }
                if mine && *connection == own =>
            {
                if request.is_some() {
                    return None;
                }
                places.push(place);
            }
            What::ServerLogon { connection, request, logon, .. } if mine && *connection == own => {
                if request.is_some() {
                    return None;
                }
                logons.push(*logon);
                places.push(place);
            }
            What::DcLogon { server, logon, .. } | What::DcPassedOn { server, logon, .. }
                if *server == end.by && logons.contains(logon) =>
            {
                places.push(place);
            }
            _ => {}
        }
    }
    None
}

/// Returns an event without the numbers in which two conversations differ.
fn without_numbers(what: &What) -> What {
    let mut what = what.clone();
    match &mut what {
        What::ServerAccepted { connection, peer } => (*connection, *peer) = (0, SocketAddr::new(peer.ip(), 0)),
        What::ServerSecured { connection, .. }
        | What::ServerClosed { connection, .. }
        | What::ServerReceived { connection, .. }
        | What::ServerTrusted { connection, .. }
        | What::SenderNamed { connection, .. }
        | What::ServerTicket { connection, .. }
        | What::ServerAnswered { connection, .. } => *connection = 0,
        What::ServerLogon { connection, logon, .. } => (*connection, *logon) = (0, 0),
        What::DcLogon { logon, .. } => *logon = 0,
        What::DcPassedOn { logon, passed, .. } => (*logon, *passed) = (0, 0),
        _ => {}
    }
    what
}
