//! Frames made by hand, and frames taken apart: for stories in which somebody else speaks.

use tieline::framing::{Framing, Sealer, seed};
use tieline::packet::control::Control;
use tieline::packet::{Hello, HelloHead, Packet, SeqWidth, kind};
use tieline::wire::{Reader, Writer, cobs};

use crate::line::Sent;

/// Where the check of a HELLO starts.
const HELLO_START: u32 = u32::MAX;
/// More than any frame that is made here.
const CONTENT_MAX: usize = 4096;

/// A serial frame of these packets, as `sender` sends it to `receiver` in the session of these nonces.
#[must_use]
pub fn frame(packets: &[u8], sender: u64, receiver: u64) -> Vec<u8> {
    seal(packets, seed(sender, receiver))
}

/// A serial frame with a HELLO.
///
/// # Panics
/// When the HELLO is too large.
#[must_use]
pub fn hello(hello: Hello) -> Vec<u8> {
    seal(&packet(&Packet::Hello(hello)), HELLO_START)
}

/// A serial frame with a HELLO of another major version, whose body nobody here can read.
#[must_use]
pub fn hello_of_version(major: u8, nonce: u64, echo: u64, done: bool) -> Vec<u8> {
    hello(Hello { head: HelloHead { major, minor: 0, done, nonce, echo }, body: None })
}

/// The bytes of one packet, as the last of a serial frame.
///
/// # Panics
/// When it is too large.
#[must_use]
pub fn packet(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = [0; CONTENT_MAX];
    let mut w = Writer::new(&mut bytes);
    packet.emit(&mut w, SeqWidth::One, true).expect("room for a packet");
    w.written().to_vec()
}

/// A serial frame around these packets, whose check starts from `start`.
///
/// # Panics
/// When there are none, or too many.
#[must_use]
pub fn seal(packets: &[u8], start: u32) -> Vec<u8> {
    let content_max = packets.len() + Framing::Serial.check_len();
    let mut out = vec![0; Framing::wire_max(content_max)];
    let sealer = Sealer { framing: Framing::Serial, number: 0 };
    sealer.area(&mut out, content_max).expect("room for the packets").copy_from_slice(packets);
    sealer.seal(&mut out, content_max, packets.len(), start, true).expect("packets to seal").to_vec()
}

/// The packets of a serial frame, check cut off. None if it is not one.
#[must_use]
pub fn packets_of(frame: &[u8]) -> Option<Vec<u8>> {
    let start = frame.iter().position(|byte| *byte != 0)?;
    let end = start + cobs::find_zero(&frame[start..])?;
    let mut content = vec![0; frame.len()];
    let len = cobs::Decoder::new().decode(&frame[start..end], &mut content, 0)?;
    content.truncate(len.checked_sub(Framing::Serial.check_len())?);
    Some(content)
}

/// Calls `visit` for each packet of a serial frame.
pub fn each_packet(frame: &[u8], mut visit: impl FnMut(&Packet<'_>)) {
    let Some(packets) = packets_of(frame) else { return };
    let mut reader = Reader::new(&packets);
    while !reader.is_empty()
        && let Ok(packet) = Packet::parse(&mut reader, SeqWidth::One)
    {
        visit(&packet);
    }
}

/// The HELLO that a serial frame holds.
#[must_use]
pub fn hello_of(frame: &[u8]) -> Option<Hello> {
    let mut found = None;
    each_packet(frame, |packet| {
        if let Packet::Hello(hello) = packet {
            found = Some(hello.clone());
        }
    });
    found
}

/// Whether a serial frame holds a HELLO.
#[must_use]
pub fn is_hello(frame: &[u8]) -> bool {
    packets_of(frame).is_some_and(|packets| packets.first() == Some(&kind::HELLO))
}

/// The newest nonces of a recorded line: of the one who sends on it, and of its peer. They are those of the session
/// when the last HELLO was the one that completed it.
#[must_use]
pub fn nonces(sent: &[Sent]) -> Option<(u64, u64)> {
    let hellos = sent.iter().filter_map(|sent| hello_of(&sent.bytes));
    let mut heads = hellos.map(|hello| hello.head).filter(|head| head.echo != 0);
    heads.next_back().map(|head| (head.nonce, head.echo))
}

/// How many packets in recorded frames are of a sort.
#[must_use]
pub fn count_packets(sent: &[Sent], wanted: impl Fn(&Packet<'_>) -> bool) -> usize {
    let mut count = 0;
    for sent in sent {
        each_packet(&sent.bytes, |packet| count += usize::from(wanted(packet)));
    }
    count
}

/// How many frames of a record hold a control record of a sort.
#[must_use]
pub fn count_frames_with(sent: &[Sent], wanted: impl Fn(&Control<'_>) -> bool) -> usize {
    let holds = |sent: &&Sent| {
        let mut holds = false;
        each_packet(&sent.bytes, |packet| {
            if let Packet::Reliable { route: 0, payload, .. } = packet {
                holds |= Control::parse(payload).is_ok_and(|control| wanted(&control));
            }
        });
        holds
    };
    sent.iter().filter(holds).count()
}
