//! The command line of `isobench`.

use std::ffi::OsString;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use isobench_container::{Network, parse_size};
use isobench_reports::Language;

use crate::commands::formats::{ComparisonFormat, FigureFormat};
use crate::suite::options::{ConductOptions, Options, TargetOptions};
use crate::targets::guest::kernel::Architecture;
use crate::targets::resource_limits::ResourceLimits;
use crate::timing::settings::{Settings, parse_variable};
use crate::values::parse_percent;

/// What isolation costs, with numbers from your own machine.
///
/// isobench starts the identical static program as a bare process, in a namespace container and in a
/// KVM microVM, and measures start-up, memory, disk and network of each.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
    /// When to use colours and bold letters
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: ColorChoice,
}

/// The subcommands of `isobench`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure everything that this host can run, and write a report.
    Run(RunArguments),
    /// Time a command of yours on every target that can run it.
    ///
    /// The program is a static one of the host, or any program of an image or of a directory. Each
    /// run takes a fresh instance, and the targets take turns.
    Time(Box<TimeArguments>),
    /// Run any static Linux program in a target, or a program of an image in a target that runs
    /// images.
    ///
    /// Streams, signals and the exit code pass through. Signals that are ignored stay ignored. The
    /// targets microvm-*, bwrap, nsjail, firejail, unshare, systemd-nspawn and runsc end by a signal
    /// instead of passing it on.
    ///
    /// In unshare, crun, runc, youki, podman, containerd and docker the program is process 1, and
    /// doesn't end by a signal that it doesn't handle. After SIGHUP, SIGINT, SIGQUIT or SIGTERM such
    /// an instance is killed after 10 seconds.
    Exec(ExecArguments),
    /// Say what this host can run, what it can't, and why.
    Doctor(DoctorArguments),
    /// Draw the report again from saved results, on any machine.
    Report(ReportArguments),
    /// Hold one run against another, or against budgets; exit code 1 if something got worse.
    Compare(CompareArguments),
    /// Print the JSON Schema of results files.
    Schema,
    /// Keep images that other tools made, to run their programs in targets.
    ///
    /// The images are in the directory `ISOBENCH_STORE`, or else in ~/.local/share/isobench.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Build the kernel of the Linux guests, or say where the kernel is.
    Kernel(KernelArguments),
    /// Put the host's settings back when a run with `--tune` ends.
    #[command(hide = true)]
    KeepSettings {
        /// The directory below which the kernel's files are.
        #[arg(long)]
        root: PathBuf,
    },
}

/// Arguments of `isobench run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// What is measured, and how.
    #[command(flatten)]
    pub options: Options,
    /// Time the commands of this workload file instead of running the experiments
    #[arg(long, value_name = "FILE", conflicts_with_all = ["experiments", "profile"])]
    pub workload: Option<PathBuf>,
    /// With --workload: say why the targets differ, as `isobench time --explain` does
    #[arg(long, requires = "workload")]
    pub explain: bool,
    /// Print the figures in this format instead of one screen
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<FigureFormat>,
}

/// Arguments of `isobench time`.
#[derive(Debug, Args)]
pub struct TimeArguments {
    /// The command's settings.
    #[command(flatten)]
    pub settings: Settings,
    /// Which targets are measured.
    #[command(flatten)]
    pub choice: TargetOptions,
    /// How the run is conducted.
    #[command(flatten)]
    pub conduct: ConductOptions,
    /// Say why the targets differ: count what the command does, untimed, and multiply it with this
    /// host's prices
    #[arg(long)]
    pub explain: bool,
    /// Print the figures in this format instead of one screen
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<FigureFormat>,
    /// The program and its arguments [default with --image: the image's own]
    #[arg(last = true, required_unless_present = "image", value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// Arguments of `isobench exec`.
#[derive(Debug, Args)]
pub struct ExecArguments {
    /// Target to run the program in
    #[arg(long, value_name = "NAME")]
    pub target: String,
    /// Memory that the program may use, such as 64M: K, M, G and T are powers of 1024, as for docker and
    /// systemd, KB to TB powers of 1000; a target rounds to what it can
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<ByteSize>,
    /// Further limits
    #[command(flatten)]
    pub resource_limits: ResourceLimits,
    /// The program's network: none, loopback, veth (a link to the host, which has the address
    /// 198.18.0.1) or host
    #[arg(long, value_name = "NETWORK")]
    pub net: Option<Network>,
    /// A file that the program finds as /dev/vda in a microVM and as /disk in a container
    #[arg(long, value_name = "FILE")]
    pub disk: Option<PathBuf>,
    /// A variable of the program's environment, which has no others; may be repeated
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = parse_variable)]
    pub environment: Vec<OsString>,
    /// Pass descriptors 3 to 2 + N on to the program, as runc, crun and podman do; the target
    /// `process` passes on all that are open
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub preserve_fds: u16,
    /// Run a program of this image, which `isobench image import` brought
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// The program, a static ELF file, and its arguments; with --image any program of the image
    /// [default: the image's own]
    #[arg(last = true, required_unless_present = "image", value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// Arguments of `isobench doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Say whether this target can run; with `container`, also start a container and say what a
    /// program sees inside
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `isobench kernel`.
#[derive(Debug, Args)]
pub struct KernelArguments {
    /// The subcommand.
    #[command(subcommand)]
    pub command: KernelCommand,
}

/// The subcommands of `isobench kernel`.
#[derive(Debug, Subcommand)]
pub enum KernelCommand {
    /// Build a small, fast-booting kernel into the cache, unless the kernel is there already; a build
    /// that was stopped goes on
    Build {
        /// The kernel's source, a tree or a tar archive [default: Debian's package linux-source-*]
        #[arg(long, value_name = "PATH")]
        source: Option<PathBuf>,
        /// What the kernel runs on: um is the kernel of the target uml
        #[arg(long, value_enum, value_name = "ARCH", default_value_t)]
        arch: Architecture,
    },
    /// Print the path of the kernel that Linux guests boot
    Path {
        /// What the kernel runs on
        #[arg(long, value_enum, value_name = "ARCH", default_value_t)]
        arch: Architecture,
    },
}

/// Arguments of `isobench report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Results files, or the directories that hold them, or what hyperfine exports as JSON; those that
    /// can't be read are left out and named
    #[arg(required = true, value_name = "RESULTS")]
    pub results: Vec<PathBuf>,
    /// Target that ratios refer to [default: process]
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Print the figures in this format instead of writing a report
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "out")]
    pub format: Option<FigureFormat>,
    /// Write each plot as SVG and PNG to this directory instead of writing a report
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "out"])]
    pub plots: Option<PathBuf>,
    /// Have the reader guess first: the report hides its figures until the reader asks for them
    #[arg(long, conflicts_with_all = ["format", "plots"])]
    pub exercise: bool,
    /// Language of the report
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t = ReportLanguage::En)]
    pub language: ReportLanguage,
    /// File to write
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
}

/// Arguments of `isobench compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Results of the earlier run, a file or the directory that holds the file, and of the later run;
    /// with --budget, the later run's alone will do
    #[arg(required = true, num_args = 1..=2, value_names = ["BASE", "NEW"])]
    pub results: Vec<PathBuf>,
    /// Smallest change that matters
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = parse_percent)]
    pub threshold: f64,
    /// Judge the budgets of this file instead of every change: exit code 1 if one is broken, 3 if
    /// none is broken and one is undecided
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "threshold"])]
    pub budget: Option<PathBuf>,
    /// Compare the runs even if their hosts, kernels or profiles differ
    #[arg(long)]
    pub anyway: bool,
    /// Print this format instead of a table
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ComparisonFormat>,
}

/// Languages of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportLanguage {
    /// English
    En,
    /// Chinese
    Zh,
}

impl From<ReportLanguage> for Language {
    fn from(language: ReportLanguage) -> Self {
        match language {
            ReportLanguage::En => Self::English,
            ReportLanguage::Zh => Self::Chinese,
        }
    }
}

/// The subcommands of `isobench image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Import an OCI image layout, a tar archive of one, or what `docker save` or `podman save` writes.
    Import(ImportArguments),
    /// List the images.
    Ls(ListArguments),
    /// Remove images, and the layers that no other image has.
    Rm(RemoveArguments),
}

/// Arguments of `isobench image import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The archive, which may be compressed, or the layout's directory; - is the standard input
    #[arg(value_name = "TAR|OCI-LAYOUT")]
    pub path: PathBuf,
    /// Name of the image in the store [default: the name that the image has already]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Tag or digest of the image, where the archive has several images
    #[arg(long = "ref", value_name = "TAG|DIGEST")]
    pub reference: Option<String>,
}

/// Arguments of `isobench image ls`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `isobench image rm`.
#[derive(Debug, Args)]
pub struct RemoveArguments {
    /// Names of the images
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
