//! Every operation is done, and the number of turns is what it should be.

use super::*;

/// The messages of a workload that does `operation`.
fn said(operation: PriceOperation, path: Option<PathBuf>) -> Result<Vec<Message>, WorkloadError> {
    let window = Duration::from_millis(2);
    let price = Price {
        operation,
        window,
        path,
    };
    let mut output = Vec::new();
    price.run(&mut output, &mut std::io::empty())?;
    let text = String::from_utf8(output).unwrap();
    Ok(text.lines().map(|line| line.parse().unwrap()).collect())
}

#[test]
fn every_operation_is_done_between_two_messages() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(32 << 20).unwrap();
    for &operation in PriceOperation::ALL {
        if operation == PriceOperation::Exit {
            continue;
        }
        let said = said(operation, Some(file.path().to_owned())).unwrap();
        let [Message::Begin, Message::End { operations, bytes }] = said[..] else {
            panic!("{operation:?}: {said:?}");
        };
        assert!(operations > 0, "{operation:?}");
        let moves = operation == PriceOperation::MemoryRead;
        assert_eq!(bytes > ByteSize(0), moves, "{operation:?}");
    }
}

#[test]
fn a_file_that_is_missing_or_too_short_is_named() {
    let operation = PriceOperation::PageFaultFile;
    assert!(matches!(said(operation, None), Err(WorkloadError::NoFile)));
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = said(operation, Some(file.path().to_owned())).unwrap_err();
    assert!(
        matches!(error, WorkloadError::TooShort { actual: 0, .. }),
        "{error}"
    );
}

/// Work with a fixed time for each turn, and a limited number of turns.
struct Slow {
    each: Duration,
    most: u64,
    done: u64,
}

impl Work for Slow {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        self.done += turns;
        assert!(self.done <= self.most);
        let end = Instant::now() + self.each * u32::try_from(turns).unwrap();
        while Instant::now() < end {}
        Ok(())
    }

    fn most(&self) -> u64 {
        self.most
    }
}

#[test]
fn the_number_of_turns_is_what_fits_into_the_window() {
    let mut slow = Slow {
        each: Duration::from_micros(100),
        most: u64::MAX,
        done: 0,
    };
    let turns = turns_in(Duration::from_millis(20), &mut slow).unwrap();
    // A host that takes the processor away makes the number smaller, and never larger.
    assert!((1..=200).contains(&turns), "{turns}");
}

#[test]
fn no_more_turns_are_done_than_there_are() {
    for most in [16, 100, 4096] {
        let mut quick = Slow {
            each: Duration::ZERO,
            most,
            done: 0,
        };
        let turns = turns_in(Duration::from_secs(1), &mut quick).unwrap();
        assert!(turns >= most / 2, "{turns} of {most}");
        quick.run(turns).unwrap();
    }
}

#[test]
fn a_chase_visits_every_line() {
    let mut seen = vec![false; 1 << 20];
    let mut line = 0;
    while !seen[line] {
        seen[line] = true;
        line = memory::next_line(line);
    }
    assert!(line == 0 && seen.iter().all(|seen| *seen));
}
