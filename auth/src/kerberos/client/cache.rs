//! The tickets that a client has.

use std::collections::BTreeMap;

use crate::kerberos::{Credential, KerberosTime, PrincipalName};

/// One client's tickets in memory, by the service's name.
#[derive(Clone, Debug, Default)]
pub struct CredentialCache {
    tickets: BTreeMap<PrincipalName, Credential>,
}

impl CredentialCache {
    /// Most tickets that are kept.
    pub const CAPACITY: usize = 1024;

    /// The ticket for `service`, if there is one that still holds at `now`.
    pub fn get(&self, service: &PrincipalName, now: KerberosTime) -> Option<&Credential> {
        self.tickets.get(service).filter(|ticket| ticket.holds_at(now))
    }

    /// Keeps a ticket under `service`: the name asked for. When full, the one that ends first goes.
    pub fn insert(&mut self, service: PrincipalName, ticket: Credential) {
        if self.tickets.len() >= Self::CAPACITY && !self.tickets.contains_key(&service) {
            let first = self.tickets.iter().min_by_key(|(_, ticket)| ticket.end_time);
            if let Some(name) = first.map(|(name, _)| name.clone()) {
                self.tickets.remove(&name);
            }
        }
        self.tickets.insert(service, ticket);
    }

    /// Forgets the ticket for `service`, as after a refusal.
    pub fn remove(&mut self, service: &PrincipalName) -> Option<Credential> {
        self.tickets.remove(service)
    }

    /// Forgets all tickets, as `klist purge` does.
    pub fn clear(&mut self) {
        self.tickets.clear();
    }

    /// The tickets, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&PrincipalName, &Credential)> {
        self.tickets.iter()
    }
}
