//! Declarations that come, go, lapse and contradict each other, restarts and a bad line, where the clocks turn over: whatever
//! happened, it works again as soon as it may.

use std::collections::HashSet;
use std::time::Duration;

use tieline::{Event, IntentOptions, InterestOptions, RouteId, RouteName, Ticket};
use tieline_tests::for_seeds;
use tieline_tests::names::{CHAT, COMMAND, IMU, name};

use crate::bench::{Bench, Faults, IN_CHAT, IN_COMMAND, OUT_CHAT, OUT_IMU};

static OTHER_IMU: RouteName = name("Orientation", "sensors.imu");
static OTHER_COMMAND: RouteName = name("Order", "motor.command");
static OTHER_CHAT: RouteName = name("Speech", "chat");

/// A tick of the board has 1024 µs, and 32 bits of them are kept; the PC counts as many milliseconds.
const TURNS: [u64; 3] = [1 << 42, 1000 << 32, 1 << 41];

#[test]
fn whatever_was_declared_it_works_again() {
    for_seeds(60, |seed, mut rng| {
        let mut bench = Bench::new(seed);
        bench.now = TURNS[rng.index(3)] - rng.below(40_000_000);
        let mut wrong: Vec<(RouteId, bool)> = Vec::new();
        let mut tickets: Vec<(Ticket, u32)> = Vec::new();
        let (mut delivered, mut seen, mut commands) = (HashSet::new(), 0, 0_u32);
        bench.declare_all();
        bench.connect_board();
        bench.connect_pc();
        for _ in 0..250 {
            if rng.chance(0.05) {
                bench.faults = if rng.chance(0.5) { Faults::BAD } else { Faults::default() };
            }
            let len = 4 + rng.index(50);
            let _ = bench.board.publish(if rng.chance(0.5) { OUT_IMU } else { OUT_CHAT }, &vec![7; len]);
            if let Some(command) = bench.command
                && let Ok(Some(ticket)) =
                    bench.pc.publish(command, &[&commands.to_le_bytes()[..], &[0; 60]].concat()[..len])
            {
                tickets.push((ticket, commands));
                commands += 1;
            }
            if let Some(chat) = bench.chat {
                let _ = bench.pc.publish(chat, &vec![8; rng.index(60)]);
            }
            let ttl = rng.chance(0.5).then(|| Duration::from_millis(rng.between(1, 800)));
            let interest = InterestOptions { ttl, ..InterestOptions::default() };
            let intent = IntentOptions { ttl, ..IntentOptions::best_effort() };
            match rng.below(60) {
                0 => {
                    bench.start_board();
                    bench.run(rng.below(1_000));
                    bench.connect_board();
                }
                1 => {
                    bench.start_pc();
                    tickets.clear();
                    wrong.clear();
                    bench.run(rng.below(1_000));
                    if rng.chance(0.7) {
                        bench.declare_all();
                    }
                    bench.connect_pc();
                }
                2 => {
                    bench.start_board();
                    bench.start_pc();
                    tickets.clear();
                    wrong.clear();
                    bench.connect_board();
                    bench.connect_pc();
                }
                3 => bench.connect_board(),
                4 => bench.connect_pc(),
                5 => {
                    bench.pc.close(9);
                    bench.run(rng.below(300));
                    bench.connect_pc();
                }
                6..12 => bench.reads = !bench.reads,
                12..16 => bench.imu.take().into_iter().for_each(|imu| bench.pc.withdraw_interest(imu)),
                16..20 => bench.imu = bench.pc.declare_interest(&IMU, interest).ok(),
                20..24 => bench.command.take().into_iter().for_each(|it| bench.pc.withdraw_intent(it)),
                24..28 => bench.command = bench.pc.declare_intent(&COMMAND, IntentOptions::reliable()).ok(),
                28..32 => bench.chat.take().into_iter().for_each(|it| bench.pc.withdraw_intent(it)),
                32..35 => bench.chat = bench.pc.declare_intent(&CHAT, IntentOptions::reliable()).ok(),
                35..38 => bench.chat = bench.pc.declare_intent(&CHAT, intent).ok(),
                38..44 => {
                    let name = [&OTHER_IMU, &OTHER_COMMAND, &OTHER_CHAT][rng.index(3)];
                    if rng.chance(0.5) {
                        wrong.extend(bench.pc.declare_interest(name, interest).ok().map(|id| (id, false)));
                    } else {
                        let intent = bench.pc.declare_intent(name, IntentOptions::reliable());
                        wrong.extend(intent.ok().map(|id| (id, true)));
                    }
                }
                44..50 if !wrong.is_empty() => {
                    let at = rng.index(wrong.len());
                    let (id, is_intent) = wrong.swap_remove(at);
                    if is_intent { bench.pc.withdraw_intent(id) } else { bench.pc.withdraw_interest(id) }
                }
                _ => {}
            }
            bench.run(rng.below(80));
            for event in &bench.pc_events[seen..] {
                if let Event::Delivered(ticket) = event
                    && let Some((_, number)) = tickets.iter().find(|(known, _)| known == ticket)
                {
                    delivered.insert(*number);
                }
            }
            seen = bench.pc_events.len();
            // What it was told to be delivered, its application has taken.
            let heard: HashSet<_> = numbers(&bench).into_iter().collect();
            assert!(delivered.is_subset(&heard), "{:?}", delivered.difference(&heard));
        }
        bench.faults = Faults::default();
        bench.reads = true;
        for (id, is_intent) in wrong {
            if is_intent { bench.pc.withdraw_intent(id) } else { bench.pc.withdraw_interest(id) }
        }
        bench.run(5_000);
        bench.imu = bench.pc.declare_interest(&IMU, InterestOptions::default()).ok();
        bench.command = bench.pc.declare_intent(&COMMAND, IntentOptions::reliable()).ok();
        bench.chat = bench.pc.declare_intent(&CHAT, IntentOptions::reliable()).ok();
        bench.pc.declare_interest(&CHAT, InterestOptions::default()).unwrap();
        bench.until(10_000, "everything is declared", Bench::is_ready);
        bench.until(10_000, "all is delivered", |bench| bench.pc.undelivered_total() == 0);
        let numbers = numbers(&bench);
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "twice, or out of order: {numbers:?}");
        // The whole window is there again.
        let before = (bench.at_board.len(), bench.at_pc.len());
        for _ in 0..5 {
            bench.pc.publish(bench.command.unwrap(), &[0xFF; 71]).unwrap();
            bench.pc.publish(bench.chat.unwrap(), &[0xFF; 71]).unwrap();
            bench.board.publish(OUT_IMU, &[1; 30]).unwrap();
            bench.board.publish(OUT_CHAT, &[1; 30]).unwrap();
            bench.run(200);
        }
        assert_eq!((bench.at_board.len(), bench.at_pc.len()), (before.0 + 10, before.1 + 10));
        assert_eq!(bench.pc.undelivered_total(), 0);
        assert!([OUT_IMU, OUT_CHAT, IN_CHAT, IN_COMMAND].iter().all(|id| !bench.board.is_conflicting(*id)));
    });
}

fn numbers(bench: &Bench) -> Vec<u32> {
    let heard = bench.board_heard(IN_COMMAND).into_iter();
    heard
        .filter(|bytes| bytes.len() >= 4)
        .map(|bytes| u32::from_le_bytes(bytes[..4].try_into().unwrap()))
        .collect()
}
