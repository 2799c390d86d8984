//! The environment of a mock: its clock, its random bytes and its journal.

use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::{Clock, Journal, Name, What};

/// The environment of one host or client. It is cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// The name of the host or client.
    pub name: Name,
    /// The world's clock.
    pub clock: Arc<dyn Clock>,
    /// The host's random bytes.
    pub entropy: Entropy,
    /// The journal in which the host records what it observes.
    pub journal: Arc<Journal>,
}

impl Env {
    /// Records an observation of this host at the current time.
    pub fn record(&self, what: What) {
        self.journal.record(&self.name, what);
    }
}

/// A stream of random bytes from a seed (ChaCha8, the same on every machine). Clones share the stream.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<ChaCha8Rng>>);

impl Entropy {
    /// Returns the stream called `label` of this seed. Streams with different labels are independent, so adding a
    /// client does not change what the others draw.
    pub fn new(seed: u64, label: &str) -> Self {
        let key = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(label).finalize();
        Self(Arc::new(Mutex::new(ChaCha8Rng::from_seed(key.into()))))
    }

    /// Returns the next `N` bytes of the stream.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Fills `bytes` with the next bytes of the stream.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        // The bias of a remainder over 64 bits is below 2^-32 for any bound below 2^32.
        u64::from_le_bytes(self.bytes()).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_its_own_stream_and_a_seed_repeats_it() {
        let first: [u8; 16] = Entropy::new(7, "alice").bytes();
        assert_eq!(first, Entropy::new(7, "alice").bytes());
        assert_ne!(first, Entropy::new(7, "bob").bytes());
        assert_ne!(first, Entropy::new(8, "alice").bytes());
        assert_eq!(Entropy::new(1, "x").below(0), 0);
    }
}
