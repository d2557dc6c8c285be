//! `cargo xtask firmware BOARD`: builds the example application for a board; says where the image is and what it takes.
//!
//! The one table of boards is here, with what QEMU calls those that it emulates. Flashing and running are somebody else's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::embedded::{self, BoardCargo};
use crate::size::Footprint;
use crate::{process, workspace};

const MANIFEST: &str = "firmware-example/Cargo.toml";

/// What the logs of a build tell, unless the user says otherwise: the endpoint logs its decisions at that level.
const LOG_LEVEL: (&str, &str) = ("DEFMT_LOG", "debug");

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The board; without one, all are listed
    board: Option<String>,
    /// Features of the board's crate instead of its default ones, comma-separated: `''` for none
    #[arg(long)]
    features: Option<String>,
    /// Run clippy on it instead of building it
    #[arg(long)]
    clippy: bool,
}

/// A board that the application runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Board {
    /// Its name; the program is `tieline-` and that.
    pub(crate) name: &'static str,
    /// Its folder in `firmware-example/boards`; the package is `tieline-` and that.
    folder: &'static str,
    /// What it is compiled for.
    pub(crate) target: &'static str,
    /// Whether it runs the small application, which answers no requests.
    pub(crate) is_small: bool,
    /// QEMU's name for it, if QEMU emulates it. Its first UART is the line; it is reset by QEMU's `system_reset`.
    pub(crate) machine: Option<&'static str>,
}

const fn board(name: &'static str, target: &'static str, machine: Option<&'static str>) -> Board {
    Board { name, folder: name, target, is_small: false, machine }
}

/// All of them; the first is what the demo runs on.
pub(crate) const BOARDS: [Board; 8] = [
    board("qemu-lm3s6965", "thumbv7m-none-eabi", Some("lm3s6965evb")),
    board("qemu-microbit", "thumbv6m-none-eabi", Some("microbit")),
    Board {
        folder: "qemu-microbit",
        is_small: true,
        ..board("qemu-microbit-small", "thumbv6m-none-eabi", Some("microbit"))
    },
    board("qemu-mps2-an386", "thumbv7em-none-eabi", Some("mps2-an386")),
    board("rp2040", "thumbv6m-none-eabi", None),
    Board { folder: "rp2040", ..board("rp2040-usb", "thumbv6m-none-eabi", None) },
    board("stm32f4", "thumbv7em-none-eabihf", None),
    board("nrf52840", "thumbv7em-none-eabihf", None),
];

impl Board {
    /// The board of that name.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let found = BOARDS.into_iter().find(|board| board.name == name);
        found.ok_or_else(|| anyhow::anyhow!("there is no board `{name}`, but\n{}", list()))
    }

    /// Builds its image, with its default features or with these; returns where it is. May set up a compiler, which it says.
    pub(crate) fn build(&self, features: Option<&str>) -> Result<PathBuf> {
        let cargo = embedded::cargo_for(self.target)?;
        process::run(&mut self.command(&cargo, "build", features)?)?;
        Ok(target_dir()?.join(self.target).join("release").join(self.program()))
    }

    /// Clippy's opinion of it; an error if it has one.
    pub(crate) fn check(&self, features: Option<&str>) -> Result<()> {
        let cargo = embedded::cargo_for(self.target)?;
        if let Some(reason) = cargo.why_no_clippy() {
            println!("clippy was not run for {}: {reason}", self.name);
            return Ok(());
        }
        process::run(self.command(&cargo, "clippy", features)?.args(["--", "-D", "warnings"]))
    }

    fn package(&self) -> String {
        format!("tieline-{}", self.folder)
    }

    fn program(&self) -> String {
        format!("tieline-{}", self.name)
    }

    fn command(&self, cargo: &BoardCargo, subcommand: &str, features: Option<&str>) -> Result<Command> {
        let mut command = cargo.command(subcommand)?;
        command
            .args(["--manifest-path", MANIFEST, "--release"])
            .args(["--package", &self.package(), "--bin", &self.program()])
            .env("CARGO_TARGET_DIR", target_dir()?);
        if let Some(features) = features {
            command.args(["--no-default-features", "--features", features]);
        }
        let (name, level) = LOG_LEVEL;
        if std::env::var_os(name).is_none() {
            command.env(name, level);
        }
        Ok(command)
    }
}

/// Apart from what is built for this machine, which another compiler may have built.
fn target_dir() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("firmware"))
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let Some(name) = &args.board else {
        print!("{}", list());
        return Ok(ExitCode::SUCCESS);
    };
    let board = Board::find(name)?;
    if args.clippy {
        board.check(args.features.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let image = board.build(args.features.as_deref())?;
    print_image(&image)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the boards that are not emulated, without a warning, and says how large they are.
pub(crate) fn check_real() -> Result<()> {
    let real = || BOARDS.into_iter().filter(|board| board.machine.is_none());
    let mut images = Vec::new();
    for board in real() {
        images.push(board.build(None)?);
        board.check(None)?;
    }
    println!("\n{:<16} {:>8} {:>8}", "bytes", "flash", "RAM");
    for (board, image) in real().zip(&images) {
        let Footprint { flash, ram } = Footprint::of(image)?;
        println!("{:<16} {flash:>8} {ram:>8}", board.name);
    }
    Ok(())
}

fn print_image(image: &Path) -> Result<()> {
    let Footprint { flash, ram } = Footprint::of(image)?;
    if flash == 0 {
        bail!("{} is empty: the linker was not given the board's memory", image.display());
    }
    println!("{}", image.display());
    println!("{flash} bytes of flash, {ram} of RAM without the stack");
    Ok(())
}

fn list() -> String {
    let mut list = String::new();
    for Board { name, target, machine, .. } in BOARDS {
        let machine =
            machine.map_or_else(|| "not emulated".to_owned(), |machine| format!("QEMU's {machine}"));
        // Writing to a String cannot fail.
        let _ = writeln!(list, "{name:<20} {target:<22} {machine}");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_board_is_a_folder_with_that_package() {
        for board in BOARDS {
            let manifest =
                workspace::root().join("firmware-example/boards").join(board.folder).join("Cargo.toml");
            let text = std::fs::read_to_string(&manifest).unwrap();
            assert!(text.contains(&format!("name = \"{}\"", board.package())), "{}", manifest.display());
            assert_eq!(Board::find(board.name).unwrap(), board);
        }
        assert!(Board::find("qemu").is_err());
    }
}
