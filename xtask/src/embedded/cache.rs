//! Files that outlive a run: what is built or learned once per machine, not per checkout.
//!
//! Everything in it can be deleted at any time. Two runs at once do not disturb each other:
//! what is there is complete, because it is written elsewhere and then renamed.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// `$XDG_CACHE_HOME/tieline`, usually `~/.cache/tieline`.
pub(super) fn dir() -> Result<PathBuf> {
    // The XDG specification wants a relative path to be ignored.
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
        .context("there is no place for a cache: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("tieline"))
}

/// Writes a file; one that is already so keeps its time, by which cargo judges changes.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    replace(file, text, |_| Ok(()))
}

/// Does the same for a program.
pub(super) fn write_program(file: &Path, text: &str) -> Result<()> {
    replace(file, text, make_executable)
}

fn replace(file: &Path, text: &str, finish: fn(&Path) -> io::Result<()>) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let new = beside(file);
    create_parent(file)?;
    fs::write(&new, text)
        .and_then(|()| finish(&new))
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Makes `link` lead to `to`, whatever it was before.
pub(super) fn link(to: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == to) {
        return Ok(());
    }
    create_parent(link)?;
    let new = beside(link);
    symlink(to, &new)
        .and_then(|()| fs::rename(&new, link))
        .with_context(|| format!("cannot create the link {}", link.display()))
}

/// Moves a finished directory to its place; another run may have been there first.
pub(super) fn publish(finished: &Path, place: &Path) -> Result<()> {
    create_parent(place)?;
    match fs::rename(finished, place) {
        Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
            Err(error).with_context(|| format!("cannot create {}", place.display()))
        }
        _ => Ok(()),
    }
}

/// A directory for work in progress, removed in the end.
pub(super) struct Workshop(PathBuf);

impl Workshop {
    /// An empty directory next to the results, so that these can be moved.
    pub(super) fn create() -> Result<Self> {
        let path = beside(&dir()?.join("work"));
        // A crashed run may have had the same process id.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name in the same directory that no other process uses.
fn beside(file: &Path) -> PathBuf {
    file.with_added_extension(format!("new-{}", std::process::id()))
}

fn create_parent(file: &Path) -> Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

#[cfg(unix)]
fn symlink(to: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, link)
}

// Never reached: there is no Debian on such a system. They keep the rest compiling.
#[cfg(not(unix))]
fn make_executable(_file: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn symlink(_to: &Path, _link: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
