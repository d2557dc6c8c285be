//! Two endpoints over a line that the fuzzer commands: it drops, flips, repeats and delays. Reliable messages come
//! exactly once and in order within a session, best-effort ones in order, and no healthy state is lost for good: when
//! the line is good again, both sides find each other and everything moves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tieline::wire::Reader;
use tieline::{
    Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link, RouteId, RouteName,
    Select,
};

type Side = Endpoint<Inline<128, 512, 512, 4>>;
const OUT: usize = Inline::<128, 512, 512, 4>::TRANSMIT_MAX;

const fn name(path: &'static str) -> RouteName {
    match RouteName::new("T", path) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

static RELIABLE: RouteName = name("reliable");
static LATEST: RouteName = name("latest");

struct App {
    side: Side,
    out: [RouteId; 2],
    input: [RouteId; 2],
    next_out: [u32; 2],
    last_in: [Option<u32>; 2],
    boots: u64,
}

impl App {
    fn new(nonce: u64) -> Self {
        let mut app = Self {
            side: Side::new(Inline::new()),
            out: unset(),
            input: unset(),
            next_out: [0; 2],
            last_in: [None; 2],
            boots: nonce,
        };
        app.boot();
        app
    }

    fn boot(&mut self) {
        self.boots += 2;
        self.side.start(Config::new("pair"), self.boots * 0x1_0001);
        self.out = [
            self.side.declare_intent(&RELIABLE, IntentOptions::reliable()).unwrap(),
            self.side.declare_intent(&LATEST, IntentOptions::best_effort()).unwrap(),
        ];
        self.input = [
            self.side.declare_interest(&RELIABLE, InterestOptions::default()).unwrap(),
            self.side.declare_interest(&LATEST, InterestOptions::default()).unwrap(),
        ];
    }

    /// The number, and filler up to `len` bytes: more than a frame, if that is what is asked for.
    fn publish(&mut self, which: usize, len: usize) {
        let number = self.next_out[which];
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(len.max(4), number as u8);
        if self.side.publish(self.out[which], &payload).is_ok() {
            self.next_out[which] += 1;
        }
    }

    /// Numbers only ever grow, whatever happens; `gapless`: no session ended since the last look.
    fn read(&mut self, gapless: &mut bool) {
        while let Some(event) = self.side.poll_event() {
            if matches!(event, Event::Lost(_) | Event::Closed(_) | Event::Established { resumed: false }) {
                *gapless = false;
            }
        }
        for which in [0, 1] {
            while let Some(message) = self.side.poll_message(Select::Only(self.input[which])) {
                let (head, filler) = message.payload.split_first_chunk().expect("4 bytes at least");
                let number = u32::from_le_bytes(*head);
                assert!(filler.iter().all(|byte| *byte == number as u8), "damaged: {filler:?}");
                if let Some(last) = self.last_in[which] {
                    assert!(number > last, "route {which}: {number} after {last}");
                    assert!(which == 1 || !*gapless || number == last + 1, "reliable: {number} after {last}");
                }
                self.last_in[which] = Some(number);
            }
        }
    }
}

fn unset() -> [RouteId; 2] {
    let mut side = Side::new(Inline::new());
    side.start(Config::default(), 1);
    [side.declare_intent(&RELIABLE, IntentOptions::reliable()).unwrap(); 2]
}

fn deliver(app: &mut App, now: Instant, mut bytes: &[u8], gapless: &mut bool) {
    while !bytes.is_empty() {
        let taken = app.side.handle_input(now, bytes);
        assert!(taken > 0);
        bytes = &bytes[taken..];
        app.read(gapless);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut r = Reader::new(data);
    let mut apps = [App::new(0x1000), App::new(0x2001)];
    let mut now = Instant::ZERO;
    let link = Link::serial(1_000_000);
    let mut gapless = [false; 2];
    let mut lines: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
    for app in &mut apps {
        app.side.handle_connect(now, link).unwrap();
    }
    while let Some(op) = r.u8() {
        let from = usize::from(op & 1);
        let arg = r.u8().unwrap_or(0);
        let mut out = [0; OUT];
        match op >> 1 & 15 {
            0..=2 => {
                if let Some(frame) = apps[from].side.poll_transmit(now, &mut out) {
                    lines[from].extend_from_slice(frame);
                }
            }
            3..=5 => {
                let count = lines[from].len().min(usize::from(arg) + 1);
                let bytes: Vec<u8> = lines[from].drain(..count).collect();
                deliver(&mut apps[1 - from], now, &bytes, &mut gapless[1 - from]);
            }
            6 => lines[from].clear(),
            7 => {
                let at = usize::from(arg) % lines[from].len().max(1);
                if let Some(byte) = lines[from].get_mut(at) {
                    *byte ^= 1 << (op >> 5);
                }
            }
            8 => {
                let at = lines[from].len().min(usize::from(arg));
                lines[from].drain(..at);
            }
            9 => now = Instant::from_micros(now.as_micros() + u64::from(arg) * 100),
            10 => now = Instant::from_micros(now.as_micros() + u64::from(arg) * 5000),
            11 => apps[from].side.handle_timeout(now),
            12 | 13 => apps[from].publish(usize::from(arg & 1), usize::from(arg)),
            14 if arg == 7 => {
                apps[from].boot();
                apps[from].side.handle_connect(now, link).unwrap();
                gapless[from] = false;
                // What was under way from the old life may still arrive, but numbers go on.
            }
            14 if arg == 8 => apps[from].side.handle_disconnect(now),
            14 if arg == 9 => apps[from].side.handle_connect(now, link).unwrap(),
            _ => apps[from].publish(0, 4),
        }
    }
    // The line is good now, and plugged at both ends.
    for app in &mut apps {
        if !app.side.is_established() {
            app.side.handle_connect(now, link).unwrap();
        }
    }
    // Within 10 s the two are in a session, and what is published arrives.
    let mut arrived = [false; 2];
    let wanted = [0, 1].map(|i: usize| apps[1 - i].next_out[0]);
    for round in 0..20_000 {
        now = Instant::from_micros(now.as_micros() + 500);
        for from in [0, 1] {
            let mut out = [0; OUT];
            apps[from].side.handle_timeout(now);
            if let Some(frame) = apps[from].side.poll_transmit(now, &mut out) {
                lines[from].extend_from_slice(frame);
            }
            let bytes = std::mem::take(&mut lines[from]);
            deliver(&mut apps[1 - from], now, &bytes, &mut gapless[1 - from]);
            // Again and again: a session may still fall, and what was under way in it is lost (and said to be).
            if !arrived[1 - from] && round % 100 == 0 {
                apps[from].publish(0, 4);
            }
            arrived[1 - from] = apps[1 - from].last_in[0].is_some_and(|last| last >= wanted[1 - from]);
        }
        if arrived == [true; 2] {
            return;
        }
    }
    panic!(
        "a good line, and nothing moves: {:?}",
        [&apps[0], &apps[1]].map(|app| (app.side.is_established(), app.side.stats()))
    );
});
