//! The files of `/proc/self`.

use std::ops::Range;

use super::super::Personality;
use super::super::identity::{PARENT_ID, PROCESS_ID};
use super::super::proc_files::ProcessFile;
use super::super::tree::NodeId;
use super::maps::{MappedFile, maps};
use super::{processor_time, ticks};
use crate::bare::address_space::AddressSpace;
use crate::memory::PAGE;

/// The sizes of a program's memory, in bytes.
struct Sizes {
    /// All that is mapped.
    mapped: u64,
    /// The guest memory that is given to the program, with its page tables.
    given: u64,
    code: u64,
    /// All that is mapped and may be written, without the stack.
    data: u64,
    stack: u64,
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

impl Personality {
    pub(super) fn process_text(&self, file: ProcessFile, memory: &AddressSpace) -> Vec<u8> {
        let parts = &self.proc.parts;
        match file {
            ProcessFile::Arguments => bytes_at(memory, &parts.arguments),
            ProcessFile::AuxiliaryVector => bytes_at(memory, &parts.auxiliary),
            ProcessFile::Environment => bytes_at(memory, &parts.environment),
            ProcessFile::Maps => self.maps(memory).into_bytes(),
            ProcessFile::MemorySizes => self.memory_sizes(memory).into_bytes(),
            ProcessFile::Name => format!("{}\n", self.shown_name()).into_bytes(),
            ProcessFile::Stat => self.stat_text(memory).into_bytes(),
            ProcessFile::Status => self.status(memory).into_bytes(),
        }
    }

    fn maps(&self, memory: &AddressSpace) -> String {
        let path = self.tree.program();
        let file = MappedFile {
            path: &path.to_string_lossy(),
            inode: self.tree.find(path).map_or(0, NodeId::inode),
        };
        maps(memory, &self.proc.parts, &file)
    }

    fn shown_name(&self) -> String {
        let name = self.threads.current().name;
        let end = name.iter().position(|&byte| byte == 0);
        String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]).into_owned()
    }

    fn sizes(&self, memory: &AddressSpace) -> Sizes {
        let stack = &self.proc.parts.stack;
        let writable = memory
            .areas()
            .filter(|(area, protection)| protection.write && !stack.contains(&area.start));
        Sizes {
            mapped: memory.areas().map(|(area, _)| length(&area)).sum(),
            given: memory.ram().size() - memory.free_bytes(),
            code: length(&self.proc.parts.code),
            data: writable.map(|(area, _)| length(&area)).sum(),
            stack: length(stack),
        }
    }

    /// `/proc/self/statm`: sizes in pages (`proc_pid_statm(5)`).
    fn memory_sizes(&self, memory: &AddressSpace) -> String {
        let sizes = self.sizes(memory);
        format!(
            "{} {} 0 {} 0 {} 0\n",
            sizes.mapped / PAGE,
            sizes.given / PAGE,
            sizes.code.div_ceil(PAGE),
            (sizes.data + sizes.stack) / PAGE,
        )
    }

    /// `/proc/self/stat`: 52 fields (`proc_pid_stat(5)`). Those of which the personality knows
    /// nothing are 0.
    fn stat_text(&self, memory: &AddressSpace) -> String {
        let (parts, sizes, signals) = (&self.proc.parts, self.sizes(memory), self.signal_sets());
        format!(
            "{PROCESS_ID} ({name}) R {PARENT_ID} {PROCESS_ID} {PROCESS_ID} 0 -1 0 0 0 0 0 {used} 0 0 0 \
             20 0 {threads} 0 {started} {mapped} {given} {no_limit} {} {} {} 0 0 {} {} {} {} 0 0 0 {} 0 0 0 \
             0 0 0 {} {} {} {} {} {} {} 0\n",
            parts.code.start,
            parts.code.end,
            parts.stack_pointer,
            signals.pending,
            signals.blocked,
            signals.ignored,
            signals.caught,
            libc::SIGCHLD,
            parts.data.start,
            parts.data.end,
            memory.heap().start,
            parts.arguments.start,
            parts.arguments.end,
            parts.environment.start,
            parts.environment.end,
            name = self.shown_name(),
            threads = self.threads.count(),
            used = ticks(processor_time()),
            started = ticks(self.proc.started),
            mapped = sizes.mapped,
            given = sizes.given / PAGE,
            no_limit = u64::MAX,
        )
    }

    /// `/proc/self/status` (`proc_pid_status(5)`).
    fn status(&self, memory: &AddressSpace) -> String {
        let (sizes, signals) = (self.sizes(memory), self.signal_sets());
        let ids = "0\t0\t0\t0";
        let lines = [
            ("Name", self.shown_name()),
            ("Umask", format!("{:04o}", self.scratch.mask)),
            ("State", "R (running)".to_owned()),
            ("Tgid", PROCESS_ID.to_string()),
            ("Ngid", "0".to_owned()),
            ("Pid", PROCESS_ID.to_string()),
            ("PPid", PARENT_ID.to_string()),
            ("TracerPid", "0".to_owned()),
            ("Uid", ids.to_owned()),
            ("Gid", ids.to_owned()),
            ("FDSize", "64".to_owned()),
            ("Groups", " ".to_owned()),
            ("VmSize", kibibytes(sizes.mapped)),
            ("VmRSS", kibibytes(sizes.given)),
            ("VmData", kibibytes(sizes.data)),
            ("VmStk", kibibytes(sizes.stack)),
            ("VmExe", kibibytes(sizes.code)),
            ("VmLib", kibibytes(0)),
            ("VmSwap", kibibytes(0)),
            ("Threads", self.threads.count().to_string()),
            ("SigQ", "0/0".to_owned()),
            ("SigPnd", set(signals.pending)),
            ("ShdPnd", set(signals.shared_pending)),
            ("SigBlk", set(signals.blocked)),
            ("SigIgn", set(signals.ignored)),
            ("SigCgt", set(signals.caught)),
            ("CapInh", set(0)),
            ("CapPrm", set(0)),
            ("CapEff", set(0)),
            ("CapBnd", set(0)),
            ("CapAmb", set(0)),
            ("NoNewPrivs", "0".to_owned()),
            ("Seccomp", "0".to_owned()),
            ("Cpus_allowed", "1".to_owned()),
            ("Cpus_allowed_list", "0".to_owned()),
            ("Mems_allowed", "1".to_owned()),
            ("Mems_allowed_list", "0".to_owned()),
        ];
        lines
            .map(|(field, value)| format!("{field}:\t{value}\n"))
            .concat()
    }
}

fn kibibytes(bytes: u64) -> String {
    format!("{:8} kB", bytes / 1024)
}

/// A set of signals or capabilities.
fn set(set: u64) -> String {
    format!("{set:016x}")
}

/// The bytes of a part of the program's memory. There are none if the program has unmapped the
/// part.
fn bytes_at(memory: &AddressSpace, range: &Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length(range)).unwrap_or_default()];
    match memory.read(range.start, &mut bytes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}
