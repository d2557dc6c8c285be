//! Routes that keep their newest message for whoever comes.

use std::time::Duration;

use tieline::{FailReason, History, IntentOptions, InterestOptions, PublishOptions};
use tieline_tests::names::TEMPERATURE;
use tieline_tests::{A, B, Handle, Reading, Setup, Sim, Who};

const KEPT: IntentOptions = IntentOptions { history: History::Latest, ..IntentOptions::reliable() };
const KEPT_BEST_EFFORT: IntentOptions =
    IntentOptions { history: History::Latest, ..IntentOptions::best_effort() };

fn sim(options: IntentOptions) -> (Sim, Handle, Handle) {
    let mut sim = Setup::new(1).build();
    let publisher = sim[A].intent(&TEMPERATURE, options);
    let reader = sim[B].interest(&TEMPERATURE, InterestOptions::default());
    (sim, publisher, reader)
}

#[test]
fn what_was_published_before_anybody_came_is_given_to_who_comes() {
    for options in [KEPT, KEPT_BEST_EFFORT] {
        let (mut sim, publisher, reader) = sim(options);
        assert_eq!(sim[A].publish(publisher, b"old"), Ok(None));
        assert_eq!(sim[A].publish(publisher, b"new"), Ok(None), "kept for whoever comes: no ticket");
        sim.establish();
        assert_eq!(sim[B].app.payloads(reader), [b"new"]);
        assert_eq!(sim[A].app.ends(), (0, vec![], 0));
    }
}

#[test]
fn an_interest_that_comes_back_is_given_the_newest_once() {
    for options in [KEPT, KEPT_BEST_EFFORT] {
        let (mut sim, publisher, reader) = sim(options);
        sim.establish();
        sim[A].publish(publisher, b"one").unwrap();
        sim.run(100);
        sim[B].withdraw(reader);
        sim.run(500);
        sim[B].redeclare(reader).unwrap();
        sim.run(2_000);
        assert_eq!(sim[B].app.payloads(reader), [b"one", b"one"]);
    }
}

#[test]
fn a_reader_that_restarts_is_given_the_newest() {
    for options in [KEPT, KEPT_BEST_EFFORT] {
        let (mut sim, publisher, reader) = sim(options);
        sim.establish();
        sim[A].publish(publisher, b"one").unwrap();
        sim.run(100);
        sim.restart(B);
        sim.run(3_000);
        assert_eq!(sim[B].app.payloads(reader), [b"one", b"one"]);
    }
}

#[test]
fn a_session_that_goes_on_gives_nothing_again() {
    for options in [KEPT, KEPT_BEST_EFFORT] {
        let (mut sim, publisher, reader) = sim(options);
        sim.establish();
        sim[A].publish(publisher, b"one").unwrap();
        sim.run(100);
        Who::BOTH.into_iter().for_each(|who| sim.disconnect_side(who));
        sim.run(500);
        sim.connect();
        sim.run(3_000);
        assert_eq!(sim[B].app.payloads(reader), [b"one"]);
    }
}

#[test]
fn a_newer_sample_takes_the_place_of_one_that_was_not_sent() {
    let (mut sim, publisher, reader) = sim(KEPT);
    sim.establish();
    // The line is taken by the first one's frame.
    for text in [b"1", b"2", b"3"] {
        sim[A].publish(publisher, text).unwrap();
    }
    sim.run(500);
    let (delivered, failed, open) = sim[A].app.ends();
    assert_eq!((failed, open), (vec![FailReason::Superseded; 2], 0));
    assert_eq!(delivered, 1);
    assert_eq!(sim[B].app.payloads(reader), [b"3"]);
}

#[test]
fn samples_that_are_published_without_a_link_are_not_queued() {
    let (mut sim, publisher, reader) = sim(KEPT);
    sim.establish();
    sim.disconnect_side(A);
    for number in 0..50u8 {
        sim[A].publish(publisher, &[number]).unwrap();
        sim.run(10);
    }
    sim.connect_side(A);
    sim.run(3_000);
    assert_eq!(sim[B].app.payloads(reader), [[49]]);
    let (delivered, failed, open) = sim[A].app.ends();
    assert_eq!((delivered, failed, open), (1, vec![FailReason::Superseded; 49], 0));
}

#[test]
fn a_slow_reader_of_samples_ends_with_the_newest() {
    let mut sim = Setup::new(1).build();
    let publisher = sim[A].intent(&TEMPERATURE, KEPT);
    let reader = sim[B].interest(&TEMPERATURE, InterestOptions { window: Some(24), ..Default::default() });
    sim[B].reads(reader, Reading::Every(100));
    sim.establish();
    let mut taken = Vec::new();
    for number in 0..100u8 {
        if sim[A].publish(publisher, &[number]).is_ok() {
            taken.push(number);
        }
        sim.run(10);
    }
    sim.run(1_000);
    let read: Vec<_> = sim[B].app.payloads(reader).into_iter().map(|payload| payload[0]).collect();
    assert_eq!(read.last(), taken.last());
    assert!(read.is_sorted_by(|a, b| a < b), "{read:?}");
}

#[test]
fn a_sample_whose_time_is_over_is_given_to_nobody() {
    let (mut sim, publisher, reader) = sim(KEPT);
    let options = PublishOptions { expires: Some(Duration::from_millis(100)) };
    let now = sim.now;
    sim[A].publish_with(now, publisher, b"old", options).unwrap();
    sim.run(200);
    sim.establish();
    assert!(sim[B].app.payloads(reader).is_empty());
}

#[test]
fn a_withdrawn_intent_keeps_nothing() {
    let (mut sim, publisher, reader) = sim(KEPT);
    sim[A].publish(publisher, b"gone").unwrap();
    sim[A].withdraw(publisher);
    sim[A].redeclare(publisher).unwrap();
    sim.establish();
    assert!(sim[B].app.payloads(reader).is_empty());
}
