//! Keeping both sides of a comparison to one processor.

use anyhow::Context as _;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

const THIS_THREAD: Pid = Pid::from_raw(0);

/// This thread, and all that it starts meanwhile, on one processor; dropped, it may use all again that it could before.
pub struct Kept {
    before: CpuSet,
}

impl Kept {
    /// Keeps to one of the processors that may be used, to each in turn from round to round.
    pub fn of_round(round: u32) -> anyhow::Result<Self> {
        let before = sched_getaffinity(THIS_THREAD)?;
        let usable =
            (0..CpuSet::count()).filter(|processor| before.is_set(*processor).unwrap_or(false));
        let usable: Vec<usize> = usable.collect();
        // Whoever began the round before comes second in this one: each processor sees both orders.
        let turn = round as usize / 2 % usable.len().max(1);
        let processor = *usable.get(turn).context("no processor may be used")?;
        let mut one = CpuSet::new();
        one.set(processor)?;
        sched_setaffinity(THIS_THREAD, &one)?;
        Ok(Self { before })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // It was like that before.
        let _ = sched_setaffinity(THIS_THREAD, &self.before);
    }
}
