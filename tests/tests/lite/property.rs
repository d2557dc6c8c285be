//! Whatever happens on the line and on either side, no promise is broken, and when it is over everything works again.

use std::collections::HashSet;

use tieline::{Event, InterestOptions, Ticket};
use tieline_tests::for_seeds;
use tieline_tests::names::IMU;

use crate::bench::{Bench, Faults, IN_CHAT, IN_COMMAND, OUT_CHAT, OUT_IMU};

/// Numbers in messages, so that each shows where it stands.
#[derive(Debug, Default)]
struct Numbers {
    samples: u32,
    texts: u32,
    commands: u32,
    chats: u32,
    /// Which command a ticket of this start of the PC is.
    tickets: Vec<(Ticket, u32)>,
    delivered: HashSet<u32>,
    seen: usize,
}

impl Numbers {
    /// What the PC was told of its commands.
    fn note(&mut self, bench: &Bench) {
        for event in &bench.pc_events[self.seen..] {
            if let Event::Delivered(ticket) = event {
                let found = self.tickets.iter().find(|(known, _)| known == ticket);
                self.delivered.insert(found.expect("a ticket that was given").1);
            }
        }
        self.seen = bench.pc_events.len();
    }
}

fn numbers<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<u32> {
    payloads.into_iter().map(|bytes| u32::from_le_bytes(bytes[..4].try_into().unwrap())).collect()
}

fn rises(numbers: &[u32]) -> bool {
    numbers.windows(2).all(|pair| pair[0] < pair[1])
}

#[test]
fn no_promise_is_broken_on_a_bad_line_with_restarts() {
    for_seeds(40, |seed, mut rng| {
        let mut bench = Bench::new(seed);
        bench.declare_all();
        bench.connect_board();
        bench.connect_pc();
        let mut count = Numbers::default();
        let restarts = rng.chance(0.7);
        for _ in 0..300 {
            if rng.chance(0.05) {
                bench.faults = if rng.chance(0.5) { Faults::BAD } else { Faults::default() };
            }
            let len = 4 + rng.index(50);
            let message = |number: &u32| [&number.to_le_bytes()[..], &[0; 60]].concat()[..len].to_vec();
            if bench.board.publish(OUT_IMU, &message(&count.samples)).is_ok() {
                count.samples += 1;
            }
            if bench.board.publish(OUT_CHAT, &message(&count.texts)).is_ok() {
                count.texts += 1;
            }
            if let Some(command) = bench.command
                && let Ok(Some(ticket)) = bench.pc.publish(command, &message(&count.commands))
            {
                count.tickets.push((ticket, count.commands));
                count.commands += 1;
            }
            if let Some(chat) = bench.chat
                && bench.pc.publish(chat, &message(&count.chats)).is_ok()
            {
                count.chats += 1;
            }
            match rng.below(100) {
                0 if restarts => {
                    bench.start_board();
                    bench.run(rng.below(2_000));
                    bench.connect_board();
                }
                1 if restarts => {
                    bench.start_pc();
                    count.tickets.clear();
                    bench.run(rng.below(2_000));
                    bench.declare_all();
                    bench.connect_pc();
                }
                2 if restarts => {
                    let now = bench.clock();
                    bench.pc.handle_disconnect(now);
                    bench.run(rng.below(500));
                    bench.connect_pc();
                }
                3 if restarts => bench.connect_board(),
                4 => bench.reads = !bench.reads,
                5 => {
                    if let Some(imu) = bench.imu.take() {
                        bench.pc.withdraw_interest(imu);
                    }
                }
                6 => bench.imu = bench.pc.declare_interest(&IMU, InterestOptions::default()).ok(),
                _ => {}
            }
            bench.run(rng.below(60));
            count.note(&bench);
        }
        bench.faults = Faults::default();
        bench.reads = true;
        if bench.imu.is_none() {
            bench.imu = bench.pc.declare_interest(&IMU, InterestOptions::default()).ok();
        }
        bench.until(10_000, "everything is declared", Bench::is_ready);
        bench.until(10_000, "all is delivered", |bench| bench.pc.undelivered_total() == 0);
        bench.run(500);
        count.note(&bench);

        let commands = numbers(bench.board_heard(IN_COMMAND));
        assert!(rises(&commands), "twice, or out of order: {commands:?}");
        let heard: HashSet<_> = commands.iter().copied().collect();
        assert!(count.delivered.is_subset(&heard), "delivered, and nobody has it");
        assert!(count.delivered.len() > 5, "{} were delivered", count.delivered.len());
        if !restarts {
            assert_eq!(commands, (0..count.commands).collect::<Vec<_>>(), "a session that went on lost some");
            assert_eq!(bench.board_events.iter().filter(|event| matches!(event, Event::Lost(_))).count(), 0);
        }
        assert!(rises(&numbers(bench.board_heard(IN_CHAT))));
        // And it still works.
        let before = (bench.at_pc.len(), bench.at_board.len());
        bench.board.publish(OUT_IMU, b"last").unwrap();
        bench.pc.publish(bench.command.unwrap(), b"last").unwrap();
        bench.run(100);
        assert_eq!((bench.at_pc.len(), bench.at_board.len()), (before.0 + 1, before.1 + 1));
    });
}

#[test]
fn a_bad_line_ends_no_session() {
    for_seeds(4, |seed, _| {
        let mut bench = Bench::connected(seed);
        bench.faults = Faults::BAD;
        bench.run(60_000);
        assert_eq!(bench.board_events.len(), 1, "{:?}", bench.board_events);
        let lost = bench.pc_events.iter().any(|event| matches!(event, Event::Lost(_) | Event::Degraded(_)));
        assert!(!lost, "{:?}", bench.pc_events);
    });
}
