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

#[cfg(test)]
mod tests {
    use serde_json::{Deserializer, Serializer};

    use super::*;

    /// Returns the status that a text is read as, where a status is required and where it may be missing. A text that is
    /// no status is an error.
    fn read(text: &str) -> (Result<StatusCode, ()>, Result<Option<StatusCode>, ()>) {
        let required = deserialize(&mut Deserializer::from_str(text)).map_err(drop);
        (required, option::deserialize(&mut Deserializer::from_str(text)).map_err(drop))
    }

    #[test]
    fn a_status_is_its_number_and_a_missing_one_is_nothing() {
        for (text, status) in [("401", StatusCode::UNAUTHORIZED), ("503", StatusCode::SERVICE_UNAVAILABLE)] {
            assert_eq!(read(text), (Ok(status), Ok(Some(status))));
            let (mut required, mut optional) = (Vec::new(), Vec::new());
            serialize(&status, &mut Serializer::new(&mut required)).unwrap();
            option::serialize(&Some(status), &mut Serializer::new(&mut optional)).unwrap();
            assert_eq!((required, optional), (text.as_bytes().to_vec(), text.as_bytes().to_vec()));
        }
        assert_eq!(read("null"), (Err(()), Ok(None)));
        let mut missing = Vec::new();
        option::serialize(&None, &mut Serializer::new(&mut missing)).unwrap();
        assert_eq!(missing, b"null");
        for text in ["99", "1000", "true"] {
            assert_eq!(read(text), (Err(()), Err(())), "{text}");
        }
    }
}
