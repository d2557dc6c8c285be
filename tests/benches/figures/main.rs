//! The figures that Tieline is judged by, as markdown: `cargo bench -p tieline-tests --bench figures`, or with the name
//! of a section behind it: `goodput`, `latency`, `recovery`.
//!
//! All of it runs in the simulator, so in virtual time: the same code gives the same figures on every machine. A goal
//! that is missed is a word in a column and not a failure.

mod goodput;
mod ideal;
mod latency;
mod recovery;
mod stage;
mod table;

use std::process::ExitCode;

const SECTIONS: [(&str, fn()); 3] =
    [("goodput", goodput::print), ("latency", latency::print), ("recovery", recovery::print)];

fn main() -> ExitCode {
    // Cargo itself passes `--bench`.
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let is_wanted = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    if !SECTIONS.iter().any(|(name, _)| is_wanted(name)) {
        eprintln!("no such section; there are: {}", SECTIONS.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    println!("# Figures\n");
    println!("Simulated line, 8N1: a byte takes 10 bit times. Frames of {} bytes of content.", ideal::FRAME);
    SECTIONS.iter().filter(|(name, _)| is_wanted(name)).for_each(|(_, print)| print());
    ExitCode::SUCCESS
}
