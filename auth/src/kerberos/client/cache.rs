//! The tickets of a client.

use std::collections::BTreeMap;

use crate::kerberos::{Credential, KerberosTime, PrincipalName};

/// The tickets of one client in memory, by the name of the service.
#[derive(Clone, Debug, Default)]
pub struct CredentialCache {
    tickets: BTreeMap<PrincipalName, Credential>,
}

impl CredentialCache {
    /// The maximum number of tickets that are kept.
    pub const CAPACITY: usize = 1024;

    /// Returns the ticket for `service`, if there is one that is still valid at `now`.
    pub fn get(&self, service: &PrincipalName, now: KerberosTime) -> Option<&Credential> {
        self.tickets.get(service).filter(|ticket| ticket.holds_at(now))
    }

    /// Keeps a ticket under `service`, the name that was asked for. If the cache is full, the ticket whose validity
    /// ends first is dropped.
    pub fn insert(&mut self, service: PrincipalName, ticket: Credential) {
        if self.tickets.len() >= Self::CAPACITY && !self.tickets.contains_key(&service) {
            let first = self.tickets.iter().min_by_key(|(_, ticket)| ticket.end_time);
            if let Some(name) = first.map(|(name, _)| name.clone()) {
                self.tickets.remove(&name);
            }
        }
        self.tickets.insert(service, ticket);
    }

    /// Removes the ticket for `service`, for example after a refusal.
    pub fn remove(&mut self, service: &PrincipalName) -> Option<Credential> {
        self.tickets.remove(service)
    }

    /// Removes all tickets, as `klist purge` does.
    pub fn clear(&mut self) {
        self.tickets.clear();
    }

    /// Returns the tickets, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&PrincipalName, &Credential)> {
        self.tickets.iter()
    }
}
