//! What a mock is given in place of a clock, an RNG and a logger of its own.

use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::{Clock, Journal, Name, What};

/// One host's or client's surroundings. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Who it is.
    pub name: Name,
    /// The world's clock.
    pub clock: Arc<dyn Clock>,
    /// The host's random bytes.
    pub entropy: Entropy,
    /// Where it notes what it sees.
    pub journal: Arc<Journal>,
}

impl Env {
    /// Notes what this host saw, now.
    pub fn record(&self, what: What) {
        self.journal.record(&self.name, what);
    }
}

/// Random bytes from a seed (ChaCha8, the same on every machine). Clones share one stream.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<ChaCha8Rng>>);

impl Entropy {
    /// The stream called `label` of this seed. Streams of different labels are independent, so that
    /// one more client does not change what the others draw.
    pub fn new(seed: u64, label: &str) -> Self {
        let key = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(label).finalize();
        Self(Arc::new(Mutex::new(ChaCha8Rng::from_seed(key.into()))))
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// The next bytes, as many as there is room for.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }

    /// A number below `bound`, or 0 where `bound` is 0.
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
