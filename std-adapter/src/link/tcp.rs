//! TCP: dialling, and waiting for a peer.

use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::{Line, timespec};
use crate::address::{Address, Carrier};

/// Room for data that the system has not sent yet. What is in there can no longer be overtaken by something
/// more urgent; less of it would hold up a fast network.
const SEND_BUFFER: usize = 128 * 1024;

pub(super) fn dial(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let begin = Instant::now();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name of the host has no address");
    for address in (host, port).to_socket_addrs()? {
        let left = limit.saturating_sub(begin.elapsed()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            // Nobody listens there, and the system gave us the very port that we dial: we would talk to ourselves.
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                failed = io::ErrorKind::ConnectionRefused.into();
            }
            Ok(stream) => return prepare(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    // Only a wish: without it everything works, with worse priorities.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER);
    Ok(stream)
}

/// A TCP port that waits for peers.
#[derive(Debug)]
pub(crate) struct Waiting {
    listener: TcpListener,
    address: Address,
}

impl Waiting {
    pub(crate) fn bind(address: &Address) -> io::Result<Self> {
        let Carrier::Tcp { host, port, listen: true } = &address.carrier else {
            let text = "this address does not listen: it takes `?listen`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let listener = TcpListener::bind((host.as_str(), *port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let carrier = Carrier::Tcp { host: host.clone(), port, listen: true };
        Ok(Self { listener, address: Address { carrier, ..address.clone() } })
    }

    /// The address with the port that was really taken.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The next peer, or `None` when there is none until then.
    pub(crate) fn accept(&self, until: Option<Instant>) -> io::Result<Option<Line>> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Line::socket(prepare(stream)?.into(), &self.address).map(Some),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer was gone before we came to it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
            // A signal may interrupt it; then the loop looks again.
            let _ = poll(&mut fds, left.map(timespec).as_ref());
        }
    }
}
