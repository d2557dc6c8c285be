//! `cargo xtask cycles`: how many instructions a message takes on a Cortex-M3, beside what is recorded and what others take.
//!
//! The program `cycles` of `firmware-example/measure` counts them itself, in QEMU, where they come out the same each time. An
//! instruction is not a clock cycle: what a real core makes of it depends on its pipeline and its flash. Beside them are the
//! interrupts that a byte takes, which depend on when bytes come and are not recorded.

mod figures;
mod interrupts;
mod peers;

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tieline_emulator::QEMU;

use crate::embedded::{self, BoardCargo};
use crate::emulator;
use crate::measure::{Opt, Program};
use crate::process;
use crate::record::{File, Key, Records, change};
use figures::{Build, FIGURES, Figure};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Record what is counted now
    #[arg(long)]
    update: bool,
    /// Count only the interrupts per byte
    #[arg(long, conflicts_with = "update")]
    interrupts: bool,
}

const TARGET: &str = "thumbv7m-none-eabi";
const OPTS: [Opt; 3] = [Opt::Small, Opt::Smallest, Opt::Fast];

/// How the CRC-32C of a frame is reckoned: its name, and the feature, behind those of a build.
const TABLES: [(&str, &str); 3] = [("none", ""), ("1KiB", ",crc-table"), ("16KiB", ",crc-table16")];

/// It takes less than a second, on a busy machine some more.
const PATIENCE: Duration = Duration::from_secs(60);

static FILE: File = File {
    path: "firmware-example/measure/cycles.txt",
    command: "cargo xtask cycles",
    about: "Instructions on a Cortex-M3",
    columns: "opt-level, CRC table, build, what, instructions",
};

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.interrupts {
        emulator::provide()?;
        interrupts::print()?;
        return Ok(ExitCode::SUCCESS);
    }
    // Without a record there is nothing to compare with, which is fine for who writes one.
    let records =
        if args.update { Records::load(&FILE).unwrap_or(Records::new(&FILE)) } else { Records::load(&FILE)? };
    let (counts, pinned) = count_all()?;
    print_tables(&counts, &records);
    interrupts::print()?;
    if args.update {
        let mut records = Records::new(&FILE);
        counts.into_iter().for_each(|(key, count)| records.set(key, count));
        records.save(pinned)?;
    } else {
        records.judge(counts, ["instructions"], pinned)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The test stage: as `cargo xtask cycles`.
pub(crate) fn check() -> Result<()> {
    let records = Records::load(&FILE)?;
    let (counts, pinned) = count_all()?;
    print_tables(&counts, &records);
    records.judge(counts, ["instructions"], pinned)
}

type Counts = Vec<(Key<4>, [u64; 1])>;

fn key(opt: Opt, table: &str, figure: &Figure) -> Key<4> {
    [opt.to_string(), table.to_owned(), figure.build.name().to_owned(), figure.key()]
}

/// Builds and runs everything. Also whether it is with the compiler that the record was made with.
fn count_all() -> Result<(Counts, bool)> {
    emulator::provide()?;
    let cargo = embedded::cargo_for(TARGET)?;
    println!("{TARGET}: compiled by {}", cargo.about());
    let mut counts = Vec::new();
    for opt in OPTS {
        for (table, table_feature) in TABLES {
            for build in Build::ALL {
                let features = [build.features(), table_feature].concat();
                let program = Program { name: "cycles", bin: "cycles", features: &features };
                let printed = run_in_emulator(&program, &cargo, opt)
                    .with_context(|| format!("counting at opt-level {opt}, features {features}"))?;
                for figure in FIGURES.iter().filter(|figure| figure.build == build) {
                    counts.push((key(opt, table, figure), [figure.of(&printed)?]));
                }
            }
        }
    }
    Ok((counts, cargo.is_pinned()))
}

/// What the program prints.
fn run_in_emulator(program: &Program<'_>, cargo: &BoardCargo, opt: Opt) -> Result<String> {
    let image = program.build(cargo, TARGET, opt)?;
    let mut command = Command::new(QEMU);
    command
        .args(["-cpu", "cortex-m3", "-machine", "lm3s6965evb", "-display", "none", "-monitor", "none"])
        .args(["-serial", "none", "-icount", "shift=4"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(image);
    let printed = process::capture_within(&mut command, PATIENCE)?;
    if printed.lines().last() != Some("end") {
        bail!("the firmware did not come to its end: {printed}");
    }
    Ok(printed)
}

fn print_tables(counts: &Counts, records: &Records<4, 1>) {
    for opt in OPTS {
        println!("\ninstructions on a Cortex-M3, opt-level {opt}; change to what is recorded");
        print!("{:<50}", "CRC table");
        TABLES.iter().for_each(|(table, _)| print!("{table:>8} {:>6}", ""));
        println!("  goal");
        for build in Build::ALL {
            println!("{}", build.about());
            for figure in FIGURES.iter().filter(|figure| figure.build == build) {
                print_line(opt, figure, counts, records);
            }
        }
        println!("others, measured once (see xtask/src/cycles/peers.rs)");
        for peer in &peers::PEERS {
            println!("{}", peer.line(opt));
        }
    }
}

fn print_line(opt: Opt, figure: &Figure, counts: &Counts, records: &Records<4, 1>) {
    let mut line = format!("  {:<48}", figure.about);
    let mut with_table = 0;
    for (table, _) in TABLES {
        let key = key(opt, table, figure);
        let count = counts.iter().find(|(known, _)| *known == key).map_or(0, |(_, [count])| *count);
        let change = change(count, records.get(&key).map(|[then]| then));
        line += &format!("{count:>8} {change:>6}");
        if table == GOAL_TABLE {
            with_table = count;
        }
    }
    if let Some(goal) = figure.goal.filter(|_| opt == Opt::Small) {
        let met = if with_table <= goal { "met" } else { "not met" };
        line += &format!("  {goal} with {GOAL_TABLE}: {met}");
    }
    println!("{line}");
}

/// With which table a goal is to be met.
const GOAL_TABLE: &str = "1KiB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_has_a_record_that_can_be_read() {
        Records::<4, 1>::load(&FILE).unwrap();
    }
}
