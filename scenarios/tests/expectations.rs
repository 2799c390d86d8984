//! What is expected of the shipped scenarios is what it was when `expectations.txt` was written.
//!
//! The file proves that a new way of writing the tables changed none of them. It has the mechanisms of that time, and a
//! hash for each scenario over what is expected of it over each of them; what was added since is not compared. Whoever
//! means to change an expectation writes the file anew: `STICKLER_UPDATE=1 cargo test -p stickler-scenarios --test expectations`.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use stickler_lb_core::{mechanisms, names};
use stickler_scenarios::expected::{Expected, ScriptOutcome};
use stickler_scenarios::{Case, shipped};

/// Stands for every balancer that no table names.
const ANY_OTHER: &str = "(any other)";

/// The outcome as one line.
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

/// What is expected of a scenario over each of these balancers, and over one that no table names.
fn dump(case: &Case, balancers: &[&str]) -> String {
    let name = case.scenario.name();
    balancers.iter().chain([&ANY_OTHER]).map(|balancer| line(balancer, &case.expectations.expected(name, balancer))).collect()
}

/// The first 8 bytes of the text's SHA-256, in hexadecimal digits.
fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn recorded(cases: &[Case], balancers: &[&str]) -> String {
    let mut text = format!("balancers {}\n", balancers.join(" "));
    for case in cases {
        let _ = writeln!(text, "{}/{} {}", case.group, case.scenario.name(), hash(&dump(case, balancers)));
    }
    text
}

#[test]
fn what_is_expected_is_what_was_recorded() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expectations.txt");
    let cases = shipped(&names()).unwrap();
    if std::env::var_os("STICKLER_UPDATE").is_some() {
        let balancers: Vec<&str> = mechanisms().iter().map(|mechanism| mechanism.name).collect();
        std::fs::write(&file, recorded(&cases, &balancers)).unwrap();
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let (first, hashes) = text.split_once('\n').unwrap();
    let balancers: Vec<&str> = first.strip_prefix("balancers ").unwrap().split(' ').collect();
    let mut changed = String::new();
    for (scenario, recorded) in hashes.lines().map(|line| line.split_once(' ').unwrap()) {
        let case = cases.iter().find(|case| format!("{}/{}", case.group, case.scenario.name()) == scenario);
        let dump = case.map_or_else(|| "there is no such scenario\n".to_owned(), |case| dump(case, &balancers));
        if hash(&dump) != recorded {
            let _ = write!(changed, "{scenario} is now:\n{dump}\n");
        }
    }
    assert!(changed.is_empty(), "{changed}");
}
