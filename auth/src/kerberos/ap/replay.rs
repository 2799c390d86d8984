//! The replay cache, which is mandatory (RFC 4120 3.2.3). Each host has its own cache. A replay at another host of the
//! same account is therefore not detected.

use std::collections::BTreeSet;

use crate::kerberos::KerberosTime;

/// The authenticators that a host has accepted and that could still be replayed. The host owns the cache.
#[derive(Clone, Debug)]
pub struct ReplayCache {
    capacity: usize,
    seen: BTreeSet<Fingerprint>,
    /// The entries of the cache, ordered by the time from which the clock check alone refuses them.
    expiring: BTreeSet<(KerberosTime, Fingerprint)>,
}

/// The last 16 bytes of an authenticator's ciphertext. For AES, these are the tag and the bytes before it. For RC4,
/// they are encrypted bytes of a message with a random confounder. MIT has identified replays in the same way since
/// version 1.18. RFC 4120 names the client and the time instead, which are the same for two legitimate requests within
/// one microsecond.
type Fingerprint = [u8; 16];

impl ReplayCache {
    /// The number of entries that a busy host needs: 300 logons a second for five minutes.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// Creates a cache of at most `capacity` entries (at least one). A full cache drops its oldest entry. Memory stays
    /// bounded, but a replay of the dropped authenticator would be accepted.
    pub const fn new(capacity: usize) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        Self { capacity, seen: BTreeSet::new(), expiring: BTreeSet::new() }
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Returns whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Removes all entries, as a reboot does.
    pub fn clear(&mut self) {
        self.seen.clear();
        self.expiring.clear();
    }

    /// Remembers an authenticator until `until`, and returns whether it is new. Entries that have expired at `now` are
    /// removed.
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
