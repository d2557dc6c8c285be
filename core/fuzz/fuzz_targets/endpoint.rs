//! Calls in any order with any bytes into one endpoint that may be in a real session; frames with a correct check carry
//! any packets at all. No panic, progress, and what it says of itself stays consistent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tieline::framing::{Framing, Sealer, seed};
use tieline::packet::{Hello, HelloBody, HelloHead, Mode, Packet, SeqWidth};
use tieline::wire::{Reader, Writer};
use tieline::{
    CallOptions, Config, Endpoint, History, Inline, Instant, IntentOptions, InterestOptions, Link,
    PublishOptions, Rate, RouteId, RouteName, Select, ServiceOptions,
};

type Small = Endpoint<Inline<128, 256, 256, 4>>;

static ROUTES: [RouteName; 6] =
    [name("A", "a"), name("B", "b"), name("C", "c"), name("D", "d.d"), name("E", "e"), name("X", "a")];
const THEIR_NONCE: u64 = 0xBEEF_0001;

const fn name(ty: &'static str, path: &'static str) -> RouteName {
    match RouteName::new(ty, path) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

/// The other side: forges frames that pass the check.
struct Peer {
    framing: Framing,
    /// Our endpoint's nonce, from its HELLO, and the session that it would go on with.
    nonce: u64,
    resume: Mode,
    /// Of the next datagram.
    number: u32,
}

impl Peer {
    fn frame(&mut self, packets: &[u8], start: u32) -> Vec<u8> {
        self.number = self.number.wrapping_add(1);
        let sealer = Sealer { framing: self.framing, number: self.number };
        let mut out = [0; 300];
        let len = packets.len().min(120);
        sealer.area(&mut out, 128).unwrap()[..len].copy_from_slice(&packets[..len]);
        sealer.seal(&mut out, 128, len, start, true).map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// `resume`: go on with the session that our endpoint speaks of; `capabilities`: which we have.
    fn hello(&mut self, echo: u64, done: bool, resume: bool, capabilities: u32) -> Vec<u8> {
        let head = HelloHead { major: 1, minor: 0, done, nonce: THEIR_NONCE, echo };
        let body = HelloBody {
            name: Default::default(),
            mode: if resume { self.resume } else { Mode::Fresh },
            capabilities,
            frame_max: 128,
            message_max: 100,
            requests: 2,
            ping_ms: 1000,
            silence_ms: 3000,
            resume_s: 10,
            clock: 1,
        };
        let mut out = [0; 128];
        let mut w = Writer::new(&mut out);
        Packet::Hello(Hello { head, body: Some(body) }).emit(&mut w, SeqWidth::One, true).unwrap();
        self.frame(w.written(), u32::MAX)
    }
}

fn input(endpoint: &mut Small, now: Instant, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = endpoint.handle_input(now, bytes);
        assert!(taken > 0 && taken <= bytes.len());
        bytes = &bytes[taken..];
    }
}

/// Sends what is to be sent; learns the endpoint's nonce from its HELLO.
fn transmit(endpoint: &mut Small, now: Instant, peer: &mut Peer) {
    let mut out = [0; Inline::<128, 256, 256, 4>::TRANSMIT_MAX];
    for _ in 0..100 {
        let Some(frame) = endpoint.poll_transmit(now, &mut out) else { return };
        // Read it as a peer without a session would: only HELLO gets through.
        let mut buffer = [0; 128];
        let mut deframer = tieline::framing::Deframer::new();
        deframer.reset(peer.framing);
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let (taken, found) = deframer.push(rest, &mut buffer, None);
            if let tieline::framing::Deframed::Packets(packets) = found
                && let Ok(Packet::Hello(hello)) = Packet::parse(&mut Reader::new(packets), SeqWidth::One)
            {
                peer.nonce = hello.head.nonce;
                peer.resume = hello.body.map_or(Mode::Fresh, |body| body.mode);
            }
            rest = &rest[taken..];
        }
    }
    panic!("an endpoint that is told nothing keeps sending");
}

fn intent(options: IntentOptions, arg: u8) -> IntentOptions {
    let history = if arg & 0x40 == 0 { History::All } else { History::Latest };
    let rate = (arg & 0x80 != 0).then_some(Rate { per_second: 1000, burst: 2 });
    IntentOptions { history, rate, ..options }
}

fuzz_target!(|data: &[u8]| {
    let mut r = Reader::new(data);
    let (framing, link) = match r.u8().unwrap_or(0) % 4 {
        0 => (Framing::Stream, Link::stream()),
        1 => (Framing::Datagram, Link::datagram(128)),
        _ => (Framing::Serial, Link::serial(115_200)),
    };
    let mut peer = Peer { framing, nonce: 0, resume: Mode::Fresh, number: 0 };
    let mut endpoint = Small::new(Inline::new());
    endpoint.start(Config::new("fuzz"), 1);
    let mut now = Instant::ZERO;
    let mut ids: Vec<RouteId> = Vec::new();
    let mut requests = Vec::new();
    let mut calls = Vec::new();
    while let Some(op) = r.u8() {
        let arg = r.u8().unwrap_or(0);
        let id = ids.get(usize::from(arg) % ids.len().max(1)).copied();
        let route = &ROUTES[usize::from(arg) % ROUTES.len()];
        let payload = &[0x5A; 255][..usize::from(arg)];
        match op % 24 {
            0 => _ = endpoint.handle_connect(now, link),
            1 => endpoint.handle_disconnect(now),
            2 => now = Instant::from_micros(now.as_micros() + (u64::from(arg) << (op / 24))),
            3 => endpoint.handle_timeout(now),
            4 => input(&mut endpoint, now, r.take(usize::from(arg)).unwrap_or_default()),
            5 | 6 => {
                let packets = r.take(usize::from(arg) % 125).unwrap_or_default().to_vec();
                let frame = peer.frame(&packets, seed(THEIR_NONCE, peer.nonce));
                input(&mut endpoint, now, &frame);
            }
            7 => {
                let echo = if arg & 1 == 0 { 0 } else { peer.nonce };
                let capabilities = if arg & 8 == 0 { 0xFF } else { u32::from(arg >> 4) };
                let hello = peer.hello(echo, arg & 2 != 0, arg & 4 != 0, capabilities);
                input(&mut endpoint, now, &hello);
            }
            8 => {
                // A whole handshake.
                transmit(&mut endpoint, now, &mut peer);
                let hello = peer.hello(peer.nonce, true, arg & 1 != 0, 0xFF);
                input(&mut endpoint, now, &hello);
            }
            9 => ids.extend(endpoint.declare_intent(route, intent(IntentOptions::reliable(), arg))),
            10 => ids.extend(endpoint.declare_intent(route, intent(IntentOptions::best_effort(), arg))),
            11 => {
                let rate = (arg & 0x80 != 0).then_some(Rate { per_second: 1000, burst: 2 });
                ids.extend(endpoint.declare_interest(route, InterestOptions { rate, ..Default::default() }));
            }
            12 => ids.extend(endpoint.declare_service(route, ServiceOptions::default())),
            13 => id.into_iter().for_each(|id| endpoint.withdraw_intent(id)),
            14 => id.into_iter().for_each(|id| endpoint.withdraw_interest(id)),
            15 => id.into_iter().for_each(|id| endpoint.withdraw_service(id)),
            16 if op & 32 == 0 => _ = id.map(|id| endpoint.publish(id, payload)),
            16 => {
                let expires = Some(std::time::Duration::from_millis(arg.into()));
                _ = id.map(|id| endpoint.publish_with(now, id, payload, PublishOptions { expires }));
            }
            17 => calls.extend(endpoint.request(
                now,
                route,
                payload,
                CallOptions { room: arg.into(), ..Default::default() },
            )),
            18 => _ = requests.pop().map(|request| endpoint.respond(request, arg.into(), payload)),
            19 => _ = calls.pop().map(|call| endpoint.forget_call(call)),
            20 => endpoint.close(arg.into()),
            21 => transmit(&mut endpoint, now, &mut peer),
            22 => requests.extend(endpoint.poll_message(Select::Any).and_then(|message| message.request)),
            _ => {
                _ = endpoint.poll_event();
                _ = endpoint.poll_answer(Select::Any);
            }
        }
        _ = (endpoint.stats(), endpoint.rtt(), endpoint.poll_timeout(), endpoint.wants_transmit());
        ids.truncate(64);
    }
    // Whatever happened: events end, messages end, and time heals.
    let mut events = 0;
    while endpoint.poll_event().is_some() {
        events += 1;
        assert!(events < 100_000, "events do not end");
    }
    while endpoint.poll_message(Select::Any).is_some() {}
    transmit(&mut endpoint, now, &mut peer);
});
