//! The VMM's own access to the program's memory, checked as Linux checks a system call's pointers.

use std::ffi::CString;
use std::marker::PhantomData;

use super::address_space::{AddressSpace, to_usize};
use super::frames::Run;
use crate::layout;
use crate::memory::{GuestRam, PAGE};

/// The VMM does to guest memory what the program might not: Linux gives `EFAULT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program may not {access} address {address:#x}")]
pub struct Fault {
    /// The first address that failed.
    pub address: u64,
    /// What was tried.
    pub access: Access,
}

/// What a system call does to a buffer of the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The program's memory is read.
    Read,
    /// The program's memory is written.
    Write,
}

impl std::fmt::Display for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// Reading and writing the program's memory.
impl AddressSpace {
    /// Copies from the program's memory.
    ///
    /// # Errors
    /// The program may not read all of it.
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
    /// The program may not write all of it; nothing is written then.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Fault> {
        let mut done = 0;
        for run in self.runs(address, from.len() as u64, Access::Write)? {
            let length = to_usize(run.length);
            self.ram().write(run.start, &from[done..done + length]);
            done += length;
        }
        Ok(())
    }

    /// Reads a string up to its zero byte, which must be within `most` bytes.
    ///
    /// # Errors
    /// The program may not read it, or it is longer; [`Fault::address`] tells (`address + most` for the latter).
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

    /// The program's buffer as host memory, for the host's own scatter-gather calls: nothing is copied.
    ///
    /// # Errors
    /// The program may not access all of it.
    pub fn slices(
        &self,
        address: u64,
        length: u64,
        access: Access,
    ) -> Result<HostSlices<'_>, Fault> {
        let runs = self.runs(address, length, access)?;
        let host = self.ram().host_base();
        let vectors = runs
            .into_iter()
            .map(|run| libc::iovec {
                iov_base: host.wrapping_add(to_usize(run.start)).cast(),
                iov_len: to_usize(run.length),
            })
            .collect();
        Ok(HostSlices {
            vectors,
            ram: PhantomData,
        })
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
            let entry = self.entry(at);
            if !entry.lets_user(access == Access::Write) {
                return Err(fault(at));
            }
            let start = entry.frame() + at % PAGE;
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

/// A buffer of the program's as host memory.
#[derive(Debug)]
pub struct HostSlices<'a> {
    vectors: Vec<libc::iovec>,
    ram: PhantomData<&'a GuestRam>,
}

impl HostSlices<'_> {
    /// The pieces, in order, for readv(2) and its kin. They lie in guest RAM, which is not Rust's memory: only the
    /// kernel and volatile accesses touch it.
    pub fn as_iovecs(&self) -> &[libc::iovec] {
        &self.vectors
    }
}
