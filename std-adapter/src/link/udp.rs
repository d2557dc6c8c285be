//! UDP: a socket for each peer, connected, so that nobody else's datagrams come in.
//!
//! Invariant: one read is one datagram, and so is one write; it leaves whole, in one packet as far as is known. What the
//! network says about a datagram that did not arrive is only noted: the peer may be there in a moment.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use tieline::framing::{Deframed, Deframer, Framing};

use super::Step;

/// The largest packet of an Ethernet, and all of it that IPv4 and UDP leave: 1472 bytes (RFC 894, RFC 791 without options).
const MTU_V4: usize = 1500;
const HEADERS_V4: usize = 20 + 8;
/// The largest packet that every IPv6 network carries, which leaves 1232 bytes (RFC 8200, section 5).
const MTU_V6: usize = 1280;
const HEADERS_V6: usize = 40 + 8;
/// The largest datagram there is: UDP's length has 16 bits.
const DATAGRAM_MAX: usize = 65_535 - HEADERS_V4;

/// A wish for room in the system: a burst waits there until it is read, and less than a window of it would be a loss.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// As on TCP: what is in there can no longer be overtaken.
const SEND_BUFFER: usize = 128 * 1024;

/// HELLOs of peers that are not served yet.
const KNOCKING: usize = 64;
/// Datagrams that a listener looks at before others have a turn.
const AT_ONCE: usize = 256;

/// A socket that is connected to a peer.
#[derive(Debug)]
pub(super) struct Socket {
    fd: UdpSocket,
    /// What was read from the peer before there was this socket.
    first: Mutex<Option<Box<[u8]>>>,
    /// What the network has said last about datagrams that did not arrive.
    trouble: Mutex<Option<io::Error>>,
    /// Largest datagram that goes undivided, as far as is known.
    pub(super) datagram_max: usize,
}

impl Socket {
    /// The first of `addresses` to which there is a way. Whether somebody is there, nobody knows yet.
    pub(super) fn dial(addresses: &[SocketAddr], mtu: Option<u16>) -> io::Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name of the host has no address");
        for peer in addresses {
            match Self::open(&any(peer, 0), peer, mtu, None) {
                // The system gave us the very port that we call: we would talk to ourselves.
                Ok(socket) if socket.fd.local_addr()? == *peer => {
                    failed = io::ErrorKind::ConnectionRefused.into();
                }
                Ok(socket) => return Ok(socket),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn open(
        local: &SocketAddr,
        peer: &SocketAddr,
        mtu: Option<u16>,
        first: Option<Box<[u8]>>,
    ) -> io::Result<Self> {
        let fd = unbound(local)?;
        if first.is_some() {
            share_port(&fd)?;
        }
        rustix::net::bind(&fd, local)?;
        rustix::net::connect(&fd, peer)?;
        let fd = UdpSocket::from(fd);
        set_buffers(&fd);
        whole(&fd, peer, true);
        let datagram_max = datagram_max(&fd, peer, mtu);
        Ok(Self { fd, first: Mutex::new(first), trouble: Mutex::default(), datagram_max })
    }

    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<Step> {
        if let Some(first) = lock(&self.first).take() {
            let n = first.len().min(into.len());
            into.iter_mut().zip(&first).for_each(|(to, from)| *to = *from);
            return Ok(Step::Moved(n));
        }
        loop {
            match rustix::io::read(&self.fd, &mut *into) {
                // An empty datagram is none of ours.
                Ok(0) => {}
                Ok(n) => {
                    *lock(&self.trouble) = None;
                    return Ok(Step::Moved(n));
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Step::NotNow),
                Err(error) if passes(error) => self.note(error),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends one datagram. If the network has lost it, or will, it counts as sent.
    pub(super) fn write(&self, datagram: &[u8]) -> io::Result<Step> {
        let flags = super::no_signal();
        // The first tries may tell of earlier datagrams.
        for _ in 0..3 {
            match rustix::net::send(&self.fd, datagram, flags) {
                Ok(_) => return Ok(Step::Moved(datagram.len())),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Step::NotNow),
                Err(Errno::MSGSIZE) => self.divide(),
                Err(error) if passes(error) => self.note(error),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Step::Moved(datagram.len()))
    }

    /// The way takes less than it did when the session began, and a session's frames do not shrink: from now on the system
    /// divides them. The next line is opened with what the system knows by then.
    fn divide(&self) {
        if let Ok(peer) = self.fd.peer_addr() {
            whole(&self.fd, &peer, false);
        }
        self.note(Errno::MSGSIZE);
    }

    fn note(&self, error: Errno) {
        tracing::debug!(%error, "the network says that a datagram did not arrive");
        *lock(&self.trouble) = Some(error.into());
    }

    /// What is known of why nothing comes.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = lock(&self.trouble);
        trouble.as_ref().map(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "nobody listens on that port: the machine there has refused what we sent".to_owned()
            }
            _ => error.to_string(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A port at which peers are waited for.
#[derive(Debug)]
pub(super) struct Door {
    socket: UdpSocket,
    mtu: Option<u16>,
    /// Peers whose greeting was read while another one was let in.
    knocking: Mutex<VecDeque<(SocketAddr, Box<[u8]>)>>,
}

impl Door {
    pub(super) fn bind(host: &str, port: u16, mtu: Option<u16>) -> io::Result<Self> {
        // Without sharing the port, so that two programs that listen at one do not go unnoticed.
        let socket = UdpSocket::bind((host, port))?;
        share_port(&socket)?;
        socket.set_nonblocking(true)?;
        set_buffers(&socket);
        Ok(Self { socket, mtu, knocking: Mutex::default() })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Who has greeted, if somebody has: with a socket of its own, whose first datagram is the greeting.
    pub(super) fn accept(&self) -> io::Result<Option<Socket>> {
        let mut knocking = lock(&self.knocking);
        if knocking.is_empty() {
            self.listen(&mut knocking, None)?;
        }
        let Some((peer, greeting)) = knocking.pop_front() else { return Ok(None) };
        let socket = Socket::open(&self.socket.local_addr()?, &peer, self.mtu, Some(greeting))?;
        // From now on the peer's datagrams come to its own socket; what came here before is no second visitor.
        knocking.retain(|(other, _)| *other != peer);
        self.listen(&mut knocking, Some(&peer))?;
        Ok(Some(socket))
    }

    fn listen(
        &self,
        knocking: &mut VecDeque<(SocketAddr, Box<[u8]>)>,
        served: Option<&SocketAddr>,
    ) -> io::Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..AT_ONCE {
            match self.socket.recv_from(&mut buffer) {
                Ok((n, peer)) => {
                    let datagram = buffer.get(..n).unwrap_or_default();
                    let known = served == Some(&peer) || knocking.iter().any(|(other, _)| *other == peer);
                    if !known && knocking.len() < KNOCKING && greets(datagram) {
                        knocking.push_back((peer, datagram.into()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if passes(Errno::from_io_error(&error).unwrap_or(Errno::INVAL)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether it is an intact HELLO: nothing else is worth a socket.
fn greets(datagram: &[u8]) -> bool {
    let mut deframer = Deframer::new();
    deframer.reset(Framing::Datagram);
    // Without a session nothing but HELLO is intact.
    matches!(deframer.push(datagram, &mut [], None), (_, Deframed::Packets(_)))
}

/// What the network says of datagrams, and what may be different for the next one.
fn passes(error: Errno) -> bool {
    matches!(
        error,
        Errno::CONNREFUSED
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::NETDOWN
            | Errno::MSGSIZE
            | Errno::NOBUFS
            | Errno::PERM
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::TIMEDOUT
    )
}

/// Largest datagram that goes to `peer` undivided, as far as is stated or known.
pub(crate) fn datagram_max(fd: &UdpSocket, peer: &SocketAddr, mtu: Option<u16>) -> usize {
    let (usual, headers) = if peer.is_ipv4() { (MTU_V4, HEADERS_V4) } else { (MTU_V6, HEADERS_V6) };
    let mtu = match (mtu, known_mtu(fd, peer)) {
        (Some(stated), _) => stated.into(),
        // A machine that talks to itself could have more, but would lose what the others could not have.
        (None, Some(known)) => known.min(usual),
        (None, None) => usual,
    };
    (mtu - headers).min(DATAGRAM_MAX)
}

/// What the system knows of the way to the peer.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn known_mtu(fd: &UdpSocket, peer: &SocketAddr) -> Option<usize> {
    let mtu = if peer.is_ipv4() { sockopt::ip_mtu(fd) } else { sockopt::ipv6_mtu(fd) };
    mtu.ok().and_then(|mtu| usize::try_from(mtu).ok()).filter(|mtu| *mtu >= 132)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn known_mtu(_: &UdpSocket, _: &SocketAddr) -> Option<usize> {
    None
}

/// Whether packets are to go whole or not at all. Only a wish: it is the size that keeps them whole.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn whole(fd: &UdpSocket, peer: &SocketAddr, yes: bool) {
    use sockopt::{Ipv4PathMtuDiscovery as V4, Ipv6PathMtuDiscovery as V6};
    let _ = if peer.is_ipv4() {
        sockopt::set_ip_mtu_discover(fd, if yes { V4::DO } else { V4::DONT })
    } else {
        sockopt::set_ipv6_mtu_discover(fd, if yes { V6::DO } else { V6::DONT })
    };
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn whole(_: &UdpSocket, _: &SocketAddr, _: bool) {}

/// Nobody can be talked to at an address of all.
pub(super) fn no_peer() -> io::Error {
    let text = "a multicast group or a broadcast address is not one peer: there is no connection with it";
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Lets further sockets have the same port, each for one peer.
pub(crate) fn share_port(fd: &impl AsFd) -> io::Result<()> {
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    sockopt::set_socket_reuseport(fd, true)?;
    Ok(sockopt::set_socket_reuseaddr(fd, true)?)
}

pub(crate) fn set_buffers(fd: &UdpSocket) {
    // Only wishes: without them everything works, with more losses and worse priorities.
    let _ = sockopt::set_socket_recv_buffer_size(fd, RECEIVE_BUFFER);
    let _ = sockopt::set_socket_send_buffer_size(fd, SEND_BUFFER);
}

pub(crate) fn unbound(local: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = rustix::net::socket(family, SocketType::DGRAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}

/// That port on all interfaces, of the same kind of address.
pub(crate) fn any(like: &SocketAddr, port: u16) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
