//! Two shipped [`Handshake`]s on the worst of lines: whatever was ever said to a side may reach it, at any time, in any
//! order, any number of times, or never. That is loss, repetition, reordering and every replay at once; and both sides
//! may hear themselves and a stranger, too.
//!
//! What is limited is how often a side begins anew, starts anew, rests and opens a challenge. Each state is judged, and
//! from each the faultless run is made: it must end in one session of both.

mod calm;
mod runs;

use std::sync::atomic::AtomicU32;

use stateright::{Model, Property};
use tieline::handshake::{Handshake, Outcome, State as Stand};
use tieline::limits::{VERSION_MAJOR, VERSION_MINOR};
use tieline::packet::HelloHead;

use calm::{Memo, settles};

/// Bits of a nonce that count handshakes.
const COUNTER_BITS: u32 = 16;
/// The nonce of someone who asks and never answers.
const STRANGER: u64 = 0xC_0001;
/// The boot part of each side's first start; it counts up.
const BOOTS: [u64; 2] = [0xA0, 0xB0];

/// How often things may happen, per side.
struct Setup {
    begins: [u8; 2],
    restarts: [u8; 2],
    rests: [u8; 2],
    challenges: [u8; 2],
    /// Retries of one challenge.
    retries: u8,
    /// Whether each side hears what it says itself.
    echo: bool,
    stranger: bool,
    /// Whether the link can be gone for a while.
    gone: bool,
    /// A side that starts anew takes its old boot part again: what must not be.
    same_boot: bool,
    memo: Memo,
    /// Most rounds of timers in a faultless run, and how often only silence helped.
    longest: AtomicU32,
    silences: AtomicU32,
}

/// What of a HELLO counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Hello {
    nonce: u64,
    echo: u64,
    done: bool,
}

impl Hello {
    const fn head(self) -> HelloHead {
        let Self { nonce, echo, done } = self;
        HelloHead { major: VERSION_MAJOR, minor: VERSION_MINOR, done, nonce, echo }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Side {
    machine: Handshake,
    begins: u8,
    restarts: u8,
    rests: u8,
    challenges: u8,
    /// Of the challenge that is open.
    retries: u8,
    /// The nonces of its sessions, ours and the peer's: every frame that it has sent is marked with one of these.
    sessions: Vec<(u64, u64)>,
}

impl Side {
    fn in_session(&self) -> bool {
        self.machine.state() == Stand::Session
    }

    /// As the endpoint starts.
    fn start(&mut self, setup: &Setup, who: usize) {
        let boots = if setup.same_boot { 0 } else { u64::from(self.restarts) };
        self.machine.start(BOOTS[who] + boots);
    }

    fn greet(&mut self) {
        self.machine.greet(false);
        self.retries = 0;
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    sides: [Side; 2],
    /// Everything that may reach each side.
    line: [Vec<Hello>; 2],
    /// A promise that was broken on the way here.
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    /// A link comes, or another in its place, or there was silence.
    Begin(usize),
    /// The link goes.
    Stop(usize),
    /// The session is closed by this side, or a CLOSE reached it.
    Rest(usize),
    /// The program starts anew.
    Restart(usize),
    Say(usize),
    Hear(usize, Hello),
    Retry(usize),
    ChallengeEnds(usize),
}

/// Whether both sides are in one session.
fn together(sides: [&Handshake; 2]) -> bool {
    let [a, b] = sides.map(Handshake::nonces);
    sides.iter().all(|side| side.state() == Stand::Session) && a == (b.1, b.0)
}

impl State {
    fn machines(&self) -> [&Handshake; 2] {
        [&self.sides[0].machine, &self.sides[1].machine]
    }

    fn put(&mut self, to: usize, hello: Hello) {
        let line = &mut self.line[to];
        if let Err(place) = line.binary_search(&hello) {
            line.insert(place, hello);
        }
    }

    /// A HELLO reaches a side.
    fn hear(&mut self, who: usize, hello: Hello) -> Result<(), &'static str> {
        let before = self.sides[who].machine.nonces();
        let was_challenging = self.sides[who].machine.is_challenging();
        let outcome = self.sides[who].machine.on_hello(&hello.head());
        let side = &mut self.sides[who];
        if side.machine.is_challenging() && !was_challenging {
            side.challenges += 1;
            side.retries = 0;
        }
        let after = side.machine.nonces();
        match outcome {
            Outcome::Nothing | Outcome::Loopback => return Ok(()),
            Outcome::VersionMismatch { .. } => return Err("a version that nobody speaks"),
            Outcome::Established => {}
            Outcome::Replaced { restarted } => {
                let boot = |nonce: u64| nonce >> COUNTER_BITS;
                if restarted != (boot(before.1) != boot(after.1)) {
                    return Err("restarted or not");
                }
                let peer = &self.sides[1 - who];
                if peer.in_session() && peer.machine.nonces() == (before.1, before.0) {
                    return Err("replaced, and the peer is still in that session");
                }
            }
        }
        let peer = &self.sides[1 - who];
        let boots = BOOTS[1 - who]..=BOOTS[1 - who] + u64::from(peer.restarts);
        if !boots.contains(&(after.1 >> COUNTER_BITS)) {
            return Err("a session with a nonce that the peer never made");
        }
        // One's own nonce is of one session only, so a frame of another does not pass.
        if self.sides[who].sessions.iter().any(|session| session.0 == after.0) {
            return Err("a second session with the same nonce");
        }
        self.sides[who].sessions.push(after);
        Ok(())
    }

    fn step(&mut self, setup: &Setup, action: &Action) -> Result<(), &'static str> {
        let healthy = together(self.machines());
        let nonces = self.machines().map(Handshake::nonces);
        match *action {
            Action::Begin(who) => {
                self.sides[who].begins += 1;
                self.sides[who].greet();
            }
            Action::Stop(who) => self.sides[who].machine.stop(),
            Action::Rest(who) => {
                let side = &mut self.sides[who];
                side.rests += 1;
                side.machine.rest();
            }
            Action::Restart(who) => {
                self.sides[who].restarts += 1;
                self.sides[who].start(setup, who);
            }
            Action::Say(who) => {
                if let Some(HelloHead { nonce, echo, done, .. }) = self.sides[who].machine.poll_hello() {
                    let hello = Hello { nonce, echo, done };
                    self.put(1 - who, hello);
                    if setup.echo {
                        self.put(who, hello);
                    }
                }
            }
            Action::Hear(who, hello) => self.hear(who, hello)?,
            Action::Retry(who) => {
                let side = &mut self.sides[who];
                side.retries += u8::from(side.in_session());
                side.machine.on_retry();
            }
            Action::ChallengeEnds(who) => {
                self.sides[who].machine.on_challenge_timeout();
                self.sides[who].retries = 0;
            }
        }
        let ends =
            matches!(action, Action::Begin(_) | Action::Stop(_) | Action::Rest(_) | Action::Restart(_));
        if healthy
            && !ends
            && (!together(self.machines()) || self.machines().map(Handshake::nonces) != nonces)
        {
            return Err("a healthy session fell");
        }
        self.judge()
    }

    /// What must be so in every state.
    fn judge(&self) -> Result<(), &'static str> {
        for (who, side) in self.sides.iter().enumerate() {
            if !side.in_session() {
                continue;
            }
            // Every frame that ever left the peer arrives now. Its check knows both nonces, and it passes only as one of
            // this session.
            let (ours, theirs) = side.machine.nonces();
            let peer = &self.sides[1 - who];
            let passes = peer.sessions.iter().filter(|session| **session == (theirs, ours)).count();
            let earlier = side.sessions.iter().filter(|session| **session == (ours, theirs)).count();
            if passes > 1 || earlier != 1 {
                return Err("a frame of an old session passes");
            }
        }
        Ok(())
    }

    fn after(&self, setup: &Setup, action: &Action) -> Self {
        let mut next = self.clone();
        if let Err(promise) = next.step(setup, action) {
            next.broken = Some(promise);
        }
        next
    }
}

impl Model for Setup {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let side = |who: usize| {
            let mut side = Side {
                machine: Handshake::new(),
                begins: 0,
                restarts: 0,
                rests: 0,
                challenges: 0,
                retries: 0,
                sessions: Vec::new(),
            };
            side.start(self, who);
            side
        };
        let mut state = State { sides: [side(0), side(1)], line: [Vec::new(), Vec::new()], broken: None };
        if self.stranger {
            let hello = Hello { nonce: STRANGER, echo: 0, done: false };
            (0..2).for_each(|who| state.put(who, hello));
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for (who, side) in state.sides.iter().enumerate() {
            let stand = side.machine.state();
            if side.begins < self.begins[who] {
                actions.push(Action::Begin(who));
            }
            if self.gone && stand != Stand::Idle {
                actions.push(Action::Stop(who));
            }
            if stand == Stand::Session && side.rests < self.rests[who] {
                actions.push(Action::Rest(who));
            }
            if side.restarts < self.restarts[who] {
                actions.push(Action::Restart(who));
            }
            if stand == Stand::Idle {
                // It is deaf and dumb.
                continue;
            }
            if side.machine.wants_hello() {
                actions.push(Action::Say(who));
            }
            actions.extend(state.line[who].iter().map(|hello| Action::Hear(who, *hello)));
            let challenging = side.machine.is_challenging();
            if stand == Stand::Greeting || challenging && side.retries < self.retries {
                actions.push(Action::Retry(who));
            }
            if challenging {
                actions.push(Action::ChallengeEnds(who));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let next = state.after(self, &action);
        if next == *state {
            return None;
        }
        let within = |who: usize| next.sides[who].challenges <= self.challenges[who];
        (within(0) && within(1)).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |_, state: &State| state.broken.is_none()),
            Property::always("a faultless run ends in one session", settles),
            Property::sometimes("there is a session", |_, state: &State| together(state.machines())),
        ]
    }
}

const SAFE: &str = "sessions are agreed on and stand";
