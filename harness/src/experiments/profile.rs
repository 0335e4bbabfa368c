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
