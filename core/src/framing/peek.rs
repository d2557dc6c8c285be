//! Who is there? The first HELLO of a link, read without an endpoint: how a listener that serves several peers finds the
//! session that one belongs to.
//!
//! Invariant: bytes are looked at and kept by the caller, who hands all of them to the endpoint that gets the link.
//! Nothing is answered here.

use super::{Deframed, Deframer, Framing};
use crate::limits::HELLO_MAX;
use crate::packet::{Hello, Packet};
use crate::wire::Reader;

/// What the first bytes of a link show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peeked {
    /// No HELLO so far: look again when there are more bytes, all of them from the first one on.
    More,
    /// Who is there.
    Hello(Hello),
    /// A stream that does not begin with HELLO: whoever is there does not speak this protocol.
    Foreign,
}

impl Hello {
    /// Looks for a HELLO in the first bytes of a link: on serial links behind whatever else came before.
    ///
    /// ```
    /// use tieline::framing::{Framing, Peeked};
    /// use tieline::packet::Hello;
    ///
    /// assert_eq!(Hello::peek(Framing::Stream, &[]), Peeked::More);
    /// assert_eq!(Hello::peek(Framing::Stream, b"GET / HTTP/1.1"), Peeked::Foreign);
    /// assert_eq!(Hello::peek(Framing::Serial, b"boot: ok\r\n"), Peeked::More);
    /// ```
    #[must_use]
    pub fn peek(framing: Framing, bytes: &[u8]) -> Peeked {
        let mut buffer = [0; HELLO_MAX + Framing::Serial.check_len()];
        let mut deframer = Deframer::new();
        deframer.reset(framing);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, found) = deframer.push(rest, &mut buffer, None);
            match found {
                Deframed::Broken => return Peeked::Foreign,
                Deframed::Packets(packets) => {
                    let parsed = Packet::parse(&mut Reader::new(packets), framing.seq_width());
                    match parsed {
                        Ok(Packet::Hello(hello)) => return Peeked::Hello(hello),
                        _ if framing == Framing::Stream => return Peeked::Foreign,
                        _ => {}
                    }
                }
                Deframed::Nothing | Deframed::Dropped(_) => {}
            }
            rest = rest.get(taken.max(1)..).unwrap_or_default();
        }
        Peeked::More
    }
}

#[cfg(all(test, feature = "links"))]
mod tests {
    use super::*;
    use crate::framing::Sealer;
    use crate::packet::{HelloHead, SeqWidth};
    use crate::wire::{Noise, Writer};

    const FRAMINGS: [Framing; 3] = [Framing::Serial, Framing::Stream, Framing::Datagram];

    fn frame(framing: Framing, nonce: u64, out: &mut [u8; 200]) -> (Hello, &[u8]) {
        let hello = Hello { head: HelloHead { major: 9, minor: 0, done: false, nonce, echo: 0 }, body: None };
        let sealer = Sealer { framing, number: 0 };
        let content = HELLO_MAX + framing.check_len();
        let mut w = Writer::new(sealer.area(out, content).unwrap());
        Packet::Hello(hello.clone()).emit(&mut w, SeqWidth::One, true).unwrap();
        let len = w.len();
        (hello, sealer.seal(out, content, len, u32::MAX, true).unwrap())
    }

    #[test]
    fn a_hello_is_found_as_soon_as_it_is_whole() {
        for framing in FRAMINGS {
            let mut out = [0; 200];
            let (hello, bytes) = frame(framing, 77, &mut out);
            let whole = bytes.len();
            for cut in 0..whole {
                let found = Hello::peek(framing, &bytes[..cut]);
                assert_eq!(found, Peeked::More, "{framing:?} {cut}");
            }
            assert_eq!(Hello::peek(framing, bytes), Peeked::Hello(hello));
        }
    }

    #[test]
    fn a_serial_line_may_have_said_something_else_before() {
        let mut out = [0; 200];
        let (hello, bytes) = frame(Framing::Serial, 5, &mut out);
        let mut noise = Noise(3);
        for len in 0..300 {
            let mut before = noise.bytes(len, false);
            before.extend_from_slice(bytes);
            assert_eq!(Hello::peek(Framing::Serial, &before), Peeked::Hello(hello.clone()), "{len}");
        }
    }

    #[test]
    fn whatever_comes_is_looked_at_without_harm() {
        let mut noise = Noise(4);
        for round in 0..3000 {
            let len = noise.below(400);
            let bytes = noise.bytes(len, round % 3 == 0);
            for framing in FRAMINGS {
                assert!(!matches!(Hello::peek(framing, &bytes), Peeked::Hello(_)));
            }
        }
    }
}
