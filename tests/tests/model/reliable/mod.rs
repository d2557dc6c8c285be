//! A shipped [`Sender`] and [`Receiver`] with lines between them that lose, repeat and reorder, and links that go.
//!
//! The number of faults is not limited, only what is under way on the line at once. A frame carries, besides what the
//! wire has, which packet it really is: the machines never see that, the judge does.

mod calm;
mod runs;
mod space;

use std::sync::atomic::AtomicU32;

use stateright::{Model, Property};
use tieline::reliable::{Arrival, Receiver, Sender};

use calm::{Memo, arrives};

/// A kind of link.
#[derive(Debug, Clone, Copy)]
struct Link {
    window: u32,
    /// Bits of a number on the wire.
    mask: u32,
    ordered: bool,
    /// Frames are lost and repeated there; the other kind has no time-outs.
    lossy: bool,
}

impl Link {
    const fn serial(window: u32, mask: u32) -> Self {
        Self { window, mask, ordered: true, lossy: true }
    }

    const fn datagram(window: u32) -> Self {
        Self { window, mask: u32::MAX, ordered: false, lossy: true }
    }

    const fn stream(window: u32) -> Self {
        Self { window, mask: u32::MAX, ordered: true, lossy: false }
    }

    /// As the endpoint sets it.
    const fn reorder(&self) -> u32 {
        if self.ordered { 1 } else { 3 }
    }
}

/// A configuration.
struct Setup {
    /// The first is where it begins; a session may go on over any.
    links: &'static [Link],
    packets: usize,
    routes: u8,
    /// Route 0 is the control channel: what is not in turn is not stored.
    control: bool,
    /// Frames under way at once, data and acknowledgements.
    room: (usize, usize),
    /// Whether a link may be cut: the session goes on over another.
    cuts: bool,
    /// A ping makes an acknowledgement due at any time.
    pings: bool,
    /// Only the oldest of a route is repeated, as the endpoint does it; else any.
    oldest_first: bool,
    /// The number at which it begins.
    first: u32,
    /// Packets on the line when the exploration begins; their routes in each case.
    burst: usize,
    burst_routes: &'static [fn(usize) -> u8],
    /// Where much is under way: what can be sent is sent, then what is on the line arrives or is lost, then an
    /// acknowledgement, then a time-out. Only faults are chosen.
    patient: bool,
    /// How many losses there are; None: any number.
    losses: Option<u8>,
    memo: Memo,
    /// Most steps of a faultless run to the end.
    longest: AtomicU32,
}

impl Setup {
    fn new(links: &'static [Link], packets: usize) -> Self {
        Self {
            links,
            packets,
            routes: 2,
            control: false,
            room: (3, 2),
            cuts: false,
            pings: true,
            oldest_first: false,
            first: 0,
            burst: 0,
            burst_routes: &[|_| 0],
            patient: false,
            losses: None,
            memo: Memo::default(),
            longest: AtomicU32::new(0),
        }
    }
}

/// A packet, as its sender keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sent {
    route: u8,
    distance: u32,
}

/// A packet on the line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Frame {
    number: u32,
    distance: u32,
    /// Which packet it really is.
    id: usize,
}

/// How far a packet has come at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Missing,
    Stored,
    HandedOn,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    sender: Sender,
    receiver: Receiver,
    link: usize,
    /// Whether they go on already over the link: a frame for one that does not is dropped.
    sender_up: bool,
    receiver_up: bool,
    /// `next` of the receiver's HELLO.
    said: u16,
    sent: Vec<Sent>,
    stages: Vec<Stage>,
    data: Vec<Frame>,
    acks: Vec<(u32, u32)>,
    /// How many losses may still be; None: any number.
    losses: Option<u8>,
    /// A promise that was broken on the way here.
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Send {
        route: u8,
        lost: bool,
    },
    Repeat {
        offset: u32,
        lost: bool,
    },
    Ack {
        lost: bool,
    },
    /// The next frame is lost on the line.
    Lose,
    /// A frame arrives; `again`: and stays, to arrive once more.
    Data {
        at: usize,
        again: bool,
    },
    Acked {
        at: usize,
        again: bool,
    },
    Timeout,
    Ping,
    Cut {
        link: usize,
    },
    ResumeSender,
    ResumeReceiver,
}

impl Setup {
    fn link(&self, state: &State) -> Link {
        self.links[state.link]
    }

    fn id(&self, seq: u32) -> usize {
        seq.wrapping_sub(self.first) as usize
    }

    /// How far back the route's previous packet is, reckoned as the endpoint does.
    fn distance(&self, state: &State, route: u8) -> u32 {
        let seq = state.sender.next();
        let last = state.sent.iter().rposition(|sent| sent.route == route);
        last.map(|last| seq.wrapping_sub(self.first + last as u32))
            .filter(|distance| *distance <= seq.wrapping_sub(state.sender.acked()))
            .unwrap_or(0)
    }

    /// What may be repeated now.
    fn repeatable(&self, state: &State) -> Vec<u32> {
        let all = state.sender.lost().chain(state.sender.behind());
        let mut seen = [false; 2];
        let route = |offset: u32| state.sent[self.id(state.sender.acked()) + offset as usize].route;
        all.filter(|offset| {
            !self.oldest_first || !std::mem::replace(&mut seen[usize::from(route(*offset))], true)
        })
        .collect()
    }

    fn put_data(&self, state: &mut State, seq: u32) {
        let id = self.id(seq);
        let frame = Frame { number: seq & self.link(state).mask, distance: state.sent[id].distance, id };
        state.data.push(frame);
        if !self.link(state).ordered {
            state.data.sort();
        }
    }

    fn put_ack(&self, state: &mut State) {
        state.acks.push((state.receiver.expected() & self.link(state).mask, state.receiver.selective()));
        if !self.link(state).ordered {
            state.acks.sort_unstable();
        }
    }

    fn send(&self, state: &mut State, route: u8) -> u32 {
        let distance = self.distance(state, route);
        state.sent.push(Sent { route, distance });
        state.sender.send()
    }

    /// A packet reaches the receiver; the application takes what is in turn.
    fn on_data(&self, state: &mut State, frame: &Frame) -> Result<(), &'static str> {
        let Arrival::New { seq, in_turn } = state.receiver.on_packet(frame.number, frame.distance) else {
            return Ok(());
        };
        if self.id(seq) != frame.id {
            return Err("taken for another packet");
        }
        if self.control && state.sent[frame.id].route == 0 && !in_turn {
            return Ok(());
        }
        if state.stages[frame.id] != Stage::Missing {
            return Err("stored twice");
        }
        state.stages[frame.id] = Stage::Stored;
        let others = state.receiver.store(seq, frame.distance);
        if state.receiver.is_in_turn(seq) != in_turn {
            return Err("in turn or not, two answers");
        }
        for id in 0..state.sent.len() {
            let wanted = state.stages[id] == Stage::Stored;
            if wanted && state.receiver.is_in_turn(self.first.wrapping_add(id as u32)) {
                let route = state.sent[id].route;
                let gap = (0..id).any(|earlier| {
                    state.sent[earlier].route == route && state.stages[earlier] != Stage::HandedOn
                });
                if gap {
                    return Err("handed on before its turn");
                }
                if id != frame.id && !others {
                    return Err("a turn that was not announced");
                }
                state.stages[id] = Stage::HandedOn;
            }
        }
        Ok(())
    }

    /// What must be so in every state.
    fn judge(&self, state: &State) -> Result<(), &'static str> {
        let (sender, receiver) = (&state.sender, &state.receiver);
        let (acked, next, expected) =
            (self.id(sender.acked()), self.id(sender.next()), self.id(receiver.expected()));
        if next != state.sent.len() || acked > next {
            return Err("numbers of the sender");
        }
        if sender.in_flight() > self.links.iter().map(|link| link.window).max().unwrap_or(0) {
            return Err("more than the window under way");
        }
        if sender.lost().chain(sender.behind()).any(|offset| offset >= sender.in_flight()) {
            return Err("a repetition of what was not sent");
        }
        if acked > expected || expected > next {
            return Err("acknowledged and not stored");
        }
        for (id, stage) in state.stages.iter().enumerate() {
            let ahead = id.wrapping_sub(expected + 1);
            let told = id < expected || ahead < 32 && receiver.selective() >> ahead & 1 == 1;
            if told != (*stage != Stage::Missing) {
                return Err("an acknowledgement that is not true");
            }
            if id < expected && *stage != Stage::HandedOn {
                return Err("kept back without a gap");
            }
        }
        Ok(())
    }

    fn is_done(&self, state: &State) -> bool {
        state.sent.len() == self.packets
            && state.sender.in_flight() == 0
            && state.stages.iter().all(|stage| *stage == Stage::HandedOn)
    }

    fn step(&self, state: &mut State, action: &Action) -> Result<(), &'static str> {
        if matches!(
            action,
            Action::Lose
                | Action::Send { lost: true, .. }
                | Action::Repeat { lost: true, .. }
                | Action::Ack { lost: true }
        ) {
            state.losses = state.losses.map(|left| left - 1);
        }
        match *action {
            Action::Send { route, lost } => {
                let seq = self.send(state, route);
                if !lost {
                    self.put_data(state, seq);
                }
            }
            Action::Repeat { offset, lost } => {
                let seq = state.sender.repeat(offset);
                if !lost {
                    self.put_data(state, seq);
                }
            }
            Action::Ack { lost } => {
                if !lost {
                    self.put_ack(state);
                }
                state.receiver.acknowledged();
            }
            Action::Lose => _ = state.data.remove(0),
            Action::Data { at, again } => {
                let frame = state.data[at].clone();
                if !again {
                    state.data.remove(at);
                }
                if state.receiver_up {
                    self.on_data(state, &frame)?;
                }
            }
            Action::Acked { at, again } => {
                let (next, selective) = state.acks[at];
                if !again {
                    state.acks.remove(at);
                }
                if state.sender_up {
                    state.sender.on_ack(next, selective);
                }
            }
            Action::Timeout => state.sender.on_timeout(),
            Action::Ping => state.receiver.want_ack(),
            Action::Cut { link } => {
                // What is late on a datagram link may be late enough for the next one; a line takes its frames with it.
                if self.link(state).ordered || self.links[link].ordered {
                    state.data.clear();
                    state.acks.clear();
                }
                (state.sender_up, state.receiver_up) = (false, false);
                state.said = state.receiver.expected() as u16;
                state.link = link;
            }
            Action::ResumeSender => {
                let link = self.link(state);
                state.sender_up = true;
                state.sender.resume(link.window, link.mask, link.reorder(), state.said);
            }
            Action::ResumeReceiver => {
                state.receiver_up = true;
                state.receiver.resume(self.link(state).mask);
            }
        }
        self.judge(state)
    }

    fn after(&self, state: &State, action: &Action) -> State {
        let mut next = state.clone();
        if let Err(promise) = self.step(&mut next, action) {
            next.broken = Some(promise);
        }
        next
    }
}

impl Model for Setup {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.beginnings()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.after(state, &action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |_, state: &State| state.broken.is_none()),
            Property::always("a faultless run ends with all delivered", arrives),
            Property::sometimes("all is delivered", |setup: &Self, state: &State| setup.is_done(state)),
        ]
    }
}

const SAFE: &str = "once, complete, in order";
