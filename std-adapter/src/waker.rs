//! Wakes threads that wait for bytes.
//!
//! Invariant: a [`Waker::wake`] that happens before or during a wait ends that wait. Wake-ups are merged.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A pipe to oneself.
#[derive(Debug)]
pub(crate) struct Waker {
    read: OwnedFd,
    write: OwnedFd,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe()?;
        for fd in [&read, &write] {
            rustix::io::ioctl_fionbio(fd, true)?;
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok(Self { read, write })
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn wake(&self) {
        // A pipe that is full wakes anyhow; no other error can occur while both ends are ours.
        let _ = rustix::io::write(&self.write, &[1]);
    }

    /// Forgets the wake-ups so far.
    pub(crate) fn drain(&self) {
        let mut sink = [0; 64];
        while matches!(rustix::io::read(&self.read, &mut sink), Ok(n) if n == sink.len()) {}
    }

    /// Readable after a wake-up.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// Tells a thread that opens a line that nobody wants it any more.
#[derive(Debug)]
pub(crate) struct Cancel {
    waker: Waker,
    cancelled: AtomicBool,
    /// The thread asks the system for the address of a name, which nothing can interrupt.
    looks_up: AtomicBool,
}

impl Cancel {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { waker: Waker::new()?, cancelled: AtomicBool::new(false), looks_up: AtomicBool::new(false) })
    }

    /// For good.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Readable once it is cancelled.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.waker.fd()
    }

    /// Does what cannot be interrupted, unless it is cancelled before.
    fn look_up<R>(&self, work: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.looks_up.store(true, Ordering::SeqCst);
        let result = if self.is_cancelled() { Err(io::ErrorKind::Interrupted.into()) } else { work() };
        self.looks_up.store(false, Ordering::SeqCst);
        result
    }

    /// The addresses of a host, which is looked up if it is a name.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![(ip, port).into()]),
            Err(_) => self.look_up(|| Ok((host, port).to_socket_addrs()?.collect())),
        }
    }

    /// Whether it may take long until the thread notices that it is cancelled.
    pub(crate) fn looks_up(&self) -> bool {
        self.looks_up.load(Ordering::SeqCst)
    }
}
