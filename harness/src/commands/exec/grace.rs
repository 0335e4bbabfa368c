//! The end of an instance whose program doesn't end by a signal: as process 1 of its PID namespace a
//! program gets no signal that it has left at its default action (`pid_namespaces(7)`).
//!
//! Such an instance is ended as `docker stop` does it, by SIGKILL after a grace period. A program
//! that handles or ignores the signal isn't ended: what it does with a signal is its own matter.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use procfs::process::{Process, Status};

use crate::host::accounting::InstanceGroup;
use crate::host::probe::pss::process_tree;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::instance::endings::Process1;

/// How long a program has after a signal that asks for its end, as `docker stop` has it. `isobench
/// exec --help` names the figure.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long a daemon may take to tell a process id.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The signals by which a user or another program asks for an end.
const REQUESTS: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

/// The requests to end that an instance hasn't followed yet.
#[derive(Debug)]
pub struct Requests<'r> {
    process_1: Process1,
    ask_for_program: Option<&'r CommandLine>,
    group: Option<&'r InstanceGroup>,
    /// The signals, and when the program's time after each is up.
    pending: BTreeMap<c_int, Instant>,
}

impl<'r> Requests<'r> {
    /// No requests to the instance of `command`, whose cgroup is `group`.
    pub fn to(command: &'r CommandLine, group: Option<&'r InstanceGroup>) -> Self {
        Self {
            process_1: command.endings.process_1,
            ask_for_program: command.ask_for_program.as_deref(),
            group,
            pending: BTreeMap::new(),
        }
    }

    /// Takes note of the signal `number`.
    pub fn note(&mut self, number: c_int) {
        let is_request = REQUESTS.iter().any(|request| *request as c_int == number);
        if is_request && self.process_1 == Process1::Program {
            let until = Instant::now() + GRACE;
            self.pending.entry(number).or_insert(until);
        }
    }

    /// When the next program's time is up; `None` without requests.
    pub fn next(&self) -> Option<Instant> {
        self.pending.values().min().copied()
    }

    /// A request whose time is up, and that the program has left at the default action until now.
    pub fn unheard(&mut self) -> Option<Signal> {
        let now = Instant::now();
        let (due, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|(_, until)| *until <= now);
        self.pending = pending;
        let due: BTreeMap<c_int, Instant> = due;
        if due.is_empty() {
            return None;
        }
        let status = self.status()?;
        let mut due = due.into_keys();
        let number = due.find(|number| is_at_default(&status, *number))?;
        Signal::try_from(number).ok()
    }

    /// The state of the program; `None` if it isn't found.
    fn status(&self) -> Option<Status> {
        if let Some(command) = self.ask_for_program {
            let answer = bounded_command::run(command, ANSWER_LIMIT).ok()?;
            let pid = answer.stdout.trim().parse().ok().filter(|pid| *pid > 0)?;
            return Process::new(pid).ok()?.status().ok();
        }
        let below = process_tree(Pid::this()).unwrap_or_default();
        let members = self.group.and_then(|group| group.processes().ok());
        let members = members.unwrap_or_default().into_iter();
        let members = members.filter_map(|pid| Process::new(pid.as_raw()).ok());
        let mut all = below.into_iter().chain(members);
        all.find_map(|process| process.status().ok().filter(is_process_1))
    }
}

/// Whether a process is process 1 of a PID namespace right below that of this process.
fn is_process_1(status: &Status) -> bool {
    matches!(status.nspid.as_deref(), Some([_, 1]))
}

/// Whether a process neither handles nor ignores the signal `number`.
fn is_at_default(status: &Status, number: c_int) -> bool {
    let bit = 1_u64 << (number - 1);
    (status.sigcgt | status.sigign) & bit == 0
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::commands::arguments::Cli;

    fn requests(process_1: Process1) -> Requests<'static> {
        Requests {
            process_1,
            ask_for_program: None,
            group: None,
            pending: BTreeMap::new(),
        }
    }

    #[test]
    fn only_the_first_request_of_a_kind_to_process_1_counts() {
        let mut none = requests(Process1::Other);
        none.note(libc::SIGTERM);
        assert_eq!(none.next(), None);
        let mut some = requests(Process1::Program);
        some.note(libc::SIGUSR1);
        assert_eq!(some.next(), None);
        some.note(libc::SIGTERM);
        let first = some.next().unwrap();
        some.note(libc::SIGTERM);
        some.note(libc::SIGINT);
        assert_eq!(some.next(), Some(first));
        assert_eq!(some.unheard(), None, "its time is not up");
    }

    #[test]
    fn what_a_process_handles_or_ignores_is_not_at_its_default() {
        let mut status = Process::myself().unwrap().status().unwrap();
        status.sigcgt = 1 << (libc::SIGTERM - 1);
        status.sigign = 1 << (libc::SIGINT - 1);
        assert!(!is_at_default(&status, libc::SIGTERM));
        assert!(!is_at_default(&status, libc::SIGINT));
        assert!(is_at_default(&status, libc::SIGHUP));
        status.nspid = Some(vec![70, 1]);
        assert!(is_process_1(&status));
        for other in [vec![1], vec![70, 2], vec![70, 5, 1]] {
            status.nspid = Some(other);
            assert!(!is_process_1(&status));
        }
    }

    #[test]
    fn the_help_names_the_grace_period() {
        let mut command = Cli::command();
        let exec = command.find_subcommand_mut("exec").unwrap();
        let help = exec.render_long_help().to_string();
        let words: Vec<_> = help.split_whitespace().collect();
        let grace = format!("after {} seconds", GRACE.as_secs());
        assert!(words.join(" ").contains(&grace), "{help}");
    }
}
