//! Figures of other libraries, measured once: constants, for the table only.
//!
//! All of them: Cortex-M3 in QEMU with `-icount shift=4`, counted with SysTick, buffers in memory, payloads without a zero;
//! November 2026, rustc 1.95.0, arm-none-eabi-gcc 12.2.1 (-Os for "s" and "z", -O2 for 3).
//! By hand: postcard 1.1.3, cobs 0.5.1 and crc 3.4.0 (CRC-32), a message of 8 bytes as an array and one of 64 as bytes; it
//! routes nothing, and nothing in it is reliable. T-MIN is MIN 40315e7 with its transport: reliable, CRC-32 bit by bit.

use crate::measure::Opt;

/// What another library takes.
pub(super) struct Peer {
    about: &'static str,
    /// By opt-level: "s", "z", 3; each with no table, 1 KiB, 16 KiB. 0: not to be had.
    counts: [[u64; 3]; 3],
}

const fn min(about: &'static str, size: u64, speed: u64) -> Peer {
    Peer { about, counts: [[size, 0, 0], [size, 0, 0], [speed, 0, 0]] }
}

pub(super) const PEERS: [Peer; 10] = [
    Peer { about: "by hand, 8 bytes out", counts: [[1079, 569, 585], [1297, 708, 726], [764, 392, 395]] },
    Peer { about: "by hand, 8 bytes in", counts: [[1008, 505, 514], [1495, 906, 924], [785, 449, 450]] },
    Peer {
        about: "by hand, 64 bytes out",
        counts: [[6214, 2512, 2440], [7073, 2779, 2558], [4195, 1677, 1764]],
    },
    Peer {
        about: "by hand, 64 bytes in",
        counts: [[5643, 2004, 1869], [6449, 2155, 1934], [4337, 1811, 1818]],
    },
    min("T-MIN, 8 bytes: queue and send", 1198, 1046),
    min("T-MIN, 8 bytes: receive and acknowledge", 1579, 1438),
    min("T-MIN: acknowledged", 575, 536),
    min("T-MIN, 8 bytes: in all", 3352, 3020),
    min("T-MIN, 64 bytes: in all", 12592, 11364),
    min("T-MIN, idle", 34, 34),
];

impl Peer {
    /// A line of the table.
    pub(super) fn line(&self, opt: Opt) -> String {
        let [small, smallest, fast] = self.counts;
        let counts = match opt {
            Opt::Small => small,
            Opt::Smallest => smallest,
            Opt::Fast => fast,
        };
        let cell = |count| if count == 0 { format!("{:>15}", "") } else { format!("{count:>8} {:>6}", "") };
        format!("  {:<48}{}", self.about, counts.map(cell).concat()).trim_end().to_owned()
    }
}
