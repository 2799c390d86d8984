//! What the work of a run cost: HTTP requests, ticket checks, and questions to the DC.
//!
//! NTLM asks the DC for each handshake, through the server; Kerberos asks it once for a ticket, by the
//! client, and the server checks each ticket by itself. With persistence either pays once for a
//! connection, without it for each request: the numbers say at what price a pool is clean.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;
use stickler_model::{RequestId, Trace, What};

use crate::logons;

/// What a run cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Effort {
    /// Everything, also of senders unknown (health checks).
    pub total: Cost,
    /// Of each request that the trace names. Tickets of the DC are not among it: nothing ties them to one request.
    pub by_request: BTreeMap<RequestId, Cost>,
}

/// Counts of what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// HTTP requests that clients sent ([`What::ClientSent`]).
    pub http_requests: u32,
    /// Tickets that servers decided on by themselves, accepted or not ([`What::ServerTicket`]).
    pub ticket_checks: u32,
    /// Pass-through logons that the DC decided, good or not ([`What::DcLogon`]).
    pub logons: u32,
    /// Requests for tickets that the DC answered, for a ticket-granting ticket or a service, with a ticket or an error
    /// ([`What::DcTicket`]).
    pub dc_tickets: u32,
}

impl Effort {
    /// Counts a trace, in time about linear in the number of events.
    pub fn of(trace: &Trace) -> Self {
        let mut effort = Self::default();
        for event in &trace.events {
            let request = match event.what {
                What::ClientSent { request, .. } => Some(request),
                What::ServerTicket { request, .. } => request,
                // A logon is tied to its request below.
                What::DcLogon { .. } => continue,
                _ => None,
            };
            effort.add(request, Cost::of(&event.what));
        }
        for logon in logons::tie(trace) {
            effort.add(logon.request, Cost { logons: 1, ..Cost::default() });
        }
        effort
    }

    /// What one request cost; nothing where the trace does not name it.
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
    /// What this costs that was seen; mostly nothing.
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

    /// How often the DC was asked, by servers and by clients.
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
