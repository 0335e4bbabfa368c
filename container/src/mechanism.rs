//! The mechanisms that a container is made of. A container can be started without some of them, so
//! that each mechanism's price can be measured.
//!
//! A launch with fewer mechanisms runs the same code as a launch with all of them, without the
//! steps of the mechanisms left out. What does not isolate always stays: the first process that
//! watches over the program, its death with the launcher, and the closing of inherited descriptors.

use std::fmt;
use std::str::FromStr;

use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::privilege::Privilege;

/// A mechanism that a container can have or lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Mechanism {
    /// A user namespace, with its maps of ids.
    User,
    /// A mount namespace whose mounts are private.
    Mount,
    /// A UTS namespace: a host name of the container's own.
    Uts,
    /// An IPC namespace: System V IPC and message queues of the container's own.
    Ipc,
    /// A PID namespace: process ids of the container's own.
    Pid,
    /// A cgroup namespace: the container sees its own cgroups as the roots.
    CgroupNamespace,
    /// A network namespace.
    Net,
    /// The cgroups that hold the container's limits.
    Cgroup,
    /// A root file system assembled from layers. The container's root is still the host's.
    Overlay,
    /// /proc and /dev in the assembled root.
    ProcDev,
    /// The assembled root becomes the container's root, and the host's goes out of reach.
    Pivot,
    /// The loss of all capabilities.
    Capabilities,
    /// The system-call filter.
    Seccomp,
}

impl Mechanism {
    /// All mechanisms, in the order in which a start gets to them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The mechanism's name on a command line and in results.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What the mechanism does, for a reader of a report.
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

    /// The mechanisms without which the kernel refuses this one to a launcher with `privilege`.
    /// An ordinary user needs a user namespace for almost all of them.
    pub const fn needs(self, privilege: Privilege) -> Mechanisms {
        let needs = match self {
            Self::Overlay => Mechanisms::of(&[Self::Mount]),
            // Without a PID namespace, /proc would show the host's processes.
            Self::ProcDev => Mechanisms::of(&[Self::Mount, Self::Pid, Self::Overlay]),
            Self::Pivot => Mechanisms::of(&[Self::Mount, Self::Overlay]),
            _ => Mechanisms::NONE,
        };
        match (self, privilege) {
            (Self::User | Self::Cgroup | Self::Seccomp, _) | (_, Privilege::Root) => needs,
            (_, Privilege::Ordinary) => needs.with(Self::User),
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

/// A set of mechanisms. The default is the set of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanisms(u16);

impl Mechanisms {
    /// No mechanism: the program is started by the launcher and is not isolated.
    pub const NONE: Self = Self(0);
    /// All mechanisms: a container.
    pub const ALL: Self = Self::of(Mechanism::ALL);

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

    /// Whether `mechanism` is in the set.
    pub const fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & mechanism.bit() != 0
    }

    /// The set with `mechanism` added.
    #[must_use]
    pub const fn with(self, mechanism: Mechanism) -> Self {
        Self(self.0 | mechanism.bit())
    }

    /// The set with `mechanism` taken out.
    #[must_use]
    pub const fn without(self, mechanism: Mechanism) -> Self {
        Self(self.0 & !mechanism.bit())
    }

    /// The members of the set, in the order of [`Mechanism::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Mechanism> {
        Mechanism::ALL
            .iter()
            .copied()
            .filter(move |mechanism| self.contains(*mechanism))
    }

    /// The set with every mechanism added that its members need.
    #[must_use]
    pub fn complete(self, privilege: Privilege) -> Self {
        // `needs` names indirect needs too, so one round is enough.
        self.iter().fold(self, |set, mechanism| {
            Self(set.0 | mechanism.needs(privilege).0)
        })
    }

    /// A member of the set, and a mechanism that this member needs and that the set lacks.
    pub(crate) fn lacking(self, privilege: Privilege) -> Option<(Mechanism, Mechanism)> {
        self.iter().find_map(|member| {
            let mut needs = member.needs(privilege).iter();
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
    /// Writes `all`, `none`, or names with commas between them, as [`FromStr`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("none"),
            Self::ALL => f.write_str("all"),
            _ => f.write_str(&join(self.iter(), ",")),
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
    join(Mechanism::ALL.iter().copied(), ", ")
}

fn join(mechanisms: impl Iterator<Item = Mechanism>, separator: &str) -> String {
    let names: Vec<_> = mechanisms.map(Mechanism::name).collect();
    names.join(separator)
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
            let mechanism: Mechanism = name.parse().map_err(|_| UnknownMechanism {
                name: name.to_owned(),
            })?;
            Ok(set.with(mechanism))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRIVILEGES: [Privilege; 2] = [Privilege::Root, Privilege::Ordinary];

    #[test]
    fn a_list_of_names_is_a_set() {
        let set: Mechanisms = "net,user".parse().unwrap();
        assert_eq!(set, Mechanisms::of(&[Mechanism::User, Mechanism::Net]));
        assert_eq!(set.to_string(), "user,net");
        assert_eq!("all".parse(), Ok(Mechanisms::default()));
        assert_eq!("none".parse(), Ok(Mechanisms::NONE));
    }

    #[test]
    fn a_text_that_is_no_list_of_names_is_refused() {
        for text in ["", "net,", "Net", "net user", "all,net"] {
            let error = text.parse::<Mechanisms>().unwrap_err().to_string();
            assert!(error.contains("none, or some of user, mount"), "{error}");
        }
    }

    #[test]
    fn names_of_results_files_stay() {
        let names = "user,mount,uts,ipc,pid,cgroup-namespace,net,cgroup,overlay,proc-dev,pivot,\
                     capabilities,seccomp";
        assert_eq!(join(Mechanism::ALL.iter().copied(), ","), names);
    }

    #[test]
    fn the_needs_of_a_mechanism_include_what_they_need_themselves() {
        for privilege in PRIVILEGES {
            for mechanism in Mechanism::ALL {
                let needs = mechanism.needs(privilege);
                assert_eq!(needs.complete(privilege), needs, "{mechanism}");
                assert!(!needs.contains(*mechanism), "{mechanism} needs itself");
                let before = |need: Mechanism| (need as u8) < *mechanism as u8;
                assert!(needs.iter().all(before), "{mechanism} comes too early");
            }
        }
    }

    #[test]
    fn only_an_ordinary_user_needs_a_user_namespace() {
        let needing = PRIVILEGES.map(|privilege| {
            let needs_user = |one: &&Mechanism| one.needs(privilege).contains(Mechanism::User);
            Mechanism::ALL.iter().filter(needs_user).count()
        });
        assert_eq!(needing, [0, 10]);
    }

    fn any_set() -> impl Strategy<Value = Mechanisms> {
        let all = Mechanism::ALL;
        prop::sample::subsequence(all, 0..=all.len()).prop_map(|members| Mechanisms::of(&members))
    }

    proptest! {
        #[test]
        fn a_set_is_read_as_it_is_written(set in any_set()) {
            prop_assert_eq!(set.to_string().parse(), Ok(set));
            prop_assert_eq!(Mechanisms::of(&set.iter().collect::<Vec<_>>()), set);
        }

        #[test]
        fn a_complete_set_lacks_nothing(
            set in any_set(),
            privilege in prop::sample::select(&PRIVILEGES[..]),
        ) {
            let complete = set.complete(privilege);
            prop_assert_eq!(complete.lacking(privilege), None);
            prop_assert!(set.iter().all(|member| complete.contains(member)));
            prop_assert_eq!(set.lacking(privilege).is_none(), complete == set);
        }

        #[test]
        fn any_text_is_a_set_or_an_error(text: String) {
            if let Ok(set) = text.parse::<Mechanisms>() {
                prop_assert_eq!(set.to_string().parse(), Ok(set));
            }
        }
    }
}
