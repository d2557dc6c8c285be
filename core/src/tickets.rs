//! How each reliable message of a route ended, for as long as somebody may ask: counts, not a list.
//!
//! Invariant: in the order of their numbers the messages are: told, ended, open, not published. Which of the ended ones
//! failed is a range. Nothing is known here of windows or packets.

use crate::event::FailReason;

/// Counts the reliable messages of a route, modulo 2^16. `ended <= delivered <= issued`; those from `failed_from`
/// to `failed_to` failed, the other ones below `delivered` were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tickets {
    /// Published.
    issued: u16,
    /// Their end is known.
    delivered: u16,
    /// The application was told of their end.
    ended: u16,
    /// `issued` when the peer's interest came: its counts begin here.
    base: u16,
    failed_from: u16,
    failed_to: u16,
    /// From here to `failed_to` they were never sent.
    unsent_from: u16,
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
        reason: FailReason::SessionLost,
    };

    /// Published and not known to have ended.
    pub(crate) const fn open(&self) -> u16 {
        self.issued.wrapping_sub(self.delivered)
    }

    /// One more is published: its number.
    pub(crate) const fn issue(&mut self) -> u16 {
        let number = self.issued;
        self.issued = number.wrapping_add(1);
        number
    }

    /// The peer's interest came, and has counted `messages` so far.
    pub(crate) const fn begin(&mut self, messages: u16) {
        self.base = self.issued.wrapping_sub(messages);
    }

    /// Published, and the application was not told of their end.
    pub(crate) const fn untold(&self) -> u16 {
        self.issued.wrapping_sub(self.ended)
    }

    /// The peer has taken `messages` by its count; false if that cannot be.
    pub(crate) fn take(&mut self, messages: u16) -> bool {
        let delivered = self.base.wrapping_add(messages);
        let ahead = delivered.wrapping_sub(self.delivered);
        if ahead > self.open() {
            return false;
        }
        self.delivered = delivered;
        true
    }

    /// All that are open fail; the newest `unsent` of them were never sent.
    pub(crate) fn fail(&mut self, reason: FailReason, unsent: u16) {
        if self.open() == 0 {
            return;
        }
        // Earlier failures that nobody has read stay failures; what was delivered in between joins them, in doubt.
        let unread = self.failed_to.wrapping_sub(self.ended);
        if unread == 0 || unread > self.unread() {
            self.failed_from = self.delivered;
        }
        self.failed_to = self.issued;
        self.unsent_from = self.issued.wrapping_sub(unsent.min(self.open()));
        self.delivered = self.issued;
        self.reason = reason;
    }

    /// Their end is known and the application was not told of it.
    pub(crate) const fn unread(&self) -> u16 {
        self.delivered.wrapping_sub(self.ended)
    }

    const fn in_failed(&self, number: u16) -> bool {
        number.wrapping_sub(self.failed_from) < self.failed_to.wrapping_sub(self.failed_from)
    }

    /// The next end to tell: the message's number, and why it failed if it did.
    pub(crate) fn next(&mut self) -> Option<(u16, Option<FailReason>)> {
        if self.unread() == 0 {
            return None;
        }
        let number = self.ended;
        self.ended = number.wrapping_add(1);
        let unsent = self.failed_to.wrapping_sub(number) <= self.failed_to.wrapping_sub(self.unsent_from);
        let failed = self.in_failed(number).then_some(if unsent { FailReason::NotSent } else { self.reason });
        Some((number, failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
