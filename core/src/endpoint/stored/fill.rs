//! A frame is filled with messages.

use super::choice::{Choice, Chosen, Fill};
use crate::endpoint::state::Core;
use crate::endpoint::storage::Tables;
use crate::outbox::Outbox;
use crate::packet::SeqWidth;
use crate::time::Instant;
use crate::wire::{Full, Writer};

impl Core {
    /// Whether anything is to be sent, or sent again.
    pub(in crate::endpoint) fn has_messages(&self) -> bool {
        self.outbox.is_waiting() || self.sender.must_repeat()
    }

    /// Fills the frame with messages. Each but the last carries its length, so one looks ahead by one. Returns whether a
    /// reliable packet leads the frame.
    pub(in crate::endpoint) fn emit_messages(
        &mut self,
        t: &mut Tables<'_>,
        now: Instant,
        w: &mut Writer<'_>,
    ) -> bool {
        let width = self.link.framing.seq_width();
        if !self.has_messages() {
            return false;
        }
        let mut room = w.room();
        let mut fill = Fill::new(w.len() + room, self.frame_limit(), !w.is_empty());
        let mut current = self.choose(t, room, &mut fill, now);
        if matches!(current, Choice::NoRoom) {
            // The message whose turn it is needs a frame without reports.
            self.squeezed = fill.has_reports;
        }
        while let Choice::Next(chosen) = &current {
            let after = if self.has_messages() { room.saturating_sub(chosen.len(width, false)) } else { 0 };
            let next = if after > 0 { self.choose(t, after, &mut fill, now) } else { Choice::Nothing };
            let last = !matches!(next, Choice::Next(_));
            let written = emit_message(chosen, t.tx, w, width, last);
            self.on_emitted(t, chosen);
            if written.is_err() || last {
                break;
            }
            room = w.room();
            current = next;
        }
        self.count_passed_over(&fill);
        fill.leads
    }
}

fn emit_message(
    chosen: &Chosen,
    tx: &[u8],
    w: &mut Writer<'_>,
    width: SeqWidth,
    last: bool,
) -> Result<(), Full> {
    chosen.emit_header(w, width, last)?;
    Outbox::emit(tx, chosen.payload, chosen.offset, chosen.len, w)
}
