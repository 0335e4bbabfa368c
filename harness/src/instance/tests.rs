use super::*;

fn shell(script: &str) -> CommandLine {
    CommandLine::new("/bin/sh").args(["-c", script])
}

fn start<'i>(script: &str, limit: Duration, interrupt: &'i Interrupt) -> Instance<'i> {
    Instance::start(&shell(script), Stdin::HeldOpen, limit, interrupt).unwrap()
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

fn is_alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    state.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_good_instance_is_ready_and_exits() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("echo isobench/1 ready; read line; exit 0", LONG, &interrupt);
    let ready = instance.wait_until_ready().unwrap();
    assert!(ready > instance.spawned_at());
    instance.close_stdin();
    assert!(instance.wait_until_exited().unwrap() > ready);
}

#[test]
fn work_begins_at_the_harness_s_signal() {
    let interrupt = Interrupt::never().unwrap();
    let script = "echo isobench/1 begin; read line; echo isobench/1 end operations=1 bytes=0";
    let mut instance = start(script, LONG, &interrupt);
    let released = instance.begin_work().unwrap();
    let (_, ended) = instance.next_message("end line").unwrap();
    assert!(ended.since(released).is_some_and(|took| !took.is_zero()));
    instance.wait_until_exited().unwrap();
}

#[test]
fn work_that_begins_before_the_signal_is_an_error() {
    let interrupt = Interrupt::never().unwrap();
    let script = "echo isobench/1 begin; echo isobench/1 end operations=1 bytes=0; sleep 9";
    let error = start(script, LONG, &interrupt).begin_work().unwrap_err();
    assert_eq!(
        error.to_string(),
        "wrote `isobench/1 end operations=1 bytes=0` before it was told to begin"
    );
}

#[test]
fn an_instance_that_hangs_is_killed_with_its_children() {
    let interrupt = Interrupt::never().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = format!("sleep 100 & echo $! > {}; wait", file.path().display());
    let mut instance = start(&script, SHORT, &interrupt);
    assert_eq!(
        instance.wait_until_ready().unwrap_err().to_string(),
        "no ready line within 200ms"
    );
    let child = std::fs::read_to_string(file.path()).unwrap();
    assert!(is_alive(&child));
    drop(instance);
    let gone = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !is_alive(&child)
    });
    assert!(gone, "the grandchild {child} still runs");
}

#[test]
fn an_instance_that_floods_its_output_fails_with_that_reason() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("head -c 3000000 /dev/zero", LONG, &interrupt);
    assert!(matches!(
        instance.wait_until_ready().unwrap_err(),
        InstanceError::Flood
    ));
    let mut late = start(
        "echo isobench/1 ready; head -c 3000000 /dev/zero",
        LONG,
        &interrupt,
    );
    late.wait_until_ready().unwrap();
    assert!(matches!(
        late.wait_until_exited().unwrap_err(),
        InstanceError::Flood
    ));
}

#[test]
fn the_error_for_an_early_end_quotes_standard_error() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("echo no disk >&2; exit 3", LONG, &interrupt);
    assert_eq!(
        instance.wait_until_ready().unwrap_err().to_string(),
        "ended with exit code 3 before its ready line: no disk"
    );
    let mut killed = start("kill -SEGV $$", LONG, &interrupt);
    assert_eq!(
        killed.wait_until_ready().unwrap_err().to_string(),
        "ended with SIGSEGV before its ready line"
    );
}

#[test]
fn an_instance_that_breaks_the_protocol_or_fails_after_its_work_is_an_error() {
    let interrupt = Interrupt::never().unwrap();
    let mut garbled = start("echo hello", LONG, &interrupt);
    assert!(matches!(
        garbled.wait_until_ready().unwrap_err(),
        InstanceError::Protocol(_)
    ));
    let mut other = start("echo isobench/1 begin", LONG, &interrupt);
    assert!(matches!(
        other.wait_until_ready().unwrap_err(),
        InstanceError::Unexpected { .. }
    ));
    let mut failed = start("echo isobench/1 ready; exit 9", LONG, &interrupt);
    failed.wait_until_ready().unwrap();
    assert_eq!(
        failed.wait_until_exited().unwrap_err().to_string(),
        "ended with exit code 9"
    );
}

#[test]
fn an_instance_that_closes_its_output_and_does_not_end_has_an_error_of_its_own() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("exec 1>&-; sleep 100", SHORT, &interrupt);
    assert!(matches!(
        instance.wait_until_ready().unwrap_err(),
        InstanceError::Closed { .. }
    ));
}

#[test]
fn marks_are_read_from_descriptor_three() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("echo clone 12 >&3; echo isobench/1 ready", LONG, &interrupt);
    instance.wait_until_ready().unwrap();
    assert_eq!(instance.marks().unwrap()[0].phase, "clone");
    let mut liar = start("echo nonsense >&3; echo isobench/1 ready", LONG, &interrupt);
    liar.wait_until_ready().unwrap();
    assert!(matches!(liar.marks().unwrap_err(), InstanceError::Marks(_)));
}
