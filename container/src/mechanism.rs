//! What a container is made of, so that each piece can be left out and its price be measured.
//!
//! A launch with fewer mechanisms goes through the same code as one with all of them: only these steps fall away. What
//! is no isolation stays: the first process that watches over the program, its death with the launcher, the closing
//! of inherited descriptors.

use std::fmt;
use std::str::FromStr;

/// A mechanism that a container can have or lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// A user namespace, with its maps.
    User,
    /// A mount namespace whose mounts are private.
    Mount,
    /// A host name of its own.
    Uts,
    /// System V IPC and message queues of its own.
    Ipc,
    /// Process ids of its own.
    Pid,
    /// A view of cgroups that begins at its own.
    CgroupNamespace,
    /// A network of its own.
    Net,
    /// Membership of the cgroups that hold its limits.
    Cgroup,
    /// Its root assembled from layers, but not yet its root.
    Overlay,
    /// /proc and /dev in that root.
    ProcDev,
    /// That root as its root, and nothing else of the host's in reach.
    Pivot,
    /// No capability left.
    Capabilities,
    /// The system-call filter.
    Seccomp,
}

impl Mechanism {
    /// All of them, in the order in which a start gets to them.
    pub const ALL: [Self; 13] = [
        Self::User,
        Self::Mount,
        Self::Uts,
        Self::Ipc,
        Self::Pid,
        Self::CgroupNamespace,
        Self::Net,
        Self::Cgroup,
        Self::Overlay,
        Self::ProcDev,
        Self::Pivot,
        Self::Capabilities,
        Self::Seccomp,
    ];

    /// Its name on a command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mount",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Pid => "pid",
            Self::CgroupNamespace => "cgroup-namespace",
            Self::Net => "net",
            Self::Cgroup => "cgroup",
            Self::Overlay => "overlay",
            Self::ProcDev => "proc-dev",
            Self::Pivot => "pivot",
            Self::Capabilities => "capabilities",
            Self::Seccomp => "seccomp",
        }
    }

    /// What it does, for a reader of a report.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::User => {
                "user namespace: the launcher writes its id maps, and root inside is nobody outside"
            }
            Self::Mount => {
                "mount namespace: a copy of the host's mounts, cut off from it by making them private"
            }
            Self::Uts => "UTS namespace: a host name of its own",
            Self::Ipc => "IPC namespace: System V IPC and message queues of its own",
            Self::Pid => "PID namespace: it sees no process but its own",
            Self::CgroupNamespace => "cgroup namespace: it doesn't see where its cgroups are",
            Self::Net => "network namespace: no network but a loopback of its own",
            Self::Cgroup => "the cgroups for its limits: made, joined, and removed at the end",
            Self::Overlay => "its root: a tmpfs, the layers attached, overlayfs mounted over them",
            Self::ProcDev => "/proc mounted, and devices bound, in its root",
            Self::Pivot => {
                "pivot_root into its root, the host's detached; its program is then run from overlayfs"
            }
            Self::Capabilities => "all capabilities dropped, in all five sets",
            Self::Seccomp => "the system-call filter, checked and compiled by the kernel",
        }
    }

    /// The mechanisms without which the kernel refuses this one. An ordinary user, who is `privileged` only inside a user
    /// namespace, needs that for almost all of them.
    pub const fn needs(self, privileged: bool) -> Mechanisms {
        let needs = match self {
            Self::Overlay => Mechanisms::of(&[Self::Mount]),
            // Without a PID namespace of its own, its /proc would show the host's processes.
            Self::ProcDev => Mechanisms::of(&[Self::Mount, Self::Pid, Self::Overlay]),
            Self::Pivot => Mechanisms::of(&[Self::Mount, Self::Overlay]),
            _ => Mechanisms::NONE,
        };
        match self {
            Self::User | Self::Cgroup | Self::Seccomp => needs,
            _ if privileged => needs,
            _ => needs.with(Self::User),
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of mechanisms; by default all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanisms(u16);

impl Mechanisms {
    /// No mechanism: a program started through the launcher, and not isolated.
    pub const NONE: Self = Self(0);
    /// All mechanisms: a container.
    pub const ALL: Self = Self::of(&Mechanism::ALL);

    /// The set of `members`.
    pub const fn of(members: &[Mechanism]) -> Self {
        let mut set = Self::NONE;
        let mut index = 0;
        while index < members.len() {
            set = set.with(members[index]);
            index += 1;
        }
        set
    }

    /// Whether `mechanism` is in it.
    pub const fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & mechanism.bit() != 0
    }

    /// It and `mechanism`.
    #[must_use]
    pub const fn with(self, mechanism: Mechanism) -> Self {
        Self(self.0 | mechanism.bit())
    }

    /// It without `mechanism`.
    #[must_use]
    pub const fn without(self, mechanism: Mechanism) -> Self {
        Self(self.0 & !mechanism.bit())
    }

    /// Its members, in the order of [`Mechanism::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Mechanism> {
        Mechanism::ALL
            .into_iter()
            .filter(move |mechanism| self.contains(*mechanism))
    }

    /// It and all that its members need.
    #[must_use]
    pub fn complete(self, privileged: bool) -> Self {
        // What a need needs is among the needs.
        self.iter().fold(self, |set, mechanism| {
            Self(set.0 | mechanism.needs(privileged).0)
        })
    }

    /// A member and something that it needs and that isn't here.
    pub(crate) fn lacking(self, privileged: bool) -> Option<(Mechanism, Mechanism)> {
        self.iter().find_map(|member| {
            let mut needs = member.needs(privileged).iter();
            let need = needs.find(|need| !self.contains(*need))?;
            Some((member, need))
        })
    }
}

impl Default for Mechanisms {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for Mechanisms {
    /// Its names with commas between them, as [`FromStr`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("none"),
            Self::ALL => f.write_str("all"),
            _ => {
                let names: Vec<_> = self.iter().map(Mechanism::name).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

/// A text that names no set of mechanisms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no mechanism {name:?}; give all, none, or some of {known}, separated by commas", known = known())]
pub struct UnknownMechanism {
    name: String,
}

fn known() -> String {
    Mechanism::ALL.map(Mechanism::name).join(", ")
}

impl FromStr for Mechanisms {
    type Err = UnknownMechanism;

    /// Reads `all`, `none`, or names with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => return Ok(Self::ALL),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        text.split(',').try_fold(Self::NONE, |set, name| {
            let mut known = Mechanism::ALL.into_iter();
            let mechanism = known.find(|mechanism| mechanism.name() == name);
            Ok(set.with(mechanism.ok_or_else(|| UnknownMechanism {
                name: name.to_owned(),
            })?))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_of_names_is_a_set() {
        let set: Mechanisms = "net,user".parse().unwrap();
        assert_eq!(set, Mechanisms::of(&[Mechanism::User, Mechanism::Net]));
        assert_eq!(set.to_string(), "user,net");
        assert_eq!("all".parse(), Ok(Mechanisms::default()));
        assert_eq!("none".parse(), Ok(Mechanisms::NONE));
        for text in ["", "net,", "Net", "net user", "all,net"] {
            let error = text.parse::<Mechanisms>().unwrap_err().to_string();
            assert!(error.contains("none, or some of user, mount"), "{error}");
        }
    }

    #[test]
    fn needs_have_what_they_need_themselves() {
        for privileged in [false, true] {
            for mechanism in Mechanism::ALL {
                let needs = mechanism.needs(privileged);
                assert_eq!(needs.complete(privileged), needs, "{mechanism}");
                assert!(!needs.contains(mechanism));
                let before = |need: Mechanism| (need as u8) < mechanism as u8;
                assert!(needs.iter().all(before), "{mechanism} comes too early");
            }
        }
    }

    #[test]
    fn only_an_ordinary_user_needs_a_user_namespace() {
        let with = |privileged| {
            let needing = Mechanism::ALL.into_iter();
            needing
                .filter(|one| one.needs(privileged).contains(Mechanism::User))
                .count()
        };
        assert_eq!((with(true), with(false)), (0, 10));
    }

    fn any_set() -> impl Strategy<Value = Mechanisms> {
        prop::sample::subsequence(Mechanism::ALL.to_vec(), 0..=13)
            .prop_map(|members| Mechanisms::of(&members))
    }

    proptest! {
        #[test]
        fn a_set_is_what_its_name_says(set in any_set()) {
            prop_assert_eq!(set.to_string().parse(), Ok(set));
            prop_assert_eq!(Mechanisms::of(&set.iter().collect::<Vec<_>>()), set);
        }

        #[test]
        fn a_complete_set_lacks_nothing(set in any_set(), privileged: bool) {
            let complete = set.complete(privileged);
            prop_assert_eq!(complete.lacking(privileged), None);
            prop_assert!(set.iter().all(|member| complete.contains(member)));
            prop_assert_eq!(set.lacking(privileged).is_none(), complete == set);
        }

        #[test]
        fn any_text_is_a_set_or_an_error(text: String) {
            if let Ok(set) = text.parse::<Mechanisms>() {
                prop_assert_eq!(set.to_string().parse(), Ok(set));
            }
        }
    }
}
