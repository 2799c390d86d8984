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
