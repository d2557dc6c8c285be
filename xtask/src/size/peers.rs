//! Figures of other libraries, measured once: constants, for the table only.
//!
//! All of them: `thumbv7m-none-eabi`, fat LTO, one codegen unit, `panic = "abort"` and a panic handler that loops, no logs, a
//! PL011 that is asked and never interrupts, one struct of 8 bytes each way, buffers for 128 bytes; flash over an empty
//! firmware with the same start-up code; November 2026, rustc 1.95.0 with opt-level "z", arm-none-eabi-gcc 12.2.1 with -Os.

/// Another library.
pub(crate) struct Peer {
    /// Its name and version.
    pub(crate) name: &'static str,
    /// What its firmware does.
    pub(crate) about: &'static str,
    /// Flash in bytes over an empty firmware.
    pub(crate) flash: u32,
    /// Variables, in bytes; "+" and what it takes of a heap or a stack beside them.
    pub(crate) ram: &'static str,
}

const fn peer(name: &'static str, about: &'static str, flash: u32, ram: &'static str) -> Peer {
    Peer { name, about, flash, ram }
}

/// By size.
pub(crate) const PEERS: [Peer; 9] = [
    peer("MIN 40315e7, plain", "frames with CRC-32, nothing else", 584, "280"),
    peer("MIN 40315e7, T-MIN", "reliable, 16 frames of 255", 1472, "1544"),
    peer("postcard + cobs + crc", "by hand, no table; best effort", 2268, "0 + stack 308"),
    peer("postcard + cobs + crc", "by hand, table of 1 KiB; best effort", 3284, "0 + stack 308"),
    peer("ergot 8d7db27", "best effort, no checksum", 8880, "488 + stack 916"),
    peer("canadensis 9cdc471", "Cyphal/serial, best effort", 10220, "28 + heap 4096"),
    peer("postcard-rpc 188196f", "requests and topics, no checksum", 12912, "1060 + stack 516"),
    peer("Micro XRCE-DDS 0840e72", "reliable, MTU 128, history 2", 14552, "988"),
    peer("zenoh-pico 0ffe44a", "one thread, no fragments", 28328, "120 + heap 9088"),
];
