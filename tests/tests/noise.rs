//! What a bad line does to a session: noise, garbage, boot text, a wrong baud rate, silence.

use tieline::{Diagnosis, Event, IntentOptions, InterestOptions, LostReason, PublishError};
use tieline_tests::names::{COMMAND, IMU};
use tieline_tests::{
    A, B, Chunking, Feed, Handle, LineConfig, Reading, Rng, Setup, Sim, Sizes, Who, for_seeds,
};

const BOOT_TEXT: &[u8] = b"\r\n\x1b[2Jrom: v4.1 (c) boot from flash 0x08000000 ... ok\r\nclock 168 MHz\r\n";

/// A publishes commands to B.
fn one_way(setup: Setup) -> (Sim, Handle, Handle) {
    let mut sim = setup.build();
    let publisher = sim[A].intent(&COMMAND, IntentOptions::reliable());
    let reader = sim[B].interest(&COMMAND, InterestOptions::default());
    (sim, publisher, reader)
}

fn diagnoses(sim: &Sim, who: Who) -> Vec<u32> {
    let bytes = |event: &Event| match event {
        Event::Diagnosis(Diagnosis::NoFrames { bytes }) => Some(*bytes),
        _ => None,
    };
    sim[who].app.states().iter().filter_map(bytes).collect()
}

#[test]
fn noise_between_frames_costs_at_most_the_next_one() {
    for_seeds(30, |seed, mut rng| {
        let (mut sim, publisher, reader) = one_way(Setup::new(seed));
        sim.establish();
        for round in 0..20 {
            let len = rng.index(300);
            sim.inject(B, &rng.bytes(len));
            sim.run(rng.between(0, 3));
            sim[A].publish(publisher, &[round]).unwrap();
            sim.run(700);
            assert_eq!(sim[B].app.heard(reader), usize::from(round) + 1);
        }
        assert_eq!(sim[B].app.count(Event::Lost(LostReason::Silence)), 0);
    });
}

#[test]
fn noise_on_an_idle_line_costs_no_frame() {
    for_seeds(30, |seed, mut rng| {
        let (mut sim, publisher, reader) = one_way(Setup::new(seed));
        sim.establish();
        for round in 0..20 {
            // Noise comes when nothing was sent for 100 ms: the next frame has a delimiter before it.
            let quiet = |sim: &Sim| sim.now >= sim.lines[0].free_at() + 150_000;
            assert!(sim.run_until(2_000, quiet));
            let len = rng.between(1, 300) as usize;
            sim.inject(B, &rng.bytes(len));
            sim.run(0);
            sim[A].publish(publisher, &[round]).unwrap();
            sim.run(400);
        }
        assert_eq!(sim[B].app.heard(reader), 20);
        assert_eq!(sim[A].endpoint.stats().retransmitted, 0, "a frame was lost to noise on the idle line");
    });
}

#[test]
fn boot_text_before_the_first_frame_does_no_harm() {
    for chunking in [Chunking::Whole, Chunking::Bytes, Chunking::Random(9)] {
        let line = LineConfig { chunking, ..LineConfig::clean(115_200) };
        let (mut sim, ..) = one_way(Setup::new(1).line(line));
        sim.inject(A, BOOT_TEXT);
        sim.inject(B, BOOT_TEXT);
        sim.connect();
        sim.run(60);
        assert!(Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established()));
        sim.run(5_000);
        assert!(Who::BOTH.iter().all(|who| diagnoses(&sim, *who).is_empty()));
        // In a session, too: the peer's boot loader speaks before it does.
        sim.kill(B);
        sim.inject(A, BOOT_TEXT);
        sim.run(30);
        sim.restart(B);
        sim.run(100);
        assert!(sim[A].saw(Event::Lost(LostReason::PeerRestarted)));
        assert!(Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established()));
    }
}

#[test]
fn bytes_of_no_intact_frame_are_counted() {
    for chunking in [Chunking::Whole, Chunking::Bytes, Chunking::Random(9)] {
        let line = LineConfig { chunking, ..LineConfig::clean(115_200) };
        let (mut sim, publisher, reader) = one_way(Setup::new(1).line(line));
        sim.establish();
        sim.run(5_000);
        assert_eq!(sim[B].endpoint.stats().skipped, 0, "{chunking:?}");
        sim.inject(B, b"noise");
        sim.run(5_000);
        // With the delimiter that ends it.
        assert_eq!(sim[B].endpoint.stats().skipped, 6, "{chunking:?}");
        sim.record();
        sim[A].publish(publisher, &[7; 50]).unwrap();
        sim.run(5_000);
        assert_eq!((sim[B].app.heard(reader), sim[B].endpoint.stats().skipped), (1, 6));
        let mut frame = sim.lines[0].sent[0].bytes.clone();
        let begin = frame.iter().take_while(|byte| **byte == 0).count();
        let middle = frame.len() / 2;
        frame[middle] ^= if frame[middle] == 1 { 2 } else { 1 };
        sim.inject(B, &frame);
        sim.run(5_000);
        let skipped = (frame.len() - begin) as u32;
        assert!(
            (6 + skipped..=6 + frame.len() as u32).contains(&sim[B].endpoint.stats().skipped),
            "{chunking:?}"
        );
        let skipped = sim[B].endpoint.stats().skipped;
        assert_eq!(sim[A].endpoint.stats().skipped, 0);
        // What the end of a link leaves unfinished counts, too.
        sim.inject(B, b"noise");
        sim.run(1);
        sim.disconnect_side(B);
        sim.connect_side(B);
        assert_eq!(sim[B].endpoint.stats().skipped, skipped + 5, "{chunking:?}");
    }
}

#[test]
fn a_damaged_frame_is_one_damaged_frame() {
    for_seeds(30, |seed, mut rng| {
        let (mut sim, publisher, reader) = one_way(Setup::new(seed));
        sim.establish();
        let before = sim[B].endpoint.stats();
        for round in 0..10 {
            sim.lines[0].config.bit_error = 0.01;
            sim[A].publish(publisher, &rng.bytes(50)).unwrap();
            sim.run(0);
            sim.lines[0].config.bit_error = 0.0;
            sim.run(600);
            assert_eq!(sim[B].app.heard(reader), round + 1);
        }
        let after = sim[B].endpoint.stats();
        let damaged =
            after.check_failures - before.check_failures + after.framing_errors - before.framing_errors;
        // A flipped bit may make two frames of one, never more than that.
        assert!(damaged <= 2 * 10, "{damaged} for 10 frames");
    });
}

#[test]
fn a_wrong_baud_rate_is_diagnosed_once() {
    for_seeds(20, |seed, mut rng| {
        let (mut sim, ..) = one_way(Setup::new(seed));
        sim.connect_side(A);
        for _ in 0..100 {
            let len = rng.between(5, 60) as usize;
            sim.inject(A, &rng.bytes(len));
            sim.run(100);
        }
        let told = diagnoses(&sim, A);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!((16..2_000).contains(&told[0]), "{told:?}");
        let (at, _) =
            *sim[A].app.events.iter().find(|(_, event)| matches!(event, Event::Diagnosis(_))).unwrap();
        assert!(at < 1_300_000, "{at}");
        // Somebody corrects the rate.
        sim.connect_side(B);
        assert!(sim.run_until(3_000, |sim| sim[A].endpoint.is_established()));
        sim.run(10_000);
        assert_eq!(diagnoses(&sim, A).len(), 1);
    });
}

#[test]
fn a_quiet_or_healthy_line_is_not_diagnosed() {
    let (mut sim, ..) = one_way(Setup::new(1));
    sim.connect_side(A);
    sim.run(10_000);
    sim.inject(A, b"boot");
    sim.run(10_000);
    sim.connect_side(B);
    sim.run(10_000);
    assert!(Who::BOTH.iter().all(|who| diagnoses(&sim, *who).is_empty()));
}

#[test]
fn silence_is_noticed_after_three_seconds_and_the_line_may_return() {
    for outage in [3_100, 5_000, 12_000, 60_000] {
        let (mut sim, publisher, reader) = one_way(Setup::new(outage));
        sim.establish();
        sim.run(10_000);
        sim.cut(true);
        let cut_at = sim.now;
        sim.run(outage);
        for who in Who::BOTH {
            let noticed = Event::Degraded(LostReason::Silence);
            let silent = sim[who].app.events.iter().find(|(_, event)| *event == noticed);
            let (at, _) = *silent.expect("the silence was noticed");
            // The last frame came within the ping interval before the cut.
            assert!((1_900_000..=3_000_000).contains(&(at - cut_at)), "{who:?} {}", at - cut_at);
            assert_eq!(sim[who].app.count(noticed), 1, "told once");
            let given_up = usize::from(outage > 13_000);
            assert_eq!(sim[who].app.count(Event::Lost(LostReason::Silence)), given_up, "after 10 s more");
        }
        sim.cut(false);
        let back = |sim: &Sim| Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established());
        assert!(sim.run_until(1_500, back), "the line has returned");
        let resumed = Event::Established { resumed: true };
        assert!(Who::BOTH.iter().all(|who| sim[*who].app.count(resumed) == usize::from(outage < 13_000)));
        assert!(sim.run_until(1_000, |sim| sim[A].has_audience(publisher)));
        sim[A].publish(publisher, b"again").unwrap();
        sim.run(100);
        assert_eq!(sim[B].app.payloads(reader), [b"again"]);
    }
}

#[test]
fn a_short_outage_is_no_silence() {
    for_seeds(20, |seed, mut rng| {
        let (mut sim, publisher, reader) = one_way(Setup::new(seed));
        sim.establish();
        sim[A].feed(Feed::new(publisher, 100, (4, 30)));
        sim.run(rng.below(30));
        sim.cut(true);
        sim.run(rng.between(100, 1_500));
        sim.cut(false);
        assert!(sim.run_until(10_000, |sim| sim[B].app.heard(reader) == 100));
        assert_eq!(sim[B].app.numbers(reader), (0..100).collect::<Vec<_>>());
        assert!(Who::BOTH.iter().all(|who| !sim[*who].saw(Event::Lost(LostReason::Silence))));
    });
}

#[test]
fn one_direction_that_dies_is_noticed_by_both() {
    let (mut sim, ..) = one_way(Setup::new(1));
    sim.establish();
    sim.run(5_000);
    sim.lines[0].cut = true;
    let both = |sim: &Sim| Who::BOTH.iter().all(|who| !sim[*who].endpoint.is_established());
    assert!(sim.run_until(7_000, both), "each side must notice that nobody hears it, or nobody speaks");
    sim.lines[0].cut = false;
    sim.run(3_000);
    assert!(Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established()));
}

#[test]
fn frames_of_any_size_fit_any_peer() {
    let sizes = [Sizes::SMALLEST, Sizes::BOARD, Sizes::PC];
    for a in sizes {
        for b in sizes {
            let mut setup = Setup::new(1);
            setup.sizes = [a, b];
            let mut sim = setup.build();
            let there = sim[A].intent(&COMMAND, IntentOptions::reliable());
            let reader = sim[B].interest(&COMMAND, InterestOptions::default());
            let back = sim[B].intent(&IMU, IntentOptions::best_effort());
            let sampler = sim[A].interest(&IMU, InterestOptions::default());
            sim.establish();
            for (who, intent, interest) in [(A, there, reader), (B, back, sampler)] {
                let limit = sim[who].endpoint.payload_limit(sim[who].id(intent)).unwrap();
                let too_large = sim[who].publish(intent, &vec![0; limit + 1]);
                assert_eq!(too_large, Err(nb::Error::Other(PublishError::TooLarge { limit })));
                for len in [0, 1, limit / 2, limit] {
                    let payload = Rng::new(len as u64).bytes(len);
                    sim[who].publish(intent, &payload).unwrap();
                    sim.run(1_000);
                    let payloads = sim[who.other()].app.payloads(interest);
                    assert_eq!(payloads.last(), Some(&&payload[..]), "{a:?} {b:?} {len}");
                }
            }
            assert!(Who::BOTH.iter().all(|who| sim[*who].endpoint.stats().malformed == 0));
        }
    }
}

#[test]
fn any_chunking_is_the_same_to_the_endpoint() {
    for chunking in [Chunking::Whole, Chunking::Bytes, Chunking::Random(3), Chunking::Random(200)] {
        for stream in [false, true] {
            let line = LineConfig { chunking, ..LineConfig::clean(115_200) };
            let setup = Setup::new(1).line(line);
            let (mut sim, publisher, reader) = one_way(if stream { setup.stream() } else { setup });
            sim.establish();
            sim[A].feed(Feed::new(publisher, 300, (4, 50)));
            sim[B].reads(reader, Reading::Always);
            assert!(sim.run_until(30_000, |sim| sim[B].app.heard(reader) == 300));
            assert_eq!(sim[B].app.numbers(reader), (0..300).collect::<Vec<_>>());
        }
    }
}
