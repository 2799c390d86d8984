//! Computes the difference between two texts.

use similar::TextDiff;

/// The number of lines of context around each change.
const CONTEXT: usize = 3;

/// Returns a unified diff that `patch` accepts, in which both files have the name `path`. The diff is empty if the
/// texts are equal.
pub fn unified(path: &str, before: &str, after: &str) -> String {
    let path = path.trim_start_matches('/');
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(CONTEXT).header(&format!("a/{path}"), &format!("b/{path}")).to_string()
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
}
