//! Serialises an HTTP status as its number, for `#[serde(with = "crate::status")]`.

use http::StatusCode;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let number = u16::deserialize(deserializer)?;
    StatusCode::from_u16(number).map_err(|_| D::Error::custom(format!("{number} is not an HTTP status: 100 to 999")))
}

/// Serialises a status that may be missing, as its number or nothing.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Error, Serializer, StatusCode};

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) fn serialize<S: Serializer>(status: &Option<StatusCode>, serializer: S) -> Result<S::Ok, S::Error> {
        match status {
            Some(status) => serializer.serialize_some(&status.as_u16()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StatusCode>, D::Error> {
        let Some(number) = Option::<u16>::deserialize(deserializer)? else { return Ok(None) };
        StatusCode::from_u16(number).map(Some).map_err(|_| D::Error::custom(format!("{number} is not an HTTP status")))
    }
}
