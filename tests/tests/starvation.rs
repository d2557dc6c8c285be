//! What may not starve, and what may not go astray: full frames, full stores, numbers that are used again, interests that
//! lapse. Two endpoints that are stepped by hand, a frame each way at a time.

use std::time::Duration;
use tieline::*;
use tieline_tests::names::*;
use tieline_tests::{Memory, Sizes};

type Ep = Endpoint<Memory>;
struct Pair {
    a: Ep,
    b: Ep,
    now: u64,
    rng: u64,
}
impl Pair {
    fn sized(sa: Sizes, sb: Sizes) -> Self {
        let (mut a, mut b) = (Ep::new(Memory::new(sa)), Ep::new(Memory::new(sb)));
        a.start(Config::default(), 0xA1);
        b.start(Config::default(), 0xB2);
        Self { a, b, now: 1000, rng: 88172645463325252 }
    }
    fn t(&self) -> Instant {
        Instant::from_micros(self.now)
    }
    fn r(&mut self, n: u64) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng % n
    }
    fn connect(&mut self) {
        let t = self.t();
        self.a.handle_connect(t, Link::serial(115_200)).unwrap();
        self.b.handle_connect(t, Link::serial(115_200)).unwrap();
        for _ in 0..20 {
            self.step(0);
        }
        assert!(self.a.is_established() && self.b.is_established());
    }
    /// one frame each way, then time passes; loss in percent
    fn one(&mut self, from_a: bool, loss: u64) -> bool {
        let t = self.t();
        let lost = self.r(100) < loss;
        let mut out = vec![0; 4096];
        let (x, y) = if from_a { (&mut self.a, &mut self.b) } else { (&mut self.b, &mut self.a) };
        let Some(f) = x.poll_transmit(t, &mut out) else { return false };
        if lost {
            return true;
        }
        let mut rest = f;
        while !rest.is_empty() {
            let n = y.handle_input(t, rest);
            rest = &rest[n..];
        }
        true
    }
    fn step(&mut self, loss: u64) {
        self.one(true, loss);
        self.one(false, loss);
        self.now += 5000;
        let t = self.t();
        self.a.handle_timeout(t);
        self.b.handle_timeout(t);
        for e in [&mut self.a, &mut self.b] {
            assert!(e.poll_timeout().is_none_or(|x| x > t), "deadline in the past");
        }
    }
    fn settle(&mut self, loss: u64, n: usize) {
        for _ in 0..n {
            self.step(loss);
        }
    }
    fn events(&mut self) -> (Vec<Event>, Vec<Event>) {
        (
            std::iter::from_fn(|| self.a.poll_event()).collect(),
            std::iter::from_fn(|| self.b.poll_event()).collect(),
        )
    }
}
fn win(n: usize) -> InterestOptions {
    InterestOptions { window: Some(n), ttl: None, rate: None }
}

// full-size reliable message, incoming reliable in each frame, best-effort flood
#[test]
fn reliable_starved_by_best_effort() {
    let mut p = Pair::sized(Sizes::PC, Sizes::PC);
    let rel = p.a.declare_intent(&COMMAND, IntentOptions::reliable()).unwrap();
    let be = p.a.declare_intent(&IMU, IntentOptions::default()).unwrap();
    let back = p.b.declare_intent(&CHAT, IntentOptions::reliable()).unwrap();
    p.b.declare_interest(&COMMAND, win(4000)).unwrap();
    p.b.declare_interest(&IMU, win(4000)).unwrap();
    p.a.declare_interest(&CHAT, win(4000)).unwrap();
    p.connect();
    p.settle(0, 50);
    let limit = p.a.payload_limit(rel).unwrap();
    p.a.publish(rel, &vec![7; limit]).unwrap();
    let mut got = None;
    for i in 0..2000 {
        while p.a.publish(be, &[1; 20]).is_ok() {}
        let _ = p.b.publish(back, &[2; 4]);
        p.one(false, 0);
        p.one(true, 0);
        p.now += 5000;
        let t = p.t();
        p.a.handle_timeout(t);
        p.b.handle_timeout(t);
        while let Some(m) = p.b.poll_message(Select::Any) {
            if m.payload.len() == limit {
                got = Some(i);
            }
        }
        while p.a.poll_message(Select::Any).is_some() {}
        if got.is_some() {
            break;
        }
    }
    assert!(got.is_some(), "full-size reliable message never left in 2000 frames; limit {limit}");
}

// 1b mirrored: full size best effort, reliable flood both ways
#[test]
fn best_effort_starved_by_reliable() {
    let mut p = Pair::sized(Sizes::PC, Sizes::PC);
    let rel = p.a.declare_intent(&COMMAND, IntentOptions::reliable()).unwrap();
    let be = p.a.declare_intent(&IMU, IntentOptions::default()).unwrap();
    let back = p.b.declare_intent(&CHAT, IntentOptions::reliable()).unwrap();
    p.b.declare_interest(&COMMAND, win(4000)).unwrap();
    p.b.declare_interest(&IMU, win(4000)).unwrap();
    p.a.declare_interest(&CHAT, win(4000)).unwrap();
    p.connect();
    p.settle(0, 50);
    let limit = p.a.payload_limit(be).unwrap();
    p.a.publish(be, &vec![7; limit]).unwrap();
    let mut got = None;
    for i in 0..2000 {
        while p.a.publish(rel, &[1; 20]).is_ok() {}
        let _ = p.b.publish(back, &[2; 4]);
        p.one(false, 0);
        p.one(true, 0);
        p.now += 5000;
        let t = p.t();
        p.a.handle_timeout(t);
        p.b.handle_timeout(t);
        while let Some(m) = p.b.poll_message(Select::Any) {
            if m.payload.len() == limit {
                got = Some(i);
            }
        }
        while p.a.poll_message(Select::Any).is_some() {}
        if got.is_some() {
            break;
        }
    }
    assert!(got.is_some(), "full-size best-effort never left in 2000 frames");
}

// declarations starve under a greedy reliable flood
#[test]
fn declarations_starved_by_reliable_flood() {
    let mut p = Pair::sized(Sizes::BOARD, Sizes::PC);
    let rel = p.a.declare_intent(&COMMAND, IntentOptions::reliable()).unwrap();
    p.b.declare_interest(&COMMAND, win(4000)).unwrap();
    let chat = p.b.declare_intent(&CHAT, IntentOptions::reliable()).unwrap();
    p.connect();
    p.settle(0, 50);
    let mut done = None;
    let mut n = 0;
    for i in 0..2000 {
        while p.a.publish(rel, &[1; 6]).is_ok() {
            n += 1;
        }
        if i == 20 {
            p.a.declare_interest(&CHAT, win(64)).unwrap();
        }
        p.one(true, 0);
        while p.b.poll_message(Select::Any).is_some() {}
        p.one(false, 0);
        p.now += 5000;
        let t = p.t();
        p.a.handle_timeout(t);
        p.b.handle_timeout(t);
        if p.b.has_audience(chat) {
            done = Some(i);
            break;
        }
    }
    assert!(
        done.is_some(),
        "interest declared amid a reliable flood never reached the peer ({n} messages did)"
    );
}

// the interest lapses while messages are unread, then is renewed
#[test]
fn lapsed_interest_renewed() {
    let mut p = Pair::sized(Sizes::BOARD, Sizes::BOARD);
    let mut o = IntentOptions::reliable();
    o.tickets = true;
    let rel = p.a.declare_intent(&COMMAND, o).unwrap();
    let ttl = InterestOptions { window: Some(100), ttl: Some(Duration::from_millis(500)), rate: None };
    p.b.declare_interest(&COMMAND, ttl).unwrap();
    p.connect();
    p.settle(0, 10);
    for i in 0..5u8 {
        p.a.publish(rel, &[i; 10]).unwrap();
    } // 90 of 100
    p.settle(0, 200); // lapses
    assert!(!p.a.has_audience(rel));
    p.events();
    p.b.declare_interest(&COMMAND, ttl).unwrap();
    p.settle(0, 4);
    assert!(p.a.has_audience(rel));
    let mut sent = 0;
    for i in 5..10u8 {
        if p.a.publish(rel, &[i; 10]).is_ok() {
            sent += 1;
        }
    }
    p.settle(0, 20);
    assert_eq!((sent, p.b.stats().malformed), (0, 0), "the unread messages still fill the window");
    for number in 0..5 {
        assert_eq!(p.b.poll_message(Select::Any).unwrap().payload[0], number);
    }
    p.settle(0, 20);
    let delivered = p.events().0.iter().filter(|event| matches!(event, Event::Delivered(_))).count();
    assert_eq!((delivered, p.a.undelivered(rel)), (5, 0));
    p.a.publish(rel, &[5; 10]).unwrap();
    p.settle(0, 20);
    assert_eq!(p.b.poll_message(Select::Any).unwrap().payload[0], 5);
}

// stale best-effort of a withdrawn intent delivered on another route
#[test]
fn stale_number() {
    let small = Sizes { routes: 2, ..Sizes::PC };
    let mut p = Pair::sized(small, small);
    let x = p.a.declare_intent(&IMU, IntentOptions::default()).unwrap();
    let y = p.a.declare_intent(&TEMPERATURE, IntentOptions::default()).unwrap();
    let ib = p.b.declare_interest(&IMU, win(8000)).unwrap();
    p.connect();
    p.settle(0, 50);
    let _ = (p.events(), y);
    while p.a.publish(x, &[9; 40]).is_ok() {}
    p.a.withdraw_intent(x);
    p.one(true, 0);
    p.one(false, 0);
    p.events();
    p.b.withdraw_interest(ib);
    let mut seen = 0;
    let mut id = None;
    for _ in 0..40 {
        p.one(false, 0);
        p.one(true, 0);
        p.events();
        if id.is_none() {
            id = p.b.declare_interest(&TEMPERATURE, win(8000)).ok();
        }
        while let Some(m) = p.b.poll_message(Select::Any) {
            if m.payload[0] == 9 && Some(m.route) == id {
                seen += 1;
            }
        }
        p.now += 5000;
    }
    assert_eq!(seen, 0, "messages published on sensors.imu were read on sensors.temperature");
}

// best effort between reliable: reliable within the window is lost
#[test]
fn reliable_dropped_behind_best_effort() {
    let mut p = Pair::sized(Sizes::BOARD, Sizes::BOARD);
    let x = p.a.declare_intent(&CHAT, IntentOptions::reliable()).unwrap();
    p.b.declare_interest(&CHAT, win(100)).unwrap();
    p.connect();
    p.settle(0, 10);
    p.a.publish(x, b"R1").unwrap();
    p.settle(0, 10);
    p.a.declare_intent(&CHAT, IntentOptions::default()).unwrap();
    p.settle(0, 10);
    for _ in 0..4 {
        p.a.publish(x, &[0; 14]).unwrap();
    }
    p.settle(0, 10);
    p.a.declare_intent(&CHAT, IntentOptions::reliable()).unwrap();
    p.settle(0, 10);
    p.a.publish(x, b"R2 that is allowed").unwrap();
    p.settle(0, 30);
    let mut got = vec![];
    while let Some(m) = p.b.poll_message(Select::Any) {
        got.push(String::from_utf8_lossy(m.payload).to_string());
    }
    p.settle(0, 500);
    assert!(
        got.iter().any(|m| m.starts_with("R2")),
        "acknowledged and lost: {got:?}, malformed {}, undelivered {}",
        p.b.stats().malformed,
        p.a.undelivered(x)
    );
}

// tickets asked for later
#[test]
fn tickets_asked_later() {
    let mut p = Pair::sized(Sizes::BOARD, Sizes::BOARD);
    let x = p.a.declare_intent(&CHAT, IntentOptions::reliable()).unwrap();
    p.b.declare_interest(&CHAT, win(100)).unwrap();
    p.connect();
    p.settle(0, 10);
    for _ in 0..300 {
        p.a.publish(x, b"a").unwrap();
        p.settle(0, 3);
        while p.b.poll_message(Select::Any).is_some() {}
        p.settle(0, 3);
    }
    p.events();
    let mut o = IntentOptions::reliable();
    o.tickets = true;
    p.a.declare_intent(&CHAT, o).unwrap();
    p.settle(0, 3);
    p.a.publish(x, b"a").unwrap();
    p.settle(0, 3);
    while p.b.poll_message(Select::Any).is_some() {}
    p.settle(0, 3);
    let n = p.events().0.iter().filter(|e| matches!(e, Event::Delivered(_))).count();
    assert_eq!(n, 1);
}

// random regions
#[test]
fn regions() {
    for seed in 1..=60u64 {
        let s = Sizes { frame: 120, rx: 300, tx: 1000, routes: 5, requests: 3 };
        let big = Sizes { rx: 4000, routes: 12, ..s };
        let mut p = Pair::sized(big, s);
        p.rng = seed.wrapping_mul(0x9E3779B97F4A7C15);
        let names: [&'static RouteName; 4] = [&EIGHT[0], &EIGHT[1], &EIGHT[2], &EIGHT[3]];
        let ids: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, n)| {
                p.a.declare_intent(
                    n,
                    if i % 2 == 0 { IntentOptions::reliable() } else { IntentOptions::default() },
                )
                .unwrap()
            })
            .collect();
        let sv = p.a.declare_service(&ADD, ServiceOptions { room: Some(600), ttl: None }).unwrap();
        p.connect();
        p.settle(0, 20);
        let mut seq = [0u16; 4];
        let mut last = [None::<u16>; 4];
        let mut open: Vec<Option<RouteId>> = vec![None; 4];
        let mut calls: Vec<(CallId, u8)> = vec![];
        let mut pend: Vec<(RequestId, Vec<u8>)> = vec![];
        let mut tag = 0u8;
        for _ in 0..3000 {
            let i = p.r(4) as usize;
            match p.r(14) {
                0 if p.r(3) == 0 => {
                    if let Some(id) = open[i].take() {
                        p.b.withdraw_interest(id);
                    }
                }
                1 => {
                    if open[i].is_none() {
                        let w = p.r(110) as usize;
                        if let Ok(id) = p.b.declare_interest(names[i], win(w)) {
                            open[i] = Some(id);
                            last[i] = None;
                        }
                    }
                }
                2..=4 => {
                    let n = 3 + p.r(40) as usize;
                    let mut m = vec![i as u8; n];
                    m[1..3].copy_from_slice(&seq[i].to_le_bytes());
                    for (k, x) in m.iter_mut().enumerate().skip(3) {
                        *x = (seq[i] as u8).wrapping_mul(31) ^ k as u8;
                    }
                    if p.a.publish(ids[i], &m).is_ok() {
                        seq[i] += 1;
                    }
                }
                5 => {
                    let t = p.t();
                    let room = p.r(80) as usize;
                    tag = tag.wrapping_add(1);
                    let o =
                        CallOptions { timeout: Duration::from_millis(50 + 40 * u64::from(tag % 5)), room };
                    if let Ok(c) = p.b.request(t, &ADD, &[tag; 20], o) {
                        assert!(!calls.iter().any(|(d, _)| *d == c));
                        calls.push((c, tag));
                    }
                }
                6 if !calls.is_empty() && p.r(4) == 0 => {
                    let k = p.r(calls.len() as u64) as usize;
                    let (c, _) = calls.swap_remove(k);
                    p.b.forget_call(c);
                }
                7 => {
                    if let Some(m) = p.a.poll_message(Select::Only(sv)) {
                        pend.push((m.request.unwrap(), m.payload.to_vec()));
                    }
                }
                8 if !pend.is_empty() => {
                    let k = p.r(pend.len() as u64) as usize;
                    let (id, m) = pend.swap_remove(k);
                    let n = p.r(60) as usize;
                    let _ = p.a.respond(id, 0, &vec![m[0]; n]);
                }
                9 | 10 => {
                    if let Some(m) = p.b.poll_message(Select::Any) {
                        let k = m.payload[0] as usize;
                        assert_eq!(Some(m.route), open[k], "seed {seed}");
                        let s = u16::from_le_bytes([m.payload[1], m.payload[2]]);
                        for (q, x) in m.payload.iter().enumerate().skip(3) {
                            assert_eq!(*x, (s as u8).wrapping_mul(31) ^ q as u8, "seed {seed} bytes");
                        }
                        if let Some(l) = last[k] {
                            assert!(s > l, "seed {seed} order");
                            if k.is_multiple_of(2) {
                                assert_eq!(s, l + 1, "seed {seed} gap");
                            }
                        }
                        last[k] = Some(s);
                    }
                }
                11 => {
                    if let Some(a) = p.b.poll_answer(Select::Any) {
                        let k = calls.iter().position(|(c, _)| *c == a.call).unwrap();
                        let (_, tg) = calls.swap_remove(k);
                        if let Outcome::Ok(pl) = a.outcome {
                            assert!(pl.iter().all(|x| *x == tg), "seed {seed} answer");
                        }
                    }
                }
                _ => {
                    p.step(if seed % 2 == 0 { 15 } else { 0 });
                    p.events();
                }
            }
            assert!(p.a.is_established());
        }
        assert_eq!(p.b.stats().malformed + p.a.stats().malformed, 0, "seed {seed}");
        // all given back
        for o in &mut open {
            if let Some(id) = o.take() {
                p.b.withdraw_interest(id);
            }
        }
        for (c, _) in calls.drain(..) {
            p.b.forget_call(c);
        }
        while p.a.poll_message(Select::Only(sv)).is_some() {}
        p.settle(0, 800);
        p.events();
        assert!(p.b.declare_interest(&EIGHT[7], win(300)).is_ok(), "seed {seed}: RX leaked");
        let before = p.b.stats().frames_out;
        p.settle(0, 190);
        assert!(p.b.stats().frames_out - before <= 5, "not quiet");
    }
}

// silence shorter than the peer's ping
#[test]
fn silence_shorter_than_ping() {
    let mut p = Pair::sized(Sizes::BOARD, Sizes::BOARD);
    let c = Config { silence: Duration::from_millis(700), ..Config::default() };
    p.b.start(c, 0xB3);
    p.connect();
    p.settle(0, 2000);
    let (_, eb) = p.events();
    assert_eq!(eb.iter().filter(|e| matches!(e, Event::Lost(_))).count(), 0);
}
