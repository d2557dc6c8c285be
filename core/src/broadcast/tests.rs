use std::vec::Vec;

use super::*;
use crate::wire::Noise;

const CELSIUS: RouteName = name("Celsius", "roof.temperature");

const fn name(type_name: &'static str, path: &'static str) -> RouteName {
    match RouteName::new(type_name, path) {
        Ok(name) => name,
        Err(_) => panic!("a valid name"),
    }
}

/// The first `n` datagrams of a start of a sender; each says its number.
fn datagrams(sender: u64, nonce: u32, n: u32) -> Vec<Vec<u8>> {
    let mut publisher = Publisher::new(&CELSIUS, sender, nonce);
    let mut out = [0; 64];
    (0..n).map(|at| publisher.emit(&at.to_le_bytes(), &mut out).unwrap().to_vec()).collect()
}

/// What became of a datagram: its number, how many were lost before it and whether the sender has restarted, or why not.
fn read<const N: usize>(to: &mut Subscriber<N>, datagram: &[u8]) -> Result<(u32, u32, bool), DropReason> {
    match to.read(datagram) {
        Reading::Message(message) => {
            assert_eq!(message.payload, message.sequence.to_le_bytes());
            Ok((message.sequence, message.lost, message.restarted))
        }
        Reading::Dropped(reason) => Err(reason),
    }
}

#[test]
fn late_repeated_and_lost_ones_are_told_apart() {
    let sent = datagrams(7, 1, 100);
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    let mut say = |at: usize| read(&mut listener, &sent[at]);
    // What was sent before anybody listened is not lost.
    assert_eq!(say(10), Ok((10, 0, false)));
    assert_eq!(say(9), Err(DropReason::Late));
    assert_eq!(say(11), Ok((11, 0, false)));
    assert_eq!(say(11), Err(DropReason::Duplicate));
    assert_eq!(say(15), Ok((15, 3, false)));
    assert_eq!(say(13), Err(DropReason::Late));
    assert_eq!(say(13), Err(DropReason::Duplicate));
    assert_eq!(say(10), Err(DropReason::Duplicate));
    assert_eq!(say(78), Ok((78, 62, false)));
    assert_eq!(say(15), Err(DropReason::Duplicate));
    // 14 is too far back: nobody knows.
    assert_eq!(say(14), Err(DropReason::Late));
    let stats = listener.stats();
    assert_eq!((stats.received, stats.late, stats.duplicates), (4, 3, 4));
    assert_eq!(stats.lost, 3 + 62 - 1);
}

#[test]
fn a_restart_is_told_by_the_nonce() {
    let (before, after) = (datagrams(7, 1, 50), datagrams(7, 2, 80));
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    assert_eq!(read(&mut listener, &before[40]), Ok((40, 0, false)));
    // Two messages of the new start are missing, and one is only late.
    assert_eq!(read(&mut listener, &after[2]), Ok((2, 2, true)));
    assert_eq!(read(&mut listener, &after[1]), Err(DropReason::Late));
    assert_eq!(read(&mut listener, &after[1]), Err(DropReason::Duplicate));
    // What is late of the earlier start is no restart.
    assert_eq!(read(&mut listener, &before[40]), Err(DropReason::Late));
    assert_eq!(read(&mut listener, &before[39]), Err(DropReason::Late));
    assert_eq!(read(&mut listener, &after[3]), Ok((3, 0, false)));
    let stats = listener.stats();
    assert_eq!((stats.restarts, stats.received, stats.lost), (1, 3, 1));
    // A start of which more is missing than is remembered.
    let third = datagrams(7, 3, 80);
    assert_eq!(read(&mut listener, &third[70]), Ok((70, 70, true)));
    assert_eq!(read(&mut listener, &third[7]), Err(DropReason::Late));
    assert_eq!(read(&mut listener, &third[7]), Err(DropReason::Duplicate));
    assert_eq!(read(&mut listener, &third[6]), Err(DropReason::Late));
    assert_eq!(listener.stats().lost, 1 + 69);
}

#[test]
fn a_stray_datagram_does_not_silence_a_sender() {
    let (alive, stray) = (datagrams(7, 100, 30), datagrams(7, 555, 10));
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    for (at, datagram) in (0..).zip(&alive[0..3]) {
        assert_eq!(read(&mut listener, datagram), Ok((at, 0, false)));
    }
    assert_eq!(read(&mut listener, &stray[9]), Ok((9, 9, true)));
    // What had come is not handed on again, and what goes on is heard.
    assert_eq!(read(&mut listener, &alive[2]), Err(DropReason::Late));
    assert_eq!(read(&mut listener, &alive[3]), Ok((3, 0, true)));
    for (at, datagram) in (4..).zip(&alive[4..30]) {
        assert_eq!(read(&mut listener, datagram), Ok((at, 0, false)));
    }
    // Nor is the stray one, which is now the one before.
    assert_eq!(read(&mut listener, &stray[9]), Err(DropReason::Late));
    let stats = listener.stats();
    assert_eq!((stats.received, stats.restarts, stats.late), (31, 2, 2));
}

/// A datagram that somebody else has made.
fn forged(nonce: u32, sequence: u32) -> Vec<u8> {
    let mut out = [0; 64];
    let header = Header { route: CELSIUS.hash(), sender: 7, nonce, sequence };
    header.emit(&sequence.to_le_bytes(), &mut out).unwrap().to_vec()
}

#[test]
fn far_numbers_under_its_own_nonce_do_not_silence_a_sender() {
    let sent = datagrams(7, 1, 100);
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    assert_eq!(read(&mut listener, &sent[0]), Ok((0, 0, false)));
    for at in 1..40usize {
        // As many as do not bear each other out, and some that do, but too few.
        for sequence in [0x7000_0000, 0x4000_0000, 0x7FFF_0000, 0x2000_0000, 0x2000_0001, 0x2000_0005] {
            let _ = read(&mut listener, &forged(1, sequence));
        }
        assert_eq!(read(&mut listener, &sent[at]), Ok((at as u32, 0, false)));
        // Nothing comes twice on account of that.
        assert!(read(&mut listener, &sent[at]).is_err());
        assert!(read(&mut listener, &sent[at - 1]).is_err());
    }
    // Nor does another start that comes while that is open.
    assert!(read(&mut listener, &forged(1, 0x7000_0000)).is_ok());
    assert!(read(&mut listener, &forged(2, 5)).is_ok());
    assert_eq!(read(&mut listener, &sent[40]), Ok((40, 0, true)));
}

#[test]
fn a_sender_that_was_not_heard_for_long_is_heard_again_wherever_it_is() {
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    let mut at = 3;
    for _ in 0..5 {
        for sequence in at..at + 3 {
            assert!(read(&mut listener, &forged(1, sequence)).is_ok(), "{sequence}");
        }
        at += 1_000_000;
    }
    // Borne out: what is late of the time before does not come.
    for sequence in at..at + 40 {
        assert!(read(&mut listener, &forged(1, sequence)).is_ok(), "{sequence}");
    }
    for late in [4, 6, 1_000_003, at - 1, at + 39] {
        assert!(read(&mut listener, &forged(1, late)).is_err(), "{late}");
    }
    assert_eq!(read(&mut listener, &forged(1, at + 40)), Ok((at + 40, 0, false)));
}

#[test]
fn a_late_datagram_of_the_start_before_last_does_not_silence_the_last() {
    let starts: Vec<_> = (100..103).map(|nonce| datagrams(7, nonce, 30)).collect();
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    for start in &starts {
        for datagram in &start[..10] {
            assert!(read(&mut listener, datagram).is_ok());
        }
    }
    assert_eq!(listener.stats().restarts, 2);
    // It is not known any more, and so a restart.
    assert_eq!(read(&mut listener, &starts[0][4]), Ok((4, 4, true)));
    assert_eq!(read(&mut listener, &starts[2][10]), Ok((10, 0, true)));
    assert_eq!(read(&mut listener, &starts[0][4]), Err(DropReason::Late));
    for (at, datagram) in (11..).zip(&starts[2][11..]) {
        assert_eq!(read(&mut listener, datagram), Ok((at, 0, false)));
    }
}

#[test]
fn what_was_awaited_of_a_start_that_goes_on_is_known() {
    let (alive, stray) = (datagrams(7, 100, 200), datagrams(7, 555, 1));
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    let mut say = |datagram: &[u8]| (read(&mut listener, datagram), listener.stats().lost);
    assert_eq!(say(&alive[0]), (Ok((0, 0, false)), 0));
    assert_eq!(say(&alive[3]), (Ok((3, 2, false)), 2));
    assert_eq!(say(&stray[0]), (Ok((0, 0, true)), 2));
    assert_eq!(say(&alive[7]), (Ok((7, 3, true)), 5));
    // Those since the newest that had come were missed; of those before nobody knows any more.
    assert_eq!(say(&alive[5]), (Err(DropReason::Late), 4));
    assert_eq!(say(&alive[5]), (Err(DropReason::Duplicate), 4));
    assert_eq!(say(&alive[3]), (Err(DropReason::Duplicate), 4));
    assert_eq!(say(&alive[2]), (Err(DropReason::Late), 4));
    assert_eq!(say(&alive[8]), (Ok((8, 0, false)), 4));
    // A gap that is wider than what is remembered.
    let other = datagrams(7, 556, 1);
    assert_eq!(say(&other[0]), (Ok((0, 0, true)), 4));
    assert_eq!(say(&alive[150]), (Ok((150, 141, true)), 145));
    assert_eq!(say(&alive[87]), (Err(DropReason::Late), 144));
    assert_eq!(say(&alive[86]), (Err(DropReason::Late), 144));
}

/// Two devices that were given the same id by mistake: what each has sent is heard once, in its order, and counted.
#[test]
fn two_devices_with_one_id_are_both_heard() {
    let sent = [datagrams(7, 100, 2000), datagrams(7, 200, 2000)];
    let mut noise = Noise(13);
    let mut listener = Subscriber::<1>::new(&CELSIUS);
    let (mut at, mut newest, mut dropped, mut turns, mut last) = ([0; 2], [0; 2], [0; 2], 0, None);
    while at.iter().all(|at| *at < 2000) {
        let who = noise.below(2);
        if noise.below(10) == 0 && at[who] > 0 {
            dropped[who] += 1;
        } else {
            let (sequence, lost, restarted) = read(&mut listener, &sent[who][at[who]]).unwrap();
            let known = if at[who] == 0 { 0 } else { newest[who] + 1 };
            assert_eq!((sequence as usize, lost), (at[who], sequence - known));
            assert_eq!(restarted, last.is_some_and(|last| last != who));
            (newest[who], last) = (sequence, Some(who));
            turns += u32::from(restarted);
            // What has come comes again.
            assert!(read(&mut listener, &sent[who][noise.below(at[who] + 1)]).is_err());
            let other = 1 - who;
            if at[other] > 0 {
                let again = noise.below(newest[other] as usize + 1);
                assert_eq!(read(&mut listener, &sent[other][again]), Err(DropReason::Late));
            }
        }
        at[who] += 1;
    }
    let missed: u32 = (0..2).map(|who| at[who] as u32 - 1 - newest[who]).sum();
    assert!(listener.stats().restarts == turns && turns > 500);
    assert!(listener.stats().lost <= dropped.iter().sum::<u32>() - missed);
}

#[test]
fn numbers_turn_over() {
    let mut publisher = Publisher::new(&CELSIUS, 7, 1);
    publisher.header.sequence = u32::MAX - 1;
    let mut listener = Subscriber::<1>::new(&CELSIUS);
    let mut out = [0; 64];
    for at in [u32::MAX - 1, u32::MAX, 0, 1] {
        let datagram = publisher.emit(&at.to_le_bytes(), &mut out).unwrap();
        assert_eq!(read(&mut listener, datagram), Ok((at, 0, false)));
    }
    // Those of a start that was interrupted, too.
    for (nonce, at, read_as) in [
        (2, 0, Ok((0, 0, true))),
        (1, u32::MAX, Err(DropReason::Late)),
        (1, 0x8000_0001, Err(DropReason::Late)),
        (1, 1, Err(DropReason::Late)),
        (1, 3, Ok((3, 1, true))),
    ] {
        let mut publisher = Publisher::new(&CELSIUS, 7, nonce);
        publisher.header.sequence = at;
        assert_eq!(read(&mut listener, publisher.emit(&at.to_le_bytes(), &mut out).unwrap()), read_as);
    }
}

#[test]
fn the_sender_heard_longest_ago_gives_way() {
    let sent: Vec<_> = (0..4).map(|sender| datagrams(sender, 1, 8)).collect();
    let mut listener = Subscriber::<3>::new(&CELSIUS);
    for sender in [0, 1, 2, 0] {
        let at = if sender == 0 { listener.stats().received.min(1) as usize } else { 0 };
        assert!(read(&mut listener, &sent[sender][at]).is_ok());
    }
    assert!(read(&mut listener, &sent[3][0]).is_ok());
    assert_eq!(listener.stats().forgotten, 1);
    let mut known: Vec<_> = listener.senders().map(|sender| sender.sender).collect();
    known.sort_unstable();
    assert_eq!(known, [0, 2, 3]);
    // The one that was forgotten begins anew: its loss is not known.
    assert_eq!(read(&mut listener, &sent[1][5]), Ok((5, 0, false)));
    assert_eq!(read(&mut listener, &sent[0][4]), Ok((4, 2, false)));
}

#[test]
fn without_places_everything_is_new() {
    let sent = datagrams(7, 1, 2);
    let mut listener = Subscriber::<0>::new(&CELSIUS);
    for at in [0, 1, 1] {
        assert_eq!(read(&mut listener, &sent[at]), Ok((at as u32, 0, false)));
    }
}

#[test]
fn other_routes_types_and_strangers_are_dropped_unread() {
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    let mut out = [0; 64];
    for (other, reason) in [
        (name("Celsius", "cellar.temperature"), DropReason::OtherRoute),
        (name("Kelvin", "roof.temperature"), DropReason::OtherType),
    ] {
        let datagram = Publisher::new(&other, 7, 1).emit(b"x", &mut out).unwrap();
        assert_eq!(route_hash(datagram), Some(other.hash()));
        // Its hash is enough: of the rest not even the length matters.
        for len in 12..=datagram.len() {
            assert_eq!(listener.read(&datagram[..len]), Reading::Dropped(reason));
        }
        for len in 0..12 {
            assert_eq!(listener.read(&datagram[..len]), Reading::Dropped(DropReason::NotBroadcast));
        }
    }
    let mut flagged = datagrams(7, 1, 1).remove(0);
    for (flags, heard) in [(0x00, true), (0x01, true), (0x0F, true), (0x10, false), (0x80, false)] {
        flagged[3] = flags;
        assert_eq!(route_hash(&flagged).is_some(), heard, "{flags:#x}");
    }
}

#[test]
fn damage_of_any_bit_is_noticed() {
    let whole = datagrams(7, 1, 1).remove(0);
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(listener.read(&damaged), Reading::Dropped(_)), "bit {bit}");
    }
    for len in 0..whole.len() {
        assert!(matches!(listener.read(&whole[..len]), Reading::Dropped(_)), "{len} bytes");
    }
    assert_eq!(listener.senders().count(), 0);
    assert_eq!(read(&mut listener, &whole), Ok((0, 0, false)));
}

#[test]
fn any_bytes_may_come() {
    let mut noise = Noise(11);
    let whole = datagrams(7, 1, 1).remove(0);
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    for _ in 0..20_000 {
        let len = noise.below(80);
        let mut bytes = noise.bytes(len, false);
        let head = noise.below(whole.len()).min(len);
        bytes[..head].copy_from_slice(&whole[..head]);
        let _ = listener.read(&bytes);
    }
    assert_eq!(listener.stats().received, 0);
    assert!(listener.stats().damaged > 1000);
}

#[test]
fn numbers_of_a_hostile_sender_are_counted_and_no_more() {
    let mut noise = Noise(12);
    let mut listener = Subscriber::<2>::new(&CELSIUS);
    let mut out = [0; 64];
    for _ in 0..20_000 {
        let sender = noise.below(4) as u64;
        let mut publisher = Publisher::new(&CELSIUS, sender, noise.below(3) as u32);
        publisher.header.sequence = noise.next() as u32;
        let sequence = publisher.header.sequence;
        let _ = read(&mut listener, publisher.emit(&sequence.to_le_bytes(), &mut out).unwrap());
        assert!(listener.senders().count() <= 2);
    }
    let stats = listener.stats();
    assert_eq!(stats.received.wrapping_add(stats.late).wrapping_add(stats.duplicates), 20_000);
}

#[test]
fn a_message_that_does_not_fit_is_refused_and_takes_no_number() {
    let mut publisher = Publisher::new(&CELSIUS, 7, 1);
    let mut out = [0; OVERHEAD + 4];
    assert_eq!(publisher.emit(&[0; 5], &mut out), Err(Full));
    assert_eq!(publisher.emitted(), 0);
    assert_eq!(publisher.emit(&[0; 4], &mut out).map(<[u8]>::len), Ok(OVERHEAD + 4));
    assert_eq!(publisher.emitted(), 1);

    struct Bytes(usize);
    impl Message for Bytes {
        const TYPE: &'static str = "Celsius";
        fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError> {
            (0..self.0).for_each(|at| out.write(&[at as u8]));
            if self.0 == 0 { Err(EncodeError) } else { Ok(()) }
        }
        fn decode(bytes: &[u8]) -> Result<Self, crate::DecodeError> {
            Ok(Self(bytes.len()))
        }
    }
    assert_eq!(publisher.emit_message(&Bytes(5), &mut out), Err(EmitError::TooLarge { limit: 4 }));
    assert_eq!(publisher.emit_message(&Bytes(0), &mut out), Err(EmitError::Encode));
    assert_eq!(publisher.emit_message(&Bytes(1), &mut out[..31]), Err(EmitError::TooLarge { limit: 0 }));
    assert_eq!(publisher.emitted(), 1);
    let mut listener = Subscriber::<1>::new(&CELSIUS);
    let Reading::Message(message) = listener.read(publisher.emit_message(&Bytes(4), &mut out).unwrap())
    else {
        panic!("dropped")
    };
    assert_eq!((message.payload, message.sequence), (&[0, 1, 2, 3][..], 1));
    assert_eq!(message.decode::<Bytes>().unwrap().0, 4);
}

#[test]
fn what_a_sender_costs() {
    assert_eq!(size_of::<Subscriber<8>>() - size_of::<Subscriber<0>>(), 8 * 40);
    assert_eq!(OVERHEAD, 32);
}
