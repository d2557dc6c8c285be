//! A directory for what belongs to one board. Removed with it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    socket: PathBuf,
}

impl Place {
    /// In the system's directory for such things: the path of a socket must be short (108 bytes on Linux, unix(7)).
    pub(crate) fn create() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tieline-board-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        // A process of the same number may have been killed.
        let _ = std::fs::remove_dir_all(&dir);
        // Who may connect to the socket may do with the board as they like.
        DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self { socket: dir.join("qmp"), dir })
    }

    /// Where QEMU takes orders.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What QEMU says.
    pub(crate) fn words(&self) -> PathBuf {
        self.dir.join("stderr")
    }

    /// Memory of the board.
    pub(crate) fn dump(&self) -> PathBuf {
        self.dir.join("dump")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
