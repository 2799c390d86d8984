//! What is read of the configurations that were written from the manuals, compared with what the manuals say
//! (`configurations/README.md`): httpd, Caddy, Envoy and Varnish.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stickler_advisor::{Disk, Document, Files, Language, Place, Sandbox, Site, read};
use stickler_catalogue::Profile;
use toml::{Table, Value};

/// The files of this machine, with an environment of their own.
struct Surroundings {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Files for Surroundings {
    fn read(&self, path: &Path) -> io::Result<String> {
        Disk.read(path)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.matching(pattern)
    }

    fn is_there(&self, path: &Path) -> bool {
        Disk.is_there(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?;
        // Relative ones are folders beside the file.
        let beside = self.folder.join(value);
        Some(if beside.is_dir() { beside.display().to_string() } else { value.clone() })
    }
}

/// A file of the corpus, and what is expected of it.
struct Example {
    path: PathBuf,
    expected: Table,
}

fn examples(folder: &str) -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations").join(folder);
    let paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut examples = Vec::new();
    for path in paths.iter().filter(|path| path.is_file() && path.extension().is_none_or(|end| end != "toml")) {
        let text = fs::read_to_string(path.with_extension("expected.toml")).unwrap();
        examples.push(Example { path: path.clone(), expected: text.parse().unwrap() });
    }
    assert!(examples.len() >= 8, "{} has {} examples", folder.display(), examples.len());
    examples
}

impl Example {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn document(&self, language: Language) -> Box<dyn Document> {
        let environment = self.expected.get("environment").and_then(Value::as_table);
        let variables = environment.into_iter().flatten();
        let variables = variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let files = Surroundings { folder: self.path.parent().unwrap().to_owned(), variables };
        read(language, &self.path, &files, None).unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }

    fn text(&self, table: &str, key: &str) -> String {
        let value = self.expected.get(table).and_then(|table| table.get(key));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn number(&self, table: &str, key: &str) -> usize {
        let value = self.expected.get(table).and_then(|table| table.get(key)).and_then(Value::as_integer);
        usize::try_from(value.unwrap_or_default()).unwrap()
    }

    /// Whether a place is in the file that the expectation is about.
    fn is_here(&self, place: &Place, line: usize, file: &str) -> bool {
        let file = if file.is_empty() { self.path.file_name().unwrap().to_str().unwrap() } else { file };
        place.line == line && place.file.ends_with(file)
    }
}

/// What a profile has for a key.
fn value(profile: &Profile, key: &str) -> Option<String> {
    profile.facts.iter().find(|fact| fact.what == key).map(|fact| fact.value().to_owned())
}

/// What becomes of a server's connection, in the corpus's words.
fn reuse(profile: &Profile) -> &'static str {
    let is = |key: &str| value(profile, key).is_some();
    match value(profile, "pool.share").as_deref() {
        _ if value(profile, "layer").as_deref() == Some("L4")
            || is("carriage")
            || is("tunnels")
            || is("pin.trigger") =>
        {
            "client"
        }
        None if value(profile, "client_requests").as_deref() == Some("1") => "none",
        None => "none",
        Some("never") => "client",
        Some(_) if value(profile, "pool.requests").as_deref() == Some("1") => "none",
        Some(_) => "shared",
    }
}

fn compare(example: &Example, document: &dyn Document) -> Vec<String> {
    let section = example.text("mechanism", "section");
    let squeezed = |text: &str| text.trim_end_matches('/').to_owned();
    let position = document.sites().iter().position(|site| site.name.contains(&squeezed(&section)));
    let Some(index) = position else {
        let names: Vec<&str> = document.sites().iter().map(|site| &*site.name).collect();
        return vec![format!("no site is called `{section}`, but {names:?}")];
    };
    let (site, sandbox) = (&document.sites()[index], document.sandbox(index));
    let mut wrong = mechanism(example, document, site, &sandbox);
    wrong.extend(dangers(example, &sandbox));
    wrong
}

fn mechanism(example: &Example, document: &dyn Document, site: &Site, sandbox: &Sandbox) -> Vec<String> {
    let profiles = Profile::parse(&site.profile(document, "checked", &sandbox.template), "the site");
    let profile = &profiles.unwrap_or_else(|error| panic!("{}: {error}", example.name()))[0];
    let mut wrong = Vec::new();
    let mut same = |what: &str, is: String, expected: String| {
        if is != expected {
            wrong.push(format!("{what} is {is}, not {expected}"));
        }
    };
    same("reuse", reuse(profile).to_owned(), example.text("mechanism", "reuse"));
    same("servers", site.servers.to_string(), example.number("mechanism", "servers").to_string());
    let checks = value(profile, "check.probe").unwrap_or_else(|| "none".into());
    same("checks", checks, example.text("mechanism", "checks"));
    let depends = example.expected.get("verdict").and_then(|verdict| verdict.get("depends")).is_some();
    let persistence = value(profile, "persist.by").unwrap_or_else(|| "none".into());
    if !(depends && !site.unread.is_empty()) {
        same("persistence", persistence, example.text("mechanism", "persistence"));
    }
    let reasons = || site.reasons.iter().filter_map(|(place, _)| place.as_ref());
    let facts = || site.facts.iter().map(|fact| &fact.place);
    let unread = || site.unread.iter().map(|unread| &unread.place);
    for key in ["reuse", "balance"] {
        let (line, file) =
            (example.number("mechanism", &format!("{key}_line")), example.text("mechanism", &format!("{key}_file")));
        let mut places = reasons().chain(facts()).chain(unread());
        if line > 0 && !places.any(|place| example.is_here(place, line, &file)) {
            wrong.push(format!("nothing is said of line {line}, which decides {key}"));
        }
    }
    if depends && site.unread.is_empty() && value(profile, "persist.by").is_none() {
        wrong.push("it depends on what is not in the file, and nothing says so".into());
    }
    wrong
}

/// What must not run, and does.
fn dangers(example: &Example, sandbox: &Sandbox) -> Vec<String> {
    let dangers = example.expected.get("dangers");
    let all = ["lines", "may"].into_iter().filter_map(|key| dangers?.get(key)?.as_array()).flatten();
    let mut wrong = Vec::new();
    for danger in all {
        let line = usize::try_from(danger["line"].as_integer().unwrap()).unwrap();
        let file = danger.get("file").and_then(Value::as_str).unwrap_or_default();
        if !sandbox.changes.iter().any(|change| example.is_here(&change.place, line, file)) {
            wrong.push(format!("line {line} ({}) is not changed", danger["directive"]));
        }
    }
    if sandbox.template.lines().any(|line| line.starts_with("==> ") && line != "==> farm.yaml <==") {
        wrong.push("a line begins another file of the run's folder".into());
    }
    wrong
}

fn check(language: Language, folder: &str) {
    let mut failures = Vec::new();
    for example in examples(folder) {
        let text = fs::read_to_string(&example.path).unwrap();
        let mut wrong = compare(&example, &*example.document(language));
        if Language::guess(&text) != Some(language) {
            wrong.push(format!("it is taken for {:?}", Language::guess(&text)));
        }
        failures.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", example.name())));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn httpd_is_read_as_its_manual_says() {
    check(Language::Httpd, "httpd");
}

#[test]
fn envoy_is_read_as_its_manual_says() {
    check(Language::Envoy, "envoy");
}

#[test]
fn caddy_is_read_as_its_manual_says() {
    check(Language::Caddy, "caddy");
}
