//! The small machine: every method, with any argument.

use tieline::{Instant, RouteId, RouteName, Select, lite};

#[cfg(not(feature = "typed"))]
use crate::plain::Sample;
#[cfg(feature = "typed")]
use crate::typed::Sample;

use crate::any::{any, coin, tell};

const fn name(path: &'static str) -> RouteName {
    match RouteName::new("Any", path) {
        Ok(name) => name.with_schema(7),
        Err(_) => panic!(),
    }
}

pub(crate) struct Any;

impl lite::Device<2, 3> for Any {
    const NAME: &'static str = "any";
    const PUBLISHES: [RouteName; 2] =
        [name("one"), name("a.path.that.is.too.long.to.be.sent.as.text.in.a.record")];
    const READS: [RouteName; 3] = [name("one"), name("two").to_hashed(), name("three")];
}

pub(crate) type Endpoint = lite::Endpoint<Any, 253, 2, 3>;

fn route() -> RouteId {
    if coin() { lite::published(any() as usize) } else { lite::read(any() as usize) }
}

pub(crate) fn go_on(endpoint: &mut Endpoint, now: Instant, payload: &[u8], out: &mut [u8]) {
    match any() {
        0 => endpoint.start(u64::from(any()) << 32),
        1 => tell(endpoint.handle_connect(now).is_ok()),
        2 => endpoint.handle_disconnect(now),
        3 => tell(endpoint.handle_input(now, payload) as u32),
        4 => endpoint.handle_timeout(now),
        5 => tell(endpoint.publish(route(), payload).is_ok()),
        6 => tell(endpoint.publish_message(route(), &Sample::any()).is_ok()),
        7 => {
            let room = out.get_mut(..any() as usize).unwrap_or_default();
            let frame = endpoint.poll_transmit(now, room).unwrap_or_default();
            frame.iter().for_each(|byte| tell(*byte));
        }
        8 => tell(endpoint.poll_timeout().map_or(0, Instant::as_micros)),
        9 => {
            let which = if coin() { Select::Any } else { Select::Only(route()) };
            let Some(message) = endpoint.poll_message(which) else { return };
            tell(message.decode::<Sample>().map_or(0, |message| message.sum()));
        }
        10 => tell(endpoint.poll_event().is_some()),
        11 => tell(endpoint.wants_transmit()),
        12 => tell(endpoint.is_established()),
        13 => tell(endpoint.has_audience(route())),
        14 => tell(endpoint.is_conflicting(route())),
        _ => tell(endpoint.payload_limit(route()).unwrap_or_default() as u32),
    }
}
