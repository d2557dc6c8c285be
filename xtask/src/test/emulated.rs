//! The stage that runs firmware: builds the images of the boards that QEMU emulates, and runs the tests that need them.
//!
//! What the tests check is theirs (`tests/tests/emulated`); they are told by the environment where everything is.

use std::fmt::Write as _;

use anyhow::Result;

use super::stages::{cargo, test};
use super::totals::Totals;
use crate::firmware::BOARDS;
use crate::{emulator, process, tools, workspace};

/// Each has a core to itself on the smallest machine that this runs on: two emulators and two tests.
const TESTS_AT_ONCE: &str = "2";

pub(super) fn run(totals: &mut Option<Totals>) -> Result<()> {
    emulator::provide()?;
    let mut boards = String::new();
    for (board, machine) in BOARDS.iter().filter_map(|board| Some((board, board.machine?))) {
        board.check(None)?;
        let image = board.build(None)?;
        // Writing to a String cannot fail.
        let _ = writeln!(boards, "{} {machine} {}", board.name, image.display());
    }
    let decoder = tools::defmt_print()?;
    // As the workspace, so that it is built with the features that the tests before were built with.
    process::run(&mut cargo(&["build", "--workspace", "--bin", "tieline"])?)?;
    let program = workspace::target_dir()?.join("debug").join("tieline");

    let mut command = cargo(&["test", "--workspace", "--test", "emulated"])?;
    command
        .args(["--", "--include-ignored", "--show-output", "--test-threads", TESTS_AT_ONCE])
        .env("TIELINE_BOARDS", boards.trim_end())
        .env("TIELINE_PROGRAM", program)
        .env("TIELINE_DEFMT_PRINT", decoder);
    let mut sum = Totals::default();
    let outcome = test(command, &mut sum);
    totals.get_or_insert_default().add_skipped_before(sum);
    outcome
}
