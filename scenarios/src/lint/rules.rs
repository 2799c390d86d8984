//! The rules of the lint.

use super::finding::Severity::{self, Error, Warning};

/// A rule: its name, the severity of its findings, and a description of the mistakes that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The name, in lower case with hyphens. The comment `# starlark-lint-disable NAME` on the line, or on the line
    /// above it, switches the rule off for that line.
    pub code: &'static str,
    /// The severity of its findings.
    pub severity: Severity,
    /// The description of the mistakes that it finds.
    pub about: &'static str,
}

macro_rules! rules {
    ($($name:ident: $severity:ident, $code:literal, $about:literal;)*) => {
        $(pub(super) const $name: Rule = Rule { code: $code, severity: $severity, about: $about };)*

        /// All rules of the lint.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    SYNTAX: Error, "syntax", "The text is not Starlark.";
    TOO_DEEP: Error, "too-deep", "A statement nests deeper than a script may.";
    LOAD: Error, "load", "A `load` refers to a file that the script may not load, or to a name that the file does not have.";
    UNKNOWN_NAME: Error, "unknown-name", "Neither the language nor the script has this name.";
    UNASSIGNED: Error, "unassigned", "A variable is read before it is assigned.";
    UNKNOWN_ATTRIBUTE: Error, "unknown-attribute", "A value has no method or attribute of this name.";
    ARGUMENTS: Error, "arguments", "A call has too many arguments, lacks one, or names one that the function does not have.";
    ARGUMENT_TYPE: Error, "argument-type", "An argument has a type that the function does not accept.";
    ARGUMENT_VALUE: Error, "argument-value", "The function refuses the value of an argument.";
    UNKNOWN_USER: Error, "unknown-user", "A client has a user who is not in the directory.";
    UNKNOWN_HOST: Error, "unknown-host", "The site has no host or client of this name.";
    DUPLICATE_CLIENT: Error, "duplicate-client", "Two clients have the same name.";
    DUPLICATE_NAME: Warning, "duplicate-name", "A function is defined twice, or its name is assigned to something else.";
    DUPLICATE_KEY: Warning, "duplicate-key", "A dictionary has the same key twice.";
    SITE_LATE: Error, "site-late", "`site()` is called after the first client, or twice.";
    UNAWAITED_REQUEST: Warning, "unawaited-request", "A request is started, but its answer is never awaited.";
    UNUSED_CLIENT: Warning, "unused-client", "A client is added, but never does anything.";
    UNUSED_VARIABLE: Warning, "unused-variable", "A variable is assigned, but never read.";
    UNUSED_LOAD: Warning, "unused-load", "A name is loaded, but never used.";
    UNREACHABLE: Warning, "unreachable", "A statement is never executed.";
    MISSING_RETURN: Warning, "missing-return", "A function returns a value on some paths, and none on others.";
    NO_EFFECT: Warning, "no-effect", "A statement does nothing.";
    FORMAT_WIDTH: Error, "format-width", "A format has a width, which Starlark does not support.";
    EXPECTED: Error, "expected", "A table of expected outcomes is wrong.";
    GROUP: Error, "group", "A file that describes a folder is wrong.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_names_of_their_own_and_say_what_they_find_in_a_sentence() {
        let mut codes: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), RULES.len());
        assert!(RULES.iter().all(|rule| rule.about.ends_with('.')));
    }
}
