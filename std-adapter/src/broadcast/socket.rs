//! Sockets that reach all, or hear all.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::sockopt;

use crate::address::{Address, Carrier, To, Udp};
use crate::link::udp;

/// Where to, and over which network.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) to: SocketAddr,
    /// Index of the network's interface; 0: the system chooses.
    interface: u32,
    /// `None`: a broadcast.
    hops: Option<u8>,
    mtu: Option<u16>,
}

impl Way {
    pub(super) fn of(address: &Address) -> io::Result<Self> {
        let Carrier::Udp(Udp { host, port, to, mtu }) = &address.carrier else { return Err(no_group()) };
        let (interface, hops) = match to {
            To::Group { interface, hops } => (interface.as_deref(), Some(*hops)),
            To::Network => (None, None),
            To::Peer | To::Anybody => return Err(no_group()),
        };
        let to = (host.as_str(), *port).to_socket_addrs()?.next();
        let to = to.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
        let interface = match interface {
            None => 0,
            Some(name) => {
                let any = udp::unbound(&to)?;
                rustix::net::netdevice::name_to_index(any, name).map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::InvalidInput,
                        format!("there is no network interface `{name}`"),
                    )
                })?
            }
        };
        Ok(Self { to, interface, hops, mtu: *mtu })
    }

    /// A socket to send with, and the largest datagram that it sends.
    pub(super) fn sender(&self) -> io::Result<(UdpSocket, usize)> {
        let fd = udp::unbound(&self.to)?;
        match (self.hops, self.to.ip()) {
            (None, _) => sockopt::set_socket_broadcast(&fd, true)?,
            (Some(hops), IpAddr::V4(group)) => {
                sockopt::set_ip_multicast_ttl(&fd, hops.into())?;
                if self.interface != 0 {
                    let any = Ipv4Addr::UNSPECIFIED;
                    sockopt::set_ip_multicast_if_with_ifindex(&fd, &group, &any, self.interface)?;
                }
            }
            (Some(hops), IpAddr::V6(_)) => {
                sockopt::set_ipv6_multicast_hops(&fd, hops.into())?;
                if self.interface != 0 {
                    sockopt::set_ipv6_multicast_if(&fd, self.interface)?;
                }
            }
        }
        rustix::net::connect(&fd, &self.to)?;
        // A network that is congested holds the publisher up for a moment.
        rustix::io::ioctl_fionbio(&fd, false)?;
        let fd = UdpSocket::from(fd);
        udp::whole(&fd, &self.to, true);
        let datagram_max = udp::datagram_max(&fd, &self.to, self.mtu);
        Ok((fd, datagram_max))
    }

    /// A socket that hears what is sent there.
    pub(super) fn receiver(&self) -> io::Result<UdpSocket> {
        let fd = udp::unbound(&self.to)?;
        // Several programs of one machine may listen.
        udp::share_port(&fd)?;
        // To the group itself: what is sent to others at that port does not come in. But a broadcast has no address of its own
        // everywhere.
        let local = if self.hops.is_some() { self.to } else { udp::any(&self.to, self.to.port()) };
        rustix::net::bind(&fd, &local)?;
        if self.hops.is_some() {
            self.join(&fd)?;
        }
        let fd = UdpSocket::from(fd);
        udp::set_buffers(&fd);
        Ok(fd)
    }

    fn join(&self, fd: &OwnedFd) -> io::Result<()> {
        let joined = match self.to.ip() {
            IpAddr::V4(group) => {
                let any = Ipv4Addr::UNSPECIFIED;
                sockopt::set_ip_add_membership_with_ifindex(fd, &group, &any, self.interface)
            }
            IpAddr::V6(group) => sockopt::set_ipv6_add_membership(fd, &group as &Ipv6Addr, self.interface),
        };
        joined.map_err(|error| match error {
            rustix::io::Errno::NODEV => io::Error::new(
                io::ErrorKind::NetworkUnreachable,
                "no network has a way to multicast groups: say which with `interface=`",
            ),
            error => error.into(),
        })
    }
}

fn no_group() -> io::Error {
    let text = "this address is of one peer: to reach all that listen it takes `?multicast` or `?broadcast`";
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
