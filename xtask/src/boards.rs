//! The firmware of real boards in `firmware-example/boards`, built for their real targets.
//!
//! It builds and measures images; it flashes none.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::embedded::{self, BoardCargo};
use crate::size::Footprint;
use crate::{measure, process};

/// A board crate.
struct Board {
    package: &'static str,
    target: &'static str,
    /// Its programs.
    images: &'static [&'static str],
}

const BOARDS: [Board; 3] = [
    Board {
        package: "tieline-rp2040",
        target: "thumbv6m-none-eabi",
        images: &["tieline-rp2040", "tieline-rp2040-usb"],
    },
    Board { package: "tieline-stm32f4", target: "thumbv7em-none-eabihf", images: &["tieline-stm32f4"] },
    Board { package: "tieline-nrf52840", target: "thumbv7em-none-eabihf", images: &["tieline-nrf52840"] },
];

/// Builds all of them without a warning, and says how large they are.
pub(crate) fn check() -> Result<()> {
    let mut sizes = Vec::new();
    for board in &BOARDS {
        let cargo = embedded::cargo_for(board.target)?;
        println!("{}: compiled by {}", board.target, cargo.about());
        process::run(&mut board.command(&cargo, "build")?)?;
        match cargo.why_no_clippy() {
            Some(reason) => println!("clippy was not run for {}: {reason}", board.package),
            None => process::run(board.command(&cargo, "clippy")?.args(["--", "-D", "warnings"]))?,
        }
        for image in board.images {
            sizes.push((image, Footprint::of(&board.path(image)?)?));
        }
    }
    println!("\n{:<20} {:>8} {:>8}", "image", "flash", "RAM");
    for (image, Footprint { flash, ram }) in sizes {
        println!("{image:<20} {flash:>8} {ram:>8}");
    }
    Ok(())
}

impl Board {
    /// `cargo SUBCOMMAND` of its package. The features of a package are those of that build alone.
    fn command(&self, cargo: &BoardCargo, subcommand: &str) -> Result<Command> {
        let mut command = cargo.command(subcommand)?;
        command
            .args(["--release", "--manifest-path", measure::MANIFEST, "--package", self.package])
            .env("CARGO_TARGET_DIR", measure::target_dir()?);
        Ok(command)
    }

    /// Where an image is when it has been built.
    fn path(&self, image: &str) -> Result<PathBuf> {
        Ok(measure::target_dir()?.join(self.target).join("release").join(image))
    }
}
