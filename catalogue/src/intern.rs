//! Keeps what rules refer to.
//!
//! Rules are small, are copied into each policy, and live as long as the process; so what they refer to is
//! `&'static`. What comes from a file or from a user is leaked, once for each different value.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

type Known<T> = Mutex<BTreeMap<Vec<T>, &'static [T]>>;

/// One value for all that are equal.
static TEXTS: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
static LISTS: Known<&'static str> = Mutex::new(BTreeMap::new());
static WEIGHTS: Known<u16> = Mutex::new(BTreeMap::new());

/// This text, for as long as the process lives.
pub(crate) fn text(value: &str) -> &'static str {
    let mut known = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(value) {
        return found;
    }
    let kept: &'static str = Box::leak(value.into());
    known.insert(value.into(), kept);
    kept
}

/// These texts, likewise.
pub(crate) fn list(values: &[&str]) -> &'static [&'static str] {
    kept(&LISTS, values.iter().map(|value| text(value)).collect())
}

/// These weights, likewise.
pub(crate) fn weights(values: &[u16]) -> &'static [u16] {
    kept(&WEIGHTS, values.to_vec())
}

fn kept<T: Clone + Ord>(known: &Known<T>, values: Vec<T>) -> &'static [T] {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(values).or_insert_with_key(|values| Box::leak(values.clone().into_boxed_slice()))
}
