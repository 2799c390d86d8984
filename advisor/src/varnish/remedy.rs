//! The remedies for sites that mix users up, or on which they cannot log on.
//!
//! Piped requests use a connection to the server that belongs to their client, if vcl_pipe removes
//! `bereq.http.connection`, which Varnish sets to `close` before
//! (<https://varnish-cache.org/docs/7.1/users-guide/vcl-built-in-subs.html#vcl-pipe>).

use super::facts::{kept_pipe, pipe};
use super::parse::Program;
use super::site::{Farm, field};
use crate::{Remedy, Rewritten};

const PIPE: &str = "sub vcl_pipe {\n    unset bereq.http.connection;\n}\n";

/// The statement for a farm without servers, since a pipe without a backend closes without an answer.
const NOBODY: &str = "if (!std.healthy(req.backend_hint)) { return (synth(503)); }";

/// Returns the remedies for a site, the best first.
pub(super) fn remedies(program: &Program, farm: &Farm<'_>) -> Vec<Remedy> {
    let mut remedies: Vec<Remedy> = edit(program, farm).into_iter().collect();
    if remedies.is_empty() && (pipe(program).is_none() || kept_pipe(program).is_none()) {
        let what = "`return (pipe)` for every request, after `req.backend_hint` is set, and `unset bereq.http.connection` in vcl_pipe; the file is \
                    written in a way that is not edited here";
        remedies.push(Remedy::Choice(what.into()));
    }
    let what = "a balancer of connections (HAProxy with `mode tcp`, nginx with the module stream) in place of Varnish for what users log on to: \
                nothing of that is cached anyhow";
    remedies.push(Remedy::Choice(what.into()));
    remedies
}

/// Returns the change that pipes every request once the farm is chosen.
fn edit(program: &Program, farm: &Farm<'_>) -> Option<Remedy> {
    let mut edit = Edit {
        program,
        lines: program.source.text.lines().map(|line| vec![line.to_owned()]).collect(),
        done: Vec::new(),
    };
    // Earlier statements are performed first, and an earlier vcl_pipe may return.
    let mut first = String::new();
    if pipe(program).is_none() {
        let is_checked = farm.backends(program).iter().any(|backend| field(backend, ".probe").is_some());
        if is_checked && program.named("import", "std").is_none() {
            first.push_str("import std;\n\n");
        }
        edit.pipe(farm, is_checked)?;
    }
    if kept_pipe(program).is_none() {
        first.push_str(PIPE);
        edit.done.push("`unset bereq.http.connection` in vcl_pipe, so that it stays open");
    }
    edit.before_subs(&first);
    edit.finished()
}

/// The lines of a file, each with the text that replaces it.
struct Edit<'a> {
    program: &'a Program,
    lines: Vec<Vec<String>>,
    done: Vec<&'static str>,
}

impl Edit<'_> {
    fn pipe(&mut self, farm: &Farm<'_>, is_checked: bool) -> Option<()> {
        let path = &self.program.source.path;
        let mut declarations = self.program.declarations.iter();
        let recv = declarations.find(|declaration| declaration.word(0) == "sub" && declaration.word(1) == "vcl_recv");
        let healthy = |indent: &str| if is_checked { format!("{indent}{NOBODY}\n") } else { String::new() };
        let own = format!("sub vcl_recv {{\n{}    return (pipe);\n}}\n", healthy("    "));
        match (farm.hint, recv) {
            _ if farm.is_conditional => return None,
            (Some(hint), _) => {
                let is_here = hint.said.place.file == *path;
                let line =
                    self.lines.get_mut(hint.last - 1).filter(|line| is_here && line[0].trim_end().ends_with(';'))?;
                let indent: String = line[0].chars().take_while(|c| c.is_whitespace()).collect();
                line.push(format!("{}{indent}return (pipe);", healthy(&indent)));
            }
            (None, Some(recv)) => {
                let is_here = recv.said.place.file == *path;
                self.lines.get_mut(recv.said.place.line - 1).filter(|_| is_here)?.insert(0, own);
            }
            (None, None) => self.lines.push(vec![format!("\n{}", own.trim_end())]),
        }
        self.done.push("`return (pipe)` for every request, so that each client has its own connection to the server");
        Some(())
    }

    /// Inserts text before the first subroutine.
    fn before_subs(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let path = &self.program.source.path;
        let mut declarations = self.program.declarations.iter();
        match declarations.find(|declaration| declaration.word(0) == "sub" && declaration.said.place.file == *path) {
            Some(first) => self.lines[first.said.place.line - 1].insert(0, text.to_owned()),
            None => self.lines.push(vec![format!("\n{}", text.trim_end())]),
        }
    }

    fn finished(self) -> Option<Remedy> {
        if self.done.is_empty() {
            return None;
        }
        let text = &self.program.source.text;
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut after = self.lines.iter().flatten().map(|line| line.replace('\n', end)).collect::<Vec<_>>().join(end);
        after.push_str(end);
        let file = Rewritten { path: self.program.source.path.to_string(), before: text.clone(), after };
        Some(Remedy::Edit { title: self.done.join(", and "), files: vec![file] })
    }
}
