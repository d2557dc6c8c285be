//! All calls in any order, with any arguments, times and memory: no panic, bounded work; and what the application was
//! promised holds all the same: each ticket ends once, messages come in order, once, and on their own route.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tieline::{
    CallOptions, Config, Endpoint, Event, Instant, IntentOptions, InterestOptions, Link, Quality, RequestId,
    RouteId, Select, ServiceOptions, Ticket,
};
use tieline_tests::chaos::{NAMES, mangled, some_u32};
use tieline_tests::names::ADD;
use tieline_tests::{A, B, Feed, LineConfig, Memory, Rng, Serving, Setup, Sizes, for_seeds};

/// Events that are told at once at the most: two for each place, and its tickets.
const EVENTS_MAX: usize = 20_000;
/// Frames that are sent at one moment, when nothing comes in: what the windows allow, and then some.
const FRAMES_MAX: usize = 3_000;

/// An endpoint, and what its application must remember to hold it to its word.
struct Poked {
    endpoint: Endpoint<Memory>,
    out: Vec<u8>,
    now: u64,
    link: Link,
    ids: Vec<(usize, RouteId)>,
    calls: Vec<tieline::CallId>,
    requests: Vec<RequestId>,
    open: HashSet<Ticket>,
    /// Number of the next message, and of the newest that was read on each route.
    next: u32,
    read: HashMap<usize, u32>,
}

impl Poked {
    fn new(sizes: Sizes, link: Link, boot: u64) -> Self {
        let mut endpoint = Endpoint::new(Memory::new(sizes));
        endpoint.start(Config::new("poked"), boot);
        Self {
            out: vec![0; endpoint.transmit_max()],
            endpoint,
            now: 0,
            link,
            ids: Vec::new(),
            calls: Vec::new(),
            requests: Vec::new(),
            open: HashSet::new(),
            next: 0,
            read: HashMap::new(),
        }
    }

    fn at(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn input(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.endpoint.handle_input(self.at(), rest);
            assert!(taken > 0 && taken <= rest.len());
            rest = &rest[taken..];
        }
        assert_eq!(self.endpoint.handle_input(self.at(), &[]), 0);
    }

    /// All frames that it wants to send now.
    fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.endpoint.poll_transmit(Instant::from_micros(self.now), &mut self.out) {
            frames.push(frame.to_vec());
            assert!(frames.len() < FRAMES_MAX, "frames without end");
        }
        frames
    }

    fn events(&mut self) {
        for count in 0.. {
            assert!(count < EVENTS_MAX, "events without end");
            match self.endpoint.poll_event() {
                None => return,
                Some(Event::Delivered(ticket) | Event::Failed(ticket, _)) => {
                    assert!(self.open.remove(&ticket), "{ticket:?} ends a second time");
                }
                Some(_) => {}
            }
        }
    }

    fn messages(&mut self, which: Select<RouteId>) {
        while let Some(message) = self.endpoint.poll_message(which) {
            if let Some(request) = message.request {
                self.requests.push(request);
                continue;
            }
            // A forged or damaged message cannot be told from a real one by its bytes: none gets this far.
            let [route, number @ ..] = message.payload else { panic!("an empty message") };
            let number = u32::from_le_bytes(number[..4].try_into().expect("4 bytes"));
            let route = usize::from(*route);
            let known = self.ids.iter().rev().find(|(_, id)| *id == message.route);
            assert_eq!(known.map(|(name, _)| *name), Some(route), "a message of another route");
            let before = self.read.insert(route, number);
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
        }
    }

    fn publish(&mut self, rng: &mut Rng) {
        let Some((name, id)) = self.ids.get(rng.index(self.ids.len())).copied() else { return };
        let mut payload = vec![name as u8];
        payload.extend(self.next.to_le_bytes());
        let most = if rng.chance(0.1) { 400 } else { 40 };
        payload.resize(payload.len() + rng.index(most), 7);
        self.next += 1;
        if let Ok(Some(ticket)) = self.endpoint.publish(id, &payload) {
            assert!(self.open.insert(ticket), "{ticket:?} is given out twice");
        }
    }

    fn declare(&mut self, rng: &mut Rng) {
        // Few names, so that the two sides mean the same ones; the fourth is most often a service.
        let at = if rng.chance(0.05) { rng.index(NAMES.len()) } else { rng.index(4) };
        let name = NAMES[at];
        let service = rng.chance(if at == 3 { 0.8 } else { 0.05 });
        let ttl = rng.chance(0.2).then(|| Duration::from_micros(rng.below(2_000_000)));
        let size = rng.chance(0.5).then(|| rng.index(300));
        // Order is promised for messages of one quality: a route keeps its own. Whoever gives up reading tickets does
        // not hear of the open ones: not of interest here either.
        let quality = if at % 3 == 2 { Quality::BestEffort } else { Quality::Reliable };
        let options = IntentOptions { quality, ttl, tickets: true, ..IntentOptions::default() };
        let id = match rng.below(2) {
            _ if service => self.endpoint.declare_service(name, ServiceOptions { room: size, ttl }),
            0 => self.endpoint.declare_intent(name, options),
            _ => self.endpoint.declare_interest(name, InterestOptions { window: size, ttl, rate: None }),
        };
        self.ids.extend(id.map(|id| (at, id)));
    }

    /// Does something that an application may do.
    fn act(&mut self, rng: &mut Rng) {
        let at = self.at();
        let id = self.ids.get(rng.index(self.ids.len())).map(|(_, id)| *id);
        match rng.below(16) {
            0..3 => self.declare(rng),
            3 => {
                if let Some(id) = id {
                    match rng.below(3) {
                        0 => self.endpoint.withdraw_intent(id),
                        1 => self.endpoint.withdraw_interest(id),
                        _ => self.endpoint.withdraw_service(id),
                    }
                }
            }
            4..9 => self.publish(rng),
            9 => {
                let len = rng.index(300);
                let timeout = Duration::from_millis(rng.below(3_000));
                let room = if rng.chance(0.1) { usize::MAX } else { rng.index(200) };
                let name = if rng.chance(0.8) { NAMES[3] } else { NAMES[rng.index(NAMES.len())] };
                self.calls.extend(self.endpoint.request(
                    at,
                    name,
                    &rng.bytes(len),
                    CallOptions { timeout, room },
                ));
            }
            10 => {
                if let Some(call) = self.calls.get(rng.index(self.calls.len())) {
                    self.endpoint.forget_call(*call);
                }
            }
            11 => {
                let len = rng.index(100);
                if let Some(request) = self.requests.get(rng.index(self.requests.len())) {
                    let _ = self.endpoint.respond(*request, some_u32(rng), &rng.bytes(len));
                }
            }
            12 => self.events(),
            13 => self.messages(id.filter(|_| rng.chance(0.5)).map_or(Select::Any, Select::Only)),
            14 => while self.endpoint.poll_answer(Select::Any).is_some() {},
            _ => {
                let len = rng.index(self.out.len());
                let _ = self.endpoint.poll_transmit(at, &mut self.out[..len]);
            }
        }
        let endpoint = &self.endpoint;
        let _ = (endpoint.poll_timeout(), endpoint.stats(), endpoint.rtt(), endpoint.peer());
        let _ = (endpoint.undelivered_total(), endpoint.unsent_best_effort(), endpoint.wants_transmit());
        if let Some(id) = id {
            let _ = (endpoint.payload_limit(id), endpoint.undelivered(id), endpoint.is_conflicting(id));
        }
    }

    /// Does something that happens to an endpoint.
    fn suffer(&mut self, rng: &mut Rng) {
        let at = self.at();
        match rng.below(8) {
            0 => drop(self.endpoint.handle_connect(at, self.link)),
            1 => self.endpoint.handle_disconnect(at),
            2 => self.endpoint.close(some_u32(rng)),
            3 => {
                self.endpoint.start(Config::new("a name that is longer than may be"), rng.next());
                self.open.clear();
                self.ids.clear();
                self.read.clear();
                let _ = self.endpoint.handle_connect(at, self.link);
            }
            // Time that goes back.
            4 => self.endpoint.handle_timeout(Instant::from_micros(self.now / 2)),
            _ => self.endpoint.handle_timeout(at),
        }
    }
}

fn some_sizes(rng: &mut Rng) -> Sizes {
    match rng.below(4) {
        0 => Sizes::SMALLEST,
        1 => Sizes::BOARD,
        2 => Sizes::PC,
        _ => Sizes {
            frame: rng.between(80, 300) as usize,
            rx: rng.index(600),
            tx: rng.index(600),
            routes: rng.index(8),
            requests: rng.index(5),
        },
    }
}

#[test]
fn two_endpoints_keep_their_word_whatever_is_called() {
    for_seeds(400, |_, mut rng| {
        let link = if rng.chance(0.8) { Link::serial(115_200) } else { Link::stream() };
        let boots = (rng.next(), rng.next());
        let mut sides = [
            Poked::new(some_sizes(&mut rng), link, boots.0),
            Poked::new(some_sizes(&mut rng), link, boots.1),
        ];
        let mut wires: [VecDeque<Vec<u8>>; 2] = Default::default();
        let loss = if link.lossless { 0.0 } else { [0.0, 0.02, 0.2][rng.index(3)] };
        for side in &mut sides {
            (0..10).for_each(|_| side.declare(&mut rng));
            side.endpoint.handle_connect(Instant::ZERO, link).expect("frames of 80 bytes at least");
        }
        for _ in 0..1_000 {
            let who = rng.index(2);
            let side = &mut sides[who];
            match rng.below(60) {
                0..14 => side.act(&mut rng),
                14 if rng.chance(0.15) => {
                    side.suffer(&mut rng);
                    if link.lossless {
                        // Another stream: nothing of the old one is left, and both sides know.
                        wires.iter_mut().for_each(VecDeque::clear);
                        for side in &mut sides {
                            let at = side.at();
                            side.endpoint.handle_disconnect(at);
                            side.endpoint.handle_connect(at, link).expect("as before");
                        }
                    }
                }
                15..20 => {
                    side.now += [rng.below(2_000), rng.below(30_000), rng.below(400_000)][rng.index(3)];
                    let at = side.at();
                    if side.endpoint.poll_timeout().is_some_and(|deadline| deadline <= at) {
                        side.endpoint.handle_timeout(at);
                        let next = side.endpoint.poll_timeout();
                        assert!(next.is_none_or(|next| next > at), "a deadline is not met");
                    }
                }
                20..36 => {
                    let frames = side.frames();
                    wires[who].extend(frames);
                }
                _ => {
                    if let Some(frame) = wires[1 - who].pop_front().filter(|_| !rng.chance(loss)) {
                        let frame = if rng.chance(loss / 2.0) { mangled(&frame, &mut rng) } else { frame };
                        side.input(&frame);
                    }
                }
            }
        }
        // Both are left alone on a clean line: every ticket ends.
        wires.iter_mut().for_each(VecDeque::clear);
        for side in &mut sides {
            let at = side.at();
            side.endpoint.handle_connect(at, link).expect("as before");
        }
        let mut established = false;
        for _ in 0..4_000 {
            for who in 0..2 {
                sides[who].now += 5_000;
                let at = sides[who].at();
                if sides[who].endpoint.poll_timeout().is_some_and(|deadline| deadline <= at) {
                    sides[who].endpoint.handle_timeout(at);
                }
                let frames = sides[who].frames();
                wires[who].extend(frames);
                while let Some(frame) = wires[who].pop_front() {
                    sides[1 - who].input(&frame);
                }
                sides[who].events();
                sides[who].messages(Select::Any);
                while sides[who].endpoint.poll_answer(Select::Any).is_some() {}
            }
            let both = sides.iter().all(|side| side.endpoint.is_established());
            established |= both;
            if both && sides.iter().all(|side| side.open.is_empty()) {
                return;
            }
        }
        assert!(established, "no session on a clean line");
        let open = sides.each_ref().map(|side| side.open.len());
        assert_eq!(open, [0, 0], "tickets have no end");
    });
}

/// Frames of a session as they were sent, of all kinds.
fn recorded() -> Vec<Vec<u8>> {
    let mut sim = Setup::new(1).line(LineConfig { frame_loss: 0.1, ..LineConfig::clean(115_200) }).build();
    sim.record();
    let intent = sim[A].intent(NAMES[0], IntentOptions::reliable());
    sim[B].interest(NAMES[0], InterestOptions::default());
    sim[B].service(&ADD, Serving::Echo);
    sim.establish();
    sim[A].feed(Feed::new(intent, 50, (5, 40)));
    for _ in 0..10 {
        let _ = sim.request(A, &ADD, b"what?", CallOptions::default());
        sim.run(200);
    }
    sim.restart(B);
    sim.run(500);
    sim[B].endpoint.close(3);
    sim.run(500);
    sim.lines.iter().flat_map(|line| &line.sent).map(|sent| sent.bytes.clone()).collect()
}

#[test]
fn one_endpoint_takes_any_calls_in_any_state_with_any_memory() {
    let wire = recorded();
    for_seeds(400, |_, mut rng| {
        let sizes = if rng.chance(0.5) {
            some_sizes(&mut rng)
        } else {
            // Also far too small for anything.
            Sizes {
                frame: rng.index(100),
                rx: rng.index(100),
                tx: rng.index(100),
                routes: rng.index(3),
                requests: rng.index(2),
            }
        };
        let mut link = if rng.chance(0.8) { Link::serial(some_u32(&mut rng)) } else { Link::stream() };
        if rng.chance(0.3) {
            link.frame_max = rng.index(300);
        }
        let mut side = Poked::new(sizes, link, rng.below(4));
        if rng.chance(0.2) {
            side.endpoint = Endpoint::new(Memory::new(sizes));
        }
        for _ in 0..300 {
            side.now = match rng.below(4) {
                0 => side.now.saturating_sub(rng.below(1_000_000)),
                1 => side.now + rng.below(2_000_000),
                _ => side.now,
            };
            match rng.below(8) {
                0..3 => side.act(&mut rng),
                3 => side.suffer(&mut rng),
                4 => drop(side.frames()),
                5 => {
                    let len = rng.index(200);
                    side.input(&rng.bytes(len));
                }
                6 => side.input(&wire[rng.index(wire.len())]),
                _ => side.input(&mangled(&wire[rng.index(wire.len())], &mut rng)),
            }
        }
    });
}
