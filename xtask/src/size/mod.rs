//! `cargo xtask size`: what the firmware of `firmware-example/measure` takes of flash and RAM, beside what is recorded and
//! what others take.
//!
//! A figure is compared with what the repository records for the same compiler: growth is an error until it is recorded.

mod image;
mod panics;
mod peers;
mod stack;

use std::process::ExitCode;

use anyhow::Result;

use crate::embedded::{self, BoardCargo};
use crate::emulator;
use crate::measure::{Opt, Program};
use crate::record::{File, Key, Records, change};
pub(crate) use image::Footprint;
use stack::Traffic;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Record what is measured now
    #[arg(long)]
    update: bool,
    /// Also run the firmware in QEMU and print how deep its stack gets
    #[arg(long)]
    stack: bool,
}

const TARGETS: [&str; 2] = ["thumbv7m-none-eabi", "thumbv6m-none-eabi"];
const OPTS: [Opt; 2] = [Opt::Smallest, Opt::Small];

const BASE: Program<'_> = Program { name: "base", bin: "base", features: "" };

/// What is measured, and the goal for it on a Cortex-M3, if there is one.
const PROGRAMS: [(Program<'_>, Option<Footprint>); 4] = [
    (Program { name: "publisher", bin: "publisher", features: "" }, goal(6, 1536)),
    (Program { name: "best-effort", bin: "best-effort", features: "best-effort" }, goal(9, 0)),
    (Program { name: "reliable", bin: "reliable", features: "reliable" }, goal(14, 4096)),
    (Program { name: "full", bin: "reliable", features: "full" }, None),
];

const fn goal(flash_kib: u64, ram: u64) -> Option<Footprint> {
    Some(Footprint { flash: flash_kib * 1024, ram })
}

static FILE: File = File {
    path: "firmware-example/measure/sizes.txt",
    command: "cargo xtask size",
    about: "Flash and RAM in bytes over the empty firmware",
    columns: "target, opt-level, firmware, flash, RAM",
};

/// A line of the table.
struct Row {
    key: Key<3>,
    total: Footprint,
    over: Footprint,
    recorded: Option<Footprint>,
    goal: Option<Footprint>,
}

impl Row {
    const fn figures(&self) -> [u64; 2] {
        [self.over.flash, self.over.ram]
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    // Without a record there is nothing to compare with, which is fine for who writes one.
    let records =
        if args.update { Records::load(&FILE).unwrap_or(Records::new(&FILE)) } else { Records::load(&FILE)? };
    let (rows, pinned) = measure(&records)?;
    print_table(&rows);
    print_peers();
    if args.stack {
        print_stacks()?;
    }
    if args.update {
        let mut records = Records::new(&FILE);
        rows.iter().for_each(|row| records.set(row.key.clone(), row.figures()));
        records.save(pinned)?;
    } else {
        judge(&records, &rows, pinned)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The test stage: as `cargo xtask size`.
pub(crate) fn check() -> Result<()> {
    let records = Records::load(&FILE)?;
    let (rows, pinned) = measure(&records)?;
    print_table(&rows);
    judge(&records, &rows, pinned)
}

/// The test stage before it: a program that uses all of the core links only if nothing in it panics.
pub(crate) fn prove_no_panic() -> Result<()> {
    for target in TARGETS {
        panics::prove(&embedded::cargo_for(target)?, target)?;
    }
    Ok(())
}

/// Builds everything. Also whether it is with the compiler that the record was made with.
fn measure(records: &Records<3, 2>) -> Result<(Vec<Row>, bool)> {
    let mut rows = Vec::new();
    let mut pinned = true;
    for target in TARGETS {
        let cargo = embedded::cargo_for(target)?;
        println!("{target}: compiled by {}", cargo.about());
        pinned &= cargo.is_pinned();
        for opt in OPTS {
            let base = footprint(&BASE, &cargo, target, opt)?;
            for (program, goal) in &PROGRAMS {
                let key = [target.to_owned(), opt.to_string(), program.name.to_owned()];
                let total = footprint(program, &cargo, target, opt)?;
                let goal = goal.filter(|_| target == TARGETS[0] && opt == OPTS[0]);
                let recorded = records.get(&key).map(|[flash, ram]| Footprint { flash, ram });
                rows.push(Row { key, total, over: total.over(base), recorded, goal });
            }
        }
    }
    Ok((rows, pinned))
}

fn footprint(program: &Program<'_>, cargo: &BoardCargo, target: &str, opt: Opt) -> Result<Footprint> {
    Footprint::of(&program.build(cargo, target, opt)?)
}

fn print_table(rows: &[Row]) {
    println!("\nbytes over an empty firmware (of the whole image); change to what is recorded");
    println!(
        "{:<18} {:<3} {:<11} {:>15} {:>6} {:>5} {:>6}  goal",
        "target", "opt", "firmware", "flash", "", "RAM", ""
    );
    for row in rows {
        let [target, opt, firmware] = &row.key;
        let flash = format!("{} ({})", row.over.flash, row.total.flash);
        let flash_change = change(row.over.flash, row.recorded.map(|then| then.flash));
        let ram_change = change(row.over.ram, row.recorded.map(|then| then.ram));
        let line = format!(
            "{target:<18} {opt:<3} {firmware:<11} {flash:>15} {flash_change:>6} {:>5} {ram_change:>6}  {}",
            row.over.ram,
            row.goal.map_or(String::new(), |goal| describe_goal(row.over, goal))
        );
        println!("{}", line.trim_end());
    }
}

/// A goal for RAM of 0 is none.
fn describe_goal(now: Footprint, goal: Footprint) -> String {
    let word = |now: u64, goal: u64| if now <= goal { "met" } else { "not met" };
    let flash = format!("flash {} {}", goal.flash, word(now.flash, goal.flash));
    match goal.ram {
        0 => flash,
        ram => format!("{flash}, RAM {ram} {}", word(now.ram, ram)),
    }
}

/// What happens before the stack is looked at, in the order of `PROGRAMS`.
const TRAFFIC: [Traffic; 4] = {
    let published = Traffic { small_in: 200, ..Traffic::NONE };
    let both =
        Traffic { small_in: 200, small_out: 200, large_in: 50, large_out: 50, answered: 50, asked: 50 };
    [published, Traffic { small_out: 200, ..published }, both, both]
};

fn print_stacks() -> Result<()> {
    emulator::provide()?;
    let cargo = embedded::cargo_for(stack::TARGET)?;
    println!("\ndeepest stack seen, bytes: {} in QEMU, over a line that damages bytes", stack::TARGET);
    for opt in OPTS {
        for ((program, _), traffic) in PROGRAMS.iter().zip(TRAFFIC) {
            let depth = stack::depth(program, &cargo, opt, traffic)?;
            println!("{opt:<3} {:<11} {depth:>5}", program.name);
        }
    }
    println!("without interrupts: each level takes {} and its handler's own on top", stack::INTERRUPT_FRAME);
    Ok(())
}

fn print_peers() {
    println!(
        "\nothers on thumbv7m, measured once (see xtask/src/size/peers.rs): flash over an empty firmware"
    );
    for peer in &peers::PEERS {
        println!("{:<24} {:<38} {:>6}   RAM {}", peer.name, peer.about, peer.flash, peer.ram);
    }
}

fn judge(records: &Records<3, 2>, rows: &[Row], pinned: bool) -> Result<()> {
    let measured = rows.iter().map(|row| (row.key.clone(), row.figures()));
    records.judge(measured, ["bytes of flash", "bytes of RAM"], pinned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_has_a_record_that_can_be_read() {
        Records::<3, 2>::load(&FILE).unwrap();
    }
}
