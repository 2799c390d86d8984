//! The expected outcomes of the shipped scenarios are the same as when `expectations.txt` was written, and no entry in
//! the tables is superfluous.
//!
//! The file proves that a new notation of the tables changed none of the outcomes. It contains the mechanisms of that
//! time, with a hash for each scenario over its expected outcomes over each of them. Scenarios and mechanisms that were
//! added since are not compared. To change an expected outcome, regenerate the file: `STICKLER_UPDATE=1 cargo test -p
//! stickler-scenarios --test expectations`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use stickler_catalogue::{mechanisms, names};
use stickler_runner::{Expected, ScriptOutcome};
use stickler_scenarios::{Case, shipped};
use toml::Table;

/// A name that stands for every balancer without a table.
const ANY_OTHER: &str = "(any other)";

/// Returns the expected outcome as one line.
fn line(balancer: &str, expected: &Expected) -> String {
    let mut line = format!("{balancer}:");
    for (requirement, grades) in &expected.grades {
        let grades: Vec<String> = grades.iter().map(ToString::to_string).collect();
        let _ = write!(line, " {requirement}={}", grades.join("|"));
    }
    let script = match expected.script {
        None => "",
        Some(ScriptOutcome::Holds) => " script=holds",
        Some(ScriptOutcome::Fails) => " script=fails",
        Some(ScriptOutcome::Either) => " script=either",
    };
    let reason = expected.reason.as_ref().map(|reason| format!(" because: {reason}")).unwrap_or_default();
    line + script + &reason + "\n"
}

/// Returns the expected outcomes of a scenario over each of these balancers, and over one that no table names.
fn dump(case: &Case, balancers: &[&str]) -> String {
    let name = case.scenario.name();
    balancers
        .iter()
        .chain([&ANY_OTHER])
        .map(|balancer| line(balancer, &case.expectations.expected(name, balancer)))
        .collect()
}

/// Returns the first 8 bytes of the text's SHA-256, in hexadecimal digits.
fn hash(text: &str) -> String {
    let bytes = Sha256::digest(text);
    format!("{:016x}", bytes.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
}

fn recorded(cases: &[Case], balancers: &[&str]) -> String {
    let mut text = format!("balancers {}\n", balancers.join(" "));
    for case in cases {
        let _ = writeln!(text, "{}/{} {}", case.group.name, case.scenario.name(), hash(&dump(case, balancers)));
    }
    text
}

#[test]
fn what_is_expected_is_what_was_recorded() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expectations.txt");
    let cases = shipped(&names()).unwrap();
    if std::env::var_os("STICKLER_UPDATE").is_some() {
        let balancers: Vec<&str> = mechanisms().iter().map(|mechanism| &*mechanism.name).collect();
        std::fs::write(&file, recorded(&cases, &balancers)).unwrap();
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let (first, hashes) = text.split_once('\n').unwrap();
    let balancers: Vec<&str> = first.strip_prefix("balancers ").unwrap().split(' ').collect();
    let mut changed = String::new();
    for (scenario, recorded) in hashes.lines().map(|line| line.split_once(' ').unwrap()) {
        let case = cases.iter().find(|case| format!("{}/{}", case.group.name, case.scenario.name()) == scenario);
        let dump = case.map_or_else(|| "there is no such scenario\n".to_owned(), |case| dump(case, &balancers));
        if hash(&dump) != recorded {
            let _ = write!(changed, "{scenario} is now:\n{dump}\n");
        }
    }
    assert!(changed.is_empty(), "{changed}");
}

/// Returns the shipped tables in the form in which they are written, by folder.
fn tables() -> BTreeMap<String, Table> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let folders = std::fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let read = |folder: PathBuf| {
        let text = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
        (folder.file_name().unwrap().to_string_lossy().into_owned(), text.parse().unwrap())
    };
    folders.map(read).collect()
}

fn shared(file: &str) -> Table {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(file)).unwrap().parse().unwrap()
}

/// Returns the rows of all scenarios of a folder: the balancers to which each applies, and its content.
fn rows(folder: &Table) -> impl Iterator<Item = (&str, &Table)> {
    let scenarios = folder.iter().filter(|(name, _)| *name != "reasons").flat_map(|(_, rows)| rows.as_table().unwrap());
    scenarios.map(|(names, row)| (names.as_str(), row.as_table().unwrap()))
}

#[test]
fn every_reason_is_given_and_stands_where_it_is_looked_for() {
    let shared = shared("reasons.toml");
    let mut folders_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, folder) in tables() {
        let given: BTreeSet<&str> = rows(&folder).filter_map(|(_, row)| row.get("because")?.as_str()).collect();
        for key in folder.get("reasons").and_then(toml::Value::as_table).iter().flat_map(|own| own.keys()) {
            assert!(given.contains(key.as_str()), "nothing in {name} gives the reason `{key}`");
            assert!(!shared.contains_key(key), "`{key}` is in {name} and in reasons.toml");
        }
        for key in given {
            folders_of.entry(key.to_owned()).or_default().push(name.clone());
        }
    }
    for key in shared.keys() {
        let folders = folders_of.get(key).map_or(&[][..], Vec::as_slice);
        assert!(folders.len() > 1, "`{key}` of reasons.toml is given in {folders:?}: it can stand in that folder");
    }
}

#[test]
fn every_class_has_members_and_rows() {
    let alike = shared("mechanisms.toml");
    let [classes, like] = ["classes", "like"].map(|key| alike[key].as_table().unwrap());
    let tables = tables();
    let named: BTreeSet<&str> =
        tables.values().flat_map(rows).flat_map(|(names, _)| names.split(',').map(str::trim)).collect();
    for class in classes.keys() {
        assert!(named.contains(class.as_str()), "no row is about `{class}`");
        assert!(like.values().filter(|other| other.as_str() == Some(class)).count() > 1, "what is like `{class}`?");
    }
}
