//! Workload files: several commands to time, in TOML (<https://toml.io/en/v1.0.0>).
//!
//! ```toml
//! [needs.images]                      # what to do if the image isn't there
//! python = "run `isobench image import python.tar --name python`"
//!
//! [defaults]                          # the settings of commands that don't say otherwise
//! image = "python"
//!
//! [[command]]
//! name = "import"
//! command = ["python3", "-c", "import json"]
//! ```
//!
//! Paths of the host are relative to the file's directory.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::command::{CommandError, TimedCommand};
use super::root_choice::RootChoice;
use super::settings::Settings;
use crate::toml_file::{self, TomlFileError};

/// A workload file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadFileError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] TomlFileError),
    /// The file has no command.
    #[error("{}: no command is named; add a [[command]] with name and command", .0.display())]
    Empty(PathBuf),
    /// A command's settings can't be met.
    #[error("{}: the command `{name}`", path.display())]
    Command {
        /// The file.
        path: PathBuf,
        /// The command's name.
        name: String,
        /// What is wrong with the settings.
        source: CommandError,
    },
    /// Two commands have the same name.
    #[error("{}: two commands are called `{name}`; give each a name of its own", path.display())]
    SameName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
}

/// The commands of a workload file, and what they need.
#[derive(Debug)]
pub struct Workload {
    /// The commands, in the file's order.
    pub commands: Vec<TimedCommand>,
    /// What to do about what isn't there.
    pub needs: Needs,
}

/// What the commands of a file need, each with what to do if it isn't there.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// By name of an image: how the image is made.
    images: BTreeMap<String, String>,
    /// By path, as the commands have it: how the file is made.
    files: BTreeMap<PathBuf, String>,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    needs: Needs,
    #[serde(default)]
    defaults: Settings,
    #[serde(default, rename = "command")]
    commands: Vec<Settings>,
}

impl Workload {
    /// Reads the workload file at `path`.
    ///
    /// # Errors
    /// [`WorkloadFileError`] with the line and the column of what is wrong.
    pub fn read(path: &Path) -> Result<Self, WorkloadFileError> {
        let text = toml_file::read(path, "workload file")?;
        Self::parse(&text, path)
    }

    /// Reads `text`, the text of the file at `path`.
    ///
    /// # Errors
    /// As [`Workload::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, WorkloadFileError> {
        let document: Document = toml_file::parse(text, path)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut names = HashSet::new();
        let mut commands = Vec::new();
        for settings in document.commands {
            let name = settings.name.clone().unwrap_or_default();
            let command = timed_command(settings, &document.defaults, directory);
            let command = command.map_err(|source| WorkloadFileError::Command {
                path: path.to_owned(),
                name: name.clone(),
                source,
            })?;
            if !names.insert(name.clone()) {
                let path = path.to_owned();
                return Err(WorkloadFileError::SameName { path, name });
            }
            commands.push(command);
        }
        if commands.is_empty() {
            return Err(WorkloadFileError::Empty(path.to_owned()));
        }
        let files = document.needs.files.into_iter();
        let needs = Needs {
            images: document.needs.images,
            files: files
                .map(|(path, how)| (plain(&directory.join(path)), how))
                .collect(),
        };
        Ok(Self { commands, needs })
    }
}

impl Needs {
    /// How to get the root or the program of `command`, if the file says so.
    pub fn of_command(&self, command: &TimedCommand) -> Option<&str> {
        match &command.root {
            RootChoice::Image { name, .. } => self.images.get(name).map(String::as_str),
            RootChoice::Directory { path, .. } => self.of_file(path),
            RootChoice::ProgramAlone => {
                let program = command.command.first()?;
                self.of_file(&command.directory.join(program))
            }
        }
    }

    /// How to get the file of the host at `path`, if the file says so.
    pub fn of_file(&self, path: &Path) -> Option<&str> {
        self.files.get(&plain(path)).map(String::as_str)
    }
}

/// The command that `settings` describe. Paths of the host are relative to `directory`.
fn timed_command(
    settings: Settings,
    defaults: &Settings,
    directory: &Path,
) -> Result<TimedCommand, CommandError> {
    let mut settings = settings.or(defaults);
    // A command of a file needs a name, because the results have a place for each.
    let name = settings.name.unwrap_or_default();
    settings.name = Some(name);
    settings.root = settings.root.map(|path| directory.join(path));
    settings.input = settings.input.map(|path| directory.join(path));
    let command = settings.command.drain(..).map(Into::into).collect();
    Ok(TimedCommand {
        directory: directory.to_owned(),
        ..TimedCommand::new(settings, command)?
    })
}

/// The path without components that lead nowhere, so that `./a` and `a` are the same key.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Workload, String> {
        Workload::parse(text, Path::new("dir/file.toml"))
            .map_err(|error| format!("{:#}", anyhow::Error::new(error)))
    }

    #[test]
    fn commands_have_the_defaults_and_paths_of_the_file_s_directory() {
        let workload = parse(
            r#"
            [needs.images]
            python = "import it"
            [needs.files]
            "bin/tool" = "build it"
            [defaults]
            runs = 7
            image = "python"
            [[command]]
            name = "one"
            command = ["python3", "-V"]
            input = "in.txt"
            [[command]]
            name = "two"
            root = "tree"
            command = ["bin/x"]
            "#,
        )
        .unwrap();
        let [one, two] = &workload.commands[..] else {
            panic!("{workload:?}")
        };
        assert_eq!(one.in_words(), "python3 -V");
        assert_eq!(one.input.as_deref(), Some(Path::new("dir/in.txt")));
        let hint = workload.needs.of_file(Path::new("./dir/bin/tool"));
        assert_eq!(hint, Some("build it"));
        assert_eq!((one.runs, two.runs), (7, 7));
        assert_eq!(workload.needs.of_command(one), Some("import it"));
        assert!(
            matches!(&two.root, RootChoice::Directory { path, .. } if path == Path::new("dir/tree"))
        );
        assert_eq!(two.command, ["bin/x"]);
        assert_eq!(workload.needs.of_command(two), None);
    }

    #[test]
    fn a_program_of_the_host_is_found_from_the_file_s_directory() {
        let text = "[needs.files]\n\"bin/tool\" = \"build it\"\n[[command]]\nname = \"a\"\ncommand = [\"bin/tool\", \"x/y\"]\n[[command]]\nname = \"b\"\ncommand = [\"true\"]";
        let workload = parse(text).unwrap();
        assert_eq!(workload.commands[0].command, ["bin/tool", "x/y"]);
        assert_eq!(workload.commands[0].directory, Path::new("dir"));
        assert_eq!(
            workload.needs.of_command(&workload.commands[0]),
            Some("build it")
        );
        assert_eq!(workload.commands[1].command, ["true"]);
    }

    #[test]
    fn an_error_names_the_place() {
        let entry = "[[command]]\nname = \"a\"\ncommand = [\"x\"]\n";
        for (text, expected) in [
            ("", "dir/file.toml: no command is named"),
            ("[[comand]]\n", "dir/file.toml:1:3: unknown field `comand`"),
            (
                &format!("{entry}colour = 5\n"),
                "dir/file.toml:4:1: unknown field `colour`",
            ),
            (
                &format!("{entry}runs = \"x\"\n"),
                "dir/file.toml:4:8: invalid type",
            ),
            (
                &format!("{entry}ready = \"udp=5\"\n"),
                "dir/file.toml:4:9: `udp=5` is no condition",
            ),
            (
                &format!("{entry}memory = \"lots\"\n"),
                "dir/file.toml:4:10: ",
            ),
            (&format!("{entry}{entry}"), "two commands are called `a`"),
            (
                "[[command]]\ncommand = [\"x\"]\n",
                "`` is no name of a command",
            ),
            (
                "[[command]]\nname = \"a\"\n",
                "the command `a`: no program is named",
            ),
            ("[[command]\n", "dir/file.toml:1:"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
