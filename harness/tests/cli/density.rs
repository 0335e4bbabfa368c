//! The memory of many real instances at once.

use isobench_reports::statistics::median;

use crate::support::isobench::Isobench;
use crate::support::needs::can_run;

#[test]
fn more_instances_take_more_memory_and_none_is_left() {
    let run = Isobench::run().quick().experiments("density");
    let run = run.options(&["--format", "table"]);
    let finished = run.targets("process,container,microvm-bare").succeeds();
    finished.leaves_nothing();
    if !finished.accounts_memory() {
        return;
    }
    finished.prints("if nothing but memory limits them");
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        let charges = |metric| finished.values(target, metric);
        let (mut one, mut two) = (charges("charge-1"), charges("charge-2"));
        let mut price = charges("per-instance");
        assert_eq!(one.len(), 3, "{target}: {one:?}");
        assert_eq!(price.len(), 3, "{target}: {price:?}");
        // Medians, and not each round: another test may take a program's pages out of the page
        // cache between two rounds.
        assert!(
            median(&mut two) > median(&mut one),
            "{target}: {one:?}, {two:?}"
        );
        assert!(median(&mut price) > Some(0.0), "{target}: {price:?}");
    }
}
