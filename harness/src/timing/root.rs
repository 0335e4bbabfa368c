//! The roots of timed commands, held while they are measured, and the programs in them.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use isobench_container::User;
use isobench_container::image::{
    HeldLayers, Image as StoredImage, ImageError, ImageName, NameSyntaxError, Store, import,
    program,
};
use isobench_vmm::bare::program::Program;
use nix::unistd::{AccessFlags, access};

use super::command::TimedCommand;
use super::directory::pack;
use super::root_choice::{Place, RootChoice};
use super::store::{StoreError, open_store};
use crate::targets::{Contents, Image};

/// A command's root or program can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The program is nowhere on the `PATH`.
    #[error(
        "no program `{0}` on the PATH; name it by a path such as ./{0}, or give --image or --root"
    )]
    NotFound(String),
    /// A whole command stands in one word, as other tools take it.
    #[error(
        "no program is called `{0}`: leave out the quotes, for each word of a command is an argument of its own; \
         a shell's <, > and | need a shell: -- sh -c '{0}'"
    )]
    OneWord(String),
    /// The program can't be executed.
    #[error("{} can't be executed; check the path, or chmod +x it", path.display())]
    NotExecutable {
        /// The program.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file is neither an ELF program nor a script.
    #[error("{} is no program: it is neither an ELF file nor does it begin with #!", .0.display())]
    NoProgram(PathBuf),
    /// The directory can't be copied.
    #[error("cannot copy the root {}", path.display())]
    Copy {
        /// The directory.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The image or the copy of a directory can't be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store of images can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The name isn't an image's.
    #[error(transparent)]
    Name(#[from] NameSyntaxError),
}

/// A command's program as it is started, and the place of its root among the [`Roots`].
#[derive(Debug, Clone)]
pub struct ResolvedProgram {
    /// The index of the root.
    pub root: usize,
    /// The program's path: on the host for a program alone, else inside the root.
    pub path: PathBuf,
    /// The program's own name, as the command has it.
    pub name: OsString,
    /// The program's arguments.
    pub arguments: Vec<OsString>,
    /// The program's whole environment, as `KEY=VALUE`.
    pub environment: Vec<OsString>,
    /// Why a root with nothing but the program isn't enough for it; `None` if it is, or if there is
    /// a whole root.
    pub needs_more: Option<String>,
}

/// The roots of a run's commands. Each is held until the value is dropped.
#[derive(Debug)]
pub struct Roots<'s> {
    /// The store of images that the user has imported, once a command needs it.
    store: Option<Store>,
    /// The directory for copies of directories.
    scratch: &'s Path,
    held: Vec<(RootChoice, HeldRoot)>,
}

/// A root.
#[derive(Debug)]
enum HeldRoot {
    /// One program.
    Program(PathBuf),
    /// The layers of an image or of a directory's copy.
    Layers {
        layers: HeldLayers,
        working_directory: PathBuf,
        user: User,
    },
}

impl<'s> Roots<'s> {
    /// No roots yet. Copies of directories are made in `scratch`.
    pub fn new(scratch: &'s Path) -> Self {
        Self {
            store: None,
            scratch,
            held: Vec::new(),
        }
    }

    /// Finds the program of `command`, and holds its root. Commands with the same root share it.
    ///
    /// # Errors
    /// [`RootError`]
    pub fn resolve(&mut self, command: &TimedCommand) -> Result<ResolvedProgram, RootError> {
        match &command.root {
            RootChoice::ProgramAlone => self.program_alone(command),
            RootChoice::Image { name, place } => {
                let store = match self.store.take() {
                    Some(store) => store,
                    None => open_store()?,
                };
                let image = store.image(&name.parse()?)?;
                let program = self.program_of_image(command, &store, image, place);
                self.store = Some(store);
                program
            }
            RootChoice::Directory { path, place } => {
                let number = self.held.len();
                let copies = Store::open(&self.scratch.join("copies"))?;
                let image = match self.index_of_directory(path) {
                    Some(known) => copies.image(&copy_name(known)?)?,
                    None => copy_directory(path, self.scratch, &copies, number)?,
                };
                self.program_of_image(command, &copies, image, place)
            }
        }
    }

    /// The contents of all roots, in the order of [`ResolvedProgram::root`].
    pub fn contents(&self) -> impl Iterator<Item = Contents<'_>> {
        self.held.iter().map(|(_, root)| match root {
            HeldRoot::Program(path) => Contents::Program(path),
            HeldRoot::Layers {
                layers,
                working_directory,
                user,
            } => Contents::Image(Image {
                layers: &layers.paths,
                working_directory,
                user,
            }),
        })
    }

    fn index_of_directory(&self, wanted: &Path) -> Option<usize> {
        self.held.iter().position(
            |(choice, _)| matches!(choice, RootChoice::Directory { path, .. } if path == wanted),
        )
    }

    fn program_alone(&mut self, command: &TimedCommand) -> Result<ResolvedProgram, RootError> {
        let path = find_on_host(&command.command[0], &command.directory)?;
        let needs_more = check_program(&path)?;
        let is_same =
            |(_, root): &(_, HeldRoot)| matches!(root, HeldRoot::Program(known) if *known == path);
        let root = self.held.iter().position(is_same).unwrap_or_else(|| {
            let root = HeldRoot::Program(path.clone());
            self.held.push((RootChoice::ProgramAlone, root));
            self.held.len() - 1
        });
        Ok(ResolvedProgram {
            root,
            path,
            name: command.command[0].clone(),
            arguments: command.command[1..].to_vec(),
            environment: command.environment.clone(),
            needs_more,
        })
    }

    fn program_of_image(
        &mut self,
        command: &TimedCommand,
        store: &Store,
        mut image: StoredImage,
        place: &Place,
    ) -> Result<ResolvedProgram, RootError> {
        let mut config = image.config.take().unwrap_or_default();
        if let Some(directory) = &place.working_directory {
            config.set_working_dir(Some(directory.clone()));
        }
        if let Some(user) = &place.user {
            config.set_user(Some(user.clone()));
        }
        image.config = Some(config);
        let layers = store.hold(&image)?;
        let (words, environment) = (&command.command, &command.environment);
        let program = program(&image, &layers, store.ids(), words, environment)?;
        let known = self
            .held
            .iter()
            .position(|(choice, _)| *choice == command.root);
        let root = known.unwrap_or_else(|| {
            let root = HeldRoot::Layers {
                layers,
                working_directory: program.working_directory,
                user: program.user,
            };
            self.held.push((command.root.clone(), root));
            self.held.len() - 1
        });
        Ok(ResolvedProgram {
            root,
            path: program.path,
            name: program.name,
            arguments: program.arguments,
            environment: program.environment,
            needs_more: None,
        })
    }
}

/// The name of the copy whose root has this index.
fn copy_name(root: usize) -> Result<ImageName, RootError> {
    Ok(format!("root-{root}").parse()?)
}

/// Copies the directory `path` into the store `copies`, with the owners that its files have inside.
fn copy_directory(
    path: &Path,
    scratch: &Path,
    copies: &Store,
    number: usize,
) -> Result<StoredImage, RootError> {
    let layout = scratch.join("layout");
    let copy_error = |source| RootError::Copy {
        path: path.to_owned(),
        source,
    };
    pack(path, &layout).map_err(copy_error)?;
    let imported = import(copies, &layout, Some(copy_name(number)?), None)?;
    std::fs::remove_dir_all(&layout).map_err(copy_error)?;
    Ok(imported.image)
}

/// The absolute path of a program of the host: a path that leads from `directory`, or a name that is
/// searched on the `PATH`.
fn find_on_host(program: &OsString, directory: &Path) -> Result<PathBuf, RootError> {
    find_program(program, directory).map_err(|error| {
        let words = program.to_string_lossy();
        if words.split_whitespace().count() > 1 {
            RootError::OneWord(words.into_owned())
        } else {
            error
        }
    })
}

fn find_program(program: &OsString, directory: &Path) -> Result<PathBuf, RootError> {
    let path = Path::new(program);
    let executable = |path: &Path| access(path, AccessFlags::X_OK);
    let found = if path.components().count() > 1 || program.to_string_lossy().contains('/') {
        directory.join(path)
    } else {
        let directories = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&directories)
            .map(|directory| directory.join(path))
            .find(|candidate| candidate.is_file() && executable(candidate).is_ok())
            .ok_or_else(|| RootError::NotFound(path.display().to_string()))?
    };
    let not_executable = |source| RootError::NotExecutable {
        path: found.clone(),
        source,
    };
    executable(&found).map_err(|errno| not_executable(errno.into()))?;
    // A program that is started through a link keeps the link's name.
    std::path::absolute(&found).map_err(not_executable)
}

/// Why the program at `path` can't run in a root with nothing else; `None` if it can.
fn check_program(path: &Path) -> Result<Option<String>, RootError> {
    let mut start = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    let count = read.map_err(|source| RootError::NotExecutable {
        path: path.to_owned(),
        source,
    })?;
    match &start[..count] {
        [b'#', b'!', ..] => Ok(Some(
            "is a script, whose interpreter isn't in its root".to_owned(),
        )),
        b"\x7fELF" => Ok(Program::check_kind(path).err().map(|error| {
            let error = anyhow::Error::new(error);
            let reason = error.root_cause().to_string();
            reason
                .split_once(": build it static")
                .map_or(reason.clone(), |(what, _)| what.to_owned())
        })),
        _ => Err(RootError::NoProgram(path.to_owned())),
    }
}
