//! `cargo xtask size`: what the firmware of `firmware-example/measure` takes of flash and RAM, beside what is recorded and
//! what others take.
//!
//! A figure is compared with what the repository records for the same compiler: growth is an error until it is recorded.

mod build;
mod image;
mod panics;
mod peers;
mod record;
mod stack;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::embedded::{self, BoardCargo};
use build::{Opt, Program};
use image::Footprint;
use record::{Key, Records};
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

/// Growth that is no error, in percent: an unrelated change may move an inlined function.
const TOLERANCE: u64 = 2;
/// The same with another compiler than the one that the record was made with.
const TOLERANCE_ELSEWHERE: u64 = 10;

/// A line of the table.
struct Row {
    key: Key,
    total: Footprint,
    over: Footprint,
    recorded: Option<Footprint>,
    goal: Option<Footprint>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    // Without a record there is nothing to compare with, which is fine for who writes one.
    let records = if args.update { Records::load().unwrap_or_default() } else { Records::load()? };
    let (rows, pinned) = measure(&records)?;
    print_table(&rows);
    print_peers();
    if args.stack {
        print_stacks()?;
    }
    if args.update {
        update(&rows, pinned)?;
    } else {
        judge(&rows, pinned)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn update(rows: &[Row], pinned: bool) -> Result<()> {
    if !pinned {
        bail!("what is recorded is made with the toolchain of rust-toolchain.toml");
    }
    let mut records = Records::default();
    rows.iter().for_each(|row| records.set(row.key.clone(), row.over));
    records.save()
}

/// The test stage: as `cargo xtask size`.
pub(crate) fn check() -> Result<()> {
    let (rows, pinned) = measure(&Records::load()?)?;
    print_table(&rows);
    judge(&rows, pinned)
}

/// The test stage before it: a program that uses all of the core links only if nothing in it panics.
pub(crate) fn prove_no_panic() -> Result<()> {
    for target in TARGETS {
        panics::prove(&embedded::cargo_for(target)?, target)?;
    }
    Ok(())
}

/// Builds everything. Also whether it is with the compiler that the record was made with.
fn measure(records: &Records) -> Result<(Vec<Row>, bool)> {
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
                let recorded = records.get(&key);
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
        let change = |now: u64, then: Option<u64>| match then {
            None => "new".to_owned(),
            Some(then) if then == now => "=".to_owned(),
            Some(then) => format!("{:+}", now.cast_signed() - then.cast_signed()),
        };
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

fn judge(rows: &[Row], pinned: bool) -> Result<()> {
    let tolerance = if pinned { TOLERANCE } else { TOLERANCE_ELSEWHERE };
    let mut complaints = Vec::new();
    for row in rows {
        let name = row.key.join(" ");
        let Some(recorded) = row.recorded else {
            complaints.push(format!("  {name}: not recorded"));
            continue;
        };
        for (what, now, then) in
            [("flash", row.over.flash, recorded.flash), ("RAM", row.over.ram, recorded.ram)]
        {
            if exceeds(now, then, tolerance) {
                complaints.push(format!("  {name}: {now} bytes of {what}, recorded are {then}"));
            }
        }
    }
    if !complaints.is_empty() {
        bail!(
            "more than {tolerance} % over what is recorded:\n{}\n\
             If that is meant, `cargo xtask size --update` records it: say in the commit what it buys",
            complaints.join("\n")
        );
    }
    Ok(())
}

const fn exceeds(now: u64, recorded: u64, tolerance: u64) -> bool {
    now * 100 > recorded * (100 + tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(flash: u64, ram: u64, recorded: Option<Footprint>) -> Row {
        let over = Footprint { flash, ram };
        let key = ["target", "z", "firmware"].map(str::to_owned);
        Row { key, total: over, over, recorded, goal: None }
    }

    #[test]
    fn growth_beyond_the_tolerance_is_an_error() {
        let recorded = Some(Footprint { flash: 10_000, ram: 1000 });
        assert!(judge(&[row(10_200, 1020, recorded)], true).is_ok());
        assert!(judge(&[row(10_201, 1000, recorded)], true).is_err());
        assert!(judge(&[row(10_000, 1021, recorded)], true).is_err());
        assert!(judge(&[row(10_201, 1000, recorded)], false).is_ok());
        assert!(judge(&[row(1, 1, None)], true).is_err());
    }
}
