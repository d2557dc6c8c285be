//! A line that damages bytes between the board and the PC.

use std::time::Duration;

use tieline_app::{COMMAND, GetStatus, RATE_CHANGED, STATUS, SetRate, Status};
use tieline_std::{Address, Connection, IntentOptions, Options};
use tieline_tests::proxy::{Faults, Plan, Proxy};

use crate::boards;
use crate::pc::LIMIT;

const COMMANDS: u32 = 1500;

/// About one frame in eight is damaged.
const FAULTS: Faults = Faults {
    bit_error: 4e-4,
    byte_loss: 5e-4,
    burst: 1e-4,
    burst_max: 30,
    insertion: 5e-4,
    duplication: 1e-3,
    chunk_max: 64,
    ..Faults::NONE
};

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn reliable_messages_cross_a_line_that_damages_bytes_exactly_once_both_ways() {
    let board = boards::main().start();
    let proxy = Proxy::tcp("127.0.0.1:0", &board.uart().to_string(), &Plan::both(5, FAULTS)).unwrap();
    let address: Address = format!("tcp://{}?framing=serial", proxy.ends()[0]).parse().unwrap();
    let options = Options {
        name: "test",
        ping_interval: Duration::from_millis(200),
        silence: LIMIT,
        ..Options::default()
    };
    let pc = Connection::open(&address, options).unwrap();
    let commands = pc.publisher(&COMMAND, IntentOptions::reliable()).unwrap();
    let reports = pc.subscriber(&RATE_CHANGED).unwrap();
    commands.wait_audience(LIMIT).unwrap();

    let rate = |number: u32| number % 997 + 1;
    let reader = std::thread::spawn(move || {
        for number in 0..COMMANDS {
            let report = reports.recv_timeout(LIMIT).unwrap();
            assert_eq!((report.commands, report.hertz), (number + 1, rate(number)));
        }
        reports
    });
    for number in 0..COMMANDS {
        commands.publish(&SetRate { hertz: rate(number) }).unwrap();
    }
    pc.flush(LIMIT).unwrap();
    let reports = reader.join().unwrap();
    assert_eq!(commands.progress().delivered, u64::from(COMMANDS));

    let status: Status = pc.caller::<GetStatus, Status>(&STATUS).call(&GetStatus, LIMIT).unwrap();
    assert_eq!(status.commands, COMMANDS, "{status:?}");
    assert!(reports.recv_timeout(Duration::from_millis(300)).is_err(), "a report came twice");
    let stats = pc.stats();
    pc.close(LIMIT).unwrap();
    let report = proxy.stop().unwrap();
    for counts in [report.there, report.back] {
        assert!(counts.flips > 20 && counts.dropped > 5 && counts.inserted > 2, "{report}");
    }
    assert!(stats.check_failures > 20, "{stats:?}");
    println!("{report}\n{} frames in, of which {} failed the check", stats.frames_in, stats.check_failures);
}
