//! Publishes the schemas of all JSON output in `docs/schemas`.

use std::fs;
use std::path::Path;

use stickler_report::json::{Line, Runs, schema_of};
use stickler_report::matrix::Matrix;

use super::Document;

/// Returns the schemas by the names of their files.
fn schemas() -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("run.json", schema_of::<Runs>()),
        ("run-line.json", schema_of::<Line>()),
        ("matrix.json", schema_of::<Document<'_, Matrix>>()),
        ("hunt.json", schema_of::<Document<'_, crate::hunt::Hunted<'_>>>()),
        ("replay.json", schema_of::<Document<'_, crate::replay::Replays>>()),
        ("explain.json", schema_of::<Document<'_, crate::explain::Explained>>()),
        ("lint.json", schema_of::<Document<'_, crate::script::Linted<'_>>>()),
        ("list.json", schema_of::<Document<'_, crate::list::Catalogue>>()),
    ];
    #[cfg(unix)]
    all.extend([
        ("compare.json", schema_of::<Document<'_, crate::compare::Comparisons<'_>>>()),
        ("check.json", schema_of::<Document<'_, crate::check::Report>>()),
    ]);
    all
}

#[test]
fn the_published_schemas_are_those_of_what_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    let update = std::env::var_os("STICKLER_UPDATE").is_some_and(|value| value == "1");
    for (name, schema) in schemas() {
        let path = folder.join(name);
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &schema).unwrap();
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == schema,
            "docs/schemas/{name} is out of date: STICKLER_UPDATE=1 cargo test --bin stickler schemas"
        );
    }
}
