//! Mappings that show the frames of a file.

use bytesize::ByteSize;

use super::{AddressSpace, Backing, Growth, GuestRam, MapError, Placement, Protection};
use crate::memory::PAGE;

const ANYWHERE: Placement = Placement::Anywhere { hint: 0 };
const READ_WRITE: Protection = Protection::READ_WRITE;

fn space() -> AddressSpace {
    AddressSpace::new(GuestRam::new(ByteSize::mib(16)).unwrap())
}

fn byte_at(space: &AddressSpace, address: u64) -> u8 {
    let mut byte = [0];
    space.read(address, &mut byte).unwrap();
    byte[0]
}

fn byte_of_file(space: &AddressSpace, frame: u64) -> u8 {
    let mut byte = [0];
    space.ram().read(frame, &mut byte);
    byte[0]
}

#[test]
fn all_mappings_of_a_frame_show_what_one_of_them_writes() {
    let mut space = space();
    let frames = space.take_file_frames(2 * PAGE).unwrap();
    let first = space
        .map_shared(ANYWHERE, 2 * PAGE, READ_WRITE, &frames)
        .unwrap();
    let second = space
        .map_shared(ANYWHERE, PAGE, Protection::READ, &frames[1..])
        .unwrap();
    space.write(first + PAGE, b"x").unwrap();
    assert_eq!(byte_at(&space, second), b'x');
    assert_eq!(byte_of_file(&space, frames[1]), b'x');
    assert!(space.write(second, b"y").is_err());
    space.protect(second, PAGE, READ_WRITE).unwrap();
    space.write(second, b"y").unwrap();
    assert_eq!(byte_at(&space, first + PAGE), b'y');
    assert_eq!(byte_at(&space, first), 0);
}

#[test]
fn pages_after_those_of_the_file_are_zeros_of_the_mapping_alone() {
    let mut space = space();
    let frames = space.take_file_frames(PAGE).unwrap();
    let map =
        |space: &mut AddressSpace| space.map_shared(ANYWHERE, 2 * PAGE + 1, READ_WRITE, &frames);
    let (first, second) = (map(&mut space).unwrap(), map(&mut space).unwrap());
    space.write(first + 3 * PAGE - 1, b"x").unwrap();
    assert_eq!(byte_at(&space, second + 3 * PAGE - 1), 0);
}

#[test]
fn a_frame_stays_while_a_mapping_shows_it() {
    let mut space = space();
    let before = space.free_bytes();
    let frames = space.take_file_frames(2 * PAGE).unwrap();
    let first = space
        .map_shared(ANYWHERE, 2 * PAGE, READ_WRITE, &frames)
        .unwrap();
    let second = space
        .map_shared(ANYWHERE, 2 * PAGE, READ_WRITE, &frames)
        .unwrap();
    let tables = before - space.free_bytes() - 2 * PAGE;
    space.write(first, b"x").unwrap();
    space.unmap(first, PAGE).unwrap();
    space.give_back_file_frames(frames).unwrap();
    assert_eq!(byte_at(&space, second), b'x');
    assert_eq!(before - space.free_bytes(), tables + 2 * PAGE);
    space.unmap(second, 2 * PAGE).unwrap();
    assert_eq!(before - space.free_bytes(), tables + PAGE);
    space.unmap(first + PAGE, PAGE).unwrap();
    assert_eq!(before - space.free_bytes(), tables);
    for frame in space.take_file_frames(before - tables).unwrap() {
        assert_eq!(byte_of_file(&space, frame), 0);
    }
}

#[test]
fn a_frame_that_a_file_keeps_outlives_its_mappings() {
    let mut space = space();
    let frames = space.take_file_frames(PAGE).unwrap();
    let at = space
        .map_shared(ANYWHERE, PAGE, READ_WRITE, &frames)
        .unwrap();
    space.write(at, b"x").unwrap();
    space.discard(at, PAGE).unwrap();
    assert_eq!(byte_at(&space, at), b'x');
    // Another mapping takes the place of the first.
    space
        .map(Placement::Fixed(at), PAGE, READ_WRITE, Backing::Anonymous)
        .unwrap();
    assert_eq!(byte_at(&space, at), 0);
    assert_eq!(byte_of_file(&space, frames[0]), b'x');
    let free = space.free_bytes();
    space.give_back_file_frames(frames).unwrap();
    assert_eq!(space.free_bytes(), free + PAGE);
}

#[test]
fn a_shared_mapping_shrinks_and_does_not_grow() {
    let mut space = space();
    let frames = space.take_file_frames(2 * PAGE).unwrap();
    let at = space
        .map_shared(ANYWHERE, 2 * PAGE, READ_WRITE, &frames)
        .unwrap();
    let grown = space.remap(at, 2 * PAGE, 3 * PAGE, Growth::MayMove);
    assert!(matches!(grown, Err(MapError::NoMemory)));
    assert_eq!(
        space.remap(at, 2 * PAGE, PAGE, Growth::InPlace).unwrap(),
        at
    );
    space.write(at, b"x").unwrap();
    assert_eq!(byte_of_file(&space, frames[0]), b'x');
}

#[test]
fn a_mapping_without_permission_shows_the_file_once_it_has_one() {
    let mut space = space();
    let frames = space.take_file_frames(PAGE).unwrap();
    let at = space
        .map_shared(ANYWHERE, PAGE, Protection::NONE, &frames)
        .unwrap();
    space.ram().write(frames[0], b"x");
    assert!(space.read(at, &mut [0]).is_err());
    space.protect(at, PAGE, Protection::READ).unwrap();
    assert_eq!(byte_at(&space, at), b'x');
}

#[test]
fn a_file_gets_no_more_frames_than_there_are() {
    let mut space = space();
    let free = space.free_bytes();
    assert!(space.take_file_frames(free + PAGE).is_none());
    let frames = space.take_file_frames(free).unwrap();
    let mapped = space.map_shared(ANYWHERE, free, READ_WRITE, &frames);
    assert!(matches!(mapped, Err(MapError::NoMemory)));
    space.give_back_file_frames(frames).unwrap();
    assert_eq!(space.free_bytes(), free);
}
