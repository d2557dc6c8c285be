//! `cargo xtask test`: everything a change must pass, in stages; CI runs exactly this.
//!
//! This file runs stages and reports on them; what a stage does is in [`stages`]. A failed
//! stage ends the run: what follows would mostly repeat its complaint, only later.

mod emulated;
mod stages;
mod totals;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use stages::Stage;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this stage (may be given several times)
    #[arg(long, value_name = "STAGE")]
    only: Vec<Stage>,
    /// List the stages and what they check
    #[arg(long)]
    list: bool,
}

/// What became of a stage.
struct Outcome {
    stage: Stage,
    duration: Duration,
    passed: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let all = Stage::value_variants();
    if args.list {
        for stage in all {
            println!("{:<8} {}", stage.name(), stage.about());
        }
        return Ok(ExitCode::SUCCESS);
    }
    // In the order of the list, whatever the order of the options.
    let chosen: Vec<Stage> =
        all.iter().copied().filter(|stage| args.only.is_empty() || args.only.contains(stage)).collect();
    Ok(run_stages(&chosen))
}

fn run_stages(stages: &[Stage]) -> ExitCode {
    let started = Instant::now();
    let mut outcomes = Vec::new();
    let mut totals = None;
    let mut failure = None;
    for (index, &stage) in stages.iter().enumerate() {
        let name = stage.name();
        println!("\n=== {name} ({} of {}): {}", index + 1, stages.len(), stage.about());
        let stage_started = Instant::now();
        let result = stage.run(&mut totals);
        let duration = stage_started.elapsed();
        let passed = result.is_ok();
        let word = if passed { "passed" } else { "FAILED" };
        println!("=== {name} {word} after {}", seconds(duration));
        outcomes.push(Outcome { stage, duration, passed });
        if let Err(error) = result {
            failure = Some((name, error));
            break;
        }
    }
    print_table(stages, &outcomes, started.elapsed());
    if let Some((name, error)) = &failure {
        println!("\nstage `{name}` failed: {error:#}");
        println!("to run only this stage: cargo xtask test --only {name}\n");
    }
    // Last, and only if tests were run: the line that a reader or a machine looks for.
    if let Some(totals) = totals {
        println!("{totals}");
    }
    if failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_table(stages: &[Stage], outcomes: &[Outcome], total: Duration) {
    println!("\n{:<8} {:<8} {:>9}", "stage", "result", "time");
    for stage in stages {
        let outcome = outcomes.iter().find(|outcome| outcome.stage == *stage);
        let (word, time) = match outcome {
            Some(outcome) if outcome.passed => ("passed", seconds(outcome.duration)),
            Some(outcome) => ("FAILED", seconds(outcome.duration)),
            None => ("not run", String::new()),
        };
        let row = format!("{:<8} {word:<8} {time:>9}", stage.name());
        println!("{}", row.trim_end());
    }
    println!("{:<8} {:<8} {:>9}", "total", "", seconds(total));
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
