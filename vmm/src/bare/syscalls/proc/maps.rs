//! `/proc/self/maps`: the mapped areas, each with what lies there.

use std::ops::Range;

use crate::bare::ProgramParts;
use crate::bare::address_space::{AddressSpace, Protection};
use crate::memory::PAGE;

/// The column at which the name of an area begins.
const NAME_COLUMN: usize = 73;

/// The program's file, as the lines of its pages show it.
pub(super) struct MappedFile<'a> {
    pub path: &'a str,
    pub inode: u64,
}

/// A range with a name of its own.
struct Named<'a> {
    range: Range<u64>,
    name: &'a str,
    /// The offset in the program's file of the range's first byte, and the file's inode.
    file: Option<(u64, u64)>,
}

/// The text of the file.
pub(super) fn maps(memory: &AddressSpace, parts: &ProgramParts, file: &MappedFile<'_>) -> String {
    let named = named(memory, parts, file);
    let mut text = String::new();
    for (area, protection) in memory.areas() {
        for piece in cut(&area, &named) {
            // Where the pages of two segments overlap, the later segment's are mapped.
            let of = named
                .iter()
                .rfind(|named| named.range.contains(&piece.start));
            text += &line(&piece, protection, of);
        }
    }
    text
}

fn named<'a>(memory: &AddressSpace, parts: &ProgramParts, file: &MappedFile<'a>) -> Vec<Named<'a>> {
    let own = |range: &Range<u64>, name| Named {
        range: range.clone(),
        name,
        file: None,
    };
    let mut named: Vec<_> = parts
        .file_pages
        .iter()
        .map(|part| Named {
            range: part.pages.clone(),
            name: file.path,
            file: Some((part.offset, file.inode)),
        })
        .collect();
    let heap = memory.heap();
    named.extend([
        own(&(heap.start..heap.end.next_multiple_of(PAGE)), "[heap]"),
        own(&parts.stack, "[stack]"),
        own(&parts.clock_page, "[vvar]"),
        own(&parts.vdso, "[vdso]"),
    ]);
    named
}

/// Cuts an area where a named range begins or ends: neighbours of the same permission are one area.
fn cut(area: &Range<u64>, named: &[Named<'_>]) -> Vec<Range<u64>> {
    let inner = named
        .iter()
        .flat_map(|named| [named.range.start, named.range.end])
        .filter(|&at| area.start < at && at < area.end);
    let mut bounds: Vec<u64> = inner.chain([area.start, area.end]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn line(range: &Range<u64>, protection: Protection, of: Option<&Named<'_>>) -> String {
    let permission = |granted, letter| if granted { letter } else { '-' };
    let file = of.and_then(|named| named.file.map(|file| (named, file)));
    let (offset, inode) = file.map_or((0, 0), |(named, (offset, inode))| {
        (offset + (range.start - named.range.start), inode)
    });
    let line = format!(
        "{:08x}-{:08x} {}{}{}p {offset:08x} 00:{:02x} {inode} ",
        range.start,
        range.end,
        permission(protection.read, 'r'),
        permission(protection.write, 'w'),
        permission(protection.execute, 'x'),
        u8::from(file.is_some()),
    );
    match of {
        Some(named) => format!("{line:NAME_COLUMN$}{}\n", named.name),
        None => format!("{line}\n"),
    }
}
