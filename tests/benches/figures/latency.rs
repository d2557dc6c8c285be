//! How long a command takes while the line is full in its direction.

use tieline::packet::{Packet, SeqWidth, reliable_len};
use tieline::{IntentOptions, RouteName};
use tieline_tests::feed::{number_of, numbered};
use tieline_tests::forge;
use tieline_tests::names::{COMMAND, IMU};
use tieline_tests::{A, B, Feed, Handle, Rng, Sim};

use crate::ideal::{CHECK, FRAME, FULL, line_us, wire};
use crate::stage;
use crate::table::{Table, ms, percentile, rate, verdict};

const BAUD: u32 = 115_200;
/// Bytes of a command.
const COMMAND_LEN: usize = 8;
const COMMANDS: u32 = 3_000;
/// Room for more commands than come in a second.
const COMMAND_WINDOW: usize = stage::window(16, COMMAND_LEN);
const TRANSFER: usize = 65_536;
/// Besides what messages take on the line, so that the bound is no question of rounding.
const SLACK_US: f64 = 1_000.0;

static LOAD: &RouteName = &IMU;

#[derive(Clone, Copy)]
enum Load {
    None,
    /// Best-effort messages of so many bytes, each so many ms: three times the line rate.
    Telemetry(usize, u64),
    /// Reliable messages of so many bytes, as fast as they are taken.
    Transfer(usize),
}

impl Load {
    const fn payload(self) -> usize {
        match self {
            Self::None => 1,
            Self::Telemetry(payload, _) | Self::Transfer(payload) => payload,
        }
    }

    /// A window for a whole transfer, or for 8 frames.
    const fn window(self) -> usize {
        let one = stage::window(1, self.payload());
        if one > 8 * FRAME { one } else { 8 * FRAME }
    }

    /// The sender's store: some frames of telemetry, or the whole transfer with room to spare.
    const fn tx(self) -> usize {
        if self.payload() > FULL { 4 * TRANSFER } else { 32 * FRAME }
    }

    fn sim(self) -> (Sim, [Handle; 2], Handle) {
        let rx = self.window() + COMMAND_WINDOW;
        let mut sim = stage::setup(BAUD, stage::USUAL, self.tx(), rx).build();
        // The command is declared as an application would that thinks no more about it.
        let (command, heard) = stage::route(&mut sim, &COMMAND, IntentOptions::reliable(), COMMAND_WINDOW);
        let options = match self {
            Self::Transfer(_) => stage::reliable(),
            Self::None | Self::Telemetry(..) => IntentOptions::best_effort(),
        };
        let (publisher, reader) = stage::route(&mut sim, LOAD, options, self.window());
        sim[B].counts_only(reader);
        stage::establish(&mut sim, &[command, publisher]);
        (sim, [command, publisher], heard)
    }

    fn feed(self, publisher: Handle) -> Option<Feed> {
        let feed = |payload| Feed::new(publisher, u32::MAX, (payload, payload));
        match self {
            Self::None => None,
            Self::Telemetry(payload, every) => Some(feed(payload).every(every)),
            Self::Transfer(payload) => Some(feed(payload)),
        }
    }
}

/// Bytes on the line of one largest frame, one frame with acknowledgement and pong, and the command's own.
fn parts() -> [usize; 3] {
    let ack = forge::packet(&Packet::Ack { next: 0, selective: 0 }).len();
    let pong = forge::packet(&Packet::Pong { id: 0, held: 0, clock: 0, dropped: 0 }).len();
    let command = reliable_len(1, 0, COMMAND_LEN, SeqWidth::One, true);
    [FRAME, CHECK + ack + pong, CHECK + command].map(wire)
}

/// The least time-out that the protocol allows: 20 ms and three largest frames.
fn time_out_us() -> u64 {
    (3.0 * line_us(wire(FRAME), BAUD)).max(20_000.0) as u64
}

pub(crate) fn print() {
    let [largest, reports, own] = parts();
    let bound = (line_us(largest + reports + own, BAUD) + SLACK_US) as u64;
    let time_out = time_out_us();
    println!(
        "
## Command latency

{BAUD} baud, no added latency; a reliable command of {COMMAND_LEN} bytes, published with the default options at a random
moment, {COMMANDS} times, 20 to 120 ms apart; until the other application has it. In the same direction a load.

- Clean line, always: the line time of one largest frame ({} bytes), one frame with acknowledgement and pong ({}), and
  the command's own ({}), + 1 ms: {} ms.
- At 1e-5, 99 of 100: that and one retransmission time-out, taken as the least that the protocol allows ({} ms).",
        largest,
        reports,
        own,
        ms(bound),
        ms(time_out)
    );
    let mut table = Table::new(&["load", "bit errors", "p50, ms", "p99, ms", "max, ms", "bound, ms", "goal"]);
    let large = {
        let load = Load::Transfer(TRANSFER);
        let (mut sim, [_, publisher], _) = load.sim();
        stage::takes(&mut sim, publisher, TRANSFER)
    };
    let transfer = if large {
        ("reliable, 64 KiB messages", Load::Transfer(TRANSFER))
    } else {
        ("reliable, messages of one frame", Load::Transfer(FULL))
    };
    let loads = [
        ("none", Load::None),
        ("best effort, 3 x line rate, 32 bytes each", Load::Telemetry(32, 1)),
        ("best effort, 3 x line rate, one frame each", Load::Telemetry(FULL, 7)),
        transfer,
    ];
    for (what, load) in loads {
        for bit_error in [0.0, 1e-5] {
            let mut times = measure(load, bit_error);
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|p| percentile(&mut times, p));
            let (bound, judged) = if bit_error == 0.0 { (bound, max) } else { (bound + time_out, p99) };
            table.row(vec![
                what.into(),
                rate(bit_error),
                ms(p50),
                ms(p99),
                ms(max),
                ms(bound),
                verdict(judged <= bound),
            ]);
        }
    }
    table.print();
    if !large {
        println!(
            "\nThis core takes no message larger than a frame, so the transfer is a stream of full frames."
        );
    }
}

/// How long each command took, µs.
fn measure(load: Load, bit_error: f64) -> Vec<u64> {
    let (mut sim, [command, publisher], heard) = load.sim();
    sim.set_line(|line| line.bit_error = bit_error);
    if let Some(feed) = load.feed(publisher) {
        sim[A].feed(feed);
    }
    sim.run(1_000);
    let mut rng = Rng::new(7);
    let mut wanted = Vec::new();
    for number in 0..COMMANDS {
        sim.run_us(rng.between(20_000, 120_000));
        wanted.push(sim.now);
        // The wait for room is a part of the latency.
        while sim[A].publish(command, &numbered(number, COMMAND_LEN)).is_err() {
            sim.run_us(500);
        }
    }
    let complete = |sim: &Sim| sim[B].app.heard(heard) >= COMMANDS as usize;
    assert!(sim.run_until(60_000, complete), "commands are lost");
    let of_commands = sim[B].app.received.iter().filter(|message| message.handle == heard);
    of_commands.map(|message| message.at - wanted[number_of(&message.payload) as usize]).collect()
}
