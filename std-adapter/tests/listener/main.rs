//! A listener with several peers, strangers and worse. Threads are counted, so one story at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tieline::framing::{Framing, Peeked, Sealer};
use tieline::packet::{Hello, HelloBody, HelloHead, Mode, Packet, SeqWidth};
use tieline::wire::Writer;
use tieline::{Config, Endpoint, Inline, Link};
use tieline_std::{
    Address, Connection, Error, Event, IntentOptions, InterestOptions, Listener, Options, Policy, RouteName,
    route,
};
use tieline_tests::free_port;
use tieline_tests::gate::Gate;

mod crowds;
mod dialling;
mod peers;
mod single;

const LONG: Duration = Duration::from_secs(30);

fn name(text: &str) -> &'static RouteName {
    route(text).unwrap()
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static STORY: Mutex<()> = Mutex::new(());
    STORY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines are cut and never silent here: that a thread has no processor for a while is no silence.
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

fn listener() -> (Listener, Address, String) {
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let address = listener.address().to_dial();
    let place = address.to_string().trim_start_matches("tcp://").to_owned();
    (listener, address, place)
}

fn through(gate: &Gate) -> Address {
    format!("tcp://{}", gate.address()).parse().unwrap()
}

/// Threads of this process that are the library's: those of the test's harness come and go.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .filter(|name| name.starts_with("tieline"))
        .count()
}

/// Threads end a moment after what they belong to.
fn assert_threads(most: usize) {
    let begin = Instant::now();
    while threads() > most {
        assert!(begin.elapsed() < LONG / 3, "{} threads, and at most {most} are right", threads());
        thread::sleep(Duration::from_millis(10));
    }
}

/// A HELLO of somebody who will never say anything else.
fn hello(boot: u64, name: &str) -> Vec<u8> {
    hello_of(1, boot, name)
}

fn hello_of(major: u8, boot: u64, name: &str) -> Vec<u8> {
    answer_of(major, boot, name, 0)
}

fn answer_of(major: u8, boot: u64, name: &str, echo: u64) -> Vec<u8> {
    let head = HelloHead { major, minor: 0, done: false, nonce: boot << 16 | 1, echo };
    let body = HelloBody {
        name: name.try_into().unwrap(),
        mode: Mode::Fresh,
        capabilities: 0,
        frame_max: 80,
        message_max: 64,
        requests: 0,
        ping_ms: 1000,
        silence_ms: 3000,
        resume_s: 0,
        clock: 0,
    };
    let mut out = [0; 200];
    let sealer = Sealer { framing: Framing::Stream, number: 0 };
    let mut w = Writer::new(sealer.area(&mut out, 80).unwrap());
    Packet::Hello(Hello { head, body: Some(body) }).emit(&mut w, SeqWidth::Four, true).unwrap();
    let len = w.len();
    sealer.seal(&mut out, 80, len, u32::MAX, false).unwrap().to_vec()
}

/// Somebody who waits for one peer, at a port, and that peer, which comes through a gate.
fn one_and_its_peer(options: impl Fn(&'static str) -> Options) -> (Connection, Connection, Gate, Address) {
    let port = free_port();
    let listens = options("one");
    let opens =
        thread::spawn(move || Connection::open(&Address::tcp_listen("127.0.0.1", port), listens).unwrap());
    let gate = Gate::new(&format!("127.0.0.1:{port}")).unwrap();
    let peer = Connection::open(&through(&gate), options("board")).unwrap();
    (opens.join().unwrap(), peer, gate, Address::tcp("127.0.0.1", port))
}
