//! Clients that connect from a port of the script's choice.
//!
//! A port of a host has one connection to the front end at a time (RFC 9293 3.3.2: a connection is known by its two ends).
//! Where clients at one host have one port, a script that lets them connect at once asks for what no host can do.

use std::collections::BTreeMap;

use stickler_model::{Name, What};

use crate::requests::Requests;
use crate::settings::Settings;

/// The connections of clients that have a port of their own. A `usize` is an index into the trace's events.
pub(crate) struct Ports<'t> {
    /// By host and port: the client, and from when to when its connection was open; `None`: to the end of the trace.
    held: BTreeMap<(&'t Name, u16), Vec<(&'t Name, usize, Option<usize>)>>,
}

impl<'t> Ports<'t> {
    /// Reads a trace from start to end.
    pub(crate) fn read(requests: &Requests<'t>, settings: &Settings<'t>) -> Self {
        let mut ports = Self { held: BTreeMap::new() };
        for (event, seen) in requests.events() {
            let (What::ClientConnected { .. } | What::ClientClosed { .. }) = seen.what else { continue };
            let Some(port) = settings.port(&seen.by) else { continue };
            let held = ports.held.entry((settings.host(&seen.by), port)).or_default();
            if matches!(seen.what, What::ClientConnected { .. }) {
                held.push((&seen.by, event, None));
            } else if let Some((.., until)) = held.iter_mut().rfind(|(client, ..)| **client == seen.by) {
                until.get_or_insert(event);
            }
        }
        ports
    }

    /// Returns whether another client at the same host has a connection from this client's port at this event.
    pub(crate) fn is_held_by_another(&self, settings: &Settings<'t>, client: &'t Name, event: usize) -> bool {
        let held = settings.port(client).and_then(|port| self.held.get(&(settings.host(client), port)));
        let open = |(by, from, until): &(&Name, usize, Option<usize>)| {
            *by != client && *from < event && until.is_none_or(|until| until > event)
        };
        held.is_some_and(|held| held.iter().any(open))
    }
}
