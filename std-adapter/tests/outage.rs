//! A line that fails for a while, and works again before it counts as lost.

use std::thread;
use std::time::{Duration, Instant};

use tieline_std::{Address, Connection, IntentOptions, InterestOptions, Listener, Options, RouteName, route};
use tieline_tests::proxy::{Plan, Proxy};

const LONG: Duration = Duration::from_secs(20);
/// Longer than anything that waits for a line that works.
const OUTAGE: Duration = Duration::from_millis(1200);

fn name() -> &'static RouteName {
    route("Line@outage.lines").unwrap()
}

/// Who has dialled, who was listening, and the line between them.
fn connected(silence: Duration) -> (Connection, Connection, Proxy) {
    let address = |port| format!("tcp://127.0.0.1:{port}?framing=serial").parse::<Address>().unwrap();
    let listen = "tcp://127.0.0.1:0?listen&framing=serial".parse().unwrap();
    let listener = Listener::bind(&listen).unwrap();
    let far = listener.address().to_dial().to_string();
    let far = far.trim_start_matches("tcp://").split('?').next().unwrap().to_owned();
    let proxy = Proxy::tcp("127.0.0.1:0", &far, &Plan::default()).unwrap();
    let near = address(proxy.ends()[0].rsplit(':').next().unwrap().to_owned());
    let options = Options { silence, resume_for: Duration::from_secs(3), ..Options::default() };
    let dialled = thread::spawn(move || Connection::open(&near, options).unwrap());
    let here = listener.accept(options).unwrap();
    (dialled.join().unwrap(), here, proxy)
}

#[test]
fn what_was_taken_is_still_told_when_the_line_fails_while_its_reader_closes() {
    // The line does not count as lost meanwhile, whoever else needs the processor.
    let (there, here, proxy) = connected(LONG);
    let publisher = there.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let subscriber = here.raw_subscriber(name(), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    proxy.cut(false, true);
    publisher.publish(b"the last one").unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"the last one");
    let begin = Instant::now();
    let closes = thread::spawn(move || here.close(LONG));
    thread::sleep(OUTAGE);
    proxy.cut(false, false);
    there.flush(LONG).unwrap();
    assert_eq!(publisher.progress().delivered, 1);
    closes.join().unwrap().unwrap();
    assert!(begin.elapsed() < LONG / 2, "it does not wait once the peer knows: {:?}", begin.elapsed());
}

#[test]
fn closing_a_line_that_does_not_come_back_ends_with_its_silence() {
    let (there, here, proxy) = connected(Options::default().silence);
    let publisher = there.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let subscriber = here.raw_subscriber(name(), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    publisher.publish(b"one").unwrap();
    subscriber.recv_timeout(LONG).unwrap();
    proxy.cut(true, true);
    let begin = Instant::now();
    let _ = here.close(LONG);
    assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
}
