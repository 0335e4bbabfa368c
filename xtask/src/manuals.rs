//! `cargo xtask manuals`: the man pages of `isobench` and its completions for shells, made from the
//! command line that `isobench` itself parses. So they can't name an option that it doesn't have.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use isobench::commands::arguments::Cli;

#[cfg(test)]
mod tests;

/// Where man(1) looks below a prefix such as `/usr/local`.
const MAN_PAGES: &str = "share/man/man1";
/// The shells, and where each looks for completions below such a prefix.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions/isobench"),
    (Shell::Fish, "share/fish/vendor_completions.d/isobench.fish"),
    (Shell::Zsh, "share/zsh/site-functions/_isobench"),
];

/// Writes all files below `prefix`, and returns their paths.
pub fn write(prefix: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let mut add = |path: PathBuf, contents: Vec<u8>| {
        let directory = path.parent().unwrap_or(prefix);
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
        anyhow::Ok(())
    };
    let command = without_hidden(&Cli::command());
    for command in commands(&built(command.clone())) {
        let (name, page) = man_page(command)?;
        add(prefix.join(MAN_PAGES).join(name), page)?;
    }
    for (shell, path) in SHELLS {
        add(prefix.join(path), completions(shell, &command))?;
    }
    Ok(written)
}

/// `command` without the subcommands and options that `--help` hides: what completes words for a
/// shell knows no hidden ones, and would offer them.
fn without_hidden(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|it| !it.is_hide_set());
    let subcommands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let mut shown = Command::new(kept(command.get_name()))
        .disable_help_subcommand(true)
        .args(arguments.cloned())
        .subcommands(subcommands.map(without_hidden));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(kept(version));
    }
    shown
}

/// `text` for as long as this program runs, which is how long clap asks for.
fn kept(text: &str) -> &'static str {
    text.to_owned().leak()
}

/// `command` with the names and options that its subcommands inherit.
fn built(mut command: Command) -> Command {
    command.build();
    command
}

/// `command` and its subcommands of all depths.
fn commands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(commands);
    std::iter::once(command).chain(below).collect()
}

/// The file name of the man page of `command`, and the page.
fn man_page(command: &Command) -> anyhow::Result<(String, Vec<u8>)> {
    let page = Man::new(command.clone())
        .source(concat!("isobench ", env!("CARGO_PKG_VERSION")))
        .manual("isobench");
    let mut text = Vec::new();
    page.render(&mut text)?;
    Ok((page.get_filename(), text))
}

/// What `shell` reads to complete the words of `command`.
fn completions(shell: Shell, command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command.clone(), command.get_name(), &mut text);
    text
}
