//! Draws a schedule from a seed.
//!
//! Invariant: what is drawn can be kept: what waits when the faults end comes in time. Which schedules are possible at all
//! is in [`crate::schedule`].

use tieline::{Priority, Rate};

use crate::app::Reading;
use crate::memory::Sizes;
use crate::rng::Rng;
use crate::schedule::{
    Action, BIT_ERROR_PPM, FIRST_GAP_MS, Fault, Faults, Half, Kind, NAMES, Plan, Schedule,
};
use crate::sim::{A, B, Who};

impl Schedule {
    /// The schedule of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let kind = [Kind::Serial, Kind::Serial, Kind::Serial, Kind::Datagram, Kind::Stream][rng.index(5)];
        let baud = [19_200, 57_600, 115_200, 115_200, 921_600, 3_000_000][rng.index(6)];
        let sizes = (draw_sizes(rng), draw_sizes(rng));
        let ping_ms = (draw_ping(rng), draw_ping(rng));
        // Two pings, and four of the largest frames: a full line is no silence.
        let frame_ms = sizes.0.frame.min(sizes.1.frame) as u64 * 10_000 / u64::from(baud);
        let patience = ping_ms.0.max(ping_ms.1).max(2 * frame_ms);
        let silence_ms = (patience * rng.between(2, 4), patience * rng.between(2, 4));
        // Only links come and go, and both sides keep the session meanwhile.
        let failover = rng.chance(0.2);
        let resume_ms = if failover { (10_000, 10_000) } else { (draw_resume(rng), draw_resume(rng)) };
        let answers = rng.chance(0.5).then(|| if rng.chance(0.5) { 0 } else { rng.between(1, 800) });
        let faulty_ms = rng.between(2_000, 15_000);
        let delay_us = [1_000, 15_000, 100_000][rng.index(3)];
        // There, and back with the acknowledgement.
        let round_ms = 2 * (u64::from(delay_us) / 1_000 + frame_ms) + 4;
        let limits = Limits { bytes: u64::from(baud) / 10 * 8 / 3, messages: 12_000 / round_ms, faulty_ms };
        let routes = draw_routes(rng, sizes, limits, answers.is_some());
        let mut faults = |rng: &mut Rng| {
            let mut faults = draw_faults(rng, kind, delay_us);
            faults.retain(|(fault, _)| !failover || fault.is_gentle());
            faults
        };
        // Most lines are faulty from the start, the other ones only when an action says so.
        let on_line = if rng.chance(0.7) { (faults(rng), faults(rng)) } else { (vec![], vec![]) };
        let mut actions: Vec<_> = (0..rng.below(13))
            .map(|_| {
                let action = match failover && rng.chance(0.5) {
                    true => draw_gap(rng),
                    false => draw_action(rng, kind, routes.len(), answers.is_some(), &mut faults),
                };
                (rng.below(faulty_ms), action)
            })
            .collect();
        if failover {
            actions.retain(|(_, action)| !matches!(action, Action::Restart(..) | Action::Noise(..)));
            actions.iter_mut().for_each(|(at, _)| *at += FIRST_GAP_MS);
        }
        let faulty_ms = if failover { faulty_ms + FIRST_GAP_MS } else { faulty_ms };
        actions.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            kind,
            baud,
            sizes,
            ping_ms,
            silence_ms,
            resume_ms,
            faults: on_line,
            routes,
            answers,
            actions,
            faulty_ms,
        }
    }
}

fn draw_resume(rng: &mut Rng) -> u64 {
    [0, 500, 10_000][rng.index(3)]
}

fn draw_ping(rng: &mut Rng) -> u64 {
    if rng.chance(0.6) { 1_000 } else { rng.between(300, 2_000) }
}

fn draw_sizes(rng: &mut Rng) -> Sizes {
    match rng.below(5) {
        0 => Sizes::SMALLEST,
        1 | 2 => Sizes::BOARD,
        3 => Sizes::PC,
        _ => Sizes {
            frame: rng.between(80, 700) as usize,
            rx: rng.between(128, 3_000) as usize,
            tx: rng.between(192, 3_000) as usize,
            routes: rng.between(2, 12) as usize,
            requests: rng.between(1, 6) as usize,
        },
    }
}

/// How much is sent, so that what waits when the faults end comes in time.
#[derive(Clone, Copy)]
struct Limits {
    /// Bytes of all routes: a third of what the line carries in 8 s.
    bytes: u64,
    /// Messages of one side: as many as can be sent one after the other, each acknowledged, in 12 s.
    messages: u64,
    faulty_ms: u64,
}

/// Routes that fit both sides.
fn draw_routes(rng: &mut Rng, sizes: (Sizes, Sizes), limits: Limits, services: bool) -> Vec<Plan> {
    let places = sizes.0.routes.min(sizes.1.routes).min(NAMES) - usize::from(services);
    let mut ends: Vec<(usize, Who)> = Vec::new();
    for name in 0..rng.between(1, places as u64) as usize {
        let from = if rng.chance(0.5) { A } else { B };
        ends.push((name, from));
        if rng.chance(0.2) {
            ends.push((name, from.other()));
        }
    }
    let mut routes = Vec::new();
    for (name, from) in &ends {
        let alone = ends.iter().filter(|(other, _)| other == name).count() == 1;
        let readers = ends.iter().filter(|(_, other)| other == from).count();
        let rx = if *from == A { sizes.1.rx } else { sizes.0.rx };
        // What is left is for a service and for answers.
        let share = (rx * 3 / 5 / readers) as u64;
        let tx = if *from == A { sizes.0.tx } else { sizes.1.tx };
        // It costs 4 bytes of the window; what is kept must leave room for the next one.
        let life_ms = if share >= 20 && rng.chance(0.2) { draw_life(rng) } else { 0 };
        let latest = tx >= 512 && rng.chance(0.2);
        let window = if life_ms > 0 {
            rng.between(20, share.min(6_000))
        } else if share > 12 {
            rng.between(12, share.min(6_000))
        } else {
            12
        };
        let most = window - 8;
        let longest = if rng.chance(0.4) { most } else { rng.between(4, most.min(60)) };
        let shortest = if rng.chance(0.2) { longest } else { 4 };
        let cost = (shortest + longest) / 2 + 30;
        let most = (limits.bytes / ends.len() as u64 / cost).min(limits.messages / readers as u64);
        let count = rng.between(1, most.clamp(1, 400));
        let every_ms =
            if rng.chance(0.4) && !latest { 0 } else { rng.between(1, (limits.faulty_ms / count).max(1)) };
        routes.push(Plan {
            name: *name,
            from: *from,
            reliable: rng.chance(0.65),
            priority: [Priority::Background, Priority::Normal, Priority::High, Priority::Urgent]
                [rng.index(4)],
            window: window as usize,
            count: count as u32,
            size: (shortest as usize, longest as usize),
            every_ms,
            reading: if rng.chance(0.7) { Reading::Always } else { Reading::Every(rng.between(1, 60)) },
            life_ms,
            latest,
            rates: (draw_rate(rng, count, alone), draw_rate(rng, count, alone)),
        });
    }
    leave_room(&mut routes, sizes);
    routes
}

/// Samples take room in TX for as long as they are kept: two a side, small ones, and no message that needs all of it.
fn leave_room(routes: &mut [Plan], sizes: (Sizes, Sizes)) {
    for (from, tx) in [(A, sizes.0.tx), (B, sizes.1.tx)] {
        let keep = routes.iter_mut().filter(|plan| plan.from == from && plan.latest);
        keep.skip(2).for_each(|plan| plan.latest = false);
        let keeps = routes.iter().any(|plan| plan.from == from && plan.latest);
        for plan in routes.iter_mut().filter(|plan| keeps && plan.from == from) {
            plan.size = (plan.size.0.min(tx / 16), plan.size.1.min(tx / 16));
        }
    }
}

fn draw_life(rng: &mut Rng) -> u64 {
    if rng.chance(0.5) { rng.between(5, 200) } else { rng.between(200, 3_000) }
}

/// A rate with which `count` messages pass in 5 s. `alone`: the place of the route is used in one direction only, so that
/// there are enough limiters.
fn draw_rate(rng: &mut Rng, count: u64, alone: bool) -> Option<Rate> {
    let per_second = (count / 5 + rng.between(1, 30)) as u32;
    (rng.chance(0.15) && alone).then(|| Rate { per_second, burst: rng.between(1, 8) as u16 })
}

/// Something that costs a link but no session.
fn draw_gap(rng: &mut Rng) -> Action {
    let who = if rng.chance(0.5) { A } else { B };
    let span = if rng.chance(0.5) { rng.between(1, 300) } else { rng.between(300, 4_000) };
    match rng.below(4) {
        0 => Action::Outage(who, span),
        1 | 2 => Action::Disconnect(who, span),
        _ => Action::Unplug(span),
    }
}

/// `delay_us`: the longest delay.
fn draw_faults(rng: &mut Rng, kind: Kind, delay_us: u32) -> Faults {
    // Small amounts are as likely as large ones.
    let mut amount = |most: u32| (u64::from(most) * (1 + rng.below(1_000)).pow(2) / 1_000_000) as u32;
    let all = [
        (Fault::BitError, amount(BIT_ERROR_PPM)),
        (Fault::ByteLoss, amount(3_000)),
        (Fault::Burst, amount(500)),
        (Fault::Insertion, amount(3_000)),
        (Fault::FrameLoss, amount(400_000)),
        (Fault::FrameRepeat, amount(150_000)),
        (Fault::PieceRepeat, amount(20_000)),
        (Fault::Reorder, amount(300_000)),
        (Fault::Delay, amount(delay_us)),
        (Fault::Pieces, amount(60).max(1)),
    ];
    let mut faults = all.to_vec();
    faults.retain(|(fault, _)| {
        let may = match fault {
            Fault::Delay => true,
            // A datagram comes whole.
            Fault::Pieces => kind != Kind::Datagram,
            Fault::PieceRepeat => kind == Kind::Serial,
            Fault::FrameRepeat => kind.may_lose(),
            Fault::Reorder => kind.may_reorder(),
            Fault::BitError | Fault::ByteLoss | Fault::Burst | Fault::Insertion | Fault::FrameLoss => {
                kind.may_lose()
            }
        };
        rng.chance(0.5) && may
    });
    faults
}

fn draw_action(
    rng: &mut Rng,
    kind: Kind,
    routes: usize,
    services: bool,
    faults: &mut impl FnMut(&mut Rng) -> Faults,
) -> Action {
    let who = if rng.chance(0.5) { A } else { B };
    // Short and long spans: below and above the time after which a session is lost.
    let span = if rng.chance(0.6) { rng.between(1, 300) } else { rng.between(300, 6_000) };
    let half = if rng.chance(0.5) { Half::Intent } else { Half::Interest };
    match rng.below(15) {
        0 => Action::Outage(who, span),
        1 => Action::Disconnect(who, span),
        2 => Action::Unplug(span),
        3 => Action::Restart(who, span),
        4 => Action::Sleep(who, span),
        5 | 6 => {
            let reading = [Reading::Never, Reading::Always, Reading::Every(span.min(1_000))][rng.index(3)];
            Action::Read(rng.index(routes), reading)
        }
        7 if kind.may_lose() => Action::Noise(who, rng.between(1, 400)),
        8 | 9 => Action::Line(who, faults(rng)),
        10 | 11 => Action::Withdraw(rng.index(routes), half, span),
        12 => Action::Lapse(rng.index(routes), half, span),
        _ if services => Action::Ask(who, rng.between(4, 40) as usize, rng.between(50, 2_000)),
        _ => Action::Outage(who, span),
    }
}
