//! The golden bytes in `tests/golden`, in both directions: what is read from them, and that they are what is sent.
//!
//! The bytes were made from docs/protocol.md by another program in another language, so they can disagree.

use std::collections::HashMap;

use tieline::RouteName;
use tieline::framing::{self, Deframed, Deframer, Framing, Sealer};
use tieline::packet::control::{
    self, Control, Expired, Intent, Interest, InterestBody, NotifyStatus, Priority, WireName,
};
use tieline::packet::{
    Extended, Hello, HelloBody, HelloHead, Malformed, Mode, Packet, SeqWidth, best_effort_len, reliable_len,
};
use tieline::wire::{Reader, Writer, crc32c_from};

#[path = "golden/broadcast.rs"]
mod broadcast;
#[path = "golden/entries.rs"]
mod entries;

use entries::{Entry, number, read};

const CONTROL: &str = include_str!("../golden/control.txt");
const FRAMES: &str = include_str!("../golden/frames.txt");
const HASHES: &str = include_str!("../golden/hashes.txt");
const HELLO: &str = include_str!("../golden/hello.txt");
const PACKETS: &str = include_str!("../golden/packets.txt");
const READINGS: &str = include_str!("../golden/readings.txt");

/// Nonces of the session in `hello.txt`.
const A: u64 = 0xA1A2_A3A4_A5A6_0001;
const B: u64 = 0xB1B2_B3B4_B5B6_0002;

fn width(entry: &Entry) -> SeqWidth {
    match entry.get("width") {
        Some("4") => SeqWidth::Four,
        None | Some("1") => SeqWidth::One,
        Some(other) => panic!("[{}] width {other}", entry.name),
    }
}

fn packet(e: &Entry) -> Packet<'static> {
    match e.text("kind") {
        "hello" => Packet::Hello(hello(e)),
        "ack" => Packet::Ack { next: e.number("next"), selective: e.number("selective") },
        "ping" => Packet::Ping { id: e.number("id"), sent: e.number("sent") },
        "pong" => Packet::Pong {
            id: e.number("id"),
            held: e.number("held"),
            clock: e.number("clock"),
            dropped: e.number("dropped"),
        },
        "taken" => Packet::Taken {
            route: e.number("route"),
            messages: e.number("messages"),
            bytes: e.number("bytes"),
        },
        "close" => Packet::Close { code: e.number("code") },
        "skip" => Packet::Skip { seq: e.number("seq"), distance: e.number("distance") },
        "best-effort" => {
            Packet::BestEffort { count: e.number("count"), route: e.number("route"), payload: e.payload() }
        }
        "reliable" => Packet::Reliable {
            route: e.number("route"),
            seq: e.number("seq"),
            distance: e.number("distance"),
            payload: e.payload(),
        },
        "extended" => {
            let header = Extended {
                route: e.number("route"),
                reliable: e.get("seq").map(|_| (e.number("seq"), e.number("distance"))),
                number: e.number("number"),
                life: e.get("life").map(|_| e.number("life")),
                part: e.get("offset").map(|_| (e.number("offset"), e.number("total"))),
            };
            Packet::Extended { header, payload: e.payload() }
        }
        "skipped" => Packet::Skipped,
        other => panic!("[{}] kind {other}", e.name),
    }
}

fn hello(e: &Entry) -> Hello {
    let head = HelloHead {
        major: e.number("major"),
        minor: e.number("minor"),
        done: e.yes("done"),
        nonce: e.number("nonce"),
        echo: e.number("echo"),
    };
    let body = e.get("name").map(|name| HelloBody {
        name: heapless::String::try_from(name).expect("at most 16 bytes"),
        mode: match e.text("mode") {
            "fresh" => Mode::Fresh,
            "resume" => Mode::Resume { session: e.number("session"), next: e.number("next") },
            "probe" => Mode::Probe,
            other => panic!("[{}] mode {other}", e.name),
        },
        capabilities: e.number("capabilities"),
        frame_max: e.number("frame_max"),
        message_max: e.number("message_max"),
        requests: e.number("requests"),
        ping_ms: e.number("ping"),
        silence_ms: e.number("silence"),
        resume_s: e.number("resume"),
        clock: e.number("clock"),
    });
    Hello { head, body }
}

fn parse_one(bytes: &[u8], width: SeqWidth) -> Result<Packet<'_>, Malformed> {
    let mut r = Reader::new(bytes);
    let packet = Packet::parse(&mut r, width);
    assert!(packet.is_err() || r.is_empty(), "one packet and no more: {bytes:02x?}");
    packet
}

fn emit(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = [0; 1024];
    let mut w = Writer::new(&mut out);
    write(&mut w);
    w.written().to_vec()
}

fn emit_one(packet: &Packet<'_>, width: SeqWidth, last: bool) -> Vec<u8> {
    emit(|w| packet.emit(w, width, last).expect("there is room"))
}

#[test]
fn packets() {
    for e in read(PACKETS).iter().chain(&read(HELLO)) {
        let (packet, width) = (packet(e), width(e));
        let last = e.get("last").is_none_or(|last| last == "yes");
        assert_eq!(parse_one(&e.bytes, width), Ok(packet.clone()), "[{}]", e.name);
        assert_eq!(emit_one(&packet, width, last), e.bytes, "[{}]", e.name);
    }
}

fn known() -> HashMap<&'static str, Entry> {
    read(PACKETS).into_iter().chain(read(HELLO)).map(|e| (e.name, e)).collect()
}

#[test]
fn other_readings() {
    let known = known();
    for e in read(READINGS) {
        let expected = e.get("reads-as").map(|name| packet(&known[name])).ok_or(Malformed);
        assert_eq!(e.get("malformed").is_some(), expected.is_err(), "[{}]", e.name);
        let parsed = Packet::parse(&mut Reader::new(&e.bytes), SeqWidth::One);
        assert_eq!(parsed, expected, "[{}]", e.name);
    }
}

/// What a declaration's line says.
struct Line(HashMap<&'static str, &'static str>);

impl Line {
    fn new(line: &'static str) -> Self {
        Self(line.split(' ').map(|word| word.split_once('=').unwrap_or((word, ""))).collect())
    }

    fn yes(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn number<T: TryFrom<u64>>(&self, key: &str) -> T {
        number(self.0.get(key).copied().unwrap_or("0")).expect("a number that fits")
    }

    fn name(&self) -> WireName<'static> {
        match self.0.get("name") {
            Some(text) => plain(text),
            None => WireName::Hashed { hash: self.number("hash"), prefix: self.0["prefix"].as_bytes() },
        }
    }

    fn intent(&self) -> Intent<'static> {
        Intent {
            withdrawn: self.yes("withdrawn"),
            reliable: self.yes("reliable"),
            priority: match self.0.get("priority") {
                Some(&"0") => Priority::Background,
                Some(&"2") => Priority::High,
                Some(&"3") => Priority::Urgent,
                _ => Priority::Normal,
            },
            service: self.yes("service"),
            ask: self.yes("ask"),
            name: self.name(),
            ttl_ms: self.number("ttl"),
            schema: self.number("schema"),
        }
    }

    fn interest(&self) -> Interest<'static> {
        let body = if self.yes("withdrawn") {
            InterestBody::Withdrawn
        } else {
            InterestBody::Declared {
                window: self.number("window"),
                backlog: self.number("backlog"),
                name: self.name(),
                ttl_ms: self.number("ttl"),
                schema: self.number("schema"),
            }
        };
        Interest {
            number: self.number("number"),
            ask: self.yes("ask"),
            messages: self.number("messages"),
            bytes: self.number("bytes"),
            body,
        }
    }
}

#[test]
fn control_records() {
    for e in read(CONTROL) {
        let parsed = Control::parse(&e.bytes).unwrap_or_else(|_| panic!("[{}]", e.name));
        let kind = e.text("kind");
        let emitted = match kind {
            "intent" | "intents" => {
                let list: Vec<_> = e.all("intent").map(|line| Line::new(line).intent()).collect();
                let Control::Intents(found) = parsed else { panic!("[{}] {parsed:?}", e.name) };
                assert!(found.eq(list.iter().copied().map(Ok)), "[{}]", e.name);
                emit(|w| {
                    w.u8(if kind == "intent" { control::INTENT } else { control::INTENTS }).unwrap();
                    list.iter().for_each(|intent| control::emit_intent(intent, w).unwrap());
                })
            }
            "interest" | "interests" => {
                let list: Vec<_> = e.all("interest").map(|line| Line::new(line).interest()).collect();
                let Control::Interests(found) = parsed else { panic!("[{}] {parsed:?}", e.name) };
                assert!(found.eq(list.iter().copied().map(Ok)), "[{}]", e.name);
                emit(|w| {
                    w.u8(if kind == "interest" { control::INTEREST } else { control::INTERESTS }).unwrap();
                    list.iter().for_each(|interest| control::emit_interest(interest, w).unwrap());
                })
            }
            "notify" => {
                let hash = e.number("hash");
                let status = match e.get("audience") {
                    Some(_) => NotifyStatus::Audience(e.number("audience")),
                    None => {
                        NotifyStatus::Conflict { hash: e.number("own_hash"), schema: e.number("own_schema") }
                    }
                };
                assert_eq!(parsed, Control::NotifyIntent { hash, status }, "[{}]", e.name);
                emit(|w| control::emit_notify(hash, &status, w).unwrap())
            }
            "request" => {
                let (id, hash) = (e.number("id"), e.number("hash"));
                let (room, timeout_ms, payload) = (e.number("room"), e.number("timeout"), e.payload());
                let request = Control::Request { id, hash, room, timeout_ms, payload };
                assert_eq!(parsed, request, "[{}]", e.name);
                emit(|w| {
                    control::emit_request_header(id, hash, room, timeout_ms, w).unwrap();
                    w.bytes(payload).unwrap();
                })
            }
            "expired" => {
                let expired = Expired {
                    route: e.number("route"),
                    messages: e.number("messages"),
                    bytes: e.number("bytes"),
                    expired: e.number("expired"),
                    after: e.number("after"),
                };
                assert_eq!(parsed, Control::Expired(expired), "[{}]", e.name);
                emit(|w| control::emit_expired(&expired, w).unwrap())
            }
            "result" => {
                let (id, code, payload) = (e.number("id"), e.number("code"), e.payload());
                assert_eq!(parsed, Control::Result { id, code, payload }, "[{}]", e.name);
                emit(|w| {
                    control::emit_result_header(id, code, w).unwrap();
                    w.bytes(payload).unwrap();
                })
            }
            other => panic!("[{}] kind {other}", e.name),
        };
        assert_eq!(emitted, e.bytes, "[{}]", e.name);
    }
}

#[test]
fn frames() {
    let known = known();
    for e in read(FRAMES) {
        let framing = match e.text("framing") {
            "serial" => Framing::Serial,
            "stream" => Framing::Stream,
            "datagram" => Framing::Datagram,
            other => panic!("[{}] framing {other}", e.name),
        };
        let number = e.get("number").map_or(0, |_| e.number("number"));
        let start = match e.get("start") {
            Some("a-to-b") => framing::seed(A, B),
            Some("b-to-a") => framing::seed(B, A),
            _ => 0xFFFF_FFFF,
        };
        let packets: Vec<u8> = e.all("packet").flat_map(|name| known[name].bytes.iter().copied()).collect();

        for content_max in [packets.len() + framing.check_len(), 4096] {
            let mut out = vec![0xEE; Framing::wire_max(content_max)];
            let sealer = Sealer { framing, number };
            sealer.area(&mut out, content_max).expect("there is room")[..packets.len()]
                .copy_from_slice(&packets);
            let zero = e.get("zero") == Some("yes");
            let frame = sealer.seal(&mut out, content_max, packets.len(), start, zero);
            assert_eq!(frame, Some(&e.bytes[..]), "[{}]", e.name);
        }
        let pieces = if framing == Framing::Datagram { &[e.bytes.len()][..] } else { &[1, 5, e.bytes.len()] };
        for &chunk in pieces {
            let mut deframer = Deframer::new();
            deframer.reset(framing);
            assert_eq!(only_frame(&mut deframer, &e.bytes, chunk, start), packets, "[{}]", e.name);
        }
        let mut r = Reader::new(&packets);
        for name in e.all("packet") {
            let found = Packet::parse(&mut r, framing.seq_width());
            assert_eq!(found, Ok(packet(&known[name])), "[{}]", e.name);
        }
        assert!(r.is_empty());
    }
}

fn only_frame(deframer: &mut Deframer, wire: &[u8], chunk: usize, seed: u32) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut found = Vec::new();
    for mut piece in wire.chunks(chunk) {
        while !piece.is_empty() {
            let (taken, deframed) = deframer.push(piece, &mut buffer, Some(seed));
            match deframed {
                Deframed::Packets(packets) => found.push(packets.to_vec()),
                other => assert_eq!(other, Deframed::Nothing),
            }
            piece = &piece[taken..];
        }
    }
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn hashes_seeds_and_checks() {
    for e in read(HASHES) {
        if let Some(route) = e.get("route") {
            let hash: u64 = e.number("hash");
            assert_eq!(RouteName::parse(route).map(|name| name.hash()), Ok(hash), "{route}");
            assert_eq!(plain(route).hash(), hash, "{route}");
        } else if e.get("seed").is_some() {
            let seed = framing::seed(e.number("sender"), e.number("receiver"));
            assert_eq!(seed, e.number::<u32>("seed"), "[{}]", e.name);
        } else if e.get("session").is_some() {
            let (one, other) = (e.number("one"), e.number("other"));
            assert_eq!(framing::session(one, other), e.number::<u32>("session"), "[{}]", e.name);
            assert_eq!(framing::session(other, one), framing::session(one, other));
            assert_eq!((framing::seed(A, B), framing::seed(B, A)), (one, other));
        } else {
            let crc = crc32c_from(e.number("start"), &e.bytes);
            assert_eq!(crc, e.number::<u32>("crc"), "[{}]", e.name);
        }
    }
}

/// Bytes of a serial frame that holds only `packet`, delimiter included.
fn on_the_wire(packet: &Packet<'_>) -> usize {
    let packets = emit_one(packet, SeqWidth::One, true);
    let sealer = Sealer { framing: Framing::Serial, number: 0 };
    let mut out = [0; 256];
    sealer.area(&mut out, 128).expect("there is room")[..packets.len()].copy_from_slice(&packets);
    sealer.seal(&mut out, 128, packets.len(), 7, false).expect("it fits").len()
}

#[test]
fn byte_budgets() {
    let payload = &[0xAB; 8];
    assert!(on_the_wire(&Packet::BestEffort { count: 63, route: 127, payload }) <= 16);
    assert!(on_the_wire(&Packet::Reliable { route: 127, seq: 255, distance: 30, payload }) <= 17);
    assert!(on_the_wire(&Packet::Ack { next: 255, selective: 127 }) <= 10);
    assert!(on_the_wire(&Packet::Ping { id: 255, sent: u32::MAX }) <= 12);
    let pong = Packet::Pong { id: 255, held: u16::MAX, clock: u32::MAX, dropped: u16::MAX };
    assert!(on_the_wire(&pong) <= 16);
    assert_eq!(best_effort_len(127, 8, true), 10);
    assert_eq!(reliable_len(127, 30, 8, SeqWidth::One, true), 11);
    for e in &read(HELLO) {
        assert!(e.bytes.len() + Framing::Serial.check_len() <= framing::FRAME_MIN, "[{}]", e.name);
    }
}

/// `Type@path` as it travels.
fn plain(text: &'static str) -> WireName<'static> {
    let (type_name, path) = text.split_once('@').expect("Type@path");
    WireName::Plain { type_name: type_name.as_bytes(), path: path.as_bytes() }
}
