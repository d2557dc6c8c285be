//! The first way to a bare-metal target: the toolchain in use has it, or rustup adds it.
//!
//! A machine on which rustup cannot download is normal: that is found out once a day and not
//! waited for at every run. Nothing here chooses or installs a toolchain.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Error, Result, bail};

use super::{cache, compiler};
use crate::{process, workspace};

/// Enough for a download of some 20 MB; a server that cannot be reached may hang for longer.
const LIMIT: Duration = Duration::from_secs(90);
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Succeeds if cargo's own toolchain can compile for `target`, after adding it if need be.
pub(super) fn provide(target: &str) -> Result<()> {
    // The one that cargo would call.
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if compiler::has_target(&rustc, target)? {
        return Ok(());
    }
    let failure = failure_file(&rustc, target)?;
    if is_recent(&failure) {
        bail!("`rustup target add` failed less than a day ago (delete {} to try again)", failure.display());
    }
    match add(target) {
        Ok(()) if compiler::has_target(&rustc, target)? => Ok(()),
        Ok(()) => bail!("rustup added {target} to another toolchain than the one in use"),
        Err(error) => {
            remember(&failure, &error)?;
            Err(error)
        }
    }
}

fn add(target: &str) -> Result<()> {
    let mut command = Command::new("rustup");
    command
        .args(["target", "add", target])
        // A backtrace of rustup helps nobody to a connection.
        .env_remove("RUST_BACKTRACE")
        .current_dir(workspace::root());
    match process::run_within(&mut command, LIMIT)? {
        Some(status) => process::expect_success(&command, status),
        None => bail!("`{}` was stopped after {} s", process::describe(&command), LIMIT.as_secs()),
    }
}

/// One per compiler and target: another toolchain deserves another try.
fn failure_file(rustc: &OsStr, target: &str) -> Result<PathBuf> {
    let release = compiler::fact(rustc, "release")?;
    Ok(cache::dir()?.join(format!("rustup-failed-{release}-{target}")))
}

/// The time of the file is what counts, so an old one goes first.
fn remember(failure: &Path, error: &Error) -> Result<()> {
    let _ = fs::remove_file(failure);
    cache::write(failure, &format!("{error:#}\n"))
}

fn is_recent(file: &Path) -> bool {
    fs::metadata(file).and_then(|metadata| metadata.modified()).is_ok_and(|time| {
        // A time in the future is a changed clock: try again.
        SystemTime::now().duration_since(time).is_ok_and(|age| age < REMEMBERED)
    })
}
