//! The search for the known name that is most similar to an unknown one.

/// Returns the candidate that is most similar to `name`, if one is similar enough.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    let best = candidates.into_iter().min_by_key(|candidate| distance(candidate))?;
    (distance(best) <= name.chars().count().max(3) / 2).then_some(best)
}
