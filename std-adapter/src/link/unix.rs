//! Unix stream sockets.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

pub(super) fn dial(path: &str) -> io::Result<OwnedFd> {
    let fd = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    // Without waiting: a listener that is overrun is tried again, as one that is not there.
    rustix::io::ioctl_fionbio(&fd, true)?;
    rustix::net::connect(&fd, &address(path)?)?;
    Ok(fd)
}

/// A listener, and which file is its own.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: String,
    /// Device and number of the file; `None`: it was gone at once.
    file: Option<(u64, u64)>,
}

/// Listens at the path; a socket that a program has left there when it died is taken over. Nothing else that is there is
/// touched.
pub(super) fn bind(path: &str) -> io::Result<Socket> {
    address(path)?;
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // Whatever is no socket refuses a connection as a dead one does, so it is looked at first.
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                let text = "a file that is no socket is there: choose another path or remove it";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            let dead = UnixStream::connect(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !dead {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    Ok(Socket { listener, path: path.to_owned(), file: file_at(path) })
}

/// The longest path in bytes: `sun_path` of `sockaddr_un` without the zero behind it.
const PATH_MAX: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

fn address(path: &str) -> io::Result<SocketAddrUnix> {
    if path.len() > PATH_MAX {
        let text = format!(
            "the path has {} bytes, and the system's limit for a socket is {PATH_MAX}: choose a shorter one, in /run or /tmp for instance",
            path.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(SocketAddrUnix::new(path)?)
}

fn file_at(path: &str) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The path would look as if somebody listened there. By now it may be another one's.
        if self.file.is_some() && file_at(&self.path) == self.file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_refused_with_the_limit() {
        let place = std::env::temp_dir().display().to_string();
        let path = |len: usize| format!("{place}/{}", "x".repeat(len - place.len() - 1));
        for error in [dial(&path(PATH_MAX + 1)).unwrap_err(), bind(&path(PATH_MAX + 1)).unwrap_err()] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&format!("limit for a socket is {PATH_MAX}")), "{error}");
        }
        // The limit is the system's.
        let bound = bind(&path(PATH_MAX)).unwrap();
        drop(dial(&path(PATH_MAX)).unwrap());
        drop(bound);
    }
}
