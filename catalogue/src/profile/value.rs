//! The values of a profile: how each type is written in TOML, read, and described.

use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::health::rule::Statuses;
use stickler_lb_core::policy::persist::Mask;
use stickler_lb_core::{List, Text};
use toml::de::DeValue;

/// A value of a profile.
pub(super) trait Value: Sized {
    /// Describes the values of this type, for the documentation and for errors, for example "a number of 0 to 255".
    fn kind() -> String;

    /// Reads a value. Returns `None` if it is not of this type.
    fn read(value: &DeValue<'_>) -> Option<Self>;

    /// Writes the value as TOML.
    fn toml(&self) -> String;

    /// Returns the description of this value as a default.
    fn shown(&self) -> String {
        format!("`{}`", self.toml().trim_matches('"'))
    }
}

/// Returns a string in TOML's notation.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Value for bool {
    fn kind() -> String {
        "`true` or `false`".into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn toml(&self) -> String {
        self.to_string()
    }
}

fn number<T: TryFrom<u64>>(value: &DeValue<'_>) -> Option<T> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str().trim_start_matches('+'), integer.radix()).ok()?.try_into().ok()
}

macro_rules! numbers {
    ($($kind:ty: $range:literal),*) => {$(
        impl Value for $kind {
            fn kind() -> String {
                $range.into()
            }

            fn read(value: &DeValue<'_>) -> Option<Self> {
                number(value)
            }

            fn toml(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(u8: "a number up to 255", u16: "a number up to 65535", u32: "a number");

impl Value for Text {
    fn kind() -> String {
        "a string".into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(|text| Self::Owned(text.to_owned()))
    }

    fn toml(&self) -> String {
        quoted(self)
    }
}

/// Reads and writes a list of values of one type.
impl<T: Value + Clone> Value for List<T> {
    fn shown(&self) -> String {
        if self.is_empty() { "there are none".into() } else { format!("`{}`", self.toml()) }
    }

    fn kind() -> String {
        format!("a list, each {}", T::kind())
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let items = value.as_array()?.iter();
        items.map(|item| T::read(item.get_ref())).collect::<Option<Vec<T>>>().map(Self::Owned)
    }

    fn toml(&self) -> String {
        let items: Vec<String> = self.iter().map(T::toml).collect();
        format!("[{}]", items.join(", "))
    }
}

impl Value for Duration {
    fn shown(&self) -> String {
        if self.is_zero() { "there is none".into() } else { format!("`{}`", self.toml().trim_matches('"')) }
    }

    fn kind() -> String {
        "a time other than zero, such as `500ms`, `60s`, `30m` or `1h`".into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let text = value.as_str()?;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        // This limit is large enough for every use, and nothing overflows.
        let number: u64 = number.parse().ok().filter(|&number| number <= 1_000_000)?;
        let duration = match unit {
            "ms" => Self::from_millis(number),
            "s" => Self::from_secs(number),
            "m" => Self::from_mins(number),
            "h" => Self::from_hours(number),
            _ => return None,
        };
        Some(duration).filter(|duration| !duration.is_zero())
    }

    fn toml(&self) -> String {
        let (seconds, millis) = (self.as_secs(), self.subsec_millis());
        let text = match (seconds, millis) {
            (_, 1..) => format!("{}ms", self.as_millis()),
            (_, 0) if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            (_, 0) if seconds.is_multiple_of(60) && seconds > 60 => format!("{}m", seconds / 60),
            _ => format!("{seconds}s"),
        };
        quoted(&text)
    }
}

/// Reads and writes a mask: a single number means the bits of an IPv4 address, and the whole of an IPv6 address.
impl Value for Mask {
    fn kind() -> String {
        "the bits of an IPv4 address that count, or a list of these and of those of an IPv6 address: `24`, `[24, 64]`"
            .into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let mask = if let Some(v4) = number(value) {
            Self { v4, ..Self::HOST }
        } else {
            let [v4, v6] = &value.as_array()?[..] else { return None };
            Self { v4: number(v4.get_ref())?, v6: number(v6.get_ref())? }
        };
        mask.check().is_ok().then_some(mask)
    }

    fn toml(&self) -> String {
        if self.v6 == Self::HOST.v6 { self.v4.to_string() } else { format!("[{}, {}]", self.v4, self.v6) }
    }
}

impl Value for StatusCode {
    fn kind() -> String {
        "a status of 100 to 999".into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        Self::from_u16(number(value)?).ok()
    }

    fn toml(&self) -> String {
        self.as_u16().to_string()
    }
}

impl Value for Statuses {
    fn kind() -> String {
        "a status, or a range of them: `401`, `\"200-399\"`".into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        if let Some(only) = number(value) {
            return Some(Self { first: only, last: only });
        }
        let (first, last) = value.as_str()?.split_once('-')?;
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()? })
    }

    fn toml(&self) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("\"{}-{}\"", self.first, self.last) }
    }
}

/// Defines types of values that are one of several words.
macro_rules! words {
    ($($kind:ty { $($word:literal => $value:path,)+ })+) => {$(
        impl $crate::profile::value::Value for $kind {
            fn kind() -> String {
                $crate::profile::value::one_of(&[$($word),+])
            }

            fn read(value: &toml::de::DeValue<'_>) -> Option<Self> {
                match value.as_str()? {
                    $($word => Some($value),)+
                    _ => None,
                }
            }

            fn toml(&self) -> String {
                $crate::profile::value::quoted(match self {
                    $($value => $word,)+
                })
            }
        }
    )+};
}
pub(super) use words;

/// Returns the description of a choice.
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    format!("one of {}", quoted.join(", "))
}
