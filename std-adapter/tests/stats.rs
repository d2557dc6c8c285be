//! How a connection is doing, and how its peer says it is doing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tieline_std::{CallError, Connection, IntentOptions, Named, Options, Route, Traffic};

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize, Deserialize)]
struct Note(u8, String);

impl Named for Note {
    const TYPE: &'static str = "Note";
}

const NOTES: Route<Note> = Route::new("stats.notes");

#[test]
fn each_route_and_both_sides_are_counted() {
    let (a, b) = Connection::pair(Options::default(), Options::default()).unwrap();
    let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
    let subscriber = b.subscriber(&NOTES).unwrap();
    publisher.wait_audience(LONG).unwrap();
    for number in 0..10 {
        publisher.publish(&Note(number, "four".to_owned())).unwrap();
    }
    for _ in 0..7 {
        subscriber.recv().unwrap();
    }
    // What b has taken is told with the next report of it at the latest.
    let waiting = b.route_stats()[0];
    assert_eq!(waiting.received, Traffic { messages: 7, bytes: 7 * 6 });
    for _ in 0..3 {
        subscriber.recv().unwrap();
    }
    a.flush(LONG).unwrap();
    let sent = a.route_stats()[0];
    assert_eq!(sent.route, *NOTES.name());
    assert_eq!(sent.published, Traffic { messages: 10, bytes: 10 * 6 });
    assert_eq!((sent.delivered, sent.in_doubt, sent.undelivered), (10, 0, 0));

    let ours = b.report();
    let theirs = a.peer_report(LONG).unwrap();
    assert!(theirs.stats.frames_in >= ours.stats.frames_in && ours.stats.frames_in > 0);
    assert!(theirs.rtt.samples >= 1 && theirs.rtt.min > Duration::ZERO, "{theirs:?}");
    assert!(theirs.stats.bytes_in <= a.report().stats.bytes_out);
    // Any number of times, and both ways.
    for _ in 0..100 {
        assert!(b.peer_report(LONG).unwrap().stats.bytes_in > 0);
    }
}

#[test]
fn a_peer_that_answers_nothing_says_so() {
    let silent = Options { requests: 0, ..Options::default() };
    let (a, _b) = Connection::pair(Options::default(), silent).unwrap();
    let error = a.peer_report(LONG).unwrap_err();
    assert!(matches!(error, CallError::Request(_)), "{error}");
}
