//! A command that has ended, and what a test expects of its end.

use std::process::{Command, Output};

/// How a command ended and what it wrote.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended the command.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Expects this exit code.
    #[track_caller]
    pub fn has_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Expects these words on standard output.
    #[track_caller]
    pub fn prints(&self, words: &str) -> &Self {
        let found = self.stdout.contains(words);
        assert!(found, "no \"{words}\" in what was printed: {self:?}");
        self
    }

    /// Expects these words on standard error.
    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        let found = self.stderr.contains(words);
        assert!(found, "no \"{words}\" in what was said: {self:?}");
        self
    }

    /// Expects one line on standard error.
    #[track_caller]
    pub fn says_one_line(&self) -> &Self {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self
    }

    /// Expects that `program` refused bad input: exit code 2, and one line that has these words.
    #[track_caller]
    pub fn is_refused_by(&self, program: &str, words: &str) -> &Self {
        let beginning = format!("{program}: ");
        assert!(self.stderr.starts_with(&beginning), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        self.has_code(2).says_one_line().says(words)
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}
