//! What the firmware logs, decoded and shown among what the demo shows.
//!
//! Firmware logs numbers instead of texts (defmt); the texts are in the image, and `defmt-print` knows how to read them.

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::Result;

use super::say;
use crate::{process, tools};

/// Shows logs for as long as there are any. To be dropped after the board.
pub(super) struct Logs {
    decoder: Child,
    thread: Option<JoinHandle<()>>,
}

/// The program that decodes, installed if need be; without it there are no logs, which it says.
pub(super) fn prepare() -> Option<PathBuf> {
    tools::defmt_print().inspect_err(|error| say!("the logs cannot be shown: {error:#}")).ok()
}

impl Logs {
    /// Shows what comes `from` the firmware of `image`.
    pub(super) fn show(program: &Path, image: &Path, from: ChildStdout) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("-e").arg(image).stdin(from).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut decoder = process::spawn(&mut command)?;
        let thread = decoder.stdout.take().map(|lines| std::thread::spawn(move || print(lines)));
        Ok(Self { decoder, thread })
    }
}

fn print(lines: ChildStdout) {
    // The demo renews a line on a terminal: that is wiped out first.
    let wipe = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        eprintln!("{wipe}board: {line}");
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // It ends when the firmware has, which is over by now, with what it still has to show.
        let _ = self.decoder.wait();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
