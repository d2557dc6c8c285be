//! Handles over an in-process pair: what they promise, from many threads at once.

use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tieline_std::{
    CallError, Connection, Ended, Error, Event, FailReason, Framing, IntentOptions, InterestOptions, Named,
    Options, PublishOptions, Refusal, Route, route,
};

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    number: u64,
    text: String,
}

impl Named for Note {
    const TYPE: &'static str = "Note";
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Double(u32);

impl Named for Double {
    const TYPE: &'static str = "Double";
}

const NOTES: Route<Note> = Route::new("pair.notes");
const ACKS: Route<Note> = Route::new("pair.acks");
const DOUBLE: Route<Double> = Route::new("pair.double");

fn pair() -> (Connection, Connection) {
    let named = |name| Options { name, ..Options::default() };
    Connection::pair(named("a"), named("b")).expect("a pair")
}

fn note(number: u64) -> Note {
    Note { number, text: format!("note {number}") }
}

#[test]
fn both_sides_know_each_other() {
    let (a, b) = pair();
    assert_eq!((a.peer().unwrap().name.as_str(), b.peer().unwrap().name.as_str()), ("b", "a"));
    assert!(matches!(a.events().recv_timeout(LONG), Ok(Event::Established { peer, .. }) if peer == "b"));
    assert!(a.next_rtt(0, LONG).unwrap().samples > 0);
}

#[test]
fn reliable_messages_come_once_and_in_order_both_ways_at_once() {
    const COUNT: u64 = 50_000;
    let (a, b) = pair();
    thread::scope(|scope| {
        for (here, there, route) in [(&a, &b, &NOTES), (&b, &a, &ACKS)] {
            let publisher = here.publisher(route, IntentOptions::reliable()).unwrap();
            let subscriber = there.subscriber(route).unwrap();
            scope.spawn(move || {
                publisher.wait_audience(LONG).unwrap();
                for number in 0..COUNT {
                    publisher.publish(&note(number)).unwrap();
                }
                here.flush(LONG).unwrap();
                let progress = publisher.progress();
                assert_eq!((progress.published, progress.delivered), (COUNT, COUNT));
            });
            scope.spawn(move || {
                for number in 0..COUNT {
                    assert_eq!(subscriber.recv().unwrap(), note(number));
                }
            });
        }
    });
}

#[test]
fn many_threads_share_a_connection() {
    const EACH: u32 = 2_000;
    let (a, b) = pair();
    let service = b.responder::<Double, Double>(&DOUBLE).unwrap();
    let server = thread::spawn(move || {
        service.serve(
            |Double(n)| if n % 10 == 7 { Err(Refusal::new(20, "no sevens")) } else { Ok(Double(n * 2)) },
        )
    });
    let call = a.caller::<Double, Double>(&DOUBLE);
    while matches!(call.call(&Double(1), LONG), Err(CallError::NoService)) {}
    let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
    let subscriber = b.subscriber(&NOTES).unwrap();
    publisher.wait_audience(LONG).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let call = call.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    match call.call(&Double(n), LONG) {
                        Ok(Double(twice)) => assert_eq!(twice, n * 2),
                        Err(CallError::Refused { code: 20, text }) => {
                            assert_eq!((n % 10, text.as_str()), (7, "no sevens"));
                        }
                        Err(error) => panic!("thread {thread}, {n}: {error}"),
                    }
                }
            });
            let publisher = &publisher;
            scope.spawn(move || {
                for number in 0..u64::from(EACH) {
                    publisher.publish(&note(number)).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let mut sum = 0;
            for _ in 0..4 * EACH {
                sum += subscriber.recv().unwrap().number;
            }
            assert_eq!(sum, 4 * (0..u64::from(EACH)).sum::<u64>());
        });
    });
    a.close(LONG).unwrap();
    server.join().unwrap().unwrap();
}

#[test]
fn a_reader_that_does_not_read_holds_up_only_its_own_route() {
    let (a, b) = pair();
    let slow = a.publisher(&NOTES, IntentOptions::reliable()).unwrap().with_timeout(Duration::ZERO);
    let quick = a.publisher(&ACKS, IntentOptions::reliable()).unwrap();
    let unread = b.subscriber(&NOTES).unwrap();
    let read = b.subscriber(&ACKS).unwrap();
    slow.wait_audience(LONG).unwrap();
    quick.wait_audience(LONG).unwrap();
    let mut count = 0;
    let full = loop {
        match slow.publish(&note(count)) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::TimedOut), "{full}");
    assert!(!slow.try_publish(&note(count)).unwrap());
    assert!(matches!(a.flush(Duration::from_millis(10)), Err(Error::TimedOut)));
    for number in 0..1000 {
        quick.publish(&note(number)).unwrap();
        assert_eq!(read.recv_timeout(LONG).unwrap(), note(number));
    }
    for number in 0..count {
        assert_eq!(unread.recv_timeout(LONG).unwrap(), note(number));
    }
    a.flush(LONG).unwrap();
}

#[test]
fn dropping_a_handle_withdraws_it() {
    let (a, b) = pair();
    let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
    let subscriber = b.subscriber(&NOTES).unwrap();
    publisher.wait_audience(LONG).unwrap();
    assert!(matches!(a.publisher(&NOTES, IntentOptions::reliable()), Err(Error::Declare(_))), "twice");
    drop(subscriber);
    let events = a.events();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Audience { present: false, .. }) {}
    let error = publisher.publish(&note(0)).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("nobody is interested"), "{error}");
    drop(publisher);
    let publisher = a.publisher(&NOTES, IntentOptions::best_effort()).unwrap();
    let subscriber = b.subscriber(&NOTES).unwrap();
    publisher.wait_audience(LONG).unwrap();
    publisher.publish(&note(1)).unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), note(1));
}

#[test]
fn messages_that_fail_are_reported_by_flush_and_as_an_event() {
    let (a, b) = pair();
    let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
    let subscriber = b.subscriber(&NOTES).unwrap();
    publisher.wait_audience(LONG).unwrap();
    for number in 0..10 {
        publisher.publish(&note(number)).unwrap();
    }
    subscriber.recv_timeout(LONG).unwrap();
    drop(subscriber);
    let error = a.flush(LONG).unwrap_err();
    assert!(matches!(error, Error::Undelivered { messages: 9 }), "{error}");
    a.flush(LONG).expect("reported once");
    let mut failed = 0;
    let events = a.events();
    while let Some(event) = events.try_recv() {
        if let Event::Failed { messages, route, .. } = event {
            assert_eq!(route, *NOTES.name());
            failed += messages;
        }
    }
    assert_eq!(failed, 9);
    let progress = publisher.progress();
    assert_eq!((progress.delivered, progress.not_delivered, progress.in_doubt), (1, 9, 0));
}

#[test]
fn each_way_in_which_a_request_fails_is_told_apart() {
    let (a, b) = pair();
    let call = a.caller::<Double, Double>(&DOUBLE);
    assert!(matches!(call.call(&Double(1), LONG), Err(CallError::NoService)));
    let service = b.responder::<Double, Double>(&DOUBLE).unwrap();
    // Answers come late, out of order, or not at all.
    thread::scope(|scope| {
        let ask = |n: u32, timeout| {
            let call = call.clone();
            let asks = scope.spawn(move || call.call(&Double(n), timeout));
            (asks, service.recv_timeout(LONG).unwrap())
        };
        let (first, request_first) = ask(1, LONG);
        let (second, request_second) = ask(2, LONG);
        let (third, request_third) = ask(3, Duration::from_secs(3));
        request_second.respond(&Double(22)).unwrap();
        assert_eq!(second.join().unwrap().unwrap(), Double(22));
        assert!(matches!(third.join().unwrap(), Err(CallError::TimedOut)));
        request_first.refuse(&Refusal::new(16, "not today")).unwrap();
        let error = first.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("not today"), "{error}");
        // Too late: nobody waits for it any more, on either side.
        let late = request_third.respond(&Double(33));
        assert!(matches!(late, Ok(()) | Err(Error::Respond(_))), "{late:?}");
    });
    let raw = a.raw_caller(DOUBLE.name()).with_room(2);
    thread::scope(|scope| {
        scope.spawn(|| service.recv().unwrap().respond(&Double(1)).unwrap());
        assert!(matches!(raw.call(&[], LONG), Err(CallError::Malformed)));
        assert_eq!(raw.call(&[9], LONG).unwrap(), [1]);
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            let request = service.recv().unwrap();
            assert!(request.respond(&Double(u32::MAX)).is_err());
        });
        let error = raw.call(&[9], LONG).unwrap_err();
        assert!(matches!(error, CallError::AnswerTooLarge { .. }), "{error}");
    });
}

#[test]
fn every_blocked_call_returns_when_the_connection_ends() {
    let (a, b) = pair();
    let subscriber = a.subscriber(&NOTES).unwrap();
    let call = a.caller::<Double, Double>(&DOUBLE);
    let service = b.responder::<Double, Double>(&DOUBLE).unwrap();
    let publisher = a.publisher(&ACKS, IntentOptions::reliable()).unwrap();
    let unread = b.subscriber(&ACKS).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let events = a.events();
    thread::scope(|scope| {
        scope.spawn(|| assert!(matches!(subscriber.recv(), Err(Error::Ended(_)))));
        scope.spawn(|| {
            let error = call.call(&Double(1), LONG).unwrap_err();
            assert!(matches!(error, CallError::Ended(_)), "{error}");
        });
        scope.spawn(|| {
            let error = (0..).find_map(|number| publisher.publish(&note(number)).err()).unwrap();
            // The reader goes first, then the connection.
            assert!(matches!(error, Error::Ended(_) | Error::Publish(_)), "{error}");
        });
        scope.spawn(|| {
            let last = events.last();
            assert!(matches!(last, Some(Event::Ended(Ended::Closed(_)))), "{last:?}");
        });
        // The request is there, so the caller waits; the window is full, so the publisher does.
        let request = service.recv().unwrap();
        while publisher.undelivered() < 1000 {
            thread::yield_now();
        }
        drop((unread, request));
        b.close(Duration::ZERO).unwrap();
    });
    assert!(a.ended().unwrap().is_orderly());
    let error = publisher.publish(&note(0)).unwrap_err();
    assert!(matches!(error, Error::Ended(_)), "{error}");
    assert!(matches!(a.subscriber(&ACKS), Err(Error::Ended(_))));
}

#[test]
fn close_delivers_what_was_published_and_what_was_answered() {
    for turn in 0..50 {
        let (a, b) = pair();
        let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
        let subscriber = b.subscriber(&NOTES).unwrap();
        let reader = thread::spawn(move || subscriber.map(|note| note.unwrap().number).collect::<Vec<_>>());
        publisher.wait_audience(LONG).unwrap();
        for number in 0..turn {
            publisher.publish(&note(number)).unwrap();
        }
        a.close(LONG).unwrap();
        assert_eq!(reader.join().unwrap(), (0..turn).collect::<Vec<_>>());
        assert_eq!(publisher.progress().delivered, turn);
    }
}

#[test]
fn a_reader_that_closes_has_told_what_it_took() {
    for count in 1..50 {
        let (a, b) = pair();
        let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
        let subscriber = b.subscriber(&NOTES).unwrap();
        publisher.wait_audience(LONG).unwrap();
        let reader = thread::spawn(move || {
            for number in 0..count {
                assert_eq!(subscriber.recv().unwrap().number, number);
            }
            b.close(LONG).unwrap();
        });
        for number in 0..count {
            publisher.publish(&note(number)).unwrap();
        }
        a.flush(LONG).unwrap_or_else(|error| panic!("{count}: {error}"));
        assert_eq!(publisher.progress().delivered, count);
        reader.join().unwrap();
    }
}

#[test]
fn bytes_of_any_kind_and_size_go_through() {
    let (a, b) = pair();
    let name = route("Blob@pair.bytes").unwrap();
    let publisher = a.raw_publisher(name, IntentOptions::reliable()).unwrap();
    let options = InterestOptions { window: Some(200_000), ..Default::default() };
    let subscriber = b.raw_subscriber(name, options).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let limit = publisher.payload_limit().unwrap();
    assert!(limit > 50_000, "{limit}");
    let blob = |len: usize| (0..len).map(|i| (i * 7 % 256) as u8).collect::<Vec<_>>();
    let lengths = [0, 1, 127, 128, 16_383, 16_384, limit - 1, limit];
    thread::scope(|scope| {
        scope.spawn(|| publisher.publish_all(&lengths.map(blob)).unwrap());
        let mut payload = Vec::new();
        for len in lengths {
            subscriber.recv_into(&mut payload).unwrap();
            assert!(payload == blob(len), "{len} bytes");
        }
    });
    let error = publisher.publish(&blob(limit + 1)).unwrap_err();
    assert!(error.to_string().contains(&limit.to_string()), "{error}");
}

#[test]
fn best_effort_reaches_a_reader_that_keeps_up() {
    let (a, b) = pair();
    let publisher = a.publisher(&NOTES, IntentOptions::best_effort()).unwrap();
    let subscriber = b.subscriber(&NOTES).unwrap();
    publisher.wait_audience(LONG).unwrap();
    for number in 0..2000 {
        publisher.publish(&note(number)).unwrap();
        assert_eq!(subscriber.recv_timeout(LONG).unwrap().number, number);
    }
    a.flush(LONG).unwrap();
}

#[test]
fn a_conflict_is_told_and_harms_nothing_else() {
    const OTHER: Route<Double> = Route::new("pair.notes");
    let (a, b) = pair();
    let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
    let _other = b.subscriber(&OTHER).unwrap();
    let error = publisher.wait_audience(LONG).unwrap_err();
    assert!(error.to_string().contains("another type"), "{error}");
    let events = b.events();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::RouteConflict { .. }) {}
    let acks = a.publisher(&ACKS, IntentOptions::reliable()).unwrap();
    let read = b.subscriber(&ACKS).unwrap();
    acks.wait_audience(LONG).unwrap();
    acks.publish(&note(3)).unwrap();
    assert_eq!(read.recv_timeout(LONG).unwrap(), note(3));
}

#[test]
fn the_keeper_answers_while_nobody_waits() {
    let quick = Options {
        ping_interval: Duration::from_millis(20),
        silence: Duration::from_secs(3),
        ..Options::default()
    };
    let (a, b) = Connection::pair(quick, quick).unwrap();
    // Nobody calls anything on b; a waits for longer than its patience with a silent peer.
    let begin = Instant::now();
    let mut known = 0;
    while begin.elapsed() < quick.silence * 4 / 3 {
        known = a.next_rtt(known, LONG).unwrap().samples;
    }
    assert!(known > 10, "{known} round trips");
    assert!(a.ended().is_none() && b.ended().is_none());
}

#[test]
fn a_declaration_with_a_time_to_live_ends_unless_it_is_renewed() {
    let (a, b) = pair();
    let ttl = Duration::from_secs(3);
    let publisher = a.publisher(&NOTES, IntentOptions::reliable()).unwrap();
    let options = InterestOptions { ttl: Some(ttl), ..Default::default() };
    let subscriber = b.subscriber_with(&NOTES, options).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < ttl * 4 / 3 {
        subscriber.renew().unwrap();
        publisher.publish(&note(1)).unwrap();
        subscriber.recv_timeout(LONG).unwrap();
        thread::sleep(ttl / 100);
    }
    let events = a.events();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Audience { present: false, .. }) {}
    assert!(publisher.publish(&note(2)).is_err());
}

#[test]
fn an_answer_that_is_too_large_is_told_to_the_caller_at_once() {
    let (a, b) = Connection::pair(Options::default(), Options::default()).unwrap();
    let name = route("Bytes@pair.large").unwrap();
    let service = b.raw_responder(name).unwrap();
    let server = thread::spawn(move || service.serve(|_| Ok(vec![0; 20])));
    let caller = a.raw_caller(name).with_room(10);
    let answer = caller.call(b"", Duration::from_secs(20));
    assert!(matches!(answer, Err(CallError::AnswerTooLarge { room: 10 })), "{answer:?}");
    a.close(Duration::from_secs(5)).unwrap();
    server.join().unwrap().unwrap();
}

#[test]
fn a_message_that_nobody_took_in_its_time_is_not_read() {
    let name = route("Text@pair.stale").unwrap();
    let (a, b) = pair();
    let subscriber = b.raw_subscriber(name, InterestOptions::default()).unwrap();
    let publisher = a.raw_publisher(name, IntentOptions::reliable()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let short = PublishOptions { expires: Some(Duration::from_millis(1)) };
    publisher.publish_with(b"stale", short).unwrap();
    publisher.publish(b"fresh").unwrap();
    // Nobody reads until the first one's end is known.
    let failed = loop {
        match a.events().recv_timeout(LONG).unwrap() {
            Event::Failed { reason, messages, .. } => break (reason, messages),
            _ => continue,
        }
    };
    assert_eq!(failed, (FailReason::Expired, 1));
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"fresh");
    assert!(a.flush(LONG).is_err(), "one was not delivered");
    assert_eq!(publisher.progress().not_delivered, 1);
}

#[test]
fn a_child_talks_through_its_pipes_and_ends_with_the_connection() {
    use std::process::{Command, Stdio};
    // A child that talks back what it hears is heard as ourselves: that shows that both ways work.
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (reader, writer) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let options = Options { timeout: Some(Duration::from_secs(3)), ..Options::default() };
    let error = Connection::over(reader, writer, Framing::Stream, options).unwrap_err();
    assert!(error.to_string().contains("we hear ourselves"), "{error}");
    assert!(child.wait().unwrap().success(), "its input has ended");
}

#[test]
fn a_reader_and_a_writer_carry_messages_both_ways() {
    for framing in [Framing::Stream, Framing::Serial] {
        let (here_in, there_out) = std::io::pipe().unwrap();
        let (there_in, here_out) = std::io::pipe().unwrap();
        let there = thread::spawn(move || {
            Connection::over(there_in, there_out, framing, Options::default()).unwrap()
        });
        let here = Connection::over(here_in, here_out, framing, Options::default()).unwrap();
        let there = there.join().unwrap();
        let publisher = here.publisher(&NOTES, IntentOptions::reliable()).unwrap();
        let subscriber = there.subscriber(&NOTES).unwrap();
        publisher.wait_audience(LONG).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| (0..5000).for_each(|number| publisher.publish(&note(number)).unwrap()));
            for number in 0..5000 {
                assert_eq!(subscriber.recv_timeout(LONG).unwrap(), note(number));
            }
        });
        here.close(LONG).unwrap();
        assert!(there.events().last().is_some_and(|event| matches!(event, Event::Ended(_))));
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let error = Connection::over(reader, writer, Framing::Datagram, Options::default()).unwrap_err();
    assert!(error.to_string().contains("keep no boundaries"), "{error}");
}

#[test]
fn an_audience_that_does_not_come_is_named() {
    let (a, _b) = Connection::pair(Options::default(), Options::default()).unwrap();
    let publisher = a.raw_publisher(route("Note@pair.unwanted").unwrap(), IntentOptions::reliable()).unwrap();
    let error = publisher.wait_audience(Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, Error::NoAudience { .. }) && error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("has not asked for Note@pair.unwanted within "), "{error}");
}
