//! TCP: dialling, and what a connection is set to.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::timespec;
use crate::waker::Cancel;

/// Room for what the peer's system has not acknowledged; less of it would hold up a fast network.
const SEND_BUFFER: usize = 128 * 1024;

/// How much may lie in the system that it has not even sent: that can no longer be overtaken by something more urgent. The
/// value that web servers use so that the priorities of HTTP/2 hold (P. Meenan, "Optimizing HTTP/2 prioritization with BBR and
/// tcp_notsent_lowat", 2018). Linux says that the line can be written when there is less than half of it: at 1 Gbit/s a
/// thread then has 65 µs to bring more before the line is idle. A write that has begun may still add up to 64 KiB, which is
/// what Linux gathers in one of its segments.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT: u32 = 16 * 1024;

pub(super) fn dial(host: &str, port: u16, limit: Duration, cancel: &Cancel) -> io::Result<OwnedFd> {
    let begin = Instant::now();
    let addresses = cancel.resolve(host, port)?;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name of the host has no address");
    for address in addresses {
        let left = limit.saturating_sub(begin.elapsed()).max(Duration::from_millis(1));
        match connect(&address, left, cancel) {
            Ok(fd) => {
                let stream = TcpStream::from(fd);
                // Nobody listens there, and the system gave us the very port that we dial: we would talk to ourselves.
                if stream.local_addr()? != stream.peer_addr()? {
                    prepare(&stream)?;
                    return Ok(stream.into());
                }
                failed = io::ErrorKind::ConnectionRefused.into();
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Connects, and can be interrupted.
fn connect(address: &SocketAddr, limit: Duration, cancel: &Cancel) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    match rustix::net::connect(&fd, address) {
        Ok(()) => return Ok(fd),
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let until = Instant::now() + limit;
    loop {
        let mut fds =
            [PollFd::new(&fd, PollFlags::OUT), PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN)];
        let left = until.saturating_duration_since(Instant::now());
        match poll(&mut fds, Some(&timespec(left))) {
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let [line, cancelled] = &fds;
        if !cancelled.revents().is_empty() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if !line.revents().is_empty() {
            sockopt::socket_error(&fd)??;
            return Ok(fd);
        }
        if left.is_zero() {
            let text = format!("no answer within {:.1} s", limit.as_secs_f64());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
    }
}

/// A connection that is there: small messages leave at once, and little waits in the system.
pub(super) fn prepare(stream: &impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    // Only a wish: without it everything works, with worse priorities.
    let _ = sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
    Ok(())
}
