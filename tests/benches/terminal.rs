//! A command's latency for real: two connections over two pseudo-terminals, and between them a line that carries 115200 bits
//! a second and not one more: `cargo bench --package tieline-tests --bench terminal`.
//!
//! The simulator's figure beside it is the bound of docs/design.md: the line time of one largest frame, of a frame with
//! reports, and of the command's own, + 1 ms. What is more here is what the operating system and a busy machine add.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tieline_std::{Address, Connection, IntentOptions, InterestOptions, Options, RouteName};
use tieline_tests::Rng;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BAUD: u32 = 115_200;
/// A board's frame: the largest that a session has is the smaller one's.
const FRAME: usize = 264;
const COMMANDS: usize = 200;
/// docs/design.md, *Figures*: the bound on a clean line.
const BOUND_MS: f64 = 26.5;
const LIMIT: Duration = Duration::from_secs(20);
/// Bytes that the line takes at once: a UART's FIFO.
const FIFO: usize = 16;

const fn name(path: &'static str) -> RouteName {
    match RouteName::new("Bytes", path) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

static COMMAND: RouteName = name("bench.command");
static LOAD: RouteName = name("bench.load");

#[derive(Clone, Copy)]
enum Load {
    None,
    BestEffort(usize),
    Reliable(usize),
}

fn main() -> Result<()> {
    println!("8-byte commands (reliable) beside a load, over terminals at {BAUD} baud; {COMMANDS} of each");
    println!(
        "  {:<44}{:>9}{:>9}{:>9}{:>9}{:>8}{:>9}{:>10}",
        "load", "p50, ms", "p99, ms", "max, ms", "bound", "again", "damaged", "line late"
    );
    for (what, load) in [
        ("none", Load::None),
        ("best effort, 32 bytes each, without a pause", Load::BestEffort(32)),
        ("reliable, 64 KiB messages", Load::Reliable(64 * 1024)),
    ] {
        let Measured { mut times, again, damaged, late_us } = measure(load)?;
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
        println!(
            "  {what:<44}{:>9.1}{:>9.1}{:>9.1}{BOUND_MS:>9.1}{again:>8}{damaged:>9}{:>10.1}",
            at(0.5),
            at(0.99),
            times.last().copied().unwrap_or(f64::NAN),
            late_us as f64 / 1000.0,
        );
    }
    Ok(())
}

struct Measured {
    /// Milliseconds from publishing to having it.
    times: Vec<f64>,
    /// Reliable packets that either side has sent again, though this line loses nothing.
    again: u32,
    /// Frames that came damaged.
    damaged: u32,
    /// The farthest that the line itself was behind its rate: this machine's own part.
    late_us: u64,
}

fn measure(load: Load) -> Result<Measured> {
    let (near, near_path) = terminal()?;
    let (far, far_path) = terminal()?;
    let (over, late_us) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to) = (File::from(from.try_clone()?), File::from(to.try_clone()?));
            let (over, late_us) = (&over, &late_us);
            scope.spawn(move || carry(from, to, over, late_us));
        }
        let measured = talk(load, near_path, far_path);
        over.store(true, Ordering::SeqCst);
        let (times, again, damaged) = measured?;
        Ok(Measured { times, again, damaged, late_us: late_us.load(Ordering::SeqCst) })
    })
}

/// The times, what was sent again, and what came damaged.
fn talk(load: Load, near: String, far: String) -> Result<(Vec<f64>, u32, u32)> {
    let options = Options { frame: FRAME, timeout: Some(LIMIT), ..Options::default() };
    let board = thread::spawn(move || Connection::open(&Address::serial(far, BAUD), options));
    let pc = Connection::open(&Address::serial(near, BAUD), Options::default())?;
    let board = board.join().map_err(|_| "the board panicked")??;
    let commands = pc.raw_publisher(&COMMAND, IntentOptions::reliable())?;
    let (obeyed, told) = mpsc::channel();
    let subscriber = board.raw_subscriber(&COMMAND, InterestOptions::default())?;
    let unread =
        board.raw_subscriber(&LOAD, InterestOptions { window: Some(200_000), ..Default::default() })?;
    commands.wait_audience(LIMIT)?;
    let over = AtomicBool::new(false);
    let mut times = Vec::with_capacity(COMMANDS);
    let (mut again, mut damaged) = (0, 0);
    thread::scope(|scope| -> Result<()> {
        let over = &over;
        scope.spawn(move || {
            while let Ok(payload) = subscriber.recv() {
                let _ = obeyed.send((payload, Instant::now()));
            }
        });
        scope.spawn(move || while unread.recv().is_ok() {});
        let (quality, payload) = match load {
            Load::None => (IntentOptions::best_effort(), 0),
            Load::BestEffort(payload) => (IntentOptions::best_effort(), payload),
            Load::Reliable(payload) => (IntentOptions::reliable(), payload),
        };
        let publisher = pc.raw_publisher(&LOAD, quality)?.with_timeout(Duration::from_millis(100));
        let has_audience = publisher.wait_audience(LIMIT).is_ok();
        scope.spawn(move || {
            while has_audience && payload > 0 && !over.load(Ordering::SeqCst) {
                let _ = publisher.publish(&vec![0x55; payload]);
            }
        });
        let mut ask = || -> Result<()> {
            let mut rng = Rng::new(3);
            for number in 0..COMMANDS as u64 {
                thread::sleep(Duration::from_millis(rng.between(20, 120)));
                let begin = Instant::now();
                commands.publish(&number.to_le_bytes())?;
                let (payload, obeyed_at) = told.recv_timeout(LIMIT)?;
                assert_eq!(payload, number.to_le_bytes());
                times.push(obeyed_at.duration_since(begin).as_secs_f64() * 1000.0);
            }
            Ok(())
        };
        let asked = ask();
        // However it went, nobody waits any longer.
        over.store(true, Ordering::SeqCst);
        for stats in [pc.stats(), board.stats()] {
            again += stats.retransmitted;
            damaged += stats.check_failures + stats.framing_errors;
        }
        for connection in [&pc, &board] {
            let _ = connection.close(Duration::from_millis(1));
        }
        asked
    })?;
    Ok((times, again, damaged))
}

fn terminal() -> Result<(OwnedFd, String)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    let path = ptsname(&master, Vec::new())?.into_string()?;
    Ok((master, path))
}

/// A line of one direction: 10 bits a byte, and no more ahead than its FIFO.
fn carry(mut from: File, mut to: File, over: &AtomicBool, late_us: &AtomicU64) {
    let mut buffer = [0; FIFO];
    // When the line has sent all that it has taken; it may be in the past for as long as there is more to send, so that this
    // thread catches up when it was late.
    let (mut free_at, mut is_busy) = (Instant::now(), false);
    while !over.load(Ordering::SeqCst) {
        match from.read(&mut buffer) {
            Ok(n) => {
                if !std::mem::replace(&mut is_busy, true) {
                    free_at = Instant::now();
                }
                free_at += Duration::from_secs_f64(n as f64 * 10.0 / f64::from(BAUD));
                thread::sleep(free_at.saturating_duration_since(Instant::now()));
                let late = u64::try_from(free_at.elapsed().as_micros()).unwrap_or(u64::MAX);
                late_us.fetch_max(late, Ordering::SeqCst);
                let mut rest = buffer.get(..n).unwrap_or_default();
                while !rest.is_empty() && !over.load(Ordering::SeqCst) {
                    match to.write(rest) {
                        Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            thread::sleep(Duration::from_micros(200));
                        }
                        // Nobody has it open: what a wire carries then is lost.
                        Err(_) => break,
                    }
                }
            }
            Err(_) => {
                is_busy = false;
                thread::sleep(Duration::from_micros(200));
            }
        }
    }
}
