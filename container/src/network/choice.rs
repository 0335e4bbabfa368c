//! The networks that a container can have.

use std::net::Ipv4Addr;

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::link::HOST_ADDRESS;

/// The network of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr, VariantArray)]
#[strum(
    serialize_all = "kebab-case",
    parse_err_ty = NetworkSyntaxError,
    parse_err_fn = NetworkSyntaxError::of
)]
pub enum Network {
    /// A network namespace whose loopback is down: no network at all.
    #[default]
    None,
    /// A network namespace with a loopback.
    Loopback,
    /// A network namespace with a loopback and a link to the host, which the program finds at
    /// [`HOST_ADDRESS`]. The link takes `CAP_NET_ADMIN`.
    Veth,
    /// The host's network.
    Host,
}

impl Network {
    /// All networks.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The network's name on a command line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The address at which a program finds the host; `None` if a program cannot reach the host.
    pub const fn host_address(self) -> Option<Ipv4Addr> {
        match self {
            Self::None | Self::Loopback => None,
            Self::Veth => Some(HOST_ADDRESS),
            Self::Host => Some(Ipv4Addr::LOCALHOST),
        }
    }

    /// Whether the container's first process is sent messages for its network.
    pub const fn is_set_up(self) -> bool {
        matches!(self, Self::Loopback | Self::Veth)
    }
}

/// A text that is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a network: give one of {known}", known = known())]
pub struct NetworkSyntaxError {
    text: String,
}

impl NetworkSyntaxError {
    fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }
}

fn known() -> String {
    let names: Vec<_> = Network::ALL.iter().map(|network| network.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_read_by_its_name() {
        for network in Network::ALL {
            assert_eq!(network.name().parse(), Ok(*network));
        }
    }

    #[test]
    fn an_error_names_the_text_and_the_networks() {
        let error = "bridge".parse::<Network>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"bridge\" is not a network: give one of none, loopback, veth, host"
        );
    }
}
