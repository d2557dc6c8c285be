//! The configurations; the large ones as those of `reliable`.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::{Memo, SAFE, Setup};
use crate::explore::{breaks, explore};

/// How often each side begins.
fn begins(a: u8, b: u8) -> Setup {
    Setup {
        begins: [a, b],
        restarts: [0, 0],
        rests: [0, 0],
        challenges: [1, 1],
        retries: 1,
        echo: false,
        stranger: false,
        gone: false,
        same_boot: false,
        memo: Memo::default(),
        longest: AtomicU32::new(0),
        silences: AtomicU32::new(0),
    }
}

fn run(name: &str, setup: Setup) {
    explore(name, setup, |setup| {
        let (rounds, silences) = (setup.longest.load(Relaxed), setup.silences.load(Relaxed));
        format!("at most {rounds} rounds of timers to a session, {silences} silences")
    });
}

#[test]
fn a_link_that_comes_again() {
    run("begins 2 and 1, link gone for a while", Setup { gone: true, ..begins(2, 1) });
}

#[test]
fn a_restart() {
    run("begins 2 and 1, a restart", Setup { restarts: [1, 0], ..begins(2, 1) });
}

#[test]
fn a_close() {
    run("begins 1 and 1, a close", Setup { rests: [1, 0], ..begins(1, 1) });
}

#[test]
fn a_stranger_and_an_echo() {
    run("begins 1 and 1, a stranger, echo", Setup { stranger: true, echo: true, ..begins(1, 1) });
}

#[test]
fn an_old_boot_part_is_found() {
    assert!(breaks(Setup { restarts: [1, 0], same_boot: true, ..begins(2, 1) }, SAFE));
}

#[test]
#[ignore = "large"]
fn large_both_begin_again() {
    run("begins 2 and 2", begins(2, 2));
}

#[test]
#[ignore = "large"]
fn large_restarts() {
    run("begins 2 and 1, a restart of each", Setup { restarts: [1, 1], ..begins(2, 1) });
}

#[test]
#[ignore = "large"]
fn large_a_stranger_and_an_echo() {
    run("begins 2 and 1, a restart, echo", Setup { restarts: [1, 0], echo: true, ..begins(2, 1) });
    run(
        "begins 2 and 1, a restart, a stranger, echo",
        Setup { restarts: [1, 0], stranger: true, echo: true, ..begins(2, 1) },
    );
}

#[test]
#[ignore = "large"]
fn large_closes() {
    run(
        "begins 2 and 1, a close on either side",
        Setup { rests: [1, 1], challenges: [1, 0], ..begins(2, 1) },
    );
}
