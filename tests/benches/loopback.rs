//! Two processes over TCP on this machine: round trips and messages a second of Tieline, beside raw TCP in the same
//! run: `cargo bench --package tieline-tests --bench loopback`.
//!
//! Each round measures raw TCP and Tieline in turn, so that a change of the machine's speed meets both; the median of
//! the rounds is printed. Once with both processes on one processor (the floor, without the cost of waking another
//! one), once where the scheduler likes. Messages are counted by the receiver.

use std::env;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use tieline_std::{Connection, IntentOptions, InterestOptions, Listener, Options, Refusal, RouteName};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PAYLOAD: [u8; 64] = [0x55; 64];
const ROUNDS: usize = 5;
const TRIPS: usize = 4000;
const FLOOD: Duration = Duration::from_millis(400);
const LIMIT: Duration = Duration::from_secs(10);

const fn name(path: &'static str) -> RouteName {
    match RouteName::new("Bytes", path) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

static THERE: RouteName = name("bench.there");
static BACK: RouteName = name("bench.back");
static ECHO: RouteName = name("bench.echo");
static FLOODED: RouteName = name("bench.flood");
static LOSSY: RouteName = name("bench.lossy");

fn main() -> Result<()> {
    let mut args = env::args().skip(1).filter(|arg| arg != "--bench");
    match (args.next().as_deref(), args.next()) {
        (Some("raw"), Some(address)) => raw_echo(&address),
        (Some("tieline"), Some(address)) => tieline_echo(&address),
        _ => parent(),
    }
}

fn parent() -> Result<()> {
    println!("64-byte messages, two processes, TCP on loopback; median of {ROUNDS} rounds in turn");
    for pinned in [true, false] {
        if pinned {
            let mut one = CpuSet::new();
            one.set(0);
            sched_setaffinity(None, &one)?;
        } else {
            let mut all = CpuSet::new();
            (0..std::thread::available_parallelism().map_or(1, usize::from).max(2))
                .for_each(|cpu| all.set(cpu));
            sched_setaffinity(None, &all)?;
        }
        println!("\n{}", if pinned { "both processes on one processor" } else { "unpinned" });
        measure()?;
    }
    Ok(())
}

fn measure() -> Result<()> {
    let (mut raw, mut message, mut request) = (Vec::new(), Vec::new(), Vec::new());
    let (mut raw_rate, mut reliable, mut lossy, mut arrived) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (trip, rate) = raw_round()?;
        raw.push(trip);
        raw_rate.push(rate);
        let round = tieline_round()?;
        message.push(round.message);
        request.push(round.request);
        reliable.push(round.reliable);
        lossy.push(round.lossy);
        arrived.push(round.lossy_arrived);
    }
    let raw = median(raw);
    let row = |what: &str, us: f64| println!("  {what:<44}{us:>9.1} µs{:>8.2} x raw", us / raw);
    row("raw TCP ping-pong, p50", raw);
    row("message there and back (reliable), p50", median(message));
    row("request and answer, p50", median(request));
    let raw_rate = median(raw_rate);
    let row = |what: &str, rate: f64| {
        println!("  {what:<44}{:>9.0} k/s{:>7.2} x raw", rate / 1000.0, rate / raw_rate);
    };
    row("raw TCP, one write() for each message", raw_rate);
    row("reliable messages taken", median(reliable));
    row("best-effort messages taken", median(lossy));
    println!("  {:<44}{:>9.1} %", "best-effort messages that arrived", 100.0 * median(arrived));
    Ok(())
}

struct Round {
    message: f64,
    request: f64,
    reliable: f64,
    lossy: f64,
    lossy_arrived: f64,
}

/// A child of ours, ended with this value.
struct Peer(Child);

impl Peer {
    fn start(role: &str, address: &str) -> Result<Self> {
        Ok(Self(Command::new(env::current_exe()?).args([role, address]).spawn()?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn raw_round() -> Result<(f64, f64)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let _peer = Peer::start("raw", &listener.local_addr()?.to_string())?;
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut buffer = PAYLOAD;
    let trip = trips(|| {
        stream.write_all(&PAYLOAD)?;
        Ok(stream.read_exact(&mut buffer)?)
    })?;
    // The peer echoes no more, but counts until we say so, and answers with its count.
    stream.write_all(&[0; 64])?;
    let (start, mut sent) = (Instant::now(), 0u64);
    while start.elapsed() < FLOOD {
        stream.write_all(&PAYLOAD)?;
        sent += 1;
    }
    stream.write_all(&[0; 64])?;
    stream.read_exact(&mut buffer[..1])?;
    Ok((trip, sent as f64 / start.elapsed().as_secs_f64()))
}

fn raw_echo(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 64];
    loop {
        stream.read_exact(&mut buffer)?;
        if buffer[0] == 0 {
            break;
        }
        stream.write_all(&buffer)?;
    }
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let len = stream.read(&mut chunk)?;
        if len == 0 || chunk[len - 1] == 0 {
            stream.write_all(&[1])?;
            return Ok(());
        }
    }
}

fn tieline_round() -> Result<Round> {
    let listener = Listener::bind(&"tcp://127.0.0.1:0?listen".parse()?)?;
    let address = listener.address().to_string().replace("?listen", "");
    let _peer = Peer::start("tieline", &address)?;
    let connection = listener.accept(Options::default())?;
    let there =
        connection.raw_publisher(&THERE, IntentOptions { tickets: false, ..IntentOptions::reliable() })?;
    let back = connection.raw_subscriber(&BACK, InterestOptions::default())?;
    there.wait_audience(LIMIT)?;
    let mut payload = Vec::new();
    let message = trips(|| {
        there.publish(&PAYLOAD)?;
        Ok(back.recv_into(&mut payload)?)
    })?;
    let echo = connection.raw_caller(&ECHO);
    let request = trips(|| {
        echo.call(&PAYLOAD, LIMIT)?;
        Ok(())
    })?;
    let flood = |route: &'static RouteName, options: IntentOptions| -> Result<(u64, u64, f64)> {
        let publisher = connection.raw_publisher(route, IntentOptions { tickets: false, ..options })?;
        publisher.wait_audience(LIMIT)?;
        let (start, mut sent) = (Instant::now(), 0u64);
        while start.elapsed() < FLOOD {
            for _ in 0..64 {
                publisher.publish(&PAYLOAD)?;
            }
            sent += 64;
        }
        connection.flush(LIMIT)?;
        let seconds = start.elapsed().as_secs_f64();
        let count = echo.call(route.path().as_bytes(), LIMIT)?;
        Ok((sent, u64::from_le_bytes(count.as_slice().try_into()?), seconds))
    };
    let (sent, count, seconds) = flood(&FLOODED, IntentOptions::reliable())?;
    assert_eq!(sent, count, "reliable messages are all taken");
    let reliable = count as f64 / seconds;
    let (sent, count, seconds) = flood(&LOSSY, IntentOptions::best_effort())?;
    Ok(Round {
        message,
        request,
        reliable,
        lossy: count as f64 / seconds,
        lossy_arrived: count as f64 / sent as f64,
    })
}

fn tieline_echo(address: &str) -> Result<()> {
    let connection = Connection::open(&address.parse()?, Options::default())?;
    let there = connection.raw_subscriber(&THERE, InterestOptions::default())?;
    let back =
        connection.raw_publisher(&BACK, IntentOptions { tickets: false, ..IntentOptions::reliable() })?;
    back.wait_audience(LIMIT)?;
    let mut payload = Vec::new();
    for _ in 0..warm(TRIPS) {
        there.recv_into(&mut payload)?;
        back.publish(&payload)?;
    }
    let service = connection.raw_responder(&ECHO)?;
    for _ in 0..warm(TRIPS) {
        let request = service.recv()?;
        let answer = request.payload().to_vec();
        request.respond(&answer)?;
    }
    for route in [&FLOODED, &LOSSY] {
        let subscriber = connection.raw_subscriber(route, InterestOptions::default())?;
        let mut count = 0u64;
        let asked = 'counting: loop {
            // Count what is there; ask for the question only when nothing is.
            while subscriber.try_recv_into(&mut payload)? {
                count += 1;
            }
            match subscriber.recv_timeout(Duration::from_millis(20)) {
                Ok(_) => count += 1,
                Err(_) => {
                    if let Ok(request) = service.recv_timeout(Duration::from_millis(1)) {
                        break 'counting request;
                    }
                }
            }
        };
        asked.respond(&count.to_le_bytes())?;
    }
    // The parent ends us.
    service.serve(|_| Err(Refusal::new(16, "no more")))?;
    Ok(())
}

const fn warm(trips: usize) -> usize {
    trips + trips / 10
}

/// The median of round trips in µs, after a warm-up.
fn trips(mut trip: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(warm(TRIPS));
    for _ in 0..warm(TRIPS) {
        let start = Instant::now();
        trip()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times.split_off(TRIPS / 10)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
