//! The demo's program, which ends before what it needs does.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process;

/// Runs the program to its end. Ctrl-C is its business alone, and reaches it once: it tells its summary then, and whoever
/// called this puts the rest away.
#[cfg(unix)]
pub(super) fn run(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    use std::sync::atomic::{AtomicI32, Ordering};

    use rustix::process::{Pid, Signal, kill_process};

    /// 0: it does not run.
    static PROGRAM: AtomicI32 = AtomicI32::new(0);
    ctrlc::set_handler(|| {
        if let Some(program) = Pid::from_raw(PROGRAM.load(Ordering::SeqCst)) {
            // It may have ended by itself just now.
            let _ = kill_process(program, Signal::INT);
        }
    })
    .context("Ctrl-C cannot be watched")?;
    // A terminal interrupts its foreground group, which the program leaves.
    let mut program = process::spawn(command.process_group(0))?;
    PROGRAM.store(i32::try_from(program.id()).unwrap_or(0), Ordering::SeqCst);
    let status = program.wait().with_context(|| format!("lost `{}`", process::describe(command)));
    PROGRAM.store(0, Ordering::SeqCst);
    Ok(code(status?))
}

#[cfg(not(unix))]
pub(super) fn run(command: &mut Command) -> Result<ExitCode> {
    Ok(code(process::spawn(command)?.wait()?))
}

fn code(status: std::process::ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
