//! Packets: what stands inside of a frame (docs/protocol.md, section 3), parsed whole and emitted whole.
//!
//! Invariant: what [`Packet::parse`] returns is complete and valid, and [`Packet::emit`] of it parses back.
//! Sequence numbers stay as they are on the wire; expanding them, and what a packet means, is the endpoint's.

pub mod control;
pub mod hello;
mod message;

pub use hello::{Hello, HelloBody, HelloHead, Mode};
pub(crate) use hello::{Said, emit_hello};
pub use message::{Extended, best_effort_len, emit_best_effort_header, emit_reliable_header, reliable_len};
pub(crate) use message::{add_length, emit_message_header, is_message, parse_message};

use crate::wire::{Fields, Full, Reader, Writer};

/// First bytes of the packets that are not messages.
pub mod kind {
    /// HELLO.
    pub const HELLO: u8 = 0x01;
    /// ACK.
    pub const ACK: u8 = 0x02;
    /// PING.
    pub const PING: u8 = 0x03;
    /// PONG.
    pub const PONG: u8 = 0x04;
    /// TAKEN.
    pub const TAKEN: u8 = 0x05;
    /// CLOSE.
    pub const CLOSE: u8 = 0x06;
    /// An extended message.
    pub const EXTENDED: u8 = 0x07;
    /// SKIP.
    pub const SKIP: u8 = 0x08;
    /// First of the kinds that are skipped by their length.
    pub const SKIPPED_FIRST: u8 = 0x20;
}

/// How wide sequence numbers are on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SeqWidth {
    /// 1 byte, window 128 at most: serial links.
    One,
    /// 4 bytes: streams and datagrams.
    Four,
}

impl SeqWidth {
    /// The bits of a sequence number that are sent.
    #[must_use]
    pub const fn mask(self) -> u32 {
        match self {
            Self::One => 0xFF,
            Self::Four => u32::MAX,
        }
    }

    /// How many bits of a sequence number are sent.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// How many bytes a sequence number takes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Four => 4,
        }
    }

    fn read(self, f: &mut Fields<'_>) -> u32 {
        match self {
            Self::One => f.u8().into(),
            Self::Four => f.u32(),
        }
    }

    fn write(self, w: &mut Writer<'_>, seq: u32) {
        match self {
            Self::One => w.put_u8(seq as u8),
            Self::Four => w.put_u32(seq),
        }
    }
}

/// Bytes were not a packet or a record; the rest of the frame is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Malformed;

/// One packet. The fields are those of docs/protocol.md, section 3.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the protocol")]
pub enum Packet<'a> {
    /// The handshake; alone in its frame.
    Hello(Hello),
    /// All before `next` are stored, and `next + 1 + i` for each bit i of `selective`.
    Ack { next: u32, selective: u32 },
    /// Asks for PONG, ACK and TAKEN.
    Ping { id: u8, sent: u32 },
    /// Answers PING.
    Pong { id: u8, held: u16, clock: u32, dropped: u16 },
    /// What the reader of a route has taken.
    Taken { route: u16, messages: u16, bytes: u32 },
    /// Ends the session.
    Close { code: u32 },
    /// Stands for a reliable packet that is no longer wanted.
    Skip { seq: u32, distance: u32 },
    /// A best-effort message.
    BestEffort { count: u8, route: u16, payload: &'a [u8] },
    /// A reliable message, or a control record on route 0.
    Reliable { route: u16, seq: u32, distance: u32, payload: &'a [u8] },
    /// A fragment of a message, or one that expires.
    Extended { header: Extended, payload: &'a [u8] },
    /// A packet of a later version that may be skipped.
    Skipped,
}

impl<'a> Packet<'a> {
    /// Reads exactly one packet.
    ///
    /// # Errors
    /// [`Malformed`]: what is left in `r` has no meaning then.
    pub fn parse(r: &mut Reader<'a>, width: SeqWidth) -> Result<Self, Malformed> {
        let is_hello = r.peek() == Some(kind::HELLO);
        let mut fields = Fields::new(r.rest());
        let packet = match is_hello {
            true => Hello::parse(fields.rest()).map(Packet::Hello),
            false => Self::parse_next(&mut fields, width),
        };
        *r = Reader::new(fields.rest());
        packet.ok_or(Malformed)
    }

    /// Reads a packet that is not the first of its frame, or of a session: no HELLO.
    fn parse_next(f: &mut Fields<'a>, width: SeqWidth) -> Option<Self> {
        let first = f.u8();
        if !is_message(first) {
            return parse_report(first, f, width);
        }
        let (header, payload) = parse_message(first, f, width)?;
        f.is_whole().then(|| message::packet_of(first, header, payload))
    }

    /// Appends the packet. `last`: nothing follows it in the frame, so a message needs no length.
    ///
    /// HELLO and CLOSE reach to the end of the frame: nothing may follow them.
    ///
    /// # Errors
    /// [`Full`]: a part may be written; [`Writer::truncate`] takes it back.
    pub fn emit(&self, w: &mut Writer<'_>, width: SeqWidth, last: bool) -> Result<(), Full> {
        match *self {
            Self::BestEffort { count, route, payload } => {
                emit_best_effort_header(w, count, route, payload.len(), last)?;
                w.bytes(payload)
            }
            Self::Reliable { route, seq, distance, payload } => {
                emit_reliable_header(w, route, seq, distance, payload.len(), width, last)?;
                w.bytes(payload)
            }
            Self::Extended { ref header, payload } => {
                header.emit_header(w, payload.len(), width, last)?;
                w.bytes(payload)
            }
            _ => self.emit_report(w, width),
        }
    }

    /// Appends a packet that is no message.
    fn emit_report(&self, w: &mut Writer<'_>, width: SeqWidth) -> Result<(), Full> {
        match *self {
            Self::Hello(ref hello) => return hello.emit(w),
            Self::Ack { next, selective } => emit_ack(w, next, selective, width),
            Self::Ping { id, sent } => emit_ping(w, id, sent),
            Self::Pong { id, held, clock, dropped } => emit_pong(w, id, held, clock, dropped),
            Self::Taken { route, messages, bytes } => emit_taken(w, route, messages, bytes),
            Self::Close { code } => emit_close(w, code),
            Self::Skip { seq, distance } => emit_skip(w, seq, distance, width),
            Self::BestEffort { .. } | Self::Reliable { .. } | Self::Extended { .. } => return Err(Full),
            Self::Skipped => w.put(&[kind::SKIPPED_FIRST, 0]),
        }
        w.all()
    }
}

// The packets that are no messages, one by one: whether they did fit, the writer knows.

pub(crate) fn emit_ack(w: &mut Writer<'_>, next: u32, selective: u32, width: SeqWidth) {
    w.put_u8(kind::ACK);
    width.write(w, next);
    w.put_varint(selective);
}

pub(crate) fn emit_ping(w: &mut Writer<'_>, id: u8, sent: u32) {
    w.put_u8(kind::PING);
    w.put_u8(id);
    w.put_u32(sent);
}

pub(crate) fn emit_pong(w: &mut Writer<'_>, id: u8, held: u16, clock: u32, dropped: u16) {
    w.put_u8(kind::PONG);
    w.put_u8(id);
    w.put(&held.to_le_bytes());
    w.put_u32(clock);
    w.put(&dropped.to_le_bytes());
}

pub(crate) fn emit_taken(w: &mut Writer<'_>, route: u16, messages: u16, bytes: u32) {
    w.put_u8(kind::TAKEN);
    w.put_varint(route.into());
    w.put_varint(messages.into());
    w.put_varint(bytes);
}

pub(crate) fn emit_close(w: &mut Writer<'_>, code: u32) {
    w.put_u8(kind::CLOSE);
    w.put_varint(code);
}

pub(crate) fn emit_skip(w: &mut Writer<'_>, seq: u32, distance: u32, width: SeqWidth) {
    w.put_u8(kind::SKIP);
    width.write(w, seq);
    w.put_varint(distance);
}

/// Reads what stands behind the first byte of a packet that is no message.
pub(crate) fn parse_report<'a>(first: u8, f: &mut Fields<'a>, width: SeqWidth) -> Option<Packet<'a>> {
    let packet = match first {
        kind::ACK => Packet::Ack { next: width.read(f), selective: f.varint() },
        kind::PING => Packet::Ping { id: f.u8(), sent: f.u32() },
        kind::PONG => Packet::Pong { id: f.u8(), held: f.u16(), clock: f.u32(), dropped: f.u16() },
        kind::TAKEN => Packet::Taken { route: f.varint16(), messages: f.varint16(), bytes: f.varint() },
        kind::CLOSE => {
            let code = f.varint();
            f.rest();
            Packet::Close { code }
        }
        kind::SKIP => Packet::Skip { seq: width.read(f), distance: f.varint() },
        kind::SKIPPED_FIRST.. => {
            message::payload(f, true);
            Packet::Skipped
        }
        _ => return None,
    };
    f.is_whole().then_some(packet)
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::wire::Noise;

    const WIDTHS: [SeqWidth; 2] = [SeqWidth::One, SeqWidth::Four];

    fn survives(packet: &Packet<'_>, width: SeqWidth, last: bool) {
        let mut bytes = [0; 200];
        let mut w = Writer::new(&mut bytes);
        packet.emit(&mut w, width, last).unwrap();
        let len = w.len();
        match *packet {
            Packet::BestEffort { route, payload, .. } => {
                assert_eq!(len, best_effort_len(route, payload.len(), last));
            }
            Packet::Reliable { route, distance, payload, .. } => {
                assert_eq!(len, reliable_len(route, distance, payload.len(), width, last));
            }
            Packet::Extended { ref header, payload } => {
                assert_eq!(len, header.len(payload.len(), width, last));
            }
            _ => {}
        }
        let mut r = Reader::new(w.written());
        assert_eq!(Packet::parse(&mut r, width).as_ref(), Ok(packet));
        assert!(r.is_empty());
        // Cut off it is malformed, unless its payload reaches to the end.
        if !last
            || !matches!(
                packet,
                Packet::BestEffort { .. } | Packet::Reliable { .. } | Packet::Extended { .. }
            )
        {
            for cut in 0..len {
                let mut r = Reader::new(&w.written()[..cut]);
                assert_eq!(Packet::parse(&mut r, width), Err(Malformed), "{packet:?} {cut}");
            }
        }
        for room in 0..len {
            let mut short = vec![0; room];
            assert_eq!(packet.emit(&mut Writer::new(&mut short), width, last), Err(Full));
        }
    }

    #[test]
    fn packets_survive() {
        for width in WIDTHS {
            for packet in [
                Packet::Ack { next: 200, selective: u32::MAX },
                Packet::Ping { id: 255, sent: u32::MAX },
                Packet::Pong { id: 1, held: 2, clock: 3, dropped: 4 },
                Packet::Taken { route: 65_535, messages: 300, bytes: u32::MAX },
                Packet::Close { code: 16 },
                Packet::Skip { seq: 255, distance: 70_000 },
                Packet::Skipped,
            ] {
                survives(&packet, width, true);
            }
            for last in [false, true] {
                for reliable in [None, Some((7, 0)), Some((8, 31))] {
                    for life in [None, Some(0), Some(90_000)] {
                        for part in [None, Some((0, 100)), Some((300, 400)), Some((96, 100))] {
                            let header = Extended { route: 200, reliable, number: 255, life, part };
                            survives(&Packet::Extended { header, payload: b"four" }, width, last);
                        }
                    }
                }
                for (route, payload) in [(0, &[][..]), (1, &[7]), (200, &[0; 150])] {
                    survives(&Packet::BestEffort { count: 63, route, payload }, width, last);
                    for distance in [0, 1, 30, 31, 128] {
                        survives(&Packet::Reliable { route, seq: 9, distance, payload }, width, last);
                    }
                }
            }
        }
    }

    #[test]
    fn wide_numbers_are_cut_to_the_width() {
        for (width, next) in [(SeqWidth::One, 0x44), (SeqWidth::Four, 0x1122_3344)] {
            let mut bytes = [0; 8];
            let mut w = Writer::new(&mut bytes);
            Packet::Ack { next: 0x1122_3344, selective: 0 }.emit(&mut w, width, true).unwrap();
            assert_eq!(w.len(), 2 + width.bytes());
            let parsed = Packet::parse(&mut Reader::new(w.written()), width);
            assert_eq!(parsed, Ok(Packet::Ack { next, selective: 0 }));
            assert_eq!(0x1122_3344 & width.mask(), next);
        }
    }

    #[test]
    fn what_is_reserved_or_too_large_is_malformed() {
        for bytes in [
            &[0x00, 0][..],
            &[0x07, 0b1_1100, 1, 0, 9],
            &[0x07, 0b0_1000, 1, 0, 0, 9],
            &[0x07, 0b0_1000, 1, 0, 1, 9, 9],
            &[0x07, 0b1_0000, 1, 0, 0, 1, 9],
            &[0x07, 0b0_0000, 1, 0, 8, 9, 9, 9],
            &[0x09, 0, 0, 0, 0],
            &[0x0A, 0, 0],
            &[0x1F],
            &[0x80, 0x80, 0x80, 0x04],
            &[0x05, 1, 0x80, 0x80, 0x04, 0],
            &[0xC0, 1, 2, 0],
        ] {
            let parsed = Packet::parse(&mut Reader::new(bytes), SeqWidth::One);
            assert_eq!(parsed, Err(Malformed), "{bytes:x?}");
        }
        let mut r = Reader::new(&[0x3F, 2, 9, 9, 0x03]);
        assert_eq!(Packet::parse(&mut r, SeqWidth::One), Ok(Packet::Skipped));
        assert_eq!(r.remaining(), 1);
    }

    #[test]
    fn random_bytes_never_panic_and_always_advance() {
        let mut noise = Noise(2);
        for round in 0..20_000 {
            let len = noise.below(64);
            let bytes = noise.bytes(len, round % 3 == 0);
            let mut r = Reader::new(&bytes);
            let mut left = bytes.len();
            let width = WIDTHS[round % 2];
            while let Ok(packet) = Packet::parse(&mut r, width) {
                assert!(r.remaining() < left);
                left = r.remaining();
                let mut out = [0; 256];
                let mut w = Writer::new(&mut out);
                packet.emit(&mut w, width, false).unwrap();
                let again = Packet::parse(&mut Reader::new(w.written()), width);
                assert_eq!(again, Ok(packet));
            }
        }
    }
}
