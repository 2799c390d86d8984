//! The replay cache: mandatory, and per host (RFC 4120 3.2.3). A replay at another host of the same
//! account therefore goes unseen.

use std::collections::BTreeSet;

use crate::kerberos::KerberosTime;

/// The authenticators that a host has accepted while they could be replayed; owned by the host.
#[derive(Clone, Debug)]
pub struct ReplayCache {
    capacity: usize,
    seen: BTreeSet<Fingerprint>,
    /// The same, by the time from which the clock alone refuses them.
    expiring: BTreeSet<(KerberosTime, Fingerprint)>,
}

/// The last 16 bytes of an authenticator's ciphertext: for AES its tag and what precedes, for RC4
/// keystream over a random confounder's message. MIT identifies replays likewise since 1.18; client
/// and time, which RFC 4120 names, collide for innocent requests of one microsecond.
type Fingerprint = [u8; 16];

impl ReplayCache {
    /// Entries that a busy host needs: five minutes of 300 logons a second.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// A cache of at most `capacity` entries (at least one). Beyond that the oldest is forgotten:
    /// memory stays bounded, and a replay of that one would pass.
    pub const fn new(capacity: usize) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        Self { capacity, seen: BTreeSet::new(), expiring: BTreeSet::new() }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Forgets everything, as a reboot does.
    pub fn clear(&mut self) {
        self.seen.clear();
        self.expiring.clear();
    }

    /// Remembers an authenticator until `until`; whether it is new. Forgets what has expired at `now`.
    pub(super) fn insert(&mut self, cipher: &[u8], now: KerberosTime, until: KerberosTime) -> bool {
        while let Some((expiry, fingerprint)) = self.expiring.first().copied()
            && expiry < now
        {
            self.expiring.pop_first();
            self.seen.remove(&fingerprint);
        }
        let fingerprint = cipher.last_chunk().copied().unwrap_or_default();
        if self.seen.contains(&fingerprint) {
            return false;
        }
        if self.seen.len() >= self.capacity
            && let Some((_, oldest)) = self.expiring.pop_first()
        {
            self.seen.remove(&oldest);
        }
        self.seen.insert(fingerprint);
        self.expiring.insert((until, fingerprint));
        true
    }
}

impl Default for ReplayCache {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}
