//! Results files of isobench, and other files.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::export::html;
use crate::fixture;
use crate::model::{TOTAL, Unit};

fn small() -> Run {
    let mut run = fixture::run();
    run.samples.truncate(20);
    run
}

fn refusal(bytes: &[u8]) -> String {
    parse(bytes, Path::new("r.json")).unwrap_err().to_string()
}

fn refusal_of(change: impl FnOnce(&mut Run)) -> String {
    let mut run = small();
    change(&mut run);
    refusal(&serde_json::to_vec(&run).unwrap())
}

#[test]
fn what_is_written_is_read_again() {
    let run = fixture::run();
    assert_eq!(
        parse(&render(&run).unwrap(), Path::new("r.json")).unwrap(),
        run
    );
}

#[test]
fn each_kind_of_file_that_is_not_ours_is_named() {
    let whole = render(&small()).unwrap();
    let not_ours = "r.json is not a results file of isobench: pass the results.json of a run";
    assert!(refusal(b"").starts_with("r.json is truncated (EOF while parsing a value"));
    assert!(refusal(&whole[..whole.len() / 2]).starts_with("r.json is truncated"));
    assert!(refusal(b"target,experiment").starts_with("r.json is not JSON (expected ident"));
    assert!(refusal(&[0xff, 0xfe, 0]).starts_with("r.json is not JSON"));
    assert_eq!(refusal(b"{}"), not_ours);
    assert_eq!(refusal(b"[1, 2]"), not_ours);
    assert_eq!(
        refusal_of(|run| run.tool = "hyperfine".to_owned()),
        not_ours
    );
    assert!(refusal("[".repeat(100_000).as_bytes()).starts_with("r.json is"));
}

#[test]
fn another_schema_says_which_isobench_reads_it() {
    let refusal = refusal(br#"{"tool":"isobench","schema":7,"version":"3.1.0","moved":{}}"#);
    assert_eq!(
        refusal,
        "r.json has results schema 7, this isobench reads 2: use the isobench 3.1.0 that wrote it"
    );
}

#[test]
fn a_missing_or_unknown_field_is_named() {
    let mut value = serde_json::to_value(small()).unwrap();
    value["samples"][0]["colour"] = Value::from("red");
    assert!(refusal(value.to_string().as_bytes()).contains("unknown field `colour`"));
    let mut value = serde_json::to_value(small()).unwrap();
    value.as_object_mut().unwrap().remove("seed");
    assert!(refusal(value.to_string().as_bytes()).contains("missing field `seed`"));
}

#[test]
fn contradictions_are_named() {
    type Change = fn(&mut Run);
    let cases: [(Change, &str); 9] = [
        (
            |run| run.experiments[0].metrics[0].resolution = Some(-1.0),
            "the resolution of \"startup/ready\" is not a length",
        ),
        (
            |run| run.samples[0].target = "x\ny".to_owned(),
            "sample 0 is of the unknown target \"x\u{fffd}y\"",
        ),
        (
            |run| run.samples[0].metric = "x".to_owned(),
            "sample 0 is of the unknown metric \"startup/x\"",
        ),
        (
            |run| run.samples[0].unit = Unit::Bytes,
            "sample 0 is in B, its metric in ns",
        ),
        (
            |run| (run.samples[0].status, run.samples[0].value) = (Status::Ok, None),
            "sample 0 is ok but has no value",
        ),
        (
            |run| (run.samples[0].status, run.samples[0].reason) = (Status::Failed, None),
            "sample 0 is not ok and gives no reason",
        ),
        (
            |run| run.targets[1].name = "process".to_owned(),
            "\"process\" is declared twice",
        ),
        (
            |run| run.samples[1].value = Some(-3.5),
            "sample 0 of startup/ready is -3.5 ns, which is below zero",
        ),
        (
            |run| run.duration_seconds = -1.0,
            "the run's duration is not a length of time",
        ),
    ];
    for (change, what) in cases {
        let expected = format!("r.json contradicts itself ({what}): it was edited or damaged");
        assert_eq!(refusal_of(change), expected);
    }
}

#[test]
fn numbers_beyond_all_bounds_are_refused() {
    let text = String::from_utf8(render(&small()).unwrap()).unwrap();
    assert!(text.contains("\"duration_seconds\": 141.3"));
    let text = text.replace("\"duration_seconds\": 141.3", "\"duration_seconds\": 1e999");
    assert!(refusal(text.as_bytes()).contains("number out of range"));
    let mut run = small();
    run.samples[0].value = Some(f64::INFINITY);
    assert_eq!(render(&run).unwrap_err(), Inconsistency::NotFinite(0));
}

#[test]
fn a_difference_may_be_below_zero_and_a_number_that_is_none_is_named() {
    let mut run = fixture::run();
    let memory = run
        .samples
        .iter_mut()
        .find(|sample| sample.experiment == "memory");
    memory.unwrap().value = Some(-4096.0);
    assert_eq!(check(&run), Ok(()));
    let text = String::from_utf8(render(&small()).unwrap()).unwrap();
    for number in ["NaN", "Infinity", "-Infinity"] {
        let text = text.replace(
            "\"duration_seconds\": 141.3",
            &format!("\"duration_seconds\": {number}"),
        );
        assert!(refusal(text.as_bytes()).starts_with("r.json is not JSON ("));
    }
}

#[test]
fn a_file_that_can_t_be_read_or_is_too_large_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path()).unwrap_err();
    assert!(matches!(error, ResultsError::NoResults { .. }), "{error}");
    let error = read(&folder.path().join("missing.json")).unwrap_err();
    assert!(error.to_string().ends_with("/missing.json"), "{error}");
    let large = folder.path().join("large.json");
    File::create(&large).unwrap().set_len(LIMIT + 1).unwrap();
    assert!(
        read(&large)
            .unwrap_err()
            .to_string()
            .contains("is larger than 128 MiB")
    );
}

/// Replaces a value within a document; `path` says which.
fn mutate(value: &mut Value, path: &[usize], replacement: Value) {
    let step = path.first().copied();
    let target = match (value, step) {
        (Value::Array(items), Some(step)) if !items.is_empty() => {
            let index = step % items.len();
            return mutate(&mut items[index], &path[1..], replacement);
        }
        (Value::Object(fields), Some(step)) if !fields.is_empty() => {
            let index = step % fields.len();
            return fields
                .values_mut()
                .nth(index)
                .into_iter()
                .for_each(|field| mutate(field, &path[1..], replacement.clone()));
        }
        (value, _) => value,
    };
    *target = replacement;
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bytes_of_any_kind_are_refused_on_one_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!refusal(&bytes).contains('\n'));
    }

    #[test]
    fn a_damaged_file_is_refused_on_one_line_or_drawn(
        path in prop::collection::vec(any::<usize>(), 0..4), leaf in leaf(), flip in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut value = serde_json::to_value(small()).unwrap();
        mutate(&mut value, &path, leaf);
        let mut bytes = value.to_string().into_bytes();
        let index = flip.index(bytes.len());
        bytes[index] = byte;
        for bytes in [bytes, value.to_string().into_bytes()] {
            match parse(&bytes, Path::new("r.json")) {
                Ok(run) => drop(html::render(&[run], html::ReportOptions::default()).unwrap()),
                Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
            }
        }
    }
}

#[test]
fn a_value_that_can_t_be_is_a_failure_with_its_reason() {
    let mut run = fixture::run();
    let good = |run: &Run| {
        let of = |one: &&Sample| (one.target.as_str(), one.metric.as_str()) == ("process", "ready");
        let wholes = run
            .samples
            .iter()
            .filter(of)
            .filter(|one| one.part == TOTAL);
        wholes.filter(|one| one.status == Status::Ok).count()
    };
    let count = good(&run);
    let is_whole =
        |one: &&mut Sample| one.part == TOTAL && one.metric == "ready" && one.status == Status::Ok;
    let absurd = run.samples.iter_mut().find(is_whole).unwrap();
    absurd.value = Some(1e300);
    let read = parse(&render(&run).unwrap(), Path::new("r.json")).unwrap();
    assert_eq!(good(&read), count - 1);
    let document = html::render(&[read], html::ReportOptions::default()).unwrap();
    assert!(document.contains("1 sample failed: the file says 1e300 ns, and more than"));
}
