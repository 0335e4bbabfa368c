//! What `/init` is to do: a file of `KEY=VALUE` records, each ended by a zero byte, which no path, argument or variable
//! can hold.

use std::ffi::CString;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Where the orders lie in the guest.
pub const ORDERS: &str = "/.isobench";

/// The orders can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrdersError {
    /// A record is none, or of an unknown kind.
    #[error("{record:?} is no order")]
    Record {
        /// As it stands there.
        record: String,
    },
    /// There is no program, or no port.
    #[error("no {0} is named")]
    Missing(&'static str),
}

/// How what a guest says gets out of its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wire {
    /// isobench's own ports: one write names a piece of memory.
    #[default]
    Pieces,
    /// A device of another VMM's at each port takes bytes one by one: a debug console, a debug exit.
    Bytes,
    /// The data register of a serial port, byte by byte: the VMM has no other way out.
    Serial,
}

impl Wire {
    const ALL: [Self; 3] = [Self::Pieces, Self::Bytes, Self::Serial];

    const fn name(self) -> &'static str {
        match self {
            Self::Pieces => "pieces",
            Self::Bytes => "bytes",
            Self::Serial => "serial",
        }
    }
}

/// A byte that, written to a port, switches the machine off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerOff {
    /// The port.
    pub port: u16,
    /// The byte.
    pub value: u8,
}

/// Who a program runs as: root by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

impl User {
    /// Numbers with spaces between them: user, group, further groups.
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

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// The first of the VMM's ports: output, error, mark, input and exit follow each other.
    pub ports: u16,
    /// What listens there.
    pub wire: Wire,
    /// How a machine is switched off that neither has a port for the exit code nor ends with a reset.
    pub power_off: Option<PowerOff>,
    /// Whether standard input comes over the serial port; there is none otherwise.
    pub input: bool,
    /// Its address, if there is a network card.
    pub address: Option<Ipv4Addr>,
    /// Kernel modules to load first, in order.
    pub modules: Vec<CString>,
    /// The directory that becomes the root; without one the program is beside `/init`.
    pub root: Option<CString>,
    /// Where the program starts, if not in the root.
    pub directory: Option<CString>,
    /// Who it runs as.
    pub user: User,
    /// The program's path.
    pub program: CString,
    /// Its arguments, its own name first.
    pub arguments: Vec<CString>,
    /// Its environment, as `KEY=VALUE`.
    pub environment: Vec<CString>,
}

impl Orders {
    /// As a file.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = String::new();
        // Writing to a string can't fail.
        let _ = write!(
            head,
            "ports={}\0wire={}\0input={}\0",
            self.ports,
            self.wire.name(),
            self.input
        );
        if let Some(PowerOff { port, value }) = self.power_off {
            let _ = write!(head, "off={port} {value}\0");
        }
        if let Some(address) = self.address {
            let _ = write!(head, "address={address}\0");
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

    /// From a file.
    ///
    /// # Errors
    /// It isn't one that [`Self::encode`] made.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrdersError> {
        let mut orders = Self::default();
        for record in bytes.split_inclusive(|&byte| byte == 0) {
            orders.read(record).ok_or_else(|| OrdersError::Record {
                record: String::from_utf8_lossy(record).into_owned(),
            })?;
        }
        if orders.ports == 0 {
            return Err(OrdersError::Missing("port"));
        }
        if orders.program.is_empty() {
            return Err(OrdersError::Missing("program"));
        }
        Ok(orders)
    }

    fn read(&mut self, record: &[u8]) -> Option<()> {
        let equals = record.iter().position(|&byte| byte == b'=')?;
        let value = CString::from_vec_with_nul(record[equals + 1..].to_vec()).ok()?;
        match &record[..equals] {
            b"ports" => self.ports = value.to_str().ok()?.parse().ok()?,
            b"wire" => {
                let name = value.to_str().ok()?;
                self.wire = Wire::ALL.into_iter().find(|wire| wire.name() == name)?;
            }
            b"off" => {
                let (port, value) = value.to_str().ok()?.split_once(' ')?;
                self.power_off = Some(PowerOff {
                    port: port.parse().ok()?,
                    value: value.parse().ok()?,
                });
            }
            b"input" => self.input = value.to_str().ok()?.parse().ok()?,
            b"address" => self.address = Some(value.to_str().ok()?.parse().ok()?),
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
    use super::*;
    use proptest::prelude::*;

    fn string() -> impl Strategy<Value = CString> {
        prop::collection::vec(1_u8.., 0..20).prop_map(|b| CString::new(b).unwrap())
    }

    fn strings() -> impl Strategy<Value = Vec<CString>> {
        prop::collection::vec(string(), 0..5)
    }

    fn user() -> impl Strategy<Value = User> {
        let user = (any::<u32>(), any::<u32>(), any::<Vec<u32>>());
        user.prop_map(|(uid, gid, groups)| User { uid, gid, groups })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            ports in 1_u16..,
            wire in prop::sample::select(&Wire::ALL[..]),
            power_off in prop::option::of(any::<(u16, u8)>()),
            input: bool,
            address: Option<Ipv4Addr>,
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
                ports, wire, power_off, input, address, modules, root, directory, user, program, arguments,
                environment,
            };
            prop_assert_eq!(Orders::decode(&orders.encode()), Ok(orders));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Orders::decode(&bytes);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Orders::decode(b""), Err(OrdersError::Missing("port")));
        assert_eq!(
            Orders::decode(b"ports=9\0"),
            Err(OrdersError::Missing("program"))
        );
        let error = Orders::decode(b"ports=9\0program=/x").unwrap_err();
        assert!(error.to_string().contains("program=/x"), "{error}");
    }
}
