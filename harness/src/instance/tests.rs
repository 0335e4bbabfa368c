use super::*;

fn shell(script: &str) -> CommandLine {
    CommandLine::new("/bin/sh").args(["-c", script])
}

fn start<'i>(script: &str, limit: Duration, interrupt: &'i Interrupt) -> Instance<'i> {
    Instance::start(&shell(script), Stdin::Held, limit, interrupt).unwrap()
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

fn is_alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    state.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_good_instance_is_ready_and_finishes() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("echo isobench/1 ready; read line; exit 0", LONG, &interrupt);
    let ready = instance.ready().unwrap();
    assert!(ready > instance.spawned_at());
    instance.close_stdin();
    assert!(instance.finished().unwrap() > ready);
}

#[test]
fn work_begins_when_told_to() {
    let interrupt = Interrupt::never().unwrap();
    let script = "echo isobench/1 begin; read line; echo isobench/1 end operations=1 bytes=0";
    let mut instance = start(script, LONG, &interrupt);
    let told = instance.begin().unwrap();
    let (_, ended) = instance.next_message("end line").unwrap();
    assert!(ended.since(told).is_some_and(|took| !took.is_zero()));
    instance.finished().unwrap();

    let hasty = "echo isobench/1 begin; echo isobench/1 end operations=1 bytes=0; sleep 9";
    let error = start(hasty, LONG, &interrupt).begin().unwrap_err();
    let message = "said `isobench/1 end operations=1 bytes=0` where its waiting was due";
    assert_eq!(error.to_string(), message);
}

#[test]
fn one_that_hangs_is_killed_with_its_children() {
    let interrupt = Interrupt::never().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = format!("sleep 100 & echo $! > {}; wait", file.path().display());
    let mut instance = start(&script, SHORT, &interrupt);
    assert_eq!(
        instance.ready().unwrap_err().to_string(),
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
fn one_that_floods_fails_with_that_reason() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("head -c 3000000 /dev/zero", LONG, &interrupt);
    assert!(matches!(
        instance.ready().unwrap_err(),
        InstanceError::Flood
    ));
    let mut late = start(
        "echo isobench/1 ready; head -c 3000000 /dev/zero",
        LONG,
        &interrupt,
    );
    late.ready().unwrap();
    assert!(matches!(late.finished().unwrap_err(), InstanceError::Flood));
}

#[test]
fn one_that_ends_early_is_quoted() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("echo no disk >&2; exit 3", LONG, &interrupt);
    assert_eq!(
        instance.ready().unwrap_err().to_string(),
        "ended with exit code 3 before its ready line: no disk"
    );
    let mut killed = start("kill -SEGV $$", LONG, &interrupt);
    assert_eq!(
        killed.ready().unwrap_err().to_string(),
        "ended with SIGSEGV before its ready line"
    );
}

#[test]
fn one_that_garbles_or_fails_after_its_work_fails_its_sample() {
    let interrupt = Interrupt::never().unwrap();
    let mut garbled = start("echo hello", LONG, &interrupt);
    assert!(matches!(
        garbled.ready().unwrap_err(),
        InstanceError::Protocol(_)
    ));
    let mut other = start("echo isobench/1 begin", LONG, &interrupt);
    assert!(matches!(
        other.ready().unwrap_err(),
        InstanceError::Unexpected { .. }
    ));
    let mut failed = start("echo isobench/1 ready; exit 9", LONG, &interrupt);
    failed.ready().unwrap();
    assert_eq!(
        failed.finished().unwrap_err().to_string(),
        "ended with exit code 9"
    );
}

#[test]
fn one_that_closes_its_output_and_stays_is_told_so() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("exec 1>&-; sleep 100", SHORT, &interrupt);
    assert!(matches!(
        instance.ready().unwrap_err(),
        InstanceError::Closed { .. }
    ));
}

#[test]
fn marks_are_read_from_descriptor_three() {
    let interrupt = Interrupt::never().unwrap();
    let mut instance = start("echo clone 12 >&3; echo isobench/1 ready", LONG, &interrupt);
    instance.ready().unwrap();
    assert_eq!(instance.marks().unwrap()[0].phase, "clone");
    let mut liar = start("echo nonsense >&3; echo isobench/1 ready", LONG, &interrupt);
    liar.ready().unwrap();
    assert!(matches!(liar.marks().unwrap_err(), InstanceError::Marks(_)));
}
