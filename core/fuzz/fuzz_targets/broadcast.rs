//! Any datagrams into a listener: no panic, no more senders than places, every number at most once and in order, and no
//! sender is silenced by whatever came before.
//!
//! Datagrams of the publisher are repeated, reordered, damaged and mixed with anything else.
#![no_main]

use std::collections::{HashMap, HashSet};

use libfuzzer_sys::fuzz_target;
use tieline::RouteName;
use tieline::broadcast::{Header, Reading, Subscriber};

const SENDERS: usize = 3;
/// A number that is farther ahead is believed only when others follow it.
const FAR: u32 = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let name = RouteName::new("Fuzz", "a.route").expect("a route");
    let mut listener = Subscriber::<SENDERS>::new(&name);
    let mut newest: HashMap<(u64, u32), u32> = HashMap::new();
    // Whose numbers have made a leap, which few messages bear out: what goes on from before it counts for more.
    let mut leapt: HashSet<u64> = HashSet::new();
    let mut read = 0_u32;
    let mut rest = data;
    while let Some((&order, tail)) = rest.split_first() {
        let (bytes, tail) = tail.split_at(tail.len().min(usize::from(order & 0x3F)));
        rest = tail;
        let mut out = [0; 128];
        let mut datagram = bytes;
        if order & 0xC0 != 0 {
            // An intact datagram, which says in its first bytes who sends it.
            let [who, low, high, payload @ ..] = bytes else { continue };
            let sequence = u32::from_le_bytes([*low, 0, 0, *high]);
            let header = Header {
                route: name.hash(),
                sender: u64::from(who & 7),
                nonce: u32::from(who >> 6),
                sequence,
            };
            let len = header.emit(payload, &mut out).expect("there is room").len();
            if order & 0xC0 == 0xC0 {
                out[usize::from(*low) % len] ^= who | 1;
            }
            datagram = &out[..len];
        }
        read += 1;
        if let Reading::Message(message) = listener.read(datagram) {
            let before = newest.insert((message.sender, message.nonce), message.sequence);
            // A sender that was forgotten, or that started anew, begins anywhere.
            if listener.stats().forgotten + listener.stats().restarts == 0
                && !leapt.contains(&message.sender)
                && let Some(before) = before
            {
                assert_eq!(message.sequence.wrapping_sub(before), message.lost + 1);
            }
            if message.lost >= FAR {
                leapt.insert(message.sender);
            }
        }
        assert!(listener.senders().count() <= SENDERS);
    }
    // Whoever is in the table and goes on is heard, and again after one stray datagram of its id.
    let known: Vec<_> = listener.senders().collect();
    for last in known.iter().filter(|last| !leapt.contains(&last.sender)) {
        let mut next = Header { sequence: last.sequence.wrapping_add(1), ..*last };
        for nonce in [last.nonce, last.nonce ^ 0x100, last.nonce] {
            let header = if nonce == last.nonce { next } else { Header { nonce, ..next } };
            let mut out = [0; 128];
            read += 1;
            let reading = listener.read(header.emit(&[], &mut out).expect("there is room"));
            let Reading::Message(message) = reading else { panic!("{header:?} was not heard") };
            if nonce == last.nonce {
                assert_eq!(message.lost, 0);
                next.sequence = next.sequence.wrapping_add(1);
            }
        }
    }
    let stats = listener.stats();
    let dropped = stats.late + stats.duplicates + stats.damaged;
    let foreign = stats.other_route + stats.other_type + stats.not_broadcast;
    assert_eq!(stats.received + dropped + foreign, read);
});
