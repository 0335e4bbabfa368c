//! `--trace`: one line on the host's standard error for each system call, in the format of strace.

use std::fmt::Write as _;
use std::io::Write as _;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use nix::sys::signal::Signal;

use super::surface::group_of;
use super::trace_table::{Kind, Names, OPENING, arguments};
use super::vdso::REFRESH;
use super::{CallEffect, SystemCall, ThreadId, guest};
use crate::bare::address_space::AddressSpace;

/// The most bytes of a path or of data that are shown.
const SHOWN: usize = 48;

/// The line of a call, with the arguments as they were before the call was served.
#[derive(Debug)]
pub(super) struct Line {
    call: String,
}

impl Line {
    /// The line begins with the number of the `thread`, if the program has several.
    pub fn new(call: &SystemCall, memory: &AddressSpace, thread: Option<ThreadId>) -> Self {
        let shown = |(index, kind): (usize, &Kind)| show(call, memory, index, *kind);
        let list: Vec<String> = arguments(call.linux_number())
            .iter()
            .enumerate()
            .take_while(|(index, kind)| !matches!(kind, Kind::Octal) || creates(call, *index))
            .map(shown)
            .collect();
        let thread = thread.map_or_else(String::new, |thread| format!("[pid {thread}] "));
        Self {
            call: format!("{thread}{}({})", name(call.number), list.join(", ")),
        }
    }

    /// Writes the line with the call's effect.
    pub fn write(self, call: &SystemCall, effect: CallEffect) {
        let line = self.finish(call, effect);
        // A trace that can't be written is no reason to stop the program.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// The whole line.
    pub fn finish(self, call: &SystemCall, effect: CallEffect) -> String {
        let mut line = self.call;
        let result = match effect {
            CallEffect::Return(value) => result(call, value),
            CallEffect::SetFsBase(_) | CallEffect::SetGsBase(_) => "0".to_owned(),
            CallEffect::Exit(code) => format!("?\n+++ exited with {code} +++"),
            CallEffect::Signal(number) => {
                format!("?\n+++ killed by {} +++", signal(c_int::from(number)))
            }
            CallEffect::Wait => "? (waits)".to_owned(),
            CallEffect::NewThread(new) => new.id.to_string(),
            CallEffect::EndThread => "?\n+++ thread exited +++".to_owned(),
            CallEffect::EndHandler => "?".to_owned(),
        };
        let refused = CallEffect::Return(-i64::from(Errno::ENOSYS as c_int));
        let note = group_of(refused_call(call))
            .filter(|group| effect == refused && !group.note.is_empty())
            .map_or_else(String::new, |group| {
                format!(" /* {}: {} */", group.extent.name(), group.note)
            });
        // Writing to a string can't fail.
        let _ = writeln!(line, " = {result}{note}");
        line
    }
}

/// The call whose note says why `call` is refused: a `clone` is refused if it would be a fork.
fn refused_call(call: &SystemCall) -> c_long {
    match call.linux_number() {
        libc::SYS_clone | libc::SYS_clone3 => libc::SYS_fork,
        number => number,
    }
}

/// The name of a system call, or its number if it has no name.
fn name(number: u64) -> String {
    if number == REFRESH {
        return "isobench_clock_page".to_owned();
    }
    usize::try_from(number)
        .ok()
        .and_then(syscalls::Sysno::new)
        .map_or_else(
            || format!("syscall_{number}"),
            |known| known.name().to_owned(),
        )
}

/// Whether a call has an argument of permissions: `open` has one only with `O_CREAT`.
fn creates(call: &SystemCall, index: usize) -> bool {
    let opens = [libc::SYS_open, libc::SYS_openat].contains(&call.linux_number());
    !opens || (index > 0 && call.int(index - 1) & libc::O_CREAT != 0)
}

fn show(call: &SystemCall, memory: &AddressSpace, index: usize, kind: Kind) -> String {
    let register = call.arguments[index];
    let value = call.int(index);
    match kind {
        Kind::Directory if value == libc::AT_FDCWD => "AT_FDCWD".to_owned(),
        Kind::Int | Kind::Directory => value.to_string(),
        Kind::Long => call.long(index).to_string(),
        Kind::Size => register.to_string(),
        Kind::Hex if register == 0 => "0".to_owned(),
        Kind::Hex => format!("{register:#x}"),
        Kind::Octal => format!("{value:#o}"),
        Kind::Path => guest::read_path(memory, register).map_or_else(
            |_| format!("{register:#x}"),
            |path| quote(&path, path.len()),
        ),
        Kind::Data => data(
            memory,
            register,
            call.arguments.get(index + 1).copied().unwrap_or_default(),
        ),
        Kind::One(names) => names
            .iter()
            .find(|(known, _)| *known == value)
            .map_or_else(|| format!("{value:#x}"), |(_, name)| (*name).to_owned()),
        Kind::Bits(names) => bits(value, names, "0"),
        Kind::Opening => opening(value),
        Kind::Signal => signal(value),
    }
}

/// Shows the first bytes of a buffer that the program passes.
fn data(memory: &AddressSpace, address: u64, length: u64) -> String {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(SHOWN)];
    match memory.read(address, &mut bytes) {
        Ok(()) => quote(&bytes, length),
        Err(_) => format!("{address:#x}"),
    }
}

fn quote(bytes: &[u8], length: usize) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let more = if shown.len() < length { "..." } else { "" };
    format!("\"{}\"{more}", shown.escape_ascii())
}

/// Shows combined bits by their names, or `none` if no bit is set.
fn bits(value: c_int, names: Names, none: &str) -> String {
    let mut left = value;
    let mut shown = Vec::new();
    for &(bit, name) in names {
        if bit != 0 && left & bit == bit {
            shown.push(name.to_owned());
            left &= !bit;
        }
    }
    if left != 0 {
        shown.push(format!("{left:#x}"));
    }
    if shown.is_empty() {
        none.to_owned()
    } else {
        shown.join("|")
    }
}

fn opening(flags: c_int) -> String {
    let access = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => "O_RDONLY",
        libc::O_WRONLY => "O_WRONLY",
        libc::O_RDWR => "O_RDWR",
        _ => "O_ACCMODE",
    };
    match bits(flags & !libc::O_ACCMODE, OPENING, "") {
        bits if bits.is_empty() => access.to_owned(),
        bits => format!("{access}|{bits}"),
    }
}

fn signal(number: c_int) -> String {
    Signal::try_from(number)
        .map_or_else(|_| number.to_string(), |signal| signal.as_str().to_owned())
}

fn result(call: &SystemCall, value: i64) -> String {
    let addresses = [libc::SYS_brk, libc::SYS_mmap, libc::SYS_mremap];
    match i32::try_from(value.wrapping_neg()).map(Errno::from_raw) {
        Ok(errno) if (-4095..0).contains(&value) => format!("-1 {errno:?} ({})", errno.desc()),
        _ if addresses.contains(&call.linux_number()) => format!("{value:#x}"),
        _ => value.to_string(),
    }
}
