//! What an endpoint knows of its peer and of the line.

use heapless::String;

use crate::capability;
use crate::limits::NAME_MAX;
use crate::ping::Loss;

/// Who is on the other side, as its HELLO says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Peer {
    /// Its name, for people; empty in a build without `stats`.
    pub name: String<NAME_MAX>,
    /// The boot part of its nonce: changes when it restarts.
    pub boot: u64,
    /// Largest frame content that it takes, in bytes.
    pub frame_max: u32,
    /// Largest message payload that it takes, in bytes.
    pub message_max: u32,
    /// How many requests of ours it holds at once.
    pub requests: u8,
    /// Its capability bits (docs/protocol.md, section 4).
    pub capabilities: u32,
}

impl Peer {
    pub(crate) const NOBODY: Self =
        Self { name: String::new(), boot: 0, frame_max: 0, message_max: 0, requests: 0, capabilities: 0 };
}

/// Counters since the endpoint's start, modulo 2^32, but where they say "session".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Bytes that came in.
    pub bytes_in: u32,
    /// Bytes handed out for sending.
    pub bytes_out: u32,
    /// Intact frames that came in.
    pub frames_in: u32,
    /// Frames handed out for sending.
    pub frames_out: u32,
    /// Frames whose check failed: noise, or of another session.
    pub check_failures: u32,
    /// Frames that were too long, too short, or not decodable.
    pub framing_errors: u32,
    /// Bytes that belonged to no intact frame, and were skipped: noise, boot text, what is left of frames, frames of another
    /// session. Each is counted when the frame that it would have been in has ended, or its link.
    pub skipped: u32,
    /// Intact frames with packets that could not be read, or that broke a rule; the rest of such a frame is dropped.
    pub malformed: u32,
    /// Reliable packets that were sent again.
    pub retransmitted: u32,
    /// Best-effort messages that came and found no room.
    pub dropped_no_room: u32,
    /// Best-effort messages that came faster than their interest's rate allows.
    pub dropped_too_fast: u32,
    /// Best-effort messages that were not sent, or not taken, before their time was over.
    pub expired: u32,
    /// Messages and records that were dropped since they were not for anything declared here.
    pub dropped_unknown: u32,
    /// Best-effort messages from the peer in this session, exact as of its newest PING.
    pub best_effort: Loss,
    /// The same between its newest two PINGs.
    pub best_effort_interval: Loss,
    /// Best-effort messages of ours for which the peer had no room in this session, modulo 2^16.
    pub peer_dropped_no_room: u16,
}

/// Counts, in a build that does.
pub(super) const fn count(counter: &mut u32, more: u32) {
    if capability::STATS {
        *counter = counter.wrapping_add(more);
    }
}
