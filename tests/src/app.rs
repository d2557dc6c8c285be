//! An application: what it declares, how it reads, publishes, answers and asks, and what it has heard.
//!
//! Invariant, checked while it runs: each ticket ends exactly once.

use std::collections::HashMap;

use tieline::{
    Answer, CallId, Endpoint, Event, FailReason, Instant, IntentOptions, InterestOptions, Outcome, Quality,
    RequestId, RouteId, RouteName, Select, ServiceOptions, Ticket,
};

use crate::feed::{End, Fate, Feed, number_of, numbered};
use crate::memory::Memory;
use crate::rng::Rng;

/// Names a declaration of an application, across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(pub(crate) usize);

/// How the messages of an interest are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As they come.
    Always,
    /// One every so many ms.
    Every(u64),
    /// Not at all.
    Never,
}

/// How requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// At once, with what was asked.
    Echo,
    /// With what was asked, after so many ms.
    Later(u64),
    /// At once, with this code and payload.
    Say(u32, Vec<u8>),
    /// Taken, and left to the story: see [`App::asked`].
    Silent,
    /// Not even taken.
    Deaf,
}

/// How a request of ours ended, to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in tieline::Outcome")]
pub enum Heard {
    Ok(Vec<u8>),
    Refused(u32, Vec<u8>),
    NoIntent,
    Busy,
    TimedOut,
    TooLarge,
    Malformed,
    Lost,
}

impl From<Outcome<'_>> for Heard {
    fn from(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Ok(payload) => Self::Ok(payload.to_vec()),
            Outcome::Refused { code, payload } => Self::Refused(code, payload.to_vec()),
            Outcome::NoIntent => Self::NoIntent,
            Outcome::Busy => Self::Busy,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::TooLarge => Self::TooLarge,
            Outcome::Malformed => Self::Malformed,
            Outcome::Lost => Self::Lost,
        }
    }
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When, µs.
    pub at: u64,
    /// By which interest.
    pub handle: Handle,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// A reliable message whose end is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sold {
    /// What names it.
    pub ticket: Ticket,
    /// How it ended: None while it has not, then whether and why it failed.
    pub end: Option<Result<(), FailReason>>,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Intent(IntentOptions),
    Interest(InterestOptions),
    Service(ServiceOptions),
}

#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) name: &'static RouteName,
    pub(crate) what: What,
    pub(crate) id: Option<RouteId>,
    /// Not withdrawn.
    pub(crate) lives: bool,
    pub(crate) reading: Reading,
    pub(crate) serving: Serving,
    pub(crate) read_at: u64,
    /// Messages that it has read, and the bytes of their payloads.
    pub(crate) heard: usize,
    pub(crate) heard_bytes: u64,
    /// Whether the messages themselves are kept, too.
    pub(crate) keeps: bool,
}

/// The application.
#[derive(Debug)]
pub struct App {
    /// Whether it looks at events at all.
    pub polls_events: bool,
    /// Whether it looks at answers at all.
    pub polls_answers: bool,
    /// Whether it tells its endpoint the time before it does anything: rates and lives are judged by the newest time told.
    pub tells_time: bool,
    /// What it has read, of all starts, but where [`counts_only`](crate::Side::counts_only) was asked for.
    pub received: Vec<Received>,
    /// What happened, with the time in µs.
    pub events: Vec<(u64, Event)>,
    /// Requests that were taken by a service that is [`Serving::Silent`].
    pub asked: Vec<(RequestId, Vec<u8>)>,
    /// How its requests ended.
    pub answers: Vec<(CallId, Heard)>,
    /// What it publishes by itself.
    pub feeds: Vec<Feed>,
    /// What became of the messages that feeds have published: all of them, in that order, over restarts.
    pub fates: Vec<Fate>,
    /// Sessions that it has seen begin, and its own ends: two messages with the same count were in one session.
    pub sessions: u32,
    /// Does nothing at all: its task hangs.
    pub asleep: bool,
    /// Tickets of the messages that were published since the last start, and how they ended.
    pub sold: Vec<Sold>,
    /// Tickets that have not ended: where they stand in `sold`, and in `fates` if a feed published them.
    open: HashMap<Ticket, (usize, Option<usize>)>,
    later: Vec<(u64, RequestId, Vec<u8>)>,
    pub(crate) declarations: Vec<Declaration>,
    /// When its program started, µs, and what its clock showed then.
    pub(crate) epoch: (u64, u64),
}

impl App {
    pub(crate) fn new() -> Self {
        Self {
            polls_events: true,
            polls_answers: true,
            tells_time: false,
            received: Vec::new(),
            events: Vec::new(),
            asked: Vec::new(),
            answers: Vec::new(),
            feeds: Vec::new(),
            fates: Vec::new(),
            sessions: 0,
            asleep: false,
            sold: Vec::new(),
            open: HashMap::new(),
            later: Vec::new(),
            declarations: Vec::new(),
            epoch: (0, 0),
        }
    }

    /// The payloads that an interest has read, of all starts.
    #[must_use]
    pub fn payloads(&self, handle: Handle) -> Vec<&[u8]> {
        let read = self.received.iter().filter(|message| message.handle == handle);
        read.map(|message| &message.payload[..]).collect()
    }

    /// How many messages an interest has read, of all starts.
    #[must_use]
    pub fn heard(&self, handle: Handle) -> usize {
        self.declarations[handle.0].heard
    }

    /// How many bytes of payload an interest has read, of all starts.
    #[must_use]
    pub fn heard_bytes(&self, handle: Handle) -> u64 {
        self.declarations[handle.0].heard_bytes
    }

    /// The numbers of the numbered messages that an interest has read.
    #[must_use]
    pub fn numbers(&self, handle: Handle) -> Vec<u32> {
        self.payloads(handle).into_iter().map(number_of).collect()
    }

    /// Whether an event has happened.
    #[must_use]
    pub fn saw(&self, wanted: Event) -> bool {
        self.count(wanted) > 0
    }

    /// How often an event has happened.
    #[must_use]
    pub fn count(&self, wanted: Event) -> usize {
        self.events.iter().filter(|(_, event)| *event == wanted).count()
    }

    /// The events, without those about tickets.
    #[must_use]
    pub fn states(&self) -> Vec<Event> {
        let ticket = |event: &Event| matches!(event, Event::Delivered(_) | Event::Failed(..));
        self.events.iter().map(|(_, event)| *event).filter(|event| !ticket(event)).collect()
    }

    /// Forgets what was heard so far.
    pub fn forget(&mut self) {
        self.received.clear();
        for declared in &mut self.declarations {
            (declared.heard, declared.heard_bytes) = (0, 0);
        }
        self.events.clear();
        self.answers.clear();
        self.asked.clear();
    }

    /// How the tickets ended: delivered, failed, still open.
    #[must_use]
    pub fn ends(&self) -> (usize, Vec<FailReason>, usize) {
        let delivered = self.sold.iter().filter(|sold| sold.end == Some(Ok(()))).count();
        let failed = self.sold.iter().filter_map(|sold| sold.end?.err()).collect();
        (delivered, failed, self.sold.iter().filter(|sold| sold.end.is_none()).count())
    }

    /// Whether all feeds have come to their end.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        self.feeds.iter().all(|feed| feed.next >= feed.count)
    }

    /// How many tickets it has that have not ended.
    #[must_use]
    pub fn open_tickets(&self) -> usize {
        self.open.len()
    }

    /// The program ends: what it knew of messages under way is gone with it.
    pub(crate) fn die(&mut self) {
        for (_, (_, fate)) in self.open.drain() {
            if let Some(fate) = fate {
                self.fates[fate].end = End::Forgotten;
            }
        }
        self.sessions += 1;
        self.asleep = false;
        self.sold.clear();
        self.later.clear();
        self.asked.clear();
    }

    pub(crate) fn id(&self, handle: Handle) -> RouteId {
        self.try_id(handle).expect("declared")
    }

    /// The route's present id, unless it is withdrawn.
    pub(crate) fn try_id(&self, handle: Handle) -> Option<RouteId> {
        self.declarations[handle.0].id
    }

    pub(crate) fn on_published(&mut self, handle: Handle, ticket: Option<Ticket>, fate: Option<usize>) {
        let What::Intent(options) = self.declarations[handle.0].what else { return };
        let Some(ticket) = ticket.filter(|_| options.tickets) else { return };
        let double = self.open.insert(ticket, (self.sold.len(), fate));
        assert!(double.is_none(), "{ticket:?} was given out twice");
        self.sold.push(Sold { ticket, end: None });
    }

    /// When it wants to do something by itself.
    pub(crate) fn next_wake(&self, now: u64) -> Option<u64> {
        self.wakes().filter(|at| *at > now).min()
    }

    /// Whether it wants to do something now.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.wakes().any(|at| at <= now)
    }

    fn wakes(&self) -> impl Iterator<Item = u64> {
        self.awake_wakes().filter(|_| !self.asleep)
    }

    fn awake_wakes(&self) -> impl Iterator<Item = u64> {
        let reads = self.declarations.iter().filter_map(|declared| match declared.reading {
            Reading::Every(_) if declared.lives => Some(declared.read_at),
            Reading::Every(_) | Reading::Always | Reading::Never => None,
        });
        let feeds =
            self.feeds.iter().filter(|feed| (feed.every_ms > 0 || feed.due > 0) && feed.next < feed.count);
        let later = self.later.iter().map(|(at, ..)| *at);
        reads.chain(feeds.map(|feed| feed.due)).chain(later)
    }

    /// Does all that it wants to do now.
    pub(crate) fn run(&mut self, endpoint: &mut Endpoint<Memory>, now: u64) {
        if self.asleep {
            return;
        }
        self.read(endpoint, now);
        if self.polls_events {
            while let Some(event) = endpoint.poll_event() {
                self.on_event(event, now);
            }
        }
        if self.polls_answers {
            while let Some(Answer { call, outcome }) = endpoint.poll_answer(Select::Any) {
                self.answers.push((call, outcome.into()));
            }
        }
        self.answer(endpoint, now);
        for at in 0..self.feeds.len() {
            self.feed(endpoint, at, now);
        }
    }

    fn on_event(&mut self, event: Event, now: u64) {
        let end = match event {
            Event::Delivered(ticket) => Some((ticket, Ok(()))),
            Event::Failed(ticket, reason) => Some((ticket, Err(reason))),
            _ => None,
        };
        if let Some((ticket, end)) = end {
            let open = self.open.remove(&ticket);
            let (at, fate) = open.unwrap_or_else(|| panic!("{ticket:?} ends a second time: {end:?}"));
            self.sold[at].end = Some(end);
            if let Some(fate) = fate {
                self.fates[fate].end = end.map_or_else(End::Failed, |()| End::Delivered);
            }
        }
        if let Event::Established { resumed: false } = event {
            self.sessions += 1;
        }
        self.events.push((now, event));
    }

    fn read(&mut self, endpoint: &mut Endpoint<Memory>, now: u64) {
        for (at, declared) in self.declarations.iter_mut().enumerate().filter(|(_, declared)| declared.lives)
        {
            let Some(id) = declared.id else { continue };
            let most = match (&declared.what, declared.reading, &declared.serving) {
                (What::Intent(_), ..) | (What::Interest(_), Reading::Never, _) => 0,
                (What::Service(_), _, Serving::Deaf) => 0,
                (What::Interest(_), Reading::Every(_), _) => usize::from(declared.read_at <= now),
                (What::Interest(_), Reading::Always, _) | (What::Service(_), ..) => usize::MAX,
            };
            let mut count = 0;
            while count < most
                && let Some(message) = endpoint.poll_message(Select::Only(id))
            {
                count += 1;
                assert_eq!(message.route, id);
                let Some(request) = message.request else {
                    declared.heard += 1;
                    declared.heard_bytes += message.payload.len() as u64;
                    if declared.keeps {
                        let payload = message.payload.to_vec();
                        self.received.push(Received { at: now, handle: Handle(at), payload });
                    }
                    continue;
                };
                let payload = message.payload.to_vec();
                match &declared.serving {
                    Serving::Echo => self.later.push((now, request, payload)),
                    Serving::Later(ms) => self.later.push((now + ms * 1000, request, payload)),
                    Serving::Say(code, text) => {
                        endpoint.respond(request, *code, text).expect("there is room for this answer");
                    }
                    Serving::Silent | Serving::Deaf => self.asked.push((request, payload)),
                }
            }
            if let Reading::Every(ms) = declared.reading
                && declared.read_at <= now
            {
                declared.read_at = now + ms * 1000;
            }
        }
    }

    /// What its clock shows.
    const fn clock(&self, now: u64) -> Instant {
        Instant::from_micros(now - self.epoch.0 + self.epoch.1)
    }

    fn is_reliable(&self, handle: Handle) -> bool {
        let what = &self.declarations[handle.0].what;
        matches!(what, What::Intent(IntentOptions { quality: Quality::Reliable, .. }))
    }

    fn answer(&mut self, endpoint: &mut Endpoint<Memory>, now: u64) {
        self.later.retain(|(at, request, payload)| {
            *at > now || endpoint.respond(*request, 0, payload) == Err(nb::Error::WouldBlock)
        });
    }

    fn feed(&mut self, endpoint: &mut Endpoint<Memory>, at: usize, now: u64) {
        loop {
            let feed = self.feeds[at];
            if feed.next >= feed.count || feed.due > now {
                return;
            }
            // The length hangs on the number alone, so that a second try is the same message.
            let len = Rng::new(u64::from(feed.next)).between(feed.size.0 as u64, feed.size.1 as u64);
            let Some(id) = self.declarations[feed.handle.0].id else { return };
            let limit = endpoint.payload_limit_with(id, feed.options.unwrap_or_default());
            let payload = numbered(feed.next, (len as usize).min(limit.unwrap_or(usize::MAX)).max(4));
            let published = match feed.options {
                None => endpoint.publish(id, &payload),
                Some(options) => endpoint.publish_with(self.clock(now), id, &payload, options),
            };
            let Ok(ticket) = published else { return };
            let Feed { handle, next: number, .. } = feed;
            let end = if ticket.is_none() && self.is_reliable(handle) { End::Untold } else { End::Open };
            let (session, len) = (self.sessions, payload.len());
            self.fates.push(Fate { handle, number, session, at: now, len, end });
            self.on_published(handle, ticket, Some(self.fates.len() - 1));
            let feed = &mut self.feeds[at];
            feed.next += 1;
            if feed.every_ms > 0 {
                feed.due = now + feed.every_ms * 1000;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tieline::{IntentOptions, InterestOptions};

    use crate::feed::Feed;
    use crate::names::IMU;
    use crate::sim::{A, B, Sim};

    #[test]
    fn what_is_only_counted_is_not_kept() {
        let mut sim = Sim::new(1);
        let publisher = sim[A].intent(&IMU, IntentOptions::reliable());
        let reader = sim[B].interest(&IMU, InterestOptions::default());
        sim[B].counts_only(reader);
        sim[A].feed(Feed::new(publisher, 10, (20, 20)));
        sim.establish();
        sim.run_us(999_999);
        assert_eq!((sim[B].app.heard(reader), sim[B].app.heard_bytes(reader)), (10, 200));
        assert!(sim[B].app.received.is_empty());
        sim[B].app.forget();
        assert_eq!((sim[B].app.heard(reader), sim[B].app.heard_bytes(reader)), (0, 0));
    }
}
