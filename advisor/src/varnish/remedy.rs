//! What to change where users are mixed up, or cannot log on.
//!
//! Requests that are piped have a connection to the server of their client's own, if `bereq.http.connection` is taken out in vcl_pipe:
//! Varnish sets it to `close` before (<https://varnish-cache.org/docs/7.1/users-guide/vcl-built-in-subs.html#vcl-pipe>).

use super::facts::{kept_pipe, pipe};
use super::parse::Program;
use super::site::Farm;
use crate::Remedy;

const PIPE: &str = "\nsub vcl_pipe {\n    unset bereq.http.connection;\n}\n";

/// The remedies for a site, the best first.
pub(super) fn remedies(program: &Program, farm: &Farm<'_>) -> Vec<Remedy> {
    let mut remedies: Vec<Remedy> = edit(program, farm).into_iter().collect();
    if remedies.is_empty() {
        let what = "`return (pipe)` for every request, after `req.backend_hint` is set, and `unset bereq.http.connection` in vcl_pipe; the file is \
                    written in a way that is not edited here";
        remedies.push(Remedy::Choice(what.into()));
    }
    let what = "a balancer of connections (HAProxy with `mode tcp`, nginx with the module stream) in place of Varnish for what users log on to: \
                nothing of that is cached anyhow";
    remedies.push(Remedy::Choice(what.into()));
    remedies
}

/// Pipes every request, once the farm is chosen.
fn edit(program: &Program, farm: &Farm<'_>) -> Option<Remedy> {
    let text = &program.source.text;
    let mut lines: Vec<Vec<String>> = text.lines().map(|line| vec![line.to_owned()]).collect();
    let mut done = Vec::new();
    if pipe(program).is_none() {
        let recv = program
            .declarations
            .iter()
            .find(|declaration| declaration.word(0) == "sub" && declaration.word(1) == "vcl_recv");
        match (farm.hint, recv) {
            _ if farm.is_conditional => return None,
            (Some(hint), _) => {
                let is_here = hint.said.place.file == program.source.path;
                let line = lines.get_mut(hint.last - 1).filter(|line| is_here && line[0].trim_end().ends_with(';'))?;
                let indent: String = line[0].chars().take_while(|c| c.is_whitespace()).collect();
                line.push(format!("{indent}return (pipe);"));
            }
            (None, Some(recv)) => {
                let is_here = recv.said.place.file == program.source.path;
                let line = lines.get_mut(recv.said.place.line - 1).filter(|_| is_here)?;
                line.insert(0, "sub vcl_recv {\n    return (pipe);\n}\n".into());
            }
            (None, None) => lines.push(vec!["\nsub vcl_recv {\n    return (pipe);\n}".into()]),
        }
        done.push("`return (pipe)` for every request, so that a client has a connection to the server of its own");
    }
    if kept_pipe(program).is_none() {
        // What comes first is performed first, and an earlier vcl_pipe may return.
        let first = program
            .declarations
            .iter()
            .find(|declaration| declaration.word(0) == "sub" && declaration.said.place.file == program.source.path);
        match first {
            Some(first) => lines[first.said.place.line - 1].insert(0, PIPE.trim_start().to_owned()),
            None => lines.push(vec![PIPE.trim_end().to_owned()]),
        }
        done.push("`unset bereq.http.connection` in vcl_pipe, so that it stays open");
    }
    if done.is_empty() {
        return None;
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut after = lines.iter().flatten().map(|line| line.replace('\n', end)).collect::<Vec<_>>().join(end);
    after.push_str(end);
    Some(Remedy::Edit {
        title: done.join(", and "),
        file: program.source.path.to_string(),
        before: text.clone(),
        after,
    })
}
