//! Hostile material: damaged bytes, and packets that are well formed and say anything.

use tieline::RouteName;
use tieline::packet::Packet;
use tieline::packet::control::{self, Intent, Interest, InterestBody, NotifyStatus, Priority, WireName};
use tieline::wire::Writer;

use crate::forge;
use crate::names::{ADD, CHAT, COMMAND, EIGHT, IMU, name};
use crate::rng::Rng;

/// The path of IMU with another type.
pub static OTHER_TYPE: RouteName = name("Orientation", "sensors.imu");
/// Names that a hostile peer declares.
pub static NAMES: [&RouteName; 8] =
    [&IMU, &COMMAND, &CHAT, &ADD, &OTHER_TYPE, &EIGHT[0], &EIGHT[1], &EIGHT[2]];

/// Cuts, flips, repeats or replaces bytes.
#[must_use]
pub fn mangled(frame: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = frame.to_vec();
    match rng.below(5) {
        0 => out.truncate(rng.index(frame.len())),
        1 => drop(out.drain(..rng.index(frame.len()))),
        2 => {
            for _ in 0..rng.between(1, 8) {
                let at = rng.index(out.len());
                out[at] ^= 1 << rng.below(8);
            }
        }
        3 => {
            // Not the whole frame: that would be a duplicate, not damage.
            let from = frame.len().min(2 + rng.index(frame.len()));
            out.extend_from_slice(&frame[from..]);
        }
        _ => {
            for byte in out.iter_mut().skip(rng.index(frame.len())) {
                *byte = rng.byte();
            }
        }
    }
    out
}

/// A name as a hostile peer would declare it: known, unknown, or another type's.
pub fn some_name(rng: &mut Rng) -> &'static RouteName {
    NAMES[rng.index(NAMES.len())]
}

/// A route number or a request id, often one that may exist.
pub fn some_number(rng: &mut Rng) -> u16 {
    match rng.below(4) {
        0 => rng.next() as u16,
        1 => [0, 1, u16::MAX, u16::MAX - 1][rng.index(4)],
        _ => rng.between(1, 9) as u16,
    }
}

/// A number, often a small one or one at a limit.
pub fn some_u32(rng: &mut Rng) -> u32 {
    match rng.below(4) {
        0 => rng.next() as u32,
        1 => [0, u32::MAX, 1 << 31, 1 << 16, 0xFFFF][rng.index(5)],
        _ => rng.below(300) as u32,
    }
}

/// A control record that is well formed, with any contents.
pub fn some_record(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = [0; 300];
    let mut w = Writer::new(&mut bytes);
    let written = match rng.below(6) {
        0 | 1 => {
            let route = some_name(rng);
            let hashed = route.to_hashed();
            let wire = WireName::of(if rng.chance(0.3) { &hashed } else { route });
            let intent = Intent {
                withdrawn: rng.chance(0.3),
                reliable: rng.chance(0.5),
                priority: [Priority::Background, Priority::Normal, Priority::High, Priority::Urgent]
                    [rng.index(4)],
                service: rng.chance(0.3),
                ask: rng.chance(0.3),
                name: wire,
                ttl_ms: if rng.chance(0.3) { some_u32(rng) } else { 0 },
                schema: if rng.chance(0.3) { some_u32(rng) } else { 0 },
            };
            w.u8(control::INTENT).and_then(|()| control::emit_intent(&intent, &mut w))
        }
        2 | 3 => {
            let body = if rng.chance(0.3) {
                InterestBody::Withdrawn
            } else {
                InterestBody::Declared {
                    window: some_u32(rng),
                    backlog: if rng.chance(0.3) { some_u32(rng) } else { 0 },
                    name: WireName::of(some_name(rng)),
                    ttl_ms: if rng.chance(0.3) { some_u32(rng) } else { 0 },
                    schema: 0,
                }
            };
            let interest = Interest {
                number: some_number(rng).max(1),
                ask: rng.chance(0.3),
                messages: some_number(rng),
                bytes: some_u32(rng),
                body,
            };
            w.u8(control::INTEREST).and_then(|()| control::emit_interest(&interest, &mut w))
        }
        4 => {
            let status = match rng.below(2) {
                0 => NotifyStatus::Audience(some_u32(rng)),
                _ => NotifyStatus::Conflict { hash: some_name(rng).hash(), schema: some_u32(rng) },
            };
            control::emit_notify(some_name(rng).hash(), &status, &mut w)
        }
        _ => {
            let header = if rng.chance(0.5) {
                let (room, timeout) = (some_u32(rng), some_u32(rng));
                control::emit_request_header(some_number(rng), some_name(rng).hash(), room, timeout, &mut w)
            } else {
                control::emit_result_header(some_number(rng), some_u32(rng), &mut w)
            };
            let len = rng.index(60);
            header.and_then(|()| w.bytes(&rng.bytes(len)))
        }
    };
    written.expect("room for a record");
    let mut record = w.written().to_vec();
    if rng.chance(0.2) {
        record = mangled(&record, rng);
    }
    record
}

/// The packets of a frame that the peer could send: well formed or nearly so. `next`: the reliable sequence.
pub fn some_packets(rng: &mut Rng, next: &mut u32) -> Vec<u8> {
    let len = rng.index(70);
    let payload = rng.bytes(len);
    let mut seq = || {
        *next = next.wrapping_add(1);
        next.wrapping_sub(1) & 0xFF
    };
    let packet = match rng.below(12) {
        0 => Packet::Ack { next: some_u32(rng) & 0xFF, selective: some_u32(rng) },
        1 => Packet::Ping { id: rng.byte(), sent: some_u32(rng) },
        2 => Packet::Pong { id: rng.byte(), held: some_number(rng), clock: some_u32(rng), dropped: 0 },
        3 => Packet::Taken { route: some_number(rng), messages: some_number(rng), bytes: some_u32(rng) },
        4 if rng.chance(0.1) => Packet::Close { code: some_u32(rng) },
        5 => Packet::Skip { seq: seq(), distance: some_u32(rng) },
        6 => Packet::BestEffort { count: rng.byte() & 63, route: some_number(rng), payload: &payload },
        7 => Packet::Reliable {
            route: some_number(rng),
            seq: seq(),
            distance: some_u32(rng),
            payload: &payload,
        },
        8 if rng.chance(0.3) => return payload,
        _ => {
            let record = some_record(rng);
            return forge::packet(&Packet::Reliable { route: 0, seq: seq(), distance: 0, payload: &record });
        }
    };
    forge::packet(&packet)
}
