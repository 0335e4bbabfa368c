//! Several instances started at once, each timed from its own spawn.
//!
//! One thread spawns them one after the other as fast as it can, and then listens to all. What may take a while, such as
//! killing one that failed and waiting for it, comes after the last of the others has said that it is ready: else their
//! lines would lie unread, and count as late.

use std::time::{Duration, Instant};

use isobench_workloads::protocol::Message;
use nix::errno::Errno;
use nix::poll::{PollTimeout, poll};

use super::{Instance, InstanceError, Stdin, is_ready, poll_in, unexpected};
use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;

const AWAITED: &str = "ready line";

/// One instance of several that was ready and ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The clock just before it was cloned.
    pub spawned: MonotonicTime,
    /// When its ready line had been read.
    pub ready: MonotonicTime,
}

struct Member<'i> {
    instance: Instance<'i>,
    state: State,
}

enum State {
    Starting,
    Ready(MonotonicTime),
    /// Its output ended before its line came; why is asked later.
    Silent,
    Failed(InstanceError),
}

/// Starts all `commands`, waits until each is ready or has failed, and then until all have ended. An instance that
/// fails spoils no other's time.
///
/// # Errors
/// [`InstanceError::Interrupted`], or [`InstanceError::Pipe`] if there can be no waiting; all are killed then.
pub fn start_together(
    commands: &[CommandLine],
    limit: Duration,
    interrupt: &Interrupt,
) -> Result<Vec<Result<Started, InstanceError>>, InstanceError> {
    let spawn = |command| {
        let instance = Instance::start(command, Stdin::Null, limit, interrupt)?;
        Ok(Member {
            instance,
            state: State::Starting,
        })
    };
    let mut members: Vec<Result<Member<'_>, InstanceError>> = commands.iter().map(spawn).collect();
    loop {
        let mut starting: Vec<&mut Member<'_>> = members
            .iter_mut()
            .flatten()
            .filter(|member| matches!(member.state, State::Starting))
            .collect();
        if starting.is_empty() {
            break;
        }
        listen(&mut starting, interrupt)?;
        starting.into_iter().for_each(Member::look);
    }
    let outcomes: Vec<_> = members
        .into_iter()
        .map(|member| member.and_then(Member::finish))
        .collect();
    if interrupt.asked() {
        return Err(InstanceError::Interrupted);
    }
    Ok(outcomes)
}

/// Waits until some have written something, and takes it in.
fn listen(members: &mut [&mut Member<'_>], interrupt: &Interrupt) -> Result<(), InstanceError> {
    let deadlines = members.iter().map(|member| member.instance.deadline);
    let left = deadlines.min().map_or(Duration::ZERO, |deadline| {
        deadline.saturating_duration_since(Instant::now())
    });
    let heard: Vec<[bool; 2]> = {
        let mut polled = vec![poll_in(interrupt)];
        for member in &*members {
            let instance = &member.instance;
            polled.push(poll_in(&instance.stdout));
            if !instance.stderr.ended() {
                polled.push(poll_in(&instance.stderr));
            }
        }
        match poll(
            &mut polled,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(InstanceError::Pipe(errno.into())),
        }
        let mut answers = polled[1..].iter().map(is_ready);
        let of = |member: &&mut Member<'_>| {
            let stdout = answers.next().unwrap_or(false);
            let asked = !member.instance.stderr.ended();
            [stdout, asked && answers.next().unwrap_or(false)]
        };
        members.iter().map(of).collect()
    };
    if interrupt.asked() {
        return Err(InstanceError::Interrupted);
    }
    for (member, [stdout, stderr]) in members.iter_mut().zip(heard) {
        if let Err(error) = member.instance.take_in(stdout, stderr) {
            member.state = State::Failed(error);
        }
    }
    Ok(())
}

impl Member<'_> {
    /// Draws the conclusion from what has been read so far.
    fn look(&mut self) {
        if !matches!(self.state, State::Starting) {
            return;
        }
        let instance = &mut self.instance;
        self.state = match instance.said() {
            Ok(Some((Message::Ready, at))) => State::Ready(at),
            Ok(Some((other, _))) => State::Failed(unexpected(&other, AWAITED)),
            Err(error) => State::Failed(error),
            Ok(None) if instance.stdout.ended() => State::Silent,
            Ok(None) if Instant::now() >= instance.deadline => {
                State::Failed(InstanceError::Timeout {
                    awaited: AWAITED,
                    limit: instance.limit,
                })
            }
            Ok(None) => State::Starting,
        };
    }

    /// Waits for its end. Dropping one that has failed kills it.
    fn finish(mut self) -> Result<Started, InstanceError> {
        let ready = match self.state {
            State::Ready(at) => at,
            State::Failed(error) => return Err(error),
            // The end of its output is known, so this says why.
            State::Starting | State::Silent => self.instance.ready()?,
        };
        self.instance.finished()?;
        Ok(Started {
            spawned: self.instance.spawned_at(),
            ready,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(1500);

    fn together(scripts: &[&str]) -> Vec<Result<Started, InstanceError>> {
        let shell = |script: &&str| CommandLine::new("/bin/sh").args(["-c", script]);
        let commands: Vec<_> = scripts.iter().map(shell).collect();
        let interrupt = Interrupt::never().unwrap();
        start_together(&commands, LIMIT, &interrupt).unwrap()
    }

    #[test]
    fn each_has_its_own_time() {
        let outcomes = together(&[
            "sleep 0.4; echo isobench/1 ready",
            "echo isobench/1 ready",
            "sleep 0.2; echo isobench/1 ready",
        ]);
        let started: Vec<Started> = outcomes.into_iter().map(Result::unwrap).collect();
        assert!(started.is_sorted_by_key(|one| one.spawned));
        let took = |one: &Started| one.ready.since(one.spawned).unwrap();
        let took: Vec<_> = started.iter().map(took).collect();
        assert!(took[1] < took[2] && took[2] < took[0], "{took:?}");
    }

    #[test]
    fn those_that_fail_say_why_and_spoil_no_other() {
        let mut outcomes = together(&[
            "echo isobench/1 ready",
            "echo no room >&2; exit 4",
            "exec 1>&-; sleep 100",
            "sleep 100",
            "echo nonsense",
            "echo isobench/1 ready; exit 3",
            "sleep 0.3; echo isobench/1 ready",
        ]);
        let last = outcomes.pop().unwrap().unwrap();
        let took = last.ready.since(last.spawned).unwrap();
        assert!(took < Duration::from_secs(1), "it was read late: {took:?}");
        let expected = [
            "",
            "ended with exit code 4 before its ready line: no room",
            "closed its standard output before its ready line",
            "no ready line within 1.5s",
            "its standard output isn't the workload's protocol",
            "ended with exit code 3",
        ];
        for (outcome, expected) in outcomes.into_iter().zip(expected) {
            let why = outcome.err().map(|error| error.to_string());
            assert_eq!(why.unwrap_or_default(), expected);
        }
    }

    #[test]
    fn one_that_can_t_be_started_is_an_outcome_like_others() {
        let commands = [CommandLine::new("/no/such"), CommandLine::new("/bin/false")];
        let interrupt = Interrupt::never().unwrap();
        let outcomes = start_together(&commands, LIMIT, &interrupt).unwrap();
        assert!(matches!(outcomes[0], Err(InstanceError::Spawn(_))));
        assert!(matches!(outcomes[1], Err(InstanceError::EndedEarly { .. })));
    }
}
