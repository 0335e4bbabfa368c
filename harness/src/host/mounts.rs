//! Mount namespaces that peers run in, so that what they mount is out of the host's sight and goes with the last of
//! their processes, however that ends.
//!
//! A namespace is made ahead of any timing, and entered between clone and exec by one `setns(2)` of some microseconds.
//! It lives as long as this handle or a process in it does: a killed run leaves no mount.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// A mount namespace; clones are the same one.
#[derive(Debug, Clone)]
pub struct MountNamespace(Arc<File>);

impl MountNamespace {
    /// A copy of this process's own mounts, with an empty file system in memory in place of each of `hidden`: of what
    /// is mounted there if it's a mount point, over the directory otherwise.
    ///
    /// # Errors
    /// This process lacks `CAP_SYS_ADMIN`, or one of `hidden` is no directory.
    pub fn new(hidden: Vec<PathBuf>) -> io::Result<Self> {
        // Of a thread's own: it ends with it, and no other is moved.
        let made = std::thread::spawn(move || -> io::Result<File> {
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            for path in &hidden {
                hide(path)?;
            }
            File::open("/proc/thread-self/ns/mnt")
        });
        let file = made
            .join()
            .map_err(|_| io::Error::other("the thread that makes the namespace panicked"))?;
        Ok(Self(Arc::new(file?)))
    }

    /// Moves this thread, which shares its working directory with no other, into it. Allocates nothing.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn enter(&self) -> nix::Result<()> {
        setns(&*self.0, CloneFlags::CLONE_NEWNS)
    }
}

/// What stood there is unmounted, since runtimes find mounts in /proc/self/mountinfo as well; and the place is taken, so
/// that what one writes there doesn't get into the host's file system below.
fn hide(path: &PathBuf) -> nix::Result<()> {
    // It isn't a mount point: then there is nothing to unmount.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("mode=0755"))
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};

    use super::*;

    #[test]
    fn what_is_hidden_is_hidden_inside_alone() {
        // Only root may make a mount namespace.
        if lacks(Need::Root) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let mounts = MountNamespace::new(vec![directory.path().to_owned()]).unwrap();
        let inside = file.clone();
        let seen = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_FS).unwrap();
            mounts.enter().unwrap();
            let seen = inside.exists();
            std::fs::write(inside.with_file_name("new"), "x").unwrap();
            seen
        });
        assert!(!seen.join().unwrap());
        assert!(file.exists() && !directory.path().join("new").exists());
        assert!(MountNamespace::new(vec![file]).is_err());
    }
}
