//! The files below `/proc` and `/sys`, read by the `procfs` crate as it reads Linux's.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryMaps, Stat, StatM, Status};
use procfs::{
    CpuInfo, FromRead, FromReadSI as _, KernelStats, LoadAverage, Meminfo, Uptime,
    current_system_info,
};

use super::files::open;
use super::{DATA, HERE, Machine, int};
use crate::bare::address_space::{Backing, Placement, Protection};
use crate::bare::{FilePages, ProgramParts};
use crate::memory::PAGE;

/// The address at which the tests map a program.
const PROGRAM: u64 = 0x40_0000;

/// A machine whose program has code, data, a heap and strings.
fn machine() -> Machine {
    let mut machine = Machine::new();
    let map = |machine: &mut Machine, at, pages, protection| {
        let place = Placement::Fixed(at);
        machine
            .memory
            .map(place, pages * PAGE, protection, Backing::Anonymous)
            .expect("memory")
    };
    map(&mut machine, PROGRAM, 2, Protection::READ_EXECUTE);
    map(&mut machine, PROGRAM + 2 * PAGE, 2, Protection::READ_WRITE);
    machine.memory.start_heap(PROGRAM + 4 * PAGE);
    machine.memory.set_break(PROGRAM + 6 * PAGE - 100);
    let strings = machine.put(100, b"name\0argument\0KEY=value\0auxiliary");
    let data = machine.data;
    machine.personality.set_parts(ProgramParts {
        file_pages: vec![
            FilePages {
                pages: PROGRAM..PROGRAM + 2 * PAGE,
                offset: 0,
            },
            FilePages {
                pages: PROGRAM + 2 * PAGE..PROGRAM + 3 * PAGE,
                offset: PAGE,
            },
        ],
        code: PROGRAM + 0x100..PROGRAM + 0x1f00,
        data: PROGRAM + 2 * PAGE..PROGRAM + 2 * PAGE + 10,
        stack: data + DATA - PAGE..data + DATA,
        stack_pointer: data + DATA - 50,
        arguments: strings..strings + 14,
        environment: strings + 14..strings + 24,
        auxiliary: strings + 24..strings + 33,
        vdso: 0..0,
        clock_page: 0..0,
    });
    machine
}

/// The whole of a file, read in parts of `part` bytes.
fn text_in_parts(machine: &mut Machine, path: &str, part: u64) -> Vec<u8> {
    let file = open(machine, path, libc::O_RDONLY).expect(path);
    let buffer = machine.data + PAGE;
    let mut text = Vec::new();
    loop {
        let count = machine
            .call(libc::SYS_read, &[file, buffer, part])
            .expect(path);
        if count == 0 {
            break;
        }
        text.extend(machine.bytes(PAGE, usize::try_from(count).unwrap()));
    }
    assert_eq!(machine.call(libc::SYS_close, &[file]), Ok(0));
    text
}

fn text(machine: &mut Machine, path: &str) -> String {
    String::from_utf8(text_in_parts(machine, path, 100_000)).expect("text")
}

fn parsed<Parsed: FromRead>(path: &str) -> Parsed {
    Parsed::from_read(text(&mut machine(), path).as_bytes()).expect(path)
}

fn signal(machine: &mut Machine, signal: i32, handler: u64) {
    let action = machine.put(0, &[handler, 0, 0, 0].map(u64::to_le_bytes).concat());
    let arguments = [int(signal), action, 0, 8];
    assert_eq!(machine.call(libc::SYS_rt_sigaction, &arguments), Ok(0));
}

#[test]
fn the_process_has_a_directory_with_its_number_to_which_self_leads() {
    let mut machine = machine();
    let own = machine.call(libc::SYS_getpid, &[]).unwrap();
    let (link, data) = (machine.path("/proc/self"), machine.data);
    let read = machine.call(libc::SYS_readlinkat, &[HERE, link, data, 100]);
    let name = own.to_string();
    assert_eq!(read, Ok(name.len() as u64));
    assert_eq!(machine.bytes(0, name.len()), name.as_bytes());
    let comm = format!("/proc/{own}/comm");
    assert_eq!(text(&mut machine, &comm), "program\n");
    assert_eq!(text(&mut machine, "/proc/self/comm"), "program\n");
}

#[test]
fn the_strings_are_those_in_the_programs_memory() {
    let mut machine = machine();
    let cmdline = |machine: &mut Machine| text(machine, "/proc/self/cmdline");
    assert_eq!(cmdline(&mut machine), "name\0argument\0");
    assert_eq!(text(&mut machine, "/proc/self/environ"), "KEY=value\0");
    assert_eq!(text(&mut machine, "/proc/self/auxv"), "auxiliary");
    machine.put(100, b"NAME");
    assert_eq!(cmdline(&mut machine), "NAME\0argument\0");
}

#[test]
fn strings_that_are_no_longer_mapped_are_empty() {
    let mut machine = machine();
    machine.personality.set_parts(ProgramParts {
        arguments: 0x1000..0x2000,
        ..ProgramParts::default()
    });
    assert_eq!(text(&mut machine, "/proc/self/cmdline"), "");
}

/// The mapped area at an address.
fn map_at(maps: &MemoryMaps, address: u64) -> &MemoryMap {
    maps.iter()
        .find(|map| map.address.0 == address)
        .expect("an area begins here")
}

#[test]
fn the_maps_show_what_lies_in_each_area() {
    let maps: MemoryMaps = parsed("/proc/self/maps");
    let code = map_at(&maps, PROGRAM);
    assert_eq!(code.address.1, PROGRAM + 2 * PAGE);
    let expected = MMPermissions::READ | MMPermissions::EXECUTE | MMPermissions::PRIVATE;
    assert_eq!(code.perms, expected);
    assert_eq!(code.pathname, MMapPath::Path("/bin/program".into()));
    assert_eq!(code.offset, 0);
    assert_ne!(code.inode, 0);
    let data = map_at(&maps, PROGRAM + 2 * PAGE);
    assert_eq!(data.address.1, PROGRAM + 3 * PAGE);
    assert_eq!((data.offset, data.inode), (PAGE, code.inode));
    let zeros = map_at(&maps, PROGRAM + 3 * PAGE);
    assert_eq!(zeros.address.1, PROGRAM + 4 * PAGE);
    assert_eq!(zeros.pathname, MMapPath::Anonymous);
    let heap = map_at(&maps, PROGRAM + 4 * PAGE);
    assert_eq!(heap.address.1, PROGRAM + 6 * PAGE);
    assert_eq!(heap.pathname, MMapPath::Heap);
    let expected = MMPermissions::READ | MMPermissions::WRITE | MMPermissions::PRIVATE;
    assert_eq!(heap.perms, expected);
    let stacks = maps.iter().filter(|map| map.pathname == MMapPath::Stack);
    assert_eq!(stacks.count(), 1);
}

#[test]
fn all_that_is_mapped_is_in_the_maps_once_and_in_order() {
    let mut machine = machine();
    let maps = text(&mut machine, "/proc/self/maps");
    let maps = MemoryMaps::from_read(maps.as_bytes()).unwrap();
    let shown: u64 = maps.iter().map(|map| map.address.1 - map.address.0).sum();
    let areas = machine.memory.areas();
    let mapped: u64 = areas.map(|(area, _)| area.end - area.start).sum();
    assert_eq!(shown, mapped);
    assert!(
        maps.iter()
            .zip(maps.iter().skip(1))
            .all(|(one, next)| one.address.1 <= next.address.0)
    );
}

#[test]
fn a_text_stays_the_same_while_the_program_reads_on() {
    let mut machine = machine();
    let whole = text(&mut machine, "/proc/self/maps");
    let file = open(&mut machine, "/proc/self/maps", libc::O_RDONLY).unwrap();
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_read, &[file, data, 30]), Ok(30));
    let more = [0, PAGE, 3, 0x22, u64::MAX, 0];
    let mapped = machine.call(libc::SYS_mmap, &more).unwrap();
    let count = machine
        .call(libc::SYS_read, &[file, data + 30, 100_000])
        .unwrap();
    let length = 30 + usize::try_from(count).unwrap();
    assert_eq!(machine.bytes(0, length), whole.as_bytes());
    // From the start on, the text is new.
    assert_eq!(machine.call(libc::SYS_lseek, &[file, 0, 0]), Ok(0));
    let again = text(&mut machine, "/proc/self/maps");
    assert_ne!(again, whole);
    assert_eq!(machine.call(libc::SYS_munmap, &[mapped, PAGE]), Ok(0));
    assert_eq!(text(&mut machine, "/proc/self/maps"), whole);
}

#[test]
fn a_file_read_in_parts_is_the_whole_file() {
    let mut machine = machine();
    for path in ["/proc/self/maps", "/proc/meminfo", "/proc/cpuinfo"] {
        let whole = text_in_parts(&mut machine, path, 100_000);
        assert_eq!(text_in_parts(&mut machine, path, 7), whole, "{path}");
    }
}

#[test]
fn the_stat_has_the_fields_of_linux() {
    let mut machine = machine();
    signal(&mut machine, libc::SIGUSR1, 0x1234);
    signal(&mut machine, libc::SIGPIPE, 1);
    let line = text(&mut machine, "/proc/self/stat");
    assert_eq!(line.split_whitespace().count(), 52);
    let stat = Stat::from_read(line.as_bytes()).unwrap();
    assert_eq!((stat.pid, stat.ppid), (2, 1));
    assert_eq!((stat.comm.as_str(), stat.state), ("program", 'R'));
    assert_eq!((stat.num_threads, stat.priority, stat.nice), (1, 20, 0));
    assert_eq!(stat.sigignore, 1 << (libc::SIGPIPE - 1));
    assert_eq!(stat.sigcatch, 1 << (libc::SIGUSR1 - 1));
    assert_eq!(stat.startcode, PROGRAM + 0x100);
    assert_eq!(stat.endcode, PROGRAM + 0x1f00);
    let data = machine.data;
    assert_eq!(stat.startstack, data + DATA - 50);
    assert_eq!(stat.start_brk, Some(PROGRAM + 4 * PAGE));
    assert_eq!(stat.arg_start, Some(data + 100));
    assert_eq!(stat.arg_end, Some(data + 114));
    assert_eq!(stat.env_end, Some(data + 124));
    assert_eq!(stat.exit_signal, Some(libc::SIGCHLD));
}

#[test]
fn the_sizes_are_those_of_the_memory() {
    let mut machine = machine();
    // The calls below write their path and their text to memory that counts from then on.
    text(&mut machine, "/proc/self/status");
    let areas = machine.memory.areas();
    let mapped: u64 = areas.map(|(area, _)| area.end - area.start).sum();
    let given = machine.memory.ram().size() - machine.memory.free_bytes();
    let stat = text(&mut machine, "/proc/self/stat");
    let stat = Stat::from_read(stat.as_bytes()).unwrap();
    assert_eq!((stat.vsize, stat.rss), (mapped, given / PAGE));
    let statm = text(&mut machine, "/proc/self/statm");
    let statm = StatM::from_read(statm.as_bytes()).unwrap();
    assert_eq!((statm.size, statm.resident), (mapped / PAGE, given / PAGE));
    let status = text(&mut machine, "/proc/self/status");
    let status = Status::from_read(status.as_bytes()).unwrap();
    assert_eq!(status.vmsize, Some(mapped / 1024));
    assert_eq!(status.vmrss, Some(given / 1024));
    assert_eq!(status.vmstk, Some(PAGE / 1024));
}

#[test]
fn the_status_is_that_of_the_only_thread_of_root() {
    let status: Status = parsed("/proc/self/status");
    assert_eq!((status.pid, status.tgid, status.ppid), (2, 2, 1));
    assert_eq!(status.name, "program");
    assert_eq!((status.ruid, status.egid), (0, 0));
    assert_eq!(status.threads, 1);
    assert_eq!(status.cpus_allowed_list, Some(vec![(0, 0)]));
}

#[test]
fn the_memory_is_the_guests() {
    let mut machine = machine();
    // The call below writes its path and its text to memory that counts from then on.
    text(&mut machine, "/proc/meminfo");
    let memory = text(&mut machine, "/proc/meminfo");
    let memory = Meminfo::from_read(memory.as_bytes()).unwrap();
    assert_eq!(memory.mem_total, 16 << 20);
    assert_eq!(memory.mem_free, machine.memory.free_bytes());
    assert_eq!(memory.mem_available, Some(memory.mem_free));
    assert_eq!(memory.swap_total, 0);
}

#[test]
fn the_guest_has_one_processor() {
    let mut machine = machine();
    let info: CpuInfo = parsed("/proc/cpuinfo");
    assert_eq!(info.num_cores(), 1);
    assert!(info.vendor_id(0).is_some_and(|vendor| !vendor.is_empty()));
    assert!(info.model_name(0).is_some_and(|name| !name.is_empty()));
    for list in ["online", "possible"] {
        let path = format!("/sys/devices/system/cpu/{list}");
        assert_eq!(text(&mut machine, &path), "0\n");
    }
}

#[test]
fn the_processor_time_and_the_uptime_add_up() {
    let mut machine = machine();
    let stat = text(&mut machine, "/proc/stat");
    let stat = KernelStats::from_read(stat.as_bytes(), current_system_info()).unwrap();
    let up: Uptime = parsed("/proc/uptime");
    assert_eq!(stat.cpu_time.len(), 1);
    assert_eq!(stat.procs_running, Some(1));
    let whole = (stat.total.user + stat.total.idle) / 100;
    assert!(up.uptime_duration().as_secs().abs_diff(whole) <= 1);
    assert!(up.idle_duration() <= up.uptime_duration());
    let shown = Duration::from_secs(stat.btime) + up.uptime_duration();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    assert!(now.abs_diff(shown) < Duration::from_secs(3), "{shown:?}");
}

#[test]
fn the_kernel_is_the_one_of_uname() {
    let mut machine = machine();
    let release = text(&mut machine, "/proc/sys/kernel/osrelease");
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_uname, &[data]), Ok(0));
    assert_eq!(machine.bytes(2 * 65, 5), release.trim_end().as_bytes());
    let version = text(&mut machine, "/proc/version");
    assert!(version.starts_with(&format!("Linux version {}", release.trim_end())));
}

#[test]
fn the_rest_says_what_the_guest_does() {
    let mut machine = machine();
    let overcommit = text(&mut machine, "/proc/sys/vm/overcommit_memory");
    assert_eq!(overcommit, "0\n");
    let huge = "/sys/kernel/mm/transparent_hugepage/enabled";
    assert_eq!(text(&mut machine, huge), "always madvise [never]\n");
    let load: LoadAverage = parsed("/proc/loadavg");
    assert_eq!((load.cur, load.max, load.latest_pid), (1, 1, 2));
}

#[test]
fn a_file_of_proc_can_only_be_read() {
    let mut machine = machine();
    let path = "/proc/self/maps";
    assert_eq!(open(&mut machine, path, libc::O_RDWR), Err(Errno::EROFS));
    let file = open(&mut machine, path, libc::O_RDONLY).unwrap();
    let data = machine.data;
    let write = machine.call(libc::SYS_write, &[file, data, 1]);
    assert_eq!(write, Err(Errno::EBADF));
    let end = [file, 0, int(libc::SEEK_END)];
    assert_eq!(machine.call(libc::SYS_lseek, &end), Err(Errno::EINVAL));
    let map = [0, PAGE, 1, int(libc::MAP_PRIVATE), file, 0];
    assert_eq!(machine.call(libc::SYS_mmap, &map), Err(Errno::ENODEV));
    assert_eq!(machine.call(libc::SYS_fstat, &[file, data]), Ok(0));
    let mode = u32::from_le_bytes(machine.bytes(24, 4).try_into().unwrap());
    assert_eq!(mode, libc::S_IFREG | 0o444);
    assert_eq!(machine.word(48), 0, "the size");
}
