//! How much a run measures.

/// How much a run measures, and how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Rough figures: the ladder in under 30 seconds, with peers in a minute
    Quick,
    /// Figures worth quoting: the ladder in under 5 minutes, with peers in under 10
    Standard,
    /// Narrow intervals: the ladder in some ten minutes
    Thorough,
}

impl Profile {
    /// The profile's name in results files.
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
    /// The same value for every profile.
    pub const fn same(value: T) -> Self {
        Self {
            quick: value,
            standard: value,
            thorough: value,
        }
    }

    /// The value of a run of `profile`.
    pub const fn of(&self, profile: Profile) -> T {
        match profile {
            Profile::Quick => self.quick,
            Profile::Standard => self.standard,
            Profile::Thorough => self.thorough,
        }
    }
}
