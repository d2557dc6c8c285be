//! QEMU, set up: what the demo, the tests and the stack meter run firmware in.
//!
//! Starting a board is `tieline_emulator`'s business, which the tests use as well.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use tieline_emulator::QEMU;

use crate::apt;

/// Debian's package, which is called as the program.
const PACKAGE: &str = QEMU;

/// Installs QEMU with apt-get if it is not there and that may, which it says.
pub(crate) fn provide() -> Result<()> {
    if works() {
        return Ok(());
    }
    eprintln!("{QEMU} is not installed");
    apt::provide(PACKAGE).with_context(|| {
        format!("{QEMU} cannot be installed: what helps is to install it by hand and to have it in PATH")
    })?;
    if !works() {
        bail!("{QEMU} was installed and does not run: is it in PATH?");
    }
    Ok(())
}

/// Presses the reset button of a board of another process.
pub(crate) fn press_reset(socket: &Path) -> Result<ExitCode> {
    tieline_emulator::reset(socket).context("the emulated board cannot be reset")?;
    Ok(ExitCode::SUCCESS)
}

fn works() -> bool {
    let mut command = Command::new(QEMU);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
