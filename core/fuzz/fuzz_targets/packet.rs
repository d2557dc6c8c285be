//! Whatever parses, emits, and what is emitted parses to the same value; control records likewise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tieline::packet::control::{Control, emit_expired, emit_intent, emit_interest};
use tieline::packet::{Packet, SeqWidth};
use tieline::wire::{Reader, Writer};

fn round_trip(data: &[u8], width: SeqWidth) {
    let mut reader = Reader::new(data);
    while let Ok(packet) = Packet::parse(&mut reader, width) {
        let mut out = vec![0; data.len() + 64];
        let mut w = Writer::new(&mut out);
        packet.emit(&mut w, width, false).expect("there is room");
        let again = Packet::parse(&mut Reader::new(w.written()), width);
        assert_eq!(again.as_ref(), Ok(&packet));
        if reader.is_empty() {
            break;
        }
    }
}

fn control(data: &[u8]) {
    let mut out = vec![0; data.len() + 300];
    match Control::parse(data) {
        Ok(Control::Intents(intents)) => {
            for intent in intents.map_while(Result::ok) {
                let mut w = Writer::new(&mut out);
                w.u8(1).unwrap();
                emit_intent(&intent, &mut w).expect("there is room");
                let Ok(Control::Intents(mut again)) = Control::parse(w.written()) else {
                    panic!("does not parse")
                };
                assert_eq!(again.next(), Some(Ok(intent)));
            }
        }
        Ok(Control::Interests(interests)) => {
            for interest in interests.map_while(Result::ok) {
                let mut w = Writer::new(&mut out);
                w.u8(3).unwrap();
                emit_interest(&interest, &mut w).expect("there is room");
                let Ok(Control::Interests(mut again)) = Control::parse(w.written()) else {
                    panic!("does not parse")
                };
                assert_eq!(again.next(), Some(Ok(interest)));
            }
        }
        Ok(Control::Expired(expired)) => {
            let mut w = Writer::new(&mut out);
            emit_expired(&expired, &mut w).expect("there is room");
            assert_eq!(Control::parse(w.written()), Ok(Control::Expired(expired)));
        }
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    round_trip(data, SeqWidth::One);
    round_trip(data, SeqWidth::Four);
    control(data);
});
