//! Moves bytes between two ends, both ways, in one thread.
//!
//! Invariants: a direction that its sink holds up is not read beyond [`ROOM`], and never holds up the other
//! one. What has come when an end closes is passed on first. Does not decide what happens to the bytes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::end::{End, Step, wait};
use super::faults::{Damage, Schedule};
use super::{Plan, Report};
use crate::rng::Rng;

/// A direction that holds that many bytes is not read; a read adds [`INPUT`], and what the faults make of
/// that.
const ROOM: usize = 16 * 1024;
/// Bytes that are read at once.
const INPUT: usize = 4096;
/// Once an end has closed, the other one may be idle that long before it is closed, too: longer than programs
/// wait for a line that has gone silent.
const LINGER: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Direction {
    damage: Damage,
    chunks: VecDeque<Vec<u8>>,
    /// Bytes in the chunks that are not written yet.
    held: usize,
    /// Bytes of the first chunk that are.
    written: usize,
    /// The source gives nothing more.
    ended: bool,
    /// The sink has everything and was told that nothing follows.
    finished: bool,
    /// The sink takes nothing more.
    dead: bool,
}

impl Direction {
    fn new(damage: Damage) -> Self {
        let chunks = VecDeque::new();
        Self { damage, chunks, held: 0, written: 0, ended: false, finished: false, dead: false }
    }

    fn wants_input(&self) -> bool {
        !self.ended && self.held < ROOM
    }

    fn wants_output(&self) -> bool {
        !self.dead && self.held > 0
    }

    fn take(&mut self, now: Duration, down: bool, input: &[u8]) {
        if self.dead {
            self.damage.counts.bytes_in += input.len() as u64;
            self.damage.counts.discarded += input.len() as u64;
        } else {
            self.held += self.damage.pass(now, down, input, &mut self.chunks);
        }
    }

    /// Writes what the sink takes. Gives back whether that was anything.
    fn give(&mut self, sink: &End) -> bool {
        let mut progress = false;
        while let Some(chunk) = self.chunks.front() {
            match sink.write(chunk.get(self.written..).unwrap_or_default()) {
                Step::Moved(count) => {
                    progress = true;
                    self.written += count;
                    self.held -= count;
                    self.damage.counts.bytes_out += count as u64;
                    if self.written >= chunk.len() {
                        self.written = 0;
                        self.chunks.pop_front();
                    }
                }
                Step::NotNow => break,
                Step::End | Step::Gone => self.bury(),
            }
        }
        progress
    }

    fn bury(&mut self) {
        self.dead = true;
        self.damage.counts.discarded += self.held as u64;
        self.chunks.clear();
        (self.held, self.written) = (0, 0);
    }
}

/// Two ends, and what lies between them. Direction `n` goes from end `n` to the other one.
#[derive(Debug)]
pub(super) struct Relay {
    ends: [End; 2],
    directions: [Direction; 2],
    /// Of both directions at once.
    cuts: Schedule,
    begin: Instant,
    /// When bytes were last passed on, or an end has closed.
    moved: Instant,
}

impl Relay {
    pub(super) fn new(ends: [End; 2], plan: &Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let cuts = Schedule::new(plan.cuts, rng.fork());
        let directions = [plan.there, plan.back].map(|faults| Direction::new(Damage::new(faults, &mut rng)));
        let now = Instant::now();
        Self { ends, directions, cuts, begin: now, moved: now }
    }

    /// Goes on until both ends are closed, or `stop` can be read. A direction that is `down` lets
    /// nothing through.
    pub(super) fn run(mut self, stop: BorrowedFd<'_>, down: &[AtomicBool; 2]) -> io::Result<Report> {
        let mut input = [0; INPUT];
        while !self.is_over() {
            let ready = match self.wait(stop)? {
                Some(ready) => ready,
                None => break,
            };
            for (from, flags) in ready.into_iter().enumerate() {
                self.output(1 - from, flags);
                self.input(from, flags, down, &mut input);
            }
            self.finish();
        }
        let [there, back] = &self.directions;
        Ok(Report { cuts: self.cuts.count, there: there.damage.counts, back: back.damage.counts })
    }

    /// Waits for the ends; what each is ready for. `None`: stopped, or waited for long enough.
    fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<Option<[PollFlags; 2]>> {
        let any_closed = self.directions.iter().any(|direction| direction.ended || direction.dead);
        let left = any_closed.then(|| LINGER.saturating_sub(self.moved.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        let mut fds = vec![PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        // An end from which nothing is wanted is left out: a hang-up would be reported again and again.
        let mut places = [None; 2];
        for (end, place) in places.iter_mut().enumerate() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, self.directions[end].wants_input());
            flags.set(PollFlags::OUT, self.directions[1 - end].wants_output());
            if !flags.is_empty() {
                *place = Some(fds.len());
                fds.push(PollFd::from_borrowed_fd(self.ends[end].fd(), flags));
            }
        }
        wait(&mut fds, left)?;
        if !fds[0].revents().is_empty() {
            return Ok(None);
        }
        Ok(Some(places.map(|place| place.map_or(PollFlags::empty(), |at| fds[at].revents()))))
    }

    fn input(&mut self, from: usize, flags: PollFlags, down: &[AtomicBool; 2], buffer: &mut [u8]) {
        let hung_up = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if !self.directions[from].wants_input() || !flags.intersects(PollFlags::IN | hung_up) {
            return;
        }
        match self.ends[from].read(buffer) {
            Step::Moved(count) => {
                let now = self.begin.elapsed();
                let down = self.cuts.is_down(now) | down[from].load(Ordering::SeqCst);
                self.directions[from].take(now, down, &buffer[..count]);
                // Not only when the system asks for it: it nearly always takes it.
                self.output(from, PollFlags::OUT);
            }
            Step::NotNow => {}
            step @ (Step::End | Step::Gone) => {
                self.directions[from].ended = true;
                self.moved = Instant::now();
                if step == Step::Gone {
                    self.directions[1 - from].bury();
                }
            }
        }
    }

    /// Passes on what comes from end `from`; `flags` are those of the other one.
    fn output(&mut self, from: usize, flags: PollFlags) {
        let direction = &mut self.directions[from];
        if flags.is_empty() || !direction.wants_output() {
            return;
        }
        let sink = &self.ends[1 - from];
        if direction.give(sink) {
            self.moved = Instant::now();
        } else if flags.contains(PollFlags::HUP) && !sink.can_finish() {
            // Nobody has the terminal open; it takes bytes as long as there is room, and does not complain.
            direction.bury();
        }
    }

    /// Passes the end of a source on.
    fn finish(&mut self) {
        for (from, direction) in self.directions.iter_mut().enumerate() {
            if direction.ended && direction.held == 0 && !direction.finished {
                direction.finished = true;
                self.ends[1 - from].finish();
            }
        }
    }

    /// An end that can be told is done when it was; a terminal when its program has closed it.
    fn is_over(&self) -> bool {
        (0..2).all(|from| {
            let direction = &self.directions[from];
            let told = self.ends[1 - from].can_finish() || self.directions[1 - from].ended;
            direction.dead || (direction.finished && told)
        })
    }
}
