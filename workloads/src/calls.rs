//! The answers that a program in a target gets when it tries every system call, written and parsed.
//!
//! ```text
//! isobench/1 calls kernel=6.1.0-13-amd64_SMP boot=0d9b...-... uptime=7200
//!     answered=0-14,16-161 refused=163 unknown=335-423 untried=15,162
//! ```
//!
//! This is one line. Each number below [`CALLS`] is in exactly one of the four sets: a line that
//! leaves a number out, or has a number in two sets, is refused.

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;

use nix::sys::utsname::uname;
use nix::time::{ClockId, clock_gettime};

/// One above the highest number that is tried. Linux 6.17 has calls up to 469.
pub const CALLS: u16 = 512;

/// The longest name of a kernel that is passed on, in bytes: two fields of uname(2) and a space.
const MOST_NAME: usize = 129;
/// The length of a boot's identity, which is a UUID (random(4)).
const BOOT: usize = 36;

/// A set of system-call numbers below [`CALLS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallSet([u64; CALLS as usize / 64]);

impl CallSet {
    /// Adds `number` to the set. A number of [`CALLS`] or above is ignored.
    pub fn insert(&mut self, number: u16) {
        if let Some(word) = self.0.get_mut(usize::from(number / 64)) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u16) -> bool {
        let word = self.0.get(usize::from(number / 64));
        word.is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The numbers in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..CALLS).filter(|number| self.contains(*number))
    }

    /// The numbers in the set, as ranges that are as long as possible.
    fn ranges(&self) -> Vec<RangeInclusive<u16>> {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for number in self.iter() {
            match ranges.last_mut() {
                Some(last) if *last.end() + 1 == number => *last = *last.start()..=number,
                _ => ranges.push(number..=number),
            }
        }
        ranges
    }

    /// Reads a set that [`fmt::Display`] has written; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for range in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            if last >= CALLS {
                return None;
            }
            (first..=last).for_each(|number| set.insert(number));
        }
        // A text that is written in another way, out of order or with a sign for example, is
        // refused.
        (set.to_string() == text).then_some(set)
    }
}

impl FromIterator<u16> for CallSet {
    fn from_iter<I: IntoIterator<Item = u16>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

impl fmt::Display for CallSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{}", range.start())?;
            if range.start() < range.end() {
                write!(formatter, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

/// The kernel that a program runs on, as the program sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelSeen {
    /// The release and version of uname(2), as one word.
    pub name: String,
    /// The identity of the kernel's boot; empty if the program sees none.
    pub boot: String,
    /// How long ago the kernel booted, in seconds.
    pub uptime: u64,
}

impl KernelSeen {
    /// The kernel as this program sees it now.
    pub fn now() -> Self {
        let name = uname().map_or_else(
            |_| String::new(),
            |name| {
                let fields = [name.release(), name.version()];
                fields.map(|field| field.to_string_lossy()).join(" ")
            },
        );
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = Some(boot.trim()).filter(|boot| is_boot(boot));
        let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| time.tv_sec());
        Self {
            name: word(&name),
            boot: boot.unwrap_or_default().to_owned(),
            uptime: u64::try_from(uptime).unwrap_or(0),
        }
    }

    /// Whether `other`, seen at the same time, is the same kernel. Kernels with the same boot
    /// identity are the same. Some runtimes give their containers another identity, but not another
    /// age and name.
    pub fn is_same(&self, other: &Self) -> bool {
        /// By how many seconds the ages of one kernel may differ.
        const APART: u64 = 2;
        let same_boot = !self.boot.is_empty() && self.boot == other.boot;
        same_boot || self.name == other.name && self.uptime.abs_diff(other.uptime) <= APART
    }
}

/// The answer to every system call that a program has tried, and the kernel that answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    /// The kernel, as the program sees it.
    pub kernel: KernelSeen,
    /// The calls that gave a result, or an error that says what was wrong with the arguments.
    pub answered: CallSet,
    /// The calls that failed with `EPERM`, or that killed the program with `SIGSYS`.
    pub refused: CallSet,
    /// The calls that failed with `ENOSYS`.
    pub unknown: CallSet,
    /// The calls that were not tried, because they would have ended the program or changed the
    /// host.
    pub untried: CallSet,
}

impl Calls {
    /// Reads the words after `calls`; `None` if they are no such message.
    pub fn parse<'l>(mut words: impl Iterator<Item = &'l str>) -> Option<Self> {
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let calls = Self {
            kernel: KernelSeen {
                name: field("kernel")?.to_owned(),
                boot: field("boot")?.to_owned(),
                uptime: number(field("uptime")?)?,
            },
            answered: CallSet::parse(field("answered")?)?,
            refused: CallSet::parse(field("refused")?)?,
            unknown: CallSet::parse(field("unknown")?)?,
            untried: CallSet::parse(field("untried")?)?,
        };
        let sound =
            is_name(&calls.kernel.name) && is_boot(&calls.kernel.boot) && calls.is_partition();
        (words.next().is_none() && sound).then_some(calls)
    }

    /// Whether each number is in exactly one of the four sets.
    fn is_partition(&self) -> bool {
        let sets = [self.answered, self.refused, self.unknown, self.untried];
        (0..CALLS).all(|number| sets.iter().filter(|set| set.contains(number)).count() == 1)
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel: KernelSeen { name, boot, uptime },
            answered,
            refused,
            unknown,
            untried,
        } = self;
        write!(
            formatter,
            "calls kernel={name} boot={boot} uptime={uptime} answered={answered} \
             refused={refused} unknown={unknown} untried={untried}"
        )
    }
}

/// `text` as one word. Only characters that a kernel's name may have are kept, and at most
/// [`MOST_NAME`] of them.
fn word(text: &str) -> String {
    let bytes = text
        .bytes()
        .map(|byte| if byte == b' ' { b'_' } else { byte });
    let known = bytes.filter(|byte| is_of_name(*byte));
    known.take(MOST_NAME).map(char::from).collect()
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_+~".contains(&byte)
}

fn is_name(text: &str) -> bool {
    text.len() <= MOST_NAME && text.bytes().all(is_of_name)
}

/// A number as workloads write it, in digits alone. `u64::from_str` would also take a sign.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Whether `text` is the identity of a boot, or is empty.
fn is_boot(text: &str) -> bool {
    let is_uuid = |text: &str| {
        text.len() == BOOT
            && text
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    text.is_empty() || is_uuid(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(numbers: impl IntoIterator<Item = u16>) -> CallSet {
        numbers.into_iter().collect()
    }

    fn some() -> Calls {
        Calls {
            kernel: KernelSeen {
                name: "6.1.0-13-amd64".to_owned(),
                boot: "01234567-89ab-cdef-0123-456789abcdef".to_owned(),
                uptime: 7200,
            },
            answered: set(0..=14),
            refused: set([163]),
            unknown: set((16..162).chain(164..CALLS)),
            untried: set([15, 162]),
        }
    }

    fn parse(text: &str) -> Option<Calls> {
        Calls::parse(text.strip_prefix("calls ")?.split(' '))
    }

    #[test]
    fn a_set_is_written_as_ranges() {
        assert_eq!(set([0, 1, 2, 5, 511, 512]).to_string(), "0-2,5,511");
        assert_eq!(set([0, 1, 2, 5]).count(), 4);
        assert_eq!(CallSet::parse(""), Some(CallSet::default()));
    }

    #[test]
    fn a_text_that_no_set_writes_is_refused() {
        for bad in [
            "1,0", "0,1", "2-1", "+1", "01", "512", "0-512", "1,", ",", "1-", "-1", "a", "1 2",
        ] {
            assert_eq!(CallSet::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_message_is_read_and_a_contradiction_is_refused() {
        let text = some().to_string();
        assert_eq!(parse(&text), Some(some()));
        for (from, to) in [
            ("refused=163", "refused=163,164"),
            ("refused=163", "refused="),
            ("kernel=6", "kernel=<b>"),
            ("boot=0", "boot="),
            ("boot=0", "boot=x"),
            ("uptime=7", "uptime=+7"),
            ("untried=", "tried="),
            ("untried=15", "untried=15 15"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_eq!(parse(&changed), None, "{changed}");
        }
        let silent = Calls {
            kernel: KernelSeen::default(),
            ..some()
        };
        assert_eq!(parse(&silent.to_string()), Some(silent));
    }

    #[test]
    fn a_kernels_name_becomes_one_word() {
        assert_eq!(word("6.1.0-rc1+ #1 <script>\n"), "6.1.0-rc1+_1_script");
        assert_eq!(word(&"x".repeat(200)).len(), MOST_NAME);
    }

    #[test]
    fn a_kernel_is_the_same_by_its_boot_or_by_its_age_and_name() {
        let seen = |name: &str, boot: &str, uptime| KernelSeen {
            name: name.to_owned(),
            boot: boot.to_owned(),
            uptime,
        };
        let host = seen("6.1.0", "a", 7200);
        assert!(seen("4.4.0", "a", 3).is_same(&host));
        assert!(seen("6.1.0", "made up", 7201).is_same(&host));
        assert!(seen("6.1.0", "", 7201).is_same(&host));
        assert!(!seen("6.1.0", "b", 3).is_same(&host));
        assert!(!seen("bare", "", 7200).is_same(&host));
        let own = KernelSeen::now();
        assert!(own.is_same(&KernelSeen::now()) && own.uptime > 0 && !own.name.is_empty());
    }

    proptest! {
        #[test]
        fn a_set_is_read_as_it_is_written(numbers in prop::collection::vec(0..CALLS, 0..300)) {
            let set = set(numbers);
            prop_assert_eq!(CallSet::parse(&set.to_string()), Some(set));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9,+-]{0,60}") {
            let _ = CallSet::parse(&text);
        }
    }
}
