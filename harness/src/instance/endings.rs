//! How a runtime tells the ending of an instance's program. Runtimes differ: one code may mean two
//! endings, and a program that is process 1 of its PID namespace doesn't end by signals that it has
//! left at their default (`pid_namespaces(7)`).

use crate::instance::reap::Ending;

/// How the command of an instance tells the ending of its program. The default is that of a shell:
/// the program's own exit code, or 128 + the number of the signal that ended the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Endings {
    /// The exit codes that mean another ending, too.
    pub ambiguous: &'static [AmbiguousCode],
    /// Which process is process 1 of the instance's PID namespace.
    pub process_1: Process1,
}

/// An exit code that means the program's own exit code and another ending alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmbiguousCode {
    /// The exit code.
    pub code: u8,
    /// What the code means as well. The subject of the sentence is the runtime.
    pub meaning: &'static str,
}

/// Process 1 of an instance's PID namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Process1 {
    /// A process of the runtime's or of a guest's kernel, or the instance ends by signals itself.
    #[default]
    Other,
    /// The program.
    Program,
}

impl AmbiguousCode {
    /// The exit code `code`, which has this `meaning`, too.
    pub const fn new(code: u8, meaning: &'static str) -> Self {
        Self { code, meaning }
    }
}

impl Endings {
    /// Of a runtime whose program is process 1, and that tells endings as a shell does.
    pub const OF_PROCESS_1: Self = Self {
        ambiguous: &[],
        process_1: Process1::Program,
    };

    /// What the exit code `code` means beside the program's own exit code; `None` if it has one
    /// meaning.
    pub fn other_meaning(&self, code: i32) -> Option<&'static str> {
        let mut known = self.ambiguous.iter();
        let found = known.find(|known| i32::from(known.code) == code)?;
        Some(found.meaning)
    }

    /// `ending` in words, for a message.
    pub fn describe(&self, ending: Ending) -> String {
        let other = match ending {
            Ending::Code(code) => self.other_meaning(code),
            Ending::Signal(_) => None,
        };
        other.map_or_else(|| ending.to_string(), |other| format!("{ending} ({other})"))
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn a_code_with_two_meanings_is_told_with_both() {
        const CODES: [AmbiguousCode; 1] = [AmbiguousCode::new(255, "it tells every signal so")];
        let endings = Endings {
            ambiguous: &CODES,
            ..Endings::default()
        };
        let describe = |ending| endings.describe(ending);
        assert_eq!(
            describe(Ending::Code(255)),
            "exit code 255 (it tells every signal so)"
        );
        assert_eq!(describe(Ending::Code(3)), "exit code 3");
        assert_eq!(describe(Ending::Signal(Signal::SIGKILL)), "SIGKILL");
        assert_eq!(Endings::OF_PROCESS_1.other_meaning(255), None);
    }
}
