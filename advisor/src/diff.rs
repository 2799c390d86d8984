//! Computes the difference between two texts.

use similar::{DiffOp, DiffTag, TextDiff};

/// The number of lines of context around each change.
const CONTEXT: usize = 3;

/// Returns a unified diff that `patch` accepts, in which both files have the name `path`. The diff is empty if the
/// texts are equal.
pub fn unified(path: &str, before: &str, after: &str) -> String {
    let path = path.trim_start_matches('/');
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(CONTEXT).header(&format!("a/{path}"), &format!("b/{path}")).to_string()
}

/// A run of lines that a change replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The first line that is replaced, from 1.
    pub first: usize,
    /// The number of lines that are replaced; 0 if lines are only inserted before the first.
    pub count: usize,
    /// The lines that take their place, as they stand in the changed text.
    pub text: String,
}

/// Returns the runs of lines that differ between a text and its changed version, in order.
pub fn replaced(before: &str, after: &str) -> Vec<Replaced> {
    let diff = TextDiff::from_lines(before, after);
    let changed = diff.ops().iter().filter(|op| op.tag() != DiffTag::Equal);
    let of = |op: &DiffOp| Replaced {
        first: op.old_range().start + 1,
        count: op.old_range().len(),
        text: diff.new_slices()[op.new_range()].concat(),
    };
    changed.map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_the_file_and_shows_the_change() {
        let diff = unified("/etc/x.cfg", "a\nb\n", "a\nc\nb\n");
        assert_eq!(diff, "--- a/etc/x.cfg\n+++ b/etc/x.cfg\n@@ -1,2 +1,3 @@\n a\n+c\n b\n");
        assert_eq!(unified("x", "a\n", "a\n"), "");
    }

    /// The text after a change, as a user who applies it gets it.
    fn apply(before: &str, changes: &[Replaced]) -> String {
        let mut lines: Vec<&str> = before.split_inclusive('\n').collect();
        for Replaced { first, count, text } in changes.iter().rev() {
            lines.splice(first - 1..first - 1 + count, [&**text]);
        }
        lines.concat()
    }

    #[test]
    fn what_is_replaced_makes_the_one_text_of_the_other() {
        for (before, after) in [
            ("a\nb\nc\n", "a\nx\ny\nc\n"),
            ("a\nb\n", "a\nc\nb\n"),
            ("a\nb\nc\n", "c\n"),
            ("a\nb\n", "a\nb\nc\n"),
            ("a\nb", "a\nc"),
            ("", "a\n"),
            ("a\nb\nc\nd\n", "x\nb\nc\ny\n"),
        ] {
            assert_eq!(apply(before, &replaced(before, after)), after, "{before:?}");
        }
        let inserted = Replaced { first: 2, count: 0, text: "c\n".to_owned() };
        assert_eq!(replaced("a\nb\n", "a\nc\nb\n"), [inserted]);
        assert_eq!(replaced("a\n", "a\n"), []);
    }
}
