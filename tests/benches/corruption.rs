//! How often a damaged serial frame passes for a good one:
//! `cargo bench --package tieline-tests --bench corruption -- [FRAMES] [SEED]`.
//!
//! 10^9 frames unless told otherwise. Fails when a count is not what the polynomial gives: see
//! `tieline_tests::corruption` for what is counted, and why that is right.

use std::process::ExitCode;
use std::time::Instant;

use tieline_tests::corruption::odds::distance_is_six;
use tieline_tests::corruption::{GUARANTEED_BITS, run};

const FRAMES: u64 = 1_000_000_000;
/// When nobody measures: `cargo test --benches` only wants to know that it runs.
const FRAMES_OF_A_TEST: u64 = 100_000;

fn main() -> ExitCode {
    let measured = std::env::args().any(|arg| arg == "--bench");
    let mut numbers = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(|arg| {
        let number = arg.replace('_', "").parse();
        number.unwrap_or_else(|_| panic!("{arg:?} is no number: give the number of frames, then a seed"))
    });
    let frames = numbers.next().unwrap_or(if measured { FRAMES } else { FRAMES_OF_A_TEST });
    let seed = numbers.next().unwrap_or(1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);

    let mut failures = Vec::new();
    if measured {
        let begin = Instant::now();
        if !distance_is_six(GUARANTEED_BITS) || distance_is_six(GUARANTEED_BITS + 1) {
            failures.push(format!("Hamming distance 6 does not end at {GUARANTEED_BITS} bits"));
        }
        println!("Hamming distance 6 up to {GUARANTEED_BITS} bits: {:.1} s", begin.elapsed().as_secs_f64());
    }
    let begin = Instant::now();
    let report = run(frames, seed, threads);
    failures.extend(report.failures());
    print!("{report}");
    println!("{threads} threads, seed {seed}: {:.1} s", begin.elapsed().as_secs_f64());
    failures.iter().for_each(|failure| eprintln!("failed: {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
