//! Workload files: several commands of the user in one run.

use crate::support::isobench::WORKLOAD;
use crate::support::place::Place;

#[test]
fn a_workload_file_s_commands_are_measured_in_one_run() {
    let place = Place::new();
    let file = format!(
        "[needs.files]\n\"missing\" = \"run make\"\n[defaults]\nruns = 2\n\
         [[command]]\nname = \"one\"\ncommand = [\"{WORKLOAD}\", \"ready\"]\n\
         [[command]]\nname = \"two\"\ncommand = [\"{WORKLOAD}\", \"ready\", \"--libc\"]\nready = \"line\"\n"
    );
    place.write("two.toml", &file);
    let run = |file: &str| {
        place
            .run()
            .options(&["--workload", file])
            .targets("process,container")
    };
    let finished = run("two.toml").succeeds();
    finished.leaves_nothing();
    finished.has_rows("time-one", "end", &["process", "container"]);
    finished.has_rows("time-two", "ready", &["process", "container"]);
    finished.prints("one").prints("two");
    place.write("bad.toml", &(file.clone() + "colour = 1\n"));
    run("bad.toml").refuses("bad.toml:12:1: unknown field `colour`");
    place.write(
        "needs.toml",
        file.replace(&format!("\"{WORKLOAD}\", \"ready\"]"), "\"./missing\"]"),
    );
    run("needs.toml").refuses("the workload file says: run make");
    run("none.toml").refuses("cannot read the workload file none.toml");
}
