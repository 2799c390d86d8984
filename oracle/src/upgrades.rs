//! ID-6: an upgraded connection has left HTTP, so anybody who gets it afterwards uses another client's session.
//!
//! ID-6 is put to the test by each 101 with which a server answers. It is violated by each request that the server
//! receives afterwards on that connection: an upgraded connection belongs to the client that asked for the upgrade
//! until it ends.

use std::collections::BTreeMap;

use stickler_model::{Name, What};

use crate::finding::Finding;
use crate::index::Index;
use crate::verdict::Failure;

/// The status Switching Protocols (RFC 9110 15.2.2).
const SWITCHING: u16 = 101;

/// Judges ID-6.
pub(crate) fn id6_upgraded_connections_carry_no_request(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    // By server's connection: the event at which it was upgraded.
    let mut upgraded: BTreeMap<(&Name, u32), usize> = BTreeMap::new();
    for (event, seen) in index.events() {
        match &seen.what {
            // A server that was restarted numbers its connections from the beginning.
            What::ServerAccepted { connection, .. } => {
                upgraded.remove(&(&seen.by, *connection));
            }
            What::ServerAnswered { connection, status: SWITCHING, .. } => {
                upgraded.insert((&seen.by, *connection), event);
                finding.exercise();
            }
            What::ServerReceived { connection, request, .. } => {
                let Some(&at) = upgraded.get(&(&seen.by, *connection)) else { continue };
                let what = request.map_or("a request".to_owned(), |id| format!("request {id}"));
                let summary =
                    format!("{} received {what} on connection {connection}, which had been upgraded", seen.by);
                finding.violate(Failure::Shared, index.cited(*request), summary, vec![at, event]);
            }
            _ => {}
        }
    }
    finding
}
