//! The lines of the files to which a report refers, each with a mark under the statement.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stickler_advisor::{Disk, Files, Place};
use stickler_runner::excerpt;

/// The maximum length of a line that is shown, in bytes. A whole file may be one line.
const MOST_SHOWN: usize = 4_096;

/// The files whose lines are shown. Each is read once.
#[derive(Default)]
pub(super) struct Excerpts {
    files: BTreeMap<Arc<str>, Vec<String>>,
}

impl Excerpts {
    /// Returns the line at the beginning of a place, with a mark under the part that belongs to the place. Returns
    /// `None` if there is no such line any more, or if it is very long.
    pub(super) fn at(&mut self, place: &Place) -> Option<String> {
        let lines = self.files.entry(Arc::clone(&place.file)).or_insert_with(|| {
            let text = Disk.read(Path::new(&*place.file)).unwrap_or_default();
            text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect()
        });
        let line = lines.get(place.line - 1).filter(|line| line.len() <= MOST_SHOWN)?;
        let is_one_line = place.end_line == place.line;
        let end = if is_one_line { place.end_column } else { line.trim_end().chars().count() + 1 };
        let width = end.saturating_sub(place.column).max(1);
        Some(excerpt::drawn(line, (place.line, place.column), width, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_tabs_as_spaces_and_the_mark_under_the_statement() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.conf");
        std::fs::write(&path, "\u{feff}a\n\t\u{fc}  b \\ \n  c\n").unwrap();
        let place = |line: usize, column: usize, end_line: usize, end_column: usize| Place {
            file: path.to_str().unwrap().into(),
            line,
            column,
            end_line,
            end_column,
        };
        let mut excerpts = Excerpts::default();
        assert_eq!(excerpts.at(&place(1, 1, 1, 2)).as_deref(), Some("  |\n1 | a\n  | ^"));
        let shown = "  |\n2 |     \u{fc}  b \\ \n  |        ^^^";
        assert_eq!(excerpts.at(&place(2, 5, 3, 4)).as_deref(), Some(shown));
        assert_eq!(excerpts.at(&place(9, 1, 9, 2)), None);
    }
}
