//! Corners: where a count, a frame or a buffer is just too small.

use std::time::Duration;

use tieline::packet::Packet;
use tieline::{
    Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link, RouteName, Select, lite,
};
use tieline_tests::forge;
use tieline_tests::names::{CHAT, name};

use crate::bench::{Bench, IN_CHAT, OUT_IMU};
use crate::bytes::alone;

#[test]
fn what_gives_way_counts_only_if_it_was_stated_as_backlog() {
    let mut bench = Bench::connected(1);
    bench.reads = false;
    let reliable = |bench: &mut Bench| {
        bench.pc.withdraw_intent(bench.chat.unwrap());
        bench.run(300);
        bench.chat = bench.pc.declare_intent(&CHAT, IntentOptions::reliable()).ok();
        bench.until(500, "it is known", |bench| bench.pc.has_audience(bench.chat.unwrap()));
        bench.chat.unwrap()
    };
    let chat = reliable(&mut bench);
    bench.pc.publish(chat, &[1; 10]).unwrap();
    bench.run(300);
    bench.start_pc();
    bench.declare_all();
    bench.connect_pc();
    bench.until(2_000, "the next session", Bench::is_ready);
    for _ in 0..2 {
        bench.pc.publish(bench.chat.unwrap(), &[2; 30]).unwrap();
        bench.run(10);
    }
    let chat = reliable(&mut bench);
    bench.pc.publish(chat, &[3; 40]).unwrap();
    bench.run(500);
    assert_eq!(bench.pc.stats().peer_dropped_no_room, 2);
    bench.reads = true;
    bench.run(500);
    assert_eq!(bench.board_heard(IN_CHAT), [&[1; 10][..], &[3; 40]]);
    assert_eq!(bench.pc.undelivered_total(), 0);
    bench.pc.publish(chat, &[4; 71]).unwrap();
    bench.run(500);
    assert_eq!(bench.pc.undelivered_total(), 0);
}

const LONG: &str = "a.path.of.79.bytes.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const LONG_READ: &str = "b.path.of.79.bytes.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const TYPE: &str = "ATypeOf16Bytes.x";
const MIDDLE_READ: &str = "b.path.of.33.bytes.aaaaaaaaaaaaaa";
const MIDDLE: &str = "a.path.of.33.bytes.aaaaaaaaaaaaaa";

const NAMED: [RouteName; 6] = [
    name(TYPE, LONG),
    name(TYPE, LONG_READ),
    name(TYPE, LONG).to_hashed(),
    name(TYPE, LONG_READ).to_hashed(),
    name(TYPE, MIDDLE).with_schema(7),
    name(TYPE, MIDDLE_READ).with_schema(7),
];

static NAMES: [RouteName; 6] = NAMED;

/// One that publishes and reads a route each.
#[derive(Debug)]
struct One<const AT: usize>;

impl<const AT: usize> lite::Device<1, 1> for One<AT> {
    const NAME: &'static str = "sixteen bytes...";
    const PUBLISHES: [RouteName; 1] = [NAMED[AT]];
    const READS: [RouteName; 1] = [NAMED[AT + 1]];
}

fn both_ways<const AT: usize, const FRAME: usize>() {
    let mut board = lite::Endpoint::<One<AT>, FRAME, 1, 1>::new();
    board.start(0x77);
    let mut pc = Endpoint::new(Inline::<256, 4096, 4096, 8>::new());
    pc.start(Config::new("pc"), 0x99);
    let mut now = Instant::ZERO;
    board.handle_connect(now).unwrap();
    pc.handle_connect(now, Link::serial(115_200)).unwrap();
    pc.declare_interest(&NAMES[AT], InterestOptions::default()).unwrap();
    let down = pc.declare_intent(&NAMES[AT + 1], IntentOptions::reliable()).unwrap();
    let (mut sent, mut delivered) = (0_u32, 0_u32);
    let (mut up_sent, mut up) = (0_u32, 0_u32);
    for _ in 0..5_000 {
        now = now + Duration::from_micros(500);
        board.handle_timeout(now);
        pc.handle_timeout(now);
        let mut out = [0; 600];
        if let Some(frame) = board.poll_transmit(now, &mut out) {
            assert_eq!(pc.handle_input(now, frame), frame.len());
        }
        while let Some(message) = pc.poll_message(Select::Any) {
            assert!(message.payload.iter().all(|byte| *byte == 5));
            up += 1;
        }
        while let Some(event) = pc.poll_event() {
            delivered += u32::from(matches!(event, Event::Delivered(_)));
        }
        if let Some(frame) = pc.poll_transmit(now, &mut out) {
            let frame = frame.to_vec();
            let mut rest = &frame[..];
            while !rest.is_empty() {
                rest = &rest[board.handle_input(now, rest)..];
                while board.poll_message(Select::Any).is_some() {}
            }
        }
        if let Some(limit) = board.payload_limit(lite::published(0)) {
            up_sent += u32::from(board.publish(lite::published(0), &vec![5; limit]).is_ok());
        }
        sent += u32::from(pc.publish(down, &vec![6; FRAME - 20]).is_ok());
    }
    assert!(board.has_audience(lite::published(0)) && pc.has_audience(down), "{AT} {FRAME}");
    assert!(up > 200 && up_sent - up <= 2, "{up} of {up_sent}");
    assert!(sent > 200 && sent - delivered <= 2, "{delivered} of {sent}");
    let stats = pc.stats();
    assert_eq!(
        (stats.malformed, stats.check_failures, stats.framing_errors, stats.best_effort.lost),
        (0, 0, 0, 0)
    );
}

#[test]
fn every_name_can_be_declared() {
    both_ways::<0, 80>();
    both_ways::<4, 80>();
    both_ways::<2, 80>();
    both_ways::<0, 253>();
    both_ways::<2, 253>();
}

fn interest(number: u16) -> Vec<u8> {
    let mut record = vec![3, 0];
    let mut rest = number;
    while rest >= 0x80 {
        record.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    record.push(rest as u8);
    record.extend([0, 0, 200, 1, 0, 21]);
    record.extend(b"ImuSample@sensors.imu");
    record
}

/// What a frame of the board says, by kind.
fn packets(bench: &mut Bench) -> Vec<Vec<u8>> {
    bench.sent.drain(..).filter_map(|frame| forge::packets_of(&frame)).collect()
}

#[test]
fn a_message_that_fits_no_more_is_dropped_and_holds_nothing_up() {
    let mut bench = Bench::new(2);
    let nonce = 0xABCD_0001;
    let ours = alone(&mut bench, nonce);
    bench.run(20);
    let say = |bench: &mut Bench, packets: &[u8]| bench.feed(&forge::frame(packets, nonce, ours));
    say(&mut bench, &[&[0x40, 0, 0][..], &interest(1)].concat());
    bench.run(20);
    bench.board.publish(OUT_IMU, &[9; 72]).unwrap();
    bench.board.publish(OUT_IMU, &[8; 1]).unwrap();
    say(&mut bench, &[&[0x40, 0, 1][..], &interest(20_000)].concat());
    say(&mut bench, &[0x03, 78, 0, 0, 0, 0]);
    bench.sent.clear();
    bench.run(20);
    let said = packets(&mut bench).concat();
    assert!(said.windows(2).any(|bytes| bytes == [0x04, 78]), "no PONG: {said:x?}");
    assert_eq!(bench.board.payload_limit(OUT_IMU), Some(70));
    bench.board.publish(OUT_IMU, &[7; 70]).unwrap();
    bench.run(20);
    let said = packets(&mut bench).concat();
    assert!(said.windows(70).any(|bytes| bytes == [7; 70]));
}

#[test]
fn reports_that_made_way_for_a_message_are_sent_when_it_is_gone() {
    let mut bench = Bench::new(3);
    let nonce = 0xABCD_0001;
    let ours = alone(&mut bench, nonce);
    bench.run(20);
    let say = |bench: &mut Bench, packets: &[u8]| bench.feed(&forge::frame(packets, nonce, ours));
    say(&mut bench, &[&[0x40, 0, 0][..], &interest(1)].concat());
    bench.run(20);
    bench.board.publish(OUT_IMU, &[9; 72]).unwrap();
    say(&mut bench, &[0x03, 78, 0, 0, 0, 0]);
    let mut out = [0; 83];
    let now = bench.clock();
    let said = forge::packets_of(bench.board.poll_transmit(now, &mut out).unwrap()).unwrap();
    assert_eq!(said[..3], [0x02, 1, 0]);
    // The interest is withdrawn before the message goes.
    say(&mut bench, &[0x40, 0, 1, 3, 1, 1, 0, 0]);
    let said = bench.board.poll_transmit(now, &mut out).expect("an ACK at once");
    let mut acks = 0;
    forge::each_packet(said, |packet| acks += u32::from(matches!(packet, Packet::Ack { next: 2, .. })));
    assert_eq!(acks, 1);
}

#[test]
fn a_zero_goes_before_a_frame_after_100_ms_of_silence() {
    let mut bench = Bench::new(4);
    let nonce = 0xABCD_0001;
    let ours = alone(&mut bench, nonce);
    bench.feed(&forge::frame(&[&[0x40, 0, 0][..], &interest(1)].concat(), nonce, ours));
    let (mut now, mut last, mut after) = (bench.now, 0, 0);
    for round in 0..2_000 {
        now += 97_000 + round * 337 % 6_000;
        let at = Instant::from_micros(now);
        bench.feed(&forge::frame(&[0x82, 9, round as u8, (round >> 8) as u8], nonce, ours));
        bench.board.handle_timeout(at);
        bench.board.publish(OUT_IMU, &[]).unwrap();
        let mut out = [0; 83];
        while let Some(frame) = bench.board.poll_transmit(at, &mut out) {
            if now - last >= 100_000 {
                assert_eq!(frame[0], 0, "after {} µs", now - last);
                after += 1;
            } else if now - last < 98_000 {
                assert_ne!(frame[0], 0, "after {} µs", now - last);
            }
            last = now;
        }
        bench.now = now;
    }
    assert!(after > 500);
}

#[test]
fn a_hello_without_its_whole_head_is_none() {
    let mut bench = Bench::new(5);
    bench.connect_board();
    bench.step();
    bench.sent.clear();
    let head = [0x01, 0x54, 0x4C, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    for len in 1..=head.len() {
        bench.feed(&forge::seal(&head[..len], u32::MAX));
        bench.step();
    }
    assert_eq!(bench.sent.len(), 0, "it was answered");
}
