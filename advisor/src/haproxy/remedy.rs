//! The remedies for sites that mix users up, or on which they cannot log on.
//!
//! With `http-reuse never`, a server's connection stays with its client, which keeps NTLM working, because the
//! connection lives as long as the client's: <https://docs.haproxy.org/2.6/configuration.html#4.2-http-reuse>.

use super::parse::{File, Part};
use super::settings::own_close_mode;
use super::site::Pair;
use crate::{Remedy, Rewritten};

/// Returns the remedies for a site, the best first.
pub(super) fn remedies(file: &File, pair: Pair) -> Vec<Remedy> {
    let mode = file.keyword(pair.back, "mode").and_then(|line| line.arguments().next());
    if mode != Some("http") {
        return Vec::new();
    }
    let mut edit = Edit { lines: file.lines.iter().map(|line| vec![line.text.clone()]).collect() };
    let mut done = Vec::new();
    for section in pair.sections() {
        edit.keep_alive(file, section, &mut done);
    }
    edit.reuse_never(file, pair.back, &mut done);
    let mut remedies = Vec::new();
    if !done.is_empty() {
        let files = file.parts.iter().filter_map(|part| edit.part(file, part)).collect();
        remedies.push(Remedy::Edit { title: done.join(", and "), files });
    }
    let choice = format!(
        "`mode tcp` for {}: connections are passed on unread, so that no client shares one; directives that read requests then have no effect there",
        pair.name(file)
    );
    remedies.push(Remedy::Choice(choice));
    remedies
}

/// The lines of the files, each with the text that replaces it.
struct Edit {
    lines: Vec<Vec<String>>,
}

impl Edit {
    /// Keeps connections open that a proxy closes after each answer.
    fn keep_alive(&mut self, file: &File, section: usize, done: &mut Vec<String>) {
        let Some(line) = own_close_mode(file, section) else { return };
        let option = line.arguments().next().unwrap_or_default();
        if matches!(option, "http-keep-alive" | "http-tunnel") {
            return;
        }
        if line.section == Some(section) {
            let indent = indent(&line.text);
            self.lines[line.number - 1] = vec![format!("{indent}option http-keep-alive")];
        } else {
            // The defaults belong to other proxies as well.
            self.insert(file, section, "option http-keep-alive");
        }
        done.push(format!("`option http-keep-alive` in place of `{option}` in {}", file.sections[section].title()));
    }

    /// Gives each client its own connections to the servers.
    fn reuse_never(&mut self, file: &File, section: usize, done: &mut Vec<String>) {
        let line = file.keyword(section, "http-reuse");
        if line.is_some_and(|line| line.arguments().next() == Some("never")) {
            return;
        }
        match line.filter(|line| line.section == Some(section)) {
            Some(line) => self.lines[line.number - 1] = vec![format!("{}http-reuse never", indent(&line.text))],
            None => self.insert(file, section, "http-reuse never"),
        }
        done.push(format!("`http-reuse never` in {}", file.sections[section].title()));
    }

    /// Inserts a line at the beginning of a section, with the indentation of the one after it.
    fn insert(&mut self, file: &File, section: usize, text: &str) {
        let first = file.sections[section].first;
        let next = file.body(section).next().map_or("    ", |line| indent(&line.text));
        let next = if next.is_empty() { "    " } else { next };
        self.lines[first].push(format!("{next}{text}"));
    }

    /// Returns a file, with the kind of line ends that it has; `None` if nothing in it was changed.
    fn part(&self, file: &File, Part { path, text, lines }: &Part) -> Option<Rewritten> {
        let is_changed = lines.clone().any(|index| self.lines[index] != [&*file.lines[index].text]);
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let after = self.lines[lines.clone()].iter().flatten().map(String::as_str).collect::<Vec<_>>().join(end);
        is_changed.then(|| Rewritten { path: path.to_string(), before: text.clone(), after })
    }
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}
