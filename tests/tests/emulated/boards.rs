//! Which boards there are: what `cargo xtask test` says in the environment.

use std::path::PathBuf;

use tieline_emulator::{Board, Setup};

/// Boards, one a line: name, QEMU's name, and the image's path, with spaces between.
const BOARDS: &str = "TIELINE_BOARDS";
/// The path of the program `tieline`.
const PROGRAM: &str = "TIELINE_PROGRAM";
/// The path of `defmt-print`, which decodes logs.
const DECODER: &str = "TIELINE_DEFMT_PRINT";

/// The one on which everything is tested.
const MAIN: &str = "qemu-lm3s6965";
/// The one with the small application.
const SMALL: &str = "qemu-microbit-small";

/// A board and its firmware.
pub(crate) struct Kind {
    pub(crate) name: String,
    machine: String,
    pub(crate) image: PathBuf,
}

impl Kind {
    pub(crate) fn start(&self) -> Board {
        self.start_with(Setup::new(&self.machine, &self.image))
    }

    pub(crate) fn start_with_logs(&self) -> Board {
        self.start_with(Setup { logs: true, ..Setup::new(&self.machine, &self.image) })
    }

    fn start_with(&self, setup: Setup<'_>) -> Board {
        Board::start(&setup).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// All boards with the whole application.
pub(crate) fn all() -> Vec<Kind> {
    let mut kinds = listed();
    kinds.retain(|kind| kind.name != SMALL);
    kinds
}

fn listed() -> Vec<Kind> {
    let kinds: Vec<Kind> = variable(BOARDS)
        .lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_else(|| panic!("{BOARDS} has a line `{line}`"));
            Kind { name: word().to_owned(), machine: word().to_owned(), image: word().into() }
        })
        .collect();
    assert!(!kinds.is_empty(), "{BOARDS} names no board");
    kinds
}

/// The board for what is not tested on all of them.
pub(crate) fn main() -> Kind {
    named(MAIN)
}

/// The board with the small application.
pub(crate) fn small() -> Kind {
    named(SMALL)
}

fn named(name: &str) -> Kind {
    listed().into_iter().find(|kind| kind.name == name).unwrap_or_else(|| panic!("{BOARDS} names no {name}"))
}

/// The path of the program `tieline`.
pub(crate) fn program() -> String {
    variable(PROGRAM)
}

/// The path of `defmt-print`.
pub(crate) fn decoder() -> String {
    variable(DECODER)
}

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: `cargo xtask test --only emulated` does that"))
}
