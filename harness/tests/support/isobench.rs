//! A command line of `isobench`, put together option by option, and how the command must end.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use isobench_reports::model::Run;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ended::Ended;
use super::place::Place;
use super::traces;

pub const ISOBENCH: &str = env!("CARGO_BIN_EXE_isobench");
pub const WORKLOAD: &str = env!("CARGO_BIN_EXE_isobench-workload");

/// A command line of `isobench` in a place.
#[derive(Debug)]
pub struct Isobench {
    place: Place,
    command: Command,
    /// The directory that `isobench run` writes its results to.
    out: String,
}

impl Place {
    /// `isobench` with any arguments.
    pub fn isobench(&self, arguments: &[&str]) -> Isobench {
        self.isobench_at(ISOBENCH, arguments)
    }

    /// Another copy of `isobench`, or a program that starts it.
    pub fn isobench_at(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Isobench {
        Isobench {
            place: self.clone(),
            command: self.command(program, arguments),
            out: "out".to_owned(),
        }
    }

    /// `isobench run`, whose results go to the directory `out`.
    pub fn run(&self) -> Isobench {
        self.run_into("out")
    }

    /// `isobench run`, whose results go to the directory of this name.
    pub fn run_into(&self, out: &str) -> Isobench {
        Isobench {
            out: out.to_owned(),
            ..self.isobench(&["run", "--out", out])
        }
    }
}

impl Isobench {
    /// The same command, which writes its results to the directory of this name.
    pub fn writes_to(self, out: &str) -> Self {
        Self {
            out: out.to_owned(),
            ..self
        }
    }

    /// `isobench run` in a place of its own.
    pub fn run() -> Self {
        Place::new().run()
    }

    /// `isobench exec` in a place of its own. [`Isobench::program`] adds the program.
    pub fn exec(target: &str) -> Self {
        Place::new().isobench(&["exec", "--target", target])
    }

    pub fn quick(self) -> Self {
        self.profile("quick")
    }

    pub fn profile(self, profile: &str) -> Self {
        self.options(&["--profile", profile])
    }

    pub fn targets(self, targets: &str) -> Self {
        self.options(&["--targets", targets])
    }

    pub fn experiments(self, experiments: &str) -> Self {
        self.options(&["--experiments", experiments])
    }

    /// Adds any arguments.
    pub fn options(mut self, options: &[impl AsRef<OsStr>]) -> Self {
        self.command.args(options);
        self
    }

    /// Adds the program that `isobench exec` starts, and the program's arguments.
    pub fn program(self, program: &[&str]) -> Self {
        self.options(&["--"]).options(program)
    }

    pub fn environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs the command to its end, whatever its exit code is.
    pub fn ends(self) -> Finished {
        self.starts().ends()
    }

    /// Expects exit code 0.
    #[track_caller]
    pub fn succeeds(self) -> Finished {
        let finished = self.ends();
        finished.has_code(0);
        finished
    }

    /// Expects that bad input is refused in one clear line that has these words.
    #[track_caller]
    pub fn refuses(self, words: &str) -> Finished {
        let finished = self.ends();
        finished.is_refused_by("isobench", words);
        finished
    }

    /// Starts the command, which goes on beside the test.
    pub fn starts(mut self) -> Running {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running {
            child: self.command.spawn().unwrap(),
            place: self.place,
            out: self.out,
        }
    }

    /// Starts the command with a standard input that the test writes to.
    pub fn starts_with_input(mut self) -> Running {
        self.command.stdin(Stdio::piped());
        self.starts()
    }
}

/// An `isobench` that runs beside the test.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    place: Place,
    out: String,
}

impl Running {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    pub fn send(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until the run has begun to take samples.
    #[track_caller]
    pub fn takes_samples(&mut self) {
        if let Err(said) = self.first_sample() {
            panic!("no sample was announced: {said}");
        }
    }

    /// Waits until the run has begun to take samples. The error is what the run said instead.
    pub fn first_sample(&mut self) -> Result<(), String> {
        let stderr = BufReader::new(self.child.stderr.take().unwrap());
        let mut said = String::new();
        for line in stderr.lines().map_while(Result::ok) {
            if line.starts_with("sample ") {
                return Ok(());
            }
            said = said + &line + "\n";
        }
        Err(said)
    }

    /// Waits until the command has ended, whatever its exit code is.
    pub fn ends(self) -> Finished {
        Finished {
            pid: self.child.id(),
            ended: self.child.wait_with_output().unwrap().into(),
            place: self.place,
            out: self.out,
            results: OnceCell::new(),
        }
    }
}

/// An `isobench` that has ended. `results.rs` adds what a run has measured.
#[derive(Debug)]
pub struct Finished {
    pub ended: Ended,
    pub place: Place,
    pid: u32,
    pub(super) out: String,
    pub(super) results: OnceCell<Run>,
}

impl Finished {
    /// Expects that no temporary file, mount, process or cgroup of the command is left.
    #[track_caller]
    pub fn leaves_nothing(&self) -> &Self {
        traces::assert_none(self.pid, &self.place, "");
        self
    }
}

impl Deref for Finished {
    type Target = Ended;

    fn deref(&self) -> &Ended {
        &self.ended
    }
}
