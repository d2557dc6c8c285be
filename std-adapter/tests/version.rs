//! A peer of another major version: both sides are told, and nobody tries again.

use std::error::Error as StdError;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use tieline::CloseReason;
use tieline::framing::{Deframed, Deframer, Framing, Sealer};
use tieline::packet::{Hello, HelloHead, Packet, SeqWidth};
use tieline::wire::{Reader, Writer};
use tieline_std::{Connection, Ended, Error, Options};

const NONCE: u64 = 0xABCD_0001;

/// Reads frames until one is a HELLO that `wanted` likes.
fn hello(
    stream: &mut TcpStream,
    wanted: impl Fn(&HelloHead) -> bool,
) -> Result<HelloHead, Box<dyn StdError>> {
    let mut deframer = Deframer::new();
    deframer.reset(Framing::Stream);
    let mut buffer = [0; 128];
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        if let (_, Deframed::Packets(packets)) = deframer.push(&byte, &mut buffer, None)
            && let Ok(Packet::Hello(hello)) = Packet::parse(&mut Reader::new(packets), SeqWidth::Four)
            && wanted(&hello.head)
        {
            return Ok(hello.head);
        }
    }
}

fn answer(stream: &mut TcpStream, echo: u64) -> Result<(), Box<dyn StdError>> {
    let head = HelloHead { major: 2, minor: 0, done: false, nonce: NONCE, echo };
    let mut out = [0; 128];
    let sealer = Sealer { framing: Framing::Stream, number: 0 };
    let mut w = Writer::new(sealer.area(&mut out, 80).ok_or("too small")?);
    Packet::Hello(Hello { head, body: None }).emit(&mut w, SeqWidth::Four, true).map_err(|_| "full")?;
    let len = w.len();
    stream.write_all(sealer.seal(&mut out, 80, len, u32::MAX, false).ok_or("too small")?)?;
    Ok(())
}

#[test]
fn a_peer_of_another_version_is_told_and_not_asked_again() -> Result<(), Box<dyn StdError>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("tcp://{}", listener.local_addr()?);
    let peer = std::thread::spawn(move || -> Result<(), String> {
        let talk = || -> Result<(), Box<dyn StdError>> {
            let (mut stream, _) = listener.accept()?;
            let theirs = hello(&mut stream, |_| true)?;
            answer(&mut stream, theirs.nonce)?;
            hello(&mut stream, |head| head.done && head.echo == NONCE)?;
            Ok(())
        };
        talk().map_err(|error| error.to_string())
    });
    match Connection::open(&address.parse()?, Options::default()) {
        Err(Error::Ended(Ended::Closed(CloseReason::VersionMismatch { ours: 1, theirs: 2 }))) => {}
        other => panic!("{other:?}"),
    }
    peer.join().map_err(|_| "the peer panicked")??;
    Ok(())
}
