//! What `isobench` prints and returns when it can't do what it was asked.

use std::io;
use std::process::ExitCode;

use isobench_container::image::{ImageError, NameSyntaxError};
use isobench_reports::budgets::BudgetError;
use isobench_reports::{FormatError, ResultsError, Style, WriteError};

use crate::commands::terminal::style;
use crate::host::interrupt::Stopped;
use crate::host::pin::PinError;
use crate::host::session::SessionError;
use crate::host::tune::TuneError;
use crate::streams::{print, tell};
use crate::suite::request::RequestError;
use crate::targets::UnknownTarget;
use crate::targets::guest::kernel::KernelError;
use crate::timing::command::CommandError;
use crate::timing::root::RootError;
use crate::timing::store::StoreError;
use crate::timing::workload_file::WorkloadFileError;
use crate::toml_file::TomlFileError;

/// The user asked for something that can't be done as asked: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Exit code of a request that can't be met as it stands.
const BAD_INPUT: u8 = 2;

/// Exit code of what the user stopped: 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Prints clap's answer to a command line that asks for help or the version, or is wrong, and gives
/// the exit code.
pub fn answer(answer: &clap::Error) -> ExitCode {
    let text = answer.render();
    let text = |style| match style {
        Style::Styled => text.ansi().to_string(),
        Style::Plain => text.to_string(),
    };
    if answer.use_stderr() {
        tell(text(style(&io::stderr())).trim_end());
        return ExitCode::from(BAD_INPUT);
    }
    match print(text(style(&io::stdout()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error.into()),
    }
}

/// Prints the chain of causes on one line, and gives the exit code: 2 for bad input, 130 for a stop, 1
/// otherwise.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    tell(format_args!("isobench: {line}"));
    if error.is::<Stopped>() {
        ExitCode::from(INTERRUPTED)
    } else if error.chain().any(is_bad_input) {
        ExitCode::from(BAD_INPUT)
    } else {
        ExitCode::FAILURE
    }
}

fn is_bad_input(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<BadInput>()
        || cause.is::<UnknownTarget>()
        || cause.is::<RequestError>()
        || cause.is::<PinError>()
        || cause.is::<ResultsError>()
        || cause.is::<BudgetError>()
        || cause.is::<TomlFileError>()
        || cause.is::<ImageError>()
        || cause.is::<StoreError>()
        || cause.is::<RootError>()
        || cause.is::<CommandError>()
        || cause.is::<WorkloadFileError>()
        || cause.is::<NameSyntaxError>()
        || matches!(cause.downcast_ref(), Some(FormatError::OneRun { .. }))
        || matches!(cause.downcast_ref(), Some(TuneError::Held { .. }))
        || matches!(cause.downcast_ref(), Some(SessionError::NoDirectory { .. }))
        || cause.downcast_ref().is_some_and(KernelError::is_bad_input)
        || matches!(
            cause.downcast_ref(),
            Some(WriteError::Exists(_) | WriteError::Claimed(_))
        )
        || matches!(
            cause.downcast_ref(),
            // Another place can be named; a full disk is no mistake of the user's.
            Some(WriteError::Write { source, .. }) if !is_full(source)
        )
}

/// Whether a disk or a quota has no room left.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_is_exit_code_two_however_deep() {
        let deep = anyhow::Error::new(BadInput("no such target".to_owned())).context("cannot run");
        assert_eq!(report(&deep), ExitCode::from(2));
        assert_eq!(report(&anyhow::anyhow!("disk full")), ExitCode::FAILURE);
    }
}
