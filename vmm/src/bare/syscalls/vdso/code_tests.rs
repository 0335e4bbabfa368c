//! Runs the vDSO's code in this process, with the clock page as the VMM fills it. A system call of
//! the code then goes to the host.

use nix::time::{ClockId, clock_getres};

use super::image::image;
use super::tests::has_constant_counter;
use super::{Clock, nanoseconds, ticks};

/// The offset of the clock page in [`Code`], in bytes.
const CLOCK_PAGE: usize = 4096;
/// The most nanoseconds by which a clock may differ from the host's: a measured rate is a little
/// off.
const TOLERANCE: u64 = 10_000;

/// The vDSO's two pages, in memory that may be run.
struct Code(*const u8);

impl Code {
    fn with_clock_page(clock_page: &[u8]) -> Self {
        let mut pages = vec![0_u8; 8192];
        pages[..image().len()].copy_from_slice(image());
        pages[CLOCK_PAGE..CLOCK_PAGE + clock_page.len()].copy_from_slice(clock_page);
        Self(executable(&pages))
    }

    /// Code that computes the time. The result is `None` on a host whose counter has no constant
    /// rate.
    fn that_computes() -> Option<Self> {
        if !has_constant_counter() {
            return None;
        }
        let mut clock = Clock::new();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let page = clock.refresh(ticks()).unwrap();
        Some(Self::with_clock_page(
            &[&[0; 8][..], &page.numbers()].concat(),
        ))
    }

    /// Code that asks the system for the time, as with a clock page that is never valid.
    fn that_asks() -> Self {
        Self::with_clock_page(&[2, 0, 0, 0])
    }

    /// Calls the function `name` with two arguments.
    fn call<First, Second>(&self, name: &str, first: *mut First, second: *mut Second) -> i64 {
        let elf = goblin::elf::Elf::parse(image()).unwrap();
        let symbol = elf
            .dynsyms
            .iter()
            .find(|symbol| elf.dynstrtab.get_at(symbol.st_name) == Some(name))
            .unwrap();
        let entry = self
            .0
            .wrapping_add(usize::try_from(symbol.st_value).unwrap());
        // SAFETY: `entry` is a function of the vDSO, each of which takes at most two numbers or
        // pointers in registers and leaves a number in RAX.
        let function: extern "C" fn(*mut First, *mut Second) -> i64 =
            unsafe { std::mem::transmute(entry) };
        function(first, second)
    }

    /// A clock in nanoseconds, by `__vdso_clock_gettime`.
    fn clock(&self, id: ClockId) -> u64 {
        let mut time = [0_u64; 2];
        assert_eq!(
            self.call("__vdso_clock_gettime", number(id), &raw mut time),
            0
        );
        time[0] * 1_000_000_000 + time[1]
    }

    /// The real-time clock in microseconds, by `__vdso_gettimeofday`.
    fn time_of_day(&self) -> u64 {
        let mut time = [0_u64; 2];
        let no_zone = std::ptr::null_mut::<u8>();
        assert_eq!(self.call("__vdso_gettimeofday", &raw mut time, no_zone), 0);
        time[0] * 1_000_000 + time[1]
    }

    /// The real-time clock in seconds, by `__vdso_time`. The value is both returned and stored.
    fn seconds(&self) -> u64 {
        let mut stored = 0_i64;
        let unused = std::ptr::null_mut::<u8>();
        let returned = self.call("__vdso_time", &raw mut stored, unused);
        assert_eq!(returned, stored);
        stored.cast_unsigned()
    }
}

/// A number in the place of a pointer.
fn number(id: ClockId) -> *mut u8 {
    std::ptr::without_provenance_mut(usize::try_from(id.as_raw()).unwrap())
}

/// A copy of these whole pages that may be run.
fn executable(pages: &[u8]) -> *const u8 {
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, as long as the bytes copied to it; it stays for good.
    unsafe {
        let place = libc::mmap(std::ptr::null_mut(), pages.len(), all, kind, -1, 0);
        assert_ne!(place, libc::MAP_FAILED);
        place.copy_from(pages.as_ptr().cast(), pages.len());
        place.cast_const().cast()
    }
}

/// Checks that `shown` lies between the host's clock before and after, in units of `unit`
/// nanoseconds.
#[track_caller]
fn expect_host_time(clock: ClockId, unit: u64, show: impl Fn() -> u64) {
    let before = (nanoseconds(clock).unwrap() - TOLERANCE) / unit;
    let shown = show();
    let after = (nanoseconds(clock).unwrap() + TOLERANCE) / unit;
    assert!(
        (before..=after).contains(&shown),
        "{before} {shown} {after}"
    );
}

fn expect_host_times(code: &Code) {
    for id in [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_REALTIME] {
        expect_host_time(id, 1, || code.clock(id));
    }
    expect_host_time(ClockId::CLOCK_REALTIME, 1000, || code.time_of_day());
    expect_host_time(ClockId::CLOCK_REALTIME, 1_000_000_000, || code.seconds());
}

#[test]
fn the_code_computes_the_hosts_time() {
    if let Some(code) = Code::that_computes() {
        expect_host_times(&code);
    }
}

#[test]
fn the_code_asks_for_the_time_when_the_clock_page_is_never_valid() {
    expect_host_times(&Code::that_asks());
}

#[test]
fn the_time_need_not_be_stored() {
    let nowhere = std::ptr::null_mut::<u8>();
    for code in [Code::that_computes(), Some(Code::that_asks())] {
        let Some(code) = code else { continue };
        expect_host_time(ClockId::CLOCK_REALTIME, 1_000_000_000, || {
            code.call("__vdso_time", nowhere, nowhere).cast_unsigned()
        });
    }
}

#[test]
fn the_only_processor_has_number_0() {
    let code = Code::that_asks();
    let nowhere = std::ptr::null_mut::<u32>();
    let mut pair = [7_u32; 2];
    let [processor, node] = &mut pair;
    assert_eq!(
        code.call("__vdso_getcpu", &raw mut *processor, &raw mut *node),
        0
    );
    assert_eq!(pair, [0, 0]);
    assert_eq!(code.call("__vdso_getcpu", nowhere, nowhere), 0);
}

#[test]
fn of_several_processors_the_system_tells_which_one_it_is() {
    let mut clock_page = [0; 52];
    clock_page[48] = 1;
    let code = Code::with_clock_page(&clock_page);
    let mut pair = [u32::MAX; 2];
    let [processor, node] = &mut pair;
    assert_eq!(
        code.call("__vdso_getcpu", &raw mut *processor, &raw mut *node),
        0
    );
    assert!(!pair.contains(&u32::MAX), "{pair:?}");
}

#[test]
fn the_host_tells_the_resolution() {
    let code = Code::that_asks();
    for id in [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_REALTIME_COARSE] {
        let mut time = [0_i64; 2];
        assert_eq!(
            code.call("__vdso_clock_getres", number(id), &raw mut time),
            0
        );
        let expected = clock_getres(id).unwrap();
        assert_eq!(time, [expected.tv_sec(), expected.tv_nsec()], "{id}");
    }
}
