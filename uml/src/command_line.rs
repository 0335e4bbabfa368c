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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;

    use bytesize::ByteSize;
    use isobench_vmm::linux::initramfs::Initramfs;

    use super::*;
    use crate::config::{Config, Disk, NetworkCard};

    fn null() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn the_words_name_memory_lines_disks_and_card() {
        let card = null();
        let descriptor = card.as_raw_fd();
        let disk = |read_only| Disk {
            path: "/dev/null".into(),
            read_only,
        };
        let config = Config {
            kernel: "/bin/true".into(),
            memory: ByteSize::mib(32),
            files: Initramfs::default(),
            disks: vec![disk(false), disk(true)],
            shared: Some("/".into()),
            network: Some(NetworkCard {
                descriptor: card,
                hardware_address: [2, 0, 0, 0, 0xab, 1],
            }),
            input: None,
            output: null(),
            error: null(),
        };
        let lines = Lines {
            calls: 5,
            frames: 6,
            messages: 7,
        };
        let words = words(&config.check().unwrap(), lines);
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        let card = format!("vec0:transport=fd,fd={descriptor},vec=0,mac=02:00:00:00:ab:01");
        for word in [
            "mem=32768K",
            "con0=null,fd:7",
            "con1=fd:5,fd:6",
            "ubd0=/disk0",
            "ubd1r=/disk1",
            "ubd15=/mailbox",
            "hostfs=/shared",
            &card,
        ] {
            assert!(words.contains(&word), "{word} is not in {words:?}");
        }
    }
}
