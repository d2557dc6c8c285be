//! The small machine and a complete one over a line that the fuzzer commands, and frames that the fuzzer writes and the peer's
//! seal makes pass. Nothing panics; when the fuzzer has nothing more to say, both sides find each other and everything moves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tieline::framing::{Framing, Sealer, seed};
use tieline::packet::{Packet, SeqWidth};
use tieline::wire::{Reader, cobs};
use tieline::{
    Config, Endpoint, Inline, Instant, IntentOptions, InterestOptions, Link, RouteName, Select, lite,
};

const fn name(path: &'static str) -> RouteName {
    match RouteName::new("T", path) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

static UP: RouteName = name("up");
static DOWN: RouteName = name("down");

struct Board;

impl lite::Device<1, 1> for Board {
    const NAME: &'static str = "board";
    const PUBLISHES: [RouteName; 1] = [UP];
    const READS: [RouteName; 1] = [DOWN];
}

type Small = lite::Endpoint<Board, 80, 1, 1>;
type Large = Endpoint<Inline<128, 512, 512, 4>>;
const OUT: usize = Inline::<128, 512, 512, 4>::TRANSMIT_MAX;

/// The nonces of a session, as a HELLO of the board says them.
fn nonces(frame: &[u8]) -> Option<(u64, u64)> {
    let start = frame.iter().position(|byte| *byte != 0)?;
    let end = start + cobs::find_zero(&frame[start..])?;
    let mut content = [0; 100];
    let len = cobs::Decoder::new().decode(&frame[start..end], &mut content, 0)?;
    match Packet::parse(&mut Reader::new(&content[..len - 4]), SeqWidth::One) {
        Ok(Packet::Hello(hello)) => Some((hello.head.nonce, hello.head.echo)),
        _ => None,
    }
}

fn feed(small: &mut Small, now: Instant, mut bytes: &[u8]) -> usize {
    let mut messages = 0;
    while !bytes.is_empty() {
        let taken = small.handle_input(now, bytes);
        assert!(taken > 0 && taken <= bytes.len());
        bytes = &bytes[taken..];
        while small.poll_event().is_some() {}
        while small.poll_message(Select::Any).is_some() {
            messages += 1;
        }
    }
    messages
}

fuzz_target!(|data: &[u8]| {
    let mut r = Reader::new(data);
    let mut small = Small::new();
    small.start(0x1000);
    let mut large = Large::new(Inline::new());
    large.start(Config::new("large"), 0x2001);
    let mut now = Instant::ZERO;
    small.handle_connect(now).unwrap();
    large.handle_connect(now, Link::serial(115_200)).unwrap();
    large.declare_interest(&UP, InterestOptions::default()).unwrap();
    let down = large.declare_intent(&DOWN, IntentOptions::reliable()).unwrap();
    let mut session = (0, 0);
    let mut out = [0; OUT];
    while let Some(op) = r.u8() {
        let arg = usize::from(r.u8().unwrap_or(0));
        match op & 7 {
            0 | 1 => {
                if let Some(frame) = small.poll_transmit(now, &mut out) {
                    session = nonces(frame).unwrap_or(session);
                    if op & 8 == 0 {
                        large.handle_input(now, frame);
                    }
                }
            }
            2 | 3 => {
                if let Some(frame) = large.poll_transmit(now, &mut out)
                    && op & 8 == 0
                {
                    feed(&mut small, now, frame);
                }
            }
            4 => now = Instant::from_micros(now.as_micros() + arg as u64 * 3000),
            5 => {
                let bytes = r.take(arg.min(r.remaining())).unwrap_or_default();
                feed(&mut small, now, bytes);
            }
            6 => {
                let packets = r.take(arg.min(r.remaining())).unwrap_or_default();
                let mut room = [0; 600];
                let sealer = Sealer { framing: Framing::Serial, number: 0 };
                if let Some(area) = sealer.area(&mut room, packets.len() + 4) {
                    area.copy_from_slice(packets);
                    let start = seed(session.1, session.0);
                    if let Some(frame) = sealer.seal(&mut room, packets.len() + 4, packets.len(), start, true)
                    {
                        feed(&mut small, now, frame);
                    }
                }
            }
            _ => {
                let _ = small.publish(lite::published(0), &[7; 60]);
                let _ = large.publish(down, &[8; 20]);
            }
        }
        small.handle_timeout(now);
        large.handle_timeout(now);
        assert!(small.poll_timeout().is_none_or(|at| at > now));
    }
    // Frames that pass for the peer's may have broken the session: its sender starts anew.
    large.start(Config::new("large"), 0x3001);
    large.handle_connect(now, Link::serial(115_200)).unwrap();
    large.declare_interest(&UP, InterestOptions::default()).unwrap();
    let down = large.declare_intent(&DOWN, IntentOptions::reliable()).unwrap();
    let mut came = (false, false);
    for round in 0..40_000 {
        now = Instant::from_micros(now.as_micros() + 500);
        small.handle_timeout(now);
        large.handle_timeout(now);
        if let Some(frame) = small.poll_transmit(now, &mut out) {
            large.handle_input(now, frame);
        }
        if let Some(frame) = large.poll_transmit(now, &mut out) {
            came.1 |= feed(&mut small, now, frame) > 0;
        }
        came.0 |= large.poll_message(Select::Any).is_some();
        while large.poll_event().is_some() {}
        if round % 100 == 0 {
            let _ = small.publish(lite::published(0), &[7; 60]);
            let _ = large.publish(down, &[8; 20]);
        }
        if came == (true, true) {
            return;
        }
    }
    panic!("a good line, and nothing moves: {:?}", (small.is_established(), large.stats()));
});
