//! Lines that are cut, freeze or are not there yet: the connection comes back by itself, with the same handles.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tieline_std::{
    Address, CallError, Connection, Ended, Error, Event, IntentOptions, InterestOptions, Listener,
    LostReason, Options, Policy, RawPublisher, RawSubscriber, RouteName, route,
};
use tieline_tests::gate::Gate;
use tieline_tests::{Rng, free_port};

const LONG: Duration = Duration::from_secs(30);

fn name(text: &str) -> &'static RouteName {
    route(text).unwrap()
}

/// Patience that fits a test, and a rhythm of tries that makes it worth while to cut often. Lines are cut, and not silent.
fn quick(name: &'static str) -> Options {
    Options {
        name,
        policy: Policy::Reconnect { first: Duration::from_millis(5), most: Duration::from_millis(50) },
        ping_interval: Duration::from_millis(100),
        silence: LONG,
        timeout: Some(LONG),
        ..Options::default()
    }
}

/// The same where a line falls silent: after more time than a thread of a busy machine has to wait for a processor.
fn hears_silence(name: &'static str) -> Options {
    Options { silence: Duration::from_secs(3), ..quick(name) }
}

/// Who has dialled, through a gate, and who was waiting: the same one for good.
fn through_a_gate(options: impl Fn(&'static str) -> Options) -> (Connection, Connection, Gate) {
    let port = free_port();
    let gate = Gate::new(&format!("127.0.0.1:{port}")).unwrap();
    let options_of_waits = options("waits");
    let waits =
        thread::spawn(move || Connection::open(&Address::tcp_listen("127.0.0.1", port), options_of_waits));
    let address = format!("tcp://{}", gate.address()).parse().unwrap();
    let dials = Connection::open(&address, options("dials")).unwrap();
    (dials, waits.join().unwrap().unwrap(), gate)
}

/// Publishes numbers until told to stop; how many.
fn count(publisher: &RawPublisher, stop: &AtomicBool) -> u64 {
    let mut number = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        publisher.publish(&number.to_le_bytes()).unwrap();
        number += 1;
        if number.is_multiple_of(64) {
            // Not faster than a line that is cut all the time carries.
            thread::sleep(Duration::from_millis(1));
        }
    }
    // After the last cut: when this one is delivered, there is a line on which to close.
    publisher.publish(&number.to_le_bytes()).unwrap();
    number + 1
}

/// Reads numbers up to the end of the connection: each once, and in order.
fn check(subscriber: &RawSubscriber) -> u64 {
    let mut next = 0_u64;
    loop {
        match subscriber.recv() {
            Ok(payload) => {
                let number = u64::from_le_bytes(payload.as_slice().try_into().unwrap());
                assert_eq!(number, next, "lost, doubled or out of order");
                next += 1;
            }
            Err(Error::Ended(ended)) if ended.is_orderly() => return next,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits for it.
fn until(what: &str, holds: &dyn Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LONG * 4, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Who counts stops and who checks ends, however the story does: a test that fails does not hang.
struct Ends<'s>(&'s AtomicBool, &'s Connection);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        if thread::panicking() {
            let _ = self.1.close(Duration::ZERO);
        }
    }
}

/// What the events said: how often a session went on, and how often one was lost.
fn seen(connection: &Connection) -> (u32, u32) {
    let (mut resumed, mut lost) = (0, 0);
    let events = connection.events();
    while let Some(event) = events.try_recv() {
        match event {
            Event::Established { resumed: true, .. } => resumed += 1,
            Event::Lost(_) => lost += 1,
            _ => {}
        }
    }
    (resumed, lost)
}

#[test]
fn a_line_that_is_cut_again_and_again_loses_and_doubles_nothing() {
    for seed in 1..=3 {
        let (dials, waits, gate) = through_a_gate(quick);
        let there = dials.raw_publisher(name("Count@cut.there"), IntentOptions::reliable()).unwrap();
        let back = waits.raw_publisher(name("Count@cut.back"), IntentOptions::reliable()).unwrap();
        let read_there = waits.raw_subscriber(name("Count@cut.there"), InterestOptions::default()).unwrap();
        let read_back = dials.raw_subscriber(name("Count@cut.back"), InterestOptions::default()).unwrap();
        there.wait_audience(LONG).unwrap();
        back.wait_audience(LONG).unwrap();
        let stop = AtomicBool::new(false);
        let (sent, came) = thread::scope(|scope| {
            let sends = [&there, &back].map(|publisher| {
                let stop = &stop;
                scope.spawn(move || count(publisher, stop))
            });
            let reads = [&read_there, &read_back].map(|subscriber| scope.spawn(move || check(subscriber)));
            let _ends = Ends(&stop, &dials);
            let mut rng = Rng::new(seed);
            for _ in 0..15 {
                thread::sleep(Duration::from_millis(10 + rng.below(60)));
                let before = gate.passed();
                gate.cut();
                until("another line", &|| gate.passed() > before);
            }
            stop.store(true, Ordering::SeqCst);
            let sent = sends.map(|sends| sends.join().unwrap());
            for connection in [&dials, &waits] {
                connection.flush(LONG).unwrap();
            }
            assert_eq!(seen(&dials).1 + seen(&waits).1, 0, "a session was lost");
            dials.close(LONG).unwrap();
            (sent, reads.map(|reads| reads.join().unwrap()))
        });
        assert_eq!(sent, came, "seed {seed}");
        for publisher in [&there, &back] {
            let progress = publisher.progress();
            assert_eq!(progress.published, progress.delivered, "seed {seed}");
        }
    }
}

#[test]
fn a_half_open_line_is_left_for_a_new_one() {
    let (dials, waits, gate) = through_a_gate(hears_silence);
    let publisher = dials.raw_publisher(name("Count@frozen"), IntentOptions::reliable()).unwrap();
    let subscriber = waits.raw_subscriber(name("Count@frozen"), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    publisher.publish(b"before").unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"before");
    gate.freeze();
    publisher.publish(b"into the ice").unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"into the ice");
    dials.flush(LONG).unwrap();
    assert!(gate.passed() >= 2);
    assert_eq!(publisher.progress().delivered, 2);
    let (resumed, lost) = seen(&dials);
    assert!(resumed >= 1 && lost == 0, "{resumed} {lost}");
}

#[test]
fn blocked_calls_go_on_waiting_with_their_own_time_outs() {
    let (dials, waits, gate) = through_a_gate(quick);
    let service = waits.raw_responder(name("Ask@outage")).unwrap();
    let subscriber = dials.raw_subscriber(name("Count@outage"), InterestOptions::default()).unwrap();
    thread::scope(|scope| {
        let caller = dials.raw_caller(name("Ask@outage"));
        let impatient = caller.clone();
        let asks = scope.spawn(move || caller.call(b"slowly", LONG));
        let request = service.recv_timeout(LONG).unwrap();
        gate.shut(true);
        gate.cut();
        let begin = Instant::now();
        let error = subscriber.recv_timeout(Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, Error::TimedOut), "{error}");
        let error = impatient.call(b"at once", Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut), "{error}");
        assert!(begin.elapsed() < LONG / 2);
        gate.shut(false);
        request.respond(b"at last").unwrap();
        assert_eq!(asks.join().unwrap().unwrap(), b"at last");
    });
}

#[test]
fn a_session_that_was_away_for_too_long_is_lost_and_a_new_one_begins() {
    let port = free_port();
    let gate = Gate::new(&format!("127.0.0.1:{port}")).unwrap();
    // Long enough to publish something before that.
    let options = |name| Options { resume_for: Duration::from_secs(3), ..quick(name) };
    let waits =
        thread::spawn(move || Connection::open(&Address::tcp_listen("127.0.0.1", port), options("waits")));
    let dials =
        Connection::open(&format!("tcp://{}", gate.address()).parse().unwrap(), options("dials")).unwrap();
    let waits = waits.join().unwrap().unwrap();
    let publisher = dials.raw_publisher(name("Count@lost"), IntentOptions::reliable()).unwrap();
    let subscriber = waits.raw_subscriber(name("Count@lost"), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let events = dials.events();
    gate.shut(true);
    gate.cut();
    // Whatever is published while the session is kept is taken; whether it arrived, nobody can say.
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Degraded) {}
    publisher.publish(b"in doubt, or not sent").unwrap();
    loop {
        match events.recv_timeout(LONG).unwrap() {
            Event::Lost(reason) => break assert_eq!(reason, LostReason::LinkDown),
            Event::Established { .. } | Event::Ended(_) => panic!("too early"),
            _ => {}
        }
    }
    let error = dials.flush(LONG).unwrap_err();
    assert!(matches!(error, Error::Undelivered { messages: 1 }), "{error}");
    // It waits for the new session, and for the reader that comes with it.
    thread::scope(|scope| {
        let publishes = scope.spawn(|| publisher.publish(b"in the new session"));
        gate.shut(false);
        publishes.join().unwrap().unwrap();
    });
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"in the new session");
    loop {
        match events.recv_timeout(LONG).unwrap() {
            Event::Established { resumed, peer } => {
                break assert!(!resumed && peer == "waits");
            }
            Event::Ended(ended) => panic!("{ended}"),
            _ => {}
        }
    }
    dials.flush(LONG).unwrap();
    let progress = publisher.progress();
    assert_eq!((progress.published, progress.delivered), (2, 1));
}

#[test]
fn whoever_closes_on_purpose_is_not_looked_for() {
    let (dials, waits, _gate) = through_a_gate(quick);
    waits.close(LONG).unwrap();
    let last = dials.events().last();
    assert!(matches!(last, Some(Event::Ended(Ended::Closed(_)))), "{last:?}");
    assert!(dials.ended().unwrap().is_orderly());
}

#[test]
fn closing_does_not_wait_for_somebody_who_is_not_there() {
    let (dials, waits, gate) = through_a_gate(|name| Options { resume_for: LONG, ..quick(name) });
    gate.shut(true);
    gate.cut();
    let begin = Instant::now();
    dials.close(Duration::from_millis(200)).unwrap();
    drop((dials, waits));
    assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
}

#[test]
fn a_session_goes_on_over_the_next_address_and_comes_back_to_the_better_one() {
    let port = free_port();
    let place = format!("127.0.0.1:{port}");
    let gates = [Gate::new(&place).unwrap(), Gate::new(&place).unwrap()];
    let addresses: Vec<Address> =
        gates.iter().map(|gate| format!("tcp://{}", gate.address()).parse().unwrap()).collect();
    let listens = Address::tcp_listen("127.0.0.1", port);
    let waits = thread::spawn(move || Connection::open(&listens, hears_silence("waits")));
    let dials = Connection::open_any(&addresses, hears_silence("dials")).unwrap();
    let waits = waits.join().unwrap().unwrap();
    let publisher = dials.raw_publisher(name("Count@ways"), IntentOptions::reliable()).unwrap();
    let subscriber = waits.raw_subscriber(name("Count@ways"), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    assert_eq!(gates.each_ref().map(Gate::passed), [1, 0], "the best one first");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sends = scope.spawn(|| count(&publisher, &stop));
        let reads = scope.spawn(|| check(&subscriber));
        let _ends = Ends(&stop, &dials);
        for turn in 1..=3 {
            let second = gates[1].passed();
            gates[0].shut(true);
            // It is gone, or silent without a word.
            match turn {
                2 => gates[0].freeze(),
                _ => gates[0].cut(),
            }
            until("over the second one", &|| gates[1].passed() > second);
            let passed = gates[0].passed();
            let before = publisher.progress().delivered;
            until("messages go on", &|| publisher.progress().delivered > before + 100);
            gates[0].shut(false);
            // One to ask, one to stay.
            until("back to the better one", &|| gates[0].passed() >= passed + 2);
            let before = publisher.progress().delivered;
            until("messages go on there", &|| publisher.progress().delivered > before + 100);
        }
        stop.store(true, Ordering::SeqCst);
        let sent = sends.join().unwrap();
        dials.flush(LONG).unwrap();
        // Nothing that matters passes the second one now.
        gates[1].cut();
        dials.close(LONG).unwrap();
        assert_eq!(sent, reads.join().unwrap());
    });
    assert_eq!(seen(&dials).1 + seen(&waits).1, 0, "a session was lost");
    let listens = [addresses[0].clone(), Address::tcp_listen("127.0.0.1", 0)];
    let error = Connection::open_any(&listens, quick("both")).unwrap_err();
    assert!(error.to_string().contains("stands alone"), "{error}");
}

#[test]
fn unix_sockets_carry_messages_and_come_back() {
    let directory = std::env::temp_dir().join(format!("tieline-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("unix.sock").to_str().unwrap().to_owned();
    // A program that died has left its socket there.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = Address::unix_listen(path.clone());
    let waits = thread::spawn(move || Connection::open(&address, quick("waits")).unwrap());
    let dials = Connection::open(&Address::unix(path.clone()), quick("dials")).unwrap();
    let waits = waits.join().unwrap();
    let taken = Listener::bind(&Address::unix_listen(path.clone())).unwrap_err();
    assert!(taken.to_string().contains("another program is there"), "{taken}");
    let publisher = dials.raw_publisher(name("Count@unix"), IntentOptions::reliable()).unwrap();
    let subscriber = waits.raw_subscriber(name("Count@unix"), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    publisher.publish(b"one").unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"one");
    dials.close(LONG).unwrap();
    drop((subscriber, waits));
    assert!(!std::path::Path::new(&path).exists(), "the socket is removed");
    std::fs::remove_dir_all(directory).unwrap();
}
