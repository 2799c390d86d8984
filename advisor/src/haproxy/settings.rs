//! The settings that result from several lines of a proxy, or from an argument: times, ranges of statuses, the
//! connections that close, and the page that health checks request.

use super::parse::{File, Line};
use super::site::Pair;
use crate::value::{quoted, time};

/// Returns a time in HAProxy's notation (section 2.5) in milliseconds; `None` for a text that is not a time.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match &text[digits..] {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "us" => return Some(number / 1_000),
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Returns such a time in the notation of profiles; `None` for zero as well.
pub(super) fn period(text: &str) -> Option<String> {
    milliseconds(text).and_then(time)
}

/// Returns the statuses of `http-check expect`; `None` if it expects something else.
pub(super) fn statuses(line: &Line) -> Option<String> {
    let words: Vec<&str> = line.arguments().skip(1).collect();
    if words.contains(&"!") {
        return None;
    }
    let list = words.iter().position(|word| *word == "status").and_then(|at| words.get(at + 1))?;
    let each: Vec<String> =
        list.split(',').map(|range| if range.contains('-') { quoted(range) } else { range.to_owned() }).collect();
    Some(format!("[{}]", each.join(", ")))
}

/// Returns the number of servers that a `server-template` creates. The line gives it as a count (`3`) or a range
/// (`1-3`).
pub(super) fn template_count(line: &Line) -> usize {
    let range = line.arguments().nth(1).unwrap_or_default();
    let (low, high) = range.split_once('-').unwrap_or(("1", range));
    let (low, high) = (low.parse::<usize>().unwrap_or(1), high.parse::<usize>().unwrap_or(1));
    high.saturating_sub(low).saturating_add(1).min(1_000)
}

/// Returns whether a program has this version or a later one; `false` if its version is not known.
pub(super) fn is_at_least(version: Option<&str>, wanted: (u32, u32)) -> bool {
    let mut numbers = version.unwrap_or_default().split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= wanted
}

/// Returns whether a program of this version chooses at random if a file does not set an algorithm.
pub(super) fn is_random_by_default(version: Option<&str>) -> bool {
    is_at_least(version, (3, 3))
}

/// The connections that close after each answer.
pub(super) enum Close {
    /// Both the client's and the server's connection.
    Both,
    /// The server's connection.
    Server,
}

/// Returns the line by which connections of a site close after each answer; `None` if they are kept. Within a proxy,
/// the options replace one another; of the two proxies, the one that closes more decides (section 4).
pub(super) fn close_mode(file: &File, pair: Pair) -> Option<(&Line, Close)> {
    let modes: Vec<&Line> = pair.sections().filter_map(|section| own_close_mode(file, section)).collect();
    let named = |name: &str| modes.iter().copied().find(|line| line.arguments().next() == Some(name));
    let both = named("httpclose").or_else(|| named("forceclose"));
    both.map(|line| (line, Close::Both)).or_else(|| named("http-server-close").map(|line| (line, Close::Server)))
}

/// Returns the line that decides how long a proxy keeps connections: the last of these options that is not undone.
pub(super) fn own_close_mode(file: &File, section: usize) -> Option<&Line> {
    let inherited = file.sections[section].defaults.and_then(|defaults| own_close_mode(file, defaults));
    file.body(section).filter(|line| line.keyword() == "option").fold(inherited, |mode, line| {
        let option = line.arguments().next().unwrap_or_default();
        match option {
            "httpclose" | "forceclose" | "http-server-close" | "http-keep-alive" | "http-tunnel" => {
                let undoes = line.is_negated() && mode.is_some_and(|mode| mode.arguments().next() == Some(option));
                if undoes {
                    None
                } else if line.is_negated() {
                    mode
                } else {
                    Some(line)
                }
            }
            _ => mode,
        }
    })
}

/// The page of Stickler's servers that health checks request. It needs no logon.
pub(super) const CHECK_PAGE: &str = "/public/health";

/// A line about the page that health checks request.
pub(super) struct CheckPage {
    /// The number of the line.
    pub(super) line: usize,
    /// The index of the word that is the page; `None` if the line expects a certain text on the page.
    pub(super) word: Option<usize>,
}

/// Returns the lines of a farm that name an operator's page for checks, or that expect a certain text on that page. The
/// result is empty if a 401 is expected: the page then only has to ask for a logon, as the pages of Stickler's site do.
/// `/` does not count, because it is the site's own page.
pub(super) fn check_pages(file: &File, section: usize) -> Vec<CheckPage> {
    let lines = |keyword: &'static str, first: &'static str| {
        file.setting(section, &move |line| line.keyword() == keyword && line.arguments().next() == Some(first))
    };
    let expected = lines("http-check", "expect");
    if expected.is_some_and(|line| line.arguments().any(|word| word.contains("401") || word == "!")) {
        return Vec::new();
    }
    let is_page = |line: &Line, index: usize| line.word(index).starts_with('/') && line.word(index) != "/";
    let mut pages = Vec::new();
    if let Some(line) = file.option(section, "httpchk")
        && let Some(word) = (2..4).find(|&index| is_page(line, index))
    {
        pages.push(CheckPage { line: line.number, word: Some(word) });
    }
    if let Some(line) = lines("http-check", "send")
        && let Some(at) = line.words.iter().position(|word| word.text == "uri")
        && is_page(line, at + 1)
    {
        pages.push(CheckPage { line: line.number, word: Some(at + 1) });
    }
    if let Some(line) = expected.filter(|_| !pages.is_empty())
        && line.arguments().any(|word| matches!(word, "string" | "rstring"))
    {
        pages.push(CheckPage { line: line.number, word: None });
    }
    pages
}
