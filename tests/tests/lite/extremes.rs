//! No routes and as many as there can be, peers as small as the board, and numbers that turn over.

use std::time::Duration;

use tieline::{Event, Incoming, Instant, IntentOptions, RouteName, Select, lite};
use tieline_tests::names::{CHAT, COMMAND};

use crate::bench::{Bench, IN_COMMAND, OUT_CHAT};

/// Names of as many routes as anybody asks for.
const fn numbered<const N: usize>(first: u64) -> [RouteName; N] {
    let mut names = [CHAT; N];
    let mut at = 0;
    while at < N {
        let hash = (first + at as u64) << 32 | 0x77;
        names[at] = match RouteName::hashed("", hash) {
            Ok(name) => name,
            Err(_) => panic!(),
        };
        at += 1;
    }
    names
}

/// One with so many routes; those of `B` are the other way round.
#[derive(Debug)]
struct A;
#[derive(Debug)]
struct B;

const UP: u64 = 1000;
const DOWN: u64 = 2000;

impl<const OUT: usize, const IN: usize> lite::Device<OUT, IN> for A {
    const NAME: &'static str = "a";
    const PUBLISHES: [RouteName; OUT] = numbered(UP);
    const READS: [RouteName; IN] = numbered(DOWN);
}

impl<const OUT: usize, const IN: usize> lite::Device<OUT, IN> for B {
    const NAME: &'static str = "";
    const PUBLISHES: [RouteName; OUT] = numbered(DOWN);
    const READS: [RouteName; IN] = numbered(UP);
    const PING_MS: u32 = 1;
    const SILENCE_MS: u32 = 1_000;
}

/// The number of the route on which a message came, which is all that stands in it.
fn number(message: &Incoming<'_>) -> usize {
    let number = message.payload[0];
    assert_eq!((message.route, message.payload), (lite::read(number.into()), &[number; 9][..]));
    number.into()
}

/// Two boards on one line: `A` restarts, then `B`, then both.
fn two_boards<const OUT: usize, const IN: usize, const FRAME: usize, const OTHER: usize>() {
    let mut a = lite::Endpoint::<A, FRAME, OUT, IN>::new();
    let mut b = lite::Endpoint::<B, OTHER, IN, OUT>::new();
    let mut now = Instant::ZERO;
    for round in 1..5 {
        if round != 2 {
            a = lite::Endpoint::new();
            a.start(round);
            a.handle_connect(now).unwrap();
        }
        if round != 3 {
            b = lite::Endpoint::new();
            b.start(round + 100);
            b.handle_connect(now).unwrap();
        }
        let (mut at_a, mut at_b) = ([0; IN], [0; OUT]);
        for _ in 0..8_000 {
            now = now + Duration::from_micros(500);
            a.handle_timeout(now);
            b.handle_timeout(now);
            let mut out = [0; 256];
            if let Some(frame) = a.poll_transmit(now, &mut out) {
                let mut rest = frame;
                while !rest.is_empty() {
                    rest = &rest[b.handle_input(now, rest)..];
                    while let Some(message) = b.poll_message(Select::Any) {
                        at_b[number(&message)] += 1;
                    }
                }
            }
            if let Some(frame) = b.poll_transmit(now, &mut out) {
                let mut rest = frame;
                while !rest.is_empty() {
                    rest = &rest[a.handle_input(now, rest)..];
                    while let Some(message) = a.poll_message(Select::Any) {
                        at_a[number(&message)] += 1;
                    }
                }
            }
            for at in 0..OUT {
                let _ = a.publish(
                    lite::published((at + round as usize) % OUT),
                    &[((at + round as usize) % OUT) as u8; 9],
                );
            }
            for at in 0..IN {
                let _ = b.publish(lite::published(at), &[at as u8; 9]);
            }
        }
        assert!(a.is_established() && b.is_established(), "{OUT} {IN} {FRAME} {OTHER} {round}");
        assert!((0..OUT).all(|at| a.has_audience(lite::published(at))));
        assert!((0..IN).all(|at| b.has_audience(lite::published(at))));
        assert!(at_a.iter().chain(&at_b).any(|count| *count > 100) || OUT + IN == 0);
    }
}

#[test]
fn two_boards_talk_to_each_other() {
    two_boards::<1, 1, 80, 80>();
    two_boards::<2, 3, 80, 253>();
    two_boards::<3, 0, 253, 80>();
    two_boards::<0, 0, 80, 80>();
    two_boards::<63, 64, 80, 120>();
    two_boards::<0, 127, 253, 253>();
}

#[test]
fn numbers_turn_over() {
    let mut bench = Bench::connected(1);
    // Records in both directions: each declaration asks for ours.
    for _ in 0..300 {
        bench.pc.withdraw_intent(bench.command.unwrap());
        bench.run(10);
        bench.command = bench.pc.declare_intent(&COMMAND, IntentOptions::reliable()).ok();
        bench.until(500, "it is known", |bench| bench.pc.has_audience(bench.command.unwrap()));
    }
    let mut count = 0_u32;
    while count < 70_000 {
        if bench.pc.publish(bench.command.unwrap(), &[]).is_ok() {
            count += 1;
        } else {
            bench.step();
        }
        let _ = bench.board.publish(OUT_CHAT, &[]);
    }
    bench.run(500);
    assert_eq!(bench.board_heard(IN_COMMAND).len(), 70_000);
    assert_eq!(bench.pc.undelivered_total(), 0);
    let delivered = bench.pc_events.iter().filter(|event| matches!(event, Event::Delivered(_))).count();
    assert_eq!(delivered, 70_000);
    assert_eq!((bench.board_events.len(), bench.pc.stats().best_effort.lost), (1, 0));
}
