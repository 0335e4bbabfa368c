//! What the processors have to do with a change of the address space: to leave the guest before
//! something is taken away, and to forget translations after that.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::AddressSpace;

/// The vCPUs that run the program while the VMM serves another one's exit.
pub(crate) trait OtherProcessors: fmt::Debug + Send + Sync {
    /// Makes all vCPUs leave the guest, and waits until they have. None enters it again before the
    /// VMM has served the exit.
    fn stop(&self);
}

impl AddressSpace {
    /// Notes that vCPUs run the program while the VMM changes its memory.
    pub(crate) fn run_beside(&mut self, others: Arc<dyn OtherProcessors>) {
        self.others = Some(others);
    }

    /// Makes all vCPUs leave the guest until the VMM has served the present exit.
    pub(crate) fn stop_others(&self) {
        if let Some(others) = &self.others {
            others.stop();
        }
    }

    /// The same, if the program can access a page of `range`: somebody may be about to.
    pub(super) fn stop_users(&self, range: &Range<u64>) {
        let Some(others) = &self.others else {
            return;
        };
        let mut is_used = false;
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                is_used |= entry.is_present();
                entry
            });
        if is_used {
            others.stop();
        }
    }

    /// The number of times that translations were taken away. A processor has to forget all of its
    /// own if the number has grown since it did so last.
    pub(crate) fn stale_translations(&self) -> u64 {
        self.stale_translations.get()
    }

    pub(super) fn note_stale_translations(&self, is_stale: bool) {
        let count = self.stale_translations.get() + u64::from(is_stale);
        self.stale_translations.set(count);
    }
}
