//! What once went wrong and must not again: links that change under way, samples that fill the store, lives
//! that end unread, routes that change their quality, frames that come too late. Two endpoints over a line
//! that loses nothing by itself: what is to be lost, or to come late, is taken from it by hand.

use std::time::Duration;

use tieline::*;
use tieline_tests::names::{CHAT, COMMAND, EIGHT, IMU};
use tieline_tests::{A, B, Memory, Sizes, Who};

/// How often the endpoints are looked after, in microseconds.
const STEP: u64 = 100;

/// A serial line whose speed is not known.
const SERIAL: Link = Link::serial(0);

/// Two endpoints and the frames between them.
struct Pair {
    a: Endpoint<Memory>,
    b: Endpoint<Memory>,
    /// What time it is, in microseconds.
    now: u64,
    /// How long a frame is under way, in microseconds.
    delay: u64,
    /// Frames under way, oldest first: when each arrives, and where.
    under_way: Vec<(u64, Who, Vec<u8>)>,
    /// What A was told.
    told: Vec<Event>,
}

impl Pair {
    fn new(of_a: Sizes, of_b: Sizes) -> Self {
        Self::configured(of_a, of_b, Config::new("a"), Config::new("b"))
    }

    fn configured(of_a: Sizes, of_b: Sizes, a_is: Config, b_is: Config) -> Self {
        let (mut a, mut b) = (Endpoint::new(Memory::new(of_a)), Endpoint::new(Memory::new(of_b)));
        a.start(a_is, 0xA1);
        b.start(b_is, 0xB2);
        Self { a, b, now: 1_000, delay: STEP, under_way: vec![], told: vec![] }
    }

    fn time(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn end(&mut self, who: Who) -> &mut Endpoint<Memory> {
        if who == A { &mut self.a } else { &mut self.b }
    }

    /// A new link; what is under way over the old one is lost.
    fn connect(&mut self, link: Link) {
        self.under_way.clear();
        let now = self.time();
        Who::BOTH.into_iter().for_each(|who| self.end(who).handle_connect(now, link).unwrap());
    }

    fn disconnect(&mut self) {
        self.under_way.clear();
        let now = self.time();
        Who::BOTH.into_iter().for_each(|who| self.end(who).handle_disconnect(now));
    }

    /// The next frame of a side: it is lost unless it is given.
    fn take(&mut self, from: Who) -> Option<Vec<u8>> {
        let now = self.time();
        let mut out = [0; 2_048];
        self.end(from).poll_transmit(now, &mut out).map(<[u8]>::to_vec)
    }

    fn give(&mut self, to: Who, frame: &[u8]) {
        let now = self.time();
        let mut rest = frame;
        while !rest.is_empty() {
            let used = self.end(to).handle_input(now, rest);
            rest = &rest[used..];
        }
    }

    /// All that a side has to send now is lost.
    fn lose(&mut self, from: Who) {
        while self.take(from).is_some() {}
    }

    fn look_after_timers(&mut self) {
        let now = self.time();
        for who in Who::BOTH {
            if self.end(who).poll_timeout().is_some_and(|at| at <= now) {
                self.end(who).handle_timeout(now);
            }
        }
    }

    fn look_after_events(&mut self) {
        self.told.extend(std::iter::from_fn(|| self.a.poll_event()));
        while self.b.poll_event().is_some() {}
    }

    /// Frames arrive and leave; no time passes.
    fn step(&mut self) {
        while let Some(first) = self.under_way.iter().position(|(at, ..)| *at <= self.now) {
            let (_, to, frame) = self.under_way.remove(first);
            self.give(to, &frame);
        }
        self.look_after_timers();
        self.look_after_events();
        for from in Who::BOTH {
            while self.end(from).wants_transmit()
                && let Some(frame) = self.take(from)
            {
                self.under_way.push((self.now + self.delay, from.other(), frame));
            }
        }
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + millis * 1_000;
        while self.now < end {
            self.step();
            self.now += STEP;
        }
        self.step();
    }

    /// The payloads that B has not read yet.
    fn read(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.b.poll_message(Select::Any).map(|message| message.payload.to_vec()))
            .collect()
    }

    /// How many events of a kind A was told.
    fn count(&self, kind: impl Fn(&Event) -> bool) -> usize {
        self.told.iter().filter(|event| kind(event)).count()
    }
}

fn reliable() -> IntentOptions {
    IntentOptions::reliable()
}

fn best_effort() -> IntentOptions {
    IntentOptions::best_effort()
}

fn window(bytes: usize) -> InterestOptions {
    InterestOptions { window: Some(bytes), ..Default::default() }
}

fn expires(millis: u64) -> PublishOptions {
    PublishOptions { expires: Some(Duration::from_millis(millis)) }
}

fn holds(frame: &[u8], text: &[u8]) -> bool {
    frame.windows(text.len()).any(|part| part == text)
}

/// A message that went whole over the larger link is larger than the frames of the smaller one, over which it
/// must be repeated.
#[test]
fn a_session_that_moves_to_a_larger_link_and_back_goes_on() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    let small = Link { frame_max: 80, ..Link::stream() };
    let large = Link { frame_max: 1_000, ..Link::stream() };
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    let imu = p.a.declare_intent(&IMU, reliable()).unwrap();
    p.b.declare_interest(&COMMAND, window(8_000)).unwrap();
    p.b.declare_interest(&IMU, window(2_000)).unwrap();
    p.connect(small);
    p.run(300);
    p.connect(large);
    p.run(300);
    p.a.publish(command, &[7; 500]).unwrap();
    p.lose(A);
    p.run(5);
    p.connect(small);
    p.run(300);
    p.a.publish(imu, b"small").unwrap();
    p.run(20_000);
    let resumed = p.count(|event| *event == Event::Established { resumed: true });
    assert_eq!(resumed, 2, "{:?}", p.told);
    let read = p.read();
    assert!(
        read == [vec![7; 500], b"small".to_vec()],
        "lengths {:?}",
        read.iter().map(Vec::len).collect::<Vec<_>>()
    );
    assert_eq!(p.a.unacknowledged(), 0, "what was lost is repeated for ever");
}

#[test]
fn kept_samples_leave_room_for_declarations() {
    let mut p = Pair::new(Sizes::BOARD, Sizes::PC);
    p.a.declare_interest(&CHAT, window(100)).unwrap();
    let chat = p.b.declare_intent(&CHAT, reliable()).unwrap();
    let mut kept = vec![];
    for name in &EIGHT[..3] {
        let sample =
            p.a.declare_intent(name, IntentOptions { history: History::Latest, ..reliable() }).unwrap();
        // As long as there is room for.
        kept.extend((1..=200).rev().find(|len| p.a.publish(sample, &vec![1; *len]).is_ok()));
        p.b.declare_interest(name, window(400)).unwrap();
    }
    assert!(!kept.is_empty(), "no sample is kept");
    p.connect(SERIAL);
    p.run(5_000);
    assert_eq!(p.read().iter().map(Vec::len).collect::<Vec<_>>(), kept, "lengths of samples");
    assert!(p.b.has_audience(chat), "the peer is never told of the interest");
}

/// A message that was lost has to be repeated, even if something of a higher priority always waits.
#[test]
fn a_flood_of_best_effort_does_not_starve_a_repetition() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    let mut declare = |name, priority, options| {
        p.b.declare_interest(name, window(4_000)).unwrap();
        p.a.declare_intent(name, IntentOptions { priority, ..options }).unwrap()
    };
    let background = declare(&COMMAND, Priority::Background, reliable());
    let urgent = declare(&IMU, Priority::Urgent, reliable());
    let flood = declare(&CHAT, Priority::High, best_effort());
    p.connect(Link::serial(115_200));
    p.run(300);
    let (mut lost, mut read) = (false, 0);
    // One frame of A each 5 ms: the line is never free.
    for round in 0..2_000 {
        while p.a.publish(flood, &[1; 100]).is_ok() {}
        if round == 10 {
            p.a.publish(background, b"background").unwrap();
        }
        if round > 30 && round % 10 == 0 {
            // Refused while the window is full, which is as good: something of it waits.
            let _ = p.a.publish(urgent, &[2; 20]);
        }
        p.look_after_timers();
        p.look_after_events();
        if let Some(frame) = p.take(A) {
            if !lost && holds(&frame, b"background") {
                lost = true;
            } else {
                p.give(B, &frame);
            }
        }
        while let Some(frame) = p.take(B) {
            p.give(A, &frame);
        }
        read += p.read().iter().filter(|payload| *payload == b"background").count();
        p.now += 5_000;
    }
    assert!(lost, "the message never left");
    assert_eq!(read, 1, "unacknowledged: {}", p.a.unacknowledged());
}

/// More messages than the low bits count that tell of a message whose time is limited.
#[test]
fn a_message_that_expires_behind_many_others_ends_as_itself() {
    let sizes = Sizes { tx: 65_536, rx: 65_536, ..Sizes::PC };
    let mut p = Pair::new(sizes, sizes);
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    p.b.declare_interest(&COMMAND, window(30_000)).unwrap();
    p.connect(SERIAL);
    p.run(300);
    p.disconnect();
    let now = p.time();
    let first = p.a.publish_with(now, command, b"expires", expires(100)).unwrap().unwrap();
    for _ in 0..300 {
        p.a.publish(command, b"stays").unwrap();
    }
    p.run(1_000);
    p.connect(SERIAL);
    p.run(2_000);
    let read = p.read();
    assert!(read.len() == 300 && read.iter().all(|payload| payload == b"stays"), "{} were read", read.len());
    p.run(2_000);
    let failed: Vec<_> = p.told.iter().filter(|event| matches!(event, Event::Failed(..))).collect();
    assert_eq!(failed, [&Event::Failed(first, FailReason::Expired)]);
    assert_eq!(p.count(|event| matches!(event, Event::Delivered(_))), 300);
    assert_eq!(p.a.undelivered(command), 0);
}

/// A reliable message that waits for an earlier one is acknowledged: best effort that comes meanwhile may not
/// replace it.
#[test]
fn a_route_that_becomes_best_effort_keeps_what_was_reliable() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    p.b.declare_interest(&COMMAND, window(1_000)).unwrap();
    p.connect(SERIAL);
    p.run(300);
    p.a.publish(command, b"one").unwrap();
    p.lose(A);
    p.a.publish(command, b"two").unwrap();
    p.step();
    p.a.declare_intent(&COMMAND, IntentOptions { tickets: true, ..best_effort() }).unwrap();
    p.step();
    p.a.publish(command, b"best effort").unwrap();
    p.run(100);
    let read = p.read();
    assert!(read.starts_with(&[b"one".to_vec(), b"two".to_vec()]), "{read:?}");
    p.run(3_000);
    assert_eq!(p.count(|event| matches!(event, Event::Delivered(_))), 2, "{:?}", p.told);
    assert_eq!((p.a.undelivered(command), p.a.unacknowledged()), (0, 0));
}

#[test]
fn a_best_effort_message_of_which_a_part_is_lost_does_not_hold_up_reliable_ones() {
    let sizes = Sizes { frame: 80, ..Sizes::PC };
    let mut p = Pair::new(sizes, sizes);
    let command = p.a.declare_intent(&COMMAND, best_effort()).unwrap();
    p.b.declare_interest(&COMMAND, window(1_000)).unwrap();
    p.connect(SERIAL);
    p.run(300);
    p.a.publish(command, &[9; 150]).unwrap();
    let first_part = p.take(A).unwrap();
    p.give(B, &first_part);
    p.lose(A);
    p.a.declare_intent(&COMMAND, reliable()).unwrap();
    p.run(100);
    p.a.publish(command, b"one").unwrap();
    p.a.publish(command, b"two").unwrap();
    p.run(5_000);
    assert_eq!(p.read(), [b"one", b"two"]);
    assert_eq!(p.a.unacknowledged(), 0);
}

/// What expires while the peer is being told of an earlier one: the peer must be told of it, too, and nothing
/// else wakes the reader for that.
#[test]
fn messages_that_expire_one_shortly_after_the_other_all_end() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    p.delay = 50_000;
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    p.b.declare_interest(&COMMAND, window(1_000)).unwrap();
    p.connect(SERIAL);
    p.run(2_000);
    let now = p.time();
    for millis in [200, 240] {
        p.a.publish_with(now, command, b"x", expires(millis)).unwrap();
    }
    p.run(60_000);
    let expired = p.count(|event| matches!(event, Event::Failed(_, FailReason::Expired)));
    assert_eq!((expired, p.a.undelivered(command)), (2, 0), "{:?}", p.told);
}

/// The time that a message has needs room itself, in the frame and in the store.
#[test]
fn the_longest_message_that_expires_fits() {
    let sizes = Sizes { frame: 80, rx: 512, tx: 192, routes: 4, requests: 1 };
    let mut p = Pair::new(sizes, sizes);
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    let imu = p.a.declare_intent(&IMU, best_effort()).unwrap();
    p.b.declare_interest(&COMMAND, window(200)).unwrap();
    p.b.declare_interest(&IMU, window(100)).unwrap();
    p.connect(SERIAL);
    p.run(1_000);
    let now = p.time();
    // The longer it may take, the more bytes that is on the line.
    let two_hours = expires(7_200_000);
    let plain = p.a.payload_limit(command).unwrap();
    let refused = p.a.publish_with(now, command, &vec![1; plain], two_hours);
    let Err(nb::Error::Other(PublishError::TooLarge { limit })) = refused else {
        panic!("{plain} bytes with a limited time: {refused:?}")
    };
    p.a.publish_with(now, command, &vec![1; limit], two_hours).unwrap();
    p.run(5_000);
    assert_eq!(p.read(), [vec![1; limit]]);
    assert_eq!(p.a.unacknowledged(), 0);
    p.a.publish(imu, b"best effort").unwrap();
    p.run(1_000);
    assert_eq!(p.read(), [b"best effort"]);
}

#[test]
fn an_id_that_is_withdrawn_again_leaves_the_rate_of_another_route() {
    let mut p = Pair::new(Sizes::BOARD, Sizes::PC);
    let old = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    p.a.withdraw_intent(old);
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let new =
        p.a.declare_intent(&IMU, IntentOptions { rate, history: History::Latest, ..reliable() }).unwrap();
    p.a.withdraw_intent(old);
    let published = (0..10).filter(|_| p.a.publish(new, b"x").is_ok()).count();
    assert_eq!(published, 1, "one at a time");
}

#[test]
fn a_datagram_that_is_late_for_an_interest_does_not_reach_the_next_one() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    let chat = p.a.declare_intent(&CHAT, reliable()).unwrap();
    let interest = p.b.declare_interest(&COMMAND, window(1_000)).unwrap();
    p.connect(Link::datagram(1_000));
    p.run(1_500);
    p.a.publish(command, b"a command").unwrap();
    let late = p.take(A).unwrap();
    assert!(holds(&late, b"a command"), "another frame");
    p.b.withdraw_interest(interest);
    p.run(5);
    // In the same place.
    p.b.declare_interest(&CHAT, window(1_000)).unwrap();
    p.run(3);
    p.give(B, &late);
    p.run(100);
    assert!(p.read().is_empty(), "a command is read on the other route");
    p.a.publish(chat, b"chat").unwrap();
    p.run(100);
    assert_eq!(p.read(), [b"chat"]);
    p.run(3_000);
    assert_eq!(p.a.undelivered(chat), 0);
}

/// The window has room for one of them only.
#[test]
fn a_newer_sample_replaces_one_that_waits_for_a_link() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    let options = IntentOptions { history: History::Latest, ..reliable() };
    let command = p.a.declare_intent(&COMMAND, options).unwrap();
    p.b.declare_interest(&COMMAND, window(28)).unwrap();
    p.connect(SERIAL);
    p.run(1_000);
    p.disconnect();
    p.a.publish(command, b"first sample").unwrap();
    let second = p.a.publish(command, b"second sample");
    assert!(second.is_ok(), "{second:?}");
    p.connect(SERIAL);
    p.run(1_000);
    assert_eq!(p.read(), [b"second sample"]);
}

/// Its number is ahead of all that come after the session went on over a new link.
#[test]
fn a_datagram_from_before_a_resume_does_not_silence_best_effort() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    let command = p.a.declare_intent(&COMMAND, best_effort()).unwrap();
    p.b.declare_interest(&COMMAND, window(4_000)).unwrap();
    p.connect(Link::datagram(1_000));
    p.run(1_500);
    for _ in 0..500 {
        p.a.publish(command, b"before").unwrap();
        p.run(1);
    }
    p.a.publish(command, b"late").unwrap();
    let late = p.take(A).unwrap();
    p.connect(Link::datagram(1_000));
    p.run(300);
    assert_eq!(p.count(|event| *event == Event::Established { resumed: true }), 1, "{:?}", p.told);
    p.give(B, &late);
    p.read();
    let mut read = 0;
    for _ in 0..100 {
        p.a.publish(command, b"after").unwrap();
        p.run(1);
        read += p.read().len();
    }
    assert_eq!(read, 100);
}

/// What is stored may still be read after the session: somebody has to be woken for it.
#[test]
fn a_message_that_a_rate_holds_back_wakes_its_reader_after_the_session() {
    let a_is = Config { resume_for: Duration::ZERO, ..Config::new("a") };
    // No other timer of B may be due sooner.
    let patient = (Duration::from_secs(1_000), Duration::from_secs(2_000));
    let b_is = Config { ping_interval: patient.0, silence: patient.1, ..Config::new("b") };
    let mut p = Pair::configured(Sizes::PC, Sizes::PC, a_is, b_is);
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let interest = p.b.declare_interest(&COMMAND, InterestOptions { rate, ..window(1_000) }).unwrap();
    p.connect(SERIAL);
    p.run(500);
    p.a.publish(command, b"one").unwrap();
    p.a.publish(command, b"two").unwrap();
    p.run(50);
    assert!(p.b.poll_message(Select::Only(interest)).is_some(), "the first");
    assert!(p.b.poll_message(Select::Only(interest)).is_none(), "one in a second");
    p.disconnect();
    p.look_after_events();
    let wakes = p.b.poll_timeout().expect("nothing wakes the reader");
    assert!(wakes <= p.time() + Duration::from_secs(1), "too late: {wakes:?}");
    p.run(1_000);
    let second = p.b.poll_message(Select::Only(interest)).map(|message| message.payload.to_vec());
    assert_eq!(second.as_deref(), Some(&b"two"[..]));
}

/// A record about an interest that is repeated says how much was taken when it was first sent.
#[test]
fn counts_that_are_overtaken_do_not_spoil_the_next_declaration() {
    let mut p = Pair::new(Sizes::PC, Sizes::PC);
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    p.b.declare_interest(&COMMAND, window(1_000)).unwrap();
    p.connect(Link::datagram(1_000));
    p.run(1_500);
    // Declared anew, as it must be before it lapses; that record is lost, and repeated later.
    p.b.declare_interest(&COMMAND, window(1_000)).unwrap();
    p.lose(B);
    p.a.publish(command, b"one").unwrap();
    p.a.publish(command, b"two").unwrap();
    p.run(2);
    assert_eq!(p.read(), [b"one", b"two"]);
    // What was taken may be told only when the record is acknowledged. As soon as it is, the intent goes.
    for _ in 0..3_000 {
        if p.a.undelivered(command) == 0 {
            break;
        }
        p.run(1);
    }
    assert_eq!(p.a.undelivered(command), 0, "what was taken is never told");
    p.a.withdraw_intent(command);
    p.run(1);
    let command = p.a.declare_intent(&COMMAND, reliable()).unwrap();
    p.run(3_000);
    for _ in 0..3 {
        p.a.publish(command, b"x").unwrap();
    }
    p.run(100);
    assert_eq!(p.read().len(), 3);
    p.run(5_000);
    assert_eq!(p.a.undelivered(command), 0, "the counts of the two declarations are mixed up");
}

#[test]
fn an_interest_that_is_refused_takes_no_rate() {
    // As many rates as routes.
    let mut p = Pair::new(Sizes { routes: 2, ..Sizes::BOARD }, Sizes::PC);
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let too_much = InterestOptions { rate, ..window(100_000) };
    for _ in 0..3 {
        let refused = p.a.declare_interest(&COMMAND, too_much);
        assert!(matches!(refused, Err(DeclareError::NoRoom { .. })), "{refused:?}");
    }
    for name in [&CHAT, &IMU] {
        let declared = p.a.declare_intent(name, IntentOptions { rate, ..reliable() });
        assert!(declared.is_ok(), "{declared:?}");
    }
}

#[test]
fn a_sample_that_is_given_in_parts_finds_room_for_them_between_other_samples() {
    let of_a = Sizes { frame: 80, rx: 512, tx: 512, routes: 8, requests: 2 };
    let mut p = Pair::new(of_a, Sizes { frame: 80, ..Sizes::PC });
    let large =
        p.a.declare_intent(&COMMAND, IntentOptions { history: History::Latest, ..reliable() }).unwrap();
    p.a.publish(large, &[1; 106]).unwrap();
    for name in &EIGHT[..4] {
        let sample =
            p.a.declare_intent(name, IntentOptions { history: History::Latest, ..best_effort() }).unwrap();
        // As long as there is room for, if there is any.
        let _ = (1..=76).rev().find(|len| p.a.publish(sample, &vec![2; *len]).is_ok());
    }
    p.b.declare_interest(&COMMAND, window(400)).unwrap();
    p.connect(SERIAL);
    p.run(8_000);
    assert!(p.a.has_audience(large));
    assert_eq!(p.read(), [[1; 106]]);
    assert_eq!(p.a.unacknowledged(), 0);
}
