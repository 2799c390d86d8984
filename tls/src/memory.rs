//! The results of pure functions that take long and are computed again and again: a suite runs the same script with
//! the same seed over many balancers, so that the same keys sign, exchange and verify the same bytes.
//!
//! Nothing depends on what is remembered, since the function would return the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// The largest number of results that a memory keeps. Beyond it, the memory starts anew.
const MOST: usize = 4096;

/// The results of one function, which all threads share.
pub(crate) struct Memory<K, V>(Mutex<BTreeMap<K, V>>);

impl<K: Ord, V: Clone> Memory<K, V> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Returns the result for these arguments: the remembered one, or that of `compute`.
    pub(crate) fn get(&self, arguments: K, compute: impl FnOnce() -> V) -> V {
        self.get_if_ok(arguments, || Ok::<_, std::convert::Infallible>(compute()))
            .unwrap_or_else(|never| match never {})
    }

    /// Returns the result for these arguments like [`Memory::get`]. An error is not remembered.
    ///
    /// # Errors
    /// The error of `compute`.
    pub(crate) fn get_if_ok<E>(&self, arguments: K, compute: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&arguments) {
            return Ok(known.clone());
        }
        // Not under the lock: other threads may compute meanwhile.
        let result = compute()?;
        let mut known = lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(arguments, result.clone());
        Ok(result)
    }
}

/// Returns a digest of several byte strings, which stands for them as arguments.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_computed_once_and_an_error_each_time() {
        static MEMORY: Memory<u8, u8> = Memory::new();
        assert_eq!(MEMORY.get_if_ok(1, || Err("no")), Err("no"));
        assert_eq!(MEMORY.get(1, || 2), 2);
        assert_eq!(MEMORY.get(1, || panic!("it is known")), 2);
    }

    #[test]
    fn a_memory_is_bounded() {
        static MEMORY: Memory<usize, usize> = Memory::new();
        (0..=MOST).for_each(|number| assert_eq!(MEMORY.get(number, || number + 1), number + 1));
        assert_eq!(MEMORY.get(0, || 7), 7, "it was forgotten");
        assert_eq!(MEMORY.get(MOST, || 7), MOST + 1);
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
