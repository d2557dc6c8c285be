//! Tickets: each reliable message ends exactly once, as delivered or failed, for the reason that is true.

use std::collections::HashMap;

use tieline::{Event, FailReason, IntentOptions, InterestOptions, LostReason, PublishError};
use tieline_tests::names::{COMMAND, EIGHT};
use tieline_tests::{A, B, Feed, Handle, LineConfig, Reading, Setup, Sim, Who, for_seeds};

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

#[test]
fn tickets_end_with_the_reason() {
    // The peer restarts: what it had not taken is in doubt, what was never sent is certain.
    let (mut sim, publisher, reader) = one_way(Setup::new(1), window(200));
    sim[B].reads(reader, Reading::Never);
    sim.establish();
    for _ in 0..3 {
        sim[A].publish(publisher, b"0123456789").unwrap();
    }
    sim.run(100);
    sim.kill(B);
    sim[A].publish(publisher, b"in doubt").unwrap();
    sim.run(5);
    // A is given no line for these.
    sim.lines[0].config.baud = 10;
    sim[A].publish(publisher, b"holds the line").unwrap();
    sim.run(1);
    sim[A].publish(publisher, b"not sent").unwrap();
    sim[A].publish(publisher, b"not sent").unwrap();
    sim.lines[0].config.baud = 115_200;
    sim.restart(B);
    assert!(sim.run_until(200_000, |sim| sim[A].app.ends().2 == 0));
    let (delivered, failed, _) = sim[A].app.ends();
    assert_eq!(delivered, 0);
    let count = |wanted| failed.iter().filter(|reason| **reason == wanted).count();
    // The line was blocked for longer than the silence: either the restart or the silence is the reason.
    let in_doubt = count(FailReason::PeerRestarted) + count(FailReason::SessionLost);
    assert_eq!((in_doubt, count(FailReason::NotSent)), (5, 2), "{failed:?}");
}

#[test]
fn a_restart_fails_what_was_not_taken() {
    let (mut sim, publisher, reader) = one_way(Setup::new(1), window(200));
    sim.establish();
    sim[A].publish(publisher, b"taken").unwrap();
    sim.run(100);
    sim[B].reads(reader, Reading::Never);
    sim[A].publish(publisher, b"stored").unwrap();
    sim.run(100);
    sim.restart(B);
    sim.run(500);
    assert_eq!(sim[A].app.ends(), (1, vec![FailReason::PeerRestarted], 0));
    assert!(sim[A].saw(Event::Lost(LostReason::PeerRestarted)));
}

#[test]
fn silence_fails_what_was_not_taken() {
    let (mut sim, publisher, _) = one_way(Setup::new(1), window(400));
    sim.establish();
    sim.cut(true);
    sim[A].publish(publisher, b"into the void").unwrap();
    sim.run(4_000);
    assert_eq!(sim[A].app.ends(), (0, vec![], 1), "the line may come back");
    sim.run(10_000);
    assert_eq!(sim[A].app.ends(), (0, vec![FailReason::SessionLost], 0));
    assert_eq!(sim[A].publish(publisher, b"x"), Err(nb::Error::Other(PublishError::Disconnected)));
}

#[test]
fn a_withdrawn_interest_fails_what_was_not_taken() {
    let (mut sim, publisher, reader) = one_way(Setup::new(1), window(400));
    sim[B].reads(reader, Reading::Never);
    sim.establish();
    sim[A].publish(publisher, b"stored").unwrap();
    sim.run(100);
    sim[B].withdraw(reader);
    sim[A].publish(publisher, b"crossing the withdrawal").unwrap();
    sim.run(500);
    assert_eq!(sim[A].app.ends(), (0, vec![FailReason::NoAudience; 2], 0));
}

#[test]
fn every_ticket_ends_exactly_once_whatever_happens() {
    // That none ends twice is checked by the application itself.
    for_seeds(100, |seed, mut rng| {
        let line = LineConfig::faulty(115_200, &mut rng);
        let mut sim = Setup::new(seed).line(line).build();
        let mut intents = Vec::new();
        let mut interests = Vec::new();
        for (name, from) in EIGHT.iter().take(4).zip([A, A, B, B]) {
            let intent = sim[from].intent(name, SAY);
            let interest = sim[from.other()].interest(name, window(150));
            sim[from].feed(Feed::new(intent, u32::MAX, (4, 40)).every(rng.below(50)));
            sim[from.other()].reads(interest, Reading::Every(rng.between(1, 50)));
            intents.push((from, intent));
            interests.push((from.other(), interest));
        }
        sim.connect();
        for _ in 0..25 {
            sim.run(rng.below(400));
            let (who, handle) = if rng.chance(0.6) { interests[rng.index(4)] } else { intents[rng.index(4)] };
            match rng.below(9) {
                0 => sim.restart(if rng.chance(0.5) { A } else { B }),
                1 => sim.cut(true),
                2 | 3 => sim.cut(false),
                4 => sim.connect_side(who),
                5 => sim[who].app.polls_events = rng.chance(0.5),
                _ => {
                    sim[who].withdraw(handle);
                    sim.run(rng.below(30));
                    // Its place may still be in use for the old one.
                    while sim[who].redeclare(handle).is_err() {
                        sim.run(20);
                    }
                }
            }
        }
        sim.cut(false);
        sim.end_faults();
        for who in Who::BOTH {
            sim[who].app.polls_events = true;
            sim[who].app.feeds.clear();
        }
        sim.run(12_000);
        for who in Who::BOTH {
            assert!(sim[who].endpoint.is_established());
            let (_, _, open) = sim[who].app.ends();
            assert_eq!((open, sim[who].endpoint.undelivered_total()), (0, 0), "{who:?}");
        }
    });
}

#[test]
fn delivered_means_taken_and_failed_for_certain_means_not() {
    // Each message is published once; what the tickets say must agree with what the reader has.
    for_seeds(60, |seed, mut rng| {
        let line = LineConfig::faulty(115_200, &mut rng);
        let (mut sim, publisher, reader) = one_way(Setup::new(seed).line(line), window(200));
        sim[B].reads(reader, Reading::Every(rng.between(1, 40)));
        sim.connect();
        let mut names = HashMap::new();
        let mut number = 0u32;
        for _ in 0..200 {
            sim.run(rng.below(40));
            if sim[A].has_audience(publisher)
                && let Ok(Some(ticket)) = sim[A].publish(publisher, &number.to_le_bytes())
            {
                names.insert(number, (ticket, sim[A].app.sold.len() - 1));
                number += 1;
            }
            if rng.chance(0.01) {
                sim.restart(B);
            }
            if rng.chance(0.01) {
                let cut = rng.chance(0.5);
                sim.cut(cut);
            }
        }
        sim.cut(false);
        sim.end_faults();
        sim.run(20_000);
        let taken = sim[B].app.numbers(reader);
        assert!(taken.is_sorted_by(|a, b| a < b), "exactly once and in order: {taken:?}");
        for (number, (ticket, at)) in names {
            let sold = sim[A].app.sold[at];
            assert_eq!(sold.ticket, ticket);
            let was_taken = taken.contains(&number);
            match sold.end.expect("every ticket ends") {
                Ok(()) => assert!(was_taken, "{number} was delivered, they say"),
                Err(FailReason::NotSent) => assert!(!was_taken, "{number} was not sent, they say"),
                Err(_) => {}
            }
        }
    });
}
