//! Programs that are killed at random moments, and started again faster than any time-out: within a session nothing reliable
//! is lost or doubled, and what is in doubt is said to be.

mod common;

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Cable;
use tieline_std::{
    Address, Connection, Error, Event, IntentOptions, InterestOptions, LostReason, Options, Policy,
    RouteName, route,
};
use tieline_tests::{Rng, free_port};

const LONG: Duration = Duration::from_secs(30);
const KILLS: u64 = 8;

fn name() -> &'static RouteName {
    route("Count@killed").unwrap()
}

fn quick(name: &'static str) -> Options {
    Options {
        name,
        policy: Policy::Reconnect { first: Duration::from_millis(5), most: Duration::from_millis(50) },
        timeout: Some(LONG),
        ..Options::default()
    }
}

/// This very program, as what is to be killed.
struct Victim(Child);

impl Victim {
    fn start(role: &str, address: &str, incarnation: u64, file: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "what_is_to_be_killed", "--nocapture"]).stdout(Stdio::null());
        command.env("TIELINE_VICTIM", format!("{role} {address} {incarnation} {file}"));
        Self(command.spawn().unwrap())
    }
}

impl Victim {
    /// SIGKILL.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nothing, but in a process that is to be killed.
#[test]
fn what_is_to_be_killed() {
    let Ok(told) = std::env::var("TIELINE_VICTIM") else { return };
    let told: Vec<&str> = told.split(' ').collect();
    let &[role, address, incarnation, file] = told.as_slice() else { panic!("{told:?}") };
    let incarnation: u64 = incarnation.parse().unwrap();
    let connection = Connection::open(&address.parse().unwrap(), quick("victim")).unwrap();
    match role {
        "publishes" => {
            let publisher = connection.raw_publisher(name(), IntentOptions::reliable()).unwrap();
            publisher.wait_audience(LONG).unwrap();
            for number in 0_u64.. {
                let payload = [incarnation.to_le_bytes(), number.to_le_bytes()].concat();
                // Somebody ends us, if not with a signal then by closing.
                if publisher.publish(&payload).is_err() {
                    return;
                }
            }
        }
        _ => {
            let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
            let subscriber = connection.raw_subscriber(name(), InterestOptions::default()).unwrap();
            while let Ok(payload) = subscriber.recv() {
                let number = u64::from_le_bytes(payload.as_slice().try_into().unwrap());
                file.write_all(format!("{incarnation} {number}\n").as_bytes()).unwrap();
            }
        }
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Says that it is over when the story is, however that ends: a test that fails does not hang.
struct Over<'s>(&'s AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A reader at `here` meets publishers at `there` that are killed.
fn a_reader_outlives_its_publishers(here: &str, there: &str, seed: u64) {
    let address: Address = here.parse().unwrap();
    let opens = thread::spawn(move || Connection::open(&address, quick("reader")).unwrap());
    let mut victim = Victim::start("publishes", there, 0, "-");
    let reader = opens.join().unwrap();
    let subscriber = reader.raw_subscriber(name(), InterestOptions::default()).unwrap();
    let over = AtomicBool::new(false);
    let heard = AtomicU64::new(0);
    thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let (mut incarnations, mut current, mut next) = (HashSet::new(), u64::MAX, 0);
            while !over.load(Ordering::SeqCst) {
                let payload = match subscriber.recv_timeout(Duration::from_millis(100)) {
                    Ok(payload) => payload,
                    Err(Error::TimedOut) => continue,
                    Err(error) => panic!("{error}"),
                };
                let (incarnation, number) = payload.split_at(8);
                let incarnation = u64::from_le_bytes(incarnation.try_into().unwrap());
                let number = u64::from_le_bytes(number.try_into().unwrap());
                if incarnation != current {
                    assert!(incarnations.insert(incarnation), "{incarnation} comes back from the dead");
                    (current, next) = (incarnation, 0);
                    heard.store(incarnation, Ordering::SeqCst);
                }
                assert_eq!(number, next, "lost, doubled or out of order in session {incarnation}");
                next += 1;
            }
            incarnations.len()
        });
        let _over = Over(&over);
        let mut rng = Rng::new(seed);
        for incarnation in 1..=KILLS {
            // Every other one at any time, as soon as it has been started; the others when they are heard.
            if incarnation % 2 == 0 {
                until("it is heard", || heard.load(Ordering::SeqCst) == incarnation - 1);
            }
            thread::sleep(Duration::from_millis(rng.below(300)));
            drop(victim);
            victim = Victim::start("publishes", there, incarnation, "-");
        }
        // The last one has its say.
        until("the last one is heard", || heard.load(Ordering::SeqCst) == KILLS);
        over.store(true, Ordering::SeqCst);
        let incarnations = reads.join().unwrap();
        assert!(incarnations > KILLS as usize / 2, "seed {seed}: only {incarnations} were heard");
    });
    let events = reader.events();
    let mut restarted = false;
    while let Some(event) = events.try_recv() {
        assert!(!matches!(event, Event::Ended(_)), "{event:?}");
        restarted |= matches!(event, Event::Lost(LostReason::PeerRestarted));
    }
    assert!(restarted, "a restart is told");
}

#[test]
fn a_publisher_that_is_killed_over_tcp() {
    for seed in 1..=2 {
        let port = free_port();
        let here = format!("tcp://127.0.0.1:{port}?listen");
        a_reader_outlives_its_publishers(&here, &format!("tcp://127.0.0.1:{port}"), seed);
    }
}

#[test]
fn a_publisher_that_is_killed_over_a_terminal() {
    let cable = Cable::new("killed");
    cable.plug_in();
    a_reader_outlives_its_publishers(&cable.board.to_string(), &cable.address().to_string(), 3);
}

#[test]
fn a_reader_that_is_killed_leaves_nothing_undecided() {
    let port = free_port();
    let listen = format!("tcp://127.0.0.1:{port}?listen");
    let file = std::env::temp_dir().join(format!("tieline-{}-taken", std::process::id()));
    let file_name = file.to_str().unwrap();
    let mut victim = Victim::start("reads", &listen, 0, file_name);
    let address = format!("tcp://127.0.0.1:{port}").parse().unwrap();
    let connection = Connection::open(&address, quick("publisher")).unwrap();
    let publisher = connection.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // It waits while nobody is there, and goes on with whoever comes.
        let publishes = scope.spawn(|| {
            for number in 0_u64.. {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                publisher.publish(&number.to_le_bytes()).unwrap();
                thread::sleep(Duration::from_micros(100));
            }
        });
        let _over = Over(&over);
        let mut rng = Rng::new(11);
        for incarnation in 1..=KILLS {
            // As above.
            if incarnation % 2 == 0 {
                let before = publisher.progress().delivered;
                until("messages are taken", || publisher.progress().delivered > before);
            }
            thread::sleep(Duration::from_millis(rng.below(250)));
            victim.kill();
            victim = Victim::start("reads", &listen, incarnation, file_name);
        }
        let before = publisher.progress().delivered;
        until("the last one takes messages", || publisher.progress().delivered > before);
        over.store(true, Ordering::SeqCst);
        publishes.join().unwrap();
    });
    let flushed = connection.flush(LONG);
    assert!(matches!(flushed, Ok(()) | Err(Error::Undelivered { .. })), "{flushed:?}");
    let progress = publisher.progress();
    assert_eq!(
        progress.published,
        progress.delivered + progress.in_doubt + progress.not_delivered,
        "{progress:?}"
    );
    connection.close(LONG).unwrap();
    victim.0.wait().unwrap();

    let taken = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut numbers = HashSet::new();
    let mut last = None;
    for line in taken.lines() {
        let (incarnation, number) = line.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        assert!(numbers.insert(number), "{number} was taken twice");
        if let Some((before, previous)) = last.filter(|(before, _)| *before == incarnation) {
            assert_eq!(number, previous + 1, "a gap within session {before}");
        }
        last = Some((incarnation, number));
    }
    let taken = numbers.len() as u64;
    // Each time it was killed it may have had one in its hands that it had not written down yet.
    assert!(taken + KILLS >= progress.delivered, "{taken} {progress:?}");
    assert!(taken <= progress.delivered + progress.in_doubt, "{taken} {progress:?}");
    assert!(progress.delivered > 0 && progress.not_delivered + progress.in_doubt > 0, "{progress:?}");
}
