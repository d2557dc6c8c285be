//! The handshake: who is there, and is it still the same one? (docs/protocol.md, section 4)
//!
//! Theory of operation. Both sides run this same machine; there is no caller. Each has a nonce that is new for this
//! handshake and shows it in HELLO. A side believes in a peer only when it hears its own current nonce echoed:
//! that HELLO cannot be old. In a session an unknown HELLO proves nothing, so it is *challenged*: answered with a
//! new nonce, and only whoever echoes that one makes the session fall. Hence the invariant: **no HELLO that was
//! made before our newest nonce changes anything but what we answer.**
//!
//! A plain value without time, buffers or randomness, so that a model checker can explore it. The timers are the
//! endpoint's; what this machine wants to say is a flag that [`Handshake::poll_hello`] turns into a HELLO.

use crate::capability;
use crate::limits::{VERSION_MAJOR, VERSION_MINOR};
use crate::packet::HelloHead;

/// How many times a challenge is repeated.
const CHALLENGE_REPEATS: u8 = 5;

/// Bits of a nonce that count handshakes; the others are the boot part.
const COUNTER_BITS: u32 = 16;

/// Where a handshake stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// No link.
    Idle,
    /// The session was closed: HELLOs are answered, none is sent unasked.
    Resting,
    /// Asking for a peer.
    Greeting,
    /// In a session.
    Session,
    /// The peer speaks another major version.
    Refused,
}

/// What a HELLO led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing that the endpoint must know.
    Nothing,
    /// A session has begun.
    Established,
    /// The session fell and a new one has begun; `restarted`: the peer's boot part changed.
    Replaced {
        /// Whether the peer started anew (else it only lost the session).
        restarted: bool,
    },
    /// We hear ourselves.
    Loopback,
    /// The peer speaks major version `theirs`; a session, if there was one, is over.
    VersionMismatch {
        /// The peer's major version.
        theirs: u8,
    },
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handshake {
    state: State,
    /// Our current nonce: of this handshake, or of this session. Never 0 once begun.
    ours: u64,
    /// The nonce last accepted from the peer; 0: none ever. Kept between sessions to tell old HELLOs.
    theirs: u64,
    /// The open challenge's nonce; 0: none is open.
    challenge: u64,
    /// Whom the challenge answers.
    challenged: u64,
    /// How many times the challenge may still be repeated.
    repeats: u8,
    /// Newest counter that we have used.
    counter: u16,
    /// On this link nothing tells frames of one session from those of another, but the order in which they come: who is
    /// completed says so, and its frames count from there.
    marks: bool,
    /// The peer has not said yet that it is in this session: what comes before that is of an earlier one.
    awaits_mark: bool,
    /// A HELLO to send, if any.
    send: Send,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Send {
    Nothing,
    /// We do not know who is there: a HELLO that echoes nobody.
    Ask,
    /// Our nonce, echoing theirs.
    Answer,
    /// The peer's last HELLO completed us: tell it, nothing is needed back.
    Done,
    /// The open challenge.
    Challenge,
}

impl Handshake {
    /// A machine that has not begun.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Idle,
            ours: 0,
            theirs: 0,
            challenge: 0,
            challenged: 0,
            repeats: 0,
            counter: 0,
            marks: false,
            awaits_mark: false,
            send: Send::Nothing,
        }
    }

    /// Sets the boot part of all nonces; 48 bits of `boot_nonce` are used.
    pub fn start(&mut self, boot_nonce: u64) {
        *self = Self::new();
        self.set_boot(boot_nonce);
    }

    /// The same with a machine that is new, or stopped.
    pub(crate) fn set_boot(&mut self, boot_nonce: u64) {
        let folded = (boot_nonce ^ (boot_nonce >> 48)) << COUNTER_BITS;
        // 0 would read as "I do not know your nonce".
        self.ours = if folded == 0 { 1 << COUNTER_BITS } else { folded };
    }

    /// Begins a handshake on a link: asks for a peer. `marks`: frames of the link do not show by themselves of which session
    /// they are (streams, that have no check).
    pub fn greet(&mut self, marks: bool) {
        self.marks = marks && capability::LINKS;
        self.awaits_mark = false;
        self.ours = self.next_nonce();
        self.state = State::Greeting;
        self.challenge = 0;
        self.send = Send::Ask;
    }

    /// The link is gone.
    pub fn stop(&mut self) {
        self.state = State::Idle;
        self.challenge = 0;
        self.send = Send::Nothing;
    }

    /// The session was closed: a HELLO that asks is answered, none is sent unasked.
    pub fn rest(&mut self) {
        self.stop();
        self.ours = self.next_nonce();
        self.state = State::Resting;
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Our nonce and the peer's: of the session, if there is one.
    #[must_use]
    pub const fn nonces(&self) -> (u64, u64) {
        (self.ours, self.theirs)
    }

    /// Whether a challenge is open.
    #[must_use]
    pub const fn is_challenging(&self) -> bool {
        self.challenge != 0
    }

    /// Whether frames that come now are of an earlier session: the peer has not said yet that it is in this one.
    #[must_use]
    pub const fn awaits_mark(&self) -> bool {
        self.awaits_mark
    }

    /// Whether a HELLO is to be sent.
    #[must_use]
    pub const fn wants_hello(&self) -> bool {
        !matches!(self.send, Send::Nothing)
    }

    /// The retry timer has ended: ask, or challenge, once more.
    pub fn on_retry(&mut self) {
        match self.state {
            // Nobody is echoed: whom we heard before may have been a ghost in some buffer.
            State::Greeting => self.send = Send::Ask,
            State::Session if self.challenge != 0 && self.repeats > 0 => {
                self.repeats -= 1;
                self.send = Send::Challenge;
            }
            State::Idle | State::Resting | State::Session | State::Refused => {}
        }
    }

    /// An open challenge has not been answered in its time.
    pub fn on_challenge_timeout(&mut self) {
        self.challenge = 0;
        if matches!(self.send, Send::Challenge) {
            self.send = Send::Nothing;
        }
    }

    /// The HELLO to send now, if any.
    pub fn poll_hello(&mut self) -> Option<HelloHead> {
        let (nonce, echo, done) = match self.send {
            Send::Nothing => return None,
            Send::Ask => (self.ours, 0, false),
            Send::Answer => (self.ours, self.theirs, false),
            Send::Done => (self.ours, self.theirs, true),
            Send::Challenge => (self.challenge, self.challenged, false),
        };
        self.send = Send::Nothing;
        Some(HelloHead { major: VERSION_MAJOR, minor: VERSION_MINOR, done, nonce, echo })
    }

    /// A HELLO with a correct head check came.
    pub fn on_hello(&mut self, hello: &HelloHead) -> Outcome {
        let same_version = hello.major == VERSION_MAJOR;
        if same_boot(hello.nonce, self.ours) {
            return match self.state {
                State::Greeting => Outcome::Loopback,
                State::Idle | State::Resting | State::Session | State::Refused => Outcome::Nothing,
            };
        }
        if hello.nonce == 0 || is_older(hello.nonce, self.theirs) {
            return Outcome::Nothing;
        }
        match self.state {
            State::Session => self.on_hello_in_session(hello, same_version),
            State::Greeting => self.on_hello_when_greeting(hello, same_version),
            State::Refused if same_version && hello.echo == 0 => {
                self.greet(self.marks);
                self.on_hello_when_greeting(hello, same_version)
            }
            State::Refused => {
                if !hello.done {
                    self.theirs = hello.nonce;
                    self.send = Send::Done;
                }
                Outcome::Nothing
            }
            // At rest: whoever asks is answered, as if we had asked first.
            State::Resting if hello.echo == 0 => {
                self.state = State::Greeting;
                self.on_hello_when_greeting(hello, same_version)
            }
            State::Resting | State::Idle => Outcome::Nothing,
        }
    }

    fn on_hello_when_greeting(&mut self, hello: &HelloHead, same_version: bool) -> Outcome {
        if hello.echo == self.ours {
            self.theirs = hello.nonce;
            return self.establish(hello, same_version, Outcome::Established);
        }
        if hello.echo == 0 {
            self.theirs = hello.nonce;
            self.send = Send::Answer;
        }
        Outcome::Nothing
    }

    fn on_hello_in_session(&mut self, hello: &HelloHead, same_version: bool) -> Outcome {
        if hello.nonce == self.theirs {
            if capability::LINKS && hello.done && hello.echo == self.ours {
                self.awaits_mark = false;
            }
            // It has not heard our echo, or that HELLO is an old one, to which the answer does no harm.
            if (hello.echo == self.ours || hello.echo == 0) && !hello.done {
                self.send = Send::Done;
            }
            return Outcome::Nothing;
        }
        if self.challenge != 0 && hello.echo == self.challenge {
            let restarted = !same_boot(hello.nonce, self.theirs);
            self.ours = self.challenge;
            self.theirs = hello.nonce;
            return self.establish(hello, same_version, Outcome::Replaced { restarted });
        }
        // One that is done, or that knows us, has a session that we do not have: it took an answer of ours for new that had
        // been under way for too long.
        if hello.echo == 0 || hello.done || hello.echo == self.ours {
            if self.challenge == 0 {
                self.challenge = self.next_nonce();
                self.repeats = CHALLENGE_REPEATS;
            }
            self.challenged = hello.nonce;
            self.send = Send::Challenge;
        }
        Outcome::Nothing
    }

    fn establish(&mut self, hello: &HelloHead, same_version: bool, outcome: Outcome) -> Outcome {
        self.challenge = 0;
        let marks = capability::LINKS && self.marks;
        self.awaits_mark = marks && !hello.done;
        self.send = if hello.done && !marks { Send::Nothing } else { Send::Done };
        if same_version {
            self.state = State::Session;
            outcome
        } else {
            self.state = State::Refused;
            Outcome::VersionMismatch { theirs: hello.major }
        }
    }

    fn next_nonce(&mut self) -> u64 {
        // The counter of a nonce in use is never 0: `ours` with counter 0 means "not begun".
        self.counter = self.counter.wrapping_add(1).max(1);
        (self.ours >> COUNTER_BITS) << COUNTER_BITS | u64::from(self.counter)
    }
}

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
    }
}

const fn same_boot(a: u64, b: u64) -> bool {
    (a ^ b) >> COUNTER_BITS == 0
}

/// Whether `nonce` was made before `than` by the same peer.
const fn is_older(nonce: u64, than: u64) -> bool {
    same_boot(nonce, than) && ((nonce as u16).wrapping_sub(than as u16) as i16) < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Handshake, Handshake) {
        let (mut a, mut b) = (Handshake::new(), Handshake::new());
        a.start(0xA);
        b.start(0xB);
        (a, b)
    }

    /// Passes HELLOs both ways until nobody wants to say any more; returns what each side saw.
    fn talk(a: &mut Handshake, b: &mut Handshake) -> (Outcome, Outcome) {
        let (mut at_a, mut at_b) = (Outcome::Nothing, Outcome::Nothing);
        for _ in 0..10 {
            if let Some(hello) = a.poll_hello() {
                let seen = b.on_hello(&hello);
                at_b = if seen == Outcome::Nothing { at_b } else { seen };
            }
            if let Some(hello) = b.poll_hello() {
                let seen = a.on_hello(&hello);
                at_a = if seen == Outcome::Nothing { at_a } else { seen };
            }
        }
        assert!(!a.wants_hello() && !b.wants_hello(), "the two keep greeting each other");
        (at_a, at_b)
    }

    fn in_session() -> (Handshake, Handshake) {
        let (mut a, mut b) = pair();
        a.greet(false);
        b.greet(false);
        assert_eq!(talk(&mut a, &mut b), (Outcome::Established, Outcome::Established));
        (a, b)
    }

    #[test]
    fn both_sides_agree_on_the_nonces() {
        let (a, b) = in_session();
        let (ours, theirs) = a.nonces();
        assert_eq!(b.nonces(), (theirs, ours));
    }

    #[test]
    fn one_side_may_begin_later() {
        let (mut a, mut b) = pair();
        a.greet(false);
        let lost = a.poll_hello().unwrap();
        assert_eq!(b.on_hello(&lost), Outcome::Nothing, "a side without a link hears nothing");
        b.greet(false);
        assert_eq!(talk(&mut a, &mut b), (Outcome::Established, Outcome::Established));
    }

    #[test]
    fn a_lost_last_hello_is_repeated() {
        let (mut a, mut b) = pair();
        a.greet(false);
        b.greet(false);
        let from_a = a.poll_hello().unwrap();
        b.poll_hello();
        b.on_hello(&from_a);
        let answer = b.poll_hello().unwrap();
        assert_eq!(a.on_hello(&answer), Outcome::Established);
        a.poll_hello().expect("the last HELLO, which is lost");
        b.on_retry();
        assert_eq!(talk(&mut a, &mut b).1, Outcome::Established);
    }

    #[test]
    fn a_restart_replaces_the_session() {
        let (mut a, _) = in_session();
        let mut b = Handshake::new();
        b.start(0xB2);
        b.greet(false);
        let seen = talk(&mut a, &mut b);
        assert_eq!(seen, (Outcome::Replaced { restarted: true }, Outcome::Established));
    }

    #[test]
    fn a_peer_that_lost_the_session_replaces_it() {
        let (mut a, mut b) = in_session();
        b.greet(false);
        let seen = talk(&mut a, &mut b);
        assert_eq!(seen, (Outcome::Replaced { restarted: false }, Outcome::Established));
    }

    #[test]
    fn a_late_answer_to_a_challenge_divides_nobody_for_good() {
        let (mut a, mut b) = in_session();
        b.greet(false);
        a.on_hello(&b.poll_hello().unwrap());
        let late = a.poll_hello().expect("a challenge, which is under way for long");
        a.on_challenge_timeout();
        assert_eq!(b.on_hello(&late), Outcome::Established);
        assert_ne!(a.nonces().0, b.nonces().1, "only one has a new session");
        talk(&mut a, &mut b);
        let (ours, theirs) = a.nonces();
        assert_eq!(b.nonces(), (theirs, ours));
    }

    #[test]
    fn where_frames_have_no_check_each_side_says_when_it_begins() {
        let (mut a, mut b) = pair();
        a.greet(true);
        b.greet(true);
        b.on_hello(&a.poll_hello().unwrap());
        assert_eq!(a.on_hello(&b.poll_hello().unwrap()), Outcome::Established);
        assert!(a.awaits_mark(), "what b says next it says before it knows of the session");
        assert_eq!(b.on_hello(&a.poll_hello().unwrap()), Outcome::Established);
        assert!(!b.awaits_mark(), "a has said so");
        assert_eq!(a.on_hello(&b.poll_hello().expect("although a was done")), Outcome::Nothing);
        assert!(!a.awaits_mark() && !a.wants_hello() && !b.wants_hello());
    }

    #[test]
    fn stray_hellos_end_no_session() {
        let (mut a, mut b) = in_session();
        let before = (a.nonces(), b.nonces());
        for (nonce, echo) in
            [(0xC_0001, 0), (0xC_0001, 0x1234), (0xB_0001, 0), (0xA_0001, 0), (0, 0), (0xB_0000, 0)]
        {
            for done in [false, true] {
                a.on_hello(&HelloHead { major: 1, minor: 0, done, nonce, echo });
                talk(&mut a, &mut b);
            }
        }
        assert_eq!((a.nonces(), b.nonces()), before);
        assert_eq!((a.state(), b.state()), (State::Session, State::Session));
    }

    #[test]
    fn a_lost_answer_to_a_challenge_is_asked_for_again() {
        let (mut a, _) = in_session();
        let mut b = Handshake::new();
        b.start(0xB2);
        b.greet(false);
        a.on_hello(&b.poll_hello().unwrap());
        assert_eq!(b.on_hello(&a.poll_hello().unwrap()), Outcome::Established);
        b.poll_hello().expect("the echo of the challenge, which is lost");
        a.on_retry();
        assert_eq!(talk(&mut a, &mut b).0, Outcome::Replaced { restarted: true });
    }

    #[test]
    fn hearing_oneself_is_a_loopback_but_only_without_a_session() {
        let (mut a, mut b) = pair();
        a.greet(false);
        let own = a.poll_hello().unwrap();
        assert_eq!(a.on_hello(&own), Outcome::Loopback);
        b.greet(false);
        talk(&mut a, &mut b);
        assert_eq!(a.on_hello(&own), Outcome::Nothing);
        assert_eq!(a.state(), State::Session);
    }

    #[test]
    fn another_version_is_refused_on_both_sides_and_then_quiet() {
        let (mut a, _) = pair();
        a.greet(false);
        let ours = a.poll_hello().unwrap();
        let other = HelloHead { major: 2, minor: 0, done: false, nonce: 0xB_0001, echo: ours.nonce };
        assert_eq!(a.on_hello(&other), Outcome::VersionMismatch { theirs: 2 });
        let last = a.poll_hello().expect("the peer must learn of it");
        assert!(last.done && last.echo == other.nonce);
        a.on_retry();
        assert!(!a.wants_hello());
        // A reflashed peer with our version is welcome on the same link.
        let (_, mut b) = pair();
        b.start(0xB3);
        b.greet(false);
        assert_eq!(talk(&mut a, &mut b), (Outcome::Established, Outcome::Established));
    }

    #[test]
    fn at_rest_a_peer_that_asks_is_answered() {
        let (mut a, mut b) = in_session();
        a.rest();
        assert!(!a.wants_hello());
        b.greet(false);
        assert_eq!(talk(&mut a, &mut b), (Outcome::Established, Outcome::Established));
    }
}
