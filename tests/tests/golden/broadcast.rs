//! Broadcast datagrams, in both directions.

use tieline::broadcast::{BroadcastStats, DropReason, Header, Reading, Subscriber};
use tieline::{RouteName, hash};

use crate::entries::{Entry, read};

const BROADCAST: &str = include_str!("../../golden/broadcast.txt");

fn header(e: &Entry) -> Header {
    let (type_name, path) = e.text("route").split_once('@').expect("Type@path");
    Header {
        route: hash(type_name, path),
        sender: e.number("sender"),
        nonce: e.number("nonce"),
        sequence: e.number("sequence"),
    }
}

#[test]
fn datagrams_that_are_sent() {
    let mut sent = 0;
    for e in read(BROADCAST).iter().filter(|e| e.get("sent").is_none()) {
        let mut out = [0; 256];
        assert_eq!(header(e).emit(e.payload(), &mut out), Ok(&e.bytes[..]), "[{}]", e.name);
        sent += 1;
    }
    assert_eq!(sent, 8);
}

#[test]
fn what_a_listener_makes_of_them() {
    for e in read(BROADCAST) {
        let wanted = e.get("wanted").unwrap_or_else(|| e.text("route"));
        let name = RouteName::parse(wanted).expect("a route");
        let mut listener = Subscriber::<1>::new(&name);
        let reading = listener.read(&e.bytes);
        let Some(reason) = e.get("read") else {
            let Reading::Message(message) = reading else { panic!("[{}] {reading:?}", e.name) };
            let Header { sender, nonce, sequence, .. } = header(&e);
            assert_eq!((message.sender, message.nonce), (sender, nonce), "[{}]", e.name);
            assert_eq!((message.sequence, message.payload), (sequence, e.payload()), "[{}]", e.name);
            assert_eq!(listener.stats(), BroadcastStats { received: 1, ..BroadcastStats::default() });
            continue;
        };
        let reason = match reason {
            "other-route" => DropReason::OtherRoute,
            "other-type" => DropReason::OtherType,
            "not-broadcast" => DropReason::NotBroadcast,
            "damaged" => DropReason::Damaged,
            other => panic!("[{}] read {other}", e.name),
        };
        assert_eq!(reading, Reading::Dropped(reason), "[{}]", e.name);
    }
}
