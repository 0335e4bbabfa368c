//! Mount namespaces for peers. What a peer mounts in its namespace isn't visible on the host, and
//! is unmounted when the last process in the namespace has ended, in whatever way.
//!
//! A namespace is made before the first timing. A child enters the namespace between clone and
//! exec, by one `setns(2)` of some microseconds. A namespace lives as long as its handle or a
//! process inside, so a killed run leaves no mount behind.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// A handle of a mount namespace. A clone is a handle of the same namespace.
#[derive(Debug, Clone)]
pub struct MountNamespace(Arc<File>);

impl MountNamespace {
    /// Makes a namespace with this process's mounts, in which each directory of `hidden` is covered
    /// by an empty file system in memory. A mount point among `hidden` is unmounted first.
    ///
    /// # Errors
    /// This process lacks `CAP_SYS_ADMIN`, or one of `hidden` is no directory.
    pub fn new(hidden: &[PathBuf]) -> io::Result<Self> {
        let file = on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            for path in hidden {
                hide(path)?;
            }
            File::open("/proc/thread-self/ns/mnt")
        })?;
        Ok(Self(Arc::new(file)))
    }

    /// Calls `work` inside the namespace. `work` may change its root directory, working directory
    /// and file mode creation mask: no other code sees the change.
    ///
    /// # Errors
    /// The namespace can't be entered, or the error of `work`.
    pub fn run_inside<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        on_own_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Moves this thread into the namespace. The thread must not share its working directory with
    /// another thread. Allocates nothing.
    ///
    /// # Errors
    /// The kernel refuses the move (setns(2)).
    pub fn enter(&self) -> nix::Result<()> {
        setns(&*self.0, CloneFlags::CLONE_NEWNS)
    }
}

/// A directory at which something is mounted in a namespace.
#[derive(Debug, Clone)]
pub struct MountPoint {
    /// The namespace with the mount.
    pub namespace: MountNamespace,
    /// The directory's path in the namespace.
    pub directory: PathBuf,
}

impl MountPoint {
    /// Unmounts what is mounted at the directory and below, and removes the directory.
    ///
    /// # Errors
    /// Nothing is mounted there.
    pub fn unmount(&self) -> io::Result<()> {
        self.namespace.run_inside(|| {
            umount2(&self.directory, MntFlags::MNT_DETACH)?;
            std::fs::remove_dir(&self.directory)
        })
    }
}

/// Calls `work` on a thread of its own, which shares neither its mount namespace nor its
/// directories with another thread once it has moved.
fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS)?;
            work()
        });
        thread
            .join()
            .map_err(|_| io::Error::other("the thread that works on mounts panicked"))?
    })
}

/// Covers the directory `path` with an empty file system. A mount at `path` is unmounted first,
/// because runtimes also find mounts in /proc/self/mountinfo. What a runtime then writes there
/// doesn't reach the host's file system below.
fn hide(path: &PathBuf) -> nix::Result<()> {
    // The call fails if `path` isn't a mount point: then there is nothing to unmount.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("mode=0755"))
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};

    use super::*;

    #[test]
    fn a_hidden_directory_is_hidden_inside_the_namespace_alone() {
        // Only root may make a mount namespace.
        if lacks(Need::Root) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let mounts = MountNamespace::new(&[directory.path().to_owned()]).unwrap();
        let seen = mounts.run_inside(|| {
            std::fs::write(file.with_file_name("new"), "x")?;
            Ok(file.exists())
        });
        assert!(!seen.unwrap());
        assert!(file.exists() && !directory.path().join("new").exists());
        assert!(MountNamespace::new(&[file]).is_err());
    }
}
