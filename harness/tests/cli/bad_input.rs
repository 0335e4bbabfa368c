//! Bad input gets one clear line that names the value, exit code 2, and nothing half-written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::support::isobench::{Isobench, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;
use crate::support::traces;

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let place = Place::new();
    let known = "unknown target `dokcer`; choose among process, container, microvm-bare";
    place.run().targets("process,dokcer").refuses(known);
    let known = "unknown experiment `boot`; choose among startup, start-parts, parallel, burst, start-cold, start-gaps, start-beside, start-warm, memory,";
    place.run().experiments("boot").refuses(known);
    let baseline = place
        .run()
        .targets("process")
        .options(&["--baseline", "container"]);
    baseline.refuses("the baseline `container` isn't among the targets");
    Isobench::exec("vm")
        .program(&[WORKLOAD, "ready"])
        .refuses("`vm`");
    assert!(!place.path("out").exists());
}

#[test]
fn flags_of_the_wrong_kind_are_refused() {
    let process = || Isobench::exec("process");
    let any = |arguments: &[&str]| Place::new().isobench(arguments);
    for (isobench, named) in [
        (any(&["run", "--profile", "slow"]), "slow"),
        (any(&["run", "--seed", "x"]), "'x'"),
        (
            process().options(&["--memory", "12X"]).program(&[WORKLOAD]),
            "12X",
        ),
        (
            process().options(&["--env", "=1"]).program(&[WORKLOAD]),
            "KEY=VALUE",
        ),
        (process(), "PROGRAM"),
        (any(&["frobnicate"]), "frobnicate"),
    ] {
        isobench.ends().has_code(2).says(named);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_anything_runs() {
    let place = Place::new();
    place.write("file", "");
    place.run_into("file/out").refuses("file/out");
    fs::create_dir(place.path("old")).unwrap();
    place.write("old/results.json", "precious");
    place.run_into("old").refuses("results.json already exists");
    assert_eq!(place.read("old/results.json"), "precious");
    assert_eq!(traces::entries(&place.path("old")).len(), 1);
}

#[test]
fn a_program_that_cannot_run_is_refused() {
    let place = Place::new();
    let whole = fs::read(WORKLOAD).unwrap();
    place.write("text", "#!/bin/sh\necho hello\n");
    let mut foreign = whole.clone();
    foreign[18] = 0xb7; // e_machine of AArch64
    place.write("foreign", &foreign);
    for (program, why) in [
        ("/no/such/program", "No such file"),
        ("text", "not an ELF program"),
        ("foreign", "another processor"),
        ("/bin/ls", "dynamically linked"),
        ("/tmp", "not a regular file"),
    ] {
        for target in ["process", "container", "microvm-bare"] {
            let exec = place.isobench(&["exec", "--target", target, "--", program]);
            exec.refuses(why).leaves_nothing();
        }
    }
}

#[test]
fn a_damaged_program_is_for_the_kernel_to_judge_and_named_if_it_dies() {
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        let place = Place::new();
        let whole = fs::read(WORKLOAD).unwrap();
        place.write("truncated", &whole[..0x2000]);
        let executable = Permissions::from_mode(0o755);
        fs::set_permissions(place.path("truncated"), executable).unwrap();
        let exec = place.isobench(&["exec", "--target", target, "--", "truncated", "ready"]);
        if target == "microvm-bare" {
            let ended = exec.ends();
            ended.is_refused_by("isobench-vmm", "truncated");
            ended.leaves_nothing();
            continue;
        }
        let ended = exec.ends();
        ended
            .leaves_nothing()
            .says("is truncated")
            .says("why it died");
        assert!(ended.code > Some(128), "{target}: {ended:?}");
    }
}

#[test]
fn a_program_without_permission_to_run_says_so() {
    let place = Place::new();
    place.write("program", fs::read(WORKLOAD).unwrap());
    let exec = place.isobench(&["exec", "--target", "process", "--", "program"]);
    exec.refuses("chmod +x");
}

#[test]
fn a_disk_that_is_none_is_refused() {
    for (disk, words) in [("none", "--disk none"), ("/tmp", "not a regular file")] {
        let exec = Isobench::exec("process").options(&["--disk", disk]);
        exec.program(&[WORKLOAD, "ready"]).refuses(words);
    }
}

#[test]
fn results_that_are_not_ours_are_refused_and_no_report_is_written() {
    let place = Place::new();
    for (name, content) in [
        ("empty.json", ""),
        ("truncated.json", r#"{"schema":1,"tool":"isobe"#),
        ("binary.json", "\u{0}\u{1}"),
        ("other.json", r#"{"hello":"world"}"#),
        ("schema.json", r#"{"schema":999,"tool":"isobench"}"#),
    ] {
        place.write(name, content);
        let report = place.isobench(&["report", name, "--out", "report.html"]);
        report.refuses(name);
        assert!(!place.path("report.html").exists(), "{name}");
    }
    let report = place.isobench(&["report", "missing.json"]);
    report.refuses("missing.json");
}
