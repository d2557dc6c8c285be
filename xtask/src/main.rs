//! The project's chores: `cargo xtask test | demo | firmware | fuzz | soak | size | cycles`.
//!
//! One module per sub-command; what they share (running programs, finding the repository,
//! a compiler for a bare-metal target) has modules of its own. Nothing here is part of the
//! library, and nothing here is needed to use it.

mod apt;
mod cycles;
mod demo;
mod embedded;
mod emulator;
mod firmware;
mod fuzz;
mod measure;
mod process;
mod record;
mod size;
mod soak;
mod test;
mod tools;
mod version;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Tests, demo, fuzzing, soak test and figures of this repository"
)]
struct Cli {
    #[command(subcommand)]
    command: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run everything a change must pass (what CI runs)
    Test(test::Args),
    /// Build firmware and the `tieline` program, and watch them talk: the board is emulated
    Demo(demo::Args),
    /// Build the firmware of a board
    Firmware(firmware::Args),
    /// Run the fuzz targets of `core/fuzz` for a while each
    Fuzz(fuzz::Args),
    /// Run property tests with new seeds for an hour, or as long as you say
    Soak(soak::Args),
    /// Print how much flash and RAM firmware takes, and compare it with what is recorded
    Size(size::Args),
    /// Count the instructions that a message takes, in QEMU, and compare them with what is recorded
    Cycles(cycles::Args),
    /// Press the reset button of an emulated board (the demo does so)
    #[command(hide = true)]
    PressReset {
        /// Where its QEMU takes orders
        socket: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Chore::Test(args) => test::run(&args),
        Chore::Demo(args) => demo::run(&args),
        Chore::Firmware(args) => firmware::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Soak(args) => soak::run(&args),
        Chore::Size(args) => size::run(&args),
        Chore::Cycles(args) => cycles::run(&args),
        Chore::PressReset { socket } => emulator::press_reset(&socket),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
