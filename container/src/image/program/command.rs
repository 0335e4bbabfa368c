//! The program that a container of an image runs. It is found as other runtimes find it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use oci_spec::image::Config;

use super::account::{self, Account};
use crate::image::error::ImageError;
use crate::image::layer::path::SafePath;
use crate::image::store::directory::HeldLayers;
use crate::image::store::record::Image;
use crate::image::view::lookup::View;
use crate::isolation::id_map::IdMap;
use crate::user::User;

/// The directories of programs, for an image whose environment has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program that a container of an image is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program's path in the image.
    pub path: PathBuf,
    /// The program's own name, as it was typed or as the image has it: its argument 0.
    pub name: OsString,
    /// The program's arguments, without its name.
    pub arguments: Vec<OsString>,
    /// The program's whole environment, as `KEY=VALUE`.
    pub environment: Vec<OsString>,
    /// The directory in which the program starts.
    pub working_directory: PathBuf,
    /// The user that the program runs as.
    pub user: User,
}

/// The program that `command` means in `image`; for an empty command, the image's own program.
/// Variables of `environment` take precedence over those of the image.
///
/// # Errors
/// The image has no such program, or the program cannot be run as the image says.
pub fn program(
    image: &Image,
    layers: &HeldLayers,
    ids: IdMap,
    command: &[OsString],
    environment: &[OsString],
) -> Result<Program, ImageError> {
    let config = image.config.clone().unwrap_or_default();
    let unreadable = |errno: Errno| ImageError::Damaged {
        name: image.name.clone(),
        what: format!("its layers cannot be read: {errno}"),
    };
    let view = View::open(layers.paths.iter().map(PathBuf::as_path)).map_err(unreadable)?;
    let account = account(image, &view, &config, ids)?;
    let environment = merge(&config, environment, account.home.as_deref());
    let working_directory = working_directory(image, &view, &config)?;
    let command = if command.is_empty() {
        own_command(&config)
    } else {
        command.to_vec()
    };
    let Some((name, arguments)) = command.split_first() else {
        return Err(ImageError::NoProgram {
            name: image.name.clone(),
        });
    };
    let path = find(image, &view, name, &environment, &working_directory)?;
    Ok(Program {
        path,
        name: name.clone(),
        arguments: arguments.to_vec(),
        environment,
        working_directory,
        user: account.user,
    })
}

/// The command that the image itself names.
fn own_command(config: &Config) -> Vec<OsString> {
    let parts = [config.entrypoint(), config.cmd()];
    let parts = parts.into_iter().flatten().flatten();
    parts.map(OsString::from).collect()
}

/// The account that the image's programs run as.
fn account(image: &Image, view: &View, config: &Config, ids: IdMap) -> Result<Account, ImageError> {
    let text = config.user().as_deref().unwrap_or_default();
    let refused = |why| ImageError::User {
        name: image.name.clone(),
        user: text.to_owned(),
        why,
    };
    let found = account::find(view, text);
    let found = found.map_err(|_| refused("and its /etc/passwd cannot be read"))?;
    let mut account = found.map_err(refused)?;
    if !ids.changes_user() {
        if (account.user.uid, account.user.gid) != (0, 0) {
            return Err(refused(
                "but only root can start a container with more users than 0",
            ));
        }
        account.user.groups.clear();
    }
    let is_unmapped = |id: u32| ids.on_host(id.into()).is_none();
    if account.user.ids().any(is_unmapped) {
        return Err(refused(
            "but a container has no ids above 65535; choose a smaller one",
        ));
    }
    Ok(account)
}

/// The entries of the image's environment that are a variable and its value, and those that lack a
/// value. Docker leaves the latter out of a container's environment.
pub fn variables(config: &Config) -> (Vec<&str>, Vec<&str>) {
    let entries = config.env().iter().flatten().map(String::as_str);
    entries.partition(|entry| entry.contains('='))
}

/// What every program expects in its environment, then the image's environment, then `own`. The
/// last variable of a name counts.
fn merge(config: &Config, own: &[OsString], home: Option<&str>) -> Vec<OsString> {
    let mut merged: Vec<OsString> = Vec::new();
    let expected = [
        format!("PATH={PATH}"),
        format!("HOME={}", home.unwrap_or("/")),
    ];
    let (of_image, _) = variables(config);
    let of_image = of_image.into_iter().map(OsString::from);
    let all = expected.into_iter().map(OsString::from).chain(of_image);
    for variable in all.chain(own.iter().cloned()) {
        merged.retain(|earlier| key(earlier) != key(&variable));
        merged.push(variable);
    }
    merged
}

/// The name of a variable.
fn key(variable: &OsStr) -> &[u8] {
    let bytes = variable.as_bytes();
    bytes.split(|byte| *byte == b'=').next().unwrap_or(bytes)
}

/// The directory in which the image's programs start. If no layer has it, the import has made it.
fn working_directory(image: &Image, view: &View, config: &Config) -> Result<PathBuf, ImageError> {
    let text = config.working_dir().as_deref().unwrap_or_default();
    let refused = |why| ImageError::WorkingDirectory {
        name: image.name.clone(),
        directory: text.to_owned(),
        why,
    };
    if !text.is_empty() && !text.starts_with('/') {
        return Err(refused("no absolute path; let its builder write one"));
    }
    let missing = "no directory of the image; import it again, or name another";
    // Engines take `..` back before they follow links.
    let path = SafePath::parse(text.as_bytes()).map_err(|_| refused(missing))?;
    let directory = Path::new("/").join(path.as_path());
    let found = view.find(&directory).ok().flatten();
    if path.is_root() || found.is_some_and(|found| found.is_directory()) {
        return Ok(directory);
    }
    Err(refused(missing))
}

/// The path of the program `name`. A name without a slash is looked up along PATH.
fn find(
    image: &Image,
    view: &View,
    name: &OsStr,
    environment: &[OsString],
    working_directory: &Path,
) -> Result<PathBuf, ImageError> {
    let mut variables = environment.iter().filter_map(|variable| variable.to_str());
    let path = variables.find_map(|variable| variable.strip_prefix("PATH="));
    let path = path.unwrap_or_default();
    let along_path = !name.as_bytes().contains(&b'/');
    let candidates: Vec<PathBuf> = if along_path {
        let directories = path
            .split(':')
            .filter(|directory| directory.starts_with('/'));
        directories
            .map(|directory| Path::new(directory).join(name))
            .collect()
    } else {
        vec![working_directory.join(name)]
    };
    let refused = |what| ImageError::NotAProgram {
        name: image.name.clone(),
        program: name.display().to_string(),
        what,
    };
    let mut reason = None;
    for candidate in candidates {
        match view.find(&candidate).ok().flatten() {
            None => {}
            Some(found) if !found.is_file() => {
                reason.get_or_insert(refused("no regular file"));
            }
            Some(found) if found.mode() & 0o111 == 0 => {
                reason.get_or_insert(refused("not executable"));
            }
            Some(_) => return Ok(candidate),
        }
    }
    Err(reason.unwrap_or_else(|| ImageError::ProgramMissing {
        name: image.name.clone(),
        program: name.display().to_string(),
        path: along_path.then(|| path.to_owned()),
    }))
}
