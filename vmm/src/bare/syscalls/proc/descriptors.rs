//! `/proc/self/fd`: a link for each descriptor of the program (`proc_pid_fd(5)`).

use nix::errno::Errno;

use super::super::Personality;
use super::super::descriptors::Object;
use super::super::place::Place;

impl Personality {
    /// The descriptor that is open and has this name.
    pub(in super::super) fn descriptor_named(&self, name: &[u8]) -> Result<u64, Errno> {
        let number = std::str::from_utf8(name)
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
            .filter(|number| number.to_string().as_bytes() == name)
            .map(u64::from)
            .ok_or(Errno::ENOENT)?;
        match self.descriptors.get(number) {
            Ok(_) => Ok(number),
            Err(_) => Err(Errno::ENOENT),
        }
    }

    /// The place of the file that a descriptor has open. The result is `None` if the file is in no
    /// directory.
    pub(in super::super) fn place_behind(&self, descriptor: u64) -> Option<Place> {
        let file = self.descriptors.get(descriptor).ok()?;
        match (file.object, file.place) {
            (Object::Stream(stream), None) => self.tree.device_of(stream).map(Place::Tree),
            (_, place) => place,
        }
    }

    /// The text of the link of a descriptor.
    pub(in super::super) fn descriptor_text(&self, descriptor: u64) -> Result<Vec<u8>, Errno> {
        let file = self.descriptors.get(descriptor)?;
        let path = file.place.and_then(|place| self.path_of(place));
        Ok(match (path, file.object) {
            (Some(path), _) => path,
            (None, Object::Stream(stream)) => format!("pipe:[{}]", stream as u64 + 1).into_bytes(),
            (None, Object::Scratch(_) | Object::Directory(_)) => b"(deleted)".to_vec(),
            (None, _) => b"anon_inode:[file]".to_vec(),
        })
    }
}
