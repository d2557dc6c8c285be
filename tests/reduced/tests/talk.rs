//! A build with fewer capabilities talks to a complete one over a bad line, and keeps every promise that it still makes.
//!
//! `cargo test -p tieline-reduced --features receive,...` tests another set; what a set cannot do is not compiled.
#![allow(missing_docs)]

#[cfg(feature = "receive")]
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tieline as full;
use tieline_reduced as small;

type Big = full::Endpoint<full::Inline<256, 2048, 2048, 4>>;
type Little = small::Endpoint<small::Inline<80, 512, 256, 4>>;

/// One of four frames is lost or damaged.
const BAD: u64 = 4;
const STEP_US: u64 = 500;

macro_rules! name {
    ($krate:ident, $name:literal) => {{
        static NAME: $krate::RouteName = match $krate::RouteName::new("Bytes", $name) {
            Ok(name) => name,
            Err(_) => panic!(),
        };
        &NAME
    }};
}

/// What the reduced side has counted, if it counts.
fn counts(little: &Little) -> impl fmt::Debug {
    #[cfg(feature = "stats")]
    return little.stats();
    #[cfg(not(feature = "stats"))]
    little.unacknowledged()
}

#[cfg(feature = "receive")]
/// Frames and records that made no sense to the reduced side, if it counts.
fn malformed(_little: &Little) -> u32 {
    #[cfg(feature = "stats")]
    return _little.stats().malformed;
    #[cfg(not(feature = "stats"))]
    0
}

/// Two endpoints, the line between them, and a clock.
struct Bench {
    big: Big,
    little: Little,
    now: u64,
    noise: u64,
    bad: u64,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} µs: {:?} {:?}", self.now, self.big.stats(), counts(&self.little))
    }
}

impl Bench {
    fn new(seed: u64) -> Self {
        let (mut big, mut little) = (Big::new(full::Inline::new()), Little::new(small::Inline::new()));
        // Often enough that a session outlives this line by itself: not every set can resume.
        let ping_interval = Duration::from_millis(100);
        big.start(full::Config { ping_interval, ..full::Config::new("complete") }, 1);
        little.start(small::Config { ping_interval, ..small::Config::new("reduced") }, 2);
        Self { big, little, now: 0, noise: seed, bad: 0 }
    }

    /// A session, and from then on a bad line. (On one that is bad from the beginning a session may end while the peer does
    /// not know of it yet, since its HELLOs are lost one after the other: then it begins anew.)
    fn connect(&mut self) {
        self.big.handle_connect(full::Instant::ZERO, full::Link::serial(921_600)).unwrap();
        self.little.handle_connect(small::Instant::ZERO, small::Link::serial(921_600)).unwrap();
        self.until("a session", |bench| bench.big.is_established() && bench.little.is_established());
        self.bad = BAD;
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn random(&mut self, below: u64) -> u64 {
        self.noise = self.noise.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.noise;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    /// What becomes of a frame on the line.
    fn line(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        if self.bad > 0 && self.random(self.bad) == 0 {
            if self.random(2) == 0 {
                return Vec::new();
            }
            let at = self.random(frame.len() as u64) as usize;
            frame[at] ^= 1 << self.random(8);
        }
        frame
    }

    /// Half a millisecond passes.
    fn step(&mut self) {
        self.now += STEP_US;
        let (big_now, little_now) =
            (full::Instant::from_micros(self.now), small::Instant::from_micros(self.now));
        if self.big.poll_timeout().is_some_and(|at| at <= big_now) {
            self.big.handle_timeout(big_now);
        }
        if self.little.poll_timeout().is_some_and(|at| at <= little_now) {
            self.little.handle_timeout(little_now);
        }
        let mut out = [0; 400];
        if let Some(frame) = self.big.poll_transmit(big_now, &mut out) {
            let frame = frame.to_vec();
            let mut rest = &self.line(&frame)[..];
            while !rest.is_empty() {
                rest = &rest[self.little.handle_input(little_now, rest)..];
            }
        }
        if let Some(frame) = self.little.poll_transmit(little_now, &mut out) {
            let frame = frame.to_vec();
            let mut rest = &self.line(&frame)[..];
            while !rest.is_empty() {
                rest = &rest[self.big.handle_input(big_now, rest)..];
            }
        }
        while let Some(event) = self.big.poll_event() {
            assert!(!matches!(event, full::Event::Lost(_) | full::Event::Closed(_)), "{event:?}: {self:?}");
        }
        while let Some(event) = self.little.poll_event() {
            assert!(!matches!(event, small::Event::Lost(_) | small::Event::Closed(_)), "{event:?}: {self:?}");
        }
    }

    /// Goes on until something holds.
    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = self.now + 60_000_000;
        while !holds(self) {
            assert!(self.now < end, "not within a minute: {what}: {:?}", counts(&self.little));
            self.step();
        }
    }
}

fn seeds() -> impl Iterator<Item = u64> {
    (0..20).map(|seed| seed * 1000 + 7)
}

#[test]
fn a_small_publisher_is_read_by_a_complete_peer() {
    for seed in seeds() {
        let mut bench = Bench::new(seed);
        let intent =
            bench.little.declare_intent(name!(small, "a"), small::IntentOptions::best_effort()).unwrap();
        let interest =
            bench.big.declare_interest(name!(full, "a"), full::InterestOptions::default()).unwrap();
        bench.connect();
        bench.until("an audience", |bench| bench.little.has_audience(intent));
        let (mut sent, mut last, mut came) = (0u32, None, 0);
        for _ in 0..2000 {
            if bench.little.publish(intent, &sent.to_le_bytes()).is_ok() {
                sent += 1;
            }
            bench.step();
            while let Some(message) = bench.big.poll_message(full::Select::Only(interest)) {
                let number = u32::from_le_bytes(message.payload.try_into().unwrap());
                assert!(last.is_none_or(|last| number > last), "in order, and none twice");
                last = Some(number);
                came += 1;
            }
        }
        assert!(sent > 1000 && came > sent * 6 / 10 && came < sent, "{came} of {sent}");
        // Exactly those that did not come are counted as lost, as soon as a PING has told.
        bench.bad = 0;
        bench.until("the count", |bench| {
            let loss = bench.big.stats().best_effort;
            loss.received == came && loss.received + loss.lost == sent
        });
        bench.little.withdraw_intent(intent);
        bench.big.withdraw_interest(interest);
        bench.until("nothing more to say", |bench| {
            !bench.little.wants_transmit() && bench.little.unacknowledged() == 0
        });
    }
}

/// A place is used for one route after the other, while messages of the one before still wait: none reaches another route.
#[test]
fn routes_come_and_go_over_a_bad_line() {
    for seed in seeds() {
        let mut bench = Bench::new(seed);
        let names: [&'static small::RouteName; 4] =
            [name!(small, "r0"), name!(small, "r1"), name!(small, "r2"), name!(small, "r3")];
        let interests = [name!(full, "r0"), name!(full, "r1"), name!(full, "r2"), name!(full, "r3")]
            .map(|name| bench.big.declare_interest(name, full::InterestOptions::default()).unwrap());
        bench.connect();
        let mut came = [0u32; 4];
        for round in 0..60u8 {
            let kind = usize::from(round % 4);
            let intent =
                bench.little.declare_intent(names[kind], small::IntentOptions::best_effort()).unwrap();
            bench.until("an audience", |bench| bench.little.has_audience(intent));
            let before = came[kind];
            bench.until("messages", |bench| {
                let _ = bench.little.publish(intent, &[kind as u8; 5]);
                let _ = bench.little.publish(intent, &[kind as u8; 7]);
                while let Some(message) = bench.big.poll_message(full::Select::Any) {
                    let on = interests.iter().position(|interest| *interest == message.route).unwrap();
                    assert!(
                        message.payload.iter().all(|byte| usize::from(*byte) == on),
                        "{message:?} on {on}"
                    );
                    came[on] += 1;
                }
                came[kind] > before + 2
            });
            // What waits is not waited for.
            bench.little.withdraw_intent(intent);
        }
        bench.bad = 0;
        bench.until("nothing more to say", |bench| bench.little.unacknowledged() == 0);
        for _ in 0..1000 {
            bench.step();
        }
        while let Some(message) = bench.big.poll_message(full::Select::Any) {
            let on = interests.iter().position(|interest| *interest == message.route).unwrap();
            assert!(message.payload.iter().all(|byte| usize::from(*byte) == on));
        }
        // All places are free again.
        for name in names {
            bench.little.declare_intent(name, small::IntentOptions::best_effort()).unwrap();
        }
    }
}

/// Changes of mind while declarations are under way: in the end the peer knows what holds.
#[cfg(feature = "receive")]
#[test]
fn interests_come_and_go_over_a_bad_line() {
    for seed in seeds() {
        let mut bench = Bench::new(seed);
        let out = bench.big.declare_intent(name!(full, "b"), full::IntentOptions::reliable()).unwrap();
        bench.connect();
        let mut number = 0u8;
        for _ in 0..20 {
            let mut interest = None;
            for _ in 0..1 + bench.random(4) {
                if let Some(interest) = interest.take() {
                    bench.little.withdraw_interest(interest);
                }
                let options = small::InterestOptions { window: Some(200), ..Default::default() };
                let _ =
                    bench.little.declare_interest(name!(small, "b"), options).map(|id| interest = Some(id));
                for _ in 0..bench.random(100) {
                    bench.step();
                }
            }
            bench.until("a declaration", |bench| {
                let options = small::InterestOptions { window: Some(200), ..Default::default() };
                interest =
                    interest.or_else(|| bench.little.declare_interest(name!(small, "b"), options).ok());
                interest.is_some()
            });
            let interest = interest.unwrap();
            number = number.wrapping_add(1);
            let mut published = false;
            bench.until("this round's message", |bench| {
                published = published || bench.big.publish(out, &[number; 9]).is_ok();
                let found = bench.little.poll_message(small::Select::Only(interest));
                let found = found.map(|message| message.payload.to_vec());
                if published && found.is_none() && bench.big.undelivered(out) == 0 {
                    // It failed with an interest that was withdrawn meanwhile.
                    published = false;
                }
                found.is_some_and(|payload| payload == [number; 9])
            });
            bench.until("its acknowledgement", |bench| bench.big.undelivered(out) == 0);
            bench.little.withdraw_interest(interest);
        }
        assert_eq!((malformed(&bench.little), bench.big.stats().malformed), (0, 0));
    }
}

#[test]
fn another_type_on_the_same_path_is_told_to_both() {
    let mut bench = Bench::new(5);
    static OTHER: full::RouteName = match full::RouteName::new("Other", "a") {
        Ok(name) => name,
        Err(_) => panic!(),
    };
    let intent = bench.little.declare_intent(name!(small, "a"), small::IntentOptions::best_effort()).unwrap();
    let interest = bench.big.declare_interest(&OTHER, full::InterestOptions::default()).unwrap();
    bench.connect();
    bench.until("a conflict", |bench| {
        bench.little.is_conflicting(intent) && bench.big.is_conflicting(interest)
    });
    assert!(bench.little.is_established());
}

#[test]
fn what_a_build_leaves_out_is_refused_by_name() {
    let mut bench = Bench::new(1);
    if cfg!(not(feature = "reliable")) {
        let refused = bench.little.declare_intent(name!(small, "a"), small::IntentOptions::reliable());
        assert_eq!(refused, Err(small::DeclareError::LeftOut { feature: "reliable" }));
    }
    if cfg!(not(feature = "rates")) {
        let rate = Some(small::Rate { per_second: 1, burst: 1 });
        let options = small::IntentOptions { rate, ..small::IntentOptions::best_effort() };
        let refused = bench.little.declare_intent(name!(small, "a"), options);
        assert_eq!(refused, Err(small::DeclareError::LeftOut { feature: "rates" }));
    }
    if cfg!(not(feature = "links")) {
        let refused = bench.little.handle_connect(small::Instant::ZERO, small::Link::stream());
        assert_eq!(refused, Err(small::ConnectError::LeftOut { feature: "links" }));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "this build of tieline leaves that out: turn on its cargo feature `links`"
        );
    }
}

#[test]
fn requests_to_a_peer_that_answers_none_are_refused() {
    let mut bench = Bench::new(2);
    bench.connect();
    let now = full::Instant::from_micros(bench.now);
    let asked = bench.big.request(now, name!(full, "s"), b"?", full::CallOptions::default());
    assert_eq!(asked.is_ok(), cfg!(feature = "requests"), "{asked:?}");
}

/// With the publisher's quality. What comes is compared with what was sent, so that nothing is missing or twice.
#[cfg(feature = "receive")]
fn all_come_to_the_small_one(seed: u64) {
    let mut bench = Bench::new(seed);
    let intent = bench.big.declare_intent(name!(full, "b"), full::IntentOptions::reliable()).unwrap();
    let options = small::InterestOptions { window: Some(200), ..Default::default() };
    let interest = bench.little.declare_interest(name!(small, "b"), options).unwrap();
    bench.connect();
    bench.until("an audience", |bench| bench.big.has_audience(intent));
    let (mut sent, mut came, mut under_way) = (0u32, 0u32, VecDeque::new());
    while came < 300 {
        if sent < 300 {
            let len = 1 + bench.random(30) as usize;
            let payload = vec![sent as u8; len];
            if bench.big.publish(intent, &payload).is_ok() {
                under_way.push_back(payload);
                sent += 1;
            }
        }
        bench.step();
        assert!(bench.now < 120_000_000, "{came} of {sent}: {:?}", counts(&bench.little));
        // Now and then nobody takes anything, so that the window fills.
        if bench.random(3) == 0 {
            continue;
        }
        while let Some(message) = bench.little.poll_message(small::Select::Only(interest)) {
            assert_eq!(Some(message.payload), under_way.pop_front().as_deref());
            came += 1;
        }
    }
    bench.until("all delivered", |bench| bench.big.undelivered(intent) == 0);
    assert_eq!(malformed(&bench.little), 0);
}

#[cfg(feature = "receive")]
#[test]
fn reliable_messages_reach_a_small_reader_once_and_in_order() {
    seeds().for_each(all_come_to_the_small_one);
}

#[cfg(feature = "receive")]
#[test]
fn best_effort_messages_reach_a_small_reader() {
    let mut bench = Bench::new(3);
    let intent = bench.big.declare_intent(name!(full, "b"), full::IntentOptions::best_effort()).unwrap();
    let interest =
        bench.little.declare_interest(name!(small, "b"), small::InterestOptions::default()).unwrap();
    bench.connect();
    bench.bad = 0;
    bench.until("an audience", |bench| bench.big.has_audience(intent));
    for number in 0..100u8 {
        bench.big.publish(intent, &[number; 20]).unwrap();
        bench.until("the message", |bench| {
            bench
                .little
                .poll_message(small::Select::Any)
                .is_some_and(|message| message.route == interest && message.payload == [number; 20])
        });
    }
    // It says how large a message may be: what it cannot take is refused where it is published.
    let limit = bench.big.payload_limit(intent).unwrap();
    let too_large = bench.big.publish(intent, &vec![0; limit + 1]);
    assert_eq!(too_large, Err(full::nb::Error::Other(full::PublishError::TooLarge { limit })));
    bench.big.publish(intent, &vec![7; limit]).unwrap();
    bench.until("the largest message", |bench| {
        bench.little.poll_message(small::Select::Any).is_some_and(|message| message.payload.len() == limit)
    });
}

#[cfg(feature = "reliable")]
#[test]
fn reliable_messages_of_a_small_publisher_come_once_and_in_order() {
    for seed in seeds() {
        let mut bench = Bench::new(seed);
        let intent =
            bench.little.declare_intent(name!(small, "c"), small::IntentOptions::reliable()).unwrap();
        let interest =
            bench.big.declare_interest(name!(full, "c"), full::InterestOptions::default()).unwrap();
        bench.connect();
        bench.until("an audience", |bench| bench.little.has_audience(intent));
        let limit = bench.little.payload_limit(intent).unwrap();
        // A frame has 80 bytes.
        assert_eq!(limit > 80, cfg!(feature = "fragments"), "{limit}");
        let (mut sent, mut came) = (0u32, 0u32);
        let len = |number: u32| 1 + number as usize * 13 % limit;
        while came < 200 {
            if sent < 200 && bench.little.publish(intent, &vec![sent as u8; len(sent)]).is_ok() {
                sent += 1;
            }
            bench.step();
            assert!(bench.now < 240_000_000, "{came} of {sent}");
            while let Some(message) = bench.big.poll_message(full::Select::Only(interest)) {
                assert_eq!(message.payload, vec![came as u8; len(came)]);
                came += 1;
            }
        }
        bench.until("all delivered", |bench| bench.little.undelivered(intent) == 0);
    }
}

#[cfg(feature = "requests")]
#[test]
fn requests_are_answered_both_ways() {
    for seed in seeds() {
        let mut bench = Bench::new(seed);
        let little =
            bench.little.declare_service(name!(small, "s"), small::ServiceOptions::default()).unwrap();
        let big = bench.big.declare_service(name!(full, "t"), full::ServiceOptions::default()).unwrap();
        bench.connect();
        for round in 0..20u8 {
            let (mut there, mut back) = (None, None);
            bench.until("room for both requests", |bench| {
                let timeout = Duration::from_secs(20);
                let now = full::Instant::from_micros(bench.now);
                let options = full::CallOptions { timeout, room: 64 };
                there = there.or_else(|| bench.big.request(now, name!(full, "s"), &[round], options).ok());
                let now = small::Instant::from_micros(bench.now);
                let options = small::CallOptions { timeout, room: 64 };
                back = back.or_else(|| bench.little.request(now, name!(small, "t"), &[round], options).ok());
                there.is_some() && back.is_some()
            });
            let (there, back) = (there.unwrap(), back.unwrap());
            let (mut answers, mut asked) = (0, (None, None));
            bench.until("both answers", |bench| {
                if let Some(incoming) = bench.little.poll_message(small::Select::Only(little)) {
                    assert_eq!(incoming.payload, [round]);
                    asked.0 = incoming.request;
                }
                if let Some(incoming) = bench.big.poll_message(full::Select::Only(big)) {
                    assert_eq!(incoming.payload, [round]);
                    asked.1 = incoming.request;
                }
                asked.0 = asked.0.filter(|request| bench.little.respond(*request, 0, b"small").is_err());
                asked.1 = asked.1.filter(|request| bench.big.respond(*request, 0, b"big").is_err());
                if let Some(answer) = bench.big.poll_answer(full::Select::Only(there)) {
                    assert_eq!(answer.outcome, full::Outcome::Ok(b"small"));
                    answers += 1;
                }
                if let Some(answer) = bench.little.poll_answer(small::Select::Only(back)) {
                    assert_eq!(answer.outcome, small::Outcome::Ok(b"big"));
                    answers += 1;
                }
                answers == 2
            });
        }
    }
}

#[test]
fn a_restart_of_either_side_is_noticed() {
    let mut bench = Bench::new(11);
    let intent = bench.little.declare_intent(name!(small, "a"), small::IntentOptions::best_effort()).unwrap();
    let _ = bench.big.declare_interest(name!(full, "a"), full::InterestOptions::default()).unwrap();
    bench.connect();
    bench.until("an audience", |bench| bench.little.has_audience(intent));
    bench.big.start(full::Config::new("complete"), 99);
    let _ = bench.big.declare_interest(name!(full, "a"), full::InterestOptions::default()).unwrap();
    bench.big.handle_connect(full::Instant::from_micros(bench.now), full::Link::serial(921_600)).unwrap();
    let (mut out, mut lost, mut audience) = ([0; 400], false, false);
    for _ in 0..10_000 {
        bench.now += STEP_US;
        let (big, little) = (full::Instant::from_micros(bench.now), small::Instant::from_micros(bench.now));
        bench.big.handle_timeout(big);
        bench.little.handle_timeout(little);
        if let Some(frame) = bench.big.poll_transmit(big, &mut out) {
            bench.little.handle_input(little, frame);
        }
        if let Some(frame) = bench.little.poll_transmit(little, &mut out) {
            bench.big.handle_input(big, frame);
        }
        while let Some(event) = bench.little.poll_event() {
            lost |= event == small::Event::Lost(small::LostReason::PeerRestarted);
        }
        audience |= lost && bench.little.has_audience(intent);
    }
    assert!(lost && audience);
}
