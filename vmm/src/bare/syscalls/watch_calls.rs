//! The calls on lists of watched files (epoll(7)).

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_short};

use super::descriptors::Object;
use super::guest;
use super::moment::End;
use super::own_files::{OwnFile, Readiness, Watch, WatchList};
use super::threads::{Condition, Interrupted, Wait};
use super::{CallResult, Personality, SystemCall, time};
use crate::bare::address_space::AddressSpace;
use crate::devices::console::Stream;

/// The bytes of a `struct epoll_event`, which is packed on x86-64.
const EVENT: c_int = 12;
/// The most events of one call (`EP_MAX_EVENTS`).
const MOST_EVENTS: c_int = c_int::MAX / EVENT;
const EDGE: u32 = libc::EPOLLET.cast_unsigned();
const ONE_SHOT: u32 = libc::EPOLLONESHOT.cast_unsigned();
/// The events that are always told.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP).cast_unsigned();

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [_, _, _, timeout, mask, size] = call.arguments;
    Some(match call.linux_number() {
        libc::SYS_epoll_create if call.int(0) <= 0 => Err(Errno::EINVAL.into()),
        libc::SYS_epoll_create => state.make_watch_list(0),
        libc::SYS_epoll_create1 => state.make_watch_list(call.int(0)),
        libc::SYS_epoll_ctl => state.change_watch(memory, call),
        libc::SYS_epoll_wait => state.wait_for_watches(memory, call, milliseconds(call.int(3))),
        libc::SYS_epoll_pwait => state
            .set_mask(memory, mask, size)
            .and_then(|()| state.wait_for_watches(memory, call, milliseconds(call.int(3)))),
        libc::SYS_epoll_pwait2 => state.set_mask(memory, mask, size).and_then(|()| {
            let timeout = time::read_timeout(memory, timeout)?;
            state.wait_for_watches(memory, call, timeout)
        }),
        _ => return None,
    })
}

/// A timeout in milliseconds. A negative one is none.
fn milliseconds(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

impl Personality {
    fn make_watch_list(&mut self, flags: c_int) -> CallResult {
        if flags & !libc::EPOLL_CLOEXEC != 0 {
            return Err(Errno::EINVAL.into());
        }
        let list = self.own.watch_lists.insert(WatchList::default());
        Ok(self.open_own(OwnFile::WatchList(list), flags | libc::O_RDWR)?)
    }

    fn watch_list(&self, descriptor: u64) -> Result<usize, Errno> {
        match self.descriptors.get(descriptor)?.object {
            Object::Own(OwnFile::WatchList(list)) => Ok(list),
            _ => Err(Errno::EINVAL),
        }
    }

    fn change_watch(&mut self, memory: &AddressSpace, call: &SystemCall) -> CallResult {
        let [list, _, descriptor, event, ..] = call.arguments;
        let descriptor = u64::from(super::low_half(descriptor));
        let list = self.watch_list(list)?;
        match self.descriptors.get(descriptor)?.object {
            // A list in a list would have to be guarded against circles.
            Object::Own(OwnFile::WatchList(_)) => return Err(Errno::EINVAL.into()),
            Object::Own(_) | Object::Stream(_) => {}
            _ => return Err(Errno::EPERM.into()),
        }
        let key = (descriptor, self.descriptors.open_number(descriptor)?);
        let watches = &mut self.own.watch_lists[list].watches;
        match call.int(1) {
            libc::EPOLL_CTL_ADD if watches.contains_key(&key) => Err(Errno::EEXIST.into()),
            libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL if !watches.contains_key(&key) => {
                Err(Errno::ENOENT.into())
            }
            libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD => {
                let events = guest::read_u32(memory, event)?;
                let data = guest::read_u64(memory, event.wrapping_add(4))?;
                let watch = Watch {
                    events,
                    data,
                    seen: None,
                    rests: false,
                };
                watches.insert(key, watch);
                // Whoever waits for a list looks again; no file has changed.
                self.wake_watchers(|_| false);
                Ok(0)
            }
            libc::EPOLL_CTL_DEL => {
                watches.remove(&key);
                Ok(0)
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn wait_for_watches(
        &mut self,
        memory: &mut AddressSpace,
        call: &SystemCall,
        timeout: Option<Duration>,
    ) -> CallResult {
        let list = self.watch_list(call.arguments[0])?;
        let most = call.int(2);
        if !(1..=MOST_EVENTS).contains(&most) {
            return Err(Errno::EINVAL.into());
        }
        let most = usize::try_from(most).unwrap_or(1);
        if timeout.is_some_and(|time| time.is_zero()) {
            self.serve_network();
        }
        let events = self.take_events(list, most)?;
        let is_over = timeout.is_some_and(|time| time.is_zero()) || self.threads.is_wait_over();
        if events.is_empty() && !is_over {
            let streams = self.watched_streams(list);
            return Err(self.threads.wait(Wait {
                condition: Condition::Files {
                    streams,
                    own: vec![OwnFile::WatchList(list)],
                },
                end: End::of_timeout(timeout)?,
                interrupted: Interrupted::Fails,
                bytes_done: 0,
            }));
        }
        let mut bytes = Vec::new();
        for (events, data) in &events {
            bytes.extend(events.to_le_bytes());
            bytes.extend(data.to_le_bytes());
        }
        guest::write(memory, call.arguments[1], &bytes)?;
        Ok(events.len() as u64)
    }

    /// The streams that a list watches, with their events.
    fn watched_streams(&self, list: usize) -> Vec<(Stream, c_short)> {
        let watches = self.own.watch_lists[list].watches.iter();
        watches
            .filter(|(_, watch)| !watch.rests)
            .filter_map(
                |(&(_, open), watch)| match self.descriptors.open_file(open)?.object {
                    Object::Stream(stream) => Some((stream, poll_events(watch.events))),
                    _ => None,
                },
            )
            .collect()
    }

    /// The readiness of a watched file.
    fn watched_readiness(&self, open: usize, watch: &Watch) -> Result<Readiness, Errno> {
        match self.descriptors.open_file(open).map(|file| file.object) {
            Some(Object::Own(own)) => Ok(self.own_readiness(own)),
            Some(Object::Stream(stream)) => Ok(Readiness {
                events: self.stream_events(stream, poll_events(watch.events))?,
                // The host tells no edges: each look is one.
                edge: self.own.looks,
            }),
            _ => Ok(Readiness::default()),
        }
    }

    /// Whether a list has an event to tell.
    pub(super) fn has_event(&self, list: usize) -> bool {
        let mut watches = self.own.watch_lists[list].watches.iter();
        watches.any(|(&(_, open), watch)| {
            self.watched_readiness(open, watch)
                .is_ok_and(|ready| told(watch, ready) != 0)
        })
    }

    /// Takes at most `most` events of a list: what is ready, and the program's data.
    fn take_events(&mut self, list: usize, most: usize) -> Result<Vec<(u32, u64)>, Errno> {
        self.count_timer_files();
        self.own.looks += 1;
        let (watches, next) = {
            let list = &self.own.watch_lists[list];
            (list.watches.clone(), list.next)
        };
        let mut events = Vec::new();
        for (&key, watch) in watches.range(next..).chain(watches.range(..next)) {
            if events.len() == most {
                self.own.watch_lists[list].next = key;
                break;
            }
            let ready = self.watched_readiness(key.1, watch)?;
            let told = told(watch, ready);
            if told == 0 {
                continue;
            }
            events.push((told, watch.data));
            if let Some(watch) = self.own.watch_lists[list].watches.get_mut(&key) {
                watch.seen = Some(ready.edge);
                watch.rests = watch.events & ONE_SHOT != 0;
            }
        }
        Ok(events)
    }
}

/// The events that a call tells of a watched file.
fn told(watch: &Watch, ready: Readiness) -> u32 {
    let is_known = watch.events & EDGE != 0 && watch.seen == Some(ready.edge);
    if watch.rests || is_known {
        return 0;
    }
    let events = u32::from(ready.events.cast_unsigned());
    events & (watch.events | ALWAYS)
}

/// The `poll` events among those of `epoll`, which have the same values.
fn poll_events(events: u32) -> c_short {
    c_short::try_from(events & 0x3fff).unwrap_or_default()
}
