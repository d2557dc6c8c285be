//! Bytes of a line into the deframer, in any pieces: no panic, always progress, and a good frame behind a delimiter
//! always gets through.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tieline::framing::{Deframed, Deframer, Framing, Sealer};

const SEED: u32 = 0x1234_5678;

fn feed(deframer: &mut Deframer, mut input: &[u8], mut on_packets: impl FnMut(&[u8])) -> bool {
    let mut buffer = [0; 96];
    while !input.is_empty() {
        let (taken, found) = deframer.push(input, &mut buffer, Some(SEED));
        assert!(taken > 0 && taken <= input.len());
        match found {
            Deframed::Packets(packets) => on_packets(packets),
            Deframed::Broken => return false,
            Deframed::Nothing | Deframed::Dropped(_) => {}
        }
        input = &input[taken..];
    }
    true
}

fuzz_target!(|data: &[u8]| {
    let Some((&options, noise)) = data.split_first() else { return };
    let framing =
        [Framing::Serial, Framing::Stream, Framing::Serial, Framing::Datagram][usize::from(options & 3)];
    let mut deframer = Deframer::new();
    deframer.reset(framing);
    for piece in noise.chunks(usize::from(options >> 2).max(1)) {
        if !feed(&mut deframer, piece, |packets| assert!(packets.len() <= 96)) {
            return;
        }
    }
    if framing == Framing::Serial {
        // Whatever came before: one delimiter, and a frame is understood.
        let mut out = [0; 128];
        let sealer = Sealer { framing, number: 0 };
        let packets = b"\x06\x01good frame\0\0";
        sealer.area(&mut out, 96).unwrap()[..packets.len()].copy_from_slice(packets);
        let frame = sealer.seal(&mut out, 96, packets.len(), SEED, true).unwrap().to_vec();
        let mut got = 0;
        feed(&mut deframer, &frame, |found| got += usize::from(found == packets));
        assert_eq!(got, 1);
    }
});
