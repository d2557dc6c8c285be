//! What it says byte by byte, and what it makes of bytes that nobody should send.

use tieline::packet::control::{Control, Intent, InterestBody, Priority, WireName};
use tieline::packet::{Hello, HelloBody, HelloHead, Mode, Packet};
use tieline::{CloseReason, Event};
use tieline_tests::chaos::{mangled, some_packets};
use tieline_tests::names::{CHAT, COMMAND, IMU};
use tieline_tests::{for_seeds, forge};

use crate::bench::{Bench, IN_COMMAND, OUT_IMU};

/// The head of a HELLO of somebody else.
fn head(nonce: u64, echo: u64, done: bool) -> HelloHead {
    HelloHead { major: 1, minor: 0, done, nonce, echo }
}

fn body() -> HelloBody {
    HelloBody {
        name: "stranger".try_into().unwrap(),
        mode: Mode::Fresh,
        capabilities: 0x8F,
        frame_max: 256,
        message_max: 2000,
        requests: 4,
        ping_ms: 1000,
        silence_ms: 3000,
        resume_s: 10,
        clock: 0x0102_0304_0506,
    }
}

/// A board in a session with somebody who is not there: what it hears is forged. Returns its nonce.
pub(crate) fn alone(bench: &mut Bench, nonce: u64) -> u64 {
    bench.connect_board();
    bench.step();
    let ours = forge::hello_of(bench.sent.last().unwrap()).unwrap().head.nonce;
    bench.feed(&forge::hello(Hello { head: head(nonce, ours, true), body: Some(body()) }));
    assert!(bench.board.is_established());
    ours
}

#[test]
fn its_hello_says_what_it_is() {
    let mut bench = Bench::new(1);
    bench.run(40);
    bench.connect_board();
    bench.step();
    let hello = forge::hello_of(&bench.sent[0]).unwrap();
    let said = hello.body.unwrap();
    assert_eq!((hello.head.major, hello.head.minor, hello.head.done, hello.head.echo), (1, 0, false, 0));
    let expected = HelloBody {
        name: "robot".try_into().unwrap(),
        mode: Mode::Fresh,
        capabilities: 0,
        frame_max: 80,
        message_max: 72,
        requests: 0,
        ping_ms: 100,
        silence_ms: 3000,
        resume_s: 0,
        clock: 40_500,
    };
    assert_eq!(said, expected);
    assert_eq!((bench.sent[0].first(), bench.sent[0].last()), (Some(&0), Some(&0)));
    bench.run(3_000);
    let times = [0, 100, 300, 700, 1500, 2500];
    assert_eq!(bench.sent.len(), times.len(), "repeated at {times:?}");
}

#[test]
fn its_packets_are_those_of_the_page() {
    let mut bench = Bench::connected(2);
    bench.run(1_000);
    let mut declared = Vec::new();
    for frame in &bench.sent {
        forge::each_packet(frame, |packet| {
            if let Packet::Reliable { route: 0, payload, seq, distance } = packet {
                assert_eq!((*seq as usize, *distance), (declared.len(), 0));
                declared.push(payload.to_vec());
            }
        });
    }
    assert_eq!(declared.len(), 4);
    let intents = declared[..2].iter().map(|record| match Control::parse(record) {
        Ok(Control::Intents(mut intents)) => intents.next().unwrap().unwrap(),
        other => panic!("{other:?}"),
    });
    for (intent, route) in intents.zip([&IMU, &CHAT]) {
        let plain = Intent {
            withdrawn: false,
            reliable: false,
            priority: Priority::Normal,
            service: false,
            ask: false,
            name: WireName::of(route),
            ttl_ms: 0,
            schema: 0,
        };
        assert_eq!(intent, plain);
    }
    let interests = declared[2..].iter().map(|record| match Control::parse(record) {
        Ok(Control::Interests(mut interests)) => interests.next().unwrap().unwrap(),
        other => panic!("{other:?}"),
    });
    for ((interest, route), number) in interests.zip([&COMMAND, &CHAT]).zip(1..) {
        let name = WireName::of(route);
        let expected = InterestBody::Declared { window: 80, backlog: 0, name, ttl_ms: 0, schema: 0 };
        assert_eq!((interest.number, interest.messages, interest.bytes), (number, 0, 0));
        assert_eq!((interest.ask, interest.body), (false, expected));
    }
    // A message of 8 bytes is 16 on the line.
    bench.sent.clear();
    bench.board.publish(OUT_IMU, &[1; 8]).unwrap();
    bench.step();
    let message = bench.sent.iter().find(|frame| frame.windows(8).any(|bytes| bytes == [1; 8])).unwrap();
    assert_eq!(message.iter().skip_while(|byte| **byte == 0).count(), 16);
}

#[test]
fn a_healthy_session_survives_everything_that_is_not_of_its_peer() {
    for_seeds(10, |seed, mut rng| {
        let mut stranger = Bench::connected(seed + 1_000);
        stranger.run(500);
        let mut bench = Bench::connected(seed);
        for number in 0..150u8 {
            let own = bench.sent.last().unwrap().clone();
            let foreign = &stranger.sent[rng.index(stranger.sent.len())];
            let garbage = match rng.below(4) {
                0 => {
                    let len = rng.between(1, 400) as usize;
                    rng.bytes(len)
                }
                1 => foreign.clone(),
                2 => mangled(foreign, &mut rng),
                _ => mangled(&own, &mut rng),
            };
            bench.feed(&garbage);
            bench.pc.publish(bench.command.unwrap(), &[number; 8]).unwrap();
            bench.run(rng.below(60) + 20);
        }
        bench.run(2_000);
        assert_eq!(bench.board_events.len(), 1, "{:?}", bench.board_events);
        let expected: Vec<_> = (0..150).map(|number| [number; 8]).collect();
        assert_eq!(bench.board_heard(IN_COMMAND), expected);
    });
}

#[test]
fn a_peer_that_says_anything_ends_at_most_its_own_session() {
    for_seeds(60, |seed, mut rng| {
        let mut bench = Bench::new(seed);
        let nonce = 0xABCD_0000_0000_0000 | rng.below(1 << 40) << 16 | 1;
        let ours = alone(&mut bench, nonce);
        let mut next = 0;
        for _ in 0..200 {
            let packets = some_packets(&mut rng, &mut next);
            if !packets.is_empty() {
                bench.feed(&forge::frame(&packets, nonce, ours));
            }
            bench.run(rng.below(5));
            // What was too long for a frame is asked for again.
            for frame in bench.sent.drain(..) {
                forge::each_packet(&frame, |packet| {
                    if let Packet::Ack { next: missing, .. } = packet {
                        next = *missing;
                    }
                });
            }
            let _ = bench.board.publish(OUT_IMU, &[5; 60]);
            if rng.chance(0.02) {
                bench.reads = !bench.reads;
            }
        }
        // Whoever is there then is welcome.
        bench.reads = true;
        bench.declare_all();
        bench.connect_pc();
        bench.until(8_000, "everything is declared", Bench::is_ready);
        bench.pc.publish(bench.command.unwrap(), b"go").unwrap();
        bench.run(200);
        assert_eq!(bench.board_heard(IN_COMMAND).last(), Some(&&b"go"[..]));
    });
}

#[test]
fn another_version_is_refused_once_and_then_silence() {
    let mut bench = Bench::new(3);
    bench.connect_board();
    bench.step();
    let ours = forge::hello_of(&bench.sent[0]).unwrap().head.nonce;
    bench.feed(&forge::hello_of_version(2, 0xAB_0001, ours, false));
    let mismatch = CloseReason::VersionMismatch { ours: 1, theirs: 2 };
    assert_eq!(bench.board_events, [Event::Closed(mismatch)]);
    bench.run(5_000);
    let said: Vec<_> = bench.sent[1..].iter().filter_map(|frame| forge::hello_of(frame)).collect();
    assert_eq!(said.iter().map(|hello| hello.head.done).collect::<Vec<_>>(), [true]);
    bench.declare_all();
    bench.connect_pc();
    bench.until(3_000, "a peer with our version is welcome", Bench::is_ready);
}

#[test]
fn what_belongs_to_later_versions_or_larger_peers_is_passed_over() {
    let mut bench = Bench::new(4);
    let nonce = 0x1234_0001;
    let ours = alone(&mut bench, nonce);
    bench.run(50);
    let say = |bench: &mut Bench, packets: &[u8]| bench.feed(&forge::frame(packets, nonce, ours));
    // A packet that may be skipped, then a PING.
    bench.sent.clear();
    say(&mut bench, &[0x21, 3, 9, 9, 9, 0x03, 77, 0, 0, 0, 0]);
    bench.step();
    let mut answers = Vec::new();
    forge::each_packet(&bench.sent[0], |packet| answers.push(packet_kind(packet)));
    assert_eq!(answers, ["ack", "pong 77"]);
    // One that may not: what stood before it counts.
    bench.sent.clear();
    say(&mut bench, &[0x03, 78, 0, 0, 0, 0, 0x09, 0x03, 79, 0, 0, 0, 0]);
    bench.step();
    answers.clear();
    forge::each_packet(&bench.sent[0], |packet| answers.push(packet_kind(packet)));
    assert_eq!(answers, ["ack", "pong 78"]);
    // A request, a result, an unknown record, and SKIP: acknowledged and nothing else.
    bench.sent.clear();
    for (number, record) in
        [&[6, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 10][..], &[7, 0, 1, 0], &[0x55, 1]].iter().enumerate()
    {
        say(&mut bench, &[&[0x40, 0, number as u8][..], record].concat());
    }
    say(&mut bench, &[0x08, 3, 0]);
    bench.step();
    let mut acks = Vec::new();
    bench.sent.iter().for_each(|frame| {
        forge::each_packet(frame, |packet| {
            if let Packet::Ack { next, selective } = packet {
                acks.push((*next, *selective));
            }
        });
    });
    assert_eq!(acks.last(), Some(&(4, 0)));
    assert_eq!(bench.board_events.len(), 1);
}

fn packet_kind(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Ack { .. } => "ack".to_owned(),
        Packet::Pong { id, .. } => format!("pong {id}"),
        other => format!("{other:?}"),
    }
}
