//! Counts the instructions that a message takes: two endpoints in one program, linked by nothing but memory.
//!
//! It prints a line per figure, `name least most`, and `end`; anything else is an error. The time is a number of its own,
//! so that neither pings nor repetitions come between.

#![no_std]
#![no_main]

mod block;
mod counter;
#[cfg(not(feature = "reliable"))]
#[path = "lite.rs"]
mod side;
#[cfg(feature = "reliable")]
mod side;
mod silent;

use block::Block;
use cortex_m_semihosting::{debug, hprintln};
use counter::Counter;
use side::Side;
use tieline::Instant;
use tieline::time::Duration;
use tieline_measure as _;

/// How often everything is counted, after as many rounds that are not: stores and tables are then as they usually are.
const ROUNDS: u32 = 16;

/// Between two calls: less than what a line is called idle after, so that no frame needs a delimiter in front.
const STEP: Duration = Duration::from_micros(10);

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut A: Side = Side::new();
    static mut B: Side = Side::new();

    let counter = Counter::start();
    let done = best_effort(&counter, A, B);
    #[cfg(feature = "reliable")]
    let done = done.and_then(|()| reliable(&counter, A, B));
    match done {
        Some(()) => hprintln!("end"),
        None => hprintln!("a message did not come"),
    }
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

/// The least and the most of what was counted.
struct Range {
    least: u32,
    most: u32,
}

impl Range {
    const NEW: Self = Self { least: u32::MAX, most: 0 };

    fn add(&mut self, count: u32, round: u32) {
        if round >= ROUNDS {
            self.least = self.least.min(count);
            self.most = self.most.max(count);
        }
    }

    fn print(&self, name: &str, bytes: usize) {
        hprintln!("{}-{} {} {}", name, bytes, self.least, self.most);
    }
}

/// A session in which everything is declared and nothing is left to say.
fn connect(a: &mut Side, b: &mut Side, reliable: bool) -> Option<Instant> {
    a.start_publisher(reliable);
    b.start_reader();
    let mut now = Instant::ZERO;
    for _ in 0..100 {
        now = now + STEP;
        if !(a.hand_over(b, now) | b.hand_over(a, now)) {
            return a.has_audience().then_some(now);
        }
    }
    None
}

fn best_effort(counter: &Counter, a: &mut Side, b: &mut Side) -> Option<()> {
    let mut now = connect(a, b, false)?;
    let mut idle = Range::NEW;
    for round in 0..2 * ROUNDS {
        now = now + STEP;
        let (quiet, count) = counter.count(|| a.idle(now));
        if !quiet {
            return None;
        }
        idle.add(count, round);
    }
    idle.print("idle", 0);
    best_effort_of::<8>(counter, a, b, &mut now)?;
    best_effort_of::<64>(counter, a, b, &mut now)
}

fn best_effort_of<const N: usize>(
    counter: &Counter,
    a: &mut Side,
    b: &mut Side,
    now: &mut Instant,
) -> Option<()> {
    let (mut out, mut into) = (Range::NEW, Range::NEW);
    for round in 0..2 * ROUNDS {
        *now = *now + STEP;
        let message = Block([0x31 + round as u8; N]);
        let (frame, count) = counter.count(|| a.send(*now, &message));
        out.add(count, round);
        let (came, count) = counter.count(|| b.receive::<N>(*now, frame?));
        into.add(count, round);
        if came? != message {
            return None;
        }
    }
    out.print("best-effort-out", N);
    into.print("best-effort-in", N);
    Some(())
}

#[cfg(feature = "reliable")]
fn reliable(counter: &Counter, a: &mut Side, b: &mut Side) -> Option<()> {
    let mut now = connect(a, b, true)?;
    reliable_of::<8>(counter, a, b, &mut now)?;
    reliable_of::<64>(counter, a, b, &mut now)
}

#[cfg(feature = "reliable")]
fn reliable_of<const N: usize>(
    counter: &Counter,
    a: &mut Side,
    b: &mut Side,
    now: &mut Instant,
) -> Option<()> {
    let (mut out, mut into, mut acknowledged) = (Range::NEW, Range::NEW, Range::NEW);
    for round in 0..2 * ROUNDS {
        *now = *now + STEP;
        let message = Block([0x31 + round as u8; N]);
        let (frame, count) = counter.count(|| a.send(*now, &message));
        out.add(count, round);
        let ((came, answer), count) = counter.count(|| {
            let came = b.receive::<N>(*now, frame.unwrap_or_default());
            (came, b.answer(*now))
        });
        into.add(count, round);
        let (delivered, count) = counter.count(|| a.confirm(*now, answer.unwrap_or_default()));
        acknowledged.add(count, round);
        if came? != message || !delivered {
            return None;
        }
    }
    out.print("reliable-send", N);
    into.print("reliable-receive-and-acknowledge", N);
    acknowledged.print("reliable-acknowledged", N);
    Some(())
}
