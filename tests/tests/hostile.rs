//! Hostile input: whatever comes, nothing panics, every call does bounded work, and a healthy session survives what is
//! not of its peer.
//!
//! Where a frame is forged with the session's own seeds its sender *is* the peer, and may break the session; then
//! nothing may happen but that, and a peer that starts anew must be welcome.

use tieline::packet::HelloHead;
use tieline::{CallOptions, Event, FailReason, Instant, IntentOptions, InterestOptions};
use tieline_tests::chaos::{mangled, some_packets};
use tieline_tests::names::{ADD, CHAT, COMMAND, IMU};
use tieline_tests::{A, B, Feed, Handle, Reading, Rng, Serving, Setup, Sim, Who, for_seeds, forge};

/// Both publish and read, B answers requests; everything is in use.
fn busy(setup: Setup) -> (Sim, [Handle; 4]) {
    let mut sim = setup.build();
    let window = InterestOptions { window: Some(150), ttl: None, rate: None };
    let handles = [
        sim[A].intent(&COMMAND, IntentOptions::reliable()),
        sim[B].interest(&COMMAND, window),
        sim[B].intent(&IMU, IntentOptions::reliable()),
        sim[A].interest(&IMU, window),
    ];
    sim[A].intent(&CHAT, IntentOptions::best_effort());
    sim[B].interest(&CHAT, window);
    sim[B].service(&ADD, Serving::Echo);
    (sim, handles)
}

#[test]
fn a_healthy_session_survives_everything_that_is_not_of_its_peer() {
    for_seeds(40, |seed, mut rng| {
        let (mut sim, [command, commands, imu, samples]) = busy(Setup::new(seed));
        sim.record();
        sim.establish();
        sim[A].feed(Feed::new(command, 100, (4, 60)).every(40));
        sim[B].feed(Feed::new(imu, 100, (4, 60)).every(40));
        // Frames of other sessions, which were sealed well.
        let (mut stranger, _) = busy(Setup::new(seed + 1_000));
        stranger.record();
        stranger.establish();
        let foreign: Vec<_> =
            stranger.lines.iter().flat_map(|line| &line.sent).map(|sent| sent.bytes.clone()).collect();
        Who::BOTH.iter().for_each(|who| sim[*who].app.forget());
        for _ in 0..150 {
            let to = if rng.chance(0.5) { A } else { B };
            let own: Vec<_> =
                sim.lines.iter().flat_map(|line| line.sent.last()).map(|sent| sent.bytes.clone()).collect();
            let garbage = match rng.below(4) {
                0 => {
                    let len = rng.between(1, 400) as usize;
                    rng.bytes(len)
                }
                1 => foreign[rng.index(foreign.len())].clone(),
                2 => mangled(&foreign[rng.index(foreign.len())], &mut rng),
                _ => mangled(&own[rng.index(own.len())], &mut rng),
            };
            sim.inject(to, &garbage);
            sim.run(rng.below(60));
        }
        let all = |sim: &Sim| sim[A].app.heard(samples) == 100 && sim[B].app.heard(commands) == 100;
        assert!(sim.run_until(20_000, all));
        assert_eq!(sim[A].app.numbers(samples), (0..100).collect::<Vec<_>>());
        assert_eq!(sim[B].app.numbers(commands), (0..100).collect::<Vec<_>>());
        for who in Who::BOTH {
            assert_eq!(sim[who].app.states(), [], "{who:?}");
            assert_eq!(sim[who].app.ends().1, Vec::<FailReason>::new());
        }
    });
}

#[test]
fn garbage_on_a_serial_line_costs_at_most_the_frame_behind_it() {
    for_seeds(100, |seed, mut rng| {
        let (mut sim, [command, commands, ..]) = busy(Setup::new(seed));
        sim.establish();
        let len = rng.between(1, 2_000) as usize;
        let garbage = rng.bytes(len);
        let before = sim[B].endpoint.stats().frames_in;
        sim.inject(B, &garbage);
        sim[A].publish(command, b"perhaps").unwrap();
        sim.run(20);
        let between = sim[B].endpoint.stats().frames_in;
        sim[A].publish(command, b"for sure").unwrap();
        sim.run(20);
        assert!(sim[B].endpoint.stats().frames_in > between.max(before), "not in step within one frame");
        sim.run(1_000);
        assert_eq!(sim[B].app.payloads(commands), [&b"perhaps"[..], b"for sure"]);
    });
}

#[test]
fn a_peer_that_says_anything_at_all_breaks_no_more_than_its_session() {
    for_seeds(150, |seed, mut rng| {
        let (mut sim, [command, ..]) = busy(Setup::new(seed));
        sim.record();
        sim.establish();
        let (theirs, ours) = forge::nonces(&sim.lines[1].sent).expect("HELLOs were exchanged");
        sim.kill(B);
        sim[A].feed(Feed::new(command, u32::MAX, (4, 60)));
        let mut next = 1 + rng.below(3) as u32;
        for _ in 0..150 {
            let packets = some_packets(&mut rng, &mut next);
            if packets.is_empty() || packets[0] == 1 {
                continue;
            }
            sim.inject(A, &forge::frame(&packets, theirs, ours));
            if rng.chance(0.05) {
                // So that the sequence is met again.
                next = rng.next() as u32;
            }
            if rng.chance(0.1) {
                let _ = sim.request(A, &ADD, b"?", CallOptions::default());
            }
            if rng.chance(0.05) {
                let interest = sim[A].app.heard(command) % 2 == 0;
                sim[A].app.polls_events = interest;
            }
            sim.run(rng.below(30));
        }
        sim[A].app.feeds.clear();
        sim[A].app.polls_events = true;
        // The real peer comes.
        sim.restart(B);
        let ready = |sim: &Sim| Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established());
        assert!(sim.run_until(8_000, ready), "a new peer is not welcome");
        // A believes in the new session a little later than B does.
        sim.run(300);
        assert!(sim.run_until(2_000, |sim| sim[A].has_audience(command)), "no audience");
        sim[A].publish(command, b"back to normal").unwrap();
        sim.run(1_000);
        let last = sim[B].app.received.last().map(|message| message.payload.clone());
        assert_eq!(last.as_deref(), Some(&b"back to normal"[..]));
    });
}

#[test]
fn forged_hellos_with_right_checks_end_no_session() {
    for_seeds(60, |seed, mut rng| {
        let (mut sim, [command, commands, ..]) = busy(Setup::new(seed));
        sim.record();
        sim.establish();
        let heads: Vec<_> = sim
            .lines
            .iter()
            .flat_map(|line| &line.sent)
            .filter_map(|sent| forge::hello_of(&sent.bytes))
            .collect();
        Who::BOTH.iter().for_each(|who| sim[*who].app.forget());
        for _ in 0..200 {
            let mut hello = heads[rng.index(heads.len())].clone();
            // Not the nonces to come: whoever guesses those answers a challenge, which is for part 7 to forbid.
            let nonce = |rng: &mut Rng, old: u64| match rng.below(5) {
                0 => rng.next(),
                1 => old.wrapping_sub(rng.below(5)),
                2 => old ^ 1 << rng.between(16, 63),
                3 => 0,
                _ => old,
            };
            // Anything but the answer to a challenge, which only a peer can give.
            hello.head = HelloHead {
                major: if rng.chance(0.2) { rng.byte() } else { 1 },
                minor: rng.byte(),
                done: rng.chance(0.3),
                nonce: nonce(&mut rng, hello.head.nonce),
                echo: nonce(&mut rng, hello.head.echo),
            };
            if hello.head.major != 1 {
                hello.body = None;
            }
            let to = if rng.chance(0.5) { A } else { B };
            sim.inject(to, &forge::hello(hello));
            sim.run(rng.below(40));
        }
        sim.run(1_500);
        for who in Who::BOTH {
            let states = sim[who].app.states();
            assert_eq!(states, [], "{who:?}");
        }
        sim[A].publish(command, b"still here").unwrap();
        sim.run(600);
        assert_eq!(sim[B].app.payloads(commands), [b"still here"]);
    });
}

/// An endpoint that talks with a peer that is forged as it goes, so that calls meet a living session.
#[test]
fn any_calls_in_a_living_session_do_not_panic() {
    for_seeds(150, |seed, mut rng| {
        let (mut sim, [_, commands, imu, _]) = busy(Setup::new(seed));
        sim.connect();
        for _ in 0..200 {
            let who = if rng.chance(0.5) { A } else { B };
            let at = sim[who].clock(sim.now);
            match rng.below(12) {
                0 => sim[who].endpoint.handle_timeout(at),
                1 => {
                    let earlier = Instant::from_micros(at.as_micros() / 2);
                    sim[who].endpoint.handle_timeout(earlier);
                    let _ = sim[who].endpoint.handle_input(earlier, &[0, 1, 2, 0]);
                }
                2 if rng.chance(0.2) => sim.disconnect_side(who),
                3 if rng.chance(0.3) => sim.connect_side(who),
                4 if rng.chance(0.2) => sim[who].endpoint.close(rng.below(20) as u32),
                5 => {
                    let _ = sim.request(A, &ADD, b"?", CallOptions::default());
                }
                6 => sim[B].reads(commands, if rng.chance(0.5) { Reading::Never } else { Reading::Always }),
                7 => {
                    let _ = sim[B].publish(imu, b"sample");
                }
                8 => {
                    sim[B].withdraw(imu);
                    let _ = sim[B].redeclare(imu);
                    while sim[B].redeclare(imu).is_err() {
                        sim.run(20);
                    }
                }
                9 => {
                    let mut out = [0; 600];
                    // A frame that is pulled and thrown away is a frame that the line has lost.
                    let _ = sim[who].endpoint.poll_transmit(at, &mut out);
                }
                _ => {}
            }
            sim.run(rng.below(40));
        }
        sim.connect();
        let ready = |sim: &Sim| Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established());
        assert!(sim.run_until(8_000, ready));
        sim.run(5_000);
        assert!(ready(&sim));
        let closed = |event: &Event| matches!(event, Event::Established { .. });
        assert!(sim[A].app.states().iter().any(closed));
    });
}
