//! `cargo xtask fuzz`: runs the fuzz targets of `core/fuzz` for a while each.
//!
//! A finding is reported and left where cargo-fuzz writes it; it is neither minimised nor
//! turned into a test. Fuzzing is no part of `cargo xtask test`: it needs a nightly compiler.

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// The core crate works in fixed buffers: an input that needs more than this, or longer
/// than `TIMEOUT`, is a bug.
const MEMORY_MIB: u32 = 1024;
const TIMEOUT_SECONDS: u32 = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// The targets to run; all if none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// What the fuzzer said about a target while it ran.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    executions: Option<u64>,
    findings: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !workspace::root().join("core/fuzz/Cargo.toml").exists() {
        bail!("there is no fuzz project: core/fuzz/Cargo.toml is missing");
    }
    require_nightly()?;
    require_cargo_fuzz()?;
    let targets = choose(&args.targets)?;
    process::run(&mut fuzz(&["build"])).context("the fuzz targets could not be built")?;

    let mut reports = Vec::new();
    for target in targets {
        let report = fuzz_target(&target, args.seconds)?;
        reports.push((target, report));
    }
    println!("\n{:<24} {:>14}  findings", "target", "executions");
    for (target, report) in &reports {
        let executions = report.executions.map_or("unknown".to_owned(), |count| count.to_string());
        let findings = match report.findings.len() {
            0 => "none".to_owned(),
            count => count.to_string(),
        };
        println!("{target:<24} {executions:>14}  {findings}");
    }
    let findings: Vec<(&str, &String)> = reports
        .iter()
        .flat_map(|(target, report)| report.findings.iter().map(|file| (target.as_str(), file)))
        .collect();
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nto run the findings again, in core:");
    for (target, file) in findings {
        println!("  cargo +nightly fuzz run {target} {file}");
    }
    Ok(ExitCode::FAILURE)
}

/// `cargo fuzz ...` for the core crate.
fn fuzz(arguments: &[&str]) -> Command {
    let mut command = workspace::cargo_of_toolchain("nightly", &workspace::root().join("core"));
    command.arg("fuzz").args(arguments);
    command
}

fn require_nightly() -> Result<()> {
    let mut command = workspace::cargo_of_toolchain("nightly", workspace::root());
    // To ask for a toolchain should not be to download it.
    command.arg("--version").env("RUSTUP_AUTO_INSTALL", "0");
    process::capture(&mut command)
        .map(drop)
        .context("fuzzing needs rustup and a nightly compiler (`rustup toolchain install nightly`)")
}

fn require_cargo_fuzz() -> Result<()> {
    if process::capture(&mut fuzz(&["--version"])).is_ok() {
        return Ok(());
    }
    println!("cargo-fuzz is not installed: installing it");
    let mut command = workspace::cargo()?;
    process::run(command.args(["install", "--locked", "cargo-fuzz"]))
        .context("cargo-fuzz could not be installed")
}

fn choose(wanted: &[String]) -> Result<Vec<String>> {
    let list = process::capture(&mut fuzz(&["list"]))?;
    let known: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
    if known.is_empty() {
        bail!("core/fuzz has no fuzz targets");
    }
    if wanted.is_empty() {
        return Ok(known);
    }
    if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
        bail!("there is no fuzz target `{name}`; there are: {}", known.join(", "));
    }
    Ok(wanted.to_vec())
}

/// Runs one target; an error means that it did not really run, a finding is no error.
fn fuzz_target(target: &str, seconds: u32) -> Result<Report> {
    println!("\n=== {target}, {seconds} s");
    let mut command = fuzz(&["run", target, "--"]);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        .arg("-print_final_stats=1");
    println!("$ {}", process::describe(&command));
    let mut child = process::spawn(command.stderr(Stdio::piped()))?;
    let mut report = Report::default();
    if let Some(output) = child.stderr.take() {
        process::tee(output, io::stderr(), |line| report.add_line(line))
            .context("cannot read what the fuzzer prints")?;
    }
    let status = child.wait()?;
    if status.success() {
        // Slow inputs are written as well, but within the time limit they are no findings.
        report.findings.clear();
    } else if report.findings.is_empty() {
        process::expect_success(&command, status).context("the fuzzer stopped without a finding")?;
    }
    Ok(report)
}

impl Report {
    fn add_line(&mut self, line: &str) {
        if let Some((_, count)) = line.split_once("stat::number_of_executed_units:") {
            self.executions = count.trim().parse().ok();
        }
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            let file = file.trim();
            // As seen from core, where it is run again.
            let core = workspace::root().join("core");
            let short = Path::new(file).strip_prefix(core);
            self.findings.push(short.map_or(file.to_owned(), |short| short.display().to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::workspace;

    fn report(output: &str) -> Report {
        let mut report = Report::default();
        output.lines().for_each(|line| report.add_line(line));
        report
    }

    #[test]
    fn a_quiet_run_has_executions_only() {
        let quiet = report("Done 100 runs in 61 second(s)\nstat::number_of_executed_units: 100\n");
        assert_eq!(quiet.executions, Some(100));
        assert!(quiet.findings.is_empty());
    }

    #[test]
    fn a_finding_is_named_as_seen_from_core() {
        let root = workspace::root().display();
        let found = report(&format!(
            "artifact_prefix='x/'; Test unit written to {root}/core/fuzz/artifacts/a/crash-1\n"
        ));
        assert_eq!(found.findings, ["fuzz/artifacts/a/crash-1"]);
    }
}
