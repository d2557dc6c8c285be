//! Runs a [`Schedule`]: what must hold whatever the line, the power and the applications do.
//!
//! | property | what fails |
//! |---|---|
//! | order | a message is read twice (but the newest of a route that keeps it, by an interest that comes back), or before an earlier one |
//! | prefix | of the reliable messages of one session one is missing and a later one was read |
//! | tickets | a ticket's end is not true, is missing, or has a reason that cannot be |
//! | expiry | a message is read later than its life, and the time that it was under way, allow |
//! | latest | the last that is read is not the newest, where the route keeps it |
//! | rate | more messages pass than a rate limit allows |
//! | loss | the counters of best-effort messages are not exact |
//! | requests | a question has no outcome, two, or another one's answer |
//! | quota | more is under way than a window, or than TX, allows |
//! | cause | a session was lost and nothing was done to it that both sides do not bear |
//! | bounded | not everything is delivered [`SETTLE_MS`] after the faults have ended |
//! | quiet | with nothing to say the line carries more than keep-alives |
//! | panic | anything panics: an assertion of the simulator, an overflow |
//!
//! What is read off a run at its end is judged in `verdict`. That each ticket ends once and that time does not stand still
//! is asserted by the simulator itself.

use std::collections::HashMap;
use std::time::Duration;

use tieline::{
    CallId, CallOptions, Config, Event, FailReason, History, IntentOptions, InterestOptions, PublishOptions,
    Quality,
};

use crate::app::{App, Handle, Reading, Serving};
use crate::feed::{End, Fate, Feed, numbered};
use crate::names::{ADD, EIGHT};
use crate::quiet::quietly;
pub use crate::report::{Failure, Report};
use crate::report::{fail, hold, what_is_open};
use crate::rng::Rng;
use crate::schedule::{Action, Half, Kind, Schedule, line_with};
use crate::shrink::shrink;
use crate::sim::{B, Setup, Sim, Who};
use crate::verdict::{self, Asked, Story};

/// Within this time after the last fault everything is delivered, ms.
pub const SETTLE_MS: u64 = 30_000;
/// How long the line is then watched for anything but keep-alives, ms.
pub const QUIET_MS: u64 = 10_000;
/// How many tries it may take to make a failing schedule smaller, each with so many seeds.
const SHRINK_TRIES: u32 = 1_500;
const SHRINK_SEEDS: u64 = 4;
/// Quotas are checked once in so many steps of the simulator.
const QUOTA_STEPS: u32 = 50;

/// Runs a schedule. Panics in it are caught and are a failure.
///
/// # Errors
/// The first property that does not hold.
pub fn run(schedule: &Schedule) -> Result<Report, Failure> {
    quietly(|| Run::new(schedule).all()).unwrap_or_else(|message| Err(Failure { property: "panic", message }))
}

/// Shrinks a schedule that failed; says what fails, and the text that makes a regression test of it.
#[must_use]
pub fn explain(schedule: Schedule, failure: &Failure) -> String {
    let seed = schedule.seed;
    // Of a panic its first line says where it was; of others the words change with the schedule.
    let place = |of: &Failure| (of.property == "panic").then(|| of.message.lines().next().map(str::to_owned));
    let same = |schedule: &Schedule| {
        run(schedule)
            .is_err_and(|other| other.property == failure.property && place(&other) == place(failure))
    };
    let (small, tries) = shrink(schedule, SHRINK_TRIES, |smaller| {
        let mut with_seeds = (0..SHRINK_SEEDS).map(|more| Schedule { seed: seed + more, ..smaller.clone() });
        with_seeds.find(same)
    });
    let left = run(&small).err().map_or_else(String::new, |left| left.to_string());
    format!(
        "seed {seed} fails: {failure}\n\
         smallest schedule after {tries} tries: {left}\n\
         for the list of regressions in tests/tests/property.rs:\n{},\n",
        small.literal()
    )
}

/// A condition that lasts until a time, µs, on each side.
type Until = [Option<u64>; 2];

/// A run under way.
struct Run<'s> {
    schedule: &'s Schedule,
    sim: Sim,
    rng: Rng,
    /// Publisher and reader of each route.
    routes: Vec<(Handle, Handle)>,
    services: [Option<Handle>; 2],
    /// Without power; without link; with an application that hangs; with a line on which it is not heard.
    dead: Until,
    down: Until,
    asleep: Until,
    cut: Until,
    /// Declarations that are taken back until a time, µs.
    gone: Vec<(u64, Who, Handle)>,
    /// Questions of each side's present life, with what was asked.
    asked: [HashMap<CallId, Vec<u8>>; 2],
    /// How many answers of a side are from earlier lives.
    stale_answers: [usize; 2],
    requests: u64,
}

impl<'s> Run<'s> {
    fn new(schedule: &'s Schedule) -> Self {
        let mut config = [Config::new("a"), Config::new("b")];
        let Schedule { ping_ms, silence_ms, resume_ms, .. } = schedule;
        let times = [(ping_ms.0, silence_ms.0, resume_ms.0), (ping_ms.1, silence_ms.1, resume_ms.1)];
        for (config, (ping, silence, resume)) in config.iter_mut().zip(times) {
            config.ping_interval = Duration::from_millis(ping);
            config.silence = Duration::from_millis(silence);
            config.resume_for = Duration::from_millis(resume);
        }
        let line = line_with(schedule.baud, &schedule.faults.0);
        let setup = Setup {
            sizes: [schedule.sizes.0, schedule.sizes.1],
            config,
            line,
            link: schedule.kind.link(schedule.baud),
            ..Setup::new(schedule.seed)
        };
        let mut sim = setup.build();
        Who::BOTH.into_iter().for_each(|who| sim[who].app.tells_time = true);
        sim.line_from(B).config = line_with(schedule.baud, &schedule.faults.1);
        let rng = Rng::new(!schedule.seed);
        let (dead, down, asleep, cut) = <(Until, Until, Until, Until)>::default();
        let mut run = Self {
            schedule,
            sim,
            rng,
            routes: Vec::new(),
            services: [None; 2],
            dead,
            down,
            asleep,
            cut,
            gone: Vec::new(),
            asked: [HashMap::new(), HashMap::new()],
            stale_answers: [0; 2],
            requests: 0,
        };
        run.declare();
        run
    }

    fn declare(&mut self) {
        for plan in &self.schedule.routes {
            let (quality, tickets) = match plan.reliable {
                true => (Quality::Reliable, true),
                false => (Quality::BestEffort, false),
            };
            let history = if plan.latest { History::Latest } else { History::All };
            let (priority, rate) = (plan.priority, plan.rates.0);
            let options = IntentOptions { quality, priority, ttl: None, tickets, history, rate };
            let name = &EIGHT[plan.name % EIGHT.len()];
            let intent = self.sim[plan.from].intent(name, options);
            let reader = &mut self.sim[plan.from.other()];
            let window = Some(plan.window);
            let interest = reader.interest(name, InterestOptions { window, ttl: None, rate: plan.rates.1 });
            reader.reads(interest, plan.reading);
            let expires = (plan.life_ms > 0).then(|| Duration::from_millis(plan.life_ms));
            let feed = Feed::new(intent, plan.count, plan.size).every(plan.every_ms);
            self.sim[plan.from].feed(feed.with(PublishOptions { expires }));
            self.routes.push((intent, interest));
        }
        if let Some(wait) = self.schedule.answers {
            for who in Who::BOTH {
                let serving = if wait == 0 { Serving::Echo } else { Serving::Later(wait) };
                // What RX has left besides the windows is for this and for answers.
                self.services[who as usize] = self.sim[who].try_service(&ADD, serving, 40);
            }
        }
    }

    fn all(mut self) -> Result<Report, Failure> {
        self.sim.connect();
        let actions = &self.schedule.actions;
        for (at, action) in actions {
            self.run_to(at * 1_000)?;
            self.act(action);
        }
        self.run_to(self.schedule.faulty_ms * 1_000)?;
        self.end_faults();
        let settled = self.settle();
        // If it does not settle, a message that was read twice or not says more about why.
        self.story().judge_order()?;
        let settled_ms = settled?;
        self.watch_quiet()?;
        self.story().judge()?;
        Ok(self.report(settled_ms))
    }

    fn story(&self) -> Story<'_> {
        let asked = Who::BOTH.map(|who| {
            let at = who as usize;
            Asked { calls: &self.asked[at], stale_answers: self.stale_answers[at] }
        });
        Story { schedule: self.schedule, sim: &self.sim, routes: &self.routes, asked }
    }

    /// Lets time pass; what lasts until some time before ends then.
    fn run_to(&mut self, end: u64) -> Result<(), Failure> {
        loop {
            self.wake();
            let now = self.sim.now;
            let ends = [self.dead, self.down, self.asleep, self.cut].into_iter().flatten().flatten();
            let ends = ends.chain(self.gone.iter().map(|(until, ..)| *until));
            // A link that is back waits for its side's power.
            let next = ends.filter(|until| *until > now).min().map_or(end, |next| next.min(end));
            self.drive(next, |_| false)?;
            if next >= end {
                self.wake();
                return Ok(());
            }
        }
    }

    /// Runs until `done` or until a time, and checks the quotas now and then.
    fn drive(&mut self, end: u64, done: impl Fn(&Sim) -> bool) -> Result<bool, Failure> {
        let (mut steps, mut broken) = (0, None);
        let (schedule, routes) = (self.schedule, &self.routes);
        let ms = end.saturating_sub(self.sim.now).div_ceil(1_000);
        let came = self.sim.run_until(ms, |sim| {
            steps += 1;
            if steps % QUOTA_STEPS == 1 {
                broken = verdict::check_quotas(schedule, routes, sim).err();
            }
            broken.is_some() || done(sim)
        });
        match broken {
            Some(failure) => Err(failure),
            None => Ok(came),
        }
    }

    /// Ends what has lasted long enough.
    fn wake(&mut self) {
        let now = self.sim.now;
        for (_, who, handle) in self.gone.extract_if(.., |(until, ..)| *until <= now) {
            self.sim[who].redeclare(handle).expect("what was declared before fits again");
        }
        let over = |until: &mut Option<u64>| until.take_if(|until| *until <= now).is_some();
        for who in Who::BOTH {
            let at = who as usize;
            if over(&mut self.dead[at]) {
                self.sim.power(who);
                self.down[at] = self.down[at].max(Some(now));
            }
            if over(&mut self.asleep[at]) {
                self.sim[who].app.asleep = false;
            }
            if over(&mut self.cut[at]) {
                self.sim.line_from(who).cut = false;
            }
            if self.dead[at].is_none() && over(&mut self.down[at]) {
                self.sim.connect_side(who);
            }
        }
    }

    fn act(&mut self, action: &Action) {
        let now = self.sim.now;
        let until = |ms: u64| Some(now + ms * 1_000);
        let stream = self.schedule.kind == Kind::Stream;
        match action {
            Action::Outage(who, ms) if stream => self.sim.line_from(*who).stall(now + ms * 1_000),
            Action::Outage(who, ms) => {
                let line = self.sim.line_from(*who);
                line.cut = true;
                line.clear();
                let cut = &mut self.cut[*who as usize];
                *cut = (*cut).max(until(*ms));
            }
            Action::Unplug(ms) => Who::BOTH.into_iter().for_each(|who| self.disconnect(who, until(*ms))),
            Action::Disconnect(_, ms) if stream => self.act(&Action::Unplug(*ms)),
            Action::Disconnect(who, ms) => self.disconnect(*who, until(*ms)),
            Action::Restart(who, ms) => {
                if stream {
                    self.act(&Action::Unplug(*ms));
                }
                self.kill(*who, until(*ms));
            }
            Action::Sleep(who, ms) => {
                self.sim[*who].app.asleep = true;
                let asleep = &mut self.asleep[*who as usize];
                *asleep = (*asleep).max(until(*ms));
            }
            Action::Read(route, reading) => self.read(*route, *reading),
            Action::Noise(who, bytes) if !stream => {
                let noise = self.rng.bytes(*bytes as usize);
                self.sim.inject(*who, &noise);
            }
            Action::Noise(..) => {}
            Action::Ask(who, len, timeout) => self.ask(*who, *len, *timeout),
            Action::Withdraw(route, half, ms) => {
                let Some((who, handle)) = self.declaration(*route, *half) else { return };
                self.sim[who].withdraw(handle);
                self.gone.push((now + ms * 1_000, who, handle));
            }
            Action::Lapse(route, half, ms) => {
                let Some((who, handle)) = self.declaration(*route, *half) else { return };
                self.set_ttl(who, handle, Some(Duration::from_millis(*ms)));
            }
            Action::Line(who, faults) => {
                self.sim.line_from(*who).config = line_with(self.schedule.baud, faults);
            }
        }
    }

    /// Whose a declaration of a route is, and which.
    fn declaration(&self, route: usize, half: Half) -> Option<(Who, Handle)> {
        let (plan, (intent, interest)) = (self.schedule.routes.get(route)?, self.routes.get(route)?);
        Some(match half {
            Half::Intent => (plan.from, *intent),
            Half::Interest => (plan.from.other(), *interest),
        })
    }

    fn set_ttl(&mut self, who: Who, handle: Handle, ttl: Option<Duration>) {
        self.sim[who].set_ttl(handle, ttl).expect("what was declared before fits again");
    }

    fn disconnect(&mut self, who: Who, until: Option<u64>) {
        let at = who as usize;
        self.down[at] = self.down[at].max(until);
        if self.schedule.kind == Kind::Stream {
            // Nothing of one connection comes out of the next.
            let now = self.sim.now;
            self.sim.lines.iter_mut().for_each(|line| {
                line.clear();
                line.abort(now);
            });
        }
        if self.dead[at].is_none() {
            self.sim.disconnect_side(who);
        }
    }

    fn kill(&mut self, who: Who, until: Option<u64>) {
        let at = who as usize;
        self.dead[at] = self.dead[at].max(until);
        self.sim.kill(who);
        self.asleep[at] = None;
        self.asked[at].clear();
        self.stale_answers[at] = self.sim[who].app.answers.len();
    }

    fn read(&mut self, route: usize, reading: Reading) {
        let Some(plan) = self.schedule.routes.get(route) else { return };
        self.sim[plan.from.other()].reads(self.routes[route].1, reading);
    }

    fn ask(&mut self, who: Who, len: usize, timeout: u64) {
        let at = who as usize;
        let asleep = self.sim[who].app.asleep;
        // What is declared again finds the room that it had.
        let waits = self.gone.iter().any(|(_, whose, _)| *whose == who);
        if self.dead[at].is_some() || asleep || waits || self.services[who.other() as usize].is_none() {
            return;
        }
        let payload = numbered(self.requests as u32, len);
        let timeout = Duration::from_millis(timeout);
        if let Ok(call) = self.sim.request(who, &ADD, &payload, CallOptions { timeout, room: len }) {
            self.requests += 1;
            self.asked[at].insert(call, payload);
        }
    }

    /// From now on nothing goes wrong and everybody reads.
    fn end_faults(&mut self) {
        let now = self.sim.now;
        for until in [&mut self.dead, &mut self.down, &mut self.asleep, &mut self.cut] {
            until.iter_mut().flatten().for_each(|until| *until = now);
        }
        self.gone.iter_mut().for_each(|(until, ..)| *until = now);
        self.wake();
        self.sim.lines.iter_mut().for_each(|line| line.stall(now));
        self.sim.end_faults();
        let lapses = self.schedule.actions.iter().any(|(_, action)| matches!(action, Action::Lapse(..)));
        for route in 0..self.routes.len() {
            self.read(route, Reading::Always);
            // The two declarations of one side share their time to live: all are renewed.
            for half in [Half::Intent, Half::Interest] {
                if let Some((who, handle)) = self.declaration(route, half).filter(|_| lapses) {
                    self.set_ttl(who, handle, None);
                }
            }
            self.publish_last(route);
        }
    }

    /// A route that keeps its newest message gets one that the line cannot lose: when no session is stale any more.
    fn publish_last(&mut self, route: usize) {
        let (plan, (intent, _)) = (&self.schedule.routes[route], self.routes[route]);
        let stale_ms = self.schedule.silence_ms.0.max(self.schedule.silence_ms.1) * 2 + 3_000;
        let due = self.sim.now + stale_ms * 1_000;
        let mut feeds = self.sim[plan.from].app.feeds.iter_mut();
        if let Some(feed) = feeds.find(|feed| plan.latest && feed.handle == intent) {
            // What was not published by then is left out, so that this one comes in time.
            (feed.count, feed.due) = (feed.next + 1, due);
        }
    }

    /// Waits until everything is delivered, and has been so for longer than a lost session goes unnoticed. The time
    /// that it took, in ms.
    fn settle(&mut self) -> Result<u64, Failure> {
        let begin = self.sim.now;
        let end = begin + SETTLE_MS * 1_000;
        let calm = self.schedule.silence_ms.0.max(self.schedule.silence_ms.1) + 1_500;
        loop {
            if !self.drive(end, verdict::is_done)? {
                return fail("bounded", format!("after {SETTLE_MS} ms: {}", what_is_open(&self.sim)));
            }
            let done_at = self.sim.now;
            let sessions = Who::BOTH.map(|who| self.sim[who].app.sessions);
            self.drive(done_at + calm * 1_000, |_| false)?;
            if verdict::is_done(&self.sim) && Who::BOTH.map(|who| self.sim[who].app.sessions) == sessions {
                return Ok((done_at - begin) / 1_000);
            }
        }
    }

    /// Nothing is to be said: only keep-alives may be.
    fn watch_quiet(&mut self) -> Result<(), Failure> {
        let schedule = self.schedule;
        let before = self.sim.lines.each_ref().map(|line| (line.frames, line.bytes));
        let events = Who::BOTH.map(|who| self.sim[who].app.events.len());
        let repeated = Who::BOTH.map(|who| self.sim[who].endpoint.stats().retransmitted);
        let end = self.sim.now + QUIET_MS * 1_000;
        self.drive(end, |_| false)?;
        let pings = [
            QUIET_MS / schedule.ping_ms.0.min(schedule.silence_ms.1 / 3) + 2,
            QUIET_MS / schedule.ping_ms.1.min(schedule.silence_ms.0 / 3) + 2,
        ];
        for who in Who::BOTH {
            let at = who as usize;
            let (own, theirs) = (pings[at], pings[1 - at]);
            let frames = self.sim.lines[at].frames - before[at].0;
            hold(frames <= own + theirs, "quiet", || {
                format!(
                    "{who:?} sent {frames} frames in {QUIET_MS} ms, {own} pings and {theirs} pongs are due"
                )
            })?;
            // Framing and check at most 12, PING 6, PONG 10, ACK 10, TAKEN 12 for each route that it reads.
            let reads = schedule.routes.iter().filter(|plan| plan.from != who).count() as u64;
            let most = own * (12 + 6) + theirs * (12 + 10 + 10 + 12 * reads);
            let bytes = self.sim.lines[at].bytes - before[at].1;
            hold(bytes <= most, "quiet", || {
                format!("{who:?} sent {bytes} bytes, {most} at the most are due")
            })?;
            let events = &self.sim[who].app.events[events[at]..];
            hold(events.is_empty(), "quiet", || format!("{who:?} heard of {events:?}"))?;
            let more = self.sim[who].endpoint.stats().retransmitted - repeated[at];
            hold(more == 0, "quiet", || format!("{who:?} sent {more} packets again"))?;
        }
        Ok(())
    }

    fn report(&self, settled_ms: u64) -> Report {
        let apps = Who::BOTH.map(|who| &self.sim[who].app);
        let sum = |of: &dyn Fn(usize) -> u64| of(0) + of(1);
        let failed = |fate: &&Fate| matches!(fate.end, End::Failed(_) | End::Forgotten);
        let ended = |app: &App, reason| {
            app.fates.iter().filter(|fate| fate.end == End::Failed(reason)).count() as u64
        };
        Report {
            virtual_ms: self.sim.now / 1_000,
            published: sum(&|at| apps[at].fates.len() as u64),
            read: sum(&|at| apps[at].received.len() as u64),
            failed: sum(&|at| apps[at].fates.iter().filter(failed).count() as u64),
            expired: sum(&|at| ended(apps[at], FailReason::Expired)),
            superseded: sum(&|at| ended(apps[at], FailReason::Superseded)),
            resumed: sum(&|at| apps[at].count(Event::Established { resumed: true }) as u64),
            sessions: sum(&|at| apps[at].sessions.into()),
            requests: self.requests,
            frames: sum(&|at| self.sim.lines[at].frames),
            faults: sum(&|at| self.sim.lines[at].faults),
            actions: self.schedule.actions.len() as u64,
            settled_ms,
        }
    }
}
