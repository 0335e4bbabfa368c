//! `isobench exec` of a static program of the host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use isobench_vmm::bare::program::Program;
use nix::unistd::{AccessFlags, access};

use super::instance::{check_disk, check_target, choose, run_in};
use crate::commands::arguments::ExecArguments;
use crate::commands::failure::BadInput;
use crate::host::descriptors::CallersDescriptors;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::streams::tell;
use crate::targets::{Contents, Launch};

/// Runs the program and gives its exit code, or 128 + the signal that ended the program.
///
/// # Errors
/// [`BadInput`] for a program, a target or a disk that can't be; else what failed.
pub fn exec(
    arguments: &ExecArguments,
    inherited: CallersDescriptors,
    interrupt: &Interrupt,
) -> anyhow::Result<ExitCode> {
    let programs = Programs::find()?;
    let target = choose(&programs, &arguments.target)?;
    let (program, program_arguments) = program(arguments)?;
    let disk = arguments.disk.as_deref().map(check_disk).transpose()?;
    check_target(&*target, arguments, &programs)?;
    let launch = Launch {
        name: arguments.command.first().cloned(),
        environment: arguments.environment.clone(),
        disk: disk.as_deref(),
        ..Launch::of(&program, program_arguments)
    };
    let contents = Contents::Program(&program);
    let code = run_in(&*target, contents, launch, arguments, inherited, interrupt)?;
    if code > 128 {
        tell_of_damage(&program);
    }
    Ok(code.into())
}

/// Tells why a program may have died, if its file is damaged. Linux runs such a program until it
/// needs what is not there.
fn tell_of_damage(program: &Path) {
    if let Err(error) = Program::open(program) {
        let error = anyhow::Error::new(error);
        tell(format_args!(
            "isobench: {error:#}, which may be why it died"
        ));
    }
}

/// The program's absolute path, with the name that was typed. The program is checked to be a static
/// ELF file that may be executed; what else may be wrong with it, each target finds out itself.
fn program(arguments: &ExecArguments) -> anyhow::Result<(PathBuf, &[OsString])> {
    let (program, rest) = arguments
        .command
        .split_first()
        .ok_or_else(|| BadInput("no program is named after `--`".to_owned()))?;
    let path = Path::new(program);
    Program::check_kind(path)
        .map_err(|error| BadInput(format!("{:#}", anyhow::Error::new(error))))?;
    let path =
        std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))?;
    access(&path, AccessFlags::X_OK).map_err(|e| {
        BadInput(format!(
            "{} can't be executed: {e}; chmod +x it",
            path.display()
        ))
    })?;
    Ok((path, rest))
}
