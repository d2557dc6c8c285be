use std::vec::Vec;

use super::*;

/// Transmits the next packet, if there is one: a repetition first.
fn transmit(sender: &mut Sender) -> Option<u32> {
    let repeated = sender.lost().next().or(sender.behind());
    match repeated {
        Some(offset) => Some(sender.repeat(offset)),
        None => sender.may_send().then(|| sender.send()),
    }
}

fn ack(sender: &mut Sender, receiver: &Receiver, mask: u32) -> Acknowledged {
    sender.on_ack(receiver.expected() & mask, receiver.selective())
}

/// Stores a packet of a route of its own.
fn take(receiver: &mut Receiver, seq: u32) -> bool {
    let Arrival::New { seq: full, .. } = receiver.on_packet(seq, 0) else { return false };
    receiver.store(full, 0);
    true
}

#[test]
fn the_window_limits_what_is_under_way() {
    let mut sender = Sender::new(3, 7, 1);
    assert_eq!((0..5).filter_map(|_| transmit(&mut sender)).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(sender.on_ack(2, 0).count, 2);
    assert_eq!(transmit(&mut sender), Some(3));
}

#[test]
fn a_gap_is_repeated_at_once_and_alone() {
    let mut sender = Sender::new(128, 0xFF, 1);
    let mut receiver = Receiver::new(0xFF);
    for seq in 0..6 {
        assert_eq!(transmit(&mut sender), Some(seq));
        if seq != 1 && seq != 3 {
            assert!(take(&mut receiver, seq));
        }
    }
    assert_eq!((receiver.expected(), receiver.selective()), (1, 0b1101));
    let acked = ack(&mut sender, &receiver, 0xFF);
    assert_eq!((acked.count, acked.lost), (1, 0b101));
    assert_eq!(transmit(&mut sender), Some(1));
    assert_eq!(transmit(&mut sender), Some(3));
    assert_eq!(transmit(&mut sender), Some(6), "something new");
    // The first repetition is lost, too: what came behind it tells.
    assert!(take(&mut receiver, 3));
    assert_eq!(ack(&mut sender, &receiver, 0xFF).lost, 1);
    assert_eq!(transmit(&mut sender), Some(1));
    assert!(take(&mut receiver, 1) && take(&mut receiver, 6));
    assert_eq!(ack(&mut sender, &receiver, 0xFF).count, 6);
    assert!(!sender.must_repeat() && sender.in_flight() == 0);
}

#[test]
fn a_lost_repetition_is_noticed_by_what_is_sent_behind_it() {
    let mut sender = Sender::new(128, 0xFF, 1);
    for _ in 0..3 {
        sender.send();
    }
    assert_eq!(sender.on_ack(0, 0b1).lost, 1);
    sender.repeat(0);
    assert_eq!(sender.on_ack(0, 0b11).lost, 0, "left before the repetition");
    sender.send();
    assert_eq!(sender.on_ack(0, 0b111).lost, 1, "left behind it");
}

#[test]
fn where_the_link_reorders_three_must_have_overtaken() {
    let mut sender = Sender::new(128, u32::MAX, 3);
    for _ in 0..5 {
        sender.send();
    }
    assert_eq!(sender.on_ack(0, 0b1).lost, 0);
    assert_eq!(sender.on_ack(0, 0b11).lost, 0);
    assert_eq!(sender.on_ack(0, 0b111).lost, 1);
}

#[test]
fn a_proof_tells_what_is_lost() {
    let mut sender = Sender::new(128, 0xFF, 1);
    (0..4).for_each(|_| _ = sender.send());
    sender.on_ack(1, 0b1);
    sender.repeat(0);
    sender.send();
    assert_eq!(sender.on_proof(4), 0b101, "1 again, and 3; 4 left later");
    assert_eq!(sender.lost().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(sender.on_proof(4), 0);
    sender.on_ack(5, 0);
    assert_eq!(sender.on_proof(3), 0, "an old one");
}

#[test]
fn a_timeout_repeats_what_is_not_stored() {
    let mut sender = Sender::new(32768, u32::MAX, 1);
    for _ in 0..100 {
        sender.send();
    }
    sender.on_ack(2, 0b10);
    sender.on_timeout();
    let again: Vec<u32> = (0..200).map_while(|_| transmit(&mut sender)).collect();
    let expected: Vec<u32> = (2..100).filter(|seq| *seq != 4).collect();
    assert_eq!(again, expected, "and nothing new: something is missing");
    assert_eq!(sender.on_ack(100, 0).count, 98);
    assert_eq!(transmit(&mut sender), Some(100));
}

#[test]
fn foreign_acknowledgements_are_ignored() {
    let mut sender = Sender::new(128, 0xFF, 1);
    for _ in 0..10 {
        sender.send();
    }
    for (next, count) in [(11, 0), (255, 0), (10, 10), (9, 0)] {
        assert_eq!(sender.on_ack(next, u32::MAX).count, count);
    }
    assert!(!sender.must_repeat());
}

#[test]
fn a_route_does_not_wait_for_another() {
    let mut receiver = Receiver::new(0xFF);
    // 0 is missing; 1 follows it, 2 is of another route, 3 follows 2, 4 follows 1.
    for (seq, distance, turn) in [(1, 1, false), (2, 0, true), (3, 1, true), (4, 3, false)] {
        assert_eq!(receiver.on_packet(seq, distance), Arrival::New { seq, in_turn: turn });
        receiver.store(seq, distance);
        assert_eq!(receiver.is_in_turn(seq), turn);
        assert_eq!(receiver.on_packet(seq, distance), Arrival::Unwanted);
    }
    assert!(receiver.store(0, 0), "others have their turn now");
    assert!((0..5).all(|seq| receiver.is_in_turn(seq)));
    assert_eq!((receiver.expected(), receiver.selective()), (5, 0));
}

#[test]
fn the_farthest_keeps_its_turn_when_the_gap_is_filled() {
    let mut receiver = Receiver::new(0xFF);
    for (seq, distance) in [(32, 31), (0, 0)] {
        receiver.on_packet(seq, distance);
        receiver.store(seq, distance);
    }
    assert!(!receiver.is_in_turn(32), "1 has not come");
}

#[test]
fn what_is_too_far_ahead_is_not_stored() {
    let mut receiver = Receiver::new(0xFF);
    assert_eq!(receiver.on_packet(33, 0), Arrival::Unwanted);
    assert_eq!(receiver.on_packet(32, 0), Arrival::New { seq: 32, in_turn: true });
    assert_eq!(receiver.on_packet(200, 0), Arrival::Unwanted);
    assert!(receiver.ack_due());
}

#[test]
fn a_session_goes_on_over_another_link() {
    let mut sender = Sender::new(WINDOW_WIDE, u32::MAX, 1);
    for _ in 0..200 {
        sender.send();
    }
    assert_eq!(sender.resume(WINDOW_NARROW, 0xFF, 1, 10), 10);
    assert_eq!(sender.resume(WINDOW_NARROW, 0xFF, 1, 9), 0, "an old one");
    let again: Vec<u32> = (0..300).map_while(|_| transmit(&mut sender)).collect();
    assert_eq!(again, (10..138).collect::<Vec<_>>(), "the narrow window holds for repetitions, too");
    assert_eq!(sender.on_ack(138, 0).count, 128);
    assert_eq!(transmit(&mut sender), Some(138));
}

#[test]
fn everything_arrives_once_whatever_is_lost() {
    // Every pattern of losing 12 transmissions or acknowledgements, with a small window.
    for pattern in 0u32..1 << 12 {
        let (mut sender, mut receiver) = (Sender::new(4, 7, 1), Receiver::new(7));
        let (mut got, mut step) = ([0; 6], 0);
        let mut lossy = || {
            step += 1;
            assert!(step < 400, "pattern {pattern:b} does not end");
            step <= 12 && pattern >> (step - 1) & 1 == 1
        };
        while sender.acked() < 6 {
            let mut sent = false;
            while sender.must_repeat() || sender.next() < 6 {
                let Some(seq) = transmit(&mut sender) else { break };
                sent = true;
                if !lossy() && take(&mut receiver, seq & 7) {
                    got[seq as usize] += 1;
                    if !lossy() {
                        ack(&mut sender, &receiver, 7);
                    }
                }
            }
            if !sent {
                sender.on_timeout();
            }
            if !lossy() {
                ack(&mut sender, &receiver, 7);
            }
        }
        assert_eq!(got, [1; 6], "pattern {pattern:b}");
    }
}
