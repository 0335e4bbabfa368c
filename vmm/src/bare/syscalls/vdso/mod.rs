#![expect(unsafe_code, reason = "reads the time-stamp counter")]
//! Clocks without a VM exit: a vDSO in the guest that computes the time from the processor's
//! counter.
//!
//! A program that times each of its disk accesses would pay two exits for the clock beside the exit
//! for the access, and would measure them. So the guest gets what Linux gives to a process: a page
//! of code that reads `rdtsc`, and a page of numbers (the *clock page*) by which the code turns
//! ticks into nanoseconds. The VMM fills the clock page when the code asks for it with a system
//! call ([`REFRESH`]): at the first clock reading, and then at most once a second.
//!
//! The guest's counter must be the host's. So the code sends its reading with the call, and the VMM
//! checks that the reading lies between the host's counter at the VMM's start and the counter now.
//! If the reading does not, the clock page says "never", and every clock reading is a system call.

#[cfg(test)]
mod code_tests;
mod image;
#[cfg(test)]
mod image_tests;

use std::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};
use std::sync::atomic::{Ordering, fence};

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::guest::{self, put};
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

pub(crate) use image::tell_of_processors;
pub use image::{LENGTH, install};

/// The system call that asks for the clock page. Its arguments are the page's address and the
/// guest's counter, and its number is none of Linux's.
pub(super) const REFRESH: u64 = 0x6973_6f62;

/// What the clock page says where it is never to be used.
const NEVER: [u8; 4] = [2, 0, 0, 0];
/// The offsets of the page's generation and of its numbers.
const GENERATION: u64 = 4;
const NUMBERS: u64 = 8;

/// The longest use of a clock page, in nanoseconds. Then the host's clock is read again.
const LONGEST_USE: u64 = 1_000_000_000;
/// The use of a clock page, as a multiple of the time over which its rate was measured. An error of
/// 50 ns in the measurement then stays below a microsecond in use.
const USE_FACTOR: u64 = 16;

/// The counter and the host's clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    ticks: u64,
    monotonic: u64,
    realtime: u64,
}

impl Reading {
    /// Reads all three, and returns the least disturbed of three tries.
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

/// Whether the counter runs at one rate in all states of the processor (CPUID leaf 80000007h, EDX
/// bit 8).
fn counter_is_invariant() -> bool {
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0
}

/// The numbers from which the guest computes the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClockPage {
    from: Reading,
    /// The nanoseconds of a tick, times 2^32.
    multiplier: u64,
    /// The ticks after `from` for which the page may be used.
    valid_ticks: u64,
}

impl ClockPage {
    /// Makes a page from two readings, of which the first was long ago.
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
        let valid = time.saturating_mul(USE_FACTOR).min(LONGEST_USE);
        let valid_ticks =
            u64::try_from((u128::from(valid) << 32) / u128::from(multiplier.max(1))).ok()?;
        Some(Self {
            from: now,
            multiplier,
            valid_ticks,
        })
    }

    /// The monotonic clock that the guest computes from the counter.
    fn monotonic_at(&self, ticks: u64) -> u64 {
        let since = u128::from(ticks.saturating_sub(self.from.ticks)) * u128::from(self.multiplier);
        self.from
            .monotonic
            .saturating_add(u64::try_from(since >> 32).unwrap_or(u64::MAX))
    }

    /// The page's numbers as `image.s` reads them, from [`NUMBERS`] on.
    fn numbers(&self) -> [u8; 40] {
        let mut numbers = [0; 40];
        put(&mut numbers, 0, self.from.ticks.to_le_bytes());
        put(&mut numbers, 8, self.valid_ticks.to_le_bytes());
        put(&mut numbers, 16, self.multiplier.to_le_bytes());
        put(&mut numbers, 24, self.from.realtime.to_le_bytes());
        put(&mut numbers, 32, self.from.monotonic.to_le_bytes());
        numbers
    }
}

/// What the VMM knows about the guest's clock page.
#[derive(Debug)]
pub(super) struct Clock {
    /// The reading at the time when the personality was made.
    start: Option<Reading>,
    page: Option<ClockPage>,
    /// The number of the page that the guest has, times two. It is odd while the page is filled, so
    /// that a thread that reads the page meanwhile, or was stopped within, begins again.
    generation: u32,
}

impl Clock {
    pub fn new() -> Self {
        Self {
            start: Reading::now().ok(),
            page: None,
            generation: 0,
        }
    }

    /// The next clock page for a guest whose counter has just shown `guest_ticks`.
    ///
    /// The guest's monotonic clock never goes back: if the last page ran ahead of the host's clock,
    /// the next page goes on from there.
    fn refresh(&mut self, guest_ticks: u64) -> Option<ClockPage> {
        // CPUID is run only now, since in a VM it is an exit to the host's own hypervisor.
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

    /// Fills the clock page at `address` for a guest whose counter has just shown `guest_ticks`.
    ///
    /// # Errors
    /// `ENOSYS`: the page says "never". `EFAULT`: the page can't be written.
    fn fill(
        &mut self,
        memory: &mut AddressSpace,
        address: u64,
        guest_ticks: u64,
    ) -> Result<(), Errno> {
        let filling = self.generation.wrapping_add(1);
        self.generation = filling.wrapping_add(1);
        let generation_at = address.wrapping_add(GENERATION);
        guest::write(memory, generation_at, &filling.to_le_bytes())?;
        // From here on nobody uses the old numbers, which may run ahead of the new ones. All other
        // writes must stay between the two of the generation.
        fence(Ordering::SeqCst);
        let filled = match self.refresh(guest_ticks) {
            Some(page) => guest::write(memory, address.wrapping_add(NUMBERS), &page.numbers()),
            None => guest::write(memory, address, &NEVER).and(Err(Errno::ENOSYS)),
        };
        fence(Ordering::SeqCst);
        guest::write(memory, generation_at, &self.generation.to_le_bytes()).and(filled)
    }
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    if call.number != REFRESH {
        return None;
    }
    let [address, guest_ticks, ..] = call.arguments;
    let filled = state.clock.fill(memory, address, guest_ticks);
    Some(filled.map(|()| 0).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, skip};

    use super::*;

    /// Whether the host's counter runs at one rate. If it doesn't, the test skips itself.
    pub fn has_constant_counter() -> bool {
        let is_constant = counter_is_invariant();
        if !is_constant {
            skip(Need::ConstantCounter, "the counter has no constant rate");
        }
        is_constant
    }

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
        if !has_constant_counter() {
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
}
