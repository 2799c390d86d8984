//! What the keys of a profile are read from, written to and described for, all by one list of them (`keys`).

use super::read::ProfileError;
use super::value::Value;

pub(super) type Read<T> = Result<T, ProfileError>;

/// Where the keys of a profile come from or go to. It is shown each key, with the value that stands where the key is left out
/// (reading) or that there is (writing), and returns the value that counts.
pub(super) trait Port {
    /// A key that may be left out, and then means `value`. What is `None` is never written.
    fn key<T: Value>(&mut self, name: &'static str, meaning: &'static str, value: Option<T>) -> Read<Option<T>>;

    /// A key that its section cannot do without. `value` is what there is to write.
    fn needed<T: Value>(&mut self, name: &'static str, meaning: &'static str, value: T) -> Read<T>;

    /// A section that may be left out; `value` is what there is to write, and its keys start from `blank` where it is read.
    fn section<T: Clone>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        value: Option<T>,
        blank: T,
        keys: impl FnOnce(&mut Self, T) -> Read<T>,
    ) -> Read<Option<T>>;

    /// What does not fit together in the section at hand.
    fn wrong(&self, message: &str) -> ProfileError;

    /// A key that may be left out, and then has this value. The default is never written.
    fn or<T: Value + PartialEq>(&mut self, name: &'static str, meaning: &'static str, value: T, default: T) -> Read<T> {
        let value = Some(value).filter(|value| *value != default);
        Ok(self.key(name, meaning, value)?.unwrap_or(default))
    }

    /// A section that may not be left out.
    fn needed_section<T: Clone>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        value: T,
        keys: impl FnOnce(&mut Self, T) -> Read<T>,
    ) -> Read<T> {
        let read = self.section(name, meaning, Some(value.clone()), value, keys)?;
        read.ok_or_else(|| self.wrong(&format!("`{name}` is missing: say it, or what is assumed and why")))
    }
}
