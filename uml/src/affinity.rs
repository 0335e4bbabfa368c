//! The processor of the host's that the kernel and its programs run on.
//!
//! One of them runs at a time: at each system call and each first touch of a page the kernel and a
//! program hand over to each other, which takes about half as long on the same processor. A start
//! consists of a thousand such moments, so the guest starts on one processor. Later the host's
//! scheduler is free again: a guest that had to stay would wait for a busy processor beside an idle
//! one.

use std::fs;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// Keeps this process, and all that it will start, to the processor that it runs on.
pub(crate) fn keep_to_one_processor() -> Result<(), Errno> {
    let mut processor = CpuSet::new();
    processor.set(sched_getcpu()?)?;
    sched_setaffinity(Pid::from_raw(0), &processor)
}

/// Lets all processes below `ancestor` use the processors that this process may use. A process that
/// has ended meanwhile is passed over.
pub(crate) fn release(ancestor: Pid) {
    let Ok(own) = sched_getaffinity(Pid::from_raw(0)) else {
        return;
    };
    let mut open = vec![ancestor];
    // A parent comes before its children, so a child that starts meanwhile is free from its birth.
    while let Some(process) = open.pop() {
        let _ = sched_setaffinity(process, &own);
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split_ascii_whitespace()
            .filter_map(|child| child.parse().ok());
        open.extend(children.map(Pid::from_raw));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_released_process_and_its_children_may_use_all_processors_again() {
        let this = Pid::from_raw(0);
        let all = sched_getaffinity(this).unwrap();
        keep_to_one_processor().unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        sched_setaffinity(this, &all).unwrap();
        let mut line = String::new();
        let output = shell.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let child = Pid::from_raw(line.trim().parse().unwrap());
        let parent = Pid::from_raw(shell.id().cast_signed());
        release(parent);
        let released = [parent, child].map(|process| sched_getaffinity(process).unwrap());
        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
        shell.wait().unwrap();
        assert_eq!(released, [all, all]);
    }
}
