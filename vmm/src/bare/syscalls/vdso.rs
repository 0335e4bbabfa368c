#![expect(
    unsafe_code,
    reason = "assembles the vDSO's image and reads the time-stamp counter"
)]
//! Clocks without a VM exit: a vDSO in the guest that computes the time from the processor's counter.
//!
//! A program that times each of its disk accesses would pay two exits for the clock beside the one for the access,
//! and measure them. So the guest gets what Linux gives a process: a page of code that reads `rdtsc`, and a page of
//! numbers (the *clock page*) that turns ticks into nanoseconds. The VMM fills the clock page when the code asks for
//! it, by a system call of its own ([`REFRESH`]): at the first clock reading, and then once a second at most.
//!
//! The guest's counter must be the host's. The code sends its reading along, and the VMM checks that it lies between
//! the host's counter at its own start and now; where it doesn't, the page says "never", and clocks stay system calls.

use std::arch::global_asm;
use std::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};
use std::slice;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::guest::{self, put};
use super::{Personality, Served, SystemCall};
use crate::bare::address_space::{AddressSpace, Backing, MapError, Placement, Protection};
use crate::memory::PAGE;

global_asm!(include_str!("vdso_image.s"));

unsafe extern "C" {
    #[link_name = "isobench_vdso_start"]
    static IMAGE_START: u8;
    #[link_name = "isobench_vdso_end"]
    static IMAGE_END: u8;
}

/// The system call that asks for the clock page: its address, and the guest's counter. No number of Linux's.
pub(super) const REFRESH: u64 = 0x6973_6f62;

/// The longest that a clock page is good for, before the host's clock is asked again.
const LONGEST: u64 = 1_000_000_000;
/// A clock page is good for so many times the span that its rate was measured over: an error of 50 ns in
/// measuring stays below a microsecond in use.
const TRUST: u64 = 16;

/// Puts the vDSO's two pages into a program's address space, and says where: the value of `AT_SYSINFO_EHDR`.
///
/// # Errors
/// There is no room.
pub fn install(memory: &mut AddressSpace) -> Result<u64, MapError> {
    let anywhere = Placement::Anywhere { hint: 0 };
    let clock_page = memory.map(anywhere, PAGE, Protection::READ_WRITE, Backing::Anonymous)?;
    let start = clock_page.checked_sub(PAGE).ok_or(MapError::NoMemory)?;
    let place = Placement::FixedNoReplace(start);
    memory.map(
        place,
        PAGE,
        Protection::READ_EXECUTE,
        Backing::Bytes(image()),
    )
}

/// The ELF image: less than a page.
pub(super) fn image() -> &'static [u8] {
    let start = &raw const IMAGE_START;
    let end = &raw const IMAGE_END;
    // SAFETY: the assembler put both symbols around the bytes of one read-only section.
    unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}

/// The counter and the host's clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    ticks: u64,
    monotonic: u64,
    realtime: u64,
}

impl Reading {
    /// Reads all three; the least disturbed of three tries.
    fn now() -> Result<Self, Errno> {
        let mut best: Option<(u64, Self)> = None;
        for _ in 0..3 {
            let before = ticks();
            let monotonic = nanoseconds(ClockId::CLOCK_MONOTONIC)?;
            let after = ticks();
            let realtime = nanoseconds(ClockId::CLOCK_REALTIME)?;
            let gap = after.saturating_sub(before);
            if best.is_none_or(|(least, _)| gap < least) {
                best = Some((
                    gap,
                    Self {
                        ticks: before + gap / 2,
                        monotonic,
                        realtime,
                    },
                ));
            }
        }
        best.map(|(_, reading)| reading).ok_or(Errno::EINVAL)
    }
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has both instructions.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

fn nanoseconds(clock: ClockId) -> Result<u64, Errno> {
    let time = clock_gettime(clock)?;
    let seconds = u64::try_from(time.tv_sec()).map_err(|_| Errno::EINVAL)?;
    let part = u64::try_from(time.tv_nsec()).map_err(|_| Errno::EINVAL)?;
    seconds
        .checked_mul(1_000_000_000)
        .and_then(|whole| whole.checked_add(part))
        .ok_or(Errno::EINVAL)
}

/// Whether the counter runs at one rate in all states of the processor (CPUID leaf 80000007h, EDX bit 8).
fn counter_is_invariant() -> bool {
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0
}

/// How to compute the time, until it is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClockPage {
    from: Reading,
    /// Nanoseconds a tick, times 2^32.
    multiplier: u64,
    valid_ticks: u64,
}

impl ClockPage {
    /// A page from two readings, the first of them long ago.
    fn measured(first: Reading, now: Reading) -> Option<Self> {
        let ticks = now
            .ticks
            .checked_sub(first.ticks)
            .filter(|&ticks| ticks > 0)?;
        let time = now
            .monotonic
            .checked_sub(first.monotonic)
            .filter(|&time| time > 0)?;
        let multiplier = u64::try_from((u128::from(time) << 32) / u128::from(ticks)).ok()?;
        let valid = time.saturating_mul(TRUST).min(LONGEST);
        let valid_ticks =
            u64::try_from((u128::from(valid) << 32) / u128::from(multiplier.max(1))).ok()?;
        Some(Self {
            from: now,
            multiplier,
            valid_ticks,
        })
    }

    /// What the guest computes as the monotonic clock at a reading of the counter.
    fn monotonic_at(&self, ticks: u64) -> u64 {
        let since = u128::from(ticks.saturating_sub(self.from.ticks)) * u128::from(self.multiplier);
        self.from
            .monotonic
            .saturating_add(u64::try_from(since >> 32).unwrap_or(u64::MAX))
    }

    /// The bytes as `vdso_image.s` reads them.
    fn bytes(&self) -> [u8; 48] {
        let mut page = [0; 48];
        put(&mut page, 0, 1_u32.to_le_bytes());
        put(&mut page, 8, self.from.ticks.to_le_bytes());
        put(&mut page, 16, self.valid_ticks.to_le_bytes());
        put(&mut page, 24, self.multiplier.to_le_bytes());
        put(&mut page, 32, self.from.realtime.to_le_bytes());
        put(&mut page, 40, self.from.monotonic.to_le_bytes());
        page
    }
}

/// What the VMM remembers about the guest's clock page.
#[derive(Debug)]
pub(super) struct Clock {
    /// When the personality was made.
    start: Option<Reading>,
    page: Option<ClockPage>,
}

impl Clock {
    pub fn new() -> Self {
        Self {
            start: Reading::now().ok(),
            page: None,
        }
    }

    /// The next clock page for a guest whose counter has just shown `guest_ticks`.
    ///
    /// The monotonic clock never goes back: a page that ran ahead of the host's clock is carried on from.
    fn refresh(&mut self, guest_ticks: u64) -> Option<ClockPage> {
        // Asked only now: in a VM, CPUID is an exit to the host's own hypervisor.
        if self.page.is_none() && !counter_is_invariant() {
            return None;
        }
        let start = self.start?;
        let mut now = Reading::now().ok()?;
        if !(start.ticks..=now.ticks).contains(&guest_ticks) {
            return None;
        }
        let mut page = ClockPage::measured(start, now)?;
        if let Some(before) = self.page {
            now.monotonic = now.monotonic.max(before.monotonic_at(now.ticks));
            page.from = now;
        }
        self.page = Some(page);
        Some(page)
    }
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<Served> {
    if call.number != REFRESH {
        return None;
    }
    let [address, guest_ticks, ..] = call.arguments;
    let page = state.clock.refresh(guest_ticks);
    // State 2: never ask again.
    let never = [2, 0, 0, 0];
    let written = match page {
        Some(page) => guest::write(memory, address, &page.bytes()),
        None => guest::write(memory, address, &never).and(Err(Errno::ENOSYS)),
    };
    Some(written.map(|()| 0).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Reading = Reading {
        ticks: 1000,
        monotonic: 5_000_000,
        realtime: 9_000_000,
    };

    fn later(ticks: u64, nanoseconds: u64) -> Reading {
        Reading {
            ticks: START.ticks + ticks,
            monotonic: START.monotonic + nanoseconds,
            realtime: START.realtime + nanoseconds,
        }
    }

    #[test]
    fn the_rate_is_the_one_between_two_readings() {
        // 2.5 GHz over a millisecond.
        let now = later(2_500_000, 1_000_000);
        let page = ClockPage::measured(START, now).unwrap();
        assert_eq!(page.monotonic_at(now.ticks), now.monotonic);
        assert_eq!(page.monotonic_at(now.ticks + 2500), now.monotonic + 999);
        // Good for sixteen times as long, and for a second at most.
        assert!((39_999_999..=40_000_001).contains(&page.valid_ticks));
        let long = ClockPage::measured(START, later(250_000_000_000, 100_000_000_000)).unwrap();
        assert!((2_499_999_990..=2_500_000_010).contains(&long.valid_ticks));
    }

    #[test]
    fn a_counter_that_stands_still_or_goes_back_gives_no_page() {
        assert_eq!(ClockPage::measured(START, START), None);
        assert_eq!(ClockPage::measured(later(5, 5), START), None);
    }

    #[test]
    fn the_guests_clock_never_goes_back() {
        let mut clock = Clock::new();
        if !counter_is_invariant() {
            eprintln!("skipped: the processor's counter has no constant rate");
            return;
        }
        let mut last = 0;
        for _ in 0..100 {
            let page = clock.refresh(ticks()).unwrap();
            assert!(page.monotonic_at(page.from.ticks) >= last);
            last = page.monotonic_at(ticks());
        }
    }

    #[test]
    fn a_foreign_counter_is_refused() {
        let mut clock = Clock::new();
        assert_eq!(clock.refresh(0), None);
        assert_eq!(clock.refresh(u64::MAX), None);
    }

    #[test]
    fn the_image_is_an_elf_file_that_names_its_functions() {
        let elf = goblin::elf::Elf::parse(image()).unwrap();
        let names: Vec<&str> = elf
            .dynsyms
            .iter()
            .filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name))
            .collect();
        assert_eq!(names, ["", "__vdso_clock_gettime", "__vdso_gettimeofday"]);
        assert_eq!(elf.soname, Some("linux-vdso.so.1"));
        assert!(image().len() < 4096);
    }

    /// Runs the image's own code in this process, with the clock page as the VMM fills it.
    #[test]
    fn the_code_computes_the_hosts_time() {
        if !counter_is_invariant() {
            eprintln!("skipped: the processor's counter has no constant rate");
            return;
        }
        let mut pages = vec![0_u8; 8192];
        pages[..image().len()].copy_from_slice(image());
        let mut clock = Clock::new();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let page = clock.refresh(ticks()).unwrap();
        pages[4096..4096 + 48].copy_from_slice(&page.bytes());
        let code = executable(&pages);
        let elf = goblin::elf::Elf::parse(image()).unwrap();
        let symbol = elf.dynsyms.iter().nth(1).unwrap();
        let entry = code.wrapping_add(usize::try_from(symbol.st_value).unwrap());
        // SAFETY: `entry` is `__vdso_clock_gettime`, which has this signature.
        let function: extern "C" fn(i32, *mut [u64; 2]) -> i32 =
            unsafe { std::mem::transmute(entry) };
        for id in [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_REALTIME] {
            let before = nanoseconds(id).unwrap();
            let mut time = [0; 2];
            assert_eq!(function(id.as_raw(), &raw mut time), 0);
            let after = nanoseconds(id).unwrap();
            let shown = time[0] * 1_000_000_000 + time[1];
            // A measured rate is a little off, here for some microseconds only.
            assert!(
                shown + 10_000 >= before && shown <= after + 10_000,
                "{before} {shown} {after}"
            );
        }
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
}
