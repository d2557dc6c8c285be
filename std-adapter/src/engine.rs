//! What the threads of a connection share: the endpoint, its line, and who is doing what. All of it lies under one lock.
//!
//! Invariant: `over` is set once and for good, after everything that came before the end was fed to the
//! endpoint; messages and answers that were not taken can still be taken then. What comes from a line is fed only while it
//! is *the* line, so bytes of one that was replaced are dropped.
//!
//! What an event of the endpoint means for the connection is in [`digest`](super::digest).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tieline::{ConnectError, Endpoint, LostReason, RouteId, RouteName};

use crate::error::Ended;
use crate::event::{Event, Unread};
use crate::link::Line;
use crate::observer::Observer;
use crate::stats::{Reporter, Traffic};
use crate::storage::Boxed;
use crate::writer::{Rest, Writer};

/// Who waits for the line and feeds what comes to the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Nobody,
    /// A thread that waits for something of its own.
    Waiter,
    /// The thread that does it while no other does.
    Keeper,
}

/// What becomes of the connection when its line is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It ends: nobody brings another line.
    Ends,
    /// It waits for as long as its session is kept: the peer may come back to where it was listened for.
    MayReturn,
    /// It waits, and somebody looks for another line.
    Returns,
    /// It waits for whoever comes: one that cannot be talked to is no reason to end.
    Awaits,
}

/// A line on which there is no session after so long is worth another try: twice the protocol's slowest greeting, and time for
/// the answers.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(3);

/// A peer declares all it has when a session begins; by then it has come through, be it repeated once.
const DECLARATIONS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) endpoint: Endpoint<Boxed>,
    pub(crate) outlook: Outlook,
    /// How the connection ended.
    pub(crate) over: Option<Ended>,
    /// There was a session once.
    pub(crate) established: bool,
    /// There is one, with a line or without, as far as the application was told.
    pub(crate) in_session: bool,
    /// The application was told that a session is looked for.
    pub(crate) connecting: bool,
    /// Sessions so far, and when the last one began.
    pub(crate) sessions: u64,
    pub(crate) session_began: Instant,
    /// How often a handshake was completed: a line has worked.
    pub(crate) handshakes: u64,
    /// When the last one was.
    pub(crate) handshake_at: Instant,
    /// What the peer is thought to be doing while there is no session yet.
    pub(crate) hint: String,
    pub(crate) unread: Unread,
    pub(crate) routes: Vec<Declared>,
    pub(crate) reporter: Reporter,
    /// Reads along, if somebody wants to know what the peer declares.
    pub(crate) observer: Option<Box<Observer>>,

    /// Absent while there is none.
    pub(crate) line: Option<Arc<Line>>,
    /// Counts lines, gone ones included, so that one who was reading or writing another one notices.
    pub(crate) line_turn: u64,
    /// When another line is to be tried, since there is no session on this one.
    pub(crate) in_vain_at: Option<Instant>,
    /// Since when there is no line.
    pub(crate) without_line: Option<Instant>,
    /// When bytes came last.
    pub(crate) heard: tieline::Instant,
    /// Whoever looks for lines has to look at it all anew.
    pub(crate) line_news: bool,
    /// It waits for that.
    pub(crate) searcher_waits: bool,
    /// The listener that waits for this connection to be established has to look.
    pub(crate) ring: bool,

    pub(crate) driver: Driver,
    /// Counts who became driver, so that one who was relieved while it waited notices.
    pub(crate) turn: u64,
    /// The driver waits for the line, until then; it may be relieved.
    pub(crate) polling: bool,
    pub(crate) polls_until: Option<Instant>,
    /// It waits for the line to take more, too.
    pub(crate) polls_output: bool,
    /// There may be more to read.
    pub(crate) more: bool,
    /// How often the line was read since a deadline was over that still is to be told.
    pub(crate) heard_first: u32,
    /// Threads that wait for the driver's news.
    pub(crate) waiters: usize,
    /// Threads that wait until everything is sent.
    pub(crate) flushing: usize,
    /// The keeper waits to be called.
    pub(crate) keeper_asleep: bool,
    /// The keeper is needed at once.
    pub(crate) urgent: bool,
    /// Nobody has a handle any more.
    pub(crate) abandoned: bool,
    /// Cost of what was taken since the line was last looked after.
    pub(crate) taken: usize,
    /// Absent while a thread writes; it looks at the endpoint once more before it brings it back.
    pub(crate) writer: Option<Box<Writer>>,
    /// Absent while the driver reads.
    pub(crate) input: Option<Box<[u8]>>,
}

/// A route that this side has declared, and how its reliable messages end.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) id: RouteId,
    pub(crate) name: &'static RouteName,
    /// The kinds of handles that exist for it: [`PUBLISHER`] and so on.
    pub(crate) handles: u8,
    pub(crate) published: Traffic,
    pub(crate) received: Traffic,
    pub(crate) delivered: u64,
    /// Certainly not delivered.
    pub(crate) not_delivered: u64,
    /// Nobody can say.
    pub(crate) in_doubt: u64,
    /// Failures that no flush has reported yet.
    pub(crate) unreported: u64,
}

/// Bits of [`Declared::handles`].
pub(crate) const PUBLISHER: u8 = 1;
pub(crate) const SUBSCRIBER: u8 = 1 << 1;
pub(crate) const RESPONDER: u8 = 1 << 2;

impl Declared {
    pub(crate) const fn new(id: RouteId, name: &'static RouteName) -> Self {
        Self {
            id,
            name,
            handles: 0,
            published: Traffic { messages: 0, bytes: 0 },
            received: Traffic { messages: 0, bytes: 0 },
            delivered: 0,
            not_delivered: 0,
            in_doubt: 0,
            unreported: 0,
        }
    }
}

/// Bytes that are read at once.
const INPUT: usize = 64 * 1024;

impl Engine {
    pub(crate) fn new(endpoint: Endpoint<Boxed>, outlook: Outlook) -> Self {
        let writer = Writer::new(endpoint.transmit_max());
        Self {
            endpoint,
            outlook,
            over: None,
            established: false,
            in_session: false,
            connecting: false,
            sessions: 0,
            session_began: Instant::now(),
            handshakes: 0,
            handshake_at: Instant::now(),
            hint: String::new(),
            unread: Unread::default(),
            routes: Vec::new(),
            reporter: Reporter::default(),
            observer: None,
            line: None,
            line_turn: 0,
            in_vain_at: None,
            without_line: Some(Instant::now()),
            heard: tieline::Instant::ZERO,
            line_news: false,
            searcher_waits: false,
            ring: false,
            driver: Driver::Nobody,
            turn: 0,
            polling: false,
            polls_until: None,
            polls_output: false,
            more: false,
            heard_first: 0,
            waiters: 0,
            flushing: 0,
            keeper_asleep: false,
            urgent: false,
            abandoned: false,
            taken: 0,
            writer: Some(Box::new(writer)),
            input: Some(vec![0; INPUT].into()),
        }
    }
}

/// Lines come and go.
impl Engine {
    /// A line is there; `heard` was read from it already. The one before is returned, to be closed without the lock.
    pub(crate) fn attach(
        &mut self,
        now: tieline::Instant,
        line: Line,
        heard: &[u8],
    ) -> Result<Option<Arc<Line>>, ConnectError> {
        self.endpoint.handle_connect(now, line.link)?;
        let old = self.set_line(Some(Arc::new(line)));
        self.in_vain_at = Instant::now().checked_add(HANDSHAKE);
        self.hint.clear();
        // There is a greeting to send.
        self.urgent = true;
        self.digest();
        self.feed(now, heard);
        Ok(old)
    }

    /// The line is gone.
    pub(crate) fn lose(&mut self, now: tieline::Instant, cause: Option<io::Error>) {
        let is_connection = self.line.as_ref().is_some_and(|line| line.is_connection());
        self.set_line(None);
        self.endpoint.handle_disconnect(now);
        let cause = cause.map(Arc::new);
        self.digest_with(cause.as_ref());
        if self.outlook == Outlook::Ends {
            self.end(Ended::Lost { reason: LostReason::LinkDown, cause });
            // There will be no other line for the session: what is in doubt is so for good.
            self.endpoint.close(0);
            self.digest();
        } else {
            let is_closed = cause.as_ref().is_none_or(|cause| cause.kind() == io::ErrorKind::ConnectionReset);
            if is_connection && is_closed && !self.established {
                // As a listener with its one peer does.
                let text =
                    "the other side has closed the line before it answered: it may have another peer already";
                self.hint = text.to_owned();
            } else if let Some(cause) = cause {
                self.hint = cause.to_string();
            }
        }
    }

    pub(crate) fn set_line(&mut self, line: Option<Arc<Line>>) -> Option<Arc<Line>> {
        if let (Some(observer), Some(line)) = (&mut self.observer, &line) {
            observer.begin_line(line.link.framing);
        }
        self.without_line = line.is_none().then(Instant::now);
        self.in_vain_at = None;
        self.line_turn += 1;
        self.more = false;
        self.line_news = true;
        // If another thread has it, that one will notice.
        if let Some(writer) = &mut self.writer {
            writer.begin(line.as_deref(), self.line_turn);
        }
        std::mem::replace(&mut self.line, line)
    }

    /// Bytes have come.
    pub(crate) fn feed(&mut self, now: tieline::Instant, mut bytes: &[u8]) {
        if !bytes.is_empty() {
            self.heard = now;
        }
        let turn = self.line_turn;
        while !bytes.is_empty() && self.over.is_none() && self.line_turn == turn {
            let before = self.endpoint.check_start();
            let taken = self.endpoint.handle_input(now, bytes);
            if let Some(observer) = &mut self.observer {
                let start = before.or(self.endpoint.check_start());
                observer.read(bytes.get(..taken).unwrap_or_default(), start);
            }
            bytes = bytes.get(taken.max(1)..).unwrap_or_default();
            self.digest();
        }
        self.answer_for_itself();
    }
}

/// The end.
impl Engine {
    /// Takes all interests back: the peer is told exactly what was taken, and that nothing more will be.
    pub(crate) fn stop_reading(&mut self) {
        for declared in &self.routes {
            if declared.handles & SUBSCRIBER != 0 {
                self.endpoint.withdraw_interest(declared.id);
            }
        }
    }

    /// Ends the session on purpose.
    pub(crate) fn close(&mut self, code: u32) {
        self.endpoint.close(code);
        self.digest();
        self.end(Ended::Closed(tieline::CloseReason::Local));
    }

    pub(crate) fn end(&mut self, ended: Ended) {
        if self.over.is_none() {
            self.unread.push(Event::Ended(ended.clone()));
            self.over = Some(ended);
            self.line_news = true;
            self.ring = true;
        }
    }
}

/// Routes.
impl Engine {
    /// Notes that there is a handle for a declaration.
    pub(crate) fn hold(&mut self, id: RouteId, name: &'static RouteName, kind: u8) {
        let endpoint = &self.endpoint;
        self.routes.retain(|old| old.handles != 0 || old.unreported > 0 || endpoint.undelivered(old.id) > 0);
        match self.declared(id) {
            Some(declared) => declared.handles |= kind,
            None => self.routes.push(Declared { handles: kind, ..Declared::new(id, name) }),
        }
    }

    /// Whether there is a handle of that kind for that route.
    pub(crate) fn is_held(&self, name: &RouteName, kind: u8) -> bool {
        self.routes.iter().any(|declared| declared.handles & kind != 0 && declared.name == name)
    }

    /// The handle is gone.
    pub(crate) fn release(&mut self, id: RouteId, kind: u8) {
        match kind {
            PUBLISHER => self.endpoint.withdraw_intent(id),
            SUBSCRIBER => self.endpoint.withdraw_interest(id),
            _ => self.endpoint.withdraw_service(id),
        }
        if let Some(declared) = self.declared(id) {
            declared.handles &= !kind;
        }
        self.digest();
    }

    pub(crate) fn declared(&mut self, id: RouteId) -> Option<&mut Declared> {
        self.routes.iter_mut().find(|declared| declared.id == id)
    }
}

/// Questions.
impl Engine {
    /// Whether all that was published has reached the peer's application (reliable) or the system (best effort).
    pub(crate) fn is_flushed(&self) -> bool {
        self.endpoint.undelivered_total() == 0 && self.endpoint.unsent_best_effort() == 0 && self.is_written()
    }

    /// Whether the system has everything that was taken from the endpoint.
    pub(crate) fn is_written(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.is_empty())
    }

    pub(crate) fn rest(&self) -> Rest {
        self.writer.as_ref().map_or(Rest::Idle, |writer| writer.rest)
    }

    /// Whether there is no session and there will be one.
    pub(crate) fn awaits_peer(&self) -> bool {
        self.over.is_none() && self.outlook != Outlook::Ends && !self.in_session
    }

    /// Whether a peer may still be telling what it declares: a new session of a connection that had one before has just
    /// begun, or is awaited.
    pub(crate) fn awaits_declarations(&self) -> bool {
        let is_new = self.sessions > 1 && self.session_began.elapsed() < DECLARATIONS;
        self.awaits_peer() || (self.over.is_none() && is_new)
    }
}
