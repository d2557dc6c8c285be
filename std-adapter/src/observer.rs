//! What the peer declares, for people to see: it reads along.
//!
//! An endpoint stores nothing of routes that are not its own, and a board shall not pay for curiosity. So a connection that is
//! asked to ([`Options::observe`](crate::Options::observe)) reads the declarations in what comes a second time.
//!
//! Invariant: a bounded number of routes is kept, and nothing that comes changes the session. Messages are not looked at.

use std::collections::BTreeMap;

use tieline::framing::{Deframed, Deframer, Framing};
use tieline::packet::Packet;
use tieline::packet::control::{Control, InterestBody, WireName};
use tieline::wire::Reader;

/// Routes that are kept; a peer that declares more of them is not shown whole.
const ROUTES: usize = 4096;

/// A route that the peer has declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PeerRoute {
    /// `Type@path`, or a beginning of the path and the hash.
    pub name: String,
    /// The peer publishes on it.
    pub publishes: bool,
    /// What it publishes is reliable.
    pub reliable: bool,
    /// It answers requests on it.
    pub answers: bool,
    /// It wants messages of it.
    pub wants: bool,
}

#[derive(Debug)]
pub(crate) struct Observer {
    deframer: Deframer,
    framing: Framing,
    frame: Box<[u8]>,
    routes: BTreeMap<u64, PeerRoute>,
    /// By the number that the peer has given an interest, the route.
    numbers: BTreeMap<u16, u64>,
}

impl Observer {
    pub(crate) fn new(frame_max: usize) -> Self {
        Self {
            deframer: Deframer::new(),
            framing: Framing::Serial,
            frame: vec![0; frame_max].into(),
            routes: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// Another line.
    pub(crate) fn begin_line(&mut self, framing: Framing) {
        self.framing = framing;
        self.deframer.reset(framing);
    }

    /// Another session: the peer declares everything anew.
    pub(crate) fn begin_session(&mut self) {
        self.routes.clear();
        self.numbers.clear();
    }

    /// What the endpoint has taken of the line; `start`: where the check of the session's frames starts.
    pub(crate) fn read(&mut self, mut bytes: &[u8], start: Option<u32>) {
        while !bytes.is_empty() {
            let (taken, found) = self.deframer.push(bytes, &mut self.frame, start);
            bytes = bytes.get(taken.max(1)..).unwrap_or_default();
            if let Deframed::Packets(packets) = found {
                read_packets(packets, self.framing, &mut self.routes, &mut self.numbers);
            }
        }
    }

    pub(crate) fn routes(&self) -> Vec<PeerRoute> {
        self.routes
            .values()
            .filter(|route| route.publishes || route.answers || route.wants)
            .cloned()
            .collect()
    }
}

fn read_packets(
    packets: &[u8],
    framing: Framing,
    routes: &mut BTreeMap<u64, PeerRoute>,
    numbers: &mut BTreeMap<u16, u64>,
) {
    let mut reader = Reader::new(packets);
    while !reader.is_empty() {
        let Ok(packet) = Packet::parse(&mut reader, framing.seq_width()) else { return };
        let Packet::Reliable { route: 0, payload, .. } = packet else { continue };
        match Control::parse(payload) {
            Ok(Control::Intents(intents)) => {
                for intent in intents.flatten() {
                    let Some(route) = place(routes, &intent.name) else { continue };
                    if intent.service {
                        route.answers = !intent.withdrawn;
                    } else {
                        route.publishes = !intent.withdrawn;
                        route.reliable = intent.reliable;
                    }
                }
            }
            Ok(Control::Interests(interests)) => {
                for interest in interests.flatten() {
                    if let InterestBody::Declared { name, .. } = &interest.body {
                        let Some(route) = place(routes, name) else { continue };
                        route.wants = true;
                        numbers.insert(interest.number, name.hash());
                    } else if let Some(route) =
                        numbers.remove(&interest.number).and_then(|hash| routes.get_mut(&hash))
                    {
                        route.wants = false;
                    }
                }
            }
            _ => {}
        }
    }
}

fn place<'r>(routes: &'r mut BTreeMap<u64, PeerRoute>, name: &WireName<'_>) -> Option<&'r mut PeerRoute> {
    if routes.len() >= ROUTES && !routes.contains_key(&name.hash()) {
        return None;
    }
    let route = routes.entry(name.hash()).or_default();
    match name {
        WireName::Plain { type_name, path } => {
            route.name = format!("{}@{}", String::from_utf8_lossy(type_name), String::from_utf8_lossy(path));
        }
        WireName::Hashed { hash, prefix } if route.name.is_empty() => {
            route.name = format!("{}#{hash:016x}", String::from_utf8_lossy(prefix));
        }
        // What was said in full says more.
        WireName::Hashed { .. } => {}
    }
    Some(route)
}
