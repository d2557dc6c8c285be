//! What a broadcast datagram costs whoever hears it: `cargo bench --package tieline-tests --bench broadcast`.
//!
//! Each figure is the best of many rounds, in nanoseconds for one datagram, the system's share apart.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tieline::RouteName;
use tieline::broadcast::{Publisher, Reading, Subscriber};

const ROUNDS: usize = 60;
const BATCH: u32 = 1000;

fn main() {
    let ours = RouteName::new("ImuSample", "sensors.imu").expect("a route");
    let other = RouteName::new("ImuSample", "sensors.imu2").expect("a route");
    println!("ns for a datagram (best of {ROUNDS} rounds)");
    println!("{:<34}{:>10}{:>10}{:>10}", "payload in bytes", 8, 64, 1440);
    row("of another route, dropped", &other, &ours, false);
    row("of another protocol, dropped", &ours, &ours, true);
    row("damaged, dropped", &ours, &ours, true);
    row("wanted: checked and handed out", &ours, &ours, false);
}

fn row(what: &str, sent: &RouteName, wanted: &RouteName, broken: bool) {
    print!("{what:<34}");
    for len in [8, 64, 1440] {
        print!("{:>10.1}", time(what, sent, wanted, broken, len));
    }
    println!();
}

fn time(what: &str, sent: &RouteName, wanted: &RouteName, broken: bool, len: usize) -> f64 {
    let mut publisher = Publisher::new(sent, 7, 1);
    let payload = vec![0x5A; len];
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for _ in 0..BATCH {
        let mut out = vec![0; len + 32];
        publisher.emit(&payload, &mut out).expect("there is room");
        if broken {
            let at = if what.contains("protocol") { 0 } else { out.len() / 2 };
            out[at] ^= 1;
        }
        datagrams.push(out);
    }
    let handed_out = !broken && sent == wanted;
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut listener = Subscriber::<8>::new(wanted);
        let mut messages = 0;
        let begin = Instant::now();
        for datagram in &datagrams {
            if let Reading::Message(message) = listener.read(black_box(datagram)) {
                messages += 1;
                black_box(message.payload);
            }
        }
        best = best.min(begin.elapsed());
        black_box(&listener);
        assert_eq!(messages, if handed_out { BATCH } else { 0 }, "{what}");
    }
    best.as_secs_f64() * 1e9 / f64::from(BATCH)
}
