//! The search for the known name that is most similar to an unknown one.

/// Returns the candidate that is most similar to `name`, if one is similar enough.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    let best = candidates.into_iter().min_by_key(|candidate| distance(candidate))?;
    // A name in which more than a third is different was hardly meant, unless only its end is.
    let (most, is_start) = ((name.chars().count() / 3).max(1), name.starts_with(best) || best.starts_with(name));
    (distance(best) <= most.max(if is_start { 2 } else { 0 })).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_finds_nothing() {
        let known = ["curl", "browser", "True", "get", "headers", "pool-source-hash"];
        for (given, meant) in
            [("crul", "curl"), ("brwoser", "browser"), ("gett", "get"), ("heders", "headers"), ("geto", "get")]
        {
            assert_eq!(nearest(given, known), Some(meant), "{given}");
        }
        for given in ["nosuch", "mule", "crude", "x"] {
            assert_eq!(nearest(given, known), None, "{given}");
        }
    }
}
