//! What PING and PONG measure, and that they keep a session alive.

use std::time::Duration;

use tieline::{Event, IntentOptions, InterestOptions, LostReason};
use tieline_tests::names::{COMMAND, IMU};
use tieline_tests::{A, B, Chunking, Feed, LineConfig, Setup, Sim, Who, for_seeds};

/// How far the clock of `who`'s peer is ahead of its own, µs.
fn offset(sim: &Sim, who: Who) -> i64 {
    let clock = |who: Who| sim[who].clock(sim.now).as_micros();
    clock(who.other()).wrapping_sub(clock(who)) as i64
}

#[test]
fn the_round_trip_time_is_that_of_the_line() {
    for baud in [115_200, 921_600, 3_000_000] {
        for delay_us in [0, 500, 5_000, 50_000] {
            let line = LineConfig { delay_us, ..LineConfig::clean(baud) };
            let mut sim = Setup::new(1).line(line).build();
            sim.establish();
            sim.run(20_000);
            for who in Who::BOTH {
                let rtt = sim[who].endpoint.rtt();
                assert!((20..=23).contains(&rtt.samples), "{}", rtt.samples);
                // On the line are a frame with PING and one with PONG, ACK and maybe PING: 12 to 30 bytes each.
                let byte_us = 10_000_000 / u64::from(baud) + 1;
                let least = Duration::from_micros(2 * delay_us + 20 * (byte_us - 1));
                let most = Duration::from_micros(2 * delay_us + 70 * byte_us);
                for value in [rtt.last, rtt.min, rtt.mean] {
                    assert!((least..=most).contains(&value), "{who:?} {baud} {delay_us}: {rtt:?}");
                }
                // Percentiles are rounded up to half an octave.
                for value in [rtt.p50, rtt.p99] {
                    assert!(value >= least && value <= most * 3 / 2, "{who:?} {baud} {delay_us}: {rtt:?}");
                }
                assert!(rtt.jitter <= most - least, "{rtt:?}");
                if delay_us >= 5_000 {
                    let error = rtt.mean.as_micros().abs_diff(u128::from(2 * delay_us));
                    assert!(
                        error <= u128::from(delay_us) / 5 || baud == 115_200,
                        "within a few percent: {rtt:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_peers_clock_is_known_within_a_few_percent_of_the_round_trip() {
    for (ours, theirs) in
        [(0, 0), (0, 5_000_000), (1 << 40, 7), (3, u64::from(u32::MAX) - 5_000_000), (0, 1 << 50)]
    {
        for delay_us in [500, 5_000, 50_000] {
            let line = LineConfig { delay_us, ..LineConfig::clean(921_600) };
            let mut sim = Setup { clock_us: [ours, theirs], ..Setup::new(1).line(line) }.build();
            sim.establish();
            sim.run(15_000);
            for who in Who::BOTH {
                let rtt = sim[who].endpoint.rtt();
                let error = (rtt.clock_offset_us - offset(&sim, who)).unsigned_abs();
                assert!(
                    error <= rtt.min.as_micros() as u64 / 20 + 150,
                    "{who:?} {delay_us}: off by {error} µs"
                );
            }
        }
    }
}

#[test]
fn the_clock_of_a_peer_that_restarts_is_learnt_again() {
    let mut sim = Sim::new(1);
    sim.establish();
    sim.run(100_000);
    sim.restart(B);
    sim.run(5_000);
    let error = (sim[A].endpoint.rtt().clock_offset_us - offset(&sim, A)).unsigned_abs();
    assert!(error < 2_000, "{error}");
    assert!(sim[A].endpoint.rtt().samples < 10, "measurements begin anew with the session");
}

#[test]
fn a_busy_line_is_measured_as_well() {
    let mut sim = Sim::new(1);
    let there = sim[A].intent(&COMMAND, IntentOptions::reliable());
    let back = sim[B].intent(&IMU, IntentOptions::best_effort());
    let window = InterestOptions { window: Some(400), ttl: None, rate: None };
    sim[B].interest(&COMMAND, window);
    sim[A].interest(&IMU, window);
    sim.establish();
    sim[A].feed(Feed::new(there, u32::MAX, (100, 200)));
    sim[B].feed(Feed::new(back, u32::MAX, (100, 200)));
    sim.run(30_000);
    for who in Who::BOTH {
        let rtt = sim[who].endpoint.rtt();
        assert!(rtt.samples >= 25);
        // Two frames of 256 bytes, and one that is under way.
        assert!(rtt.p99 < Duration::from_millis(100), "{rtt:?}");
        let error = (rtt.clock_offset_us - offset(&sim, who)).unsigned_abs();
        assert!(error <= rtt.mean.as_micros() as u64, "{error} {rtt:?}");
    }
}

#[test]
fn keep_alives_hold_a_session_on_a_slow_or_bad_line() {
    for_seeds(20, |seed, mut rng| {
        let baud = [1_200, 9_600, 115_200][rng.index(3)];
        let line = LineConfig {
            frame_loss: 0.1,
            delay_us: rng.below(200_000),
            chunking: Chunking::Random(8),
            ..LineConfig::clean(baud)
        };
        let mut sim = Setup::new(seed).line(line).build();
        sim.connect();
        assert!(sim.run_until(20_000, |sim| Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established())));
        Who::BOTH.iter().for_each(|who| sim[*who].app.forget());
        sim.run(60_000);
        let lost = Event::Lost(LostReason::Silence);
        assert!(Who::BOTH.iter().all(|who| !sim[*who].saw(lost)), "{baud} bit/s");
    });
}

#[test]
fn intervals_may_differ_from_side_to_side() {
    let mut setup = Setup::new(1);
    setup.config[0].ping_interval = Duration::from_millis(100);
    setup.config[0].silence = Duration::from_secs(5);
    setup.config[1].ping_interval = Duration::from_secs(2);
    setup.config[1].silence = Duration::from_millis(500);
    let mut sim = setup.build();
    sim.establish();
    Who::BOTH.iter().for_each(|who| sim[*who].app.forget());
    sim.run(60_000);
    assert!((590..=610).contains(&sim[A].endpoint.rtt().samples));
    // Not every 2 s: A's patience of 5 s shall survive two lost ones.
    assert!((34..=38).contains(&sim[B].endpoint.rtt().samples));
    assert!(Who::BOTH.iter().all(|who| sim[*who].app.states().is_empty()));
    // Each notices silence after its own time.
    sim.cut(true);
    let begin = sim.now;
    assert!(sim.run_until(600, |sim| sim[B].saw(Event::Degraded(LostReason::Silence))));
    assert!(sim.run_until(6_000, |sim| sim[A].saw(Event::Degraded(LostReason::Silence))));
    assert!(sim.now - begin > 4_000_000);
}
