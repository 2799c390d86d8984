//! Random choices from one stream.

use stickler_model::Entropy;

/// A stream of choices that a seed repeats.
pub(crate) struct Draw(Entropy);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Entropy::new(seed, "hunt"))
    }

    /// The choices of one run of a hunt's unit.
    pub(crate) fn of_run(seed: u64, unit: u64, run: u64) -> Self {
        Self(Entropy::new(seed, &format!("hunt {unit}/{run}")))
    }

    /// Returns a number from `low` to `high`, both included.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    /// Returns true so many times in a hundred.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// Returns one of the items, each as often as the others; there has to be one.
    pub(crate) fn one_of<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.0.below(items.len() as u64) as usize]
    }

    /// Returns one of the items by its weight; one of the weights has to be above zero.
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
