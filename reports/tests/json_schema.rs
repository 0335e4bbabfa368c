//! The JSON Schema of results files, by a validator that isn't isobench's: it takes every results file
//! of the gallery, and refuses what isobench refuses.

use std::fs;
use std::path::{Path, PathBuf};

use isobench_reports::model::{SCHEMA_VERSION, json_schema};
use jsonschema::Validator;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The schema that the repository has.
fn kept() -> Value {
    let path = root().join(format!("docs/schema/results-{SCHEMA_VERSION}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&kept()).unwrap()
}

fn results(name: &str) -> Value {
    let path = root().join("docs/gallery").join(name).join("results.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_repository_has_the_schema_of_this_isobench() {
    let kept = kept();
    assert!(jsonschema::meta::is_valid(&kept));
    assert!(
        kept == json_schema().to_value(),
        "write it anew: isobench schema >docs/schema/results-{SCHEMA_VERSION}.json"
    );
}

#[test]
fn every_results_file_of_the_gallery_follows_the_schema() {
    let validator = validator();
    let mut count = 0;
    for entry in fs::read_dir(root().join("docs/gallery")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            if let Err(error) = validator.validate(&results(&name)) {
                panic!("{name}: {}: {error}", error.instance_path());
            }
            count += 1;
        }
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn what_isobench_refuses_is_refused() {
    let validator = validator();
    let good = results("lab");
    let edits: [(&str, Value); 8] = [
        ("/schema", json!(SCHEMA_VERSION + 1)),
        ("/tool", json!("another")),
        ("/samples", Value::Null),
        ("/samples/0/unit", json!("furlongs")),
        ("/samples/0/value", json!("fast")),
        ("/samples/0/status", json!("fine")),
        ("/targets/0/kind", json!({"rung": -1})),
        ("/host", json!({"summary": "", "facts": [], "note": "x"})),
    ];
    for (place, value) in edits {
        let mut edited = good.clone();
        *edited.pointer_mut(place).unwrap() = value;
        assert!(!validator.is_valid(&edited), "{place}");
    }
    let mut cut = good;
    cut.as_object_mut().unwrap().remove("samples");
    assert!(!validator.is_valid(&cut));
}
