//! The endpoint's own state, and what changes it as a whole: start and link. Deadlines are in [`timeouts`](super::timeouts).

use super::Outbox;
use super::config::{Config, Link};
use super::stats::{Peer, Stats};
use super::storage::Tables;
use crate::capability;
use crate::error::ConnectError;
use crate::event::{CloseReason, Diagnosis, LostReason};
use crate::framing::{Deframer, Framing, session};
use crate::handshake::Handshake;
use crate::limiter::Limiter;
use crate::limits::{FRAME_MIN, GREETING_FIRST_MS, NAME_MAX};
use crate::log::log;
use crate::ping::Ping;
use crate::reliable::{Receiver, Sender};
use crate::results::{Call, Served};
use crate::rto::Rto;
use crate::sizing::Sizing;
use crate::time::{Duration, Instant};
use crate::timers::{Timer, Timers};

/// Where an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started.
    New,
    /// Started, or the link is gone.
    NoLink,
    /// The handshake goes on.
    Connecting,
    /// There is a session.
    Established,
    /// Closed on this link: a peer that asks is answered.
    Closed,
}

/// A change that the application has not seen. Newer ones replace older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// No niche: an endpoint that is new must be all zero, to lie in .bss.
#[repr(u8)]
pub(super) enum Notice {
    Nothing,
    Degraded(LostReason),
    Lost(LostReason),
    Closed(CloseReason),
}

/// How we present ourselves, from the start.
#[derive(Debug)]
pub(super) struct Ours {
    /// None while new: an empty text would not be all zero.
    pub(super) name: Option<&'static str>,
    pub(super) ping_ms: u32,
    pub(super) silence_ms: u32,
}

/// Everything but the storage. All zero while new.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) phase: Phase,
    /// The phase that the application was told of.
    pub(super) reported: Phase,
    pub(super) notice: Notice,
    /// Bytes without a frame, when that is to be reported; 0: not.
    pub(super) diagnosis: u32,
    /// Newest time that we were told.
    pub(super) now: Instant,
    pub(super) timers: Timers,

    /// What our HELLO says besides what is known elsewhere.
    pub(super) ours: Ours,
    /// How often we ping in this session: often enough for the peer's patience.
    pub(super) ping_every_ms: u32,
    /// For how long a session is kept without a link; 0: not at all.
    pub(super) resume_ms: u32,
    pub(super) adaptive: bool,

    pub(super) link: Link,
    /// Largest frame content that we send and take on this link, in bytes.
    pub(super) frame_max: usize,
    pub(super) deframer: Deframer,
    /// Bytes that came on this link before its first intact frame; counts on until there is one.
    pub(super) unframed: u32,
    /// Bytes that came since the last frame ended: of the next one, or of none.
    pub(super) unclaimed: u32,
    pub(super) framed: bool,
    /// Whether we hear ourselves in this handshake, which is told once.
    pub(super) is_loopback: bool,
    /// When the last frame of the session came.
    pub(super) heard_at: Instant,
    /// When the last frame left.
    pub(super) last_sent: Instant,
    /// Frames handed out for sending in this session, on whatever link; without one, on this link.
    pub(super) frames_sent: u32,
    /// The check of the newest frame of the session that came on this serial link.
    pub(super) last_check: Option<u32>,
    /// The highest number of a datagram of the session.
    pub(super) last_number: Option<u32>,

    pub(super) handshake: Handshake,
    /// How long to wait before the next HELLO, ms.
    pub(super) greeting_ms: u32,
    /// Where the checks of this session start: of what we send, of what we get.
    pub(super) seed_out: u32,
    pub(super) seed_in: Option<u32>,
    /// The same while the session has no link.
    pub(super) seed_kept: u32,
    /// Largest frame content of this session, on whatever link.
    pub(super) session_max: usize,
    /// What its frames had for packets, less the number of a reliable one: a link that has less cannot carry it on.
    pub(super) session_room: usize,
    /// The session has no link. Two fields, since a new endpoint must be all zero.
    pub(super) is_suspended: bool,
    /// Why it has none.
    pub(super) suspended_by: LostReason,
    /// The session that the application was told of last.
    pub(super) told_session: u16,
    /// Counts sessions, so that requests of an earlier one are known as such.
    pub(super) session: u16,
    pub(super) peer: Peer,

    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) rto: Rto,
    pub(super) sizing: Sizing,
    pub(super) outbox: Outbox,
    /// Number of the control channel's last packet, if any was sent in this session.
    pub(super) last_control: Option<u32>,
    pub(super) ping: Ping,
    pub(super) ping_due: bool,
    /// Best-effort messages sent in this session.
    pub(super) sent_best_effort: u32,
    /// Frames in a row in which messages of a class waited and none was sent: reliable, best effort.
    pub(super) passed_over: [u8; 2],
    /// The place whose turn it is among routes of one rank.
    pub(super) next_route: u16,
    /// Nothing could be sent when we were last asked, and nothing has happened since.
    pub(super) blocked: bool,
    /// The next frame goes without reports: a message needs all of it.
    pub(super) squeezed: bool,
    /// A record found no room in the store: messages wait until it has.
    pub(super) records_wait: bool,
    /// How many probes in a row have brought no room: each doubles the wait for the next.
    pub(super) probes: u8,
    /// The PING that is under way, and the number that the next packet had when it left: what left before it has come, or
    /// is lost, when its PONG is here.
    pub(super) proof: Option<(u8, u32)>,
    /// A PING asks what became of the packets under way.
    pub(super) asked: bool,
    /// Something was repeated, and nothing has left behind it that could tell what became of it.
    pub(super) wants_proof: bool,
    /// Records that declare interests, and are not acknowledged. They state counts, so no TAKEN may be ahead of them.
    pub(super) interests: u16,
    /// Whether some place in a table has something to send.
    pub(super) tables_due: bool,
    /// Whether some place may have a TAKEN to send: it needs no control record, and comes with every message that is read.
    pub(super) taken_due: bool,
    /// How many times CLOSE is to be sent.
    pub(super) close_due: u8,
    /// Its code, kept to say it again.
    pub(super) close_code: u32,

    pub(super) last_call: u16,
    /// Where the next poll of any route or event begins, so that none starves.
    pub(super) next_message: u16,
    pub(super) next_event: u16,
    /// Whether some route may have a message or a request to hand out.
    pub(super) unread: bool,
    /// Whether some route or call may have an event.
    pub(super) events_due: bool,
    pub(super) counters: Stats,
}

impl Core {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::New,
            reported: Phase::New,
            notice: Notice::Nothing,
            diagnosis: 0,
            now: Instant::ZERO,
            timers: Timers::new(),
            ours: Ours { name: None, ping_ms: 0, silence_ms: 0 },
            ping_every_ms: 0,
            resume_ms: 0,
            adaptive: false,
            link: Link {
                framing: Framing::Serial,
                frame_max: 0,
                lossless: false,
                ordered: false,
                bits_per_second: 0,
            },
            frame_max: 0,
            deframer: Deframer::new(),
            unframed: 0,
            unclaimed: 0,
            framed: false,
            is_loopback: false,
            heard_at: Instant::ZERO,
            last_sent: Instant::ZERO,
            frames_sent: 0,
            last_check: None,
            last_number: None,
            handshake: Handshake::new(),
            greeting_ms: 0,
            seed_out: 0,
            seed_in: None,
            seed_kept: 0,
            session_max: 0,
            session_room: 0,
            is_suspended: false,
            suspended_by: LostReason::Silence,
            told_session: 0,
            session: 0,
            peer: Peer::NOBODY,
            sender: Sender::new(0, 0, 0),
            receiver: Receiver::new(0),
            rto: Rto::new(),
            sizing: Sizing::new(),
            outbox: Outbox::new(),
            last_control: None,
            ping: Ping::new(),
            ping_due: false,
            sent_best_effort: 0,
            passed_over: [0; 2],
            next_route: 0,
            blocked: false,
            squeezed: false,
            records_wait: false,
            probes: 0,
            proof: None,
            asked: false,
            wants_proof: false,
            interests: 0,
            tables_due: false,
            taken_due: false,
            close_due: 0,
            close_code: 0,
            last_call: 0,
            next_message: 0,
            next_event: 0,
            unread: false,
            events_due: false,
            counters: Stats {
                bytes_in: 0,
                bytes_out: 0,
                frames_in: 0,
                frames_out: 0,
                check_failures: 0,
                framing_errors: 0,
                skipped: 0,
                malformed: 0,
                retransmitted: 0,
                dropped_no_room: 0,
                dropped_too_fast: 0,
                expired: 0,
                dropped_unknown: 0,
                best_effort: crate::ping::Loss { received: 0, lost: 0 },
                best_effort_interval: crate::ping::Loss { received: 0, lost: 0 },
                peer_dropped_no_room: 0,
            },
        }
    }

    /// Time does not go back. Something happens, so there may be something to send.
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.blocked = false;
        self.now
    }

    pub(super) fn start(&mut self, t: &mut Tables<'_>, config: Config, boot_nonce: u64) {
        // A constant, so that it is zeroed where it lies: made here it would be built on the stack, and copied.
        *self = const { Self::new() };
        for slot in t.routes.iter_mut() {
            slot.clear();
            slot.turn = 0;
            slot.generation = slot.generation.wrapping_add(1);
        }
        if capability::REQUESTS {
            t.calls.fill(Call::EMPTY);
            t.served.fill(Served::EMPTY);
        }
        if capability::RATES {
            t.limiters.fill(Limiter::EMPTY);
        }
        self.phase = Phase::NoLink;
        self.reported = Phase::NoLink;
        let end = config.name.floor_char_boundary(NAME_MAX);
        self.ours.name = config.name.get(..end);
        let ms = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX).max(1);
        self.ours.ping_ms = ms(config.ping_interval);
        self.ours.silence_ms = ms(config.silence);
        self.resume_ms =
            if !capability::RESUME || config.resume_for.is_zero() { 0 } else { ms(config.resume_for) };
        self.adaptive = config.adaptive;
        self.handshake.start(boot_nonce);
    }

    pub(super) fn handle_connect(
        &mut self,
        t: &mut Tables<'_>,
        now: Instant,
        link: Link,
        frame_len: usize,
    ) -> Result<(), ConnectError> {
        if self.phase == Phase::New {
            return Err(ConnectError::NotStarted);
        }
        if !capability::LINKS && link.framing != Framing::Serial {
            return Err(ConnectError::LeftOut { feature: "links" });
        }
        if frame_len < FRAME_MIN || link.frame_max < FRAME_MIN {
            return Err(ConnectError::FrameTooSmall { limit: FRAME_MIN });
        }
        self.advance(now);
        if self.phase == Phase::Established {
            self.suspend(t, LostReason::LinkDown);
        }
        self.link = link;
        self.frame_max = frame_len.min(link.frame_max);
        self.deframer.reset(link.framing);
        self.on_skipped();
        self.unframed = 0;
        self.framed = false;
        self.diagnosis = 0;
        self.close_due = 0;
        if !self.has_session() {
            self.frames_sent = 0;
        }
        self.last_check = None;
        self.timers.stop_link();
        self.greet();
        Ok(())
    }

    /// Asks for a peer on the link.
    pub(super) fn greet(&mut self) {
        self.handshake.greet(self.link.framing == Framing::Stream);
        self.on_greeting();
    }

    /// The handshake is greeting: repeat it on a timer.
    pub(super) fn on_greeting(&mut self) {
        self.phase = Phase::Connecting;
        self.is_loopback = false;
        self.greeting_ms = GREETING_FIRST_MS;
        self.start_timer(Timer::Greeting, self.greeting_ms);
    }

    pub(super) fn handle_disconnect(&mut self, t: &mut Tables<'_>, now: Instant) {
        self.advance(now);
        match self.phase {
            Phase::New | Phase::NoLink => return,
            Phase::Established => self.suspend(t, LostReason::LinkDown),
            Phase::Connecting if !self.is_suspended() => {
                self.notice = Notice::Lost(LostReason::LinkDown);
            }
            Phase::Connecting | Phase::Closed => {}
        }
        self.leave_link();
    }

    fn leave_link(&mut self) {
        self.handshake.stop();
        self.seed_in = None;
        self.timers.stop_link();
        self.close_due = 0;
        self.phase = Phase::NoLink;
    }

    /// The link cannot be read any more.
    pub(super) fn on_broken_link(&mut self, t: &mut Tables<'_>) {
        log!("link given up: framing lost");
        match self.phase {
            Phase::Established => self.suspend(t, LostReason::Framing),
            _ if self.is_suspended() => self.tell_degraded(LostReason::Framing),
            _ => self.notice = Notice::Lost(LostReason::Framing),
        }
        self.leave_link();
    }

    /// Largest frame content of the session, in bytes.
    pub(super) const fn content_max(&self) -> usize {
        self.session_max
    }

    /// Whether there is a session, with a link or without.
    pub(super) const fn has_session(&self) -> bool {
        matches!(self.phase, Phase::Established) || self.is_suspended()
    }

    /// Whether the session has no link, and waits for one.
    pub(super) const fn is_suspended(&self) -> bool {
        capability::RESUME && self.is_suspended
    }

    /// Whether both sides can do something.
    pub(super) const fn has(&self, capability: u32) -> bool {
        self.peer.capabilities & (capability & capability::UNDERSTOOD) != 0
    }

    /// What names the session to the peer: the same on both sides.
    pub(super) fn session_id(&self) -> u32 {
        session(self.seed_out, self.seed_kept)
    }

    pub(super) fn diagnosis(&mut self) -> Option<Diagnosis> {
        let bytes = core::mem::take(&mut self.diagnosis);
        (bytes > 0).then_some(Diagnosis::NoFrames { bytes })
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            best_effort: self.ping.loss(),
            best_effort_interval: self.ping.loss_interval(),
            ..self.counters
        }
    }
}
