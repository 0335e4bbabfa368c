//! From a checked [`Config`] to the [`Plan`] that the child follows: every string made, every source opened.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

use crate::config::{Config, ConfigError, Spec, c_string};
use crate::isolation::id_map::IdMap;
use crate::isolation::root::{BindMount, Entry, Layer, RootPlan, Source, Union};
use crate::launch::LaunchError;
use crate::launch::child::Plan;
use crate::mechanism::Mechanism;
use crate::sys::mount::clone_mount;
use crate::sys::process::{ExecList, Stack};

/// The host name of a container that was given none.
const HOSTNAME: &str = "isobench";

/// Which kind of root a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// Overlayfs over the layers.
    Overlay,
    /// The layers' top-level entries, bound read-only into a writable directory. Of two layers with an entry
    /// of the same name, the higher one's is seen.
    Binds,
}

/// Makes the plan for a container whose root is of `kind`.
pub fn make(
    config: &Config,
    kind: RootKind,
    ids: IdMap,
    base: Option<&Path>,
) -> Result<Plan, LaunchError> {
    let spec = config.spec();
    let program = c_string(&spec.program)?;
    let names = std::iter::once(spec.program.as_os_str())
        .chain(spec.arguments.iter().map(OsString::as_os_str));
    let working_directory = spec.working_directory.as_deref().unwrap_or(Path::new("/"));
    let hostname = spec.hostname.as_deref().unwrap_or(OsStr::new(HOSTNAME));
    Ok(Plan {
        change_user: ids.changes_user(),
        mechanisms: spec.mechanisms,
        joins_cgroups: false,
        sets_up_network: spec.network.is_set_up(),
        late_namespaces: late_namespaces(spec),
        root: root(spec, kind, ids, base)?,
        hostname: c_string(hostname)?,
        working_directory: c_string(working_directory)?,
        user: spec.user.clone(),
        program,
        arguments: ExecList::new(names.map(c_string).collect::<Result<_, _>>()?),
        environment: ExecList::new(
            spec.environment
                .iter()
                .map(c_string)
                .collect::<Result<_, _>>()?,
        ),
        stack: Stack::new(),
    })
}

fn late_namespaces(spec: &Spec) -> CloneFlags {
    if spec.cgroups.is_empty() || !spec.mechanisms.contains(Mechanism::CgroupNamespace) {
        CloneFlags::empty()
    } else {
        CloneFlags::CLONE_NEWCGROUP
    }
}

fn root(
    spec: &Spec,
    kind: RootKind,
    ids: IdMap,
    base: Option<&Path>,
) -> Result<RootPlan, LaunchError> {
    let layers = spec.layers.iter().enumerate().map(|(index, path)| {
        Ok(Layer {
            // Overlayfs can't take in what is mounted below a layer, and doesn't show it.
            source: open(path, ids, kind == RootKind::Binds)?,
            point: c_string(format!("l{index}"))?,
        })
    });
    let binds = spec.binds.iter().map(|bind| {
        Ok(BindMount {
            source: open(&bind.source, ids, true)?,
            parents: parents(&bind.target)?,
            target: c_string(&bind.target)?,
            directory: bind.source.is_dir(),
            read_only: bind.read_only,
        })
    });
    Ok(RootPlan {
        base: base.map(|path| open(path, ids, false)).transpose()?,
        layers: layers.collect::<Result<_, LaunchError>>()?,
        union: match kind {
            RootKind::Overlay => Union::Overlay {
                options: overlay_options(spec.layers.len())?,
            },
            RootKind::Binds => Union::Binds {
                entries: entries(&spec.layers)?,
            },
        },
        binds: binds.collect::<Result<_, LaunchError>>()?,
        proc_and_devices: spec.mechanisms.contains(Mechanism::ProcDev),
        proc_read_only: ids.is_host_root(),
    })
}

/// A source; opened here only if the child, being another user, might not get to it.
fn open(path: &Path, ids: IdMap, recursive: bool) -> Result<Source, LaunchError> {
    // The child opens it from another working directory.
    let absolute = std::path::absolute(path).map_err(|source| LaunchError::Open {
        path: path.to_owned(),
        source,
    })?;
    let name = c_string(absolute)?;
    let mount = if ids.changes_user() {
        let mount = clone_mount(&name, recursive).map_err(|errno| LaunchError::Open {
            path: path.to_owned(),
            source: errno.into(),
        })?;
        Some(mount)
    } else {
        None
    };
    Ok(Source { path: name, mount })
}

/// Overlayfs's options for layers `l0` to the highest; it wants the highest first. `userxattr` is for user namespaces.
fn overlay_options(layers: usize) -> Result<CString, ConfigError> {
    let names: Vec<String> = (0..layers).rev().map(|index| format!("l{index}")).collect();
    c_string(format!(
        "lowerdir={},upperdir=u,workdir=w,userxattr",
        names.join(":")
    ))
}

/// The directories on the way to `target`, outermost first, without the root.
fn parents(target: &Path) -> Result<Vec<CString>, ConfigError> {
    let mut parents: Vec<&Path> = target
        .ancestors()
        .skip(1)
        .filter(|path| path.parent().is_some())
        .collect();
    parents.reverse();
    parents.into_iter().map(c_string).collect()
}

/// The top-level entries of all layers, a higher layer's before a lower one's of the same name; /proc and
/// /dev are ours.
fn entries(layers: &[PathBuf]) -> Result<Vec<Entry>, LaunchError> {
    let mut seen: Vec<OsString> = vec!["proc".into(), "dev".into()];
    let mut entries = Vec::new();
    for (index, layer) in layers.iter().enumerate().rev() {
        let failed = |source| LaunchError::Open {
            path: layer.clone(),
            source,
        };
        for entry in fs::read_dir(layer).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if seen.contains(&name) {
                continue;
            }
            entries.push(plan_entry(&entry, index)?);
            seen.push(name);
        }
    }
    Ok(entries)
}

fn plan_entry(entry: &fs::DirEntry, layer: usize) -> Result<Entry, LaunchError> {
    let failed = |source| LaunchError::Open {
        path: entry.path(),
        source,
    };
    let kind = entry.file_type().map_err(failed)?;
    let at = c_string(Path::new("u").join(entry.file_name()))?;
    if kind.is_symlink() {
        let content = fs::read_link(entry.path()).map_err(failed)?;
        return Ok(Entry::Link {
            content: c_string(content)?,
            at,
        });
    }
    let mut from = OsString::from(format!("l{layer}/"));
    from.push(OsStr::from_bytes(entry.file_name().as_bytes()));
    Ok(Entry::Bind {
        from: c_string(from)?,
        to: at,
        directory: kind.is_dir(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_layer_comes_first() {
        let options = overlay_options(3).unwrap();
        assert_eq!(
            options.as_c_str(),
            c"lowerdir=l2:l1:l0,upperdir=u,workdir=w,userxattr"
        );
    }

    #[test]
    fn parents_are_made_from_the_outermost_on() {
        assert_eq!(
            parents(Path::new("/a/b/c")).unwrap(),
            [c"/a".to_owned(), c"/a/b".to_owned()]
        );
        assert!(parents(Path::new("/a")).unwrap().is_empty());
    }

    #[test]
    fn a_higher_layer_hides_a_lower_ones_entry() {
        let (low, high) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(low.path().join("etc")).unwrap();
        fs::write(low.path().join("only-low"), "").unwrap();
        fs::create_dir(low.path().join("proc")).unwrap();
        std::os::unix::fs::symlink("/x", high.path().join("etc")).unwrap();
        let layers = [low.path().to_owned(), high.path().to_owned()];
        let entries = entries(&layers).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(matches!(&entries[0], Entry::Link { at, .. } if at.as_c_str() == c"u/etc"));
        assert!(
            matches!(&entries[1], Entry::Bind { from, .. } if from.as_c_str() == c"l0/only-low")
        );
    }
}
