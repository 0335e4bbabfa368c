//! The VMM's own access to the program's memory, checked as Linux checks a system call's pointers.

use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering};

use super::frames::Run;
use super::{AddressSpace, Protection, to_usize};
use crate::bare::layout;
use crate::devices::host_io::GuestSlices;
use crate::memory::PAGE;

/// A system call would access memory in a way that the program may not: Linux gives `EFAULT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program may not {access} address {address:#x}")]
pub struct Fault {
    /// The first address that the program may not access.
    pub address: u64,
    /// The access that was tried.
    pub access: Access,
}

/// What the program, or a system call in its name, does to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Running code.
    Execute,
}

impl Access {
    /// Whether a page of this permission may be accessed so. On x86-64 a page that may be written or
    /// run may also be read.
    pub(super) const fn is_permitted_by(self, protection: Protection) -> bool {
        match self {
            Self::Read => !protection.is_none(),
            Self::Write => protection.write,
            Self::Execute => protection.execute,
        }
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "run code at",
        })
    }
}

/// Reading and writing the program's memory.
impl AddressSpace {
    /// Copies from the program's memory.
    ///
    /// # Errors
    /// The program may not read all of the range.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let mut done = 0;
        for run in self.runs(address, into.len() as u64, Access::Read)? {
            let length = to_usize(run.length);
            self.ram().read(run.start, &mut into[done..done + length]);
            done += length;
        }
        Ok(())
    }

    /// Copies to the program's memory.
    ///
    /// # Errors
    /// The program may not write all of the range. Nothing is written then.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Fault> {
        let mut done = 0;
        for run in self.runs(address, from.len() as u64, Access::Write)? {
            let length = to_usize(run.length);
            self.ram().write(run.start, &from[done..done + length]);
            done += length;
        }
        Ok(())
    }

    /// Reads a number of four bytes in one step, whatever the program does meanwhile.
    ///
    /// # Errors
    /// The program may not read the number, or the address is not a multiple of four.
    pub fn load_u32(&self, address: u64) -> Result<u32, Fault> {
        let number = self.number(address, Access::Read)?;
        Ok(number.load(Ordering::SeqCst))
    }

    /// Changes a number of four bytes in one step, whatever the program does meanwhile, and returns
    /// the old one. It stays as it is where `change` gives `None`.
    ///
    /// # Errors
    /// The program may not write the number, or the address is not a multiple of four.
    pub fn change_u32(
        &mut self,
        address: u64,
        change: impl FnMut(u32) -> Option<u32>,
    ) -> Result<u32, Fault> {
        let number = self.number(address, Access::Write)?;
        let order = Ordering::SeqCst;
        let (Ok(old) | Err(old)) = number.fetch_update(order, order, change);
        Ok(old)
    }

    fn number(&self, address: u64, access: Access) -> Result<&AtomicU32, Fault> {
        let runs = self.runs(address, 4, access)?;
        let number = runs.first().and_then(|run| self.ram().number(run.start));
        number.ok_or(Fault { address, access })
    }

    /// Reads a string up to its zero byte, which must be within `most` bytes.
    ///
    /// # Errors
    /// The program may not read the string, or the string is longer. For the latter,
    /// [`Fault::address`] is `address + most`.
    pub fn read_c_string(&self, address: u64, most: usize) -> Result<CString, Fault> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let at = address.wrapping_add(bytes.len() as u64);
            let page_left = to_usize(PAGE - at % PAGE);
            let mut chunk = vec![0; page_left.min(most - bytes.len())];
            self.read(at, &mut chunk)?;
            if let Some(end) = chunk.iter().position(|&byte| byte == 0) {
                bytes.extend_from_slice(&chunk[..end]);
                return Ok(CString::new(bytes).unwrap_or_default());
            }
            bytes.extend_from_slice(&chunk);
        }
        Err(Fault {
            address: address.wrapping_add(most as u64),
            access: Access::Read,
        })
    }

    /// The program's buffer as host memory, for the host's own scatter-gather calls: nothing is
    /// copied.
    ///
    /// # Errors
    /// The program may not access all of the buffer.
    pub fn slices(
        &self,
        address: u64,
        length: u64,
        access: Access,
    ) -> Result<GuestSlices<'_>, Fault> {
        let mut slices = GuestSlices::default();
        for run in self.runs(address, length, access)? {
            slices.push(&self.ram().slice(run.start, run.length));
        }
        Ok(slices)
    }

    /// The runs of guest RAM behind `address..address + length`.
    fn runs(&self, address: u64, length: u64, access: Access) -> Result<Vec<Run>, Fault> {
        let fault = |address| Fault { address, access };
        let end = address.checked_add(length).ok_or(fault(address))?;
        if end > layout::USER_END {
            return Err(fault(address.max(layout::USER_END)));
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut at = address;
        while at < end {
            let frame = match access {
                Access::Write => self.frame_to_write(&(at..end)),
                Access::Read | Access::Execute => self.frame_to_read(at),
            };
            let start = frame.ok_or(fault(at))? + at % PAGE;
            let length = (PAGE - at % PAGE).min(end - at);
            match runs.last_mut() {
                Some(last) if last.end() == start => last.length += length,
                _ => runs.push(Run { start, length }),
            }
            at += length;
        }
        Ok(runs)
    }
}
