//! What a program can read of its own limits.

use isobench_testing::{Need, compile_c, skip};

use crate::support::needs::can_run;
use crate::support::place::Place;

/// Prints the limit on memory as run-time systems find it, of cgroups v2 or v1, and whether it could
/// be changed.
const SOURCE: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>
int main(void) {
    const char *paths[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (int version = 0; version < 2; version++) {
        char text[40] = "";
        int file = open(paths[version], O_RDONLY);
        if (file < 0) continue;
        if (read(file, text, sizeof text - 1) < 0) return 1;
        printf("limit %s", text);
        printf("can be written: %d\n", open(paths[version], O_WRONLY) >= 0);
        struct statvfs found;
        fstatvfs(file, &found);
        printf("is read-only: %d\n", !!(found.f_flag & ST_RDONLY));
        printf("above: %d\n", access("/sys/fs/cgroup/memory/release_agent", F_OK));
        return 0;
    }
    printf("no limit is to be seen\n");
}"#;

#[test]
fn a_container_s_program_reads_its_own_limits_and_changes_none() {
    let place = Place::new();
    if !compile_c(&place.path("program"), SOURCE, &["-static"]) || !can_run("container") {
        return;
    }
    let exec = ["exec", "--target", "container", "--memory", "64M"];
    let ended = place.isobench(&exec).program(&["./program"]).ends();
    if ended.stderr.contains("needs a cgroup") {
        skip(Need::Cgroup, &ended.stderr);
        return;
    }
    ended.has_code(0).prints("limit 67108864\n");
    let read_only = "can be written: 0\nis read-only: 1\nabove: -1\n";
    ended.prints(read_only);
    ended.leaves_nothing();
}
