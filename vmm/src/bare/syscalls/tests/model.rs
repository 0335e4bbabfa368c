//! The table of descriptors compared with a model: a map from numbers to open files.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::libc;
use proptest::prelude::*;

use super::{Machine, int};

const LIMIT: u64 = 1024;

#[derive(Debug, Clone, Copy)]
enum Operation {
    Open { close_on_exec: bool },
    Close(u64),
    Duplicate(u64),
    DuplicateTo(u64, u64, bool),
    DuplicateFrom(u64, u64),
    SetCloseOnExec(u64, bool),
    CloseRange(u64, u64),
    Seek(u64, u64),
}

fn descriptor() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..12_u64, 1 => 1020..1030_u64, 1 => Just(u64::from(u32::MAX))]
}

fn operation() -> impl Strategy<Value = Operation> {
    let any_descriptor = descriptor;
    prop_oneof![
        any::<bool>().prop_map(|close_on_exec| Operation::Open { close_on_exec }),
        any_descriptor().prop_map(Operation::Close),
        any_descriptor().prop_map(Operation::Duplicate),
        (any_descriptor(), any_descriptor(), any::<bool>())
            .prop_map(|(old, new, on)| Operation::DuplicateTo(old, new, on)),
        (any_descriptor(), any_descriptor())
            .prop_map(|(old, least)| Operation::DuplicateFrom(old, least)),
        (any_descriptor(), any::<bool>())
            .prop_map(|(number, on)| Operation::SetCloseOnExec(number, on)),
        (any_descriptor(), any_descriptor())
            .prop_map(|(first, last)| Operation::CloseRange(first, last)),
        (any_descriptor(), 0..100_u64).prop_map(|(number, offset)| Operation::Seek(number, offset)),
    ]
}

/// The open file of each number, with its close-on-exec flag, and the position of each file.
#[derive(Debug, Default)]
struct Model {
    descriptors: BTreeMap<u64, (usize, bool)>,
    offsets: Vec<u64>,
}

impl Model {
    fn lowest(&self, least: u64) -> Result<u64, Errno> {
        (least..LIMIT)
            .find(|number| !self.descriptors.contains_key(number))
            .ok_or(Errno::EMFILE)
    }

    fn file(&self, number: u64) -> Result<usize, Errno> {
        self.descriptors
            .get(&number)
            .map(|(file, _)| *file)
            .ok_or(Errno::EBADF)
    }

    fn apply(&mut self, operation: Operation) -> Result<u64, Errno> {
        match operation {
            Operation::Open { close_on_exec } => {
                let number = self.lowest(0)?;
                self.offsets.push(0);
                self.descriptors
                    .insert(number, (self.offsets.len() - 1, close_on_exec));
                Ok(number)
            }
            Operation::Close(number) => self
                .descriptors
                .remove(&number)
                .map(|_| 0)
                .ok_or(Errno::EBADF),
            Operation::Duplicate(old) => self.duplicate(old, 0),
            Operation::DuplicateTo(old, new, _) if old == new => Err(Errno::EINVAL),
            Operation::DuplicateTo(old, new, close_on_exec) => {
                let file = self.file(old)?;
                if new >= LIMIT {
                    return Err(Errno::EBADF);
                }
                self.descriptors.insert(new, (file, close_on_exec));
                Ok(new)
            }
            Operation::DuplicateFrom(old, least) => self.duplicate(old, least),
            Operation::SetCloseOnExec(number, on) => {
                let file = self.file(number)?;
                self.descriptors.insert(number, (file, on));
                Ok(0)
            }
            Operation::CloseRange(first, last) if first > last => Err(Errno::EINVAL),
            Operation::CloseRange(first, last) => {
                self.descriptors
                    .retain(|number, _| !(first..=last).contains(number));
                Ok(0)
            }
            Operation::Seek(number, offset) => {
                let file = self.file(number)?;
                self.offsets[file] = offset;
                Ok(offset)
            }
        }
    }

    fn duplicate(&mut self, old: u64, least: u64) -> Result<u64, Errno> {
        let file = self.file(old)?;
        if least >= LIMIT {
            return Err(Errno::EINVAL);
        }
        let number = self.lowest(least)?;
        self.descriptors.insert(number, (file, false));
        Ok(number)
    }
}

fn make(machine: &mut Machine, operation: Operation) -> Result<u64, Errno> {
    let flags = |on| if on { int(libc::O_CLOEXEC) } else { 0 };
    match operation {
        Operation::Open { close_on_exec } => {
            let path = machine.path("/data/text");
            machine.call(libc::SYS_open, &[path, flags(close_on_exec)])
        }
        Operation::Close(number) => machine.call(libc::SYS_close, &[number]),
        Operation::Duplicate(old) => machine.call(libc::SYS_dup, &[old]),
        Operation::DuplicateTo(old, new, on) => {
            machine.call(libc::SYS_dup3, &[old, new, flags(on)])
        }
        Operation::DuplicateFrom(old, least) => {
            machine.call(libc::SYS_fcntl, &[old, int(libc::F_DUPFD), least])
        }
        Operation::SetCloseOnExec(number, on) => machine.call(
            libc::SYS_fcntl,
            &[number, int(libc::F_SETFD), u64::from(on)],
        ),
        Operation::CloseRange(first, last) => {
            machine.call(libc::SYS_close_range, &[first, last, 0])
        }
        Operation::Seek(number, offset) => machine.call(libc::SYS_lseek, &[number, offset, 0]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn descriptors_behave_as_the_model(operations in prop::collection::vec(operation(), 1..60)) {
        let mut machine = Machine::new();
        let mut model = Model::default();
        // The streams can't be positioned, and the model knows files only.
        machine.call(libc::SYS_close_range, &[0, 2, 0]).unwrap();
        for operation in operations {
            prop_assert_eq!(make(&mut machine, operation), model.apply(operation), "{:?}", operation);
        }
        for (&number, &(file, close_on_exec)) in &model.descriptors {
            prop_assert_eq!(machine.call(libc::SYS_lseek, &[number, 0, int(libc::SEEK_CUR)]), Ok(model.offsets[file]));
            prop_assert_eq!(machine.call(libc::SYS_fcntl, &[number, int(libc::F_GETFD)]), Ok(u64::from(close_on_exec)));
        }
    }
}
