//! The digests of the lines of a run file, which show that a recorded run was edited.

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use twox_hash::XxHash64;

use super::Problem;

/// The kinds of lines, in the order of a file.
const KINDS: [&str; 9] = ["head", "step", "promises", "event", "verdict", "expected", "failure", "printed", "end"];

/// The digests of the lines that were written or read so far.
#[derive(Debug, Default)]
pub(super) struct Digests(BTreeMap<&'static str, Lines>);

/// The lines of one kind.
#[derive(Debug)]
struct Lines {
    digest: XxHash64,
    /// The first and the last of these lines.
    first: usize,
    last: usize,
}

impl Digests {
    /// Adds a line of this kind. White space at its end does not count: other tools change the end of lines.
    pub(super) fn add(&mut self, kind: &'static str, line: usize, text: &[u8]) {
        let new = || Lines { digest: XxHash64::with_seed(0), first: line, last: line };
        let lines = self.0.entry(kind).or_insert_with(new);
        lines.last = line;
        lines.digest.write(text.trim_ascii_end());
        lines.digest.write(b"\n");
    }

    /// Returns the digests by kind, in hexadecimal.
    pub(super) fn shown(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(kind, lines)| ((*kind).to_owned(), lines.shown())).collect()
    }

    /// Returns the first line at which the file does not agree with the digests in its last line, with the problem;
    /// `None` if it agrees. `end` is the number of the last line.
    pub(super) fn edited(&self, stated: &BTreeMap<String, String>, end: usize) -> Option<(usize, Problem)> {
        let shown = self.shown();
        let kind = KINDS.into_iter().find(|kind| shown.get(*kind) != stated.get(*kind))?;
        let (first, last) = self.0.get(kind).map_or((end, end), |lines| (lines.first, lines.last));
        Some((first, Problem::Edited { kind, last: Some(last).filter(|last| *last > first) }))
    }
}

impl Lines {
    fn shown(&self) -> String {
        format!("{:016x}", self.digest.finish())
    }
}
