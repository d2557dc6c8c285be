//! What it takes to go on after the line was bad.

use tieline::IntentOptions;
use tieline_tests::feed::numbered;
use tieline_tests::names::COMMAND;
use tieline_tests::{A, B, Feed, Handle, Rng, Sim};

use crate::ideal::{FRAME, FULL, wire};
use crate::stage;
use crate::table::{Table, ms, percentile, verdict};

const OUTAGES: usize = 300;
const OUTAGE_US: u64 = 1_000_000;
const GARBAGES: usize = 1_000;
const GARBAGE_MAX: u64 = 1_000;
/// Bytes of the messages that do not come as fast as they are taken.
const SHORT: usize = 32;
const WINDOW: usize = 8 * FRAME;
const TX: usize = 32 * FRAME;
/// Longer than any back-off.
const PATIENCE_MS: u64 = 10_000;

pub(crate) fn print() {
    outages();
    garbage();
}

fn sim(baud: u32, options: IntentOptions) -> (Sim, Handle, Handle) {
    let mut sim = stage::setup(baud, stage::USUAL, TX, WINDOW).build();
    let (publisher, reader) = stage::route(&mut sim, &COMMAND, options, WINDOW);
    sim[B].counts_only(reader);
    stage::establish(&mut sim, &[publisher]);
    (sim, publisher, reader)
}

/// What is sent across an outage.
#[derive(Clone, Copy)]
enum Traffic {
    /// Reliable messages of a frame each, as fast as they are taken.
    Stream,
    /// A reliable message that is published while the line is dead.
    Single,
    /// Best-effort messages, one every 10 ms.
    Telemetry,
}

fn outages() {
    println!(
        "
## Outage

Both directions are dead for 1 s, {OUTAGES} times at random moments, and nobody is told; from its end until the reading
application has a message. A frame that had begun when the line came back is lost, too."
    );
    let mut table = Table::new(&["traffic", "baud", "p50, ms", "p99, ms", "max, ms"]);
    let traffics = [
        ("reliable, one frame each, as fast as they go", Traffic::Stream),
        ("reliable, one, published in the outage", Traffic::Single),
        ("best effort, every 10 ms", Traffic::Telemetry),
    ];
    for (what, traffic) in traffics {
        for baud in [115_200, 3_000_000] {
            let mut times = outage(baud, traffic);
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|p| percentile(&mut times, p));
            table.row(vec![what.into(), baud.to_string(), ms(p50), ms(p99), ms(max)]);
        }
    }
    table.print();
}

fn outage(baud: u32, traffic: Traffic) -> Vec<u64> {
    let options =
        if matches!(traffic, Traffic::Telemetry) { IntentOptions::best_effort() } else { stage::reliable() };
    let (mut sim, publisher, reader) = sim(baud, options);
    match traffic {
        Traffic::Stream => sim[A].feed(Feed::new(publisher, u32::MAX, (FULL, FULL))),
        Traffic::Single => {}
        Traffic::Telemetry => sim[A].feed(Feed::new(publisher, u32::MAX, (SHORT, SHORT)).every(10)),
    }
    let mut rng = Rng::new(11);
    let mut times = Vec::new();
    for _ in 0..OUTAGES {
        // Long enough for the time-out to have calmed down, and for no message to be left over.
        sim.run_us(rng.between(3_000_000, 5_000_000));
        sim.cut(true);
        let before = rng.below(OUTAGE_US);
        sim.run_us(before);
        if matches!(traffic, Traffic::Single) {
            sim[A].publish(publisher, &numbered(0, SHORT)).expect("all before are taken");
        }
        sim.run_us(OUTAGE_US - before);
        sim.cut(false);
        let (end, heard) = (sim.now, sim[B].app.heard(reader));
        let more = |sim: &Sim| sim[B].app.heard(reader) > heard;
        assert!(sim.run_until(PATIENCE_MS, more), "nothing is delivered after an outage");
        times.push(sim.now - end);
    }
    times
}

/// What the line does when garbage comes.
#[derive(Clone, Copy)]
enum Line {
    /// Frames go one behind the other.
    Busy,
    /// No frame for a while, but for less than 100 ms.
    Pausing,
    /// No frame for more than 100 ms: the sender begins with a delimiter.
    Idle,
}

fn garbage() {
    println!(
        "
## Garbage

1 to {GARBAGE_MAX} random bytes come in, {GARBAGES} times, 115200 baud; bytes of the sender from there to the beginning of the
first frame that the receiver takes. Goal: what the protocol's design promises, one frame, and on an idle line one
delimiter."
    );
    let mut table = Table::new(&["line", "p50, bytes", "p99, bytes", "max, bytes", "bound, bytes", "goal"]);
    let lines = [
        ("full frames, back to back", Line::Busy, wire(FRAME)),
        ("idle for less than 100 ms", Line::Pausing, wire(FRAME)),
        ("idle for more than 100 ms", Line::Idle, 1),
    ];
    for (what, line, bound) in lines {
        let mut bytes = resynchronise(line);
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|p| percentile(&mut bytes, p));
        table.row(vec![
            what.into(),
            p50.to_string(),
            p99.to_string(),
            max.to_string(),
            bound.to_string(),
            verdict(max <= bound as u64),
        ]);
    }
    table.print();
}

fn resynchronise(line: Line) -> Vec<u64> {
    let busy = matches!(line, Line::Busy);
    let options = if busy { IntentOptions::best_effort() } else { stage::reliable() };
    let (mut sim, publisher, _) = sim(115_200, options);
    sim.record();
    if busy {
        sim[A].feed(Feed::new(publisher, u32::MAX, (FULL, FULL)));
    }
    let mut rng = Rng::new(13);
    let mut all = Vec::new();
    for _ in 0..GARBAGES {
        let quiet_us = match line {
            Line::Busy => None,
            Line::Pausing => Some(rng.between(5_000, 80_000)),
            Line::Idle => Some(rng.between(110_000, 300_000)),
        };
        sim.run_us(rng.between(500_000, 600_000));
        while let Some(quiet_us) = quiet_us
            && !is_quiet(&sim, quiet_us, line)
        {
            sim.run_us(1_000);
        }
        sim.lines[0].sent.clear();
        let len = rng.between(1, GARBAGE_MAX) as usize;
        sim.inject(B, &rng.bytes(len));
        // The frame under way stands before the garbage.
        let under_way = u32::from(sim.lines[0].free_at() > sim.now);
        let intact = sim[B].endpoint.stats().frames_in + under_way;
        if !busy {
            sim[A].publish(publisher, &numbered(0, SHORT)).expect("all before are taken");
        }
        let taken = |sim: &Sim| sim[B].endpoint.stats().frames_in > intact;
        assert!(sim.run_until(PATIENCE_MS, taken), "nothing is taken after garbage");
        all.push(bytes_before_the_last(&sim));
    }
    all
}

/// Whether A has sent nothing for that long (and, if it is a pause, less than 100 ms ago).
fn is_quiet(sim: &Sim, quiet_us: u64, line: Line) -> bool {
    let quiet = sim.now.saturating_sub(sim.lines[0].free_at());
    quiet >= quiet_us && (!matches!(line, Line::Pausing) || quiet < 90_000)
}

/// Bytes that A sent before the newest frame that has arrived by now, with that one's delimiter before it.
fn bytes_before_the_last(sim: &Sim) -> u64 {
    let line_us = |bytes: usize| bytes as u64 * 10_000_000 / 115_200;
    let mut arrived =
        sim.lines[0].sent.iter().filter(|frame| frame.at + line_us(frame.bytes.len()) <= sim.now);
    let last = arrived.next_back().expect("a frame has arrived");
    let delimiter = u64::from(last.bytes.first() == Some(&0));
    arrived.map(|frame| frame.bytes.len() as u64).sum::<u64>() + delimiter
}
