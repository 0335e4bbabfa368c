//! How thorough a run is.

/// How much time a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// The ladder in under 30 seconds, a minute with peers: does it work, and roughly what comes out?
    Quick,
    /// The ladder in under 5 minutes, in under 10 with peers: figures worth quoting.
    Standard,
    /// The ladder in some ten minutes: narrow intervals.
    Thorough,
}

impl Profile {
    /// The name that stands in results files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Thorough => "thorough",
        }
    }
}

/// A value for each profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByProfile<T> {
    /// The value of a quick run.
    pub quick: T,
    /// The value of a standard run.
    pub standard: T,
    /// The value of a thorough run.
    pub thorough: T,
}

impl<T: Copy> ByProfile<T> {
    /// The value of a run of `profile`.
    pub const fn of(&self, profile: Profile) -> T {
        match profile {
            Profile::Quick => self.quick,
            Profile::Standard => self.standard,
            Profile::Thorough => self.thorough,
        }
    }
}
