//! What the peer declares, seen by somebody who knows nothing of it.

use std::thread;
use std::time::{Duration, Instant};

use tieline_std::{Address, Connection, IntentOptions, InterestOptions, Listener, Options, PeerRoute, route};

/// What is declared, as soon as it is that.
fn seen(connection: &Connection, expected: &[&str]) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let words = |route: &PeerRoute| {
            let PeerRoute { name, publishes, reliable, wants, answers, .. } = route;
            format!("{name} {publishes} {reliable} {wants} {answers}")
        };
        let mut all: Vec<String> = connection.peer_routes().iter().map(words).collect();
        // Every program answers for itself.
        all.retain(|line| !line.starts_with("Stats@tieline.stats"));
        all.sort();
        if all == expected || begin.elapsed() > Duration::from_secs(20) {
            return all;
        }
        let _ = connection.next_rtt(connection.rtt().samples, Duration::from_millis(50));
    }
}

fn declarations_are_seen(address: &Address) {
    let listener = Listener::bind(address).unwrap();
    let dial = listener.address().to_dial();
    let peer = thread::spawn(move || listener.accept(Options::default()).unwrap());
    let options = Options { observe: true, ..Options::default() };
    let connection = Connection::open(&dial, options).unwrap();
    let peer = peer.join().unwrap();
    assert_eq!(seen(&connection, &[]), [""; 0]);
    let publisher = peer.raw_publisher(route("A@observe.a").unwrap(), IntentOptions::reliable()).unwrap();
    let _other = peer.raw_publisher(route("B@observe.b").unwrap(), IntentOptions::best_effort()).unwrap();
    let reader = peer.raw_subscriber(route("B@observe.b").unwrap(), InterestOptions::default()).unwrap();
    let _service = peer.raw_responder(route("C@observe.c").unwrap()).unwrap();
    let all = [
        "A@observe.a true true false false",
        "B@observe.b true false true false",
        "C@observe.c false false false true",
    ];
    assert_eq!(seen(&connection, &all), all);
    drop((publisher, reader));
    let rest = ["B@observe.b true false false false", "C@observe.c false false false true"];
    assert_eq!(seen(&connection, &rest), rest);
}

#[test]
fn over_a_stream() {
    declarations_are_seen(&Address::tcp_listen("127.0.0.1", 0));
}

#[test]
fn over_datagrams() {
    declarations_are_seen(&Address::udp_listen("127.0.0.1", 0));
}

#[test]
fn over_a_serial_line() {
    declarations_are_seen(&"tcp://127.0.0.1:0?listen&framing=serial".parse().unwrap());
}
