//! The interface by which the keys of a profile are read, written and described, all with one list (`keys`).

use super::read::ProfileError;
use super::value::Value;

pub(super) type Read<T> = Result<T, ProfileError>;

/// The source or the destination of the keys of a profile. Its methods are called once for each key, with the default
/// value (for reading) or the current value (for writing), and return the value that applies.
pub(super) trait Port {
    /// Processes a key that may be left out and then means `value`. `None` is never written.
    fn key<T: Value>(&mut self, name: &'static str, meaning: &'static str, value: Option<T>) -> Read<Option<T>>;

    /// Processes a key that its section requires. `value` is the value to write.
    fn needed<T: Value>(&mut self, name: &'static str, meaning: &'static str, value: T) -> Read<T>;

    /// Processes a section that may be left out. `value` is the section to write; for reading, its keys change `blank`.
    fn section<T: Clone>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        value: Option<T>,
        blank: T,
        keys: impl FnOnce(&mut Self, T) -> Read<T>,
    ) -> Read<Option<T>>;

    /// Returns an error about a contradiction in the current section.
    fn wrong(&self, message: &str) -> ProfileError;

    /// Processes a key that may be left out and then has this default, which is never written.
    fn or<T: Value + PartialEq>(&mut self, name: &'static str, meaning: &'static str, value: T, default: T) -> Read<T> {
        let value = Some(value).filter(|value| *value != default);
        Ok(self.key(name, meaning, value)?.unwrap_or(default))
    }

    /// Processes a section that may not be left out.
    fn needed_section<T: Clone>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        value: T,
        keys: impl FnOnce(&mut Self, T) -> Read<T>,
    ) -> Read<T> {
        let read = self.section(name, meaning, Some(value.clone()), value, keys)?;
        read.ok_or_else(|| self.wrong(&format!("`{name}` is missing: state it, or state what is assumed and why")))
    }
}
