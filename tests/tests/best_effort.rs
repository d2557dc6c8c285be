//! Best-effort messages: in order, none twice, and every loss counted.

use tieline::packet::Packet;
use tieline::{IntentOptions, InterestOptions, Priority};
use tieline_tests::line::Sent;
use tieline_tests::names::{COMMAND, IMU, TEMPERATURE};
use tieline_tests::{A, B, Feed, Handle, LineConfig, Reading, Setup, Sim, for_seeds, forge};

const SHOUT: IntentOptions = IntentOptions::best_effort();

const fn window(bytes: usize) -> InterestOptions {
    InterestOptions { window: Some(bytes), ttl: None, rate: None }
}

/// A publishes samples to B.
fn one_way(setup: Setup, reads: InterestOptions) -> (Sim, Handle, Handle) {
    let mut sim = setup.build();
    let publisher = sim[A].intent(&IMU, SHOUT);
    let reader = sim[B].interest(&IMU, reads);
    (sim, publisher, reader)
}

fn is_best_effort(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::BestEffort { .. })
}

#[test]
fn messages_come_in_order_and_none_twice() {
    for_seeds(60, |seed, mut rng| {
        // A serial line loses and damages, it does not repeat.
        let line = LineConfig {
            frame_duplication: 0.0,
            chunk_duplication: 0.0,
            ..LineConfig::faulty(115_200, &mut rng)
        };
        let (mut sim, publisher, reader) = one_way(Setup::new(seed).line(line), window(400));
        sim.connect();
        sim[A].feed(Feed::new(publisher, 400, (4, 40)).every(rng.below(6)));
        assert!(sim.run_until(120_000, |sim| sim[A].app.is_fed()));
        sim.run(500);
        let numbers = sim[B].app.numbers(reader);
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(!numbers.is_empty());
    });
}

#[test]
fn losses_are_counted_exactly() {
    for_seeds(60, |seed, mut rng| {
        let (mut sim, publisher, reader) = one_way(Setup::new(seed), window(400));
        sim.record();
        sim.establish();
        sim.set_line(|line| line.frame_loss = 0.15);
        sim[A].feed(Feed::new(publisher, 2_000, (4, 20)).every(rng.between(2, 12)));
        sim.run(rng.between(5_000, 20_000));
        sim[A].app.feeds.clear();
        sim.end_faults();
        sim.run(2_500);
        let in_frames = |sent: &[Sent], lost| {
            let frames: Vec<_> = sent.iter().filter(|sent| sent.lost == lost).cloned().collect();
            forge::count_packets(&frames, is_best_effort) as u32
        };
        let sent = &sim.lines[0].sent;
        let stats = sim[B].endpoint.stats();
        assert_eq!(stats.best_effort.lost, in_frames(sent, true));
        assert_eq!(stats.best_effort.received, in_frames(sent, false));
        assert_eq!(stats.dropped_no_room, 0);
        assert_eq!(sim[B].app.heard(reader), in_frames(sent, false) as usize);
        assert!(stats.best_effort.lost > 0);
        // Nothing was sent between the newest two PINGs.
        assert_eq!((stats.best_effort_interval.lost, stats.best_effort_interval.received), (0, 0));
    });
}

#[test]
fn losses_are_counted_by_interval() {
    let (mut sim, publisher, _) = one_way(Setup::new(3), window(400));
    sim.record();
    sim.establish();
    // A PING comes each second: follow the count from one to the next.
    sim[A].feed(Feed::new(publisher, u32::MAX, (4, 20)).every(10));
    let mut sum = 0;
    let mut before = sim[B].endpoint.stats().best_effort;
    for second in 0..20 {
        sim.lines[0].config.frame_loss = if second % 3 == 0 { 0.3 } else { 0.0 };
        let previous = sim[B].endpoint.stats().best_effort;
        let newer = |sim: &Sim| sim[B].endpoint.stats().best_effort != previous;
        if !sim.run_until(5_000, newer) {
            continue;
        }
        let stats = sim[B].endpoint.stats();
        let interval = stats.best_effort_interval;
        assert_eq!(interval.lost, stats.best_effort.lost - before.lost);
        assert_eq!(interval.received, stats.best_effort.received - before.received);
        assert!((50..=210).contains(&(interval.lost + interval.received)), "{interval:?}");
        sum += interval.lost;
        before = stats.best_effort;
    }
    assert!(sum > 0);
    assert_eq!(sum, sim[B].endpoint.stats().best_effort.lost);
}

#[test]
fn what_finds_no_room_is_counted_and_its_sender_is_told() {
    // Room for three of 12 + 8, and nobody reads.
    let (mut sim, publisher, reader) = one_way(Setup::new(1), window(60));
    sim[B].reads(reader, Reading::Never);
    sim.establish();
    for number in 0..10u8 {
        sim[A].publish(publisher, &[number; 12]).unwrap();
        sim.run(5);
    }
    sim.run(1_500);
    assert_eq!(sim[B].endpoint.stats().dropped_no_room, 7);
    assert_eq!(sim[A].endpoint.stats().peer_dropped_no_room, 7);
    assert_eq!(sim[B].endpoint.stats().best_effort.lost, 0, "the line lost nothing");
    assert_eq!(sim[B].endpoint.stats().best_effort.received, 10);
    sim[B].reads(reader, Reading::Always);
    sim.run(10);
    let kept: Vec<_> = sim[B].app.payloads(reader).iter().map(|payload| payload[0]).collect();
    assert_eq!(kept, [0, 1, 2]);
}

#[test]
fn a_publisher_that_is_too_fast_is_held_back_not_dropped() {
    let (mut sim, publisher, reader) = one_way(Setup::new(1).baud(9_600), window(400));
    sim.establish();
    let mut taken = 0;
    while sim[A].publish(publisher, &[1; 16]).is_ok() {
        taken += 1;
        assert!(taken < 100, "there is no end to the room");
    }
    assert!(taken >= 5);
    assert!(sim[A].endpoint.unsent_best_effort() > 0);
    sim.run(2_000);
    assert_eq!(sim[B].app.heard(reader), taken);
    assert_eq!(sim[A].endpoint.unsent_best_effort(), 0);
}

#[test]
fn telemetry_does_not_crowd_out_commands_nor_the_other_way_round() {
    let mut sim = Sim::new(1);
    let samples = sim[A].intent(&IMU, SHOUT);
    let commands =
        sim[A].intent(&COMMAND, IntentOptions { priority: Priority::High, ..IntentOptions::reliable() });
    let sampler = sim[B].interest(&IMU, window(200));
    let commander = sim[B].interest(&COMMAND, window(200));
    sim.establish();
    // Both would fill the line by themselves.
    sim[A].feed(Feed::new(samples, u32::MAX, (20, 20)));
    sim[A].feed(Feed::new(commands, u32::MAX, (20, 20)));
    sim.run(10_000);
    let (telemetry, control) = (sim[B].app.heard(sampler), sim[B].app.heard(commander));
    let all = telemetry + control;
    assert!(telemetry * 12 >= all, "{telemetry} samples beside {control} commands: less than their share");
    assert!(control * 4 >= all, "{control} commands beside {telemetry} samples");
    assert_eq!(sim[B].endpoint.stats().best_effort.lost, 0);
    assert_eq!(sim[A].endpoint.stats().retransmitted, 0);
}

#[test]
fn a_command_overtakes_telemetry_that_waits() {
    let mut sim = Setup::new(1).baud(9_600).build();
    let samples = sim[A].intent(&IMU, SHOUT);
    let commands = sim[A].intent(&COMMAND, IntentOptions::reliable());
    let sampler = sim[B].interest(&IMU, window(200));
    let commander = sim[B].interest(&COMMAND, window(200));
    sim.establish();
    sim[A].feed(Feed::new(samples, u32::MAX, (20, 20)));
    sim.run(3_000);
    let begin = sim.now;
    sim[A].publish(commands, b"stop").unwrap();
    assert!(sim.run_until(5_000, |sim| sim[B].app.heard(commander) == 1));
    // At most the frame that is on the line, and its own: 256 bytes at 960 bytes a second each.
    assert!(sim.now - begin <= 540_000, "{} µs", sim.now - begin);
    assert!(sim[B].app.heard(sampler) > 0);
}

#[test]
fn best_effort_messages_of_several_routes_share_a_frame() {
    let mut sim = Sim::new(1);
    let intents = [&IMU, &TEMPERATURE].map(|name| sim[A].intent(name, SHOUT));
    let readers = [&IMU, &TEMPERATURE].map(|name| sim[B].interest(name, window(200)));
    sim.establish();
    sim.record();
    for intent in intents.into_iter().cycle().take(6) {
        sim[A].publish(intent, b"12345678").unwrap();
    }
    sim.run(20);
    assert_eq!(readers.map(|reader| sim[B].app.heard(reader)), [3, 3]);
    assert_eq!(forge::count_packets(&sim.lines[0].sent[..1], is_best_effort), 6);
}

#[test]
fn the_sender_of_a_withdrawn_interest_drops_what_waits() {
    let mut sim = Setup::new(1).baud(9_600).build();
    let publisher = sim[A].intent(&IMU, SHOUT);
    let reader = sim[B].interest(&IMU, window(200));
    sim.establish();
    while sim[A].publish(publisher, &[1; 16]).is_ok() {}
    sim[B].withdraw(reader);
    sim.run(1_000);
    assert_eq!(sim[A].endpoint.unsent_best_effort(), 0);
    assert!(!sim[A].has_audience(publisher));
}

#[test]
fn a_frame_that_comes_twice_brings_no_message_twice() {
    let line = LineConfig { frame_duplication: 0.5, ..LineConfig::clean(115_200) };
    let (mut sim, publisher, reader) = one_way(Setup::new(1).line(line), window(400));
    sim.establish();
    sim[A].feed(Feed::new(publisher, 100, (4, 40)).every(10));
    sim.run(3_000);
    assert_eq!(sim[B].app.numbers(reader), (0..100).collect::<Vec<_>>());
}
