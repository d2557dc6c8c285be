//! Every method of the endpoint, with any argument.

use tieline::{
    Answer, CallId, CallOptions, Config, Endpoint, Framing, History, Incoming, Instant, IntentOptions,
    InterestOptions, Link, Outcome, Priority, PublishOptions, Quality, Rate, RequestId, RouteId, RouteName,
    Select, ServiceOptions, Storage,
};

use crate::any::{any, coin, maybe, span, tell};
#[cfg(not(feature = "typed"))]
use crate::plain::Sample;
#[cfg(feature = "typed")]
use crate::typed::Sample;

const TEXTS: [&str; 3] = ["small", "a name of more than sixteen characters", ""];

static NAMES: [RouteName; 4] = [name("one"), name("two"), name("three"), name("four").to_hashed()];

const fn name(path: &'static str) -> RouteName {
    match RouteName::new("Any", path) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

/// What the endpoint has handed out, to be handed in again at any time.
#[derive(Default)]
pub(crate) struct Known {
    routes: [Option<RouteId>; 2],
    call: Option<CallId>,
    request: Option<RequestId>,
}

impl Known {
    fn route(&self) -> Option<RouteId> {
        if coin() { self.routes[0] } else { self.routes[1] }
    }

    fn learn(&mut self, route: RouteId) {
        if coin() {
            self.routes[0] = Some(route);
        } else {
            self.routes[1] = Some(route);
        }
    }
}

fn route_name() -> &'static RouteName {
    let [first, ..] = &NAMES;
    NAMES.get(any() as usize).unwrap_or(first)
}

fn rate() -> Option<Rate> {
    maybe(Rate { per_second: any(), burst: any() as u16 })
}

fn size() -> Option<usize> {
    maybe(any() as usize)
}

fn publish_options() -> PublishOptions {
    PublishOptions { expires: maybe(span()) }
}

fn call_options() -> CallOptions {
    CallOptions { timeout: span(), room: any() as usize }
}

/// The world tells.
pub(crate) fn world<S: Storage>(endpoint: &mut Endpoint<S>, now: Instant, bytes: &[u8]) {
    match any() {
        0 => {
            let config = Config {
                name: TEXTS.get(any() as usize).copied().unwrap_or_default(),
                ping_interval: span(),
                silence: span(),
                resume_for: span(),
                adaptive: coin(),
            };
            endpoint.start(config, u64::from(any()) << 32 | u64::from(any()));
        }
        1 => {
            let framing = match any() {
                0 => Framing::Serial,
                1 => Framing::Stream,
                _ => Framing::Datagram,
            };
            let link = Link {
                framing,
                frame_max: any() as usize,
                lossless: coin(),
                ordered: coin(),
                bits_per_second: any(),
            };
            tell(link.line_time_us(any() as usize));
            tell(endpoint.handle_connect(now, link).is_ok());
        }
        2 => tell(endpoint.handle_input(now, bytes) as u32),
        3 => endpoint.handle_timeout(now),
        _ => endpoint.handle_disconnect(now),
    }
}

/// Declarations and withdrawals.
pub(crate) fn declare<S: Storage>(endpoint: &mut Endpoint<S>, known: &mut Known) {
    let ttl = maybe(span());
    let declared = match any() {
        0 => {
            let options = IntentOptions {
                quality: if coin() { Quality::Reliable } else { Quality::BestEffort },
                priority: match any() {
                    0 => Priority::Background,
                    1 => Priority::Normal,
                    2 => Priority::High,
                    _ => Priority::Urgent,
                },
                ttl,
                tickets: coin(),
                history: if coin() { History::All } else { History::Latest },
                rate: rate(),
            };
            endpoint.declare_intent(route_name(), options)
        }
        1 => endpoint.declare_interest(route_name(), InterestOptions { window: size(), ttl, rate: rate() }),
        2 => endpoint.declare_service(route_name(), ServiceOptions { room: size(), ttl }),
        order => {
            if let Some(route) = known.route() {
                match order {
                    3 => endpoint.withdraw_intent(route),
                    4 => endpoint.withdraw_interest(route),
                    _ => endpoint.withdraw_service(route),
                }
            }
            return;
        }
    };
    if let Ok(route) = declared {
        known.learn(route);
    }
}

/// Messages, requests and answers of ours.
pub(crate) fn send<S: Storage>(endpoint: &mut Endpoint<S>, known: &mut Known, now: Instant, payload: &[u8]) {
    let Some(route) = known.route() else { return };
    match any() {
        0 => tell(endpoint.publish(route, payload).is_ok()),
        1 => tell(endpoint.publish_with(now, route, payload, publish_options()).is_ok()),
        2 => tell(endpoint.publish_message(route, &Sample::any()).is_ok()),
        3 => tell(endpoint.publish_message_with(now, route, &Sample::any(), publish_options()).is_ok()),
        4 => known.call = endpoint.request(now, route_name(), payload, call_options()).ok(),
        5 => known.call = endpoint.request_message(now, route_name(), &Sample::any(), call_options()).ok(),
        6 => {
            if let Some(call) = known.call {
                endpoint.forget_call(call);
            }
        }
        7 => {
            if let Some(request) = known.request {
                tell(endpoint.respond(request, any(), payload).is_ok());
            }
        }
        8 => {
            if let Some(request) = known.request {
                tell(endpoint.respond_message(request, &Sample::any()).is_ok());
            }
        }
        _ => endpoint.close(any()),
    }
}

/// What the endpoint has for us.
pub(crate) fn take<S: Storage>(endpoint: &mut Endpoint<S>, known: &mut Known, now: Instant, out: &mut [u8]) {
    match any() {
        0 => tell(endpoint.poll_event().is_some()),
        1 => {
            let which = known.route().map_or(Select::Any, Select::Only);
            if let Some(route) = known.route()
                && let Some((message, peeked)) = endpoint.peek_message(route)
            {
                tell(message.decode::<Sample>().map_or(0, |message| message.sum()));
                tell(endpoint.take_peeked(peeked));
            }
            let Some(message) = endpoint.poll_message(which) else { return };
            let Incoming { route, request, .. } = message;
            tell(message.decode::<Sample>().map_or(0, |message| message.sum()));
            known.request = request;
            known.learn(route);
        }
        2 => {
            let which = known.call.map_or(Select::Any, Select::Only);
            match endpoint.poll_answer(which) {
                Some(Answer { outcome: Outcome::Ok(payload) | Outcome::Refused { payload, .. }, .. }) => {
                    payload.iter().for_each(|byte| tell(*byte));
                }
                answer => tell(answer.is_some()),
            }
        }
        3 => {
            let room = out.get_mut(..any() as usize).unwrap_or_default();
            let frame = endpoint.poll_transmit(now, room).unwrap_or_default();
            frame.iter().for_each(|byte| tell(*byte));
        }
        _ => tell(endpoint.poll_timeout().map_or(0, Instant::as_micros)),
    }
}

/// Questions.
pub(crate) fn ask<S: Storage>(endpoint: &Endpoint<S>, known: &Known) {
    tell(endpoint.wants_transmit());
    tell(endpoint.is_established());
    tell(endpoint.undelivered_total() as u32);
    tell(endpoint.unacknowledged() as u32);
    tell(endpoint.unsent_best_effort() as u32);
    tell(endpoint.transmit_max() as u32);
    tell(endpoint.storage().frame_len() as u32);
    if let Some(peer) = endpoint.peer() {
        peer.name.bytes().for_each(tell);
        tell(peer.boot);
    }
    tell(endpoint.rtt().samples);
    tell(endpoint.stats().bytes_in);
    if let Some(route) = known.route() {
        tell(endpoint.has_audience(route));
        tell(endpoint.is_conflicting(route));
        tell(endpoint.undelivered(route) as u32);
        tell(endpoint.payload_limit(route).unwrap_or_default() as u32);
        tell(endpoint.payload_limit_with(route, publish_options()).unwrap_or_default() as u32);
    }
}
