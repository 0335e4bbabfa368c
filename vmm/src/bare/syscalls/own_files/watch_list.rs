//! A list of watched files (epoll(7)).

use std::collections::BTreeMap;

/// A watched file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bare::syscalls) struct Watch {
    /// The events that the program asks for, and `EPOLLET` and `EPOLLONESHOT`.
    pub events: u32,
    /// What the program gets back with the events.
    pub data: u64,
    /// The edge up to which the program knows the file's events.
    pub seen: Option<u64>,
    /// Whether the watch rests until the program sets it anew, after an event with `EPOLLONESHOT`.
    pub rests: bool,
}

/// The watched files, each by its descriptor and the number of its open file.
#[derive(Debug, Default)]
pub(in crate::bare::syscalls) struct WatchList {
    pub watches: BTreeMap<(u64, usize), Watch>,
    /// The first watch that the next call tells of, so that no file is always the last.
    pub next: (u64, usize),
}
