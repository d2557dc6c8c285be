//! `cargo xtask soak` runs this: new schedules on all cores until the time is over or one fails.
//!
//! What a schedule is and what must hold is in `tieline_tests::property`; nothing is decided here.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tieline_tests::property::{self, Failure, Report};
use tieline_tests::{Rng, Schedule};

/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(60);

/// What all threads share.
struct Soak {
    next: AtomicU64,
    stop: AtomicBool,
    /// Sum of all runs, and how many there were.
    sum: Mutex<(Report, u64)>,
    /// The first run that failed.
    failed: Mutex<Option<(Schedule, Failure)>>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(minutes), start) = (number(arguments.next()), number(arguments.next())) else {
        eprintln!("usage: soak MINUTES [FIRST_SEED]");
        return ExitCode::FAILURE;
    };
    let first = start.unwrap_or_else(from_clock);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    println!("soak: {minutes} minutes on {threads} threads, first seed {first}");
    let soak = Soak {
        next: AtomicU64::new(first),
        stop: AtomicBool::new(false),
        sum: Mutex::default(),
        failed: Mutex::default(),
    };
    let begin = Instant::now();
    let end = begin + Duration::from_secs(minutes * 60);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| soak.work(end));
        }
        let mut said = begin;
        while !soak.stop.load(Ordering::Relaxed) && Instant::now() < end {
            thread::sleep(Duration::from_millis(100));
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                println!("{:>4} min: {}", begin.elapsed().as_secs() / 60, soak.summary());
            }
        }
    });
    println!("soak: {} s, {}", begin.elapsed().as_secs(), soak.summary());
    let failed = soak.failed.lock().map_or(None, |mut failed| failed.take());
    let Some((schedule, failure)) = failed else {
        println!("soak: no property was violated");
        return ExitCode::SUCCESS;
    };
    println!("soak: seed {} FAILED: {failure}", schedule.seed);
    println!("reproduce: SEED={} cargo test -p tieline-tests --test property whatever", schedule.seed);
    println!("shrinking, which may take a minute");
    println!("{}", property::explain(schedule, &failure));
    ExitCode::FAILURE
}

impl Soak {
    fn work(&self, end: Instant) {
        while !self.stop.load(Ordering::Relaxed) && Instant::now() < end {
            let schedule = Schedule::draw(self.next.fetch_add(1, Ordering::Relaxed));
            let result = property::run(&schedule);
            match (result, self.sum.lock(), self.failed.lock()) {
                (Ok(report), Ok(mut sum), _) => {
                    sum.0.add(&report);
                    sum.1 += 1;
                }
                (Err(failure), _, Ok(mut failed)) => {
                    failed.get_or_insert((schedule, failure));
                    self.stop.store(true, Ordering::Relaxed);
                }
                // Another thread has panicked, which the scope reports.
                _ => return,
            }
        }
    }

    fn summary(&self) -> String {
        let Ok(sum) = self.sum.lock() else { return String::new() };
        let (report, seeds) = &*sum;
        format!(
            "{seeds} seeds, {:.1} virtual hours, {} sessions, resumed {} times, {} messages published and {} read, {} failed \
             ({} expired, {} superseded), \
             {} requests, {} frames, {} faults of the line, {} actions; \
             all was delivered {:.1} s after the faults at the latest",
            report.virtual_ms as f64 / 3.6e6,
            report.sessions,
            report.resumed,
            report.published,
            report.read,
            report.failed,
            report.expired,
            report.superseded,
            report.requests,
            report.frames,
            report.faults,
            report.actions,
            report.settled_ms as f64 / 1e3,
        )
    }
}

fn number(text: Option<String>) -> Option<u64> {
    text?.parse().ok()
}

/// A seed that was most likely never used before.
fn from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Small enough to be typed, far from the seeds of the tests.
    Rng::new(now.as_nanos() as u64).next() % 1_000_000_000 * 1_000
}
