//! HELLO, the packet of the handshake (docs/protocol.md, section 4).
//!
//! Invariant: the head of a HELLO that exists had the right magic and head check; its body, if there is one,
//! is whole and states a `frame_max` of at least 80. The handshake itself is not in here.

use heapless::String;

use super::kind;
use crate::capability;
use crate::limits::{FRAME_MIN, NAME_MAX, VERSION_MAJOR};
use crate::wire::{Fields, Full, Writer, crc32c};

/// "TL".
const MAGIC: [u8; 2] = [0x54, 0x4C];
const DONE: u8 = 1;

/// In the mode's byte: which, and how many bytes of its own follow the clock.
const MODE_MASK: u8 = 0x0F;
const MODE_LEN_SHIFT: u32 = 4;
const RESUME: u8 = 1;
const RESUME_LEN: u8 = 6;
const PROBE: u8 = 2;

// Largest values that a HELLO says, so that it never takes more than 80 bytes; larger ones are said as these.
const CAPABILITIES_MAX: u32 = (1 << 14) - 1;
const FRAME_MAX: u32 = (1 << 21) - 1;
const MESSAGE_MAX: u32 = (1 << 28) - 1;
const MS_MAX: u32 = (1 << 21) - 1;
const RESUME_MAX: u32 = (1 << 14) - 1;
/// Kind to echo: what the head check covers.
const HEAD_LEN: usize = 22;

/// What never changes in any version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HelloHead {
    /// Major version of the sender.
    pub major: u8,
    /// Minor version of the sender.
    pub minor: u8,
    /// The sender has had our echo; no answer is needed.
    pub done: bool,
    /// The sender's nonce.
    pub nonce: u64,
    /// The receiver's nonce; 0: not known.
    pub echo: u64,
}

/// What to do with an earlier session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(missing_docs, reason = "the fields are named as in the protocol")]
pub enum Mode {
    /// Begin a new session.
    Fresh,
    /// Go on with a session that lost its link; `next`: low bits of the first sequence number that is missing.
    Resume { session: u32, next: u16 },
    /// Ask only who is there.
    Probe,
}

/// What belongs to major version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloBody {
    /// The peer's name, for people.
    pub name: String<NAME_MAX>,
    /// What to do with an earlier session.
    pub mode: Mode,
    /// Capability bits.
    pub capabilities: u32,
    /// Largest frame content that the sender takes, in bytes.
    pub frame_max: u32,
    /// Largest message payload that the sender takes, in bytes.
    pub message_max: u32,
    /// How many unanswered requests the sender holds for the receiver.
    pub requests: u8,
    /// The sender's ping interval, ms.
    pub ping_ms: u32,
    /// After how long without a frame the sender gives the session up, ms.
    pub silence_ms: u32,
    /// For how long the sender keeps a session without a link, s.
    pub resume_s: u32,
    /// The sender's clock, µs since its start.
    pub clock: u64,
}

/// A HELLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version and nonces.
    pub head: HelloHead,
    /// `None` for another major version, whose body has no meaning here.
    pub body: Option<HelloBody>,
}

impl Hello {
    /// Reads all packets of a frame that begins with a HELLO.
    // Rare, and its variables shall not be on the stack for every packet.
    #[inline(never)]
    pub(crate) fn parse(packets: &[u8]) -> Option<Self> {
        let mut f = Fields::new(packets);
        let check = crc32c(f.take(HEAD_LEN));
        let mut h = Fields::new(packets);
        let [kind, m0, m1, major, minor, flags] = core::array::from_fn(|_| h.u8());
        let head = HelloHead { major, minor, done: flags & DONE != 0, nonce: h.u64(), echo: h.u64() };
        if check != f.u32() || [m0, m1] != MAGIC || kind != kind::HELLO {
            return None;
        }
        let body = if major == VERSION_MAJOR { Some(parse_body(&mut f)?) } else { None };
        f.is_whole().then_some(Self { head, body })
    }
}

/// What a body says, when it is written.
pub(crate) struct Said<'a> {
    pub(crate) name: &'a str,
    pub(crate) mode: Mode,
    pub(crate) capabilities: u32,
    pub(crate) frame_max: u32,
    pub(crate) message_max: u32,
    pub(crate) requests: u8,
    pub(crate) ping_ms: u32,
    pub(crate) silence_ms: u32,
    pub(crate) resume_s: u32,
    pub(crate) clock: u64,
}

impl Hello {
    /// Appends the whole packet.
    pub(super) fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let said = self.body.as_ref().map(|body| Said {
            name: &body.name,
            mode: body.mode,
            capabilities: body.capabilities,
            frame_max: body.frame_max,
            message_max: body.message_max,
            requests: body.requests,
            ping_ms: body.ping_ms,
            silence_ms: body.silence_ms,
            resume_s: body.resume_s,
            clock: body.clock,
        });
        emit_hello(&self.head, said.as_ref(), w)
    }
}

/// Appends a whole HELLO.
#[inline(never)]
pub(crate) fn emit_hello(head: &HelloHead, body: Option<&Said<'_>>, w: &mut Writer<'_>) -> Result<(), Full> {
    let [m0, m1] = MAGIC;
    let flags = if head.done { DONE } else { 0 };
    let before = w.len();
    w.put(&[kind::HELLO, m0, m1, head.major, head.minor, flags]);
    w.put_u64(head.nonce);
    w.put_u64(head.echo);
    let check = crc32c(w.written().get(before..).unwrap_or_default());
    w.put_u32(check);
    if let Some(body) = body {
        emit_body(body, w);
    }
    w.all()
}

fn parse_body(f: &mut Fields<'_>) -> Option<HelloBody> {
    let name = parse_name(f)?;
    let mode = f.u8();
    let [capabilities, frame_max, message_max] = core::array::from_fn(|_| f.varint());
    let requests = f.u8();
    let [ping_ms, silence_ms, resume_s] = core::array::from_fn(|_| f.varint());
    let clock = f.u64();
    let mut own = Fields::new(f.take(usize::from(mode >> MODE_LEN_SHIFT)));
    let mode = match mode & MODE_MASK {
        RESUME => Mode::Resume { session: own.u32(), next: own.u16() },
        PROBE => Mode::Probe,
        _ => Mode::Fresh,
    };
    if frame_max < FRAME_MIN as u32 || !own.is_whole() {
        return None;
    }
    Some(HelloBody {
        name,
        mode,
        capabilities,
        frame_max,
        message_max,
        requests,
        ping_ms,
        silence_ms,
        resume_s,
        clock,
    })
}

fn parse_name(f: &mut Fields<'_>) -> Option<String<NAME_MAX>> {
    let len = usize::from(f.u8());
    let name = f.take(len);
    if capability::STATS {
        return String::try_from(core::str::from_utf8(name).ok()?).ok();
    }
    // Nobody asks for it.
    (len <= NAME_MAX).then(String::new)
}

fn emit_body(body: &Said<'_>, w: &mut Writer<'_>) {
    w.put_u8(body.name.len() as u8);
    w.put(body.name.as_bytes());
    w.put_u8(match body.mode {
        Mode::Fresh => 0,
        Mode::Resume { .. } => RESUME | RESUME_LEN << MODE_LEN_SHIFT,
        Mode::Probe => PROBE,
    });
    w.put_varint(body.capabilities.min(CAPABILITIES_MAX));
    w.put_varint(body.frame_max.min(FRAME_MAX));
    w.put_varint(body.message_max.min(MESSAGE_MAX));
    w.put_u8(body.requests);
    w.put_varint(body.ping_ms.min(MS_MAX));
    w.put_varint(body.silence_ms.min(MS_MAX));
    w.put_varint(body.resume_s.min(RESUME_MAX));
    w.put_u64(body.clock);
    if let Mode::Resume { session, next } = body.mode {
        w.put_u32(session);
        w.put(&next.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Malformed, Packet, SeqWidth};
    use crate::wire::{Noise, Reader};

    fn hello() -> Hello {
        let head = HelloHead {
            major: 1,
            minor: 3,
            done: true,
            nonce: 0x0123_4567_89AB_0001,
            echo: 0xFEDC_BA98_7654_0002,
        };
        let body = HelloBody {
            name: String::try_from("mötor").unwrap(),
            mode: Mode::Fresh,
            capabilities: 9,
            frame_max: 80,
            message_max: 64,
            requests: 4,
            ping_ms: 1000,
            silence_ms: 3000,
            resume_s: 0,
            clock: 123_456_789_012,
        };
        Hello { head, body: Some(body) }
    }

    fn emitted<'a>(hello: &Hello, out: &'a mut [u8; 128]) -> &'a [u8] {
        let mut w = Writer::new(out);
        Packet::Hello(hello.clone()).emit(&mut w, SeqWidth::One, true).unwrap();
        w.into_written()
    }

    fn parsed(bytes: &[u8]) -> Result<Hello, Malformed> {
        let mut r = Reader::new(bytes);
        match Packet::parse(&mut r, SeqWidth::Four)? {
            Packet::Hello(hello) if r.is_empty() => Ok(hello),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn survives_and_ignores_what_is_appended() {
        let mut out = [0; 128];
        let mut hello = hello();
        for mode in [Mode::Fresh, Mode::Probe, Mode::Resume { session: 7, next: u16::MAX }] {
            hello.body.as_mut().unwrap().mode = mode;
            let bytes = emitted(&hello, &mut out);
            let len = bytes.len();
            assert_eq!(parsed(bytes), Ok(hello.clone()));
            for cut in 0..len {
                assert_eq!(parsed(&bytes[..cut]), Err(Malformed), "{cut}");
            }
            assert_eq!(parsed(&out[..len + 9]), Ok(hello.clone()));
        }
    }

    #[test]
    fn a_flipped_bit_in_the_head_is_malformed() {
        let mut out = [0; 128];
        let len = emitted(&hello(), &mut out).len();
        for bit in 8..26 * 8 {
            let mut bytes = out;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parsed(&bytes[..len]), Err(Malformed), "{bit}");
        }
    }

    #[test]
    fn limits_of_the_body() {
        let mut out = [0; 128];
        let mut small = hello();
        small.body.as_mut().unwrap().frame_max = 79;
        assert_eq!(parsed(emitted(&small, &mut out)), Err(Malformed));
        let mut out = [0; 128];
        emitted(&hello(), &mut out);
        out[26] = 17;
        assert_eq!(parsed(&out), Err(Malformed));
    }

    #[test]
    fn another_major_version_has_no_body() {
        let mut other = hello();
        other.head.major = 2;
        let mut out = [0; 128];
        assert_eq!(parsed(emitted(&other, &mut out)), Ok(Hello { body: None, ..other }));
    }

    #[test]
    fn the_largest_hello_fits_80_bytes_with_its_check() {
        let mut largest = hello();
        let body = largest.body.as_mut().unwrap();
        body.name = String::try_from("0123456789abcdef").unwrap();
        body.mode = Mode::Resume { session: u32::MAX, next: u16::MAX };
        (body.capabilities, body.frame_max, body.message_max) = (u32::MAX, u32::MAX, u32::MAX);
        (body.ping_ms, body.silence_ms, body.resume_s) = (u32::MAX, u32::MAX, u32::MAX);
        assert_eq!(emitted(&largest, &mut [0; 128]).len() + 4, 80);
    }

    #[test]
    fn random_bodies_never_panic() {
        let mut noise = Noise(13);
        let mut out = [0; 128];
        emitted(&hello(), &mut out);
        for _ in 0..5000 {
            let tail = noise.below(100);
            out[26..26 + tail].copy_from_slice(&noise.bytes(tail, false));
            let _ = parsed(&out[..26 + tail]);
        }
    }
}
