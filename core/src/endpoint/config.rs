//! What an endpoint is told: once at its start, for each link, and for each declaration.

use core::time::Duration;

use crate::capability;
use crate::framing::Framing;
use crate::limiter::Rate;
use crate::packet::control::Priority;

/// How an endpoint presents itself and how patient it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// Shown to the peer's people; cut to 16 bytes. Need not be unique.
    pub name: &'static str,
    /// How often the line is measured and proven alive. At least 1 ms.
    pub ping_interval: Duration,
    /// How long the peer may be silent before the session counts as without a link, or lost. At least twice both sides' ping interval.
    pub silence: Duration,
    /// For how long a session is kept without a link, or while the peer is silent: within that it goes on over the same
    /// link or another one. Zero: not at all. Both sides must keep it.
    pub resume_for: Duration,
    /// Whether frames are made smaller on a serial line that damages many. Off, and on other links, they are as large as they may be.
    pub adaptive: bool,
}

impl Config {
    /// A name, PING every second, silent after 3 seconds, lost 10 seconds later, adaptive.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            ping_interval: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            resume_for: Duration::from_secs(10),
            adaptive: true,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new("")
    }
}

/// What an endpoint must know of a byte path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Link {
    /// How frames are told apart.
    pub framing: Framing,
    /// Largest frame content to send here, in bytes; the endpoints' own limits apply as well.
    pub frame_max: usize,
    /// Whether all bytes arrive, intact and in order, as long as the link lives (TCP, a pipe).
    pub lossless: bool,
    /// Whether frames arrive in the order in which they were sent, if they arrive.
    pub ordered: bool,
    /// The line's rate, to judge how long a frame takes; 0: not known, or too fast to matter.
    pub bits_per_second: u32,
}

impl Link {
    /// A UART, or anything else that may lose or corrupt bytes.
    #[must_use]
    pub const fn serial(bits_per_second: u32) -> Self {
        Self {
            framing: Framing::Serial,
            frame_max: usize::MAX,
            lossless: false,
            ordered: true,
            bits_per_second,
        }
    }

    /// A stream that neither loses nor corrupts: TCP, a Unix socket, a pipe.
    #[must_use]
    pub const fn stream() -> Self {
        Self {
            framing: Framing::Stream,
            frame_max: usize::MAX,
            lossless: true,
            ordered: true,
            bits_per_second: 0,
        }
    }

    /// A link of datagrams of at most `frame_max` bytes, which may be lost, repeated and reordered: UDP, radio. Each one
    /// is handed to [`handle_input`](crate::Endpoint::handle_input) by itself.
    #[must_use]
    pub const fn datagram(frame_max: usize) -> Self {
        Self { framing: Framing::Datagram, frame_max, lossless: false, ordered: false, bits_per_second: 0 }
    }

    /// Whether nothing is ever lost on it.
    pub(crate) const fn is_lossless(&self) -> bool {
        capability::LINKS && self.lossless
    }

    /// Whether nothing overtakes anything on it.
    pub(crate) const fn is_ordered(&self) -> bool {
        !capability::LINKS || self.ordered
    }

    /// How long `bytes` take on the line, in µs, at 10 bits a byte (8N1).
    #[must_use]
    pub const fn line_time_us(&self, bytes: usize) -> u32 {
        if self.bits_per_second == 0 {
            return 0;
        }
        // In halves, since a division of 64 bits costs a microcontroller 0.9 KB of flash: whole ms first, then what is left.
        let bits = (bytes as u32).saturating_mul(10);
        let (ms, rest) = if bits < u32::MAX / 1000 {
            (bits * 1000 / self.bits_per_second, bits * 1000 % self.bits_per_second)
        } else {
            (bits / self.bits_per_second * 1000, 0)
        };
        let us = if rest < u32::MAX / 1000 {
            rest * 1000 / self.bits_per_second
        } else {
            // A rest is less than the rate, which is then large enough; the compiler does not know.
            match rest.checked_div(self.bits_per_second / 1000) {
                Some(us) => us,
                None => 0,
            }
        };
        ms.saturating_mul(1000).saturating_add(us)
    }
}

/// What is promised for the messages of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Quality {
    /// In order; what is lost is counted.
    #[default]
    BestEffort,
    /// Exactly once and in order within a session; each ends as delivered or failed.
    Reliable,
}

/// Which messages of a route are kept for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum History {
    /// Those that are published while somebody listens.
    #[default]
    All,
    /// The newest: one that was not sent gives way to the next, and the last one is given to an interest that comes, or
    /// comes back. It may be published while nobody listens, and takes room in TX for as long as it is the newest.
    Latest,
}

/// How a message is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishOptions {
    /// How long the message is worth delivering (1 ms to 24 days): one that the peer's application has not taken by then
    /// is discarded unread, and a reliable one ends as [`FailReason::Expired`](crate::FailReason::Expired). The time on the
    /// line does not count. At most 16 reliable ones may be published whose end the application has not been told of.
    pub expires: Option<Duration>,
}

/// How a route is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntentOptions {
    /// What is promised.
    pub quality: Quality,
    /// How urgent it is.
    pub priority: Priority,
    /// The declaration lapses at the peer unless it is declared again within this time. None: lives with the session.
    pub ttl: Option<Duration>,
    /// Whether each reliable message ends in an event (but for a kept sample that is given to a later interest). Then the application must read events, or it may not publish
    /// more than 32767 messages ahead. Declared anew without, it also ends the events of messages that are under way.
    pub tickets: bool,
    /// Which messages are kept.
    pub history: History,
    /// How often messages may be published: earlier than that it is `WouldBlock`, by the newest time that the endpoint was
    /// told. With [`History::Latest`] it is the newest sample that is refused.
    pub rate: Option<Rate>,
}

impl IntentOptions {
    /// Best effort.
    #[must_use]
    pub const fn best_effort() -> Self {
        Self {
            quality: Quality::BestEffort,
            priority: Priority::Normal,
            ttl: None,
            tickets: false,
            history: History::All,
            rate: None,
        }
    }

    /// Reliable, with an event for each message's end.
    #[must_use]
    pub const fn reliable() -> Self {
        Self {
            quality: Quality::Reliable,
            priority: Priority::Normal,
            ttl: None,
            tickets: true,
            history: History::All,
            rate: None,
        }
    }

    /// The cargo feature that they need and this build has not.
    pub(super) const fn left_out(&self) -> Option<&'static str> {
        if !capability::RELIABLE && matches!(self.quality, Quality::Reliable) {
            Some("reliable")
        } else if !capability::EXPIRY && matches!(self.history, History::Latest) {
            Some("expiry")
        } else if !capability::RATES && self.rate.is_some() {
            Some("rates")
        } else {
            None
        }
    }
}

/// How a route is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InterestOptions {
    /// Bytes of RX kept for messages that wait to be taken: each costs its payload and 8 bytes. The largest
    /// message is 8 less. None: RX divided by ROUTES.
    pub window: Option<usize>,
    /// As in [`IntentOptions::ttl`].
    pub ttl: Option<Duration>,
    /// How many messages are taken: of best effort, those beyond are dropped and counted; reliable ones wait, which slows
    /// their sender.
    pub rate: Option<Rate>,
}

/// How requests on a route are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceOptions {
    /// Bytes of RX kept for requests that wait to be taken: each costs its payload and 8 bytes. A request that finds
    /// no room is answered *busy*. None: RX divided by ROUTES.
    pub room: Option<usize>,
    /// As in [`IntentOptions::ttl`].
    pub ttl: Option<Duration>,
}

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOptions {
    /// How long to wait for the answer.
    pub timeout: Duration,
    /// Largest answer, in bytes; that and 8 bytes of RX are kept free for it.
    pub room: usize,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(1), room: 64 }
    }
}
