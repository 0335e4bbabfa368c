//! The stack and the program's sockets.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_short};
use slab::Slab;
use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::time::Instant as StackTime;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, IpEndpoint};

use super::NetworkLink;
use super::card::Card;
use super::connection::Connection;
use super::introduction::introduction;
use super::options::{Options, Value};
use super::socket::{Role, Socket};

/// The most packets that are taken at a time, so that the program runs while packets rain.
const MOST_PACKETS: usize = 256;
/// The addresses of the loopback.
const LOOPBACK_PREFIX: u8 = 8;
/// The Ethernet address of a guest without a link.
const NO_LINK: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The stack.
pub(in super::super) struct Stack {
    pub(super) interface: Interface,
    pub(super) card: Card,
    /// The connections, as the stack keeps them.
    pub(super) connections: SocketSet<'static>,
    /// The sockets, as the program knows them.
    pub(super) sockets: Slab<Socket>,
    /// The connections that the program has closed, oldest first.
    pub(super) orphans: VecDeque<SocketHandle>,
    started: Instant,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) prefix: u8,
    pub(super) last_port: u16,
}

impl Stack {
    /// A stack on a link, or without one.
    pub fn new(link: Option<NetworkLink>) -> Self {
        // The standard library seeds its hashes with the host's random numbers.
        let seed = RandomState::new().build_hasher().finish();
        let address = link.as_ref().map(|link| link.address);
        let hardware = EthernetAddress(link.as_ref().map_or(NO_LINK, |link| link.hardware_address));
        let prefix = link.as_ref().map_or(0, |link| link.prefix);
        let host = link.as_ref().map(|link| link.host);
        let mut card = Card::new(
            link.map(|link| link.tap),
            address.unwrap_or(Ipv4Addr::LOCALHOST),
        );
        let mut config = Config::new(HardwareAddress::Ethernet(hardware));
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut card, StackTime::ZERO);
        interface.update_ip_addrs(|all| {
            let loopback = IpCidr::new(Ipv4Addr::LOCALHOST.into(), LOOPBACK_PREFIX);
            let own = address.map(|address| IpCidr::new(address.into(), prefix));
            for address in own.into_iter().chain([loopback]) {
                // There is room for two.
                let _ = all.push(address);
            }
        });
        if let (Some(own), Some(host)) = (address, host) {
            card.send(&introduction(hardware, own, host));
        }
        let [low, high, ..] = seed.to_le_bytes();
        Self {
            interface,
            card,
            connections: SocketSet::new(Vec::new()),
            sockets: Slab::new(),
            orphans: VecDeque::new(),
            started: Instant::now(),
            address,
            prefix,
            last_port: u16::from_le_bytes([low, high]),
        }
    }

    /// Whether there are no sockets.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The descriptor at which packets arrive.
    pub fn tap(&self) -> Option<&Arc<OwnedFd>> {
        self.card.tap()
    }

    /// Whether a packet of the guest's own waits for the guest.
    pub fn has_looped(&self) -> bool {
        self.card.has_looped()
    }

    /// Whether an address is the guest's own.
    pub(super) fn is_own(&self, address: Ipv4Addr) -> bool {
        address == Ipv4Addr::LOCALHOST || Some(address) == self.address
    }

    pub(super) fn socket(&self, id: usize) -> Result<&Socket, Errno> {
        self.sockets.get(id).ok_or(Errno::EBADF)
    }

    pub(super) fn socket_mut(&mut self, id: usize) -> Result<&mut Socket, Errno> {
        self.sockets.get_mut(id).ok_or(Errno::EBADF)
    }

    pub(super) fn each_socket(&self) -> impl Iterator<Item = (usize, &Socket)> {
        self.sockets.iter()
    }

    pub(super) fn connection(&self, handle: SocketHandle) -> &Connection {
        self.connections.get(handle)
    }

    pub(super) fn connection_mut(&mut self, handle: SocketHandle) -> &mut Connection {
        self.connections.get_mut(handle)
    }

    fn now(&self) -> StackTime {
        let micros = self.started.elapsed().as_micros();
        StackTime::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Makes a socket.
    pub fn add(&mut self) -> usize {
        self.sockets.insert(Socket::new(Options::default()))
    }

    /// The address of a socket's own end.
    ///
    /// # Errors
    /// `EBADF`: there is no such socket.
    pub fn own_address(&self, id: usize) -> Result<SocketAddrV4, Errno> {
        let socket = self.socket(id)?;
        let connection = socket.handle().map(|handle| self.connection(handle));
        let local = connection.and_then(Connection::local_endpoint);
        let none = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        Ok(local
            .and_then(socket_address)
            .or(socket.bound)
            .unwrap_or(none))
    }

    /// The address of a connection's other end.
    ///
    /// # Errors
    /// `ENOTCONN`: there is no connection.
    pub fn peer_address(&self, id: usize) -> Result<SocketAddrV4, Errno> {
        let Role::Connected { handle, .. } = self.socket(id)?.role else {
            return Err(Errno::ENOTCONN);
        };
        let remote = self.connection(handle).remote_endpoint();
        remote.and_then(socket_address).ok_or(Errno::ENOTCONN)
    }

    /// The options of a socket.
    ///
    /// # Errors
    /// `EBADF`: there is no such socket.
    pub fn options(&self, id: usize) -> Result<&Options, Errno> {
        self.socket(id).map(|socket| &socket.options)
    }

    /// Sets an option.
    ///
    /// # Errors
    /// As [`Options::set`].
    pub fn set_option(
        &mut self,
        id: usize,
        level: i32,
        name: i32,
        value: Value,
    ) -> Result<(), Errno> {
        self.socket_mut(id)?.options.set(level, name, value)?;
        self.apply_options(id);
        self.transmit();
        Ok(())
    }

    pub(super) fn apply_options(&mut self, id: usize) {
        let Some((options, handle)) = self
            .sockets
            .get(id)
            .and_then(|socket| Some((&socket.options, socket.handle()?)))
        else {
            return;
        };
        let connection: &mut Connection = self.connections.get_mut(handle);
        connection.set_nagle_enabled(!options.has(libc::IPPROTO_TCP, libc::TCP_NODELAY));
        connection.set_keep_alive(options.keep_alive().map(Into::into));
    }

    /// Whether a socket takes connections.
    ///
    /// # Errors
    /// `EBADF`: there is no such socket.
    pub fn is_listening(&self, id: usize) -> Result<bool, Errno> {
        self.socket(id).map(Socket::is_listening)
    }

    /// Takes the error of a connection, or of the attempt to make one.
    ///
    /// # Errors
    /// `EBADF`: there is no such socket.
    pub fn take_error(&mut self, id: usize) -> Result<Option<Errno>, Errno> {
        Ok(self.socket_mut(id)?.error.take())
    }

    /// The `poll` events of what is ready of a socket.
    pub fn events(&self, id: usize) -> c_short {
        let socket = self.sockets.get(id);
        socket.map_or(0, |socket| socket.events(&self.connections))
    }

    /// A number that grows with each change of a socket.
    pub fn edge(&self, id: usize) -> u64 {
        self.sockets.get(id).map_or(0, Socket::edge)
    }

    /// Sends what can be sent.
    pub fn transmit(&mut self) {
        let now = self.now();
        while self
            .interface
            .poll_egress(now, &mut self.card, &mut self.connections)
            == PollResult::SocketStateChanged
        {}
    }

    /// Takes the packets that have come, sends what can be sent, and returns the sockets for which
    /// something came.
    pub fn work(&mut self) -> Vec<usize> {
        for (_, socket) in &mut self.sockets {
            socket.remember(&self.connections);
        }
        let mut left = MOST_PACKETS;
        loop {
            let now = self.now();
            while left > 0
                && self
                    .interface
                    .poll_ingress_single(now, &mut self.card, &mut self.connections)
                    != PollIngressSingleResult::None
            {
                left -= 1;
                self.refill();
            }
            self.transmit();
            if left == 0 || !self.card.has_looped() {
                break;
            }
        }
        self.refill();
        self.forget_orphans();
        let ids: Vec<usize> = self.sockets.iter().map(|(id, _)| id).collect();
        ids.into_iter()
            .filter(|&id| {
                self.settle(id);
                self.sockets
                    .get_mut(id)
                    .is_some_and(|socket| socket.has_changed(&self.connections))
            })
            .collect()
    }

    /// The time after which there is work without a packet. The result is `None` if there will be
    /// none.
    pub fn left(&mut self) -> Option<Duration> {
        if self.card.has_looped() {
            return Some(Duration::ZERO);
        }
        let now = self.now();
        let left = self.interface.poll_delay(now, &self.connections)?;
        Some(left.into())
    }
}

fn socket_address(endpoint: IpEndpoint) -> Option<SocketAddrV4> {
    match IpAddr::from(endpoint.addr) {
        IpAddr::V4(address) => Some(SocketAddrV4::new(address, endpoint.port)),
        IpAddr::V6(_) => None,
    }
}
