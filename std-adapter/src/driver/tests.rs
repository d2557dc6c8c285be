use std::thread;
use std::time::{Duration, Instant};

use crate::{Address, Connection, IntentOptions, InterestOptions, Listener, Options, RouteName, route};

const LONG: Duration = Duration::from_secs(30);

fn name(path: &'static str) -> &'static RouteName {
    route(path).unwrap()
}

fn connected() -> (Connection, Connection) {
    let listener = Listener::bind(&Address::udp_listen("127.0.0.1", 0)).unwrap();
    let dial = listener.address().to_dial();
    let options = || Options { timeout: Some(LONG), ..Options::default() };
    let dialled = thread::spawn(move || Connection::open(&dial, options()).unwrap());
    (listener.accept(options()).unwrap(), dialled.join().unwrap())
}

/// An acknowledgement is there in time, behind another datagram, but the driver is kept from reading either.
#[test]
fn what_was_there_in_time_is_not_late() {
    let (near, far) = connected();
    let asks = near.raw_publisher(name("Line@driver.asks"), IntentOptions::reliable()).unwrap();
    let asked = far.raw_subscriber(name("Line@driver.asks"), InterestOptions::default()).unwrap();
    let tells = far.raw_publisher(name("Line@driver.tells"), IntentOptions::best_effort()).unwrap();
    let told = near.raw_subscriber(name("Line@driver.tells"), InterestOptions::default()).unwrap();
    asks.wait_audience(LONG).unwrap();
    tells.wait_audience(LONG).unwrap();
    thread::scope(|scope| {
        // Drives from now on.
        scope.spawn(move || told.recv_timeout(LONG).unwrap());
        let (ours, theirs) = (&near.inner.shared, &far.inner.shared);
        while !ours.lock().polling {
            thread::yield_now();
        }
        let answering = theirs.lock();
        asks.publish(b"?").unwrap();
        let reading = ours.lock();
        let before = reading.endpoint.stats().retransmitted;
        drop(answering);
        tells.publish(b"first").unwrap();
        asked.recv_timeout(LONG).unwrap();
        // The acknowledgement has left when that returns; now the time-out comes.
        let until = reading.endpoint.poll_timeout().map_or_else(Instant::now, |at| ours.clock(at));
        thread::sleep((until + Duration::from_millis(1)).saturating_duration_since(Instant::now()));
        drop(reading);
        near.flush(LONG).unwrap();
        assert_eq!(near.stats().retransmitted, before);
    });
}
