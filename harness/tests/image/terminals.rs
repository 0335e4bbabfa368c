//! Programs of images make terminals, in every target that runs images.

use isobench_testing::compile_c;

use crate::commands::can_run_images;
use crate::layout::{Image, Layer};
use crate::support::needs::can_run;
use crate::support::place::Place;

/// Sends a word through a pseudo-terminal.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
    char text[9] = "";
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return 1;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0 || write(master, "word\n", 5) != 5 || read(slave, text, 5) != 5) return 2;
    printf("%s %s", ttyname(slave), text);
}"#;

#[test]
fn a_program_of_an_image_makes_terminals() {
    let place = Place::new();
    if !can_run_images() || !compile_c(&place.path("program"), SOURCE, &["-static"]) {
        return;
    }
    let path = place.path("program");
    let layer = Layer::new().program("bin/program", path.to_str().unwrap());
    Image::new().gzip(layer).write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    for target in [
        "process",
        "container",
        "unshare",
        "bwrap",
        "bwrap-0.11",
        "crun",
        "runc",
        "lxc",
        "systemd-nspawn",
        "podman",
    ] {
        if !can_run(target) {
            continue;
        }
        let exec = [
            "exec",
            "--target",
            target,
            "--image",
            "one",
            "--",
            "/bin/program",
        ];
        let said = place.succeeds(&exec);
        assert_eq!(said, "/dev/pts/0 word\n", "{target}");
    }
}
