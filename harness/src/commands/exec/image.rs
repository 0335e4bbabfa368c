//! `isobench exec --image`: a program of an image that other tools made, in a container or in a
//! virtual machine.

use std::process::ExitCode;

use isobench_container::image::program;

use super::instance::{check_disk, check_target, choose, run_in};
use crate::commands::arguments::ExecArguments;
use crate::commands::failure::BadInput;
use crate::host::descriptors::CallersDescriptors;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::targets::{self, Capability, Contents, Daemons, Image, Launch, TargetInfo};
use crate::timing::store::open_store;

/// Runs a program of the image called `name` and gives its exit code.
///
/// # Errors
/// [`BadInput`] for a target that runs no images, an unknown image, a program that the image doesn't
/// have; else what failed.
pub fn exec(
    arguments: &ExecArguments,
    name: &str,
    inherited: CallersDescriptors,
    interrupt: &Interrupt,
) -> anyhow::Result<ExitCode> {
    let programs = Programs::find()?;
    let target = choose(&programs, &arguments.target)?;
    if !target.info().can(Capability::RunImages) {
        return Err(no_images(target.info(), &programs).into());
    }
    let disk = arguments.disk.as_deref().map(check_disk).transpose()?;
    check_target(&*target, arguments, &programs)?;
    let store = open_store()?;
    let image = store.image(&name.parse()?)?;
    // The layers are held until the program has ended.
    let layers = store.hold(&image)?;
    let (command, environment) = (&arguments.command, &arguments.environment);
    let program = program(&image, &layers, store.ids(), command, environment)?;
    let launch = Launch {
        name: Some(program.name),
        environment: program.environment,
        disk: disk.as_deref(),
        ..Launch::of(&program.path, program.arguments)
    };
    let contents = Contents::Image(Image {
        layers: &layers.paths,
        working_directory: &program.working_directory,
        user: &program.user,
    });
    run_in(&*target, contents, launch, arguments, inherited, interrupt).map(ExitCode::from)
}

/// The error for a target that runs no programs of images. It names those that do.
fn no_images(info: &TargetInfo, programs: &Programs) -> BadInput {
    let reason = info.why_not(Capability::RunImages).unwrap_or_default();
    let mut others = targets::all(programs, Daemons::UseRunning);
    others.retain(|target| target.info().can(Capability::RunImages));
    BadInput(format!(
        "{} runs no image: {reason}; leave --image out, or choose among {}",
        info.name,
        targets::names(&others)
    ))
}
