//! Finds the sites of a file: the proxy that accepts requests, and the proxy with the servers to which they go.

use super::parse::{File, Line, Section};

/// A front end with its farm: the indices of their sections, which are the same for a `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) front: usize,
    pub(super) back: usize,
}

/// Finds the pairs, in the order of the front ends and of the lines that lead to farms. A farm to which no front end
/// leads is not a site.
pub(super) fn pairs(file: &File) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for (front, section) in file.sections.iter().enumerate() {
        if !matches!(&*section.kind, "frontend" | "listen") {
            continue;
        }
        let default = file.keyword(front, "default_backend").map(|line| line.arguments().next().unwrap_or_default());
        let used = file.body(front).filter(|line| line.keyword() == "use_backend");
        let used = used.filter_map(|line| line.arguments().next());
        let named = default.into_iter().chain(used).flat_map(|name| backends(file, name));
        let own = (section.kind == "listen").then_some(front);
        for back in own.into_iter().chain(named) {
            let pair = Pair { front, back };
            if has_servers(file, back) && !pairs.iter().any(|known| known.back == back) {
                pairs.push(pair);
            }
        }
    }
    pairs
}

/// Returns the proxies with this name that have servers: a backend, or a `listen`. A name with an expression, `%[...]`,
/// matches all names that begin and end in the same way.
fn backends<'f>(file: &'f File, name: &'f str) -> impl Iterator<Item = usize> + 'f {
    let dynamic = name.split_once("%[").map(|(begin, rest)| (begin, rest.rsplit_once(']').map_or("", |(_, end)| end)));
    let is_it = move |section: &Section| {
        let is_named = match dynamic {
            Some((begin, end)) => section.name.starts_with(begin) && section.name.ends_with(end),
            None => section.name == name,
        };
        is_named && matches!(&*section.kind, "backend" | "listen")
    };
    file.sections.iter().enumerate().filter(move |(_, section)| is_it(section)).map(|(index, _)| index)
}

fn has_servers(file: &File, section: usize) -> bool {
    file.body(section).any(is_server)
}

/// Returns whether a line adds servers to a farm.
pub(super) fn is_server(line: &Line) -> bool {
    matches!(line.keyword(), "server" | "server-template" | "dispatch") && !line.is_negated()
}

impl Pair {
    /// Returns the name of the site.
    pub(super) fn name(self, file: &File) -> String {
        let (front, back) = (file.sections[self.front].title(), file.sections[self.back].title());
        if self.front == self.back { back } else { format!("{back}, behind {front}") }
    }

    /// Returns the sections of the pair, each once, the farm's first.
    pub(super) fn sections(self) -> impl Iterator<Item = usize> {
        std::iter::once(self.back).chain((self.front != self.back).then_some(self.front))
    }
}
