//! What is sent: a store holds messages and control records until they are sent, or acknowledged.
//!
//! Which message is next is in [`choice`], what sending it changes in [`send`], declarations and the like are in [`records`].

mod acks;
mod choice;
mod fill;
mod publish;
mod records;
mod requests;
mod send;

use super::state::Core;
use crate::outbox::Class;
pub(super) use crate::outbox::Outbox;
use crate::routes::Slot;

impl Core {
    /// Drops what waits at a place: how many of its reliable messages never left.
    pub(super) fn drop_waiting(&mut self, tx: &mut [u8], _index: usize, slot: &mut Slot) -> u16 {
        self.outbox.drop_queue(tx, &mut slot.queue)
    }

    /// The peer does not want what is under way to a place.
    pub(super) fn kill(&self, tx: &mut [u8], index: usize) {
        self.outbox.kill(tx, index as u16);
    }

    /// The session is over: nothing is under way, and no control record waits.
    pub(super) fn drop_all(&mut self, tx: &mut [u8]) {
        self.outbox.end_session(tx);
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.sender.in_flight() as usize + usize::from(self.outbox.waiting(Class::Reliable))
    }

    pub(super) fn unsent_best_effort(&self) -> usize {
        self.outbox.waiting(Class::BestEffort).into()
    }
}
