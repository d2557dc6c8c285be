//! Wakes a thread that waits for bytes.
//!
//! Invariant: a [`Waker::wake`] that happens before or during a wait ends that wait. Wake-ups are merged.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
