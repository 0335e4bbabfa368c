use std::fs::File;

use regex::bytes::Regex;

use super::*;
use crate::instance::reap::Ending;

const LONG: Duration = Duration::from_secs(20);

fn pipes(awaited: Option<&LinePattern>) -> Pipes {
    Pipes::new(File::open("/dev/null").unwrap().into(), awaited).unwrap()
}

fn shell(script: &str) -> CommandLine {
    CommandLine::new("/bin/sh").args(["-c", script])
}

#[test]
fn the_end_and_the_last_of_stderr_are_known() {
    let interrupt = Interrupt::never().unwrap();
    let command = shell("echo first >&2; echo last >&2; exit 3");
    let mut instance = TimedInstance::start(&command, pipes(None), LONG, &interrupt).unwrap();
    let end = instance.wait_until_ended().unwrap();
    assert_eq!(end.ending, Ending::Code(3));
    assert!(end.at > instance.spawned_at());
    assert_eq!(instance.stderr(), "first\nlast\n");
    assert_eq!(instance.line_at(), None);
}

#[test]
fn a_line_of_either_output_is_found_while_a_flood_goes_on() {
    let interrupt = Interrupt::never().unwrap();
    let pattern = LinePattern::Matching(Regex::new("^up$").unwrap());
    for stream in ["1", "2"] {
        let script = format!("head -c 3000000 /dev/zero; echo; echo up >&{stream}; cat /dev/zero");
        let mut instance =
            TimedInstance::start(&shell(&script), pipes(Some(&pattern)), LONG, &interrupt).unwrap();
        while instance.line_at().is_none() {
            instance.wait(None, None).unwrap();
        }
        let end = instance.kill().unwrap();
        assert_eq!(end.ending, Ending::Signal(Signal::SIGKILL));
    }
}

#[test]
fn a_command_that_takes_too_long_or_is_interrupted_ends_in_an_error() {
    let interrupt = Interrupt::never().unwrap();
    let short = Duration::from_millis(100);
    let command = shell("trap '' TERM; sleep 100");
    let mut instance = TimedInstance::start(&command, pipes(None), short, &interrupt).unwrap();
    let error = instance.wait_until_ended().unwrap_err();
    assert_eq!(error.to_string(), "did not end within 100ms");
}

#[test]
fn a_wait_ends_at_its_time_and_takes_note_of_what_came() {
    let interrupt = Interrupt::never().unwrap();
    let command = shell("echo one; sleep 100");
    let awaited = LinePattern::Any;
    let mut instance =
        TimedInstance::start(&command, pipes(Some(&awaited)), LONG, &interrupt).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(!instance.wait(None, Some(soon)).unwrap());
    }
    assert!(instance.line_at().is_some() && instance.end().is_none());
}
