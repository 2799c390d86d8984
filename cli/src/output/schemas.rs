//! Publishes the schemas of all JSON output in `docs/schemas`.

use std::fs;
use std::path::Path;

use serde_json::Value;
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

/// Returns the places of objects in a schema that may have fields which the schema does not list.
fn open_objects(schema: &Value, place: &str) -> Vec<String> {
    let below = |key: &str, value: &Value| open_objects(value, &format!("{place}/{key}"));
    match schema {
        Value::Object(fields) => {
            let closed = |key: &str| fields.get(key) == Some(&Value::Bool(false));
            let is_open = fields.get("type").is_some_and(|kind| kind == "object")
                && fields.contains_key("properties")
                && !(closed("additionalProperties") || closed("unevaluatedProperties"));
            let own = is_open.then(|| place.to_owned());
            own.into_iter().chain(fields.iter().flat_map(|(key, value)| below(key, value))).collect()
        }
        Value::Array(parts) => parts.iter().flat_map(|part| below("-", part)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_published_schemas_know_every_field() {
    for (name, schema) in schemas() {
        let schema: Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(open_objects(&schema, name), Vec::<String>::new());
    }
}
