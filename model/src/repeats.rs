//! The counting of health checks that repeat for days: repeated observations of a server are counted instead of kept.
//!
//! A check is a separate conversation: a server accepts a connection, answers requests without an id, possibly asks a
//! DC, and the connection ends. If several conversations of a server in a row are equal, the first [`KEPT`] are kept in
//! full. Each further one is removed again when it has ended, and is counted in one [`What::Repeated`]. After an
//! action, or after a conversation that differs, the counting starts again. Clients' requests carry ids, so their
//! events are never left out.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::{Event, Name, What};

/// The number of equal conversations in a row that are kept, which corresponds to some minutes of checks.
pub(crate) const KEPT: u32 = 256;

/// The number of events that are searched backwards for the beginning of a conversation.
const FAR: usize = 512;

/// The last conversations of each server.
#[derive(Debug, Default)]
pub(crate) struct Repeats(BTreeMap<Name, Last>);

/// The conversations of one server that were equal.
#[derive(Debug)]
struct Last {
    /// The observations in each conversation, without the numbers that always differ.
    shape: Vec<What>,
    /// The number of equal conversations in a row.
    times: u32,
    /// The connection of the last conversation that was kept.
    like: u32,
    /// The position, from the start of the journal, of the event that counts the conversations that were not kept.
    counted_at: Option<usize>,
}

/// The treatment of the events of a conversation that has just ended.
pub(crate) enum Recording {
    /// The journal keeps the events.
    Keep,
    /// The journal removes the events. It counts the conversation in the event at `at`, or in a new one, which says that
    /// the conversation is the same as the one on connection `like`.
    Count { at: Option<usize>, like: u32 },
}

impl Repeats {
    /// Starts again, because something happened that may change what servers observe.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// Decides what happens to a server's conversation on this connection that consists of these events.
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

    /// Records the position of the event that counts a server's conversations.
    pub(crate) fn counted_at(&mut self, by: &Name, at: usize) {
        if let Some(last) = self.0.get_mut(by) {
            last.counted_at = Some(at);
        }
    }

    /// Adjusts the positions after the event at this position was removed, since all later events move up.
    pub(crate) fn removed(&mut self, place: usize) {
        for at in self.0.values_mut().filter_map(|last| last.counted_at.as_mut()) {
            *at -= usize::from(*at > place);
        }
    }
}

/// Returns the positions, in order, of the events of the conversation whose end is the last of these events. Returns
/// `None` if the conversation is not a check: a request in it has an id, or its beginning is too far back.
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
