//! A namespace container: the ladder's rung 1.
//!
//! A start, in order; the launcher's steps are on the left, those of the container's first process on the right.
//!
//! ```text
//! 1  check the Config, open layers and binds
//! 2  clone3: seven namespaces at once ---------> (born; under cgroup v2 in its cgroup)
//! 3  write the id maps, say so ----------------> become root of the user namespace, bound to die with the launcher
//! 4  make cgroups, write limits (v1)             assemble the root: tmpfs, overlayfs, /proc, /dev
//! 5  hand over the ways into the cgroups         pivot_root, detach the host's root, binds, host name
//! 6                                              join the cgroups
//! 7  make a veth pair, bring its ends up ------> bring the loopback up, if that is all
//! 8                                              become the program's user; drop all capabilities; no new privileges; seccomp filter
//! 9                                              start the program (vfork-like) and stay behind as PID 1
//! 10 wait, forwarding signals <----------------- tell: started; later: ended
//! ```
//!
//! ```no_run
//! use isobench_container::{Config, Container, Spec};
//!
//! let spec = Spec { layers: vec!["/srv/root".into()], program: "/bin/hello".into(), ..Spec::default() };
//! let running = Container::new(Config::new(spec)?).launch(&|_phase| {})?;
//! let exited = running.wait()?;
//! println!("{:?}", exited.end());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each mechanism can be left out ([`Mechanisms`]), which is how its price is measured.
//!
//! It needs Linux 5.12 and user namespaces; not root.

pub mod cgroup;
pub mod floor;
pub mod image;

mod config;
mod isolation;
mod launch;
mod mechanism;
mod network;
mod sys;
mod user;

pub use config::{Bind, BindSyntaxError, Config, ConfigError, RootPolicy, Spec};
pub use isolation::id_map::{COUNT as ID_COUNT, HOST_BASE as FIRST_HOST_ID, IdMap, is_privileged};
pub use isolation::seccomp;
pub use launch::handshake::ProgramEnd;
pub use launch::phase::Phase;
pub use launch::plan::RootKind;
pub use launch::running::{Exited, ForwardedSignals, Running, WaitError};
pub use launch::{Container, LaunchError};
pub use mechanism::{Mechanism, Mechanisms, UnknownMechanism};
pub use network::{HOST_ADDRESS, Network, NetworkError, NetworkSyntaxError, Tap, TapError};
pub use user::{User, UserSyntaxError};
