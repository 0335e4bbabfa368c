//! What the process that starts isobench leaves to it: the umask.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::support::isobench::{ISOBENCH, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;

#[test]
fn a_user_who_shares_no_files_has_all_targets() {
    let place = Place::new();
    let script = "umask 077; exec \"$0\" \"$@\"";
    let isobench = place.isobench_at("/bin/sh", &["-c", script, ISOBENCH, "time", "--out", "out"]);
    let targets = ["process", "container", "crun", "runc", "lxc", "unshare"];
    let runnable: Vec<_> = targets.into_iter().filter(|name| can_run(name)).collect();
    let options = ["--targets", &runnable.join(","), "--runs", "1"];
    let isobench = isobench.writes_to("out").options(&options);
    let finished = isobench.program(&[WORKLOAD, "ready"]).succeeds();
    finished.has_rows("time", "end", &targets);
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().mode() & 0o077;
    assert_eq!((mode("out"), mode("out/results.json")), (0, 0));
}
