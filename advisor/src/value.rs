//! Values as profiles write them.

/// A string of TOML.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A time in the largest unit that it is a whole number of; `None` for zero.
pub(crate) fn time(milliseconds: u64) -> Option<String> {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let (unit, length) = units.into_iter().find(|(_, length)| milliseconds.is_multiple_of(*length))?;
    (milliseconds > 0).then(|| format!("{}{unit}", milliseconds / length))
}

/// A time as Caddy and Varnish write it ([`milliseconds`]), as profiles do; `None` for zero and for what is no time.
pub(crate) fn rewritten(text: &str) -> Option<String> {
    time(milliseconds(text)?)
}

/// Reads a time as Caddy and Varnish write it (`3.5s`, `1m30s`, `1d`), in milliseconds; `None` for zero and for what is no time.
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
