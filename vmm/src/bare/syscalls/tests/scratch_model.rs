#![expect(unsafe_code, reason = "makes the program's system calls on the host")]
//! The files in `/tmp` compared with those of Linux: the same random calls, on the guest's files
//! and in a directory of the host's.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use isobench_testing::{Need, lacks};
use nix::errno::Errno;
use nix::libc::{self, c_long};
use proptest::prelude::*;

use super::{DATA, Machine, int};

/// The files that a program has open at once.
const SLOTS: usize = 3;

/// An argument of a call.
#[derive(Debug, Clone)]
enum Argument {
    Number(u64),
    /// A path in the directory.
    Path(String),
    /// The text of a link.
    Text(String),
    /// A file that may be open.
    File(usize),
    /// The address of this many bytes: those that a write takes or a read fills.
    Buffer(u64),
}
use Argument::{Buffer, File, Number, Text};

#[derive(Debug, Clone)]
struct Call {
    number: c_long,
    arguments: Vec<Argument>,
    /// The slot of the new descriptor that the call returns.
    opens: Option<usize>,
}

/// What a call returns, and what it has written to its buffer.
type Outcome = (Result<u64, Errno>, Vec<u8>);

/// One of the two systems.
trait System {
    /// Makes a call. `buffer` is the contents of its buffer, if it has one.
    fn make(&mut self, number: c_long, arguments: &[Made], buffer: &mut [u8])
    -> Result<u64, Errno>;
}

/// An argument for one system.
enum Made {
    Number(u64),
    Text(CString),
    Buffer,
}

impl System for Machine {
    fn make(
        &mut self,
        number: c_long,
        arguments: &[Made],
        buffer: &mut [u8],
    ) -> Result<u64, Errno> {
        let mut text_place = DATA - 3 * 8192;
        let at = self.put(0, buffer);
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| match argument {
                Made::Number(number) => *number,
                Made::Text(text) => {
                    text_place += 8192;
                    self.put(text_place, text.as_bytes_with_nul())
                }
                Made::Buffer => at,
            })
            .collect();
        let result = self.call(number, &arguments);
        buffer.copy_from_slice(&self.bytes(0, buffer.len()));
        result
    }
}

struct Host;

impl System for Host {
    fn make(
        &mut self,
        number: c_long,
        arguments: &[Made],
        buffer: &mut [u8],
    ) -> Result<u64, Errno> {
        let mut words = [0_u64; 6];
        for (word, argument) in words.iter_mut().zip(arguments) {
            *word = match argument {
                Made::Number(number) => *number,
                Made::Text(text) => text.as_ptr() as u64,
                Made::Buffer => buffer.as_mut_ptr() as u64,
            };
        }
        let [first, second, third, fourth, fifth, sixth] = words;
        // SAFETY: the calls of the test take numbers, strings that end in a NUL, and a buffer with
        // the length that they are told.
        let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
        Errno::result(result).map(c_long::cast_unsigned)
    }
}

/// A system with the program's directory and files.
struct Side<S> {
    system: S,
    directory: String,
    open: [Option<u64>; SLOTS],
}

impl<S: System> Side<S> {
    fn new(system: S, directory: &str) -> Self {
        Self {
            system,
            directory: directory.to_owned(),
            open: [None; SLOTS],
        }
    }

    fn call(&mut self, call: &Call) -> Outcome {
        let mut length = 0;
        let arguments: Vec<_> = call
            .arguments
            .iter()
            .map(|argument| match argument {
                Number(number) => Made::Number(*number),
                Argument::Path(path) => Made::Text(text(&format!("{}/{path}", self.directory))),
                Text(target) => Made::Text(text(target)),
                File(slot) => Made::Number(self.open[*slot].unwrap_or(u64::from(u32::MAX))),
                Buffer(bytes) => {
                    length = *bytes;
                    Made::Buffer
                }
            })
            .collect();
        let mut buffer: Vec<u8> = (0..length)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let mut result = self.system.make(call.number, &arguments, &mut buffer);
        if let (Some(slot), Ok(descriptor)) = (call.opens, result) {
            if let Some(old) = self.open[slot].replace(descriptor) {
                self.close(old);
            }
            result = Ok(0);
        }
        let of_stat = [libc::SYS_newfstatat, libc::SYS_fstat].contains(&call.number);
        if of_stat && result.is_ok() {
            buffer = comparable(&buffer);
        }
        (result, buffer)
    }

    fn close(&mut self, descriptor: u64) {
        let arguments = [Made::Number(descriptor)];
        let closed = self.system.make(libc::SYS_close, &arguments, &mut []);
        closed.expect("it was open");
    }

    /// The names in the directory at `path`, or why there are none.
    fn list(&mut self, path: &str) -> Result<Vec<Vec<u8>>, Errno> {
        let path = Made::Text(text(&format!("{}/{path}", self.directory)));
        let here = Made::Number(super::HERE);
        let flags = Made::Number(int(libc::O_DIRECTORY));
        let directory = self
            .system
            .make(libc::SYS_openat, &[here, path, flags], &mut [])?;
        let mut buffer = [0; 4096];
        let arguments = [Made::Number(directory), Made::Buffer, Made::Number(4096)];
        let length = self
            .system
            .make(libc::SYS_getdents64, &arguments, &mut buffer)?;
        self.close(directory);
        let mut names = super::directories::names(&buffer[..usize::try_from(length).unwrap()]);
        names.sort();
        Ok(names.into_iter().map(String::into_bytes).collect())
    }
}

fn text(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

/// The fields of a `struct stat` that don't depend on the system: the links, the mode, and the size
/// and space of what is no directory.
fn comparable(stat: &[u8]) -> Vec<u8> {
    let mode = u32::from_le_bytes(stat[24..28].try_into().expect("4 bytes"));
    let mut fields = stat[16..28].to_vec();
    if mode & libc::S_IFMT != libc::S_IFDIR {
        fields.extend_from_slice(&stat[48..56]);
    }
    if mode & libc::S_IFMT == libc::S_IFREG {
        fields.extend_from_slice(&stat[64..72]);
    }
    fields
}

/// Paths that often meet.
const PATHS: [&str; 21] = [
    "a", "b", "d", "d/a", "d/e", "d/e/f", "l", "m", "d/", "a/", "n/", "d/.", "d/..", "d/e/..",
    "l/a", "a/b", "n/a", ".", "d/e/", "l/", "d//a",
];

fn path() -> impl Strategy<Value = Argument> {
    prop::sample::select(&PATHS[..]).prop_map(|path| Argument::Path(path.to_owned()))
}

fn opening() -> impl Strategy<Value = Call> {
    let access =
        prop::sample::select(&[libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, libc::O_RDWR][..]);
    let extra = prop::sample::select(
        &[
            0,
            libc::O_CREAT,
            libc::O_CREAT,
            libc::O_CREAT | libc::O_EXCL,
            libc::O_CREAT | libc::O_TRUNC,
            libc::O_CREAT | libc::O_APPEND,
            libc::O_CREAT | libc::O_NOFOLLOW,
            libc::O_TRUNC,
            libc::O_DIRECTORY,
            libc::O_NOFOLLOW,
            libc::O_PATH,
            libc::O_PATH | libc::O_NOFOLLOW,
            libc::O_TMPFILE,
        ][..],
    );
    (path(), access, extra, 0..SLOTS).prop_map(|(path, access, extra, slot)| {
        let flags = Number(int(access | extra));
        Call {
            number: libc::SYS_openat,
            arguments: vec![Number(super::HERE), path, flags, Number(0o640)],
            opens: Some(slot),
        }
    })
}

fn length() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..40_u64, 2 => 4000..9000_u64, 1 => Just(4096_u64)]
}

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![4 => length(), 1 => 0..100_000_u64, 1 => Just(u64::MAX), 1 => Just(1 << 62)]
}

fn on_paths() -> impl Strategy<Value = Call> {
    let here = || Number(super::HERE);
    let removing = prop::sample::select(&[0, 0, libc::AT_REMOVEDIR][..]);
    let renaming =
        prop::sample::select(&[0, 0, 0, libc::RENAME_NOREPLACE, libc::RENAME_EXCHANGE, 8][..]);
    let linking = prop::sample::select(&[0, libc::AT_SYMLINK_FOLLOW][..]);
    let looking = prop::sample::select(&[0, libc::AT_SYMLINK_NOFOLLOW][..]);
    let targets = prop::sample::select(&["a", "d", "l", "m", "nothing", "e/f", "d/../a", ""][..]);
    prop_oneof![
        3 => path().prop_map(move |path| (libc::SYS_mkdirat, vec![here(), path, Number(0o750)])),
        3 => (path(), removing).prop_map(move |(path, flags)| {
            (libc::SYS_unlinkat, vec![here(), path, Number(int(flags))])
        }),
        3 => (path(), path(), renaming).prop_map(move |(old, new, flags)| {
            (libc::SYS_renameat2, vec![here(), old, here(), new, Number(u64::from(flags))])
        }),
        2 => (path(), path(), linking).prop_map(move |(old, new, flags)| {
            (libc::SYS_linkat, vec![here(), old, here(), new, Number(int(flags))])
        }),
        2 => (targets, path()).prop_map(move |(target, path)| {
            (libc::SYS_symlinkat, vec![Text(target.to_owned()), here(), path])
        }),
        1 => path().prop_map(move |path| {
            (libc::SYS_readlinkat, vec![here(), path, Buffer(50), Number(50)])
        }),
        3 => (path(), looking).prop_map(move |(path, flags)| {
            (libc::SYS_newfstatat, vec![here(), path, Buffer(144), Number(int(flags))])
        }),
        1 => path().prop_map(move |path| {
            (libc::SYS_mknodat, vec![here(), path, Number(u64::from(libc::S_IFREG | 0o600)), Number(0)])
        }),
        1 => (path(), position()).prop_map(|(path, size)| {
            (libc::SYS_truncate, vec![path, Number(size)])
        }),
        1 => (path(), 0..0o10_000_u64).prop_map(move |(path, mode)| {
            (libc::SYS_fchmodat, vec![here(), path, Number(mode)])
        }),
        1 => (path(), 0..8_u64).prop_map(move |(path, wanted)| {
            (libc::SYS_faccessat, vec![here(), path, Number(wanted)])
        }),
    ]
    .prop_map(|(number, arguments)| Call {
        number,
        arguments,
        opens: None,
    })
}

fn on_files() -> impl Strategy<Value = Call> {
    let file = || (0..SLOTS).prop_map(File);
    let whence = prop::sample::select(&[libc::SEEK_SET, libc::SEEK_CUR, libc::SEEK_END][..]);
    let modes = prop::sample::select(
        &[
            0,
            libc::FALLOC_FL_KEEP_SIZE,
            libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE,
        ][..],
    );
    prop_oneof![
        4 => (file(), length()).prop_map(|(file, length)| {
            (libc::SYS_write, vec![file, Buffer(length), Number(length)])
        }),
        3 => (file(), length()).prop_map(|(file, length)| {
            (libc::SYS_read, vec![file, Buffer(length), Number(length)])
        }),
        2 => (file(), length(), position()).prop_map(|(file, length, at)| {
            (libc::SYS_pwrite64, vec![file, Buffer(length), Number(length), Number(at)])
        }),
        2 => (file(), length(), position()).prop_map(|(file, length, at)| {
            (libc::SYS_pread64, vec![file, Buffer(length), Number(length), Number(at)])
        }),
        2 => (file(), position(), whence).prop_map(|(file, by, whence)| {
            (libc::SYS_lseek, vec![file, Number(by), Number(int(whence))])
        }),
        2 => (file(), position()).prop_map(|(file, size)| {
            (libc::SYS_ftruncate, vec![file, Number(size)])
        }),
        1 => (file(), modes, length(), length()).prop_map(|(file, mode, offset, length)| {
            let arguments = vec![file, Number(int(mode)), Number(offset), Number(length)];
            (libc::SYS_fallocate, arguments)
        }),
        2 => file().prop_map(|file| (libc::SYS_fstat, vec![file, Buffer(144)])),
    ]
    .prop_map(|(number, arguments)| Call {
        number,
        arguments,
        opens: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn scratch_files_behave_as_those_of_linux(
        calls in prop::collection::vec(prop_oneof![2 => opening(), 3 => on_paths(), 3 => on_files()], 1..80),
    ) {
        // Who isn't root may not open what has no permissions.
        if lacks(Need::Root) {
            return Ok(());
        }
        let folder = tempfile::tempdir_in("/dev/shm").expect("a folder of tmpfs");
        let everybodys = Permissions::from_mode(0o1777);
        fs::set_permissions(folder.path(), everybodys).expect("the folder is the test's own");
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o22));
        let mut guest = Side::new(Machine::new(), "/tmp");
        let mut host = Side::new(Host, folder.path().to_str().unwrap());
        for call in &calls {
            prop_assert_eq!(guest.call(call), host.call(call), "{:?} of {:?}", call, calls);
        }
        for path in ["", "d", "d/e"] {
            prop_assert_eq!(guest.list(path), host.list(path), "{}", path);
        }
        for slot in 0..SLOTS {
            if let Some(descriptor) = host.open[slot].take() {
                host.close(descriptor);
            }
        }
    }
}
