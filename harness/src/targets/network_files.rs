//! The files in /etc by which a program finds its network, for images: `resolv.conf` and `hostname`.
//!
//! Engines bind them over whatever the image has, where a container has a network. isobench does so
//! where a program has the host's network; nowhere else do names lead anywhere but to `localhost`,
//! whose file an image gets when it is imported. A file that the image has as a symbolic link is
//! left to the image: what the link leads to may not be there.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The host's file with the addresses of name servers (resolv.conf(5)).
const RESOLVER: &str = "/etc/resolv.conf";

/// The files of one prepared target.
#[derive(Debug)]
pub struct NetworkFiles {
    /// Each file on the host, with its path inside.
    files: Vec<(PathBuf, &'static str)>,
}

impl NetworkFiles {
    /// Makes the files in `directory` for an image of these `layers`, the lowest first, whose
    /// programs see the host name `hostname`. Without name servers on the host, there is no file of
    /// them.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn make(directory: &Path, layers: &[PathBuf], hostname: &str) -> io::Result<Self> {
        let contents = [
            ("/etc/resolv.conf", fs::read(RESOLVER).ok()),
            ("/etc/hostname", Some(format!("{hostname}\n").into_bytes())),
        ];
        let mut files = Vec::new();
        for (inside, content) in contents {
            let Some(content) = content.filter(|_| !is_link(layers, inside)) else {
                continue;
            };
            let name = Path::new(inside).file_name().unwrap_or_default();
            let path = directory.join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, Permissions::from_mode(0o644))?;
            files.push((path, inside));
        }
        Ok(Self { files })
    }

    /// Each file on the host, with its path inside.
    pub fn binds(&self) -> impl Iterator<Item = (&Path, &'static str)> {
        self.files
            .iter()
            .map(|(path, inside)| (path.as_path(), *inside))
    }
}

/// Whether the highest of `layers` that has something at the path `inside` has a symbolic link.
fn is_link(layers: &[PathBuf], inside: &str) -> bool {
    let below = inside.trim_start_matches('/');
    let mut found = layers
        .iter()
        .rev()
        .filter_map(|layer| fs::symlink_metadata(layer.join(below)).ok());
    found.next().is_some_and(|found| found.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_that_the_image_has_as_a_link_is_the_image_s() {
        let layers = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let etc = layers.each_ref().map(|layer| layer.path().join("etc"));
        for etc in &etc {
            fs::create_dir(etc).unwrap();
        }
        symlink("../run/resolv.conf", etc[0].join("resolv.conf")).unwrap();
        symlink("name", etc[0].join("hostname")).unwrap();
        fs::write(etc[1].join("hostname"), "image\n").unwrap();
        let paths = layers.each_ref().map(|layer| layer.path().to_owned());
        let own = tempfile::tempdir().unwrap();
        let made = NetworkFiles::make(own.path(), &paths, "name").unwrap();
        let made: Vec<_> = made.binds().collect();
        let file = own.path().join("hostname");
        assert_eq!(made, [(file.as_path(), "/etc/hostname")]);
        assert_eq!(fs::read_to_string(file).unwrap(), "name\n");
    }
}
