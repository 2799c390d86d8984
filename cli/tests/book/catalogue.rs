//! The pages of the catalogue are the output of `stickler explain` and `stickler list`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use crate::{BOOK, below};

/// A kind of entry of the catalogue, with one page for each entry.
struct Kind {
    /// The name of the list of these entries in `stickler list --format json`.
    list: &'static str,
    /// The name of the folder in `book/src/reference`, and of the file beside it with the table of all entries.
    folder: &'static str,
    title: &'static str,
    /// The introduction for a reader.
    intro: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        list: "requirements",
        folder: "requirements",
        title: "Requirements",
        intro: "What a balancer has to do. Each page says what goes wrong for users where a requirement is violated, how that shows in \
                the\nlogs of IIS, and what cures it, product by product.",
    },
    Kind {
        list: "profiles",
        folder: "products",
        title: "Products",
        intro: "What products do with connections, one page for each configuration that was examined. Each statement has its source; \
                what\nis not known says so.",
    },
    Kind {
        list: "mechanisms",
        folder: "mechanisms",
        title: "Mechanisms",
        intro: "The ways in which balancers treat connections. A product does one of them, with numbers and details of its own. Each \
                page\nsays what the mechanism does, and which requirements it is expected to violate in which scenarios.",
    },
    Kind {
        list: "defects",
        folder: "defects",
        title: "Defects",
        intro: "Mistakes that products made. Each can be put on a mechanism by its number (`--balancer pin-on-401+B6`), so that you \
                see how\nit shows before you meet it in a product of yours.",
    },
];

fn stickler(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stickler")).args(arguments).output().expect("the command starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("what it prints is UTF-8")
}

/// Returns the Markdown of `stickler explain` for each of these names. A page begins with its only heading of the first
/// level.
fn pages(names: &[String]) -> BTreeMap<&str, String> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let told = stickler(&[&["explain", "--format", "markdown"][..], &names].concat());
    let told = format!("\n{told}");
    let pages: Vec<String> = told.split("\n# ").skip(1).map(|page| format!("# {}\n", page.trim_end())).collect();
    assert_eq!(pages.len(), names.len(), "a page for each name");
    names.into_iter().zip(pages).collect()
}

fn string<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_default()
}

/// Returns the contents of all files below `book/src/reference`, and the part of `SUMMARY.md` that lists them.
fn reference() -> (BTreeMap<String, String>, String) {
    let catalogue: Value = serde_json::from_str(&stickler(&["list", "--format", "json"])).expect("the list is JSON");
    let of_kinds = KINDS.iter().flat_map(|kind| entries(&catalogue, kind.list).iter().map(name));
    let scenarios = entries(&catalogue, "scenarios").iter().map(name_with_group);
    let names: Vec<String> = of_kinds.chain(scenarios).collect();
    let pages = pages(&names);
    let (mut files, mut summary) = (BTreeMap::new(), String::new());
    for Kind { list, folder, title, intro } in KINDS {
        let _ = writeln!(summary, "- [{title}](reference/{folder}.md)");
        let mut table = format!("# {title}\n\n{intro}\n\n| name | what it is |\n|---|---|\n");
        for entry in entries(&catalogue, list) {
            let name = name(entry);
            let _ = writeln!(summary, "  - [{name}](reference/{folder}/{name}.md)");
            let said = match list {
                "requirements" => format!("{} {}", string(entry, "severity"), string(entry, "text")),
                _ => string(entry, "summary").to_owned(),
            };
            let _ = writeln!(table, "| [{name}]({folder}/{name}.md) | {} |", in_a_cell(&said));
            files.insert(format!("{folder}/{name}.md"), pages[&*name].clone());
        }
        files.insert(format!("{folder}.md"), table);
    }
    groups(&catalogue, &pages, &mut files, &mut summary);
    (files, summary)
}

/// Returns a page for each group of scenarios, with a section for each scenario.
fn groups(
    catalogue: &Value,
    pages: &BTreeMap<&str, String>,
    files: &mut BTreeMap<String, String>,
    summary: &mut String,
) {
    let mut table = "# Scenarios\n\nWhat Stickler puts a balancer through, in groups. `stickler run GROUP` runs one of them, `stickler run \
                     NAME` one scenario.\n\n| group | what it is about |\n|---|---|\n"
        .to_owned();
    summary.push_str("- [Scenarios](reference/scenarios.md)\n");
    for group in entries(catalogue, "groups") {
        let (group, title) = (name(group), string(group, "summary"));
        let mut page = format!("# Scenarios: {group}\n\n{title}. All of them: `stickler run {group}`.\n");
        for scenario in entries(catalogue, "scenarios").iter().map(name_with_group) {
            if scenario.split('/').next() == Some(&*group) {
                let _ = write!(page, "\n#{}", pages[&*scenario]);
            }
        }
        let _ = writeln!(table, "| [{group}](scenarios/{group}.md) | {title} |");
        let _ = writeln!(summary, "  - [{group}](reference/scenarios/{group}.md)");
        files.insert(format!("scenarios/{group}.md"), page);
    }
    files.insert("scenarios.md".into(), table);
}

fn entries<'a>(catalogue: &'a Value, list: &str) -> &'a [Value] {
    catalogue[list].as_array().expect("the list has this kind")
}

/// Returns the name of an entry. Requirements have an id in place of a name.
fn name(entry: &Value) -> String {
    let id = string(entry, "id");
    if id.is_empty() { string(entry, "name") } else { id }.to_owned()
}

/// Returns the name of a scenario with its group, `kerberos/one-shot`. The summary of a scenario begins with its group.
fn name_with_group(scenario: &Value) -> String {
    let (group, _) = string(scenario, "summary").split_once(": ").expect("a summary begins with the group");
    format!("{group}/{}", string(scenario, "name"))
}

/// Returns the text escaped so that a cell of a table shows it unchanged.
fn in_a_cell(text: &str) -> String {
    text.chars().flat_map(|c| "|*_<[\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// The texts before and after the list of the catalogue's pages.
const BEGIN: &str = "# The catalogue\n\n";
const END: &str = "\n# Background\n";

#[test]
fn the_pages_of_the_catalogue_are_what_the_command_says() {
    let folder = Path::new(BOOK).join("src/reference");
    let (files, list) = reference();
    let summary = Path::new(BOOK).join("src/SUMMARY.md");
    let stored = fs::read_to_string(&summary).expect("the book has a summary");
    let (before, after) = stored.split_once(BEGIN).expect("the summary has a part for the catalogue");
    let (_, after) = after.split_once(END).expect("the summary goes on behind the catalogue");
    let whole = [before, BEGIN, &list, END, after].concat();
    let update = env::var_os("STICKLER_UPDATE").is_some();
    if update {
        let _ = fs::remove_dir_all(&folder);
        for (name, text) in &files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("it has a folder")).expect("folders can be made");
            fs::write(path, text).expect("pages can be written");
        }
        fs::write(&summary, &whole).expect("the summary can be written");
    }
    let how = "STICKLER_UPDATE=1 cargo test --workspace --test book writes it anew";
    assert!(update || stored == whole, "book/src/SUMMARY.md lists other pages than there are; {how}");
    for (name, text) in &files {
        let stored = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(stored == *text, "book/src/reference/{name} is not what the command says; {how}");
    }
    let names: BTreeSet<String> = files.into_keys().collect();
    let more: Vec<String> = below(&folder).difference(&names).cloned().collect();
    assert!(more.is_empty(), "book/src/reference has pages of nothing: {more:?}; {how}");
}
