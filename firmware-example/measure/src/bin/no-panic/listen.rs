//! Broadcast: every method, with any datagram.

use tieline::RouteName;
use tieline::broadcast::{Header, OVERHEAD, Publisher, Reading, Subscriber, route_hash};

use crate::any::{any, tell};
#[cfg(not(feature = "typed"))]
use crate::plain::Sample;
#[cfg(feature = "typed")]
use crate::typed::Sample;

static NAME: RouteName = match RouteName::new("Any", "broadcast") {
    Ok(name) => name,
    Err(_) => panic!(),
};

pub(crate) struct Listener {
    publisher: Publisher,
    subscriber: Subscriber<3>,
}

impl Listener {
    pub(crate) const fn new() -> Self {
        Self { publisher: Publisher::new(&NAME, 1, 1), subscriber: Subscriber::new(&NAME) }
    }

    pub(crate) fn go_on(&mut self, payload: &[u8], out: &mut [u8]) {
        let out = out.get_mut(..any() as usize).unwrap_or_default();
        match any() {
            0 => self.publisher = Publisher::new(&NAME, any().into(), any()),
            1 => tell(self.publisher.emit(payload, out).map_or(0, <[u8]>::len) as u64),
            2 => tell(self.publisher.emit_message(&Sample::any(), out).map_or(OVERHEAD, <[u8]>::len) as u64),
            3 => {
                let header =
                    Header { route: any().into(), sender: any().into(), nonce: any(), sequence: any() };
                tell(header.emit(payload, out).is_ok());
            }
            4 => {
                tell(route_hash(payload).unwrap_or_default() ^ u64::from(self.publisher.emitted()));
                self.subscriber.senders().for_each(|sender| tell(sender.sender ^ u64::from(sender.sequence)));
                tell(self.subscriber.stats().lost);
            }
            _ => {
                if let Reading::Message(message) = self.subscriber.read(payload) {
                    tell(message.decode::<Sample>().map_or(message.lost, |sample| sample.sum()));
                }
            }
        }
    }
}
