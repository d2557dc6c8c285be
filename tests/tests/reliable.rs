//! Reliable messages: exactly once, in order per route, and each ends in one way that its sender hears of.

use std::time::Duration;

use tieline::packet::Packet;
use tieline::{Event, IntentOptions, InterestOptions, Priority};
use tieline_tests::names::{CHAT, COMMAND, EIGHT, IMU};
use tieline_tests::{
    A, B, Chunking, Feed, Handle, LineConfig, Reading, Rng, Setup, Sim, Sizes, Who, for_seeds, forge,
};

const READ: InterestOptions = InterestOptions { window: None, ttl: None, rate: None };
const SAY: IntentOptions = IntentOptions::reliable();

const fn window(bytes: usize) -> InterestOptions {
    InterestOptions { window: Some(bytes), ttl: None, rate: None }
}

/// A publishes `COMMAND` to B.
fn one_way(setup: Setup, reads: InterestOptions) -> (Sim, Handle, Handle) {
    let mut sim = setup.build();
    let publisher = sim[A].intent(&COMMAND, SAY);
    let reader = sim[B].interest(&COMMAND, reads);
    (sim, publisher, reader)
}

fn lost_nothing(sim: &Sim) {
    for who in Who::BOTH {
        let lost = |event: &Event| matches!(event, Event::Lost(_) | Event::Closed(_));
        assert!(!sim[who].app.states().iter().any(lost), "{who:?} {:?}", sim[who].app.states());
    }
}

/// Several routes both ways over a faulty line; every message arrives once, in the order of its route.
fn exactly_once(seed: u64, rng: &mut Rng, line: LineConfig, sizes: [Sizes; 2], count: u32) {
    let mut setup = Setup { sizes, ..Setup::new(seed).line(line) };
    // The line is worse than what a session is made for: silence is another story.
    setup.config.iter_mut().for_each(|config| config.silence = Duration::from_secs(30));
    let mut sim = setup.build();
    let routes = sizes[0].routes.min(sizes[1].routes).min(4);
    let mut pairs = Vec::new();
    for (at, name) in EIGHT.iter().take(routes).enumerate() {
        let from = if at % 2 == 0 { A } else { B };
        let room = sizes[from.other() as usize].rx / routes.div_ceil(2);
        let intent = sim[from].intent(name, SAY);
        pairs.push((from, intent, sim[from.other()].interest(name, window(room.min(2_000)))));
    }
    sim.connect();
    let all = |sim: &Sim| pairs.iter().all(|(from, intent, _)| sim[*from].has_audience(*intent));
    assert!(sim.run_until(60_000, all), "no audience");
    for (from, intent, interest) in &pairs {
        let most = sim[*from].endpoint.payload_limit(sim[*from].id(*intent)).unwrap();
        let paced = if rng.chance(0.5) { 0 } else { rng.between(1, 60) };
        sim[*from].feed(Feed::new(*intent, count, (4, most.min(rng.between(4, 200) as usize))).every(paced));
        if rng.chance(0.3) {
            sim[from.other()].reads(*interest, Reading::Every(rng.between(1, 30)));
        }
    }
    let done = |sim: &Sim| {
        pairs.iter().all(|(from, _, interest)| sim[from.other()].app.heard(*interest) >= count as usize)
    };
    // Faults end after a while; from then on everything comes in bounded time.
    if !sim.run_until(30_000, done) {
        sim.end_faults();
        assert!(sim.run_until(30_000, done), "not everything was delivered after the faults had ended");
    }
    sim.end_faults();
    sim.run(5_000);
    for (from, _, interest) in &pairs {
        assert_eq!(sim[from.other()].app.numbers(*interest), (0..count).collect::<Vec<_>>());
    }
    for who in Who::BOTH {
        let (delivered, failed, open) = sim[who].app.ends();
        let sold = pairs.iter().filter(|(from, ..)| *from == who).count() * count as usize;
        assert_eq!((delivered, failed.len(), open), (sold, 0, 0));
        assert_eq!(sim[who].endpoint.undelivered_total(), 0);
    }
    lost_nothing(&sim);
}

#[test]
fn everything_arrives_once_and_in_order_at_bit_error_rates_from_1e_4_to_1e_3() {
    for_seeds(60, |seed, mut rng| {
        let bit_error = 1e-4 * (1.0 + rng.below(900) as f64 / 100.0);
        let line = LineConfig { bit_error, ..LineConfig::clean(115_200) };
        exactly_once(seed, &mut rng, line, [Sizes::BOARD; 2], 40);
    });
}

#[test]
fn everything_arrives_once_and_in_order_whatever_the_line_does() {
    for_seeds(80, |seed, mut rng| {
        let baud = [57_600, 115_200, 921_600][rng.index(3)];
        let line = LineConfig::faulty(baud, &mut rng);
        let sizes = [Sizes::SMALLEST, Sizes::BOARD, Sizes::PC];
        let sizes = [sizes[rng.index(3)], sizes[rng.index(3)]];
        exactly_once(seed, &mut rng, line, sizes, 40);
    });
}

#[test]
fn a_line_that_passes_only_short_frames_is_no_silence() {
    // A frame of 1024 bytes passes with a probability of 1 in 4000, one of 40 bytes with 3 in 4.
    let line = LineConfig { bit_error: 1e-3, ..LineConfig::clean(115_200) };
    let (mut sim, publisher, reader) = one_way(Setup::new(1).line(line).sizes(Sizes::PC), window(4_000));
    sim[A].feed(Feed::new(publisher, 500, (20, 20)));
    sim.connect();
    assert!(sim.run_until(60_000, |sim| sim[B].app.heard(reader) == 500), "{}", sim[B].app.heard(reader));
    lost_nothing(&sim);
}

#[test]
fn a_burst_of_loss_is_repaired() {
    for_seeds(30, |seed, mut rng| {
        let line = LineConfig { burst: 1e-3, burst_max: 300, ..LineConfig::clean(115_200) };
        exactly_once(seed, &mut rng, line, [Sizes::BOARD; 2], 40);
    });
}

#[test]
fn sequence_numbers_survive_their_wrap_on_a_bad_line() {
    // More packets than 8 bits count, several times over, with as many under way as there may be.
    for_seeds(6, |seed, mut rng| {
        let setup = Setup { sizes: [Sizes::PC; 2], ..Setup::new(seed).baud(921_600) };
        let (mut sim, publisher, reader) = one_way(setup, window(16_000));
        sim.establish();
        sim.set_line(|line| {
            line.delay_us = 30_000;
            line.frame_loss = 0.02;
            line.frame_duplication = 0.05;
            line.chunking = Chunking::Random(40);
        });
        sim[A].feed(Feed::new(publisher, 2_000, (4, rng.between(4, 20) as usize)));
        assert!(sim.run_until(120_000, |sim| sim[B].app.heard(reader) >= 2_000));
        sim.run(3_000);
        assert_eq!(sim[B].app.numbers(reader), (0..2_000).collect::<Vec<_>>());
        lost_nothing(&sim);
    });
}

#[test]
fn a_clean_line_sees_no_retransmission() {
    for baud in [9_600, 38_400, 115_200, 921_600, 3_000_000] {
        for delay_us in [0, 1_000, 20_000] {
            for sizes in [Sizes::SMALLEST, Sizes::BOARD, Sizes::PC] {
                let line = LineConfig { delay_us, ..LineConfig::clean(baud) };
                let mut sim = Setup::new(1).line(line).sizes(sizes).build();
                let there = sim[A].intent(&COMMAND, SAY);
                let commands = sim[B].interest(&COMMAND, window(sizes.rx / 2));
                let back = sim[B].intent(&CHAT, SAY);
                let texts = sim[A].interest(&CHAT, window(sizes.rx / 2));
                sim.establish();
                let heard = |sim: &Sim| sim[A].has_audience(there) && sim[B].has_audience(back);
                assert!(sim.run_until(5_000, heard));
                for (who, intent) in [(A, there), (B, back)] {
                    let most = sim[who].endpoint.payload_limit(sim[who].id(intent)).unwrap();
                    sim[who].feed(Feed::new(intent, 100, (4, most)));
                }
                let done = |sim: &Sim| sim[B].app.heard(commands) == 100 && sim[A].app.heard(texts) == 100;
                assert!(sim.run_until(600_000, done), "{baud} {delay_us} {sizes:?}");
                sim.run(5_000);
                for who in Who::BOTH {
                    let stats = sim[who].endpoint.stats();
                    assert_eq!(stats.retransmitted, 0, "{who:?} {baud} bit/s {delay_us} µs {sizes:?}");
                    assert_eq!((stats.malformed, stats.check_failures, stats.framing_errors), (0, 0, 0));
                }
            }
        }
    }
}

#[test]
fn the_line_goes_quiet_but_for_keep_alives() {
    for_seeds(10, |seed, mut rng| {
        let (mut sim, publisher, reader) =
            one_way(Setup::new(seed).line(LineConfig::faulty(115_200, &mut rng)), READ);
        sim[A].feed(Feed::new(publisher, 50, (4, 40)));
        sim.connect();
        sim.run(10_000);
        sim.end_faults();
        sim.run(10_000);
        assert_eq!(sim[B].app.heard(reader), 50);
        let before = sim.lines.each_ref().map(|line| (line.frames, line.bytes));
        sim.run(60_000);
        for (line, (frames, bytes)) in sim.lines.iter().zip(before) {
            // PING once a second, PONG for the peer's.
            assert!(
                (60..=122).contains(&(line.frames - frames)),
                "{} frames in a minute",
                line.frames - frames
            );
            assert!(line.bytes - bytes < 60 * 45, "{} bytes in a minute", line.bytes - bytes);
        }
    });
}

#[test]
fn a_publisher_is_held_back_at_the_window_and_goes_on_when_it_opens() {
    let (mut sim, publisher, reader) = one_way(Setup::new(1), window(200));
    sim[B].reads(reader, Reading::Never);
    sim.establish();
    // Each costs 12 + 8 of 200.
    for number in 0..10 {
        assert!(sim[A].publish(publisher, &[number; 12]).is_ok());
        sim.run(20);
    }
    assert_eq!(sim[A].publish(publisher, &[10; 12]), Err(nb::Error::WouldBlock));
    sim.run(60_000);
    assert_eq!(sim[A].publish(publisher, &[10; 12]), Err(nb::Error::WouldBlock), "stored is not taken");
    assert_eq!(sim[A].endpoint.undelivered(sim[A].id(publisher)), 10);
    let id = sim[B].id(reader);
    for number in 0..3 {
        let message = sim[B].endpoint.poll_message(tieline::Select::Only(id)).unwrap();
        assert_eq!(message.payload, [number; 12]);
    }
    sim.run(50);
    for number in 10..13 {
        assert!(sim[A].publish(publisher, &[number; 12]).is_ok(), "three were taken");
    }
    assert_eq!(sim[A].publish(publisher, &[13; 12]), Err(nb::Error::WouldBlock));
    sim[B].reads(reader, Reading::Always);
    sim.run(500);
    let numbers = sim[B].app.payloads(reader).iter().map(|payload| payload[0]).collect::<Vec<_>>();
    assert_eq!(numbers, (3..13).collect::<Vec<_>>());
    assert_eq!(sim[A].app.ends(), (13, vec![], 0));
    lost_nothing(&sim);
}

#[test]
fn what_is_peeked_is_delivered_when_it_is_taken() {
    let (mut sim, publisher, reader) = one_way(Setup::new(1), window(200));
    sim[B].reads(reader, Reading::Never);
    sim.establish();
    for number in 0..3 {
        assert!(sim[A].publish(publisher, &[number; 12]).is_ok());
    }
    sim.run(500);
    let id = sim[B].id(reader);
    for number in 0..3 {
        let mut again = None;
        for _ in 0..2 {
            let (message, peeked) = sim[B].endpoint.peek_message(id).unwrap();
            assert_eq!(message.payload, [number; 12]);
            again = Some(peeked);
            sim.run(2_000);
            assert_eq!(sim[A].endpoint.undelivered(sim[A].id(publisher)), 3 - usize::from(number));
        }
        let peeked = again.unwrap();
        assert!(sim[B].endpoint.take_peeked(peeked));
        assert!(!sim[B].endpoint.take_peeked(peeked), "once");
        sim.run(2_000);
        assert_eq!(sim[A].endpoint.undelivered(sim[A].id(publisher)), 2 - usize::from(number));
    }
    assert!(sim[B].endpoint.peek_message(id).is_none());
    // Who has another session meanwhile sees it again.
    assert!(sim[A].publish(publisher, &[9; 12]).is_ok());
    sim.run(500);
    let (_, peeked) = sim[B].endpoint.peek_message(id).unwrap();
    sim.restart(A);
    sim.run(2_000);
    assert!(!sim[B].endpoint.take_peeked(peeked));
    let (message, peeked) = sim[B].endpoint.peek_message(id).unwrap();
    assert_eq!(message.payload, [9; 12]);
    assert!(sim[B].endpoint.take_peeked(peeked));
}

#[test]
fn a_lost_report_of_what_was_taken_stalls_nobody() {
    for_seeds(30, |seed, mut rng| {
        let (mut sim, publisher, reader) = one_way(Setup::new(seed), window(60));
        sim.establish();
        // Towards the publisher half of all frames are lost: acknowledgements and reports.
        sim.lines[1].config.frame_loss = 0.5;
        sim[A].feed(Feed::new(publisher, 60, (4, 40)).every(rng.below(20)));
        assert!(sim.run_until(60_000, |sim| sim[A].app.ends().0 == 60), "{:?}", sim[A].app.ends());
        assert_eq!(sim[B].app.numbers(reader), (0..60).collect::<Vec<_>>());
    });
}

#[test]
fn a_slow_reader_of_one_route_slows_no_other() {
    let mut sim = Sim::new(1);
    let stuck = sim[A].intent(&IMU, IntentOptions { priority: Priority::Urgent, ..SAY });
    let quick = sim[A].intent(&COMMAND, SAY);
    let never = sim[B].interest(&IMU, window(200));
    let reader = sim[B].interest(&COMMAND, window(200));
    sim[B].reads(never, Reading::Never);
    sim.establish();
    sim[A].feed(Feed::new(stuck, 1_000, (20, 20)));
    sim.run(1_000);
    assert!(sim[A].app.feeds[0].next < 1_000, "the slow one is held back");
    let begin = sim.now;
    sim[A].feed(Feed::new(quick, 500, (20, 20)));
    assert!(sim.run_until(20_000, |sim| sim[B].app.heard(reader) == 500));
    let with_stuck = sim.now - begin;
    // The same without the stuck route.
    let (mut alone, quick, reader) = one_way(Setup::new(1), window(200));
    alone.establish();
    alone.run(1_000);
    let begin = alone.now;
    alone[A].feed(Feed::new(quick, 500, (20, 20)));
    assert!(alone.run_until(20_000, |sim| sim[B].app.heard(reader) == 500));
    let without = alone.now - begin;
    assert!(with_stuck <= without + without / 10, "{with_stuck} µs instead of {without} µs");
    // A reader that takes one a second gets its messages, too.
    sim[B].reads(never, Reading::Every(1_000));
    sim.run(30_000);
    assert!(sim[B].app.heard(never) >= 29);
    lost_nothing(&sim);
}

#[test]
fn two_that_only_publish_and_never_read_stay_together() {
    for sizes in [Sizes::SMALLEST, Sizes::BOARD, Sizes::PC] {
        for polls_events in [false, true] {
            let mut sim = Setup::new(1).sizes(sizes).build();
            for (who, out, back) in [(A, &COMMAND, &CHAT), (B, &CHAT, &COMMAND)] {
                let intent = sim[who].intent(out, SAY);
                let interest = sim[who].interest(back, window(100));
                sim[who].reads(interest, Reading::Never);
                sim[who].app.polls_events = polls_events;
                sim[who].app.polls_answers = false;
                sim[who].feed(Feed::new(intent, u32::MAX, (4, 40)));
            }
            sim.connect();
            sim.run(300_000);
            for who in Who::BOTH {
                assert!(sim[who].endpoint.is_established());
                let samples = sim[who].endpoint.rtt().samples;
                // Once a second, and a publisher that is held back asks at most every 50 ms.
                assert!((295..=6_100).contains(&samples), "{who:?} measured {samples} times in 5 minutes");
                assert!(sim[who].app.feeds[0].next > 0);
                // Events that nobody read are still there and tell of one session.
                sim[who].app.polls_events = true;
            }
            sim.run(1);
            lost_nothing(&sim);
        }
    }
}

#[test]
fn declarations_and_answers_get_through_while_nobody_reads() {
    let mut sim = Sim::new(1);
    for (who, out, back) in [(A, &COMMAND, &CHAT), (B, &CHAT, &COMMAND)] {
        let intent = sim[who].intent(out, SAY);
        let interest = sim[who].interest(back, window(100));
        sim[who].reads(interest, Reading::Never);
        sim[who].feed(Feed::new(intent, u32::MAX, (4, 40)));
    }
    sim.establish();
    sim.run(2_000);
    let late = sim[A].intent(&IMU, SAY);
    let reader = sim[B].interest(&IMU, READ);
    assert!(sim.run_until(1_000, |sim| sim[A].has_audience(late)));
    sim[A].publish(late, b"through").unwrap();
    sim.run(500);
    assert_eq!(sim[B].app.payloads(reader), [b"through"]);
}

#[test]
fn small_messages_that_wait_share_a_frame() {
    let (mut sim, publisher, reader) = one_way(Setup::new(1), window(500));
    sim.establish();
    sim.record();
    for _ in 0..10 {
        sim[A].publish(publisher, b"12345678").unwrap();
    }
    sim.run(100);
    assert_eq!(sim[B].app.heard(reader), 10);
    let sent = &sim.lines[0].sent;
    let holding = sent.iter().filter(|sent| {
        let mut holds = false;
        forge::each_packet(&sent.bytes, |packet| {
            holds |= matches!(packet, Packet::Reliable { route: 1.., .. });
        });
        holds
    });
    assert_eq!(holding.count(), 1);
}

#[test]
fn a_single_message_costs_what_the_budget_says() {
    for (options, most) in [(SAY, 17), (IntentOptions::best_effort(), 16)] {
        let mut sim = Sim::new(1);
        let intent = sim[A].intent(&IMU, options);
        sim[B].interest(&IMU, READ);
        sim.establish();
        sim.record();
        sim[A].publish(intent, b"12345678").unwrap();
        sim.run(20);
        let len = sim.lines[0].sent[0].bytes.len();
        // One more where the line was idle: the delimiter before the frame.
        assert!(len <= most + 1, "{len} bytes");
        if options == SAY {
            let ack = sim.lines[1].sent.iter().find(|sent| {
                forge::count_packets(std::slice::from_ref(sent), |packet| {
                    matches!(packet, Packet::Ack { .. })
                }) > 0
            });
            println!("acknowledgement with TAKEN: {} bytes", ack.unwrap().bytes.len());
        }
    }
}
