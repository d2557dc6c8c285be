//! Which message goes first: four priorities, turns within one, and a share for either quality.

use tieline::packet::Packet;
use tieline::{IntentOptions, InterestOptions, Priority, Quality};
use tieline_tests::line::Sent;
use tieline_tests::names::{CHAT, COMMAND, EIGHT};
use tieline_tests::{A, B, Feed, Handle, Setup, Sim, Sizes, forge};

const LEVELS: [Priority; 4] = [Priority::Background, Priority::Normal, Priority::High, Priority::Urgent];

const fn intent(quality: Quality, priority: Priority) -> IntentOptions {
    let base = match quality {
        Quality::Reliable => IntentOptions::reliable(),
        Quality::BestEffort => IntentOptions::best_effort(),
    };
    IntentOptions { priority, ..base }
}

/// Routes of these priorities from A to B.
fn routes(quality: Quality, priorities: &[Priority]) -> (Sim, Vec<Handle>, Vec<Handle>) {
    let mut sim = Setup::new(1).sizes(Sizes::PC).build();
    let (mut publishers, mut readers) = (Vec::new(), Vec::new());
    for (name, priority) in EIGHT.iter().zip(priorities) {
        publishers.push(sim[A].intent(name, intent(quality, *priority)));
        readers.push(sim[B].interest(name, InterestOptions { window: Some(1_500), ..Default::default() }));
    }
    sim.establish();
    (sim, publishers, readers)
}

/// The places of the routes in the order in which their messages were read.
fn order(sim: &Sim, readers: &[Handle]) -> Vec<usize> {
    let place = |handle| readers.iter().position(|reader| *reader == handle).unwrap();
    sim[B].app.received.iter().map(|message| place(message.handle)).collect()
}

#[test]
fn what_is_more_urgent_goes_first() {
    for quality in [Quality::Reliable, Quality::BestEffort] {
        let (mut sim, publishers, readers) = routes(quality, &LEVELS);
        for publisher in &publishers {
            for _ in 0..3 {
                sim[A].publish(*publisher, &[7; 300]).unwrap();
            }
        }
        sim.run(3_000);
        let expected = [3, 2, 1, 0].map(|place| [place; 3]).concat();
        assert_eq!(order(&sim, &readers), expected, "{quality:?}");
    }
}

#[test]
fn an_urgent_message_overtakes_what_waits() {
    let (mut sim, publishers, readers) = routes(Quality::Reliable, &[Priority::Background, Priority::Urgent]);
    for _ in 0..4 {
        sim[A].publish(publishers[0], &[7; 300]).unwrap();
    }
    sim.run(40);
    sim[A].publish(publishers[1], b"stop").unwrap();
    sim.run(2_000);
    let order = order(&sim, &readers);
    let at = order.iter().position(|place| *place == 1).unwrap();
    assert!(at <= 2, "behind what was on the line: {order:?}");
}

#[test]
fn routes_of_one_priority_take_turns() {
    for quality in [Quality::Reliable, Quality::BestEffort] {
        let (mut sim, publishers, _) = routes(quality, &[Priority::Normal; 3]);
        sim.record();
        for (place, publisher) in publishers.iter().enumerate() {
            for _ in 0..3 {
                sim[A].publish(*publisher, &[place as u8; 40]).unwrap();
            }
        }
        sim.run(3_000);
        // In the order of the line: what came in one frame may be read in another order.
        let mut order = Vec::new();
        for frame in &sim.line_from(A).sent {
            forge::each_packet(&frame.bytes, |packet| match packet {
                Packet::Reliable { payload: [place, ..], .. }
                | Packet::BestEffort { payload: [place, ..], .. } => order.push(*place),
                _ => {}
            });
        }
        // Whose turn is first depends on who was last.
        let mut round = order[..3].to_vec();
        round.sort_unstable();
        assert_eq!((round, order.len()), (vec![0, 1, 2], 9), "{quality:?} {order:?}");
        assert!(order[3..6] == order[..3] && order[6..] == order[..3], "{quality:?} {order:?}");
    }
}

/// How many of these frames hold a message of a quality, of those that hold any.
fn share(sent: &[Sent], quality: Quality) -> (usize, usize) {
    let (mut with, mut all) = (0, 0);
    for frame in sent {
        let (mut reliable, mut best_effort) = (false, false);
        forge::each_packet(&frame.bytes, |packet| match packet {
            Packet::Reliable { route, .. } if *route != 0 => reliable = true,
            Packet::BestEffort { .. } => best_effort = true,
            _ => {}
        });
        all += usize::from(reliable || best_effort);
        with += usize::from(if quality == Quality::Reliable { reliable } else { best_effort });
    }
    (with, all)
}

/// One quality floods with the highest priority, the other has the lowest.
fn share_of_the_weak(weak: Quality, strong: Quality) -> (usize, usize) {
    let mut sim = Setup::new(1).sizes(Sizes::PC).build();
    let flood = sim[A].intent(&COMMAND, intent(strong, Priority::Urgent));
    let other = sim[A].intent(&CHAT, intent(weak, Priority::Background));
    for name in [&COMMAND, &CHAT] {
        sim[B].interest(name, InterestOptions { window: Some(6_000), ..Default::default() });
    }
    sim.establish();
    sim.record();
    // More than the line carries of either.
    sim[A].feed(Feed::new(flood, 4_000, (200, 200)).every(5));
    sim[A].feed(Feed::new(other, 4_000, (200, 200)).every(5));
    sim.run(5_000);
    share(&sim.line_from(A).sent, weak)
}

#[test]
fn best_effort_keeps_an_eighth_of_the_frames_under_a_flood_of_urgent_reliable_messages() {
    let (with, all) = share_of_the_weak(Quality::BestEffort, Quality::Reliable);
    assert!(with * 8 + 8 >= all && with * 5 < all, "{with} of {all} frames");
}

#[test]
fn reliable_messages_keep_an_eighth_of_the_frames_under_a_flood_of_urgent_best_effort() {
    let (with, all) = share_of_the_weak(Quality::Reliable, Quality::BestEffort);
    assert!(with * 8 + 8 >= all && with * 5 < all, "{with} of {all} frames");
}
