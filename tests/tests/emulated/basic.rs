//! What every board can: messages both ways, and requests.

use std::time::Duration;

use crate::boards;
use crate::pc::Pc;

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn messages_go_both_ways_and_requests_are_answered_on_every_board() {
    for kind in boards::all() {
        let name = &kind.name;
        let board = kind.start();
        let mut pc = Pc::connect(board.uart(), 1);
        pc.subscribe();
        let took = pc.ready();
        pc.until("ten samples", |pc| pc.samples.len() >= 10);
        let first = pc.samples[0].number;
        for (number, sample) in (first..).zip(&pc.samples) {
            assert_eq!(sample.number, number, "{name}: {:?}", pc.samples);
            let [x, y, z] = sample.acceleration;
            assert!(
                [x, y].iter().all(|axis| axis.abs() <= 500) && (950..=1050).contains(&z),
                "{name}: {sample:?}"
            );
        }
        let slow = usual_period(&pc);
        assert!((75_000..150_000).contains(&slow), "{name}: {slow} \u{b5}s between samples at 10 a second");

        assert!(pc.publish(100), "{name}");
        pc.until("the report", |pc| !pc.reports.is_empty());
        let report = pc.reports[0];
        assert_eq!((report.commands, report.hertz), (1, 100), "{name}");
        pc.run(Duration::from_millis(50));
        pc.samples.clear();
        pc.until("faster samples", |pc| pc.samples.len() >= 50);
        let fast = usual_period(&pc);
        assert!(fast * 2 < slow, "{name}: {fast} \u{b5}s between samples at 100 a second");

        let mut uptime_ms = 0;
        for asked in 0..100 {
            let status = pc.status();
            assert_eq!((status.rate, status.commands, status.errors), (100, 1, 0), "{name}: {status:?}");
            assert!(status.samples > asked && status.uptime_ms >= uptime_ms, "{name}: {status:?}");
            uptime_ms = status.uptime_ms;
        }
        println!("{name}: a session and its routes after {took:?}; {:?}", pc.endpoint.rtt());
    }
}

/// The usual time between two readings, by the board's own clock, in microseconds. Not each: a busy host stops the whole
/// board now and then.
fn usual_period(pc: &Pc) -> u32 {
    let micros: Vec<u32> = pc.samples.iter().map(|sample| sample.micros).collect();
    let mut periods: Vec<u32> = micros.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    periods.sort_unstable();
    periods[periods.len() / 2]
}
