//! Receives who comes to an address: waits for a HELLO, and gives the line to the session that it belongs to.
//!
//! A peer is known by its name, and by the boot part of its nonce, which is new at each start. Whoever comes with a boot
//! part that is known is the same peer on another line. Whoever comes with a name that is known has started anew, or only
//! has the same name as one that is there: which of the two shows by whether that one is still heard. Where one session is
//! for whoever comes, it is kept for whom it is with: others are sent away until it is over.
//!
//! Invariant: one thread, a bounded number of strangers and a bounded number of bytes of each; nobody waits for anybody
//! else. No session is opened here.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::bell::Bell;
use crate::driver::Shared;
use crate::error::Ended;
use crate::link::{Line, Waiting, timespec};
use crate::probe;
use crate::waker::Waker;

mod stranger;

use stranger::{HELLO_LIMIT, Stranger, Verdict};

/// Strangers at once; when another one comes, the one that has been silent for longest is sent away.
const STRANGERS: usize = 64;
/// Peers that have said HELLO and that the application has not accepted yet.
const ARRIVALS: usize = 64;
/// Sessions without a line; the one that has waited for longest ends when another one would have to wait.
pub(crate) const WAITING: usize = 64;
/// While it is not clear who somebody is, we look that often.
const LOOK: Duration = Duration::from_millis(20);
/// When the system has no more descriptors, it is asked again after that.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that are taken at once before others are looked at.
const AT_ONCE: usize = 64;

const ANOTHER: &str = "another peer came, and there is a session with one already";

const REPEATED: &str = "a greeting came again that was heard on another line before";

/// The part of a nonce that is new at each start.
const fn boot(nonce: u64) -> u64 {
    nonce >> 16
}

/// Whether one nonce was made after another one of the same peer: the counter is the low 16 bits (docs/protocol.md, section 4).
const fn is_newer(nonce: u64, than: u64) -> bool {
    matches!((nonce as u16).wrapping_sub(than as u16), 1..0x8000)
}

/// Who has come and said HELLO.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) line: Line,
    /// All that was read so far.
    pub(crate) heard: Vec<u8>,
    pub(crate) name: String,
    pub(crate) nonce: u64,
}

/// A session, by whose it is.
#[derive(Debug)]
struct Guest {
    name: String,
    /// The one with which it came last; 0: none. A handshake may have been renewed on its line since.
    nonce: u64,
    shared: Weak<Shared>,
    /// A peer that states this is silent has missed two of its pings.
    patience: Duration,
}

/// What the thread shares with those who accept.
#[derive(Debug)]
pub(crate) struct Desk {
    waker: Waker,
    over: AtomicBool,
    /// Rings when somebody has arrived, or is established.
    pub(crate) bell: Arc<Bell>,
    /// There is one session for whoever comes.
    single: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    guests: Vec<Guest>,
    arrivals: VecDeque<Visitor>,
    /// What was last seen of somebody who was no peer.
    last: String,
}

/// The thread, which ends with this value.
#[derive(Debug)]
pub(crate) struct Reception {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Reception {
    /// Begins to receive; all for one session, if that is given.
    pub(crate) fn start(waiting: Waiting, only: Option<(&Arc<Shared>, Duration)>) -> io::Result<Self> {
        let mut state = State::default();
        let single = only.is_some();
        if let Some((shared, ping_interval)) = only {
            state.guests.push(Guest::new(String::new(), 0, shared, ping_interval));
        }
        let desk = Arc::new(Desk {
            waker: Waker::new()?,
            over: AtomicBool::new(false),
            bell: Arc::default(),
            single,
            state: Mutex::new(state),
        });
        let thread = std::thread::Builder::new().name("tieline-listen".to_owned()).spawn({
            let desk = Arc::clone(&desk);
            move || desk.receive(&waiting)
        })?;
        Ok(Self { desk, thread: Some(thread) })
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        self.desk.over.store(true, Ordering::SeqCst);
        self.desk.waker.wake();
        if let Some(thread) = self.thread.take() {
            // It never panics, and if it did it could do no harm here.
            let _ = thread.join();
        }
    }
}

/// Where somebody with that name and boot part belongs.
enum Place {
    /// To this session.
    Session(Arc<Shared>),
    /// To none that is there.
    New,
    /// That will show.
    Unclear,
    /// To none: it was there already, or one that is newer was.
    Repeated,
}

impl Desk {
    fn receive(&self, waiting: &Waiting) {
        let mut strangers: Vec<Stranger> = Vec::new();
        let mut pause_until: Option<Instant> = None;
        while !self.over.load(Ordering::SeqCst) {
            pause_until = pause_until.filter(|until| *until > Instant::now());
            let ready = self.wait(waiting, &strangers, pause_until);
            if ready.first() == Some(&true) {
                match self.take_all(waiting, &mut strangers) {
                    Ok(()) => {}
                    Err(error) => {
                        self.state().last = error.to_string();
                        pause_until = Some(Instant::now() + PAUSE);
                    }
                }
            }
            let mut ready = ready.into_iter().skip(1);
            strangers = strangers
                .into_iter()
                .filter_map(|mut stranger| {
                    let readable = ready.next().unwrap_or(true);
                    match self.look_at(&mut stranger, readable) {
                        Verdict::Asks { name, head } => {
                            // Whoever could not stay would give up a line that works for one that does not.
                            if !self.is_taken_for(&name) {
                                probe::answer(&stranger.line, &head);
                            }
                            None
                        }
                        Verdict::Stays => Some(stranger),
                        Verdict::SentAway(why) => {
                            self.note(why);
                            None
                        }
                        Verdict::Placed => {
                            self.place(stranger);
                            None
                        }
                    }
                })
                .collect();
        }
    }

    /// Waits for something to do: whether somebody has come, then who of the strangers has said something.
    fn wait(&self, waiting: &Waiting, strangers: &[Stranger], pause_until: Option<Instant>) -> Vec<bool> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.waker.fd(), PollFlags::IN)];
        let listens = pause_until.is_none();
        let flags = if listens { PollFlags::IN } else { PollFlags::empty() };
        fds.push(PollFd::from_borrowed_fd(waiting.fd(), flags));
        for stranger in strangers {
            let flags = if stranger.is_heard() { PollFlags::IN } else { PollFlags::empty() };
            fds.push(PollFd::from_borrowed_fd(stranger.line.fd(), flags));
        }
        let until = strangers
            .iter()
            .map(|stranger| match stranger.hello {
                None => stranger.came + HELLO_LIMIT,
                Some(_) => Instant::now() + LOOK,
            })
            .chain(pause_until)
            .min();
        let limit = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        if poll(&mut fds, limit.as_ref()).is_err() {
            return Vec::new();
        }
        fds.iter().skip(1).map(|fd| !fd.revents().is_empty()).collect()
    }

    /// Lets in who waits at the door.
    fn take_all(&self, waiting: &Waiting, strangers: &mut Vec<Stranger>) -> io::Result<()> {
        for _ in 0..AT_ONCE {
            let Some(line) = waiting.accept()? else { return Ok(()) };
            if strangers.len() >= STRANGERS {
                // The first is the one that came first, and a peer that means it says HELLO at once.
                strangers.remove(0);
                self.note("somebody came and said nothing");
            }
            strangers.push(Stranger { line, heard: Vec::new(), came: Instant::now(), hello: None });
        }
        Ok(())
    }

    fn look_at(&self, stranger: &mut Stranger, readable: bool) -> Verdict {
        if readable && stranger.hello.is_some() && stranger.has_left() {
            return Verdict::SentAway("somebody greeted, and left");
        }
        if let Some((name, nonce)) = &stranger.hello {
            return match self.where_to(name, *nonce, stranger.came) {
                Place::Repeated => Verdict::SentAway(REPEATED),
                Place::Unclear => Verdict::Stays,
                Place::New if self.single => Verdict::SentAway(ANOTHER),
                Place::New | Place::Session(_) => Verdict::Placed,
            };
        }
        if readable && let Some(verdict) = stranger.listen() {
            return verdict;
        }
        if stranger.hello.is_some() {
            return self.look_at(stranger, false);
        }
        match stranger.came.elapsed() > HELLO_LIMIT {
            true => Verdict::SentAway("somebody came and did not greet"),
            false => Verdict::Stays,
        }
    }

    /// Whether there is one session here, and it is with somebody of another name.
    fn is_taken_for(&self, name: &str) -> bool {
        let only = || self.state().guests.first().and_then(|guest| guest.shared.upgrade());
        self.single && only().is_some_and(|shared| shared.is_with_another(name))
    }

    fn where_to(&self, name: &str, nonce: u64, came: Instant) -> Place {
        let mut state = self.state();
        state.guests.retain(|guest| guest.shared.upgrade().is_some_and(|shared| !shared.is_over()));
        let guests = || state.guests.iter().filter_map(|guest| Some((guest, guest.shared.upgrade()?)));
        if let Some((guest, shared)) =
            guests().find(|(guest, _)| guest.nonce != 0 && boot(guest.nonce) == boot(nonce))
        {
            // Each line begins with a new nonce. What was said on another line before is heard again from a network that
            // repeats, or from somebody who has listened: no line is given up for that.
            let renewed = shared.peer_nonce().filter(|theirs| boot(*theirs) == boot(nonce));
            let newest = renewed.filter(|theirs| is_newer(*theirs, guest.nonce)).unwrap_or(guest.nonce);
            let is_right = is_newer(nonce, newest) || (nonce == newest && !shared.has_line());
            return if is_right { Place::Session(shared) } else { Place::Repeated };
        }
        // What has the name that the session's peer has may be that peer, started anew; what has another one is not.
        if self.single && guests().any(|(_, shared)| shared.is_with_another(name)) {
            return Place::New;
        }
        // Those without a name are told apart by their boot parts alone.
        let namesakes =
            || guests().filter(|(guest, _)| self.single || (guest.name == name && !name.is_empty()));
        if let Some((_, shared)) = namesakes().find(|(_, shared)| !shared.has_working_line()) {
            return Place::Session(shared);
        }
        let quiet = namesakes().find(|(_, shared)| shared.heard_at() <= came);
        match quiet {
            None => Place::New,
            // It has been silent for as long as it never is.
            Some((guest, shared)) if came.elapsed() > guest.patience => Place::Session(shared),
            Some(_) => Place::Unclear,
        }
    }

    /// Gives the line to its session, or puts it where it is accepted.
    fn place(&self, stranger: Stranger) {
        let Some((name, nonce)) = stranger.hello else { return };
        match self.where_to(&name, nonce, stranger.came) {
            Place::Repeated => self.note(REPEATED),
            Place::Session(shared) => {
                for guest in &mut self.state().guests {
                    if guest.shared.as_ptr() == Arc::as_ptr(&shared) {
                        (guest.name, guest.nonce) = (name.clone(), nonce);
                    }
                }
                // The options were good for the line before.
                let _ = shared.attach(stranger.line, &stranger.heard, false);
            }
            Place::New | Place::Unclear if self.single => self.note(ANOTHER),
            Place::New | Place::Unclear => {
                let visitor = Visitor { line: stranger.line, heard: stranger.heard, name, nonce };
                let mut state = self.state();
                let is_same = |earlier: &&Visitor| boot(earlier.nonce) == boot(nonce);
                if state.arrivals.iter().find(is_same).is_some_and(|earlier| !is_newer(nonce, earlier.nonce))
                {
                    return;
                }
                state.arrivals.retain(|earlier| !is_same(&earlier));
                if state.arrivals.len() >= ARRIVALS {
                    state.arrivals.pop_front();
                }
                state.arrivals.push_back(visitor);
                drop(state);
                self.bell.ring();
            }
        }
    }

    fn note(&self, why: &'static str) {
        tracing::debug!("{why}");
        let mut state = self.state();
        state.last = why.to_owned();
        if self.single
            && let Some(shared) = state.guests.first().and_then(|guest| guest.shared.upgrade())
        {
            shared.hint(why);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For those who accept.
impl Desk {
    pub(crate) fn next_arrival(&self) -> Option<Visitor> {
        self.state().arrivals.pop_front()
    }

    pub(crate) fn has_arrivals(&self) -> bool {
        !self.state().arrivals.is_empty()
    }

    /// From now on whoever comes back belongs to this session.
    pub(crate) fn register(&self, name: String, nonce: u64, shared: &Arc<Shared>, ping_interval: Duration) {
        let mut state = self.state();
        state.guests.push(Guest::new(name, nonce, shared, ping_interval));
        let mut waiting: Vec<_> = state
            .guests
            .iter()
            .filter_map(|guest| guest.shared.upgrade())
            .filter_map(|shared| Some((shared.without_line()?, shared)))
            .collect();
        drop(state);
        waiting.sort_by_key(|(since, _)| *since);
        let too_many = waiting.len().saturating_sub(WAITING);
        for (_, shared) in waiting.into_iter().take(too_many) {
            shared.end(Ended::Lost { reason: tieline::LostReason::LinkDown, cause: None });
        }
    }

    /// What was last seen of somebody who was no peer.
    pub(crate) fn last(&self) -> String {
        self.state().last.clone()
    }

    pub(crate) fn note_last(&self, last: String) {
        self.state().last = last;
    }
}

impl Guest {
    fn new(name: String, nonce: u64, shared: &Arc<Shared>, ping_interval: Duration) -> Self {
        // Twice, for one that is late.
        Self { name, nonce, shared: Arc::downgrade(shared), patience: ping_interval.saturating_mul(2) }
    }
}
