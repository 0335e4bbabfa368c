//! The launcher's command line.

use std::error::Error;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use isobench::instance::marks::MarkWriter;
use isobench::launchers::InheritedDescriptors;
use isobench_container::{User, parse_size};
use isobench_vmm::bare::{DEFAULT_MEMORY, Phase};
use isobench_vmm::memory::PAGE;
use lexopt::{Arg, Parser, ValueExt as _};

pub const USAGE: &str = "\
usage: isobench-vmm run [--guest bare|linux|uml] [--memory SIZE] [--disk FILE] \
[--read-only-disk FILE] [--file GUEST=HOST]... [--env KEY=VALUE]... \
[--vcpus N] [--marks-fd N] [--count-exits] [--trace] [--hold] [--template] \
[--snapshot FILE] [--restore FILE] \
[--kernel FILE] [--direct-disk FILE]... [--share DIRECTORY] [--module FILE]... \
[--net none|loopback|tap] \
[--append WORDS] [--show-console] [--time-limit SECONDS] \
[--layer DIRECTORY]... [--workdir PATH] [--user UID:GID[:GROUP,...]] \
[--terminals] [--argv0 NAME] -- PROGRAM [ARGS...] | probe";

/// The options that not all guests have, and the guests that have each.
const ONLY_FOR: [(&str, &[Guest]); 18] = [
    ("count-exits", &[Guest::Bare, Guest::Linux]),
    ("trace", &[Guest::Bare]),
    ("hold", &[Guest::Bare]),
    ("template", &[Guest::Bare]),
    ("snapshot", &[Guest::Bare]),
    ("restore", &[Guest::Bare]),
    ("vcpus", &[Guest::Bare, Guest::Linux]),
    ("direct-disk", &[Guest::Linux]),
    ("module", &[Guest::Linux]),
    ("append", &[Guest::Linux]),
    ("show-console", &[Guest::Linux]),
    ("time-limit", &[Guest::Linux]),
    ("kernel", &[Guest::Linux, Guest::Uml]),
    ("terminals", &[Guest::Linux, Guest::Uml]),
    ("layer", &[Guest::Linux, Guest::Uml]),
    ("workdir", &[Guest::Linux, Guest::Uml]),
    ("user", &[Guest::Linux, Guest::Uml]),
    ("share", &[Guest::Uml]),
];

/// The kind of guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// No guest OS, in a virtual machine.
    Bare,
    /// A Linux kernel in a virtual machine.
    Linux,
    /// A Linux kernel in a process (user-mode Linux).
    Uml,
}

impl Guest {
    const ALL: [Self; 3] = [Self::Bare, Self::Linux, Self::Uml];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Linux => "linux",
            Self::Uml => "uml",
        }
    }
}

/// The guest's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    None,
    /// The guest reaches itself alone.
    Loopback,
    /// A network card that is connected to a TAP device of the host.
    Tap,
}

/// A disk of the guest: a file or block device of the host.
#[derive(Debug)]
pub struct Disk {
    pub path: PathBuf,
    pub access: Access,
}

/// How the VMM accesses a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes go through the host's page cache.
    Buffered,
    /// Reads go through the host's page cache, and the guest can't write.
    ReadOnly,
    /// Reads and writes bypass the host's page cache.
    Direct,
}

/// The parsed command line of `isobench-vmm run`.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option without a value"
)]
pub struct Request {
    pub guest: Guest,
    pub marks: MarkWriter,
    pub counts_exits: bool,
    /// The size of guest memory. By default it is as large as the guest needs.
    pub memory: Option<ByteSize>,
    pub disks: Vec<Disk>,
    pub files: Vec<(PathBuf, PathBuf)>,
    pub environment: Vec<CString>,
    pub trace: bool,
    /// Whether the program starts only when a byte comes back on the descriptor for marks.
    pub holds: bool,
    /// Whether the program stops at its first input, and is cloned at each request.
    pub is_template: bool,
    /// The file that gets the program where it first asks for input.
    pub snapshot: Option<PathBuf>,
    /// The file with the program that goes on.
    pub restored: Option<PathBuf>,
    /// Whether the program of a Linux guest can make pseudo-terminals.
    pub terminals: bool,
    pub kernel: Option<PathBuf>,
    /// A directory of the host's that the guest's program can write to.
    pub shared: Option<PathBuf>,
    /// The number of vCPUs.
    pub processors: u8,
    pub modules: Vec<PathBuf>,
    pub network: Network,
    pub append: String,
    pub show_console: bool,
    pub limit: Option<Duration>,
    /// The layers of the program's image, the lowest first.
    pub layers: Vec<PathBuf>,
    pub working_directory: PathBuf,
    pub user: User,
    pub program: PathBuf,
    /// The program's own name, its argument 0, if not the program's path.
    pub name: Option<CString>,
    pub arguments: Vec<CString>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            guest: Guest::Bare,
            marks: MarkWriter::default(),
            counts_exits: false,
            memory: None,
            disks: Vec::new(),
            files: Vec::new(),
            environment: Vec::new(),
            trace: false,
            holds: false,
            is_template: false,
            snapshot: None,
            restored: None,
            terminals: false,
            kernel: None,
            shared: None,
            processors: 1,
            modules: Vec::new(),
            network: Network::None,
            append: String::new(),
            show_console: false,
            limit: None,
            layers: Vec::new(),
            working_directory: "/".into(),
            user: User::default(),
            program: PathBuf::new(),
            name: None,
            arguments: Vec::new(),
        }
    }
}

impl Request {
    /// Parses the command line, and takes the pipe for marks from the inherited descriptors.
    pub fn parse(mut inherited: InheritedDescriptors) -> Result<Self, Box<dyn Error>> {
        let mut words = Parser::from_env();
        let _subcommand = words.next()?;
        let mut request = Self::default();
        let mut given = Vec::new();
        while let Some(word) = words.next()? {
            match word {
                Arg::Long(option) => {
                    let option = option.to_owned();
                    request.set(&option, &mut words, &mut inherited)?;
                    given.push(option);
                }
                Arg::Value(program) => {
                    request
                        .arguments
                        .push(CString::new(program.clone().into_vec())?);
                    request.program = program.into();
                    for argument in words.raw_args()? {
                        request.arguments.push(CString::new(argument.into_vec())?);
                    }
                }
                other @ Arg::Short(_) => return Err(other.unexpected().into()),
            }
        }
        if let (Some(name), Some(first)) = (request.name.take(), request.arguments.first_mut()) {
            *first = name;
        }
        request.check(&given)?;
        if request.holds {
            request.marks.hold_after(Phase::Load.name())?;
        }
        Ok(request)
    }

    /// The requested size of guest memory, or the default.
    pub fn memory(&self) -> ByteSize {
        self.memory.unwrap_or(DEFAULT_MEMORY)
    }

    /// The option that gives the guest something beyond its memory and one vCPU, which neither a
    /// clone nor a snapshot of the guest can have. `None` if there is none.
    pub fn beyond_memory(&self) -> Option<&'static str> {
        let options = [
            ("--vcpus", self.processors > 1),
            ("a disk", !self.disks.is_empty()),
            ("--net tap", self.network == Network::Tap),
        ];
        let mut given = options.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(option, _)| option)
    }

    fn set(
        &mut self,
        option: &str,
        words: &mut Parser,
        inherited: &mut InheritedDescriptors,
    ) -> Result<(), Box<dyn Error>> {
        match option {
            "guest" => self.guest = guest(&words.value()?.string()?)?,
            "marks-fd" => self.marks = inherited.marks(words.value()?.parse()?)?,
            "count-exits" => self.counts_exits = true,
            "memory" => self.memory = Some(whole_pages(words.value()?.parse_with(parse_size)?)),
            "disk" => self.add_disk(words, Access::Buffered)?,
            "read-only-disk" => self.add_disk(words, Access::ReadOnly)?,
            "direct-disk" => self.add_disk(words, Access::Direct)?,
            "file" => self.files.push(file_pair(&words.value()?.string()?)?),
            "env" => self.environment.push(environment_pair(words.value()?)?),
            "argv0" => self.name = Some(CString::new(words.value()?.into_vec())?),
            "trace" => self.trace = true,
            "hold" => self.holds = true,
            "template" => self.is_template = true,
            "snapshot" => self.snapshot = Some(words.value()?.into()),
            "restore" => self.restored = Some(words.value()?.into()),
            "terminals" => self.terminals = true,
            "kernel" => self.kernel = Some(words.value()?.into()),
            "share" => self.shared = Some(words.value()?.into()),
            "vcpus" => self.processors = words.value()?.parse()?,
            "module" => self.modules.push(words.value()?.into()),
            "net" => self.network = network(&words.value()?.string()?)?,
            "append" => self.append = words.value()?.string()?,
            "show-console" => self.show_console = true,
            "time-limit" => self.limit = Some(seconds(&words.value()?.string()?)?),
            "layer" => self.layers.push(words.value()?.into()),
            "workdir" => self.working_directory = words.value()?.into(),
            "user" => self.user = words.value()?.parse()?,
            _ => return Err(Arg::Long(option).unexpected().into()),
        }
        Ok(())
    }

    fn add_disk(&mut self, words: &mut Parser, access: Access) -> Result<(), lexopt::Error> {
        let path = words.value()?.into();
        self.disks.push(Disk { path, access });
        Ok(())
    }

    /// Checks that the `given` options go together, and that there is a program.
    fn check(&self, given: &[String]) -> Result<(), Box<dyn Error>> {
        for (option, guests) in ONLY_FOR {
            if given.iter().any(|given| given == option) && !guests.contains(&self.guest) {
                let names = guests.iter().map(|guest| guest.name());
                let names = names.collect::<Vec<_>>().join(" and ");
                return Err(format!("--{option} is for --guest {names}").into());
            }
        }
        let (foreign, rule): (&[&str], _) = if self.layers.is_empty() {
            (&["workdir", "user"], "needs --layer")
        } else {
            (&["file"], "can't be combined with --layer")
        };
        if let Some(option) = given.iter().find(|o| foreign.contains(&o.as_str())) {
            return Err(format!("--{option} {rule}").into());
        }
        if self.program.as_os_str().is_empty() {
            return Err("no program is given".into());
        }
        Ok(())
    }
}

/// The largest size in whole pages that is not more than `size`.
fn whole_pages(size: ByteSize) -> ByteSize {
    ByteSize(size.as_u64() & !(PAGE - 1))
}

fn guest(word: &str) -> Result<Guest, String> {
    let mut guests = Guest::ALL.into_iter();
    guests
        .find(|guest| guest.name() == word)
        .ok_or_else(|| format!("--guest {word} is neither bare, linux nor uml"))
}

fn network(word: &str) -> Result<Network, String> {
    match word {
        "none" => Ok(Network::None),
        "loopback" => Ok(Network::Loopback),
        "tap" => Ok(Network::Tap),
        _ => Err(format!("--net {word} is neither none, loopback nor tap")),
    }
}

/// Splits `GUEST=HOST`.
fn file_pair(pair: &str) -> Result<(PathBuf, PathBuf), Box<dyn Error>> {
    let (guest, host) = pair
        .split_once('=')
        .ok_or_else(|| format!("--file {pair} is not GUEST=HOST"))?;
    Ok((guest.into(), host.into()))
}

/// Checks that `pair` is `KEY=VALUE`.
fn environment_pair(pair: OsString) -> Result<CString, Box<dyn Error>> {
    let bytes = pair.into_vec();
    if !bytes.iter().skip(1).any(|&byte| byte == b'=') {
        return Err(format!("--env {} is not KEY=VALUE", String::from_utf8_lossy(&bytes)).into());
    }
    Ok(CString::new(bytes)?)
}

fn seconds(word: &str) -> Result<Duration, String> {
    let refused = || format!("--time-limit {word} is not a number of seconds above zero");
    let limit = word.parse().ok().map(Duration::try_from_secs_f64);
    match limit {
        Some(Ok(limit)) if !limit.is_zero() => Ok(limit),
        _ => Err(refused()),
    }
}
