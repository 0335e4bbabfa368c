//! Network namespaces of other processes, in which the harness opens sockets.
//!
//! A socket stays in the namespace in which it was made (`network_namespaces(7)`). So the harness
//! enters an instance's namespace, makes a socket, and returns; a connection by the socket then
//! reaches the instance's own loopback.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

/// A handle of a network namespace.
#[derive(Debug)]
pub struct NetNamespace {
    file: File,
    inode: u64,
}

impl NetNamespace {
    /// The namespace of this thread.
    ///
    /// # Errors
    /// `/proc` isn't mounted.
    pub fn own() -> io::Result<Self> {
        Self::open("/proc/thread-self/ns/net")
    }

    /// The namespace of the process `pid`.
    ///
    /// # Errors
    /// The process has ended, or this user may not look at it.
    pub fn of_process(pid: Pid) -> io::Result<Self> {
        Self::open(&format!("/proc/{pid}/ns/net"))
    }

    fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode })
    }

    /// Calls `make` in the namespace, and returns to the namespace `own`.
    ///
    /// # Errors
    /// This process lacks `CAP_SYS_ADMIN` over one of the namespaces.
    pub fn inside<T>(&self, own: &Self, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        setns(&self.file, CloneFlags::CLONE_NEWNET)?;
        let result = make();
        setns(&own.file, CloneFlags::CLONE_NEWNET)?;
        result
    }
}

impl PartialEq for NetNamespace {
    fn eq(&self, other: &Self) -> bool {
        self.inode == other.inode
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use isobench_testing::{Need, lacks};
    use nix::sched::unshare;

    use super::*;

    #[test]
    fn a_socket_stays_in_the_namespace_in_which_it_was_made() {
        if lacks(Need::Root) {
            return;
        }
        let own = NetNamespace::own().unwrap();
        assert_eq!(own, NetNamespace::of_process(Pid::this()).unwrap());
        // The thread's end leaves the namespace to its handle.
        let other = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            NetNamespace::own().unwrap()
        });
        let other = other.join().unwrap();
        assert_ne!(own, other);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        // The other namespace's loopback is down.
        let refused = other.inside(&own, || TcpStream::connect(address));
        assert!(refused.is_err());
        assert!(TcpStream::connect(address).is_ok());
    }
}
