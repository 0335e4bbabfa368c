//! A [`Spec`] that is checked, with everything that the check has found out.

use std::path::Path;

use super::bind::CheckedBind;
use super::error::ConfigError;
use super::inside::check_inside;
use super::spec::Spec;
use super::strings::Strings;
use crate::cgroup::{BlockDevice, Direction, Limit};
use crate::isolation::id_map::IdMap;

use crate::mechanism::Mechanism;
use crate::privilege::Privilege;
use crate::sys::socket::MAX_DESCRIPTORS;

/// A checked [`Spec`].
#[derive(Debug, Clone)]
pub struct Config {
    /// What was checked.
    pub(crate) spec: Spec,
    /// The texts of the spec as C strings.
    pub(crate) strings: Strings,
    /// The binds of the spec.
    pub(crate) binds: Vec<CheckedBind>,
    /// The limits of the spec, with the devices found.
    pub(crate) limits: Vec<Limit>,
    /// The ids that the container has on the host.
    pub(crate) ids: IdMap,
}

impl Config {
    /// Checks `spec`. The program itself is looked up by the kernel, in the container.
    ///
    /// # Errors
    /// Something in the spec is wrong, with the path or text at fault.
    pub fn new(spec: Spec) -> Result<Self, ConfigError> {
        let privilege = Privilege::of_this_process();
        check_mechanisms(&spec, privilege)?;
        for layer in &spec.layers {
            check_directory("layer", layer)?;
        }
        if let Some(scratch) = &spec.scratch {
            check_directory("scratch directory", scratch)?;
        }
        let binds = spec.binds.iter().map(CheckedBind::new);
        let binds = binds.collect::<Result<_, _>>()?;
        check_inside("program", &spec.program)?;
        if let Some(directory) = &spec.working_directory {
            check_inside("working directory", directory)?;
        }
        check_user(&spec)?;
        check_cgroups(&spec)?;
        let ids = if spec.mechanisms.contains(Mechanism::User) {
            IdMap::of_user_namespace(privilege)
        } else {
            IdMap::Host
        };
        Ok(Self {
            strings: Strings::of(&spec)?,
            binds,
            limits: limits(&spec)?,
            ids,
            spec,
        })
    }
}

fn check_mechanisms(spec: &Spec, privilege: Privilege) -> Result<(), ConfigError> {
    let mechanisms = spec.mechanisms;
    if let Some((mechanism, need)) = mechanisms.lacking(privilege) {
        return Err(ConfigError::LacksMechanism { mechanism, need });
    }
    let given = [
        (!spec.layers.is_empty(), "layer", Mechanism::Overlay),
        (
            spec.scratch.is_some(),
            "scratch directory",
            Mechanism::Overlay,
        ),
        (spec.terminals, "terminal", Mechanism::ProcDev),
        (
            spec.shows_cgroups,
            "view of cgroups",
            Mechanism::CgroupNamespace,
        ),
        (spec.shows_cgroups, "view of cgroups", Mechanism::Pivot),
        (!spec.binds.is_empty(), "bind", Mechanism::Pivot),
        (spec.hostname.is_some(), "host name", Mechanism::Uts),
        (spec.user.is_some(), "user", Mechanism::User),
        (!spec.cgroups.is_empty(), "cgroup", Mechanism::Cgroup),
        (spec.network.is_set_up(), "network", Mechanism::Net),
    ];
    for (is_given, what, mechanism) in given {
        if is_given && !mechanisms.contains(mechanism) {
            return Err(ConfigError::UselessWithout { what, mechanism });
        }
    }
    if spec.layers.is_empty() && mechanisms.contains(Mechanism::Overlay) {
        return Err(ConfigError::NoLayer);
    }
    Ok(())
}

fn check_directory(role: &'static str, path: &Path) -> Result<(), ConfigError> {
    let metadata = std::fs::metadata(path).map_err(|source| ConfigError::Unusable {
        role,
        path: path.to_owned(),
        source,
    })?;
    if metadata.is_dir() {
        Ok(())
    } else {
        Err(ConfigError::NotADirectory {
            role,
            path: path.to_owned(),
        })
    }
}

fn check_user(spec: &Spec) -> Result<(), ConfigError> {
    match &spec.user {
        Some(user) if user.ids().any(|id| id == u32::MAX) => {
            Err(ConfigError::NoSuchId { user: user.clone() })
        }
        _ => Ok(()),
    }
}

fn check_cgroups(spec: &Spec) -> Result<(), ConfigError> {
    let count = spec.cgroups.len();
    if count > MAX_DESCRIPTORS {
        return Err(ConfigError::TooManyCgroups { count });
    }
    let is_limited = spec.memory.is_some()
        || spec.pids.is_some()
        || spec.cpus.is_some()
        || !spec.io_read.is_empty()
        || !spec.io_write.is_empty();
    if count == 0 && (is_limited || spec.usage) {
        return Err(ConfigError::NoCgroup);
    }
    Ok(())
}

/// The limits that `spec` asks for.
fn limits(spec: &Spec) -> Result<Vec<Limit>, ConfigError> {
    let mut limits: Vec<Limit> = Vec::new();
    limits.extend(spec.memory.map(Limit::Memory));
    limits.extend(spec.pids.map(Limit::Pids));
    limits.extend(spec.cpus.map(Limit::Cpus));
    for (rates, direction) in [
        (&spec.io_read, Direction::Read),
        (&spec.io_write, Direction::Write),
    ] {
        for limit in rates {
            let device = BlockDevice::behind(&limit.path)?;
            limits.push(Limit::Io(device, direction, limit.rate));
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use bytesize::ByteSize;

    use super::*;
    use crate::user::User;

    fn spec() -> Spec {
        Spec {
            layers: vec!["/".into()],
            program: "/bin/true".into(),
            ..Spec::default()
        }
    }

    #[test]
    fn a_layer_and_a_program_are_enough() {
        assert!(Config::new(spec()).is_ok());
    }

    #[test]
    fn a_spec_with_one_thing_wrong_is_refused() {
        let wrong: [fn(&mut Spec); 19] = [
            |spec| spec.layers = vec![],
            |spec| spec.layers = vec!["/no/such".into()],
            |spec| spec.layers = vec!["/proc/version".into()],
            |spec| spec.scratch = Some("/no/such".into()),
            |spec| spec.program = "bin/true".into(),
            |spec| spec.program = "/../true".into(),
            |spec| spec.binds = vec!["/no/such:/x".parse().unwrap()],
            |spec| spec.binds = vec!["/:x".parse().unwrap()],
            |spec| spec.environment = vec!["A".into()],
            |spec| spec.environment = vec!["=A".into()],
            |spec| spec.environment = vec!["A=\0".into()],
            |spec| spec.hostname = Some("x".repeat(65).into()),
            |spec| spec.memory = Some(ByteSize::mib(1)),
            |spec| spec.cpus = "1".parse().ok(),
            |spec| spec.io_read = vec!["/:1MiB".parse().unwrap()],
            |spec| spec.usage = true,
            |spec| {
                spec.cgroups = vec!["/x".into()];
                spec.io_write = vec!["/proc:1MiB".parse().unwrap()];
            },
            |spec| spec.cgroups = vec!["/x".into(); MAX_DESCRIPTORS + 1],
            |spec| {
                spec.user = Some(User {
                    uid: u32::MAX,
                    ..User::default()
                });
            },
        ];
        for spoil in wrong {
            let mut spec = spec();
            spoil(&mut spec);
            assert!(Config::new(spec.clone()).is_err(), "{spec:?}");
        }
    }
}
