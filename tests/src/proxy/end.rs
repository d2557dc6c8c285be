//! The two ends that a proxy stands between: a TCP connection, or the far side of a pseudo-terminal.
//!
//! Invariant: reading and writing return at once.

use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// How long to go on dialling an address at which nobody listens yet.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two dials.
const DIAL_AGAIN: Duration = Duration::from_millis(20);
/// How long one dial may take; a stop is not heard meanwhile.
const DIAL_ONCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) enum End {
    Socket(TcpStream),
    Terminal(Terminal),
}

/// What a call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// That many bytes.
    Moved(usize),
    /// Nothing now.
    NotNow,
    /// Reading: no more will come, but more may be taken.
    End,
    /// The end is gone, both ways.
    Gone,
}

impl End {
    pub(super) fn socket(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // Chunks stay chunks, as far as that is in our hands.
        stream.set_nodelay(true)?;
        Ok(Self::Socket(stream))
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> Step {
        match self {
            Self::Socket(stream) => match rustix::io::read(&*stream, into) {
                Ok(0) => Step::End,
                read => moved(read),
            },
            Self::Terminal(terminal) => match rustix::io::read(&terminal.master, into) {
                Ok(0) => Step::Gone,
                read => {
                    if read.is_ok() {
                        // Its program has it open now: from here on we want to see it closed.
                        terminal.plug = None;
                    }
                    moved(read)
                }
            },
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Step {
        moved(rustix::io::write(self.fd(), bytes))
    }

    /// Tells that nothing more will come. A terminal has no way to.
    pub(super) fn finish(&self) {
        if let Self::Socket(stream) = self {
            // It fails when the other end is gone already.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Whether [`finish`](Self::finish) tells anything.
    pub(super) const fn can_finish(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(stream) => stream.as_fd(),
            Self::Terminal(terminal) => terminal.master.as_fd(),
        }
    }
}

fn moved(result: Result<usize, Errno>) -> Step {
    match result {
        Ok(count) => Step::Moved(count),
        Err(Errno::AGAIN | Errno::INTR) => Step::NotNow,
        // Why does not matter: what a proxy can do about it is to close the other end, too.
        Err(_) => Step::Gone,
    }
}

/// A pseudo-terminal: a program opens `path`, the proxy has the other side.
#[derive(Debug)]
pub(super) struct Terminal {
    master: OwnedFd,
    pub(super) path: String,
    /// Without anybody who has it open, a terminal is hung up and forgets its settings. Pulled when the
    /// program's first bytes come.
    plug: Option<File>,
}

impl Terminal {
    pub(super) fn open() -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname(&master, Vec::new())?;
        let path = path.into_string().map_err(|_| io::Error::other("its name is not text"))?;
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let plug = File::from(rustix::fs::open(path.as_str(), flags, rustix::fs::Mode::empty())?);
        // A fresh terminal echoes what it is sent, which a UART does not.
        let mut settings = tcgetattr(&plug)?;
        settings.make_raw();
        tcsetattr(&plug, OptionalActions::Now, &settings)?;
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self { master, path, plug: Some(plug) })
    }
}

/// Waits for one peer; `None` when it was stopped before.
pub(super) fn accept(listener: &TcpListener, stop: BorrowedFd<'_>) -> io::Result<Option<TcpStream>> {
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(Some(stream)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {
                }
                _ => return Err(error),
            },
        }
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        wait(&mut fds, None)?;
        if !fds[1].revents().is_empty() {
            return Ok(None);
        }
    }
}

/// Goes to an address at which somebody may begin to listen later; `None` when it was stopped before.
pub(super) fn dial(address: &str, stop: BorrowedFd<'_>) -> io::Result<Option<TcpStream>> {
    let begin = Instant::now();
    loop {
        let error = match dial_once(address) {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) => error,
        };
        if begin.elapsed() > DIAL_LIMIT {
            return Err(io::Error::new(error.kind(), format!("nobody is at {address}: {error}")));
        }
        let mut fds = [PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        wait(&mut fds, Some(DIAL_AGAIN))?;
        if !fds[0].revents().is_empty() {
            return Ok(None);
        }
    }
}

fn dial_once(address: &str) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name of the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, DIAL_ONCE) {
            // Nobody listens there, and the system gave us the very port that we dial: we would talk to
            // ourselves.
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                failed = io::ErrorKind::ConnectionRefused.into();
            }
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// `poll`, for which a signal is no error: then nothing is ready.
pub(super) fn wait(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.map(|limit| Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    match poll(fds, limit.as_ref()) {
        Ok(_) => Ok(()),
        Err(Errno::INTR) => {
            fds.iter_mut().for_each(PollFd::clear_revents);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
