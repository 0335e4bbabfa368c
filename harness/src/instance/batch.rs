//! Several instances that start at once or at intervals, each timed from its own spawn.
//!
//! One thread spawns the instances and listens to all that have been spawned. Slow steps, such as killing a failed instance and waiting for its end, come after the last ready
//! line. Otherwise the ready lines of the other instances would lie unread and count as late.

use std::time::{Duration, Instant};

use isobench_workloads::protocol::Message;
use nix::errno::Errno;
use nix::poll::{PollTimeout, poll};

use super::polling::{is_ready, poll_in};
use super::{Instance, InstanceError, Stdin, unexpected};
use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;

const AWAITED: &str = "ready line";

/// When an instance was started and when it was ready. The instance then ended with exit code 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartTimes {
    /// The clock's reading just before the instance was cloned.
    pub spawned: MonotonicTime,
    /// The clock's reading just after the instance's ready line was read.
    pub ready: MonotonicTime,
}

struct Member<'i> {
    instance: Instance<'i>,
    state: State,
}

enum State {
    Starting,
    Ready(MonotonicTime),
    /// The instance's output ended before its ready line came. The reason is looked up later.
    Silent,
    Failed(InstanceError),
}

/// Starts all `commands`, with `interval` from each start to the next, whether or not the instance
/// before is ready. Waits until each instance is ready or has failed, and then until all have ended.
/// A failed instance doesn't change the times of the others.
///
/// # Errors
/// [`InstanceError::Interrupted`], or [`InstanceError::Pipe`] if poll(2) fails. All instances are
/// killed then.
pub fn start_at_intervals(
    commands: &[CommandLine],
    interval: Duration,
    limit: Duration,
    interrupt: &Interrupt,
) -> Result<Vec<Result<StartTimes, InstanceError>>, InstanceError> {
    let mut members: Vec<Result<Member<'_>, InstanceError>> = Vec::new();
    let mut due = Instant::now();
    for command in commands {
        while Instant::now() < due {
            listen_until(&mut members, Some(due), interrupt)?;
        }
        let started = Instance::start(command, Stdin::Null, limit, interrupt);
        members.push(started.map(|instance| Member {
            instance,
            state: State::Starting,
        }));
        due += interval;
    }
    while members.iter().flatten().any(Member::is_starting) {
        listen_until(&mut members, None, interrupt)?;
    }
    let results: Vec<_> = members
        .into_iter()
        .map(|member| member.and_then(Member::finish))
        .collect();
    if interrupt.stop_requested() {
        return Err(InstanceError::Interrupted);
    }
    Ok(results)
}

/// Waits until instances that are starting have written something, or the time `until` has come,
/// and takes note of what has happened.
fn listen_until(
    members: &mut [Result<Member<'_>, InstanceError>],
    until: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<(), InstanceError> {
    let members = members.iter_mut().flatten();
    let mut starting: Vec<&mut Member<'_>> = members.filter(|one| one.is_starting()).collect();
    listen(&mut starting, until, interrupt)?;
    starting.into_iter().for_each(Member::update_state);
    Ok(())
}

/// Which streams of an instance have something to read.
struct Readable {
    stdout: bool,
    stderr: bool,
}

/// Waits until some instances have written something, and reads what has come.
fn listen(
    members: &mut [&mut Member<'_>],
    until: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<(), InstanceError> {
    let readable = poll_streams(members, until, interrupt)?;
    if interrupt.stop_requested() {
        return Err(InstanceError::Interrupted);
    }
    for (member, readable) in members.iter_mut().zip(readable) {
        if let Err(error) = member.read(&readable) {
            member.state = State::Failed(error);
        }
    }
    Ok(())
}

/// Waits until a stream of some member can be read, the first deadline has passed, the time `until`
/// has come, or a stop is requested.
fn poll_streams(
    members: &[&mut Member<'_>],
    until: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<Vec<Readable>, InstanceError> {
    let deadlines = members.iter().map(|member| member.instance.deadline);
    let left = deadlines
        .chain(until)
        .min()
        .map_or(Duration::ZERO, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
    let mut polled = vec![poll_in(interrupt)];
    for member in members {
        let instance = &member.instance;
        polled.push(poll_in(&instance.stdout));
        if !instance.stderr.is_closed() {
            polled.push(poll_in(&instance.stderr));
        }
    }
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(InstanceError::Pipe(errno.into())),
    }
    let mut answers = polled[1..].iter().map(is_ready);
    let readable = |member: &&mut Member<'_>| {
        let stdout = answers.next().unwrap_or(false);
        let was_polled = !member.instance.stderr.is_closed();
        let stderr = was_polled && answers.next().unwrap_or(false);
        Readable { stdout, stderr }
    };
    Ok(members.iter().map(readable).collect())
}

impl Member<'_> {
    fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting)
    }

    fn read(&mut self, readable: &Readable) -> Result<(), InstanceError> {
        if readable.stdout {
            self.instance.read_stdout()?;
        }
        if readable.stderr {
            self.instance.read_stderr()?;
        }
        Ok(())
    }

    /// Works out the state from what has been read so far.
    fn update_state(&mut self) {
        if !self.is_starting() {
            return;
        }
        let instance = &mut self.instance;
        self.state = match instance.take_message() {
            Ok(Some((Message::Ready, at))) => State::Ready(at),
            Ok(Some((other, _))) => State::Failed(unexpected(&other, AWAITED)),
            Err(error) => State::Failed(error),
            Ok(None) if instance.stdout.is_closed() => State::Silent,
            Ok(None) if Instant::now() >= instance.deadline => {
                State::Failed(InstanceError::Timeout {
                    awaited: AWAITED,
                    limit: instance.limit,
                })
            }
            Ok(None) => State::Starting,
        };
    }

    /// Waits for the instance's end. An instance that has failed is killed when it is dropped here.
    fn finish(mut self) -> Result<StartTimes, InstanceError> {
        let ready = match self.state {
            State::Ready(at) => at,
            State::Failed(error) => return Err(error),
            // The output has ended without a ready line, so this returns the reason.
            State::Starting | State::Silent => self.instance.wait_until_ready()?,
        };
        self.instance.wait_until_exited()?;
        Ok(StartTimes {
            spawned: self.instance.spawned_at(),
            ready,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(1500);

    fn together(scripts: &[&str]) -> Vec<Result<StartTimes, InstanceError>> {
        let shell = |script: &&str| CommandLine::new("/bin/sh").args(["-c", script]);
        let commands: Vec<_> = scripts.iter().map(shell).collect();
        let interrupt = Interrupt::never().unwrap();
        start_at_intervals(&commands, Duration::ZERO, LIMIT, &interrupt).unwrap()
    }

    #[test]
    fn each_instance_has_its_own_time() {
        let results = together(&[
            "sleep 0.4; echo isobench/1 ready",
            "echo isobench/1 ready",
            "sleep 0.2; echo isobench/1 ready",
        ]);
        let times: Vec<StartTimes> = results.into_iter().map(Result::unwrap).collect();
        assert!(times.is_sorted_by_key(|start| start.spawned));
        let took = |start: &StartTimes| start.ready.since(start.spawned).unwrap();
        let took: Vec<_> = times.iter().map(took).collect();
        assert!(took[1] < took[2] && took[2] < took[0], "{took:?}");
    }

    #[test]
    fn instances_start_at_intervals_whether_or_not_the_last_is_ready() {
        let script = "sleep 0.3; echo isobench/1 ready";
        let command = CommandLine::new("/bin/sh").args(["-c", script]);
        let interval = Duration::from_millis(100);
        let interrupt = Interrupt::never().unwrap();
        let commands = vec![command; 4];
        let results = start_at_intervals(&commands, interval, LIMIT, &interrupt).unwrap();
        let times: Vec<StartTimes> = results.into_iter().map(Result::unwrap).collect();
        for pair in times.windows(2) {
            let between = pair[1].spawned.since(pair[0].spawned).unwrap();
            assert!(
                between + Duration::from_millis(20) >= interval,
                "{between:?}"
            );
            assert!(pair[1].spawned < pair[0].ready, "it waited for the other");
        }
    }

    #[test]
    fn failed_instances_have_their_reasons_and_delay_no_other() {
        let mut results = together(&[
            "echo isobench/1 ready",
            "echo no room >&2; exit 4",
            "exec 1>&-; sleep 100",
            "sleep 100",
            "echo nonsense",
            "echo isobench/1 ready; exit 3",
            "sleep 0.3; echo isobench/1 ready",
        ]);
        let last = results.pop().unwrap().unwrap();
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
        for (result, expected) in results.into_iter().zip(expected) {
            let reason = result.err().map(|error| error.to_string());
            assert_eq!(reason.unwrap_or_default(), expected);
        }
    }

    #[test]
    fn an_instance_that_can_t_be_started_has_a_result_like_others() {
        let commands = [CommandLine::new("/no/such"), CommandLine::new("/bin/false")];
        let interrupt = Interrupt::never().unwrap();
        let results = start_at_intervals(&commands, Duration::ZERO, LIMIT, &interrupt).unwrap();
        assert!(matches!(results[0], Err(InstanceError::Spawn(_))));
        assert!(matches!(results[1], Err(InstanceError::EndedEarly { .. })));
    }
}
