//! The commands of the book print the output that the book shows.
//!
//! An example is a part of a block of code in the language `console`: a line `$ stickler ...`, followed by `? CODE` if
//! the exit code is not 0, and the output of the command. `...` as a line stands for any lines, `[..]` for any part of
//! a line. Spaces at the ends of lines, and empty lines at the end, are not compared. The commands of a page run one
//! after the other in one folder, which is a copy of `PAGE.files` if that exists. Crates for such tests are not used,
//! because they change each backslash into a slash, and `CORP\alice` is on many pages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

use crate::{BOOK, below, has_extension};

/// The commands of a page.
struct Page {
    /// The folder with the files of the page, which need not exist.
    files: PathBuf,
    examples: Vec<Example>,
}

/// A command with its output according to the book.
struct Example {
    /// The place of the example: the page and the line.
    place: String,
    arguments: Vec<String>,
    code: i32,
    expected: Vec<String>,
}

#[test]
fn the_commands_of_the_book_print_what_it_shows() {
    let pages = pages(|page| !page.starts_with("haproxy/"));
    assert!(pages.iter().map(|page| page.examples.len()).sum::<usize>() >= 10, "the book has few examples");
    perform(&pages);
}

#[test]
#[ignore = "runs HAProxy for minutes; the CI step `book` runs it"]
fn the_commands_that_need_haproxy_print_what_the_book_shows() {
    if Path::new("/usr/sbin/haproxy").exists() {
        perform(&pages(|page| page.starts_with("haproxy/")));
    } else {
        assert!(env::var_os("STICKLER_REQUIRE_PEERS").is_none(), "HAProxy is not installed");
        eprintln!("skipped: HAProxy is not installed");
    }
}

/// Returns the pages that have examples and whose paths `chosen` accepts.
fn pages(chosen: impl Fn(&str) -> bool) -> Vec<Page> {
    let source = Path::new(BOOK).join("src");
    let pages = below(&source).into_iter().filter(|it| has_extension(it, "md") && chosen(it));
    let pages = pages.map(|page| {
        let path = source.join(&page);
        Page { files: path.with_extension("files"), examples: examples(&path, &page) }
    });
    pages.filter(|page| !page.examples.is_empty()).collect()
}

fn examples(path: &Path, page: &str) -> Vec<Example> {
    let text = fs::read_to_string(path).expect("pages can be read");
    let (mut examples, mut inside): (Vec<Example>, bool) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            let place = format!("book/src/{page}:{}", index + 1);
            let arguments = command.strip_prefix("stickler").unwrap_or_else(|| panic!("{place}: not ours: {command}"));
            let arguments = arguments.split_whitespace().map(ToOwned::to_owned).collect();
            examples.push(Example { place, arguments, code: 0, expected: Vec::new() });
        } else if inside {
            let example = examples.last_mut().unwrap_or_else(|| panic!("{page}: output without a command"));
            match line.strip_prefix("? ") {
                Some(code) if example.expected.is_empty() => example.code = code.parse().expect("a code is a number"),
                _ => example.expected.push(line.to_owned()),
            }
        }
    }
    examples
}

/// Runs the commands of all pages, two pages at a time.
fn perform(pages: &[Page]) {
    let failures: Vec<String> = thread::scope(|scope| {
        let halves = pages.chunks(pages.len().div_ceil(2).max(1));
        let running: Vec<_> = halves.map(|half| scope.spawn(|| half.iter().flat_map(failures).collect())).collect();
        running.into_iter().flat_map(|it| -> Vec<String> { it.join().expect("no command panics") }).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Returns the differences between the output of the commands and a page.
fn failures(Page { files, examples }: &Page) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in below(files) {
        fs::copy(files.join(&name), folder.path().join(&name)).expect("files can be copied");
    }
    examples.iter().filter_map(|example| failure(example, folder.path())).collect()
}

fn failure(Example { place, arguments, code, expected }: &Example, folder: &Path) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
    let output = command.args(arguments).current_dir(folder).output().expect("the command starts");
    let status = output.status.code();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let (wanted, seen) = (trimmed(expected.iter().map(String::as_str)), trimmed(printed.lines()));
    if status == Some(*code) && lines_match(&wanted, &seen) {
        return None;
    }
    let command = arguments.join(" ");
    Some(format!("{place}: stickler {command}: exit code {status:?}, and {code} in the book; it prints\n{printed}"))
}

/// Returns lines without the spaces at their ends, and without the empty lines at the end.
fn trimmed<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut lines: Vec<&str> = lines.map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

fn lines_match(expected: &[&str], seen: &[&str]) -> bool {
    match expected.split_first() {
        None => seen.is_empty(),
        Some((&"...", rest)) => (0..=seen.len()).any(|left_out| lines_match(rest, &seen[left_out..])),
        Some((first, rest)) => {
            seen.split_first().is_some_and(|(line, more)| line_matches(first, line) && lines_match(rest, more))
        }
    }
}

fn line_matches(expected: &str, seen: &str) -> bool {
    let Some((first, rest)) = expected.split_once("[..]") else { return expected == seen };
    let Some(mut left) = seen.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split("[..]").collect();
    let Some((last, middle)) = parts.split_last() else { return true };
    for part in middle {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

#[test]
fn what_is_left_out_may_be_anything_and_nothing_else_may_differ() {
    let matches = |expected: &str, seen: &str| {
        let (expected, seen): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), seen.lines().collect());
        lines_match(&expected, &seen)
    };
    assert!(matches("a\n...\nd", "a\nb\nc\nd") && matches("a\n...\nd", "a\nd") && matches("...", ""));
    assert!(!matches("a\n...\nd", "a\nb\nc") && !matches("a", "a\nb") && !matches("a\nb", "a"));
    assert!(matches("took [..] s, [..] runs", "took 3.2 s, 17 runs") && matches("[..]", "x") && matches("x[..]", "x"));
    assert!(!matches("took [..] s", "took 3 s or so") && !matches("[..]b", "a") && !matches("ab[..]b", "ab"));
}
