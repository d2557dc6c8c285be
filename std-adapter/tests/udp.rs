//! Real UDP sockets: who finds whom, and what a network that loses, repeats and reorders costs.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use tieline_std::{
    Address, Connection, Error, IntentOptions, InterestOptions, Listener, Options, RouteName, route,
};
use tieline_tests::free_port;
use tieline_tests::proxy::{DatagramFaults, DatagramProxy};

const LONG: Duration = Duration::from_secs(30);

fn name() -> &'static RouteName {
    route("Line@udp.lines").unwrap()
}

fn named(name: &'static str) -> Options {
    Options { name, timeout: Some(LONG), ..Options::default() }
}

fn listen() -> Listener {
    Listener::bind(&Address::udp_listen("127.0.0.1", 0)).unwrap()
}

/// Two peers, with what is between them.
fn connected(faults: Option<DatagramFaults>, seed: u64) -> (Connection, Connection, Option<DatagramProxy>) {
    let listener = listen();
    let mut address = listener.address().to_dial();
    let proxy = faults.map(|faults| {
        let dial = address.to_string().replace("udp://", "");
        DatagramProxy::start(&dial, faults, seed).unwrap()
    });
    if let Some(proxy) = &proxy {
        address = Address::udp("127.0.0.1", proxy.near().port());
    }
    let dialled = thread::spawn(move || Connection::open(&address, named("dials")).unwrap());
    (listener.accept(named("listens")).unwrap(), dialled.join().unwrap(), proxy)
}

/// Sends numbered messages of `len` bytes one way; all of them come, once and in order.
fn all_come(from: &Connection, to: &Connection, count: usize, len: usize) {
    let publisher = from.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let subscriber = to.raw_subscriber(name(), InterestOptions::default()).unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut payload = Vec::new();
            for number in 0..count {
                subscriber.recv_into(&mut payload).unwrap();
                assert_eq!(payload.len(), len);
                assert_eq!(payload[..8], number.to_le_bytes());
                assert!(payload[8..].iter().all(|byte| *byte == number as u8));
            }
            subscriber
        });
        publisher.wait_audience(LONG).unwrap();
        for number in 0..count {
            let mut payload = vec![number as u8; len];
            payload[..8].copy_from_slice(&number.to_le_bytes());
            publisher.publish(&payload).unwrap();
        }
        from.flush(LONG).unwrap();
        let subscriber = reader.join().unwrap();
        let more = subscriber.recv_timeout(Duration::from_millis(50));
        assert!(matches!(more, Err(Error::TimedOut)), "{more:?}");
    });
}

#[test]
fn messages_of_all_sizes_come_once_and_in_order_both_ways() {
    let (a, b, _) = connected(None, 0);
    assert_eq!((a.peer().unwrap().name.as_str(), b.peer().unwrap().name.as_str()), ("dials", "listens"));
    all_come(&a, &b, 5_000, 8);
    all_come(&b, &a, 500, 1_400);
    all_come(&a, &b, 10, 60_000);
    a.close(LONG).unwrap();
}

#[test]
fn frames_fit_an_unfragmented_datagram() {
    let (a, b, _) = connected(None, 0);
    assert_eq!(a.peer().unwrap().frame_max, 1472);
    drop((a, b));

    let listener = Listener::bind(&"udp://127.0.0.1:0?listen&mtu=600".parse().unwrap()).unwrap();
    let dial = listener.address().to_dial();
    let dialled = thread::spawn(move || Connection::open(&dial, named("")).unwrap());
    let here = listener.accept(named("")).unwrap();
    let there = dialled.join().unwrap();
    assert_eq!(there.peer().unwrap().frame_max, 600 - 28);
    all_come(&there, &here, 100, 4_000);
}

#[test]
fn what_a_bad_network_does_is_mended() {
    let faults = DatagramFaults { loss: 0.05, duplication: 0.05, holding: 0.2, hold_ms: 10 };
    let (a, b, proxy) = connected(Some(faults), 1);
    all_come(&a, &b, 2_000, 100);
    all_come(&b, &a, 20, 20_000);
    a.close(LONG).unwrap();
    let counts = proxy.unwrap().stop().unwrap();
    assert!(counts.lost > 20 && counts.duplicated > 20 && counts.held > 80, "{counts:?}");
}

#[test]
fn an_outage_costs_nothing_but_time() {
    let (a, b, proxy) = connected(Some(DatagramFaults::default()), 2);
    let proxy = proxy.unwrap();
    let publisher = a.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let subscriber = b.raw_subscriber(name(), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    publisher.publish(b"before").unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"before");
    proxy.cut(true);
    publisher.publish(b"meanwhile").unwrap();
    // Longer than the silence after which a session has lost its link.
    assert!(matches!(subscriber.recv_timeout(Duration::from_secs(4)), Err(Error::TimedOut)));
    proxy.cut(false);
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"meanwhile");
    publisher.publish(b"after").unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"after");
    a.flush(LONG).unwrap();
}

#[test]
fn each_peer_has_its_own_session() {
    let listener = listen();
    let mut both = Vec::new();
    for name in ["one", "two"] {
        let dial = listener.address().to_dial();
        let dialled = thread::spawn(move || Connection::open(&dial, named(name)).unwrap());
        let here = listener.accept(named("here")).unwrap();
        assert_eq!(here.peer().unwrap().name, name);
        both.push((here, dialled.join().unwrap()));
    }
    thread::scope(|scope| {
        for (here, there) in &both {
            scope.spawn(move || all_come(here, there, 2_000, 50));
        }
    });
}

#[test]
fn who_is_early_waits_for_who_is_late() {
    let port = free_port();
    let early = thread::spawn(move || Connection::open(&Address::udp("127.0.0.1", port), named("")));
    // It is refused at least once.
    thread::sleep(Duration::from_millis(250));
    let late = Connection::open(&Address::udp_listen("127.0.0.1", port), named("")).unwrap();
    let early = early.join().unwrap().unwrap();
    all_come(&early, &late, 10, 10);
}

#[test]
fn nobody_there_is_said_in_time() {
    let port = free_port();
    let options = Options { timeout: Some(Duration::from_millis(400)), ..Options::default() };
    let mut said = String::new();
    // On a busy machine the time may be over before the answer to the first datagram is looked at.
    for _ in 0..10 {
        let begin = Instant::now();
        let error = Connection::open(&Address::udp("127.0.0.1", port), options).unwrap_err();
        assert!(begin.elapsed() < LONG / 2);
        assert!(matches!(error, Error::NoPeer { .. }) && error.is_transient(), "{error}");
        said = error.to_string();
        if said.contains("nobody listens") {
            return;
        }
    }
    panic!("{said}");
}

#[test]
fn a_port_that_is_taken_is_said_at_once() {
    let taken = listen();
    let error = Listener::bind(taken.address()).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    let error = Connection::open(&"udp://239.1.2.3:4?multicast".parse().unwrap(), named("")).unwrap_err();
    assert!(matches!(&error, Error::Open { .. }) && error.to_string().contains("not one peer"), "{error}");
}

#[test]
fn strangers_are_not_heard() {
    let listener = listen();
    let address = listener.address().to_dial();
    let port = address.to_string().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(("127.0.0.1", port)).unwrap();
    let mut noise = tieline_tests::Rng::new(3);
    let mut shout = |count: usize| {
        for _ in 0..count {
            let len = noise.index(200);
            let bytes: Vec<u8> = (0..len).map(|_| noise.byte()).collect();
            stranger.send(&bytes).unwrap();
        }
    };
    shout(100);
    let dialled = thread::spawn(move || Connection::open(&address, named("there")).unwrap());
    let here = listener.accept(named("here")).unwrap();
    let there = dialled.join().unwrap();
    shout(100);
    all_come(&there, &here, 100, 100);
    let stats = here.stats();
    assert_eq!((stats.check_failures, stats.framing_errors), (0, 0), "nobody else comes in: {stats:?}");
}
