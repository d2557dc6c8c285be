//! Round trips that change: what is sent twice because of that, and how fast a line with losses stays.

use tieline::{IntentOptions, InterestOptions, Link};
use tieline_tests::names::COMMAND;
use tieline_tests::{A, B, Feed, Handle, LineConfig, Setup, Sim, Sizes};

const SIZES: Sizes = Sizes { frame: 1_400, rx: 65_536, tx: 65_536, routes: 4, requests: 1 };
/// So fast that latency matters most.
const BAUD: u32 = 10_000_000;
const DATAGRAMS: Link = Link::datagram(SIZES.frame);
/// How long the time-out may take to follow, ms.
const SETTLING_MS: u64 = 2_500;

/// A publishes to B, a message every so many ms; 0: as fast as they go. The line has this round trip, ms.
fn flow(seed: u64, link: Link, round_trip: u64, size: usize, every_ms: u64) -> (Sim, Handle) {
    let line = LineConfig { delay_us: round_trip * 500, ..LineConfig::clean(BAUD) };
    let mut sim = Setup { line, link, ..Setup::new(seed).sizes(SIZES) }.build();
    let publisher = sim[A].intent(&COMMAND, IntentOptions { tickets: false, ..IntentOptions::reliable() });
    let reader = sim[B].interest(&COMMAND, InterestOptions { window: Some(32_000), ..Default::default() });
    sim[B].counts_only(reader);
    sim.establish();
    sim[A].feed(Feed::new(publisher, u32::MAX, (size, size)).every(every_ms));
    (sim, reader)
}

/// Messages that came in so many ms, and packets that were sent again meanwhile.
fn measure(sim: &mut Sim, reader: Handle, ms: u64) -> (usize, u32) {
    let before = (sim[B].app.heard(reader), sim[A].endpoint.stats().retransmitted);
    sim.run(ms);
    (sim[B].app.heard(reader) - before.0, sim[A].endpoint.stats().retransmitted - before.1)
}

#[test]
fn nothing_is_sent_twice_for_long_when_round_trips_grow() {
    for link in [DATAGRAMS, Link::serial(BAUD)] {
        for (size, every_ms) in [(1_000, 0), (100, 5), (100, 70), (100, 250)] {
            let (mut sim, reader) = flow(1, link, 1, size, every_ms);
            sim.run(2_000);
            for round_trip in [1, 100, 300, 5, 700] {
                sim.set_line(|line| line.delay_us = round_trip * 500);
                sim.run(SETTLING_MS);
                let (heard, again) = measure(&mut sim, reader, 3_000);
                assert!(heard > 0);
                assert_eq!(
                    again, 0,
                    "of {heard}, {size} bytes every {every_ms} ms, at {round_trip} ms, {:?}",
                    link.framing
                );
            }
        }
    }
}

#[test]
fn what_is_lost_meanwhile_is_sent_again_and_hardly_more() {
    for seed in 0..2 {
        let (mut sim, reader) = flow(seed, DATAGRAMS, 1, 100, 5);
        sim.set_line(|line| line.frame_loss = 0.01);
        for round_trip in [1, 100, 300, 5, 100] {
            sim.set_line(|line| line.delay_us = round_trip * 500);
            sim.run(SETTLING_MS);
            let (heard, again) = measure(&mut sim, reader, 10_000);
            assert!(again as usize <= heard / 10, "{again} of {heard} again at {round_trip} ms, seed {seed}");
        }
    }
}

/// Messages of 1000 bytes that get through in 10 s, as fast as they go: a tenth less than what was measured.
#[test]
fn a_line_that_loses_datagrams_stays_fast() {
    for (round_trip, loss, least) in [(20, 5e-2, 6_200), (100, 1e-2, 2_200), (100, 5e-2, 1_550)] {
        for seed in 0..2 {
            let (mut sim, reader) = flow(seed, DATAGRAMS, round_trip, 1_000, 0);
            sim.set_line(|line| line.frame_loss = loss);
            let (heard, _) = measure(&mut sim, reader, 10_000);
            assert!(heard >= least, "{heard} at {round_trip} ms and {loss}, seed {seed}");
        }
    }
}
