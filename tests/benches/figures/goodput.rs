//! Goodput of one reliable route in one direction.

use std::collections::BTreeSet;

use tieline::Config;
use tieline_tests::names::COMMAND;
use tieline_tests::{A, B, Feed};

use crate::ideal::{self, FRAME, FULL};
use crate::stage;
use crate::table::{Table, rate, verdict};

const BIT_ERRORS: [f64; 4] = [0.0, 1e-6, 1e-5, 1e-4];
/// For the sender's store to hold more than any window here.
const TX: usize = 65_536;
/// Time for the first round trips to be measured, ms.
const WARM_UP_MS: u64 = 2_000;
const GOAL: f64 = 0.95;

const TEXT: &str = "
## Reliable goodput

One direction, one route, messages published as fast as they are taken; user bytes per line byte, of all bytes that the
line could carry in that time. *Latency* is added to each direction. *Sent* is the share of the time in which the line
was used; a frame's time is rounded down to a µs, so it may be 0.1 % more than all.

- *Ideal*: selective repeat on a line that is never idle, where each damaged frame is sent once more and nothing else is:
  `p / w * (1 - e)^w`, with p user bytes in a frame of w bytes on the line (content n, 1 of COBS, 1 delimiter) and
  e = 1 - (1 - bit error rate)^8. Without adaptive fragments n is the fullest frame that whole messages make, or 256 for
  pieces of a message; with them it is the n with the largest result, whole messages or pieces with their longer header.
  The line damages the 8 data bits of a byte: at 1e-5 a full frame keeps 0.98 of the error-free goodput (it would be 0.975
  with start and stop bit).
- *Stop and wait*: one message (or the largest piece) in a frame, then wait for its acknowledgement of 9 bytes; a loss
  costs twice the round trip: `p / (rtt * (1 + 2 * (1/q - 1)))` over the rate, q: frame and acknowledgement are intact.
- Goal: 95 % of the ideal with a receiver that has room for 8 frames.";

/// What the receiver has room for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Eight,
    Two,
}

#[derive(Clone, Copy)]
struct Case {
    baud: u32,
    memory: Memory,
    delay_us: u64,
    bit_error: f64,
    payload: usize,
}

struct Measured {
    user: f64,
    sent: f64,
}

pub(crate) fn print() {
    println!("{TEXT}");
    for memory in [Memory::Eight, Memory::Two] {
        for baud in [115_200, 3_000_000] {
            let room = match memory {
                Memory::Eight => "8 frames (of messages of 4096 bytes: 2)",
                Memory::Two => "2 frames: no goal, and the ideal is one that has room",
            };
            println!("\n### {baud} baud, receiver with room for {room}");
            table(baud, memory);
        }
    }
}

fn table(baud: u32, memory: Memory) {
    let mut table = Table::new(&[
        "messages",
        "adaptive",
        "latency, ms",
        "bit errors",
        "goodput",
        "sent",
        "ideal",
        "% of ideal",
        "goal",
        "stop and wait",
    ]);
    let mut notes = BTreeSet::new();
    for (what, payload) in [("one a frame", FULL), ("64 bytes", 64), ("4096 bytes", 4096)] {
        if memory == Memory::Two && payload > FULL {
            notes.insert("A message of 4096 bytes needs more room than 2 frames.");
            continue;
        }
        for adaptive in [false, true] {
            let Some(config) = stage::configured("a", adaptive).zip(stage::configured("b", adaptive)) else {
                notes.insert("This core has no adaptive fragments.");
                continue;
            };
            for (delay_us, bit_error) in [0, 1_000].into_iter().flat_map(|d| BIT_ERRORS.map(|e| (d, e))) {
                let case = Case { baud, memory, delay_us, bit_error, payload };
                let Some(measured) = measure(case, config) else {
                    notes.insert("This core takes no message larger than a frame.");
                    break;
                };
                table.row(row(what, case, adaptive, &measured));
            }
        }
    }
    table.print();
    if !notes.is_empty() {
        println!("\n{}", notes.into_iter().collect::<Vec<_>>().join(" "));
    }
}

fn row(what: &str, case: Case, adaptive: bool, measured: &Measured) -> Vec<String> {
    let Case { baud, memory, delay_us, bit_error, payload } = case;
    let ideal = ideal::selective_repeat(payload, bit_error, adaptive);
    let reached = measured.user / ideal;
    vec![
        what.into(),
        if adaptive { "with" } else { "without" }.into(),
        format!("{}", delay_us / 1_000),
        rate(bit_error),
        format!("{:.3}", measured.user),
        format!("{:.3}", measured.sent),
        format!("{ideal:.3}"),
        format!("{:.1}", 100.0 * reached),
        if memory == Memory::Eight { verdict(reached >= GOAL) } else { "-".into() },
        format!("{:.3}", ideal::stop_and_wait(payload, bit_error, baud, delay_us)),
    ]
}

/// None: the core does not take messages of this size.
fn measure(case: Case, (sender, reader): (Config, Config)) -> Option<Measured> {
    let window = match case.memory {
        _ if case.payload > FULL => stage::window(2, case.payload),
        Memory::Eight => 8 * FRAME,
        Memory::Two => 2 * FRAME,
    };
    let mut sim = stage::setup(case.baud, [sender, reader], TX, window).build();
    let (publisher, reader) = stage::route(&mut sim, &COMMAND, stage::reliable(), window);
    sim[B].counts_only(reader);
    stage::establish(&mut sim, &[publisher]);
    if !stage::takes(&mut sim, publisher, case.payload) {
        return None;
    }
    sim.set_line(|line| (line.delay_us, line.bit_error) = (case.delay_us, case.bit_error));
    sim[A].feed(Feed::new(publisher, u32::MAX, (case.payload, case.payload)));
    sim.run(WARM_UP_MS);
    let (user, sent) = (sim[B].app.heard_bytes(reader), sim.lines[0].bytes);
    // Enough for some 80 damaged frames at 1e-5.
    let ms = if case.baud > 1_000_000 { 20_000 } else { 100_000 };
    sim.run(ms);
    let capacity = f64::from(case.baud) / 10.0 * ms as f64 / 1000.0;
    Some(Measured {
        user: (sim[B].app.heard_bytes(reader) - user) as f64 / capacity,
        sent: (sim.lines[0].bytes - sent) as f64 / capacity,
    })
}
