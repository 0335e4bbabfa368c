//! What a program finds of its terminal, and the terminals that it makes itself.

use std::io::Read as _;

use isobench_testing::{Need, compile_c, lacks};

use super::terminal::Terminal;
use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::needs::can_run;
use crate::support::place::Place;

/// Says what standard input is, sets it to raw mode and back, and sends a word through a
/// pseudo-terminal of the program's own.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
int main(void) {
    struct winsize size = {0};
    struct termios before, raw, after;
    ioctl(0, TIOCGWINSZ, &size);
    char *name = ttyname(0);
    printf("terminal %d %s %d %d\n", isatty(0), name ? name : strerror(errno), size.ws_row, size.ws_col);
    if (!tcgetattr(0, &before)) {
        raw = before;
        cfmakeraw(&raw);
        int set = tcsetattr(0, TCSANOW, &raw);
        tcgetattr(0, &after);
        printf("raw %d %d\n", set, !(after.c_lflag & ICANON));
        tcsetattr(0, TCSANOW, &before);
    }
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave = -1;
    if (master >= 0 && !grantpt(master) && !unlockpt(master))
        slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    char text[9] = "";
    if (slave >= 0 && write(master, "word\n", 5) == 5 && read(slave, text, 5) == 5)
        printf("own %s %s", ttyname(slave), text);
    else
        printf("own: %s\n", strerror(errno));
}"#;

fn place() -> Option<Place> {
    let place = Place::new();
    compile_c(&place.path("program"), SOURCE, &["-static"]).then_some(place)
}

/// What the program says in `target`, on a terminal.
fn on_terminal(place: &Place, target: &str) -> String {
    let exec = [ISOBENCH, "exec", "--target", target, "--", "./program"];
    let mut terminal = Terminal::start(place, &exec);
    let mut text = String::new();
    // The end of the last process on the terminal is an error of its master, EIO.
    let _ = terminal.screen.read_to_string(&mut text);
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0), "{text}");
    text.replace('\r', "")
}

#[test]
fn a_terminal_has_a_name_a_size_and_modes() {
    let Some(place) = place() else { return };
    if lacks(Need::Program("setsid")) {
        return;
    }
    for (target, name) in [("process", "/dev/pts/"), ("container", "/dev/console")] {
        if !can_run(target) {
            continue;
        }
        let text = on_terminal(&place, target);
        assert!(text.starts_with(&format!("terminal 1 {name}")), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with(" 33 77"), "{target}: {text}");
        assert_eq!(lines[1], "raw 0 1", "{target}");
        assert!(lines[2].starts_with("own /dev/pts/"), "{target}: {text}");
        assert!(lines[2].ends_with(" word"), "{target}: {text}");
    }
}

#[test]
fn a_bare_guest_has_no_half_of_a_terminal() {
    let Some(place) = place() else { return };
    if lacks(Need::Program("setsid")) || !can_run("microvm-bare") {
        return;
    }
    let text = on_terminal(&place, "microvm-bare");
    let expected = "terminal 0 Inappropriate ioctl for device 0 0\n\
        own: No such file or directory\n";
    assert_eq!(text, expected);
}

#[test]
fn a_program_makes_terminals_without_having_one() {
    let Some(place) = place() else { return };
    for target in ["process", "container"] {
        if !can_run(target) {
            continue;
        }
        let exec = [ISOBENCH, "exec", "--target", target, "--", "./program"];
        let ended = Ended::of(&mut place.command(exec[0], &exec[1..]));
        ended.has_code(0).prints("own /dev/pts/").prints(" word");
    }
}
