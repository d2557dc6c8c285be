//! Serial ports.
//!
//! `serialport` configures and locks the port. It reads and writes with a time-out and not with readiness, so
//! the bytes go through a second, non-blocking descriptor of the same device.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use serialport::{ClearBuffer, SerialPort, TTYPort};

/// An open serial port.
#[derive(Debug)]
pub(super) struct Port {
    bytes: File,
    /// Keeps the lock on the device; a mutex because it is not `Sync`.
    settings: std::sync::Mutex<TTYPort>,
}

impl Port {
    pub(super) fn open(path: &str, baud: u32) -> io::Result<Self> {
        let mut settings = serialport::new(path, baud).open_native().map_err(describe)?;
        // Whatever came before the settings were right is noise.
        let _ = settings.clear(ClearBuffer::Input);
        // Others stay locked out but for the moment in which we open the device once more ourselves.
        settings.set_exclusive(false).map_err(describe)?;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let bytes = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        settings.set_exclusive(true).map_err(describe)?;
        Ok(Self { bytes, settings: std::sync::Mutex::new(settings) })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.bytes.as_fd()
    }

    /// Bytes that the system has not sent yet; 0 where it cannot tell.
    pub(super) fn queued(&self) -> usize {
        let settings = self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        settings.bytes_to_write().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

fn describe(error: serialport::Error) -> io::Error {
    match error.kind {
        serialport::ErrorKind::Io(kind) => io::Error::new(kind, error.description),
        serialport::ErrorKind::NoDevice => io::Error::new(io::ErrorKind::NotFound, error.description),
        _ => io::Error::other(error.description),
    }
}
