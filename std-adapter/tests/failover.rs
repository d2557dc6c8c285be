//! One session over lines of two kinds: a serial port that is pulled out and put back, and TCP meanwhile.

mod common;

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Cable;
use tieline_std::{
    Address, Connection, Event, IntentOptions, InterestOptions, Options, Policy, RouteName, route,
};
use tieline_tests::free_port;
use tieline_tests::gate::Gate;

const LONG: Duration = Duration::from_secs(30);

fn name() -> &'static RouteName {
    route("Count@failover").unwrap()
}

fn options(name: &'static str) -> Options {
    Options {
        name,
        policy: Policy::Reconnect { first: Duration::from_millis(10), most: Duration::from_millis(50) },
        ping_interval: Duration::from_millis(100),
        silence: LONG,
        resume_for: LONG,
        timeout: Some(LONG),
        ..Options::default()
    }
}

/// The board's end of a cable, at a port of its own: who is hung up on dials again.
fn relay(cable: &str, board: &str, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        let (Ok(mut near), Ok(mut far)) = (TcpStream::connect(cable), TcpStream::connect(board)) else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let (mut back_near, mut back_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let ends = [near.try_clone().unwrap(), far.try_clone().unwrap()];
        let hang_up = || ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = io::copy(&mut near, &mut far);
                hang_up();
            });
            scope.spawn(|| {
                let _ = io::copy(&mut back_far, &mut back_near);
                hang_up();
            });
        });
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LONG * 2, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whoever goes on until then ends, however the story does.
struct Ends<'s>([&'s AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|end| end.store(true, Ordering::SeqCst));
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Lost(_) | Event::Ended(_))
}

#[test]
fn a_session_goes_from_a_serial_port_to_tcp_and_back() {
    let cable = Cable::new("failover");
    let place = format!("127.0.0.1:{}", free_port());
    let wire = cable.board.to_string().trim_start_matches("tcp://").split('?').next().unwrap().to_owned();
    let gate = Gate::new(&place).unwrap();
    let ways: [Address; 2] =
        [cable.address(), format!("tcp://{}?framing=serial", gate.address()).parse().unwrap()];
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let _ends = Ends([&stop, &over]);
        let relays = scope.spawn(|| relay(&wire, &place, &over));
        cable.plug_in();
        gate.shut(true);
        let listens: Address = format!("tcp://{place}?listen&framing=serial").parse().unwrap();
        let opens = scope.spawn(move || Connection::open(&listens, options("board")));
        let pc = Connection::open_any(&ways, options("pc")).unwrap();
        let board = opens.join().unwrap().unwrap();
        let events = pc.events();
        let publisher = board.raw_publisher(name(), IntentOptions::reliable()).unwrap();
        let subscriber = pc.raw_subscriber(name(), InterestOptions::default()).unwrap();
        publisher.wait_audience(LONG).unwrap();
        let delivered = || publisher.progress().delivered;
        thread::scope(|scope| {
            let sends = scope.spawn(|| {
                let mut number = 0_u32;
                while !stop.load(Ordering::SeqCst) {
                    publisher.publish(&number.to_le_bytes()).unwrap();
                    number += 1;
                    thread::sleep(Duration::from_millis(1));
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
            let _stops = Ends([&stop; 2]);
            let go_on = |what| {
                let before = delivered();
                until(what, || delivered() > before + 50);
            };
            go_on("over the port");
            for _ in 0..2 {
                gate.shut(false);
                let passed = gate.passed();
                cable.pull_out();
                until("TCP is found", || gate.passed() > passed);
                go_on("over TCP");
                while let Some(event) = events.try_recv() {
                    assert!(!is_end(&event), "{event:?}");
                }
                // It comes back by itself.
                cable.plug_in();
                loop {
                    match events.recv_timeout(LONG).unwrap() {
                        Event::Established { resumed: true, .. } => break,
                        event => assert!(!is_end(&event), "{event:?}"),
                    }
                }
                // Nothing that matters passes it now.
                gate.shut(true);
                gate.cut();
                go_on("over the port again");
            }
            stop.store(true, Ordering::SeqCst);
            assert_eq!(sends.join().unwrap(), reads.join().unwrap());
        });
        while let Some(event) = events.try_recv() {
            assert!(!is_end(&event), "{event:?}");
        }
        drop((pc, board));
        over.store(true, Ordering::SeqCst);
        drop(cable);
        relays.join().unwrap();
    });
}
