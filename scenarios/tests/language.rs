//! `docs/language.md` is generated from the documentation of the language.

use std::fs;
use std::path::Path;

use stickler_scenarios::lint::lint_script;
use stickler_scenarios::{Scenario, reference};

/// `STICKLER_UPDATE=1` regenerates the file.
#[test]
fn the_language_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    let text = reference();
    if std::env::var_os("STICKLER_UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let current = fs::read_to_string(&path).unwrap_or_default();
    assert!(current == text, "docs/language.md is not current: STICKLER_UPDATE=1 writes it anew");
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 150 && !line.starts_with('|')).collect();
    assert!(long.is_empty(), "{long:#?}");
    assert!(!text.contains("\n\n\n"), "no two empty lines in a row");
}

/// An example may use variables that an earlier part of a script would define.
#[test]
fn every_example_of_the_reference_is_right() {
    let text = reference();
    let blocks = text.split("```python\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut examples = 0;
    for block in blocks.filter(|block| !block.starts_with("load(")) {
        let names = "alice = curl(\"alice\")\nbob = browser(\"bob\")\nusers = [alice, bob]\n";
        let begin = if block.contains("site(") || block.contains("crowd(50") { "" } else { names };
        let findings = lint_script(&Scenario::new("example", "example.star", &format!("{begin}{block}\n")).unwrap());
        let wrong: Vec<_> =
            findings.iter().filter(|it| !it.code.starts_with("unused") && it.code != "duplicate-client").collect();
        assert!(wrong.is_empty(), "{block}\n{wrong:#?}");
        examples += 1;
    }
    assert!(examples > 15, "{examples}");
}
