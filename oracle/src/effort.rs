//! The cost of a run: HTTP requests, ticket checks, and questions to the DC.
//!
//! With NTLM the server asks the DC for each handshake. With Kerberos the client asks the DC once for a ticket, and the
//! server checks each ticket itself. If the authentication of a connection persists, this cost arises once for each
//! connection, otherwise for each request. The numbers show the price of a pool that keeps users apart.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use stickler_model::{RequestId, Trace, What};

use crate::logons;

/// The cost of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// The cost of everything, including requests of unknown senders (health checks).
    pub total: Cost,
    /// The cost of each request that the trace names. It does not include tickets of the DC, because nothing ties them to
    /// one request.
    pub by_request: BTreeMap<RequestId, Cost>,
}

/// Counts of operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// HTTP requests that clients sent ([`What::ClientSent`]).
    pub http_requests: u32,
    /// Tickets that servers checked, accepted or not ([`What::ServerTicket`]).
    pub ticket_checks: u32,
    /// Pass-through logons that the DC decided, successful or not ([`What::DcLogon`]).
    pub logons: u32,
    /// Requests for tickets that the DC answered, with a ticket or with an error, for a ticket-granting ticket or for a
    /// service ([`What::DcTicket`]).
    pub dc_tickets: u32,
}

impl Effort {
    /// Counts the operations in a trace, in time about linear in the number of events.
    pub fn of(trace: &Trace) -> Self {
        let mut effort = Self::default();
        for event in &trace.events {
            let request = match event.what {
                What::ClientSent { request, .. } => Some(request),
                What::ServerTicket { request, .. } => request,
                // Logons are tied to their requests below.
                What::DcLogon { .. } => continue,
                _ => None,
            };
            effort.add(request, Cost::of(&event.what));
        }
        for logon in logons::tie(trace.events.iter().enumerate()) {
            effort.add(logon.request, Cost { logons: 1, ..Cost::default() });
        }
        effort
    }

    /// Returns the cost of one request, which is zero if the trace does not name it.
    pub fn request(&self, id: RequestId) -> Cost {
        self.by_request.get(&id).copied().unwrap_or_default()
    }

    fn add(&mut self, request: Option<RequestId>, cost: Cost) {
        self.total += cost;
        if let Some(id) = request {
            *self.by_request.entry(id).or_default() += cost;
        }
    }
}

impl Cost {
    /// Returns the cost of what one event observed. Most events cost nothing.
    pub fn of(what: &What) -> Self {
        let nothing = Self::default();
        match what {
            What::ClientSent { .. } => Self { http_requests: 1, ..nothing },
            What::ServerTicket { .. } => Self { ticket_checks: 1, ..nothing },
            What::DcLogon { .. } => Self { logons: 1, ..nothing },
            What::DcTicket { .. } => Self { dc_tickets: 1, ..nothing },
            _ => nothing,
        }
    }

    /// Returns how many times servers and clients asked the DC.
    pub fn dc_round_trips(&self) -> u32 {
        self.logons.saturating_add(self.dc_tickets)
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        let Self { http_requests, ticket_checks, logons, dc_tickets } = other;
        self.http_requests = self.http_requests.saturating_add(http_requests);
        self.ticket_checks = self.ticket_checks.saturating_add(ticket_checks);
        self.logons = self.logons.saturating_add(logons);
        self.dc_tickets = self.dc_tickets.saturating_add(dc_tickets);
    }
}
