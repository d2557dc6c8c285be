//! `tieline pub --reliable` into `tieline sub` through a bad line: the output is the input, whatever the line
//! does.
//!
//! The line is `tieline_tests::proxy`. Each story runs with several seeds at once; a failure names its seed.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tieline_tests::free_port;
use tieline_tests::proxy::{Counts, Cuts, Faults, Plan, Proxy, Report};

const LINES: u32 = 20_000;
const SEEDS: u64 = 3;
/// A story that takes longer than this hangs, or is far too slow.
const LIMIT: Duration = Duration::from_secs(180);

/// 170 KB take 3.7 s: more than the longest time without an outage.
const SLOW: &str = "baud=460800";
const FAST: &str = "baud=4000000";

const BIT_ERROR: f64 = 1e-4;
const OUTAGE_MS: (u64, u64) = (200, 4000);
const BETWEEN_OUTAGES_MS: (u64, u64) = (800, 3500);

const NOISE: Faults = Faults {
    bit_error: BIT_ERROR,
    byte_loss: 2e-5,
    burst: 1e-5,
    insertion: 2e-5,
    duplication: 2e-3,
    chunk_max: 100,
    ..Faults::NONE
};
/// A quarter of it: an outage costs enough.
const SOME_NOISE: Faults = Faults {
    bit_error: BIT_ERROR / 4.0,
    byte_loss: 5e-6,
    burst: 5e-6,
    insertion: 5e-6,
    duplication: 5e-4,
    ..NOISE
};
const CABLE_PULLED: Cuts = Cuts { every_ms: BETWEEN_OUTAGES_MS, last_ms: OUTAGE_MS };

#[derive(Debug, Clone, Copy)]
enum Wiring {
    /// Serial framing over TCP.
    Tcp,
    Terminals,
}

#[test]
fn noise_over_tcp() {
    let reports = stories(Wiring::Tcp, FAST, |seed| Plan::both(seed, NOISE));
    assert_noise(&reports);
}

#[test]
fn noise_over_terminals() {
    let reports = stories(Wiring::Terminals, FAST, |seed| Plan::both(seed, NOISE));
    assert_noise(&reports);
}

#[test]
fn a_cable_that_is_pulled_over_tcp() {
    let reports = stories(Wiring::Tcp, SLOW, pulled);
    assert_cut(&reports, |report| report.cuts, |report| report.there.cut);
}

#[test]
fn a_cable_that_is_pulled_over_terminals() {
    let reports = stories(Wiring::Terminals, SLOW, pulled);
    assert_cut(&reports, |report| report.cuts, |report| report.there.cut);
}

#[test]
fn outages_of_the_way_back_alone() {
    let back = Faults { cuts: Some(CABLE_PULLED), ..Faults::NONE };
    let reports = stories(Wiring::Tcp, SLOW, |seed| Plan { seed, back, ..Plan::default() });
    assert_cut(&reports, |report| report.back.cuts, |report| report.back.cut);
}

fn pulled(seed: u64) -> Plan {
    Plan { cuts: Some(CABLE_PULLED), ..Plan::both(seed, SOME_NOISE) }
}

/// The line must have been bad, or nothing is proven.
fn assert_noise(reports: &[Report]) {
    for report in reports {
        let Counts { flips, duplicates, bytes_in, bytes_out, .. } = report.there;
        assert!(flips > 0 && duplicates > 0 && bytes_in != bytes_out, "{report}");
    }
    let sum = |count: fn(&Counts) -> u64| reports.iter().map(|report| count(&report.there)).sum::<u64>();
    assert!(sum(|counts| counts.dropped) > 0 && sum(|counts| counts.inserted) > 0, "{reports:?}");
}

fn assert_cut(reports: &[Report], cuts: fn(&Report) -> u64, bytes: fn(&Report) -> u64) {
    assert!(reports.iter().all(|report| cuts(report) > 0), "{reports:?}");
    assert!(reports.iter().map(bytes).sum::<u64>() > 0, "{reports:?}");
}

/// One story for each seed, all at once: most of the time they wait for the line.
fn stories(wiring: Wiring, options: &str, plan: impl Fn(u64) -> Plan) -> Vec<Report> {
    thread::scope(|scope| {
        let stories: Vec<_> = (1..=SEEDS)
            .map(|seed| {
                scope.spawn({
                    let plan = plan(seed);
                    move || story(wiring, options, &plan)
                })
            })
            .collect();
        stories.into_iter().map(|story| story.join().expect("a story fails")).collect()
    })
}

fn story(wiring: Wiring, options: &str, plan: &Plan) -> Report {
    let (proxy, publish_at, subscribe_at) = match wiring {
        Wiring::Tcp => {
            let port = free_port();
            let far = format!("127.0.0.1:{port}");
            let proxy = Proxy::tcp("127.0.0.1:0", &far, plan).unwrap();
            let near = format!("tcp://{}?framing=serial&{options}", proxy.ends()[0]);
            (proxy, near, format!("tcp://{far}?listen&framing=serial&{options}"))
        }
        Wiring::Terminals => {
            let proxy = Proxy::terminals(plan).unwrap();
            let [near, far] = proxy.ends().clone();
            (proxy, format!("serial://{near}?{options}"), format!("serial://{far}?{options}"))
        }
    };
    let input: Vec<u8> = (1..=LINES).flat_map(|line| format!("{line}\n").into_bytes()).collect();
    let deadline = Instant::now() + LIMIT;
    let count = LINES.to_string();
    let subscribe = Program::start(&["sub", &subscribe_at, "Line@proxy.in", "--count", &count], &[]);
    let publish = Program::start(&["pub", "--reliable", &publish_at, "Line@proxy.in"], &input);
    let publish = publish.end_by(deadline);
    let subscribe = subscribe.end_by(deadline);
    let report = proxy.stop().unwrap();

    let told = format!("{wiring:?}, seed {}\npub {publish}\nsub {subscribe}\n{report}", plan.seed);
    assert!(publish.status.is_some_and(|status| status.success()), "{told}");
    assert!(subscribe.status.is_some_and(|status| status.success()), "{told}");
    let same = subscribe.output.iter().zip(&input).take_while(|(came, sent)| came == sent).count();
    assert!(subscribe.output == input, "the output differs from byte {same} on; {told}");
    report
}

/// A program at work; its output is read meanwhile.
struct Program {
    child: Child,
    output: JoinHandle<Vec<u8>>,
    errors: JoinHandle<Vec<u8>>,
}

/// How it ended.
struct Ended {
    /// None: it was killed.
    status: Option<ExitStatus>,
    output: Vec<u8>,
    errors: String,
}

impl Program {
    fn start(args: &[&str], input: &[u8]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tieline"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
        // It fails when the program ends early, which shows elsewhere.
        thread::spawn(move || stdin.write_all(&input));
        let (output, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, output: read_all(output), errors: read_all(errors) }
    }

    fn end_by(mut self, deadline: Instant) -> Ended {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => {
                    self.child.kill().unwrap();
                    self.child.wait().unwrap();
                    break None;
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let errors = String::from_utf8_lossy(&self.errors.join().unwrap()).into_owned();
        Ended { status, output: self.output.join().unwrap(), errors }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "ended with {status}")?,
            None => write!(f, "was killed: it had not ended after {LIMIT:?}")?,
        }
        write!(f, ", {} bytes of output; it said: {:?}", self.output.len(), self.errors)
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        all
    })
}
