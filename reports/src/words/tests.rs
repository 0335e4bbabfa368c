//! The languages compared with each other and with the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

fn texts(language: Language) -> BTreeMap<String, String> {
    let read: BTreeMap<String, BTreeMap<String, String>> =
        basic_toml::from_str(language.file()).unwrap();
    // The texts of results files are in English already.
    let own = read.into_iter().filter(|(subject, _)| subject != "given");
    let named = own.flat_map(|(subject, texts)| {
        let texts = texts.into_iter();
        texts.map(move |(key, text)| (format!("{subject}.{key}"), text))
    });
    named.collect()
}

/// The values that a text has places for.
fn values(text: &str) -> BTreeSet<&str> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0))
        .collect()
}

#[test]
fn each_language_has_every_text_with_the_same_values() {
    let (english, chinese) = (texts(Language::English), texts(Language::Chinese));
    assert!(english.keys().eq(chinese.keys()), "{:?}", {
        let (one, other): (BTreeSet<_>, BTreeSet<_>) =
            (english.keys().collect(), chinese.keys().collect());
        one.symmetric_difference(&other)
            .copied()
            .cloned()
            .collect::<Vec<_>>()
    });
    for (name, text) in &english {
        assert_eq!(values(text), values(&chinese[name]), "{name}");
        assert!(!text.trim().is_empty() && !chinese[name].trim().is_empty());
    }
}

/// Collects the text of the code and of the templates.
fn sources(directory: &Path, found: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_code = path
            .extension()
            .is_some_and(|end| end == "rs" || end == "html");
        if path.is_dir() {
            sources(&path, found);
        } else if is_code && !path.ends_with("words/tests.rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_text_is_used_and_every_used_text_exists() {
    let mut code = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&root.join("src"), &mut code);
    sources(&root.join("templates"), &mut code);
    let known = texts(Language::English);
    // The code builds the names of these texts, from results or from pieces.
    let looked_up = ["place.", "word.", "note.", "latency.of-"];
    for name in known.keys() {
        if looked_up.iter().any(|subject| name.starts_with(subject)) {
            continue;
        }
        let is_used = code.contains(&format!("\"{name}\""));
        assert!(is_used, "{name} is not used");
    }
    for call in ["words.text(\"", "words.say(\"", "words.say_one(\""] {
        for used in code.split(call).skip(1) {
            let name = used.split('"').next().unwrap();
            assert!(known.contains_key(name), "{name} does not exist");
        }
    }
}

#[test]
fn values_go_where_the_text_has_them_and_are_not_read_again() {
    let words = Words::of(Language::English);
    let said = words.say("first.in-target", &[("target", &"{target} <b>")]);
    assert_eq!(said, "in {target} <b>");
    assert_eq!(words.text("no.such text"), "no.such text");
    let items = |count: usize| {
        ["a", "b", "c"][..count]
            .iter()
            .map(|s| (*s).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        [0, 1, 2, 3].map(|count| words.list(&items(count))),
        ["", "a", "a and b", "a, b and c"]
    );
}
