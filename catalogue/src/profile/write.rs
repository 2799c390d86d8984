//! Writes a mechanism as the values of a profile.

use super::keys;
use super::port::{Port, Read};
use super::read::ProfileError;
use super::value::Value;
use crate::Mechanism;

/// Returns the values of a mechanism, each with its key (`pool.share`), as TOML, in the order of the keys.
///
/// # Errors
/// The rules contradict one another, so no profile can express them.
pub(super) fn values(mechanism: &Mechanism) -> Read<Vec<(String, String)>> {
    let mut writer = Writer { section: "", values: Vec::new() };
    keys::mechanism(&mut writer, mechanism.clone())?;
    Ok(writer.values)
}

struct Writer {
    section: &'static str,
    values: Vec<(String, String)>,
}

impl Writer {
    fn put(&mut self, name: &str, value: String) {
        let key = if self.section.is_empty() { name.to_owned() } else { format!("{}.{name}", self.section) };
        self.values.push((key, value));
    }
}

impl Port for Writer {
    fn key<T: Value>(&mut self, name: &'static str, _meaning: &'static str, value: Option<T>) -> Read<Option<T>> {
        if let Some(value) = &value {
            self.put(name, value.toml());
        }
        Ok(value)
    }

    fn needed<T: Value>(&mut self, name: &'static str, _meaning: &'static str, value: T) -> Read<T> {
        self.put(name, value.toml());
        Ok(value)
    }

    fn section<T: Clone>(
        &mut self,
        name: &'static str,
        _meaning: &'static str,
        value: Option<T>,
        _blank: T,
        keys: impl FnOnce(&mut Self, T) -> Read<T>,
    ) -> Read<Option<T>> {
        let Some(value) = value else { return Ok(None) };
        self.section = name;
        let value = keys(self, value)?;
        self.section = "";
        Ok(Some(value))
    }

    fn wrong(&self, message: &str) -> ProfileError {
        ProfileError::at("mechanism", "", &(0..0), message)
    }
}
