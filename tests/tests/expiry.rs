//! Messages that are worth delivering for a while only.

use std::time::Duration;

use tieline::{Event, FailReason, IntentOptions, InterestOptions, PublishError, PublishOptions};
use tieline_tests::names::{COMMAND, IMU};
use tieline_tests::{A, B, Handle, Reading, Setup, Sim};

const fn lives(ms: u64) -> PublishOptions {
    PublishOptions { expires: Some(Duration::from_millis(ms)) }
}

/// A publishes to B.
fn one_way(options: IntentOptions) -> (Sim, Handle, Handle) {
    let mut sim = Setup::new(1).build();
    let publisher = sim[A].intent(&COMMAND, options);
    let reader = sim[B].interest(&COMMAND, InterestOptions { window: Some(200), ..Default::default() });
    sim.establish();
    (sim, publisher, reader)
}

fn publish(sim: &mut Sim, publisher: Handle, payload: &[u8], ms: u64) -> Result<(), PublishError> {
    let now = sim.now;
    match sim[A].publish_with(now, publisher, payload, lives(ms)) {
        Ok(_) => Ok(()),
        Err(nb::Error::Other(error)) => Err(error),
        Err(nb::Error::WouldBlock) => panic!("no room"),
    }
}

#[test]
fn what_is_taken_in_its_time_is_delivered() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    publish(&mut sim, publisher, b"soon", 50).unwrap();
    sim.run(100);
    assert_eq!(sim[B].app.payloads(reader), [b"soon"]);
    assert_eq!(sim[A].app.ends(), (1, vec![], 0));
}

#[test]
fn what_the_reader_does_not_take_in_time_is_never_read_and_its_sender_is_told_why() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim[B].reads(reader, Reading::Never);
    publish(&mut sim, publisher, b"short", 50).unwrap();
    sim[A].publish(publisher, b"for ever").unwrap();
    sim.run(500);
    assert_eq!(sim[A].app.ends(), (0, vec![FailReason::Expired], 1));
    sim[B].reads(reader, Reading::Always);
    sim.run(500);
    assert_eq!(sim[B].app.payloads(reader), [b"for ever"]);
    assert_eq!(sim[A].app.ends(), (1, vec![FailReason::Expired], 0));
}

#[test]
fn what_waits_for_the_line_ends_when_its_time_is_over_and_is_not_sent() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim.disconnect_side(A);
    publish(&mut sim, publisher, b"waits", 50).unwrap();
    sim.run(49);
    assert_eq!(sim[A].app.ends().2, 1);
    sim.run(2);
    assert_eq!(sim[A].app.ends(), (0, vec![FailReason::Expired], 0));
    sim.connect_side(A);
    sim.run(3_000);
    assert!(sim[B].app.payloads(reader).is_empty());
}

#[test]
fn room_that_expired_messages_held_is_free_again() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim[B].reads(reader, Reading::Never);
    let now = sim.now;
    while sim[A].publish_with(now, publisher, &[7; 20], lives(100)).is_ok() {}
    sim.run(1_000);
    let (delivered, failed, open) = sim[A].app.ends();
    assert_eq!((delivered, open), (0, 0));
    assert!(failed.len() >= 5 && failed.iter().all(|reason| *reason == FailReason::Expired), "{failed:?}");
    publish(&mut sim, publisher, &[8; 20], 100).unwrap();
    sim[B].reads(reader, Reading::Always);
    sim.run(50);
    assert_eq!(sim[B].app.payloads(reader), [[8; 20]]);
}

/// The life that a repeated frame tells is what is left of it: 0, if it is over.
#[test]
fn what_is_repeated_after_its_time_is_not_read() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim.line_from(A).losses.extend([true; 4]);
    publish(&mut sim, publisher, b"late", 30).unwrap();
    sim.run(3_000);
    assert!(sim[B].app.payloads(reader).is_empty(), "read after its time");
    assert_eq!(sim[A].app.ends(), (0, vec![FailReason::Expired], 0));
    assert!(!sim[A].app.states().iter().any(|event| matches!(event, Event::Lost(_))));
}

#[test]
fn best_effort_messages_whose_time_is_over_are_counted() {
    let mut sim = Setup::new(1).build();
    let publisher = sim[A].intent(&IMU, IntentOptions::best_effort());
    let reader = sim[B].interest(&IMU, InterestOptions::default());
    sim.establish();
    sim[B].reads(reader, Reading::Never);
    publish(&mut sim, publisher, b"sample", 50).unwrap();
    sim.run(200);
    sim[B].reads(reader, Reading::Always);
    sim.run(10);
    assert!(sim[B].app.payloads(reader).is_empty());
    assert_eq!(sim[B].endpoint.stats().expired, 1);
}

#[test]
fn a_message_that_expires_costs_four_bytes_more_of_the_window() {
    let (mut sim, publisher, _) = one_way(IntentOptions::reliable());
    assert_eq!(publish(&mut sim, publisher, &[0; 189], 50), Err(PublishError::TooLarge { limit: 188 }));
    publish(&mut sim, publisher, &[0; 188], 50).unwrap();
}
