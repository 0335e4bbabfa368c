//! Requests to the devices behind open files (ioctl(2)).

use nix::errno::Errno;
use nix::libc;

use super::descriptors::{Object, OnExec};
use super::{CallResult, Personality, guest};
use crate::bare::address_space::AddressSpace;
use crate::devices::disk::{Flush, SECTOR};

/// Requests to disks (`linux/fs.h`).
mod disk_request {
    pub const READ_ONLY: u32 = 0x125e;
    pub const SECTORS: u32 = 0x1260;
    pub const FLUSH: u32 = 0x1261;
    pub const LOGICAL_SECTOR: u32 = 0x1268;
    pub const PHYSICAL_SECTOR: u32 = 0x127b;
    pub const BYTES: u32 = 0x8008_1272;
}

impl Personality {
    pub(super) fn device_control(
        &mut self,
        memory: &mut AddressSpace,
        descriptor: u64,
        request: u32,
        argument: u64,
    ) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        let request_wide = u64::from(request);
        let request_is = |known: libc::Ioctl| request_wide == known;
        if !file.has_data() {
            return Err(Errno::EBADF.into());
        }
        if request_is(libc::FIOCLEX) || request_is(libc::FIONCLEX) {
            let on_exec = if request_is(libc::FIOCLEX) {
                OnExec::Close
            } else {
                OnExec::Keep
            };
            self.descriptors.set_on_exec(descriptor, on_exec)?;
            return Ok(0);
        }
        if request_is(libc::FIONBIO) {
            let on = guest::read_u32(memory, argument)? != 0;
            let flags = &mut self.descriptors.get_mut(descriptor)?.flags;
            *flags = (*flags & !libc::O_NONBLOCK) | if on { libc::O_NONBLOCK } else { 0 };
            return Ok(0);
        }
        match file.object {
            Object::Block => self.disk_control(memory, request, argument),
            Object::Own(own) => {
                self.serve_network();
                self.own_control(memory, own, request, argument)
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn disk_control(&self, memory: &mut AddressSpace, request: u32, to: u64) -> CallResult {
        let disk = self.disk.as_ref().ok_or(Errno::ENXIO)?;
        let int = |value: u32| value.to_le_bytes().to_vec();
        let long = |value: u64| value.to_le_bytes().to_vec();
        let sector = u32::try_from(SECTOR).unwrap_or_default();
        let answer = match request {
            disk_request::BYTES => long(disk.size()),
            disk_request::SECTORS => long(disk.size() / SECTOR),
            disk_request::LOGICAL_SECTOR | disk_request::PHYSICAL_SECTOR => int(sector),
            disk_request::READ_ONLY => int(disk.is_read_only().into()),
            disk_request::FLUSH => {
                disk.flush(Flush::All)?;
                return Ok(0);
            }
            _ => return Err(Errno::ENOTTY.into()),
        };
        guest::write(memory, to, &answer)?;
        Ok(0)
    }
}
