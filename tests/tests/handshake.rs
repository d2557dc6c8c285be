//! How two sides find each other, notice each other's restarts, and part.

use tieline::{CloseReason, Event, FailReason, IntentOptions, InterestOptions, LostReason};
use tieline_tests::names::{COMMAND, IMU};
use tieline_tests::{A, B, Feed, Handle, LineConfig, Rng, Setup, Sim, Who, Wiring, for_seeds, forge};

const ESTABLISHED: Event = Event::Established { resumed: false };

/// A publishes commands, B publishes samples; each reads the other's.
fn two_way(setup: Setup) -> (Sim, [Handle; 4]) {
    let mut sim = setup.build();
    let handles = [
        sim[A].intent(&COMMAND, IntentOptions::reliable()),
        sim[B].interest(&COMMAND, InterestOptions::default()),
        sim[B].intent(&IMU, IntentOptions::reliable()),
        sim[A].interest(&IMU, InterestOptions::default()),
    ];
    (sim, handles)
}

fn both_established(sim: &Sim) -> bool {
    Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established())
}

/// Both publish, and both hear it.
fn messages_flow(sim: &mut Sim, [command, commands, imu, samples]: [Handle; 4]) {
    let ready = |sim: &Sim| sim[A].has_audience(command) && sim[B].has_audience(imu);
    assert!(sim.run_until(5_000, ready), "no audience");
    let before = (sim[B].app.heard(commands), sim[A].app.heard(samples));
    sim[A].publish(command, b"go").unwrap();
    sim[B].publish(imu, b"1.5").unwrap();
    sim.run(2_000);
    assert_eq!(sim[B].app.payloads(commands).split_off(before.0), [b"go"]);
    assert_eq!(sim[A].app.payloads(samples).split_off(before.1), [b"1.5"]);
}

#[test]
fn either_side_may_come_first() {
    for pause in [0, 1, 50, 99, 100, 101, 350, 5_000] {
        for first in Who::BOTH {
            let (mut sim, handles) = two_way(Setup::new(pause));
            sim.connect_side(first);
            sim.run(pause);
            sim.connect_side(first.other());
            assert!(sim.run_until(1_500, both_established), "{first:?} first by {pause} ms");
            messages_flow(&mut sim, handles);
            for who in Who::BOTH {
                assert_eq!(sim[who].app.count(ESTABLISHED), 1);
                assert!(sim[who].saw(Event::Connecting) || pause == 0);
                assert_eq!(sim[who].endpoint.peer().unwrap().name, ["b", "a"][who as usize]);
            }
        }
    }
}

#[test]
fn both_at_once_agree_within_a_few_frames() {
    let (mut sim, handles) = two_way(Setup::new(1));
    sim.connect();
    assert!(sim.run_until(40, both_established));
    messages_flow(&mut sim, handles);
}

#[test]
fn whichever_hellos_are_lost_they_find_each_other() {
    // Every pattern of losing the first 5 frames of each side.
    for pattern in 0u32..1 << 10 {
        let (mut sim, handles) = two_way(Setup::new(1));
        for (line, bits) in sim.lines.iter_mut().zip([pattern, pattern >> 5]) {
            line.losses = (0..5).map(|at| bits >> at & 1 == 1).collect();
        }
        sim.connect();
        assert!(sim.run_until(10_000, both_established), "pattern {pattern:010b}");
        messages_flow(&mut sim, handles);
        for who in Who::BOTH {
            assert_eq!(sim[who].app.count(ESTABLISHED), 1, "pattern {pattern:010b}: a session fell");
        }
    }
}

#[test]
fn on_a_bad_line_they_find_each_other_too() {
    for_seeds(100, |seed, mut rng| {
        let line = LineConfig { frame_loss: 0.3, ..LineConfig::faulty(115_200, &mut rng) };
        let (mut sim, handles) = two_way(Setup::new(seed).line(line));
        sim.connect();
        assert!(sim.run_until(30_000, both_established));
        sim.end_faults();
        messages_flow(&mut sim, handles);
    });
}

#[test]
fn no_hello_that_was_ever_sent_ends_a_living_session() {
    for_seeds(30, |seed, mut rng| {
        let (mut sim, handles) = two_way(Setup::new(seed));
        sim.record();
        sim.establish();
        // A history with restarts, silence and challenges, so that all sorts of HELLO exist.
        for _ in 0..4 {
            match rng.below(3) {
                0 => sim.restart(A),
                1 => sim.restart(B),
                _ => {
                    sim.cut(true);
                    sim.run(3_500);
                    sim.cut(false);
                }
            }
            sim.run(rng.between(0, 300));
        }
        assert!(sim.run_until(10_000, both_established));
        messages_flow(&mut sim, handles);
        sim.run(5_000);
        let hellos = sim.lines.each_ref().map(|line| {
            let frames = line.sent.iter().map(|sent| sent.bytes.clone());
            frames.filter(|frame| forge::is_hello(frame)).collect::<Vec<_>>()
        });
        assert!(hellos.iter().all(|hellos| hellos.len() > 4));
        sim.record();
        Who::BOTH.iter().for_each(|who| sim[*who].app.forget());
        for _ in 0..300 {
            // Stale and duplicated ones come from the right side, echoed ones from the wrong one.
            let from = &hellos[rng.index(2)];
            let to = if rng.chance(0.5) { A } else { B };
            sim.inject(to, &from[rng.index(from.len())]);
            sim.run(rng.between(0, 150));
        }
        messages_flow(&mut sim, handles);
        for who in Who::BOTH {
            let states = sim[who].app.states();
            assert_eq!(states, [], "a session fell");
        }
    });
}

#[test]
fn replayed_hellos_do_not_keep_two_sides_apart() {
    for_seeds(30, |seed, mut rng| {
        let (mut sim, handles) = two_way(Setup::new(seed));
        sim.record();
        sim.establish();
        sim.restart(A);
        sim.run(500);
        let sent = sim.lines.each_ref().map(|line| line.sent.clone());
        let hellos: Vec<_> = sent
            .iter()
            .flatten()
            .map(|sent| sent.bytes.clone())
            .filter(|frame| forge::is_hello(frame))
            .collect();
        // Ghosts come all the time while both look for each other.
        sim.cut(true);
        sim.run(4_000);
        sim.cut(false);
        let limit = sim.now + 10_000_000;
        while !both_established(&sim) {
            assert!(sim.now < limit, "they do not find each other among ghosts");
            let to = if rng.chance(0.5) { A } else { B };
            sim.inject(to, &hellos[rng.index(hellos.len())]);
            sim.run(rng.between(1, 40));
        }
        messages_flow(&mut sim, handles);
    });
}

#[test]
fn a_loopback_is_told_and_a_peer_is_still_welcome() {
    let (mut sim, handles) = two_way(Setup::new(1));
    sim.wiring = Wiring::Loopback;
    sim.record();
    sim.connect();
    sim.run(10_000);
    for who in Who::BOTH {
        assert!(sim[who].saw(Event::Lost(LostReason::Loopback)));
        assert!(!sim[who].endpoint.is_established());
        let told = sim[who].app.count(Event::Lost(LostReason::Loopback));
        assert!(told <= 11, "told {told} times in 10 s");
        let asked = sim.line_from(who).frames;
        assert!(asked <= 14, "{asked} HELLOs in 10 s on a line that echoes");
    }
    sim.wiring = Wiring::Crossed;
    assert!(sim.run_until(2_500, both_established));
    messages_flow(&mut sim, handles);
}

#[test]
fn an_echo_on_the_line_disturbs_nobody() {
    let (mut sim, handles) = two_way(Setup::new(1));
    sim.wiring = Wiring::Echo;
    sim.connect();
    assert!(sim.run_until(5_000, both_established));
    messages_flow(&mut sim, handles);
    Who::BOTH.iter().for_each(|who| sim[*who].app.forget());
    sim.run(20_000);
    messages_flow(&mut sim, handles);
    assert!(Who::BOTH.iter().all(|who| sim[*who].app.states().is_empty()));
}

/// Hands all frames from one side to the other, HELLOs with another major version, as if that side were newer.
fn translated(frame: &[u8]) -> Vec<u8> {
    match forge::hello_of(frame) {
        Some(hello) => forge::hello_of_version(2, hello.head.nonce, hello.head.echo, hello.head.done),
        None => frame.to_vec(),
    }
}

/// Lets both sides talk for `ms` through [`translated`]; returns how many frames each sent.
fn talk_as_other_versions(sim: &mut Sim, ms: u64) -> [usize; 2] {
    sim.record();
    sim.lines.iter_mut().for_each(|line| line.cut = true);
    let mut seen = sim.lines.each_ref().map(|line| line.sent.len());
    let before = seen;
    for _ in 0..ms {
        sim.run(1);
        for from in Who::BOTH {
            let line = sim.line_from(from);
            let frames: Vec<_> =
                line.sent[seen[from as usize]..].iter().map(|s| translated(&s.bytes)).collect();
            seen[from as usize] = line.sent.len();
            frames.iter().for_each(|frame| sim.inject(from.other(), frame));
        }
    }
    [seen[0] - before[0], seen[1] - before[1]]
}

#[test]
fn another_major_version_closes_both_sides_quietly() {
    let (mut sim, handles) = two_way(Setup::new(1));
    sim.connect();
    let sent = talk_as_other_versions(&mut sim, 5_000);
    let mismatch = Event::Closed(CloseReason::VersionMismatch { ours: 1, theirs: 2 });
    for who in Who::BOTH {
        assert_eq!(sim[who].app.count(mismatch), 1, "{who:?}");
        assert!(!sim[who].saw(ESTABLISHED));
        assert!(sent[who as usize] <= 6, "{sent:?} frames");
    }
    assert_eq!(talk_as_other_versions(&mut sim, 10_000), [0, 0], "no loop of retries");
    // One is updated and restarts: they meet.
    sim.cut(false);
    sim.restart(A);
    assert!(sim.run_until(2_000, both_established));
    messages_flow(&mut sim, handles);
}

#[test]
fn a_peer_that_comes_back_with_another_version_ends_the_session() {
    let (mut sim, _) = two_way(Setup::new(1));
    sim.record();
    sim.establish();
    // The peer answers the challenge as version 2.
    let theirs = 0xABCD_0000_0001;
    sim.inject(A, &forge::hello_of_version(2, theirs, 0, false));
    sim.run(20);
    let challenge =
        sim.lines[0].sent.iter().rev().find_map(|sent| forge::hello_of(&sent.bytes)).unwrap().head;
    assert_eq!(challenge.echo, theirs);
    assert!(sim[A].endpoint.is_established(), "not before the challenge is answered");
    sim.inject(A, &forge::hello_of_version(2, theirs, challenge.nonce, false));
    sim.run(5);
    assert!(sim[A].saw(Event::Closed(CloseReason::VersionMismatch { ours: 1, theirs: 2 })));
    // The old peer is still there and notices the silence: its HELLO begins anew.
    assert!(sim.run_until(8_000, both_established));
}

#[test]
fn a_restart_is_noticed_however_fast() {
    for who in Who::BOTH {
        for pause in [0, 1, 3, 10, 100, 1_000, 1_900, 10_000] {
            let (mut sim, handles) = two_way(Setup::new(pause + 1));
            sim.establish();
            messages_flow(&mut sim, handles);
            sim[who.other()].app.forget();
            sim.kill(who);
            sim.run(pause);
            sim.restart(who);
            let again = |sim: &Sim| sim[who].endpoint.is_established() && sim[who.other()].saw(ESTABLISHED);
            assert!(sim.run_until(2_000, again), "{who:?} after {pause} ms");
            let states = sim[who.other()].app.states();
            let silent = [Event::Degraded(LostReason::Silence)];
            let before = if pause < 3_000 { &[][..] } else { &silent };
            let seen = [before, &[Event::Lost(LostReason::PeerRestarted)]].concat();
            assert!(states.starts_with(&seen), "{who:?} after {pause} ms: {states:?}");
            messages_flow(&mut sim, handles);
        }
    }
}

#[test]
fn restarts_at_any_moment_on_a_bad_line_are_repaired_without_help() {
    for_seeds(150, |seed, mut rng| {
        let (mut sim, handles) = two_way(Setup::new(seed).line(LineConfig::faulty(115_200, &mut rng)));
        sim.connect();
        sim[A].feed(Feed::new(handles[0], u32::MAX, (4, 40)));
        sim[B].feed(Feed::new(handles[2], u32::MAX, (4, 40)).every(7));
        for _ in 0..rng.between(1, 6) {
            sim.run(rng.below(600));
            let who = if rng.chance(0.5) { A } else { B };
            sim.restart(who);
            if rng.chance(0.3) {
                sim.restart(who.other());
            }
        }
        sim.end_faults();
        sim[A].app.feeds.clear();
        sim[B].app.feeds.clear();
        assert!(sim.run_until(10_000, both_established), "no session");
        // A session that began while the other side was still in its old one is repaired by silence.
        sim.run(5_000);
        messages_flow(&mut sim, handles);
    });
}

#[test]
fn both_sides_restart_together() {
    for_seeds(20, |seed, mut rng| {
        let (mut sim, handles) = two_way(Setup::new(seed));
        sim.establish();
        sim.run(rng.below(50));
        sim.restart(A);
        sim.restart(B);
        assert!(sim.run_until(2_000, both_established));
        messages_flow(&mut sim, handles);
    });
}

#[test]
fn a_close_is_heard_and_a_later_peer_is_welcome() {
    let (mut sim, handles) = two_way(Setup::new(1));
    sim.establish();
    messages_flow(&mut sim, handles);
    sim[A].endpoint.close(17);
    sim.run(100);
    assert!(sim[A].saw(Event::Closed(CloseReason::Local)));
    assert!(sim[B].saw(Event::Closed(CloseReason::Peer(17))));
    let frames = sim.lines.each_ref().map(|line| line.frames);
    sim.run(10_000);
    assert_eq!(sim.lines.each_ref().map(|line| line.frames), frames, "the line is quiet after a CLOSE");
    sim.restart(B);
    assert!(sim.run_until(2_000, both_established));
    messages_flow(&mut sim, handles);
}

#[test]
fn a_close_that_is_lost_is_said_again() {
    let (mut sim, handles) = two_way(Setup::new(1));
    sim.establish();
    sim.lines[0].cut = true;
    sim[A].endpoint.close(1);
    sim.run(5);
    sim.lines[0].cut = false;
    sim[B].feed(Feed::new(handles[2], 100, (10, 20)).every(50));
    assert!(sim.run_until(2_500, |sim| sim[B].saw(Event::Closed(CloseReason::Peer(1)))));
    let (_, failed, open) = sim[B].app.ends();
    assert_eq!(open, 0);
    assert!(failed.iter().all(|reason| matches!(reason, FailReason::SessionLost | FailReason::NotSent)));
}

#[test]
fn a_session_goes_on_over_a_new_link() {
    let (mut sim, handles) = two_way(Setup::new(1));
    sim.establish();
    for who in Who::BOTH {
        sim.disconnect_side(who);
        sim.run(10);
        assert!(sim[who].saw(Event::Degraded(LostReason::LinkDown)));
    }
    sim.run(2_000);
    sim.connect();
    assert!(sim.run_until(1_000, both_established));
    messages_flow(&mut sim, handles);
    // Only one side is told of a new link.
    sim.connect_side(A);
    assert!(sim.run_until(3_000, |sim| sim[B].app.count(Event::Established { resumed: true }) == 2));
    messages_flow(&mut sim, handles);
    for who in Who::BOTH {
        let lost = |event: &Event| matches!(event, Event::Lost(_));
        assert!(!sim[who].app.states().iter().any(lost), "{who:?}");
    }
}

#[test]
fn a_stream_works_as_well() {
    let (mut sim, handles) = two_way(Setup::new(1).stream());
    sim.establish();
    messages_flow(&mut sim, handles);
    sim[A].endpoint.close(0);
    sim.run(100);
    assert!(sim[B].saw(Event::Closed(CloseReason::Peer(0))));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let line = LineConfig::faulty(115_200, &mut Rng::new(seed));
        let (mut sim, handles) = two_way(Setup::new(seed).line(line));
        sim.record();
        sim[A].feed(Feed::new(handles[0], 200, (4, 40)));
        sim.connect();
        sim.run(3_000);
        sim.restart(B);
        sim.run(3_000);
        sim.lines.map(|line| line.sent)
    };
    for seed in 1..5 {
        assert!(run(seed) == run(seed));
    }
    assert!(run(1) != run(2));
}
