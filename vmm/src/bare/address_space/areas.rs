//! Which ranges of the address space are mapped, with which permission (what Linux calls VMAs).
//! Nothing here touches a page.

use std::collections::BTreeMap;
use std::ops::Range;

use super::mapping::{MapError, Protection};
use crate::bare::layout;

/// Most areas a program may have (Linux `vm.max_map_count`).
const MOST_AREAS: usize = 65_530;

/// One area: a range of pages with the same permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    end: u64,
    protection: Protection,
}

/// The areas, by their start. Neighbours of the same permission are one area.
#[derive(Debug, Default)]
pub(super) struct Areas(BTreeMap<u64, Area>);

impl Areas {
    /// The mapped ranges, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Range<u64>, Protection)> + '_ {
        self.0
            .iter()
            .map(|(&start, area)| (start..area.end, area.protection))
    }

    /// Whether no more areas may be added.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() + 2 > MOST_AREAS
    }

    /// The highest gap of `length` bytes below the stack.
    pub(super) fn find_gap(&self, length: u64) -> Option<u64> {
        let mut top = layout::MAPPINGS_END;
        for (&start, area) in self.0.range(..layout::MAPPINGS_END).rev() {
            if area.end <= top && top - area.end >= length {
                break;
            }
            top = top.min(start);
        }
        top.checked_sub(length)
            .filter(|&start| start >= layout::USER_START)
    }

    /// The lowest gap of `length` bytes in [`layout::LOW_MAPPINGS`].
    pub(super) fn find_low_gap(&self, length: u64) -> Option<u64> {
        let mut bottom = layout::LOW_MAPPINGS.start;
        for (&start, area) in self.0.range(..layout::LOW_MAPPINGS.end) {
            if start >= bottom && start - bottom >= length {
                break;
            }
            bottom = bottom.max(area.end);
        }
        let end = bottom.checked_add(length)?;
        (end <= layout::LOW_MAPPINGS.end).then_some(bottom)
    }

    /// Whether nothing is mapped in `range`.
    pub(super) fn is_free(&self, range: &Range<u64>) -> bool {
        self.0
            .range(..range.end)
            .next_back()
            .is_none_or(|(_, area)| area.end <= range.start)
    }

    /// Whether all of `range` is mapped.
    pub(super) fn is_covered(&self, range: &Range<u64>) -> bool {
        let mut end = range.end;
        for (&start, area) in self.0.range(..range.end).rev() {
            if area.end < end {
                return false;
            }
            end = start;
            if end <= range.start {
                return true;
            }
        }
        false
    }

    /// The area at `address`, with its permission.
    pub(super) fn at(&self, address: u64) -> Option<(Range<u64>, Protection)> {
        let (&start, area) = self.0.range(..=address).next_back()?;
        (address < area.end).then_some((start..area.end, area.protection))
    }

    /// The permission of `range`, if one area holds all of the range.
    pub(super) fn protection_of(&self, range: &Range<u64>) -> Option<Protection> {
        let (_, area) = self.0.range(..=range.start).next_back()?;
        (area.end >= range.end).then_some(area.protection)
    }

    /// Takes `range` out of the areas. Areas that reach over its ends are cut.
    pub(super) fn cut(&mut self, range: &Range<u64>) -> Result<(), MapError> {
        if self.is_full() {
            return Err(MapError::NoMemory);
        }
        let touched: Vec<(u64, Area)> = self
            .0
            .range(..range.end)
            .rev()
            .take_while(|(_, area)| area.end > range.start)
            .map(|(&start, &area)| (start, area))
            .collect();
        for (start, area) in touched {
            self.0.remove(&start);
            let protection = area.protection;
            if start < range.start {
                let end = range.start;
                self.0.insert(start, Area { end, protection });
            }
            if area.end > range.end {
                self.0.insert(range.end, area);
            }
        }
        Ok(())
    }

    /// Adds an area and joins the area to neighbours of the same permission.
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64, protection: Protection) {
        if let Some((&before, area)) = self.0.range(..start).next_back()
            && area.end == start
            && area.protection == protection
        {
            start = before;
        }
        if let Some(after) = self
            .0
            .get(&end)
            .filter(|area| area.protection == protection)
        {
            let joined = after.end;
            self.0.remove(&end);
            end = joined;
        }
        self.0.insert(start, Area { end, protection });
    }
}
