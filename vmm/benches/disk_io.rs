#![expect(
    unsafe_code,
    reason = "io_uring reads into memory that it knows only by address"
)]
//! The ways to serve a virtual disk's requests on the host: in the exit that announces them, by
//! `io_uring`, or by a thread.
//!
//! `cargo bench -p isobench-vmm` reads one file, one block at a time and sixteen at once.
//! docs/adr/0005 rests on the figures. No guest is involved: the bench compares what the host does
//! between a request's arrival and its answer. One event wakes the thread, as `KVM_IOEVENTFD`
//! would, and the thread answers with another, as `KVM_IRQFD` would.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use io_uring::{IoUring, opcode, types};
use tempfile::NamedTempFile;
use vmm_sys_util::eventfd::EventFd;

const FILE: usize = 32 << 20;
const PAGE: usize = 4096;
const DEPTH: usize = 16;
/// The distance between two reads, in blocks: odd, so that each block has its turn, and large, so
/// that neighbours don't follow each other.
const STRIDE: usize = 1021;

/// Memory on a page boundary, as a guest's is, for several blocks.
struct Buffer {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: the buffer owns its memory.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new(length: usize) -> Self {
        let layout = Layout::from_size_align(length, PAGE).expect("a power of two");
        // SAFETY: the length isn't zero.
        let start = unsafe { alloc_zeroed(layout) };
        assert!(!start.is_null());
        Self { start, layout }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: all of the memory is initialised, and the result borrows `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout.
        unsafe { dealloc(self.start, self.layout) };
    }
}

/// A file to read, and the next block.
struct Reader {
    file: File,
    block: usize,
    next: usize,
}

impl Reader {
    fn open(path: &Path, direct: bool, block: usize) -> Self {
        let flags = if direct { libc::O_DIRECT } else { 0 };
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(flags).open(path);
        Self {
            file: file.expect("the file can be read past the page cache"),
            block,
            next: 0,
        }
    }

    fn offset(&mut self) -> u64 {
        self.next = (self.next + STRIDE) % (FILE / self.block);
        (self.next * self.block) as u64
    }

    fn read(&mut self, buffer: &mut Buffer) {
        let offset = self.offset();
        let read = self.file.read_exact_at(buffer.bytes(), offset);
        read.expect("the file is long enough");
    }

    /// Reads as many blocks at once as `buffer` has room for, and waits for them.
    fn read_by(&mut self, ring: &mut IoUring, buffer: &mut Buffer) {
        let file = types::Fd(self.file.as_raw_fd());
        let length = u32::try_from(self.block).expect("a small block");
        let blocks = buffer.layout.size() / self.block;
        for piece in buffer.bytes().chunks_exact_mut(self.block) {
            let read = opcode::Read::new(file, piece.as_mut_ptr(), length).offset(self.offset());
            // SAFETY: file and memory live until all reads are done: the call below waits for them.
            unsafe { ring.submission().push(&read.build()) }.expect("there is room");
        }
        ring.submit_and_wait(blocks).expect("io_uring works");
        for done in ring.completion() {
            assert_eq!(done.result(), i32::try_from(self.block).unwrap_or(0));
        }
    }
}

/// A thread that reads a block at each event, and answers with an event.
struct ReaderThread {
    asked: Arc<EventFd>,
    answered: Arc<EventFd>,
}

impl ReaderThread {
    /// Starts the thread, which ends with the process.
    fn start(mut reader: Reader, mut buffer: Buffer) -> Self {
        let event = || Arc::new(EventFd::new(0).expect("an eventfd"));
        let (asked, answered) = (event(), event());
        let own = (asked.clone(), answered.clone());
        thread::spawn(move || {
            while own.0.read().is_ok() {
                reader.read(&mut buffer);
                own.1.write(1).expect("somebody waits");
            }
        });
        Self { asked, answered }
    }

    fn read(&self) {
        self.asked.write(1).expect("the thread lives");
        black_box(self.answered.read().expect("the thread answers"));
    }
}

fn file() -> NamedTempFile {
    let mut file = NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a place for files");
    file.write_all(&vec![7; FILE]).expect("room for the file");
    file.as_file().sync_all().expect("the file can be flushed");
    file
}

fn one_at_a_time(criterion: &mut Criterion) {
    let file = file();
    for (name, direct, block) in [
        ("4 KiB, O_DIRECT", true, PAGE),
        ("4 KiB, cached", false, PAGE),
        ("1 MiB, O_DIRECT", true, 1 << 20),
        ("1 MiB, cached", false, 1 << 20),
    ] {
        let mut group = criterion.benchmark_group(format!("disk-io/{name}"));
        group.throughput(Throughput::Bytes(block as u64));
        let reader = || Reader::open(file.path(), direct, block);
        let (mut own, mut buffer) = (reader(), Buffer::new(block));
        group.bench_function("in the exit", |bencher| {
            bencher.iter(|| own.read(&mut buffer));
        });
        let mut ring = IoUring::new(1).expect("the host has io_uring");
        group.bench_function("io_uring", |bencher| {
            bencher.iter(|| own.read_by(&mut ring, &mut buffer));
        });
        let thread = ReaderThread::start(reader(), Buffer::new(block));
        group.bench_function("thread", |bencher| bencher.iter(|| thread.read()));
        group.finish();
    }
}

fn sixteen_at_once(criterion: &mut Criterion) {
    let file = file();
    let mut group = criterion.benchmark_group("disk-io/16 x 4 KiB, O_DIRECT");
    group.throughput(Throughput::Bytes((DEPTH * PAGE) as u64));
    let mut reader = Reader::open(file.path(), true, PAGE);
    let mut block = Buffer::new(PAGE);
    group.bench_function("in the exit", |bencher| {
        bencher.iter(|| (0..DEPTH).for_each(|_| reader.read(&mut block)));
    });
    let mut buffer = Buffer::new(DEPTH * PAGE);
    let mut ring = IoUring::new(u32::try_from(DEPTH).unwrap_or(1)).expect("the host has io_uring");
    group.bench_function("io_uring", |bencher| {
        bencher.iter(|| reader.read_by(&mut ring, &mut buffer));
    });
    group.finish();
}

criterion_group!(benches, one_at_a_time, sixteen_at_once);
criterion_main!(benches);
