//! An address at which peers are waited for.
//!
//! Invariant: nothing here blocks. Who has come is not looked at.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Line, tcp, udp, unix};
use crate::address::{Address, Carrier, To, Udp};

/// A port or a path that waits for peers.
#[derive(Debug)]
pub(crate) struct Waiting {
    listener: Listener,
    address: Address,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Udp(udp::Door),
    Unix(unix::Socket),
}

impl Waiting {
    pub(crate) fn bind(address: &Address) -> io::Result<Self> {
        let (listener, carrier) = match &address.carrier {
            Carrier::Tcp { host, port, listen: true } => {
                let listener = TcpListener::bind((host.as_str(), *port))?;
                listener.set_nonblocking(true)?;
                let port = listener.local_addr()?.port();
                (Listener::Tcp(listener), Carrier::Tcp { host: host.clone(), port, listen: true })
            }
            Carrier::Udp(udp @ Udp { to: To::Anybody, .. }) => {
                let door = udp::Door::bind(&udp.host, udp.port, udp.mtu)?;
                let port = door.port()?;
                (Listener::Udp(door), Carrier::Udp(Udp { port, ..udp.clone() }))
            }
            Carrier::Unix { path, listen: true } => {
                let socket = unix::bind(path)?;
                socket.listener.set_nonblocking(true)?;
                (Listener::Unix(socket), address.carrier.clone())
            }
            _ => {
                let text = "this address does not listen: it takes `?listen`";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        Ok(Self { listener, address: Address { carrier, ..address.clone() } })
    }

    /// The address with the port that was really taken.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Readable when somebody has come.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match &self.listener {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Udp(door) => door.fd(),
            Listener::Unix(socket) => socket.listener.as_fd(),
        }
    }

    /// Who has come, if somebody has.
    pub(crate) fn accept(&self) -> io::Result<Option<Line>> {
        loop {
            let accepted = match &self.listener {
                Listener::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
                    tcp::prepare(&stream)?;
                    Ok(stream.into())
                }),
                Listener::Udp(door) => return Ok(door.accept()?.map(Line::udp)),
                Listener::Unix(socket) => socket.listener.accept().map(|(stream, _)| stream.into()),
            };
            match accepted {
                Ok(fd) => return Line::socket(fd, &self.address).map(Some),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // The peer was gone before we came to it (InvalidInput: before its connection was set up).
                    io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }
}
