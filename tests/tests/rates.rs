//! Rate limits of intents and interests.

use tieline::{DeclareError, IntentOptions, InterestOptions, PublishOptions, Rate};
use tieline_tests::names::{CHAT, COMMAND, EIGHT, IMU};
use tieline_tests::{A, B, Feed, Reading, Setup, Sim};

const TEN: Option<Rate> = Some(Rate { per_second: 10, burst: 3 });

fn sim() -> Sim {
    let mut sim = Setup::new(1).build();
    sim[A].app.tells_time = true;
    sim[B].app.tells_time = true;
    sim
}

/// No second holds more than the burst and what the rate adds.
fn keeps_ten(times: &[u64]) {
    for (at, begin) in times.iter().enumerate() {
        let count = times[at..].iter().filter(|end| **end - begin < 1_000_000).count();
        assert!(count <= 3 + 10, "{count} within a second of {begin} µs");
    }
}

#[test]
fn an_intent_with_a_rate_refuses_what_comes_too_early_and_loses_nothing() {
    for options in [IntentOptions::reliable(), IntentOptions::best_effort()] {
        let mut sim = sim();
        let publisher = sim[A].intent(&COMMAND, IntentOptions { rate: TEN, ..options });
        let reader = sim[B].interest(&COMMAND, InterestOptions::default());
        sim.establish();
        sim[A].feed(Feed::new(publisher, 40, (8, 8)));
        sim.run(5_000);
        let times: Vec<_> = sim[A].app.fates.iter().map(|fate| fate.at).collect();
        keeps_ten(&times);
        assert_eq!(sim[B].app.numbers(reader), (0..40).collect::<Vec<_>>());
        let took = times[39] - times[0];
        assert!(
            (3_600_000..3_800_000).contains(&took),
            "40 take 3.7 s: a burst of 3, the rest at 10/s: {took}"
        );
    }
}

#[test]
fn a_refused_message_may_be_published_as_soon_as_its_time_has_come() {
    let mut sim = sim();
    let rate = Some(Rate { per_second: 10, burst: 1 });
    let publisher = sim[A].intent(&COMMAND, IntentOptions { rate, ..IntentOptions::reliable() });
    sim[B].interest(&COMMAND, InterestOptions::default());
    sim.establish();
    // Without the time a message counts as of the newest time that the endpoint was told.
    let publish = |sim: &mut Sim| {
        let now = sim.now;
        sim[A].publish_with(now, publisher, b"message", PublishOptions::default()).map(drop)
    };
    assert_eq!(publish(&mut sim), Ok(()));
    assert_eq!(publish(&mut sim), Err(nb::Error::WouldBlock));
    sim.run(99);
    assert_eq!(publish(&mut sim), Err(nb::Error::WouldBlock));
    sim.run(1);
    assert_eq!(publish(&mut sim), Ok(()));
}

#[test]
fn an_interest_with_a_rate_slows_reliable_messages_and_loses_none() {
    let mut sim = sim();
    let publisher = sim[A].intent(&COMMAND, IntentOptions::reliable());
    let reader =
        sim[B].interest(&COMMAND, InterestOptions { window: Some(100), rate: TEN, ..Default::default() });
    sim.establish();
    sim[A].feed(Feed::new(publisher, 40, (8, 8)));
    sim.run(5_000);
    keeps_ten(&sim[B].app.received.iter().map(|message| message.at).collect::<Vec<_>>());
    assert_eq!(sim[B].app.numbers(reader), (0..40).collect::<Vec<_>>());
    assert_eq!(sim[A].app.ends(), (40, vec![], 0));
}

#[test]
fn an_interest_with_a_rate_drops_best_effort_beyond_it_and_counts_that() {
    let mut sim = sim();
    let publisher = sim[A].intent(&IMU, IntentOptions::best_effort());
    let reader = sim[B].interest(&IMU, InterestOptions { rate: TEN, ..Default::default() });
    sim.establish();
    sim[A].feed(Feed::new(publisher, 100, (8, 8)).every(20));
    sim.run(4_000);
    keeps_ten(&sim[B].app.received.iter().map(|message| message.at).collect::<Vec<_>>());
    let read = sim[B].app.numbers(reader).len();
    assert!((20..=23).contains(&read), "2 s at 10/s and a burst of 3: {read}");
    let stats = sim[B].endpoint.stats();
    assert_eq!(stats.dropped_too_fast as usize, 100 - read);
    assert_eq!((stats.best_effort.received, stats.best_effort.lost), (100, 0));
}

#[test]
fn a_slow_route_does_not_slow_the_others() {
    let mut sim = sim();
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let slow = sim[A].intent(&COMMAND, IntentOptions { rate, ..IntentOptions::reliable() });
    let fast = sim[A].intent(&CHAT, IntentOptions::reliable());
    sim[B].interest(&COMMAND, InterestOptions { rate, ..Default::default() });
    let reader = sim[B].interest(&CHAT, InterestOptions::default());
    sim.establish();
    sim[A].feed(Feed::new(slow, 5, (8, 8)));
    sim[A].feed(Feed::new(fast, 200, (8, 8)));
    sim.run(2_000);
    assert_eq!(sim[B].app.numbers(reader).len(), 200);
}

#[test]
fn a_rate_is_kept_for_a_reader_that_pauses() {
    let mut sim = sim();
    let publisher = sim[A].intent(&COMMAND, IntentOptions::reliable());
    let reader =
        sim[B].interest(&COMMAND, InterestOptions { window: Some(200), rate: TEN, ..Default::default() });
    sim[B].reads(reader, Reading::Never);
    sim.establish();
    sim[A].feed(Feed::new(publisher, 12, (8, 8)));
    sim.run(1_000);
    sim[B].reads(reader, Reading::Always);
    sim.run(10);
    assert_eq!(sim[B].app.numbers(reader).len(), 3, "the burst, not the backlog");
}

#[test]
fn there_are_as_many_limiters_as_places() {
    let mut sim = Setup::new(1).build();
    for name in &EIGHT {
        sim[A].intent(name, IntentOptions { rate: TEN, ..IntentOptions::reliable() });
    }
    let options = InterestOptions { rate: TEN, window: Some(20), ..Default::default() };
    assert_eq!(
        sim[A].endpoint.declare_interest(&EIGHT[0], options),
        Err(DeclareError::NoLimiter { limit: 8 })
    );
}
