//! The command line of `isobench-workload price`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt as _};

use super::{UsageError, count, operation};
use crate::run::{Price, PriceOperation};

/// The longest window. A mistyped number should not keep a processor busy for an hour.
const LONGEST: Duration = Duration::from_mins(1);

/// Reads the options of `isobench-workload price`.
pub(super) fn parse(parser: &mut Parser) -> Result<Price, UsageError> {
    let (mut kind, mut window, mut path) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("op") => {
                let value = parser.value()?;
                kind = Some(operation(value, PriceOperation::ALL, PriceOperation::name)?);
            }
            Arg::Long("milliseconds") => window = Some(time(parser.value()?)?),
            Arg::Long("path") => path = Some(PathBuf::from(parser.value()?)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let missing = |option| UsageError::Missing {
        workload: "price",
        option,
    };
    let operation = kind.ok_or(missing("--op"))?;
    if operation == PriceOperation::PageFaultFile && path.is_none() {
        return Err(missing("--path"));
    }
    Ok(Price {
        operation,
        window: window.ok_or(missing("--milliseconds"))?,
        path,
    })
}

fn time(value: OsString) -> Result<Duration, UsageError> {
    const OPTION: &str = "--milliseconds";
    let window = Duration::from_millis(count(OPTION, value.clone())?.get());
    if window > LONGEST {
        return Err(UsageError::Value {
            option: OPTION,
            value: value.string()?,
            needed: "60000 is the most".into(),
        });
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, parse};
    use crate::run::Workload;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(Parser::from_args(
            format!("price {line}").split_whitespace(),
        ))
    }

    #[test]
    fn every_operation_is_read() {
        for &operation in PriceOperation::ALL {
            let line = format!("--op {} --milliseconds 20 --path f", operation.name());
            let price = Price {
                operation,
                window: Duration::from_millis(20),
                path: Some("f".into()),
            };
            let workload = Workload::Price(price);
            let waits = false;
            let command = Command::Run { workload, waits };
            assert_eq!(parsed(&line).unwrap(), command, "{line}");
        }
    }

    #[test]
    fn an_error_names_what_is_missing_or_wrong() {
        for (line, words) in [
            ("--milliseconds 5", "needs --op"),
            ("--op clock", "needs --milliseconds"),
            ("--op page-fault-file --milliseconds 5", "needs --path"),
            ("--op nothing", "one of system-call"),
            ("--op clock --milliseconds 0", "above zero"),
            ("--op clock --milliseconds 60001", "the most"),
            ("--iterations 5", "bad command line"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
