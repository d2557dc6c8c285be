//! Judges a run of the property tests by what its applications were told and read.
//!
//! Nothing in here changes a run. The properties are listed in [`crate::property`].

use std::collections::HashMap;

use tieline::{CallId, Event, FailReason, Rate};

use crate::app::{Handle, Heard};
use crate::feed::{End, Fate, number_of};
use crate::report::{Failure, fail, hold};
use crate::schedule::{Action, Fault, Half, Kind, Plan, Schedule};
use crate::sim::{Sim, Who};

/// What waits or is under way takes as many bytes of TX each at the least.
const RECORD_MIN: usize = 16;
/// How late a frame may be that others overtake: see [`LineConfig::clean`](crate::LineConfig::clean), µs.
const REORDER_US: u64 = 10_000;
/// Lives are told in whole ms, by two clocks, µs.
const CLOCK_US: u64 = 3_000;

/// What a side asked in its present life.
pub(crate) struct Asked<'r> {
    /// The questions.
    pub(crate) calls: &'r HashMap<CallId, Vec<u8>>,
    /// How many of the answers it has heard are from earlier lives.
    pub(crate) stale_answers: usize,
}

/// A run that is over.
pub(crate) struct Story<'r> {
    pub(crate) schedule: &'r Schedule,
    pub(crate) sim: &'r Sim,
    /// Publisher and reader of each route.
    pub(crate) routes: &'r [(Handle, Handle)],
    pub(crate) asked: [Asked<'r>; 2],
}

impl Story<'_> {
    /// Whether all that was promised was kept.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
        for route in 0..self.routes.len() {
            self.judge_route(route)?;
            self.judge_latest(route)?;
            self.judge_rates(route)?;
        }
        for who in Who::BOTH {
            self.judge_loss(who)?;
            self.judge_requests(who)?;
            let states = self.sim[who].app.states();
            let lost = |event: &Event| matches!(event, Event::Lost(_) | Event::Closed(_));
            let began = |event: &&Event| **event == Event::Established { resumed: false };
            let whole = states.iter().filter(began).count() == 1 && !states.iter().any(lost);
            hold(whole || !self.schedule.is_harmless(), "cause", || format!("{who:?} {states:?}"))?;
        }
        Ok(())
    }

    /// What became of the messages of a route: by their number.
    fn fates(&self, route: usize) -> Vec<Fate> {
        let (from, intent) = (self.schedule.routes[route].from, self.routes[route].0);
        self.sim[from].app.fates.iter().filter(|fate| fate.handle == intent).copied().collect()
    }

    /// The numbers of the messages of a route that were read.
    fn numbers(&self, route: usize) -> Vec<u32> {
        let (to, interest) = (self.schedule.routes[route].from.other(), self.routes[route].1);
        self.sim[to].app.numbers(interest)
    }

    /// Whether what was read was read once, in order and in time; holds at any time.
    pub(crate) fn judge_order(&self) -> Result<(), Failure> {
        (0..self.routes.len()).try_for_each(|route| {
            self.what_was_read(route)?;
            self.judge_expiry(route)
        })
    }

    /// Which messages of a route were read, by their numbers.
    fn what_was_read(&self, route: usize) -> Result<Vec<bool>, Failure> {
        let plan = &self.schedule.routes[route];
        let fates = self.fates(route);
        let numbers = self.numbers(route);
        hold(numbers.is_sorted(), "order", || format!("route {route}: {numbers:?}"))?;
        let again = numbers.array_windows().filter(|[before, after]| before == after).count();
        let most = if plan.latest { self.comings(route) } else { 0 };
        let told = || format!("route {route}: {again} were read again, {most} may be: {numbers:?}");
        hold(again <= most, "order", told)?;
        let mut read = vec![false; fates.len()];
        for number in numbers {
            let Some(read) = read.get_mut(number as usize) else {
                return fail("order", format!("route {route}: {number} was never published"));
            };
            *read = true;
        }
        // Of what may be left out its end says whether it was; a withdrawal drops what was not taken.
        let strict =
            plan.reliable && !plan.may_skip() && !self.schedule.ends_declaration(route, Half::Interest);
        // In which session a message is missing.
        let mut gap = None;
        for (fate, read) in fates.iter().zip(&read).filter(|_| strict) {
            if !read {
                gap = Some((fate.session, fate.number));
            } else if let Some((session, missing)) = gap
                && session == fate.session
            {
                let told = format!("route {route}: {missing} was not read and a later one was: {fate:?}");
                return fail("prefix", told);
            }
        }
        Ok(read)
    }

    /// How often an interest has come to the publisher of a route at the most.
    fn comings(&self, route: usize) -> usize {
        let comes = |action: &&(u64, Action)| match action.1 {
            Action::Withdraw(of, ..) | Action::Lapse(of, ..) => of == route,
            _ => false,
        };
        let sessions: u32 = Who::BOTH.map(|who| self.sim[who].app.sessions).iter().sum();
        // What lapses is renewed at the end.
        sessions as usize + 2 * self.schedule.actions.iter().filter(comes).count()
    }

    /// No message is read later than its life allows, which is told anew in each frame and counts on from its arrival: add
    /// what a frame takes on its way. That is the line's delay, its own time on the line (and once more if it comes
    /// twice), lateness where frames overtake each other, and on a stream the time for which it stalls. A frame whose
    /// delimiter is lost comes with the next one, within the silence.
    fn judge_expiry(&self, route: usize) -> Result<(), Failure> {
        let plan = &self.schedule.routes[route];
        if plan.life_ms == 0 {
            return Ok(());
        }
        let transit = self.transit_us(plan.from);
        let fates = self.fates(route);
        let reader = &self.sim[plan.from.other()].app;
        for message in reader.received.iter().filter(|message| message.handle == self.routes[route].1) {
            let number = number_of(&message.payload);
            let Some(fate) = fates.get(number as usize) else { continue };
            let late = message.at.saturating_sub(fate.at + plan.life_ms * 1_000);
            hold(late <= transit, "expiry", || {
                format!("route {route}: {fate:?} was read {late} µs too late, {transit} were allowed")
            })?;
        }
        Ok(())
    }

    /// How long a frame that `from` sends is under way at the most, µs.
    fn transit_us(&self, from: Who) -> u64 {
        let Schedule { faults, actions, sizes, .. } = self.schedule;
        let changes = actions.iter().filter_map(|(_, action)| match action {
            Action::Line(who, faults) if *who == from => Some(faults),
            _ => None,
        });
        let begin = if from == Who::A { &faults.0 } else { &faults.1 };
        let all = || [begin].into_iter().chain(changes.clone()).flatten();
        let loses = |fault: Fault| matches!(fault, Fault::ByteLoss | Fault::Burst);
        let cuts =
            actions.iter().any(|(_, action)| matches!(action, Action::Outage(..) | Action::Restart(..)));
        let open = self.schedule.kind == Kind::Serial && (cuts || all().any(|(fault, _)| loses(*fault)));
        let open_ms = if open { self.schedule.silence_ms.0.max(self.schedule.silence_ms.1) } else { 0 };
        let delay = all().filter(|(fault, _)| *fault == Fault::Delay).map(|(_, us)| u64::from(*us)).max();
        let stalls = actions.iter().map(|(_, action)| match action {
            Action::Outage(_, ms) if self.schedule.kind == Kind::Stream => ms * 1_000,
            _ => 0,
        });
        let frame =
            sizes.0.frame.min(sizes.1.frame) as u64 * 10_100_000 / u64::from(self.schedule.baud) + 200;
        delay.unwrap_or_default() + 2 * frame + REORDER_US + open_ms * 1_000 + stalls.sum::<u64>() + CLOCK_US
    }

    /// The last message that is read is the newest one, where the route keeps it.
    fn judge_latest(&self, route: usize) -> Result<(), Failure> {
        let plan = &self.schedule.routes[route];
        // One whose time was over may be the last; one that comes too fast is dropped.
        if !plan.latest || plan.life_ms > 0 || !plan.reliable && plan.rates.1.is_some() {
            return Ok(());
        }
        let (newest, read) = (self.fates(route).last().map(|fate| fate.number), self.numbers(route));
        hold(newest == read.last().copied(), "latest", || {
            format!("route {route}: {newest:?} is the newest, {:?} was read last", read.last())
        })
    }

    /// No rate limit lets more pass than it says.
    fn judge_rates(&self, route: usize) -> Result<(), Failure> {
        let plan = &self.schedule.routes[route];
        // A restart and a new declaration begin anew.
        let counts = |who, half| !self.schedule.restarts(who) && !self.schedule.ends_declaration(route, half);
        if let Some(rate) = plan.rates.0.filter(|_| counts(plan.from, Half::Intent)) {
            let times: Vec<_> = self.fates(route).iter().map(|fate| fate.at).collect();
            keeps_rate(route, "published", rate, &times)?;
        }
        let to = plan.from.other();
        // Best effort is held back where it comes in, not where it is read.
        if let Some(rate) = plan.rates.1.filter(|_| counts(to, Half::Interest) && plan.reliable) {
            let read = self.sim[to].app.received.iter();
            let times: Vec<_> =
                read.filter(|read| read.handle == self.routes[route].1).map(|read| read.at).collect();
            keeps_rate(route, "read", rate, &times)?;
        }
        Ok(())
    }

    fn judge_route(&self, route: usize) -> Result<(), Failure> {
        let plan = &self.schedule.routes[route];
        let fates = self.fates(route);
        let read = self.what_was_read(route)?;
        if !plan.reliable {
            return Ok(());
        }
        let last_session = self.sim[plan.from].app.sessions;
        let withdrawn = self.schedule.ends_declaration(route, Half::Interest);
        for (fate, read) in fates.iter().zip(read) {
            let told = |what: &str| format!("route {route}, message {}: {what}: {fate:?}", fate.number);
            let wrong = match fate.end {
                End::Open => Some("has not ended"),
                End::Untold if !plan.latest => Some("has no ticket"),
                End::Delivered if !read => Some("was not read"),
                End::Failed(FailReason::Expired | FailReason::Superseded) if read => Some("was read"),
                // What is kept may be given again without a ticket.
                End::Failed(FailReason::NotSent | FailReason::NoAudience) if read && !plan.latest => {
                    Some("was read")
                }
                End::Failed(FailReason::PeerRestarted) if !self.schedule.restarts(plan.from.other()) => {
                    Some("but the peer did not restart")
                }
                End::Failed(FailReason::NoAudience) if !withdrawn => {
                    Some("but the interest was never withdrawn")
                }
                End::Failed(FailReason::Expired) if plan.life_ms == 0 => Some("but it lives for ever"),
                End::Failed(FailReason::Superseded) if !plan.latest => Some("but no other takes its place"),
                End::Failed(FailReason::Expired | FailReason::Superseded | FailReason::NoAudience) => None,
                End::Failed(FailReason::NotSent) if withdrawn => None,
                End::Failed(_) if fate.session == last_session => Some("but its session still stands"),
                End::Forgotten if !self.schedule.restarts(plan.from) => Some("but nobody died"),
                _ => None,
            };
            if let Some(wrong) = wrong {
                return fail("tickets", told(wrong));
            }
        }
        Ok(())
    }

    /// What `to` counts of best-effort messages is what it was sent in this session.
    fn judge_loss(&self, to: Who) -> Result<(), Failure> {
        let session = self.sim[to.other()].app.sessions;
        // What expires, is replaced, comes too fast or is not wanted any more is counted elsewhere.
        let counted = |(route, plan): (usize, &Plan)| {
            let ends = self.schedule.ends_declaration(route, Half::Interest);
            plan.reliable || plan.from == to || !ends && !plan.may_skip() && plan.rates.1.is_none()
        };
        if !self.schedule.routes.iter().enumerate().all(counted) {
            return Ok(());
        }
        let (mut sent, mut read) = (0, 0);
        for (route, plan) in self.schedule.routes.iter().enumerate() {
            if plan.reliable || plan.from == to {
                continue;
            }
            let fates = self.fates(route);
            let in_session = |fate: &&Fate| fate.session == session;
            sent += fates.iter().filter(in_session).count();
            let numbers = self.sim[to].app.numbers(self.routes[route].1);
            read += numbers.iter().filter(|number| fates[**number as usize].session == session).count();
        }
        let stats = self.sim[to].endpoint.stats();
        let (received, lost) = (stats.best_effort.received as usize, stats.best_effort.lost as usize);
        let dropped = stats.dropped_no_room as usize;
        let told = || format!("{to:?} was sent {sent} in this session and read {read}, but counts {stats:?}");
        hold(received + lost == sent && read + dropped == received, "loss", told)
    }

    fn judge_requests(&self, who: Who) -> Result<(), Failure> {
        let Asked { calls, stale_answers } = &self.asked[who as usize];
        let mut asked = (*calls).clone();
        for (call, heard) in &self.sim[who].app.answers[*stale_answers..] {
            let Some(payload) = asked.remove(call) else {
                return fail(
                    "requests",
                    format!("{who:?}: {call:?} ends twice or was never asked: {heard:?}"),
                );
            };
            let right = match heard {
                Heard::Ok(answer) => *answer == payload,
                Heard::Busy | Heard::TimedOut | Heard::Lost => true,
                Heard::Refused(..) | Heard::NoIntent | Heard::TooLarge | Heard::Malformed => false,
            };
            hold(right, "requests", || format!("{who:?} asked {payload:?} and heard {heard:?}"))?;
        }
        hold(asked.is_empty(), "requests", || format!("{who:?}: no outcome of {:?}", asked.keys()))
    }
}

/// Whether these points in time, µs, keep within a rate: in no span are there more than it allows.
fn keeps_rate(route: usize, what: &str, rate: Rate, times: &[u64]) -> Result<(), Failure> {
    let interval = 1_000_000 / u64::from(rate.per_second);
    for (first, begin) in times.iter().enumerate() {
        for (count, end) in (1..).zip(&times[first..]) {
            let most = u64::from(rate.burst) + (end - begin) / interval;
            let told = || format!("route {route}: {count} were {what} in {} µs, {rate:?}", end - begin);
            hold(count <= most, "rate", told)?;
        }
    }
    Ok(())
}

/// What is under way keeps within its windows and stores.
pub(crate) fn check_quotas(
    schedule: &Schedule,
    routes: &[(Handle, Handle)],
    sim: &Sim,
) -> Result<(), Failure> {
    for who in Who::BOTH {
        let endpoint = &sim[who].endpoint;
        let (reliable, best_effort) = (endpoint.unacknowledged(), endpoint.unsent_best_effort());
        let tx = sim[who].sizes.tx;
        hold((reliable + best_effort) * RECORD_MIN <= tx, "quota", || {
            format!("{who:?}: {reliable} packets and {best_effort} messages are in a store of {tx}")
        })?;
    }
    // Of routes that skip messages those that are open need not be the newest.
    let plain = |plan: &Plan| plan.reliable && !plan.may_skip();
    for (plan, (intent, _)) in schedule.routes.iter().zip(routes).filter(|(plan, _)| plain(plan)) {
        let app = &sim[plan.from].app;
        let Some(id) = app.try_id(*intent) else { continue };
        let open = sim[plan.from].endpoint.undelivered(id);
        let newest = app.fates.iter().rev().filter(|fate| fate.handle == *intent).take(open);
        let cost: usize = newest.map(|fate| fate.len + tieline::limits::MESSAGE_COST).sum();
        hold(cost <= plan.window, "quota", || format!("{cost} bytes under way, window {}", plan.window))?;
    }
    Ok(())
}

/// Both sides talk, everything was said, and everybody knows.
pub(crate) fn is_done(sim: &Sim) -> bool {
    Who::BOTH.iter().all(|who| {
        let (app, endpoint) = (&sim[*who].app, &sim[*who].endpoint);
        endpoint.is_established()
            && app.is_fed()
            && endpoint.undelivered_total() == 0
            && endpoint.unacknowledged() == 0
            && endpoint.unsent_best_effort() == 0
            && app.open_tickets() == 0
    })
}
