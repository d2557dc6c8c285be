//! Messages that do not fit a frame.

use tieline::packet::Packet;
use tieline::{IntentOptions, InterestOptions, PublishError};
use tieline_tests::names::{CHAT, COMMAND};
use tieline_tests::{A, B, Handle, Rng, Setup, Sim, Sizes, forge};

/// As of a PC that sends files.
const FILES: Sizes = Sizes { rx: 1 << 18, tx: 1 << 18, ..Sizes::PC };
const QUALITIES: [IntentOptions; 2] = [IntentOptions::reliable(), IntentOptions::best_effort()];

/// A publishes `COMMAND` to B, who has this window.
fn one_way(setup: Setup, options: IntentOptions, window: usize) -> (Sim, Handle, Handle) {
    let mut sim = setup.build();
    let publisher = sim[A].intent(&COMMAND, options);
    let reader = sim[B].interest(&COMMAND, InterestOptions { window: Some(window), ..Default::default() });
    sim.establish();
    (sim, publisher, reader)
}

fn some_bytes(len: usize) -> Vec<u8> {
    Rng::new(len as u64).bytes(len)
}

#[test]
fn messages_of_64_kib_arrive_whole() {
    for (at, options) in QUALITIES.into_iter().enumerate() {
        for setup in [Setup::new(1).baud(3_000_000).sizes(FILES), Setup::new(1).stream().sizes(FILES)] {
            let (mut sim, publisher, reader) = one_way(setup, options, 1 << 17);
            let message = some_bytes(65_536);
            sim[A].publish(publisher, &message).unwrap();
            sim.run(8_000);
            assert!(sim[B].app.payloads(reader) == [&message[..]], "quality {at}");
            assert_eq!(sim[A].app.ends().2, 0);
        }
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_with_the_limit_and_one_of_that_size_arrives() {
    let sizes = [Sizes::SMALLEST, Sizes::BOARD, Sizes::PC];
    for (sizes, options) in sizes.into_iter().flat_map(|sizes| QUALITIES.map(|options| (sizes, options))) {
        let setup = Setup { sizes: [sizes, FILES], ..Setup::new(1).baud(3_000_000) };
        let (mut sim, publisher, reader) = one_way(setup, options, 1 << 17);
        let limit = sim[A].endpoint.payload_limit(sim[A].id(publisher)).unwrap();
        let refused = sim[A].publish(publisher, &vec![0; limit + 1]);
        assert_eq!(refused, Err(PublishError::TooLarge { limit }.into()), "{sizes:?}");
        let message = some_bytes(limit);
        // Again and again: all of TX is free again each time.
        for _ in 0..3 {
            sim[A].publish(publisher, &message).unwrap();
            sim.run(3_000);
        }
        assert!(sim[B].app.payloads(reader) == [&message[..]; 3], "{limit} bytes, {sizes:?}");
    }
}

#[test]
fn the_readers_window_limits_a_message_too() {
    for options in QUALITIES {
        let (mut sim, publisher, reader) = one_way(Setup::new(1).sizes(Sizes::PC), options, 3_000);
        let refused = sim[A].publish(publisher, &[0; 2_993]);
        assert_eq!(refused, Err(PublishError::TooLarge { limit: 2_992 }.into()));
        let message = some_bytes(2_992);
        sim[A].publish(publisher, &message).unwrap();
        sim.run(2_000);
        assert!(sim[B].app.payloads(reader) == [&message[..]]);
    }
}

#[test]
fn a_lost_fragment_costs_one_best_effort_message_and_no_other() {
    let setup = Setup::new(1).baud(921_600).sizes(Sizes::PC);
    let (mut sim, publisher, reader) = one_way(setup, IntentOptions::best_effort(), 14_000);
    let messages: Vec<_> = (0..6).map(|number| some_bytes(4_000 + number)).collect();
    for (at, message) in messages.iter().enumerate() {
        // Of the third message its second frame, of the fifth its first, of the sixth its third.
        match at {
            2 => sim.line_from(A).losses.extend([false, true]),
            4 => sim.line_from(A).losses.extend([true]),
            5 => sim.line_from(A).losses.extend([false, false, true]),
            _ => {}
        }
        sim[A].publish(publisher, message).unwrap();
        sim.run(200);
    }
    sim.run(3_000);
    assert!(sim[B].app.payloads(reader) == [&messages[0][..], &messages[1], &messages[3]]);
    let loss = sim[B].endpoint.stats().best_effort;
    assert_eq!((loss.received, loss.lost), (3, 3));
}

#[test]
fn lost_fragments_of_a_reliable_message_are_sent_again() {
    let setup = Setup::new(1).baud(921_600).sizes(Sizes::PC);
    let (mut sim, publisher, reader) = one_way(setup, IntentOptions::reliable(), 14_000);
    sim.set_line(|line| line.frame_loss = 0.2);
    let message = some_bytes(8_000);
    for _ in 0..5 {
        sim[A].publish(publisher, &message).unwrap();
        sim.run(3_000);
    }
    assert!(sim[B].app.payloads(reader) == [&message[..]; 5]);
    assert_eq!(sim[A].app.ends(), (5, vec![], 0));
}

/// A whole message goes before the next fragment: it waits for the frame on the line, and for no other.
#[test]
fn a_large_transfer_delays_a_message_of_another_route_by_one_frame_at_the_most() {
    for options in QUALITIES {
        let setup = Setup::new(1).sizes(Sizes::PC);
        let mut sim = setup.build();
        let file = sim[A].intent(&COMMAND, options);
        let chat = sim[A].intent(&CHAT, options);
        sim[B].interest(&COMMAND, InterestOptions { window: Some(12_000), ..Default::default() });
        let reader = sim[B].interest(&CHAT, InterestOptions { window: Some(1_000), ..Default::default() });
        sim.establish();
        sim.record();
        sim[A].publish(file, &some_bytes(9_000)).unwrap();
        let mut said = Vec::new();
        for number in 0..12u8 {
            sim.run(41 + u64::from(number));
            said.push((sim.now, vec![b'!', number]));
            sim[A].publish(chat, &[b'!', number]).unwrap();
        }
        assert!(sim[B].app.payloads(reader).len() > 8 && sim[A].endpoint.unacknowledged() < 50);
        sim.run(2_000);
        let sent = &sim.line_from(A).sent;
        for (at, text) in said {
            let holds = |frame: &[u8]| {
                let mut holds = false;
                forge::each_packet(frame, |packet| match packet {
                    Packet::Reliable { payload, .. } | Packet::BestEffort { payload, .. } => {
                        holds |= *payload == text;
                    }
                    _ => {}
                });
                holds
            };
            let first = sent.iter().position(|frame| frame.at >= at).unwrap();
            let carrier = sent.iter().position(|frame| holds(&frame.bytes)).unwrap();
            assert_eq!(carrier, first, "published at {at} µs");
        }
    }
}
