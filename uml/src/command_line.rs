//! The kernel's command line, which is the command line of its program.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, RawFd};

use crate::config::CheckedConfig;
use crate::root::{self, DISK, INITRD, MAILBOX, SHARED};

/// The words that each guest gets.
const ALWAYS: [&str; 8] = [
    // The kernel's own name for itself, in messages.
    "linux",
    // No line is a terminal of the host's, but those that are named below.
    "con=null",
    "quiet",
    // A kernel that ends must not start again.
    "noreboot",
    // Where the kernel keeps a directory for its console of management: in its own root.
    "uml_dir=/",
    // The loops of a short wait. Without the word the kernel measures for 100 ms. Only drivers of real
    // devices wait so, and there is none.
    "lpj=10000000",
    // In Debian's kernel: 256 terminals of an old kind, which take half a second.
    "pty.legacy_count=0",
    // In Debian's kernel: a benchmark of RAID for almost a second, and a cache for swap.
    "initcall_blacklist=raid6_select_algo,init_zswap",
];

/// The descriptors of the kernel's lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    /// Calls to `/init`.
    pub(crate) calls: RawFd,
    /// Frames from `/init`.
    pub(crate) frames: RawFd,
    /// The kernel's messages.
    pub(crate) messages: RawFd,
}

/// The words of the command line, its program's name first.
pub(crate) fn words(config: &CheckedConfig, lines: Lines) -> Vec<CString> {
    let Lines {
        calls,
        frames,
        messages,
    } = lines;
    let mut words: Vec<String> = ALWAYS.map(str::to_owned).into();
    let memory = config.config.memory.as_u64() / 1024;
    words.push(format!("mem={memory}K"));
    words.push(format!("initrd={}", inside(INITRD)));
    words.push(format!("con0=null,fd:{messages}"));
    words.push(format!("con1=fd:{calls},fd:{frames}"));
    for (number, disk) in config.config.disks.iter().enumerate() {
        let read_only = if disk.read_only { "r" } else { "" };
        let path = inside(&root::numbered(DISK, number));
        words.push(format!("ubd{number}{read_only}={path}"));
    }
    words.push(format!("ubd15={}", inside(MAILBOX)));
    if config.shared.is_some() {
        words.push(format!("hostfs={}", inside(SHARED)));
    }
    if let Some(card) = &config.config.network {
        let descriptor = card.descriptor.as_raw_fd();
        let address = card.hardware_address.map(|byte| format!("{byte:02x}"));
        let address = address.join(":");
        words.push(format!(
            "vec0:transport=fd,fd={descriptor},vec=0,mac={address}"
        ));
    }
    let words = words.into_iter().map(CString::new);
    words
        .collect::<Result<_, _>>()
        .expect("no word has a zero byte")
}

/// The path in the kernel's root of the file `name`.
fn inside(name: &str) -> String {
    format!("/{name}")
}
