//! What standard output can show: its width, and whether colours and bold letters are wanted.

use std::ffi::OsString;
use std::io;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum as _;
use isobench_reports::{Style, TerminalOptions};

/// The width of a terminal that doesn't say its own, and of a reader that is no terminal.
const USUAL_WIDTH: u16 = 80;

/// Says when text is styled, in this program's whole output: the option `--color`.
pub fn choose_color(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    }
    .write_global();
}

/// The value of `--color` on a command line that asks for help or is wrong, which clap therefore
/// doesn't give.
pub fn color_wanted(arguments: impl IntoIterator<Item = OsString>) -> clap::ColorChoice {
    let mut wanted = clap::ColorChoice::Auto;
    let own = arguments.into_iter().take_while(|word| word != "--");
    let mut is_value = false;
    for word in own.filter_map(|word| word.into_string().ok()) {
        let value = if is_value {
            Some(word.as_str())
        } else {
            word.strip_prefix("--color=")
        };
        if let Some(choice) = value.and_then(|value| clap::ColorChoice::from_str(value, false).ok())
        {
            wanted = choice;
        }
        is_value = word == "--color";
    }
    wanted
}

/// Whether text on this stream is styled. Without `--color`, the environment decides, as it does
/// for all programs that use clap: `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, `TERM`, `CI`.
pub fn style(stream: &impl anstream::stream::RawStream) -> Style {
    match AutoStream::choice(stream) {
        ColorChoice::Never => Style::Plain,
        _ => Style::Styled,
    }
}

/// The columns of the terminal that standard output is; `None` if it isn't one.
pub fn columns() -> Option<u16> {
    let size = console::Term::stdout().size_checked();
    // A pseudo-terminal that nobody gave a size has no columns.
    size.map(|(_, columns)| if columns > 0 { columns } else { USUAL_WIDTH })
}

/// How text is written to standard output.
pub fn terminal_options() -> TerminalOptions {
    TerminalOptions {
        width: columns().unwrap_or(USUAL_WIDTH),
        style: style(&io::stdout()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wish_for_color_counts_and_a_program_s_own_does_not() {
        let wanted = |line: &str| color_wanted(line.split(' ').map(OsString::from));
        assert_eq!(wanted("run --help"), clap::ColorChoice::Auto);
        assert_eq!(wanted("--color always run"), clap::ColorChoice::Always);
        assert_eq!(
            wanted("--color=always run --color never"),
            clap::ColorChoice::Never
        );
        assert_eq!(
            wanted("--color never --color pink"),
            clap::ColorChoice::Never
        );
        assert_eq!(wanted("exec -- ls --color=always"), clap::ColorChoice::Auto);
    }
}
