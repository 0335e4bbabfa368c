//! From a [`Config`] to the plan of the container's root: every source opened, every string made.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsString};
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::ttyname;

use super::error::LaunchError;
use crate::cgroup::{Version, View};
use crate::config::{Config, ConfigError, c_string};
use crate::isolation::id_map::IdMap;
use crate::isolation::root::plan::{
    Access, BindMount, CgroupView, Entry, Layer, PlaceKind, RootKind, RootPlan, Source,
    TerminalsPlan, Union,
};
use crate::mechanism::Mechanism;
use crate::sys::mount::{Reach, clone_mount};

/// Makes the plan of a root of `kind`, assembled in the directory `base` or else in a tmpfs.
pub fn make<'c>(
    config: &'c Config,
    kind: RootKind,
    base: Option<&Path>,
) -> Result<RootPlan<'c>, LaunchError> {
    let layers = &config.spec.layers;
    let access = if config.ids.is_host_root() {
        Access::ReadOnly
    } else {
        Access::ReadWrite
    };
    Ok(RootPlan {
        base: base.map(|path| open_base(path, config.ids)).transpose()?,
        layers: open_layers(config, kind)?,
        union: match kind {
            RootKind::Overlay => Union::Overlay {
                options: overlay_options(layers.len())?,
            },
            RootKind::Binds => Union::Binds {
                entries: entries(layers, config.spec.shows_cgroups)?,
            },
        },
        binds: open_binds(config)?,
        cgroups: cgroups(config)?,
        terminals: config
            .spec
            .terminals
            .then(|| terminals(config.ids))
            .transpose()?,
        proc_and_devices: config
            .spec
            .mechanisms
            .contains(Mechanism::ProcDev)
            .then_some(access),
    })
}

/// The cgroups that the container sees, if it is to see them.
fn cgroups(config: &Config) -> Result<Vec<CgroupView>, LaunchError> {
    let spec = &config.spec;
    if !spec.shows_cgroups {
        return Ok(Vec::new());
    }
    let views = View::of(&spec.cgroups)?;
    let plan = |view: View| {
        let directory = Path::new("sys/fs/cgroup").join(view.name);
        let (kind, options) = match view.version {
            Version::V1 => (c"cgroup", Some(c_string(view.controllers)?)),
            Version::V2 => (c"cgroup2", None),
        };
        Ok(CgroupView {
            kind,
            options,
            prepared: c_string(Path::new("u").join(&directory))?,
            place: c_string(Path::new("/").join(&directory))?,
        })
    };
    views.into_iter().map(plan).collect()
}

/// The plan for terminals. The group 5 owns terminals in nearly every distribution, as in docker's
/// containers.
fn terminals(ids: IdMap) -> Result<TerminalsPlan, ConfigError> {
    let group = if ids.changes_user() { ",gid=5" } else { "" };
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [input.as_fd(), output.as_fd(), error.as_fd()];
    let own = streams.into_iter().find_map(|stream| ttyname(stream).ok());
    Ok(TerminalsPlan {
        options: c_string(format!("newinstance,ptmxmode=0666,mode=0620{group}"))?,
        own: own.map(c_string).transpose()?,
    })
}

fn open_base<'c>(path: &Path, ids: IdMap) -> Result<Source<'c>, LaunchError> {
    let absolute = std::path::absolute(path).map_err(at(path))?;
    open(c_string(absolute)?.into(), ids, Reach::ThisMount)
}

fn open_layers(config: &Config, kind: RootKind) -> Result<Vec<Layer<'_>>, LaunchError> {
    // Overlayfs cannot show what is mounted below a layer, and refuses a layer with such mounts.
    let reach = match kind {
        RootKind::Overlay => Reach::ThisMount,
        RootKind::Binds => Reach::WithMountsBelow,
    };
    let paths = config.strings.layers.iter().enumerate();
    let layers = paths.map(|(index, path)| {
        Ok(Layer {
            source: open(path.into(), config.ids, reach)?,
            point: c_string(format!("l{index}"))?,
        })
    });
    layers.collect()
}

fn open_binds(config: &Config) -> Result<Vec<BindMount<'_>>, LaunchError> {
    let binds = config.binds.iter().map(|bind| {
        Ok(BindMount {
            source: open((&bind.source).into(), config.ids, Reach::WithMountsBelow)?,
            parents: &bind.parents,
            target: &bind.target,
            kind: bind.kind,
            access: bind.access,
        })
    });
    binds.collect()
}

/// Opens a source, if the first process might not get to it because it is another user. Otherwise
/// the first process opens the source.
fn open(path: Cow<'_, CStr>, ids: IdMap, reach: Reach) -> Result<Source<'_>, LaunchError> {
    let mount = if ids.changes_user() {
        let failed = |errno: Errno| {
            let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
            at(path)(errno.into())
        };
        Some(clone_mount(&path, reach).map_err(failed)?)
    } else {
        None
    };
    Ok(Source { path, mount })
}

/// Overlayfs's options for the layers `l0` to `l{layers - 1}`. Overlayfs takes the highest layer
/// first. In user namespaces overlayfs needs `userxattr`.
fn overlay_options(layers: usize) -> Result<CString, ConfigError> {
    let names: Vec<String> = (0..layers).rev().map(|index| format!("l{index}")).collect();
    c_string(format!(
        "lowerdir={},upperdir=u,workdir=w,userxattr",
        names.join(":")
    ))
}

/// The top-level entries of all layers but /proc, /dev and, with `has_own_sys`, /sys, which the root
/// has of its own. Of entries of the same name only the highest layer's is there.
fn entries(layers: &[PathBuf], has_own_sys: bool) -> Result<Vec<Entry>, LaunchError> {
    let mut seen: Vec<OsString> = vec!["proc".into(), "dev".into()];
    seen.extend(has_own_sys.then(|| "sys".into()));
    let mut entries = Vec::new();
    for (index, layer) in layers.iter().enumerate().rev() {
        for entry in fs::read_dir(layer).map_err(at(layer))? {
            let entry = entry.map_err(at(layer))?;
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
    let path = entry.path();
    let kind = entry.file_type().map_err(at(&path))?;
    let place = c_string(Path::new("u").join(entry.file_name()))?;
    if kind.is_symlink() {
        let content = fs::read_link(&path).map_err(at(&path))?;
        return Ok(Entry::Link {
            content: c_string(content)?,
            at: place,
        });
    }
    let mut from = OsString::from(format!("l{layer}/"));
    from.push(entry.file_name());
    Ok(Entry::Bind {
        from: c_string(from)?,
        to: place,
        kind: PlaceKind::of(kind),
    })
}

/// For `map_err`: `path` could not be opened.
fn at(path: &Path) -> impl Fn(io::Error) -> LaunchError {
    move |source| LaunchError::Open {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlayfs_gets_the_highest_layer_first() {
        let options = overlay_options(3).unwrap();
        assert_eq!(
            options.as_c_str(),
            c"lowerdir=l2:l1:l0,upperdir=u,workdir=w,userxattr"
        );
    }

    #[test]
    fn an_entry_of_a_higher_layer_hides_that_of_a_lower_one() {
        let (low, high) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(low.path().join("etc")).unwrap();
        fs::write(low.path().join("only-low"), "").unwrap();
        fs::create_dir(low.path().join("proc")).unwrap();
        std::os::unix::fs::symlink("/x", high.path().join("etc")).unwrap();
        let layers = [low.path().to_owned(), high.path().to_owned()];
        let entries = entries(&layers, false).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(matches!(&entries[0], Entry::Link { at, .. } if at.as_c_str() == c"u/etc"));
        assert!(
            matches!(&entries[1], Entry::Bind { from, .. } if from.as_c_str() == c"l0/only-low")
        );
    }
}
