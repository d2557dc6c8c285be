//! Real TCP: opening in any order, and every way in which a line can be lost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tieline_std::{
    Address, Connection, Error, IntentOptions, InterestOptions, Listener, Options, Policy, RouteName, route,
};
use tieline_tests::free_port;

const LONG: Duration = Duration::from_secs(20);

fn name() -> &'static RouteName {
    route("Line@tcp.lines").unwrap()
}

fn connected(options: Options) -> (Connection, Connection) {
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let address = listener.address().to_dial();
    let dialled = thread::spawn(move || Connection::open(&address, options).unwrap());
    (listener.accept(options).unwrap(), dialled.join().unwrap())
}

#[test]
fn a_hundred_thousand_messages_arrive_once_and_in_order() {
    const COUNT: usize = 100_000;
    let (a, b) = connected(Options::default());
    let publisher = a.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let subscriber = b.raw_subscriber(name(), InterestOptions::default()).unwrap();
    let reader = thread::spawn(move || {
        let mut payload = Vec::new();
        for number in 0..COUNT {
            subscriber.recv_into(&mut payload).unwrap();
            assert_eq!(payload, number.to_string().into_bytes());
        }
        b.close(LONG).unwrap();
    });
    publisher.wait_audience(LONG).unwrap();
    let lines: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    for lines in lines.chunks(1000) {
        publisher.publish_all(lines).unwrap();
    }
    a.flush(LONG).unwrap();
    reader.join().unwrap();
}

#[test]
fn who_dials_waits_for_who_listens() {
    let port = free_port();
    let early = thread::spawn(move || Connection::open(&Address::tcp("127.0.0.1", port), Options::default()));
    // That nobody is there is noticed at least once.
    thread::sleep(Duration::from_millis(150));
    let late = Connection::open(&Address::tcp_listen("127.0.0.1", port), Options::default()).unwrap();
    let early = early.join().unwrap().unwrap();
    assert!(late.peer().is_some() && early.peer().is_some());
}

#[test]
fn nobody_there_is_said_in_time() {
    let options = Options { timeout: Some(Duration::from_millis(300)), ..Options::default() };
    let address = Address::tcp("127.0.0.1", free_port());
    let refused = |_| {
        let begin = Instant::now();
        let error = Connection::open(&address, options).unwrap_err();
        assert!(begin.elapsed() < LONG / 2);
        assert!(matches!(error, Error::NoPeer { .. }) && error.is_transient(), "{error}");
        error.to_string().contains("refused")
    };
    // On a busy machine the time may be over before anybody has dialled.
    assert!((0..10).any(refused), "it is said why");

    let error = Connection::open(&Address::tcp_listen("127.0.0.1", 0), options).unwrap_err();
    assert!(matches!(error, Error::NoPeer { .. }), "{error}");
}

#[test]
fn a_port_that_is_taken_is_said_at_once() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = Address::tcp_listen("127.0.0.1", taken.local_addr().unwrap().port());
    let error = Connection::open(&address, Options::default()).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn another_service_is_not_taken_for_a_peer() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-something that talks first\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = Connection::open(&address, Options::default()).unwrap_err();
    assert!(error.to_string().contains("not Tieline"), "{error}");
    assert!(!error.is_transient());
    server.join().unwrap();
}

#[test]
fn a_listener_sends_away_who_does_not_speak_tieline() {
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let address = listener.address().to_dial();
    let port = address.to_string().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let dialled = thread::spawn(move || Connection::open(&address, Options::default()));
    listener.accept(Options::default()).unwrap();
    dialled.join().unwrap().unwrap();
}

/// A man in the middle who can cut the line, or stop passing bytes on.
struct Proxy {
    address: Address,
    halves: thread::JoinHandle<(TcpStream, TcpStream)>,
}

impl Proxy {
    fn new(to: &Address) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
        let to = to.to_string().trim_start_matches("tcp://").to_owned();
        let halves = thread::spawn(move || {
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(to).unwrap();
            for (mut from, mut to) in
                [(&near, &far), (&far, &near)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
            {
                thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
            (near, far)
        });
        Self { address, halves }
    }
}

#[test]
fn with_one_line_a_cut_is_an_error_of_every_blocked_call() {
    let once = Options { policy: Policy::Once, ..Options::default() };
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let proxy = Proxy::new(&listener.address().to_dial());
    let dialled = thread::spawn(move || Connection::open(&proxy.address, once).unwrap());
    let here = listener.accept(once).unwrap();
    let there = dialled.join().unwrap();
    let (near, far) = proxy.halves.join().unwrap();

    let publisher = there.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let unread = here.raw_subscriber(name(), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    publisher.publish(b"one").unwrap();
    assert_eq!(unread.recv().unwrap(), b"one");
    there.flush(LONG).unwrap();
    publisher.publish(b"two").unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| unread.recv().and_then(|_two| unread.recv()));
        let flushes = scope.spawn(|| {
            let filled = (0..).find_map(|_| publisher.publish(&[0; 1000]).err()).unwrap();
            (filled, there.flush(LONG))
        });
        while publisher.progress().delivered < 1 {
            thread::yield_now();
        }
        // One end after the other, without a word.
        far.shutdown(std::net::Shutdown::Both).unwrap();
        near.shutdown(std::net::Shutdown::Both).unwrap();
        let error = loop {
            match unread.recv() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("the line is down") && error.is_transient(), "{error}");
        let _ = waits.join().unwrap();
        let (filled, flushed) = flushes.join().unwrap();
        assert!(matches!(filled, Error::Ended(_)), "{filled}");
        assert!(flushed.is_err());
    });
    let progress = publisher.progress();
    assert_eq!(
        progress.published,
        progress.delivered + progress.in_doubt + progress.not_delivered,
        "{progress:?}"
    );
}

#[test]
fn with_one_line_a_peer_that_stands_still_is_lost_after_the_silence() {
    let options = Options {
        policy: Policy::Once,
        ping_interval: Duration::from_millis(50),
        silence: Duration::from_secs(3),
        ..Options::default()
    };
    // A peer that is there, and then nobody moves its bytes any more.
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let target = listener.address().to_dial();
    let gate = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = Address::tcp("127.0.0.1", gate.local_addr().unwrap().port());
    let freezes = Arc::new(AtomicBool::new(false));
    let ordered = Arc::clone(&freezes);
    let frozen = thread::spawn(move || {
        let (mut near, _) = gate.accept().unwrap();
        let mut far = TcpStream::connect(target.to_string().trim_start_matches("tcp://")).unwrap();
        let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        // Until it is told so; then it keeps the line open and says nothing.
        far.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut buffer = [0; 4096];
        while !ordered.load(Ordering::SeqCst) {
            if let Ok(n) = far.read(&mut buffer) {
                near.write_all(&buffer[..n]).unwrap();
            }
        }
        (near, far)
    });
    let dialled = thread::spawn(move || Connection::open(&address, options).unwrap());
    let _here = listener.accept(options).unwrap();
    let there = dialled.join().unwrap();
    let subscriber = there.raw_subscriber(name(), InterestOptions::default()).unwrap();
    freezes.store(true, Ordering::SeqCst);
    let error = subscriber.recv_timeout(LONG).unwrap_err();
    assert!(error.to_string().contains("fallen silent"), "{error}");
    drop(frozen.join().unwrap());
}

#[test]
fn two_applications_that_only_publish_answer_each_others_pings() {
    let options = Options {
        ping_interval: Duration::from_millis(50),
        silence: Duration::from_secs(3),
        ..Options::default()
    };
    let (a, b) = connected(options);
    thread::scope(|scope| {
        for (here, there, text) in [(&a, &b, "Line@tcp.there"), (&b, &a, "Line@tcp.here")] {
            let name = route(text).unwrap();
            let publisher = here.raw_publisher(name, IntentOptions::reliable()).unwrap();
            let publisher = publisher.with_timeout(Duration::from_millis(100));
            let unread = there.raw_subscriber(name, InterestOptions::default()).unwrap();
            scope.spawn(move || {
                publisher.wait_audience(LONG).unwrap();
                let begin = Instant::now();
                while begin.elapsed() < options.silence * 4 / 3 {
                    match publisher.publish(&[7; 500]) {
                        Ok(()) | Err(Error::TimedOut) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                drop(unread);
            });
        }
    });
    assert!(a.ended().is_none() && b.ended().is_none());
    assert!(a.rtt().samples > 5 && b.rtt().samples > 5);
}
