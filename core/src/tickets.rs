//! How each reliable message of a route ended, for as long as somebody may ask: counts, not a list.
//!
//! Invariant: in the order of their numbers the messages are: told, ended, open, not published. Which of the ended ones
//! failed is a range, and so many as a mark has bits for may have ended on their own (expired, superseded). Nothing is
//! known here of windows or packets.

use crate::capability;
use crate::event::FailReason;

/// How far behind the oldest message that was not told of a marked one may be.
const MARKS: u16 = 16;

/// Counts the reliable messages of a route, modulo 2^16. `ended <= delivered <= issued`; those from `failed_from`
/// to `failed_to` failed, the other ones below `delivered` were taken. Bit `i` of a mark is the message `ended + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tickets {
    /// Published.
    issued: u16,
    /// Their end is known.
    delivered: u16,
    /// The application was told of their end.
    ended: u16,
    /// `issued` when the peer's interest came: its counts begin here. Those that were never sent move it along.
    base: u16,
    failed_from: u16,
    failed_to: u16,
    /// From here to `failed_to` they were never sent.
    unsent_from: u16,
    /// Taken back before they were sent; of those and the ones that the reader discarded, whose time was over.
    never: u16,
    expired: u16,
    /// Nobody is to be told any more.
    told: u16,
    reason: FailReason,
}

impl Tickets {
    pub(crate) const NONE: Self = Self {
        issued: 0,
        delivered: 0,
        ended: 0,
        base: 0,
        failed_from: 0,
        failed_to: 0,
        unsent_from: 0,
        never: 0,
        expired: 0,
        told: 0,
        reason: FailReason::SessionLost,
    };

    /// Published and not known to have ended.
    pub(crate) const fn open(&self) -> u16 {
        if capability::RELIABLE { self.issued.wrapping_sub(self.delivered) } else { 0 }
    }

    /// One more is published: its number.
    pub(crate) const fn issue(&mut self) -> u16 {
        let number = self.issued;
        self.issued = number.wrapping_add(1);
        number
    }

    /// One more is sent of which nobody is to be told. Only while [`may_mark`](Self::may_mark).
    pub(crate) const fn issue_silent(&mut self) {
        let number = self.issue();
        self.told |= self.mark(number);
    }

    /// The peer's interest came, and has counted `messages` so far.
    pub(crate) const fn begin(&mut self, messages: u16) {
        self.base = self.issued.wrapping_sub(messages);
    }

    /// Published, and the application was not told of their end.
    pub(crate) const fn untold(&self) -> u16 {
        self.issued.wrapping_sub(self.ended)
    }

    /// Whether the next one may end on its own.
    pub(crate) const fn may_mark(&self) -> bool {
        self.untold() < MARKS
    }

    const fn mark(&self, number: u16) -> u16 {
        let at = number.wrapping_sub(self.ended);
        if at < MARKS { 1 << at } else { 0 }
    }

    /// The peer has taken `messages` by its count; false if that cannot be.
    pub(crate) const fn take(&mut self, messages: u16) -> bool {
        self.pass(messages, 0)
    }

    /// Of the `messages` that left the reader by its count the last `expired` were discarded, since their time was over;
    /// false if that cannot be.
    pub(crate) const fn discard(&mut self, messages: u16, expired: u16) -> bool {
        let before = messages.wrapping_sub(expired);
        self.pass(before, 0) && self.pass(messages, u16::MAX)
    }

    const fn pass(&mut self, messages: u16, expired: u16) -> bool {
        if !capability::RELIABLE {
            return true;
        }
        let ahead = self.base.wrapping_add(messages).wrapping_sub(self.delivered);
        if ahead > self.open().wrapping_sub(self.never_open()) {
            return false;
        }
        if self.never == 0 && expired == 0 {
            self.delivered = self.delivered.wrapping_add(ahead);
            return true;
        }
        let mut left = ahead;
        loop {
            let mark = self.mark(self.delivered);
            if self.open() > 0 && self.never & mark != 0 {
                // Never sent: the peer does not count it.
                self.base = self.base.wrapping_add(1);
            } else if left > 0 {
                self.expired |= mark & expired;
                left -= 1;
            } else {
                return true;
            }
            self.delivered = self.delivered.wrapping_add(1);
        }
    }

    const fn never_open(&self) -> u16 {
        let passed = self.delivered.wrapping_sub(self.ended);
        if passed >= MARKS { 0 } else { (self.never >> passed).count_ones() as u16 }
    }

    /// A message was taken back before any of it was sent: its time was over, or a newer one took its place.
    pub(crate) const fn take_back(&mut self, number: u16, reason: FailReason) {
        let mark = self.mark(number);
        self.never |= mark;
        if matches!(reason, FailReason::Expired) {
            self.expired |= mark;
        }
        // If it is the oldest that is open, it has ended now.
        self.pass(self.delivered.wrapping_sub(self.base), 0);
    }

    /// The number of the route's newest message.
    pub(crate) const fn newest(&self) -> u16 {
        self.issued.wrapping_sub(1)
    }

    /// The number of a message that may be marked, by its low bits: it is not far behind the oldest that was not told of.
    pub(crate) const fn marked_with(&self, low: u8) -> u16 {
        self.ended.wrapping_add(low.wrapping_sub(self.ended as u8) as u16)
    }

    /// All that are open fail; the newest `unsent` of them were never sent.
    pub(crate) const fn fail(&mut self, reason: FailReason, unsent: u16) {
        if self.open() == 0 {
            return;
        }
        // Earlier failures that nobody has read stay failures; what was delivered in between joins them, in doubt.
        let unread = self.failed_to.wrapping_sub(self.ended);
        if unread == 0 || unread > self.unread() {
            self.failed_from = self.delivered;
        }
        self.failed_to = self.issued;
        let mut left = unsent;
        self.unsent_from = self.issued;
        while left > 0 && self.unsent_from != self.delivered {
            self.unsent_from = self.unsent_from.wrapping_sub(1);
            if self.never & self.mark(self.unsent_from) == 0 {
                left -= 1;
            }
        }
        self.delivered = self.issued;
        self.reason = reason;
    }

    /// Their end is known and the application was not told of it.
    pub(crate) const fn unread(&self) -> u16 {
        self.delivered.wrapping_sub(self.ended)
    }

    /// Whether there is an end to tell.
    pub(crate) const fn has_news(&self) -> bool {
        self.unread() > 0 || self.never & !self.told != 0
    }

    /// Nobody wants to be told.
    pub(crate) const fn forget(&mut self) {
        if capability::RELIABLE {
            let count = self.unread();
            self.step(count);
        }
    }

    const fn step(&mut self, count: u16) {
        self.ended = self.ended.wrapping_add(count);
        let all = count >= MARKS;
        self.never = if all { 0 } else { self.never >> count };
        self.expired = if all { 0 } else { self.expired >> count };
        self.told = if all { 0 } else { self.told >> count };
    }

    const fn in_failed(&self, number: u16) -> bool {
        number.wrapping_sub(self.failed_from) < self.failed_to.wrapping_sub(self.failed_from)
    }

    /// The next end to tell: the message's number, and why it failed if it did.
    pub(crate) fn next(&mut self) -> Option<(u16, Option<FailReason>)> {
        // What was taken back has ended, whatever became of those before it.
        let fresh = self.never & !self.told;
        if fresh != 0 {
            let at = fresh.trailing_zeros();
            self.told |= 1 << at;
            let expired = self.expired >> at & 1 != 0;
            let reason = if expired { FailReason::Expired } else { FailReason::Superseded };
            return Some((self.ended.wrapping_add(at as u16), Some(reason)));
        }
        while self.unread() > 0 {
            let number = self.ended;
            let (told, expired) = (self.told & 1 != 0, self.expired & 1 != 0);
            let failed = self.in_failed(number);
            let unsent =
                number.wrapping_sub(self.unsent_from) < self.failed_to.wrapping_sub(self.unsent_from);
            self.step(1);
            if told {
                continue;
            }
            let reason = match (expired, failed, unsent) {
                (true, ..) => Some(FailReason::Expired),
                (_, true, true) => Some(FailReason::NotSent),
                (_, true, false) => Some(self.reason),
                (_, false, _) => None,
            };
            return Some((number, reason));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn ends(tickets: &mut Tickets) -> Vec<(u16, Option<FailReason>)> {
        core::iter::from_fn(|| tickets.next()).collect()
    }

    #[test]
    fn every_ticket_ends_once() {
        let mut tickets = Tickets { issued: 5, ..Tickets::NONE };
        assert!(tickets.take(2));
        assert!(!tickets.take(1), "taken counts do not go back");
        assert!(!tickets.take(6), "more than was published");
        tickets.fail(FailReason::PeerRestarted, 1);
        let lost = Some(FailReason::PeerRestarted);
        let expected = [(0, None), (1, None), (2, lost), (3, lost), (4, Some(FailReason::NotSent))];
        assert_eq!(ends(&mut tickets), expected);
        assert_eq!(ends(&mut tickets), []);
    }

    #[test]
    fn failures_that_were_not_read_stay_failures() {
        let mut tickets = Tickets { issued: 3, ..Tickets::NONE };
        assert!(tickets.take(1));
        tickets.fail(FailReason::SessionLost, 0);
        tickets.begin(0);
        tickets.issued = 5;
        assert!(tickets.take(1));
        let lost = Some(FailReason::SessionLost);
        let mut read = tickets;
        assert_eq!(ends(&mut read), [(0, None), (1, lost), (2, lost), (3, None)]);
        tickets.fail(FailReason::SessionLost, 0);
        assert_eq!(ends(&mut tickets), [(0, None), (1, lost), (2, lost), (3, lost), (4, lost)]);
    }

    #[test]
    fn counts_survive_their_wrap() {
        let mut tickets = Tickets { issued: u16::MAX, delivered: u16::MAX, ended: u16::MAX, ..Tickets::NONE };
        tickets.begin(0);
        (0..3).for_each(|_| _ = tickets.issue());
        assert!(tickets.take(2));
        assert_eq!(ends(&mut tickets), [(u16::MAX, None), (0, None)]);
    }

    #[test]
    fn what_is_taken_back_ends_at_once_and_the_peer_does_not_count_it() {
        let mut tickets = Tickets::NONE;
        tickets.begin(0);
        (0..6).for_each(|_| _ = tickets.issue());
        tickets.take_back(2, FailReason::Expired);
        tickets.take_back(3, FailReason::Superseded);
        let (expired, superseded) = (Some(FailReason::Expired), Some(FailReason::Superseded));
        assert_eq!(ends(&mut tickets), [(2, expired), (3, superseded)]);
        assert!(!tickets.take(5), "it was sent 4");
        assert!(tickets.take(3));
        assert_eq!(ends(&mut tickets), [(0, None), (1, None), (4, None)]);
        tickets.take_back(5, FailReason::Expired);
        assert_eq!((tickets.open(), ends(&mut tickets)), (0, vec![(5, expired)]));
        assert!(!tickets.has_news());
    }

    #[test]
    fn what_the_reader_discarded_has_expired() {
        let mut tickets = Tickets::NONE;
        tickets.begin(7);
        (0..5).for_each(|_| _ = tickets.issue());
        assert!(tickets.discard(10, 2));
        assert!(tickets.take(11));
        let expired = Some(FailReason::Expired);
        assert_eq!(ends(&mut tickets), [(0, None), (1, expired), (2, expired), (3, None)]);
        tickets.fail(FailReason::SessionLost, 1);
        assert_eq!(ends(&mut tickets), [(4, Some(FailReason::NotSent))]);
    }

    #[test]
    fn nobody_is_told_of_what_was_given_again() {
        let mut tickets = Tickets::NONE;
        tickets.begin(0);
        tickets.issue();
        tickets.issue_silent();
        tickets.issue();
        assert!(tickets.take(3));
        assert_eq!(ends(&mut tickets), [(0, None), (2, None)]);
    }
}
