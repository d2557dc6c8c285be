//! The protocol's constants, and where each comes from (docs/protocol.md, section 11).

/// Major version: peers with different ones do not talk.
pub const VERSION_MAJOR: u8 = 1;
/// Minor version: a later one only adds what an earlier one ignores.
pub const VERSION_MINOR: u8 = 0;

/// Smallest frame content, check included: holds any HELLO.
pub const FRAME_MIN: usize = 80;

/// Largest HELLO, in bytes; with the check of a serial frame it fits the smallest one.
pub const HELLO_MAX: usize = FRAME_MIN - 4;

/// What a message costs of its route's window besides its payload, in bytes: the header a receiver stores with it.
pub const MESSAGE_COST: usize = 8;

/// What a message that expires costs more: the deadline.
pub const LIFE_COST: usize = 4;

/// Largest window: a message costs 8 bytes at the least, so 16 bits count all that can be under way.
pub const WINDOW_MAX: u32 = (1 << 19) - 1;

/// Longest name of an endpoint, in bytes.
pub const NAME_MAX: usize = 16;

/// Bytes that RESULT records need besides the payload, at the most.
pub(crate) const CONTROL_HEADER_MAX: usize = 24;

/// First repetition of HELLO, ms: a person does not notice it.
pub(crate) const GREETING_FIRST_MS: u32 = 100;
/// Slowest repetition of HELLO, ms: keeps an unconnected line quiet.
pub(crate) const GREETING_SLOWEST_MS: u32 = 1000;
/// Repetition of a challenge, ms.
pub(crate) const CHALLENGE_RETRY_MS: u32 = 100;
/// Life of a challenge, ms.
pub(crate) const CHALLENGE_LIFE_MS: u32 = 1000;
/// CLOSE is repeated no faster than this, ms.
pub(crate) const CLOSE_RETRY_MS: u32 = 100;
/// On a serial line, a frame after this long without one begins with a delimiter, ms.
pub(crate) const SERIAL_IDLE_MS: u32 = 100;
/// Bytes without a frame for this long are worth a diagnosis, ms.
pub(crate) const DIAGNOSIS_MS: u32 = 1000;
/// Fewer bytes than this are boot noise, not a wrong baud rate.
pub(crate) const DIAGNOSIS_BYTES: u32 = 16;

/// Capability bits: selective acknowledgement, fragments, resume, answers requests, expiry.
pub(crate) const CAPABILITY_SELECTIVE: u32 = 1;
pub(crate) const CAPABILITY_FRAGMENTS: u32 = 1 << 1;
pub(crate) const CAPABILITY_RESUME: u32 = 1 << 2;
pub(crate) const CAPABILITY_SERVICES: u32 = 1 << 3;
pub(crate) const CAPABILITY_EXPIRY: u32 = 1 << 7;

/// What is kept of a frame for the headers of a fragment, so that one that is smaller is not worth sending, in bytes.
pub(crate) const FRAGMENT_MIN: usize = 32;
