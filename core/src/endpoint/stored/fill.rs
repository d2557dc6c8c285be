//! A frame is filled with messages, one behind the other, each written where it stays.

use crate::blocks::Id;
use crate::endpoint::state::Core;
use crate::endpoint::storage::Tables;
use crate::outbox::Outbox;
use crate::packet::{Extended, SeqWidth, add_length, emit_message_header, emit_skip};
use crate::time::Instant;
use crate::wire::{Writer, varint_len};

/// A frame, and how far it is filled.
pub(super) struct Fill<'w, 'o> {
    w: &'w mut Writer<'o>,
    pub(super) width: SeqWidth,
    /// Nothing new goes beyond this many bytes, unless it is alone.
    pub(super) limit: usize,
    /// Packets that are not messages stand in it.
    pub(super) has_reports: bool,
    /// The rank of what was chosen last.
    pub(super) rank: Option<u8>,
    /// A reliable packet is its first one.
    pub(super) leads: bool,
    /// What was sent of each class.
    pub(super) sent: [bool; 2],
    /// Where the next packet begins.
    start: usize,
    /// The last message has no length, since it reaches to the end: where it begins, and where its payload does. 0: what is
    /// last needs none.
    last: (usize, usize),
    /// Bytes of that length, if something follows.
    length: usize,
}

/// The payload of a packet: the record that holds it, where it begins there, and how long it is.
#[derive(Clone, Copy)]
pub(super) struct Payload {
    pub(super) id: Id,
    pub(super) offset: usize,
    pub(super) len: usize,
}

impl<'w, 'o> Fill<'w, 'o> {
    fn new(w: &'w mut Writer<'o>, width: SeqWidth, limit: usize) -> Self {
        let (start, has_reports) = (w.len(), !w.is_empty());
        Self {
            w,
            width,
            limit,
            has_reports,
            rank: None,
            leads: false,
            sent: [false; 2],
            start,
            last: (0, 0),
            length: 0,
        }
    }

    /// Bytes that the frame has left for a packet.
    pub(super) const fn left(&self) -> usize {
        (self.w.len() + self.w.room()).saturating_sub(self.start + self.length)
    }

    /// How many of them may be used without making the frame larger than it should be.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.start + self.length).min(self.left())
    }

    /// Whether there is room for a packet. One that is more than a frame should have goes alone.
    pub(super) fn fits(&self, need: usize) -> bool {
        let alone = self.rank.is_none() && !self.has_reports;
        need <= if alone { self.left() } else { self.room() }
    }

    /// Writes the header of a packet that may be sent, in place of what was begun before; returns how many bytes there are in
    /// all, too many if there is not even room for the header.
    pub(super) fn begin(&mut self, header: &Extended, payload: usize) -> usize {
        self.w.truncate(self.start);
        emit_message_header(header, self.w, payload, self.width);
        self.begun(payload)
    }

    fn begun(&self, payload: usize) -> usize {
        match self.w.all() {
            Ok(()) => self.w.len() - self.start + payload,
            Err(_) => usize::MAX,
        }
    }

    /// The same of a SKIP, which is all header.
    pub(super) fn begin_skip(&mut self, seq: u32, distance: u32) -> usize {
        self.w.truncate(self.start);
        emit_skip(self.w, seq, distance, self.width);
        self.begun(0)
    }

    /// The packet that was begun, and fits, is sent with this payload.
    pub(super) fn append(&mut self, tx: &[u8], payload: Payload) {
        let (mut start, mut at) = (self.start, self.w.len());
        if let (before, payload @ 1..) = self.last {
            // What stood last does so no more: it needs its length.
            let added = add_length(self.w, before, payload, start);
            (start, at) = (start + added, at + added);
        }
        Outbox::emit(tx, payload.id, payload.offset, payload.len, self.w);
        self.last = (start, at);
        self.length = varint_len(payload.len as u32);
        self.start = self.w.len();
    }

    /// The same of a packet without a payload, which needs no length.
    pub(super) fn append_skip(&mut self) {
        self.append(&[], Payload { id: 0, offset: 0, len: 0 });
        (self.last, self.length) = ((0, 0), 0);
    }

    /// What was begun last is not sent.
    fn end(&mut self) {
        self.w.truncate(self.start);
    }
}

/// What became of the packet whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It stands in the frame.
    Sent,
    /// There is no room for it.
    NoRoom,
    /// Nothing is to be sent in this frame.
    Nothing,
}

impl Core {
    /// Whether anything is to be sent, or sent again.
    #[inline]
    pub(in crate::endpoint) const fn has_messages(&self) -> bool {
        self.outbox.is_waiting() || self.sender.must_repeat()
    }

    /// Fills the frame with messages. Returns whether a reliable packet leads the frame.
    pub(in crate::endpoint) fn emit_messages(
        &mut self,
        t: &mut Tables<'_>,
        now: Instant,
        w: &mut Writer<'_>,
    ) -> bool {
        if !self.has_messages() {
            return false;
        }
        let mut fill = Fill::new(w, self.link.framing.seq_width(), self.frame_limit());
        loop {
            let next = self.send_next(t, &mut fill, now);
            if next != Next::Sent {
                fill.end();
                // The message whose turn it is needs a frame without reports.
                self.squeezed = next == Next::NoRoom && fill.rank.is_none() && fill.has_reports;
                break;
            }
            if !self.has_messages() {
                self.passed_over = [0; 2];
                return fill.leads;
            }
            if fill.left() == 0 {
                break;
            }
        }
        self.count_passed_over(&fill);
        fill.leads
    }
}
