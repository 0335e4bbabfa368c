//! A namespace container: the ladder's rung 1.
//!
//! A start, in order. The launcher's steps are on the left, those of the container's first process
//! on the right.
//!
//! ```text
//! 1  check the Config, open layers and binds
//! 2  clone3: seven namespaces at once ---------> (born; under cgroups v2 in its cgroup)
//! 3  write the id maps, say so ----------------> become root of the user namespace,
//!                                                ask to die with the launcher
//! 4  make cgroups, write limits (v1)             assemble the root: tmpfs, overlayfs, /proc, /dev
//! 5                                              pivot_root, detach the host's root, binds,
//!                                                host name
//! 6  hand over the ways into the cgroups (v1) -> join the cgroups
//! 7  make a veth pair, bring its ends up ------> bring the loopback up, if there is no pair
//! 8                                              become the program's user, drop all capabilities,
//!                                                no new privileges, seccomp filter
//! 9                                              start the program (as vfork does), stay as PID 1
//! 10 wait, forward signals <-------------------- tell: started; later: ended
//! ```
//!
//! ```no_run
//! use isobench_container::{Config, Container, NoObserver, Spec};
//!
//! let spec = Spec {
//!     layers: vec!["/srv/root".into()],
//!     program: "/bin/hello".into(),
//!     ..Spec::default()
//! };
//! let running = Container::new(Config::new(spec)?).launch(&NoObserver)?;
//! let exited = running.wait()?;
//! println!("{:?}", exited.end());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each mechanism can be left out ([`Mechanisms`]), so that its price can be measured.
//!
//! A container needs Linux 5.12 and user namespaces. It does not need root.

pub mod cgroup;
pub mod floor;
pub mod image;

mod config;
mod isolation;
mod launch;
mod mechanism;
mod network;
mod privilege;
mod size;
mod sys;
mod user;

pub use config::{Bind, BindSyntaxError, Config, ConfigError, ProgramSignals, RootPolicy, Spec};
pub use isolation::id_map::{FIRST_HOST_ID, ID_COUNT, IdMap, MapError};
pub use isolation::root::plan::RootKind;
pub use isolation::seccomp;
pub use launch::{
    BlockSignalsError, Container, Exited, ForwardedSignals, LaunchError, NoObserver, Phase,
    PhaseObserver, ProgramEnd, Running, WaitError,
};
pub use mechanism::{Mechanism, Mechanisms, UnknownMechanism};
pub use network::{
    HOST_ADDRESS, LINK_PREFIX, Network, NetworkError, NetworkSyntaxError, OpenTap, Tap, TapError,
};
pub use privilege::Privilege;
pub use size::{SizeSyntaxError, parse_size};
pub use sys::mount;
pub use sys::signal::{Caught, Sender, send, stop_this_process};
pub use sys::tap::PacketHeader;
pub use user::{User, UserSyntaxError};
