//! A serial port that is pulled out and put back, each time as another device, while both programs go on.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::Cable;
use tieline_std::{Connection, Event, IntentOptions, InterestOptions, Options, Policy, RouteName, route};
use tieline_tests::Rng;

const LONG: Duration = Duration::from_secs(30);

fn name() -> &'static RouteName {
    route("Count@pulled").unwrap()
}

fn quick() -> Options {
    Options {
        policy: Policy::Reconnect { first: Duration::from_millis(10), most: Duration::from_millis(50) },
        ping_interval: Duration::from_millis(100),
        silence: LONG,
        timeout: Some(LONG),
        ..Options::default()
    }
}

#[test]
fn a_port_that_is_pulled_and_put_back_as_another_device_loses_nothing() {
    let cable = Cable::new("back");
    // It is waited for, too.
    let address = cable.address();
    let pc = thread::spawn(move || Connection::open(&address, quick()));
    let board_address = cable.board.clone();
    let board = thread::spawn(move || Connection::open(&board_address, quick()));
    thread::sleep(Duration::from_millis(50));
    cable.plug_in();
    let (pc, board) = (pc.join().unwrap().unwrap(), board.join().unwrap().unwrap());
    let publisher = board.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let subscriber = pc.raw_subscriber(name(), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sends = scope.spawn(|| {
            let mut number = 0_u32;
            while !stop.load(Ordering::SeqCst) {
                publisher.publish(&number.to_le_bytes()).unwrap();
                number += 1;
                thread::sleep(Duration::from_micros(200));
            }
            publisher.publish(&u32::MAX.to_le_bytes()).unwrap();
            number
        });
        let reads = scope.spawn(|| {
            let mut next = 0;
            loop {
                let payload = subscriber.recv_timeout(LONG).unwrap();
                match u32::from_le_bytes(payload.as_slice().try_into().unwrap()) {
                    u32::MAX => return next,
                    number => assert_eq!(number, next, "lost, doubled or out of order"),
                }
                next += 1;
            }
        });
        let mut rng = Rng::new(7);
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(100 + rng.below(100)));
            cable.pull_out();
            thread::sleep(Duration::from_millis(rng.below(700)));
            cable.plug_in();
        }
        thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::SeqCst);
        assert_eq!(sends.join().unwrap(), reads.join().unwrap());
    });
    board.flush(LONG).unwrap();
    let events = pc.events();
    let mut resumed = false;
    while let Some(event) = events.try_recv() {
        assert!(!matches!(event, Event::Lost(_) | Event::Ended(_)), "{event:?}");
        resumed |= matches!(event, Event::Established { resumed: true, .. });
    }
    assert!(resumed);
}
