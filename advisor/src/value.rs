//! Values in the notation of profiles.

/// Returns a string in the notation of TOML.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Returns a time in the largest unit of which it is a whole multiple; `None` for zero.
pub(crate) fn time(milliseconds: u64) -> Option<String> {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let (unit, length) = units.into_iter().find(|(_, length)| milliseconds.is_multiple_of(*length))?;
    (milliseconds > 0).then(|| format!("{}{unit}", milliseconds / length))
}

/// Converts a time from the notation of Caddy and Varnish ([`milliseconds`]) to that of profiles; `None` for zero, and
/// for a text that is not a time.
pub(crate) fn rewritten(text: &str) -> Option<String> {
    time(milliseconds(text)?)
}

/// Reads a time in the notation of Caddy and Varnish (`3.5s`, `1m30s`, `1d`), in milliseconds; `None` for zero, and for
/// a text that is not a time.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        total += number
            * match &unit[..end] {
                "ms" => 1.0,
                "s" => 1_000.0,
                "m" => 60_000.0,
                "h" => 3_600_000.0,
                "d" => 86_400_000.0,
                _ => return None,
            };
        rest = &unit[end..];
    }
    // Whole numbers of this size have no error.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within these bounds")]
    (1.0..1e15).contains(&total).then_some(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_largest_whole_unit() {
        for (milliseconds, text) in
            [(0, None), (500, Some("500ms")), (90_000, Some("90s")), (120_000, Some("2m")), (86_400_000, Some("24h"))]
        {
            assert_eq!(time(milliseconds).as_deref(), text);
        }
    }
}
