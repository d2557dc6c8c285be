//! The board of the demo in an emulator.

use std::env;
use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use tieline_emulator::Setup;

use super::logs::{self, Logs};
use super::say;
use crate::{emulator, firmware};

/// The board that shows most.
pub(super) const DEFAULT: &str = "qemu-lm3s6965";

/// A board that runs. It is gone when this is dropped.
pub(super) struct Board {
    board: tieline_emulator::Board,
    /// After the board: it ends then.
    _logs: Option<Logs>,
}

/// The board of that name, and what QEMU calls it.
pub(super) fn find(name: &str) -> Result<(firmware::Board, &'static str)> {
    let board = firmware::Board::find(name)?;
    if board.is_small {
        bail!(
            "{name} answers no requests, which the demo makes: `tieline sub` shows its samples (docs/boards.md)"
        );
    }
    let machine = board.machine.with_context(|| {
        format!("QEMU has no {name}: flash it, and show it with --board ADDRESS (docs/boards.md)")
    })?;
    Ok((board, machine))
}

impl Board {
    /// Sets up what is needed, builds the firmware, and starts it.
    pub(super) fn start((firmware, machine): (firmware::Board, &str), with_logs: bool) -> Result<Self> {
        let name = firmware.name;
        emulator::provide()?;
        say!("building the firmware for {name} (a minute the first time)");
        let image = firmware.build(None)?;
        // What is needed to show them may have to be installed: not while the board waits.
        let shows = if with_logs { logs::prepare() } else { None };
        let setup = Setup { logs: shows.is_some(), ..Setup::new(machine, &image) };
        let mut board = tieline_emulator::Board::start(&setup)
            .with_context(|| format!("{} does not run", image.display()))?;
        let logs = match (shows, board.logs()) {
            (Some(program), Some(from)) => Some(Logs::show(&program, &image, from)?),
            _ => None,
        };
        say!("the board is {name}: QEMU's {machine}, with that firmware");
        Ok(Self { board, _logs: logs })
    }

    /// Where the program finds the board, and how it presses the reset button.
    pub(super) fn arguments(&self) -> Result<[OsString; 4]> {
        let ourselves = env::current_exe().context("this program does not know its path")?;
        let button = format!(
            "{} press-reset {}",
            quoted(&ourselves.to_string_lossy()),
            quoted(&self.board.socket().to_string_lossy())
        );
        let address = format!("tcp://{}?framing=serial&baud=115200", self.board.uart());
        Ok(["--board".into(), address.into(), "--reset".into(), button.into()])
    }
}

/// A word of a shell's line.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
