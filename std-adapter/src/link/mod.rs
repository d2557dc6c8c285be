//! A byte path that is open: a file descriptor that never blocks, and what the endpoint must know about it.
//!
//! Invariant: [`Line::read`] and [`Line::write`] return at once. No protocol is spoken here.

mod over;
mod pace;
mod pair;
mod serial;
mod tcp;
pub(crate) mod udp;
mod unix;
mod waiting;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use tieline::Link;

pub(crate) use over::over;
pub(crate) use pace::Pace;
pub(crate) use pair::pair;
pub(crate) use serial::ports;
pub(crate) use waiting::Waiting;

use crate::address::{Address, BAUD_DEFAULT, Carrier, To, Udp};
use crate::waker::Cancel;

/// Largest frame on a line that sends its bits one after another: at 115200 baud 4 KiB take a third of a
/// second, and nothing more urgent can pass them.
pub(crate) const SERIAL_FRAME_MAX: usize = 4096;

/// A byte path.
#[derive(Debug)]
pub(crate) struct Line {
    carrier: Open,
    pub(crate) link: Link,
    /// Bits per second to keep to when writing; `None`: as fast as the system takes it.
    pub(crate) pace: Option<u32>,
}

#[derive(Debug)]
enum Open {
    Socket(OwnedFd),
    Udp(udp::Socket),
    Serial(serial::Port),
}

/// What a non-blocking call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// That many bytes.
    Moved(usize),
    /// Nothing now: wait until the line is ready.
    NotNow,
    /// Reading: the peer has closed the line.
    End,
}

impl Line {
    /// Goes to the address; `limit` is how long that may take.
    pub(crate) fn dial(address: &Address, limit: Duration, cancel: &Cancel) -> io::Result<Self> {
        match &address.carrier {
            Carrier::Tcp { host, port, .. } => Self::socket(tcp::dial(host, *port, limit, cancel)?, address),
            Carrier::Udp(Udp { to: To::Group { .. } | To::Network, .. }) => Err(udp::no_peer()),
            Carrier::Udp(Udp { host, port, mtu, .. }) => {
                let addresses = cancel.resolve(host, *port)?;
                Ok(Self::udp(udp::Socket::dial(&addresses, *mtu)?))
            }
            Carrier::Unix { path, .. } => Self::socket(unix::dial(path)?, address),
            Carrier::Serial { port, wires } => {
                let baud = address.baud.unwrap_or(BAUD_DEFAULT);
                let carrier = Open::Serial(serial::Port::open(port, baud, *wires)?);
                Ok(Self { carrier, link: serial_link(Some(baud)), pace: Some(baud) })
            }
        }
    }

    /// A socket that is connected; from now on it does not block.
    fn socket(fd: OwnedFd, address: &Address) -> io::Result<Self> {
        let link = if address.serial_framing { serial_link(address.baud) } else { Link::stream() };
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { carrier: Open::Socket(fd), link, pace: address.baud })
    }

    fn udp(socket: udp::Socket) -> Self {
        let link = Link::datagram(socket.datagram_max);
        Self { carrier: Open::Udp(socket), link, pace: None }
    }

    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Step> {
        let read = match &self.carrier {
            Open::Udp(socket) => return socket.read(into),
            Open::Socket(fd) => rustix::io::read(fd, into),
            Open::Serial(port) => rustix::io::read(port.fd(), into),
        };
        match read {
            Ok(0) => Ok(Step::End),
            Ok(n) => Ok(Step::Moved(n)),
            Err(error) => later(error),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<Step> {
        let written = match &self.carrier {
            Open::Udp(socket) => return socket.write(bytes),
            Open::Socket(fd) => rustix::net::send(fd, bytes, no_signal()),
            Open::Serial(port) => rustix::io::write(port.fd(), bytes),
        };
        match written {
            Ok(n) => Ok(Step::Moved(n)),
            Err(error) => later(error),
        }
    }

    /// Bytes written that the system still holds, if it can tell.
    pub(crate) fn queued(&self) -> usize {
        match &self.carrier {
            Open::Socket(_) | Open::Udp(_) => 0,
            Open::Serial(port) => port.queued(),
        }
    }

    /// Whether opening it anew may bring what waiting does not: a connection can be half-open, with nobody at its other
    /// end; a port cannot, and opening one resets many a board.
    pub(crate) fn can_be_half_open(&self) -> bool {
        match &self.carrier {
            Open::Socket(_) | Open::Udp(_) => true,
            Open::Serial(_) => false,
        }
    }

    /// Whether each opening of it is a connection of its own for the peer.
    pub(crate) fn is_connection(&self) -> bool {
        matches!(self.carrier, Open::Socket(_))
    }

    /// Tells the peer that nothing more will come, where the carrier can say so.
    pub(crate) fn finish(&self) -> bool {
        match &self.carrier {
            Open::Socket(fd) => rustix::net::shutdown(fd, rustix::net::Shutdown::Write).is_ok(),
            Open::Serial(_) | Open::Udp(_) => false,
        }
    }

    /// Whether each frame is read and written by itself.
    pub(crate) fn is_datagram(&self) -> bool {
        matches!(self.carrier, Open::Udp(_))
    }

    /// What is known of why nothing comes, on a line that cannot be down by itself.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &self.carrier {
            Open::Udp(socket) => socket.trouble(),
            Open::Socket(_) | Open::Serial(_) => None,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match &self.carrier {
            Open::Socket(fd) => fd.as_fd(),
            Open::Udp(socket) => socket.fd(),
            Open::Serial(port) => port.fd(),
        }
    }
}

/// Waits until the line, if there is one, can be read (or written, if `out`), or `waker` is readable, or `until`.
pub(crate) fn wait(line: Option<&Line>, out: bool, waker: BorrowedFd<'_>, until: Option<Instant>) -> Ready {
    let flags = if out { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let waker = PollFd::from_borrowed_fd(waker, PollFlags::IN);
    let mut both;
    let mut alone;
    let fds = match line {
        Some(line) => {
            both = [waker, PollFd::from_borrowed_fd(line.fd(), flags)];
            both.as_mut_slice()
        }
        None => {
            alone = [waker];
            alone.as_mut_slice()
        }
    };
    let limit = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
    if poll(fds, limit.as_ref()).is_err() {
        // Interrupted by a signal: the caller looks again.
        return Ready::default();
    }
    // An error or a hang-up shows when reading.
    let bad = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    Ready {
        input: fds.get(1).is_some_and(|line| line.revents().intersects(PollFlags::IN | bad)),
        woken: fds.first().is_some_and(|waker| !waker.revents().is_empty()),
    }
}

/// What a wait has found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ready {
    pub(crate) input: bool,
    pub(crate) woken: bool,
}

/// A line whose bytes may be lost or changed on their way.
fn serial_link(baud: Option<u32>) -> Link {
    Link { frame_max: SERIAL_FRAME_MAX, ..Link::serial(baud.unwrap_or(0)) }
}

fn later(error: Errno) -> io::Result<Step> {
    match error {
        Errno::AGAIN | Errno::INTR => Ok(Step::NotNow),
        error => Err(error.into()),
    }
}

/// A peer that is gone is an error of the call, not a signal that ends the program.
fn no_signal() -> SendFlags {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    return SendFlags::NOSIGNAL;
    // Rust programs ignore the signal by default.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    return SendFlags::empty();
}

/// For `poll`; a day is forever.
pub(crate) fn timespec(span: Duration) -> Timespec {
    let span = span.min(Duration::from_secs(86_400));
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or_default(),
        tv_nsec: span.subsec_nanos().into(),
    }
}
