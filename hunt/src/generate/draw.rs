//! Random choices from a stream that a seed determines.

use stickler_model::Entropy;

/// A stream of choices that is the same for the same seed.
pub(crate) struct Draw(Entropy);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Entropy::new(seed, "hunt"))
    }

    /// Returns the choices of one run in a unit of a hunt.
    pub(crate) fn of_run(seed: u64, unit: u64, run: u64) -> Self {
        Self(Entropy::new(seed, &format!("hunt {unit}/{run}")))
    }

    /// Returns a number from `low` to `high` (inclusive).
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    /// Returns `true` with this probability, in percent.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// Returns one of the items, each with the same probability. There must be at least one.
    pub(crate) fn one_of<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.0.below(items.len() as u64) as usize]
    }

    /// Returns one of the items with a probability in proportion to its weight. At least one weight must be above zero.
    pub(crate) fn weighted<T: Copy>(&self, items: &[(u64, T)]) -> T {
        let total = items.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.0.below(total);
        for &(weight, item) in items {
            if drawn < weight {
                return item;
            }
            drawn -= weight;
        }
        unreachable!("the weights add up to more than what was drawn")
    }
}
