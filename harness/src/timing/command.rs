//! A command of the user: a program, its arguments, and how it is measured.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use isobench_container::Network;
use isobench_container::cgroup::Cpus;
use isobench_reports::schema::time;

use super::ready::ReadyCondition;
use super::root_choice::{Place, RootChoice};
use super::settings::Settings;

/// How long one run may take by default.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How many runs on each target count by default: enough for the interval of the 95th percentile.
const RUNS: u32 = 60;
/// How long the runs on one target may take by default.
const TIME_PER_TARGET: Duration = Duration::from_secs(10);
/// The longest name of a command.
const LONGEST_NAME: usize = 40;

/// A command's settings can't be met as they stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No program is named.
    #[error("no program is named")]
    NoProgram,
    /// The command has no name, or one that can't be a part of a file's name.
    #[error(
        "`{0}` is no name of a command: a name has 1 to {LONGEST_NAME} lower-case letters, digits and hyphens"
    )]
    Name(String),
    /// Both an image and a directory are named.
    #[error("an image and a root are named; leave one of them out")]
    TwoRoots,
    /// A setting needs a root with more than one program.
    #[error(
        "`{0}` needs an image or a root: a static program alone has neither users nor directories"
    )]
    NeedsRoot(&'static str),
    /// No run counts.
    #[error("`runs` is 0; at least one run must count")]
    NoRuns,
    /// A setting takes no effect, because the command's end is what makes it ready.
    #[error(
        "`stop` needs a condition such as line or tcp=PORT: with `exit`, the command has ended"
    )]
    StopAtExit,
}

/// A command of the user.
#[derive(Debug, Clone)]
pub struct TimedCommand {
    /// The command's name; `None` for the only command of a run.
    pub name: Option<String>,
    /// The program, as the user wrote it, and its arguments. Empty for an image's own program.
    pub command: Vec<OsString>,
    /// The directory of the host from which a relative path of a program leads; empty for the
    /// working directory.
    pub directory: PathBuf,
    /// Where the program is.
    pub root: RootChoice,
    /// When the program is ready.
    pub ready: ReadyCondition,
    /// Whether the program is stopped once it is ready.
    pub stop: bool,
    /// How long one run may take.
    pub timeout: Duration,
    /// The file that the program reads as its standard input.
    pub input: Option<PathBuf>,
    /// The variables that the user adds to the program's environment.
    pub environment: Vec<OsString>,
    /// The memory that the program may use.
    pub memory: Option<ByteSize>,
    /// The processor time that the program may use.
    pub cpus: Option<Cpus>,
    /// The program's network; `None` for a target's default.
    pub network: Option<Network>,
    /// The command of the host's shell that runs before each run.
    pub prepare: Option<String>,
    /// Whether a run with an exit code other than 0 counts.
    pub keep_going: bool,
    /// The runs on each target that don't count.
    pub warmup: u32,
    /// The runs on each target that count.
    pub runs: u32,
    /// How long the runs on one target may take; `None` if the user says how many runs there are.
    pub time_per_target: Option<Duration>,
}

impl TimedCommand {
    /// The command that `settings` describe.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn new(settings: Settings, command: Vec<OsString>) -> Result<Self, CommandError> {
        if command.is_empty() && settings.image.is_none() {
            return Err(CommandError::NoProgram);
        }
        if settings.runs == Some(0) {
            return Err(CommandError::NoRuns);
        }
        let ready = settings.ready.unwrap_or(ReadyCondition::Exit);
        if settings.stop == Some(true) && !ready.is_before_end() {
            return Err(CommandError::StopAtExit);
        }
        let name = settings.name.map(check_name).transpose()?;
        let place = Place {
            working_directory: settings.workdir,
            user: settings.user,
        };
        let root = choose_root(settings.image, settings.root, place)?;
        Ok(Self {
            name,
            command,
            directory: PathBuf::new(),
            root,
            stop: settings.stop.unwrap_or(ready.port().is_some()),
            ready,
            timeout: settings.timeout.unwrap_or(TIMEOUT),
            input: settings.input,
            environment: settings.environment,
            memory: settings.memory,
            cpus: settings.cpus,
            network: settings.net,
            prepare: settings.prepare,
            keep_going: settings.keep_going.unwrap_or(false),
            warmup: settings.warmup.unwrap_or(1),
            runs: settings.runs.unwrap_or(RUNS),
            time_per_target: settings.runs.is_none().then_some(TIME_PER_TARGET),
        })
    }

    /// The name of the experiment that measures the command.
    pub fn experiment(&self) -> String {
        match &self.name {
            Some(name) => format!("{}{name}", time::PREFIX),
            None => time::NAME.to_owned(),
        }
    }

    /// The command as a shell would read it.
    pub fn in_words(&self) -> String {
        if self.command.is_empty() {
            return "(the image's own program)".to_owned();
        }
        let words = self.command.iter().map(|word| word.to_string_lossy());
        let quoted = words.map(|word| quoted(&word));
        quoted.collect::<Vec<_>>().join(" ")
    }
}

fn choose_root(
    image: Option<String>,
    directory: Option<PathBuf>,
    place: Place,
) -> Result<RootChoice, CommandError> {
    match (image, directory) {
        (Some(_), Some(_)) => Err(CommandError::TwoRoots),
        (Some(name), None) => Ok(RootChoice::Image { name, place }),
        (None, Some(path)) => Ok(RootChoice::Directory { path, place }),
        (None, None) if place.working_directory.is_some() => {
            Err(CommandError::NeedsRoot("workdir"))
        }
        (None, None) if place.user.is_some() => Err(CommandError::NeedsRoot("user")),
        (None, None) => Ok(RootChoice::ProgramAlone),
    }
}

fn check_name(name: String) -> Result<String, CommandError> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_allowed) {
        Ok(name)
    } else {
        Err(CommandError::Name(name))
    }
}

/// The word with quotes around it, if a shell would otherwise read more than a word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(settings: &str) -> Result<TimedCommand, CommandError> {
        let settings = toml::from_str(settings).unwrap();
        TimedCommand::new(settings, vec!["./it".into(), "a b".into(), "it's".into()])
    }

    #[test]
    fn a_command_has_sensible_defaults() {
        let plain = command("").unwrap();
        assert_eq!(plain.in_words(), r"./it 'a b' 'it'\''s'");
        assert_eq!(plain.experiment(), "time");
        assert!(!plain.stop && plain.time_per_target.is_some());
        let server = command("name = \"web\"\nready = \"http=80/\"\nruns = 5").unwrap();
        assert_eq!(server.experiment(), "time-web");
        assert!(server.stop && server.time_per_target.is_none());
        let kept = command("ready = \"tcp=80\"\nstop = false").unwrap();
        assert!(!kept.stop);
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (settings, expected) in [
            ("name = \"A b\"", "`A b` is no name"),
            ("runs = 0", "`runs` is 0"),
            ("stop = true", "`stop` needs a condition"),
            ("image = \"a\"\nroot = \"b\"", "leave one of them out"),
            ("workdir = \"/\"", "`workdir` needs an image or a root"),
        ] {
            let error = command(settings).unwrap_err().to_string();
            assert!(error.contains(expected), "{settings}: {error}");
        }
        let nothing = TimedCommand::new(Settings::default(), Vec::new());
        assert_eq!(nothing.unwrap_err(), CommandError::NoProgram);
    }
}
