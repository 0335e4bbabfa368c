//! What `/init` is to do: a file of `KEY=VALUE` records. Each record ends with a zero byte, which
//! no path, argument or variable can hold.

use std::ffi::CString;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use strum::{EnumString, IntoStaticStr};

/// The path of the orders in the guest.
pub const ORDERS: &str = "/.isobench";

/// The path in the guest of the directory that the host shares.
pub const SHARED: &str = "/shared";

/// The orders are malformed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrdersError {
    /// A record is malformed, or of an unknown kind.
    #[error("{record:?} is no order")]
    Record {
        /// The record as the file has it.
        record: String,
    },
    /// No program or no port is named.
    #[error("no {0} is named")]
    Missing(&'static str),
}

/// The way by which a guest's output leaves the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantArray))]
#[strum(serialize_all = "kebab-case")]
pub enum Wire {
    /// Through isobench's own ports: one write names a piece of memory.
    #[default]
    Pieces,
    /// Through devices of another VMM that take one byte at a time: a debug console, a debug exit.
    Bytes,
    /// Through the data register of a serial port, byte by byte. The VMM has no other way out.
    Serial,
    /// Over a line of user-mode Linux, in [frames](super::frames).
    Line,
}

impl Wire {
    /// The name that the kernel gives to the first network card of such a machine.
    pub(super) fn network_card(self) -> &'static str {
        match self {
            Self::Pieces | Self::Bytes | Self::Serial => "eth0",
            Self::Line => "vec0",
        }
    }

    fn name(self) -> &'static str {
        self.into()
    }
}

/// A byte that switches the machine off when it is written to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerOff {
    /// The port.
    pub port: u16,
    /// The byte.
    pub value: u8,
}

/// What a guest reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// Nothing.
    #[default]
    None,
    /// Itself.
    Loopback,
    /// Itself, and by a network card with this address the host.
    Card(Ipv4Addr),
}

/// The user that a program runs as. The default is root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The ids of further groups.
    pub groups: Vec<u32>,
}

impl User {
    /// The ids of the user, the group and the further groups, with spaces between them.
    fn encode(&self) -> String {
        let ids = [self.uid, self.gid].into_iter().chain(self.groups.clone());
        ids.map(|id| id.to_string()).collect::<Vec<_>>().join(" ")
    }

    fn decode(text: &str) -> Option<Self> {
        let mut ids = text.split(' ').map(|id| id.parse().ok());
        Some(Self {
            uid: ids.next()??,
            gid: ids.next()??,
            groups: ids.collect::<Option<_>>()?,
        })
    }
}

/// What `/init` is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// The first of the VMM's ports. The ports for output, error, mark, input and exit follow each
    /// other. A line has no ports.
    pub ports: u16,
    /// What listens to the ports.
    pub wire: Wire,
    /// How the machine is switched off, if it has no port for the exit code and does not end at a
    /// reset.
    pub power_off: Option<PowerOff>,
    /// Whether the host sends the program's standard input. Otherwise the program's standard input is
    /// empty.
    pub input: bool,
    /// Whether the program can make pseudo-terminals.
    pub terminals: bool,
    /// What the guest reaches.
    pub network: Network,
    /// Whether the host shares a directory, as user-mode Linux can. The program finds the directory's
    /// files in [`SHARED`].
    pub shares: bool,
    /// The kernel modules to load first, in order.
    pub modules: Vec<CString>,
    /// The directory that becomes the root. Without one the program is beside `/init`.
    pub root: Option<CString>,
    /// The directory in which the program starts, if not in the root.
    pub directory: Option<CString>,
    /// The user that the program runs as.
    pub user: User,
    /// The program's path.
    pub program: CString,
    /// The program's arguments, its own name first.
    pub arguments: Vec<CString>,
    /// The program's environment, as `KEY=VALUE`.
    pub environment: Vec<CString>,
}

impl Orders {
    /// The orders as the content of a file.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            head,
            "ports={}\0wire={}\0input={}\0terminals={}\0shares={}\0",
            self.ports,
            self.wire.name(),
            self.input,
            self.terminals,
            self.shares
        );
        if let Some(PowerOff { port, value }) = self.power_off {
            let _ = write!(head, "off={port} {value}\0");
        }
        match self.network {
            Network::None => {}
            Network::Loopback => head.push_str("network=loopback\0"),
            Network::Card(address) => drop(write!(head, "network={address}\0")),
        }
        if self.user != User::default() {
            let _ = write!(head, "user={}\0", self.user.encode());
        }
        let mut bytes = head.into_bytes();
        let mut put = |key: &str, value: &CString| {
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(b'=');
            bytes.extend_from_slice(value.to_bytes_with_nul());
        };
        for module in &self.modules {
            put("module", module);
        }
        for (key, path) in [("root", &self.root), ("directory", &self.directory)] {
            if let Some(path) = path {
                put(key, path);
            }
        }
        put("program", &self.program);
        for argument in &self.arguments {
            put("argument", argument);
        }
        for variable in &self.environment {
            put("variable", variable);
        }
        bytes
    }

    /// The orders in the content of a file.
    ///
    /// # Errors
    /// The content is none that [`Self::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrdersError> {
        let mut orders = Self::default();
        for record in bytes.split_inclusive(|&byte| byte == 0) {
            orders.read(record).ok_or_else(|| OrdersError::Record {
                record: String::from_utf8_lossy(record).into_owned(),
            })?;
        }
        if orders.ports == 0 && orders.wire != Wire::Line {
            return Err(OrdersError::Missing("port"));
        }
        if orders.program.is_empty() {
            return Err(OrdersError::Missing("program"));
        }
        Ok(orders)
    }

    /// Reads one record; `None` if the record is no order.
    fn read(&mut self, record: &[u8]) -> Option<()> {
        let equals = record.iter().position(|&byte| byte == b'=')?;
        let value = CString::from_vec_with_nul(record[equals + 1..].to_vec()).ok()?;
        match &record[..equals] {
            b"ports" => self.ports = value.to_str().ok()?.parse().ok()?,
            b"wire" => self.wire = value.to_str().ok()?.parse().ok()?,
            b"off" => {
                let (port, value) = value.to_str().ok()?.split_once(' ')?;
                self.power_off = Some(PowerOff {
                    port: port.parse().ok()?,
                    value: value.parse().ok()?,
                });
            }
            b"input" => self.input = value.to_str().ok()?.parse().ok()?,
            b"terminals" => self.terminals = value.to_str().ok()?.parse().ok()?,
            b"shares" => self.shares = value.to_str().ok()?.parse().ok()?,
            b"network" => {
                self.network = match value.to_str().ok()? {
                    "loopback" => Network::Loopback,
                    address => Network::Card(address.parse().ok()?),
                };
            }
            b"module" => self.modules.push(value),
            b"root" => self.root = Some(value),
            b"directory" => self.directory = Some(value),
            b"user" => self.user = User::decode(value.to_str().ok()?)?,
            b"program" => self.program = value,
            b"argument" => self.arguments.push(value),
            b"variable" => self.environment.push(value),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strum::VariantArray as _;

    use super::*;

    fn string() -> impl Strategy<Value = CString> {
        prop::collection::vec(1_u8.., 0..20).prop_map(|b| CString::new(b).unwrap())
    }

    fn strings() -> impl Strategy<Value = Vec<CString>> {
        prop::collection::vec(string(), 0..5)
    }

    fn network() -> impl Strategy<Value = Network> {
        prop_oneof![
            Just(Network::None),
            Just(Network::Loopback),
            any::<Ipv4Addr>().prop_map(Network::Card),
        ]
    }

    fn user() -> impl Strategy<Value = User> {
        let user = (any::<u32>(), any::<u32>(), any::<Vec<u32>>());
        user.prop_map(|(uid, gid, groups)| User { uid, gid, groups })
    }

    proptest! {
        #[test]
        fn orders_are_read_as_they_are_written(
            ports in 1_u16..,
            wire in prop::sample::select(Wire::VARIANTS),
            power_off in prop::option::of(any::<(u16, u8)>()),
            input: bool,
            terminals: bool,
            network in network(),
            shares: bool,
            modules in strings(),
            root in prop::option::of(string()),
            directory in prop::option::of(string()),
            user in user(),
            arguments in strings(),
            environment in strings(),
        ) {
            let program = c"/program=\n".to_owned();
            let power_off = power_off.map(|(port, value)| PowerOff { port, value });
            let orders = Orders {
                ports,
                wire,
                power_off,
                input,
                terminals,
                network,
                shares,
                modules,
                root,
                directory,
                user,
                program,
                arguments,
                environment,
            };
            prop_assert_eq!(Orders::decode(&orders.encode()), Ok(orders));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Orders::decode(&bytes);
        }
    }

    #[test]
    fn an_error_names_what_is_missing() {
        assert_eq!(Orders::decode(b""), Err(OrdersError::Missing("port")));
        assert_eq!(
            Orders::decode(b"ports=9\0"),
            Err(OrdersError::Missing("program"))
        );
    }

    #[test]
    fn an_error_shows_a_malformed_record() {
        let error = Orders::decode(b"ports=9\0program=/x").unwrap_err();
        assert!(error.to_string().contains("program=/x"), "{error}");
    }
}
