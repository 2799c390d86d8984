//! Includes text of a configuration in a template.

/// Returns a template that renders to this text. Characters that would begin a tag of a template are written as a
/// string.
pub(crate) fn literal(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        result.push_str(before);
        let next = from[1..].chars().next();
        if next.is_some_and(|next| "{%#".contains(next)) {
            result.push_str("{{ '{' }}");
        } else {
            result.push('{');
        }
        rest = &from[1..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_strings() {
        assert_eq!(literal("log-format %{+Q}o {{x}} {% {#"), "log-format %{+Q}o {{ '{' }}{x}} {{ '{' }}% {{ '{' }}#");
    }
}
