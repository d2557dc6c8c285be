//! Rate limits: a token bucket per route and direction, kept as one point in time (the generic cell rate algorithm,
//! ITU-T I.371: a bucket of `burst` tokens that fills at `per_second` is full when that point is now or earlier).
//!
//! Does not know what a message is, nor what happens to one that comes too early.

use crate::capability;
use crate::time::Instant;

/// How many messages of a route may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rate {
    /// Messages per second on the average; at least 1.
    pub per_second: u32,
    /// How many may pass at once after a pause; at least 1.
    pub burst: u16,
}

/// Which messages of a route a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Those that are published here.
    Out,
    /// Those that come in.
    In,
}

/// A place for a rate limit. Applications only make empty ones, for a [`Storage`](crate::Storage).
#[derive(Debug, Clone, Copy)]
pub struct Limiter {
    /// 2 (slot + 1), and 1 more for what comes in; 0: free.
    owner: u32,
    /// Time between two messages, µs.
    interval: u32,
    /// How far ahead of now `full_at` may be for one more to pass, µs.
    tolerance: u64,
    full_at: Instant,
}

impl Limiter {
    /// A place that is not in use.
    pub const EMPTY: Self = Self { owner: 0, interval: 0, tolerance: 0, full_at: Instant::ZERO };
}

const fn owner(slot: usize, direction: Direction) -> u32 {
    2 * (slot as u32 + 1) + matches!(direction, Direction::In) as u32
}

/// Sets, changes or ends the limit of a route; false: no place is free.
pub(crate) fn set(limiters: &mut [Limiter], slot: usize, direction: Direction, rate: Option<Rate>) -> bool {
    if !capability::RATES {
        return rate.is_none();
    }
    let owner = owner(slot, direction);
    let at = limiters.iter().position(|limiter| limiter.owner == owner);
    let Some(rate) = rate else {
        at.and_then(|at| limiters.get_mut(at)).into_iter().for_each(|limiter| *limiter = Limiter::EMPTY);
        return true;
    };
    let at = at.or_else(|| limiters.iter().position(|limiter| limiter.owner == 0));
    let Some(limiter) = at.and_then(|at| limiters.get_mut(at)) else { return false };
    let interval = 1_000_000 / rate.per_second.clamp(1, 1_000_000);
    limiter.owner = owner;
    limiter.interval = interval;
    limiter.tolerance = u64::from(interval) * u64::from(rate.burst.max(1) - 1);
    true
}

/// When the next message of a route may pass, if not now.
pub(crate) fn wait(limiters: &[Limiter], slot: usize, direction: Direction, now: Instant) -> Option<Instant> {
    if !capability::RATES {
        return None;
    }
    let owner = owner(slot, direction);
    let limiter = limiters.iter().find(|limiter| limiter.owner == owner)?;
    let at = limiter.full_at.as_micros().saturating_sub(limiter.tolerance);
    (at > now.as_micros()).then(|| Instant::from_micros(at))
}

/// A message passes.
pub(crate) fn pass(limiters: &mut [Limiter], slot: usize, direction: Direction, now: Instant) {
    if !capability::RATES {
        return;
    }
    let owner = owner(slot, direction);
    if let Some(limiter) = limiters.iter_mut().find(|limiter| limiter.owner == owner) {
        limiter.full_at = limiter.full_at.max(now).plus_micros(limiter.interval.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut limiters = [Limiter::EMPTY; 2];
        assert!(set(&mut limiters, 3, Direction::Out, Some(Rate { per_second: 10, burst: 3 })));
        assert!(set(&mut limiters, 3, Direction::In, Some(Rate { per_second: 1, burst: 1 })));
        assert!(!set(&mut limiters, 4, Direction::In, Some(Rate { per_second: 1, burst: 1 })));
        let mut passed = 0;
        for ms in 0..10_000 {
            let now = Instant::from_millis(ms);
            while wait(&limiters, 3, Direction::Out, now).is_none() {
                pass(&mut limiters, 3, Direction::Out, now);
                passed += 1;
            }
            assert!(wait(&limiters, 4, Direction::Out, now).is_none(), "no limit");
        }
        assert_eq!(passed, 3 + 99);
        let next = wait(&limiters, 3, Direction::Out, Instant::from_millis(9_999));
        assert_eq!(next, Some(Instant::from_millis(10_000)));
        assert!(set(&mut limiters, 3, Direction::Out, None));
        assert!(wait(&limiters, 3, Direction::Out, Instant::ZERO).is_none());
    }
}
