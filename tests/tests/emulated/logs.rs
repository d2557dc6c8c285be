//! What the firmware logs, decoded with the texts that are in its image.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tieline::Event;

use crate::boards::{self, Kind};
use crate::pc::Pc;

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn logs_are_decoded_and_each_start_has_a_boot_nonce_of_its_own() {
    let kind = boards::main();
    // Two boards that are started at once, each reset once.
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| life(&kind, 2));
        (life(&kind, 1), other.join().unwrap())
    });
    let mut nonces = Vec::new();
    for logs in [&one, &two] {
        assert!(logs.contains("DEBUG") && logs.contains("session begun"), "{logs}");
        nonces.extend(logs.lines().filter_map(|line| line.split("boot nonce ").nth(1)));
    }
    println!("{one}");
    assert_eq!(nonces.len(), 4, "{one}\n{two}");
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 4, "two starts have the same nonce: {one}\n{two}");
}

/// A board that is started, and reset when a PC has found it; what it has logged.
fn life(kind: &Kind, boot_nonce: u64) -> String {
    let mut board = kind.start_with_logs();
    let mut decoder = Command::new(boards::decoder());
    decoder.arg("-e").arg(&kind.image).stdin(board.logs().expect("logs")).stdout(Stdio::piped());
    let decoder: Child = decoder.spawn().expect("defmt-print");
    let mut pc = Pc::connect(board.uart(), boot_nonce);
    pc.ready();
    board.reset().unwrap();
    pc.until("the restart", |pc| pc.events.iter().any(|event| matches!(event, Event::Lost(_))));
    pc.ready();
    pc.run(Duration::from_millis(50));
    // What the firmware has written is in the pipe by now, and the decoder ends when that does.
    drop(board);
    let output = decoder.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
