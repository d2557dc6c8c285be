//! CRC-32C (Castagnoli), ordinary and started from another value.
//!
//! Invariant: the features `crc-table` and `crc-table16` change speed and size, never a result.
//! This module does not decide which start a frame has: that is [`crate::framing`].
//!
//! The large tables are the crate `crc`'s. With one of them it goes byte by byte and with none bit by bit, which on a Cortex-M3
//! is twice and six times as many instructions as what is here instead (`cargo xtask cycles`).

use crc::CRC_32_ISCSI;

/// The start of an ordinary CRC-32C.
pub const ORDINARY: u32 = 0xFFFF_FFFF;

/// The ordinary CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_from(ORDINARY, bytes)
}

/// CRC-32C of `bytes` whose register begins as `start` (docs/protocol.md, section 1).
#[must_use]
pub fn crc32c_from(start: u32, bytes: &[u8]) -> u32 {
    !update(start, bytes)
}

/// The register after `bytes`, by the sixteen tables.
#[cfg(feature = "crc-table16")]
fn update(start: u32, bytes: &[u8]) -> u32 {
    static CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&CRC_32_ISCSI);
    // The crate takes the start as the unreflected register and turns it round itself.
    let mut digest = CRC.digest_with_initial(start.reverse_bits());
    digest.update(bytes);
    !digest.finalize()
}

/// The register after `bytes`, a word at a time.
#[cfg(all(feature = "crc-table", not(feature = "crc-table16")))]
fn update(start: u32, bytes: &[u8]) -> u32 {
    static CRC: crc::Crc<u32, crc::Table<1>> = crc::Crc::<u32, crc::Table<1>>::new(&CRC_32_ISCSI);
    let [table] = CRC.table();
    let step = |register: u32| register >> 8 ^ entry(table, register & 0xFF);
    let (words, rest) = bytes.as_chunks();
    let register = words
        .iter()
        .fold(start, |register, word| step(step(step(step(register ^ u32::from_le_bytes(*word))))));
    rest.iter().fold(register, |register, byte| step(register ^ u32::from(*byte)))
}

/// The register after `bytes`, half a byte at a time: 64 bytes of flash.
#[cfg(not(any(feature = "crc-table", feature = "crc-table16")))]
fn update(start: u32, bytes: &[u8]) -> u32 {
    /// The register after four bits, by its lowest four.
    static TABLE: [u32; 16] = [
        four(0),
        four(1),
        four(2),
        four(3),
        four(4),
        four(5),
        four(6),
        four(7),
        four(8),
        four(9),
        four(10),
        four(11),
        four(12),
        four(13),
        four(14),
        four(15),
    ];
    const fn four(low: u32) -> u32 {
        let (mut register, mut bits) = (low, 4);
        while bits > 0 {
            let ends = register & 1 != 0;
            register = register >> 1 ^ if ends { CRC_32_ISCSI.poly.reverse_bits() } else { 0 };
            bits -= 1;
        }
        register
    }
    let step = |register: u32| register >> 4 ^ entry(&TABLE, register & 0xF);
    bytes.iter().fold(start, |register, byte| step(step(register ^ u32::from(*byte))))
}

/// The compiler sees that there is one.
#[cfg(not(feature = "crc-table16"))]
fn entry(table: &[u32], at: u32) -> u32 {
    table.get(at as usize).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The register, bit by bit, as the protocol page words it.
    fn by_the_book(start: u32, bytes: &[u8]) -> u32 {
        let mut register = start;
        for byte in bytes {
            register ^= u32::from(*byte);
            for _ in 0..8 {
                let low = register & 1;
                register = (register >> 1) ^ if low == 1 { 0x1EDC_6F41_u32.reverse_bits() } else { 0 };
            }
        }
        register ^ 0xFFFF_FFFF
    }

    #[test]
    fn rfc_3720_vectors() {
        let up: std::vec::Vec<u8> = (0..32).collect();
        let down: std::vec::Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(&up), 0x46DD_794E);
        assert_eq!(crc32c(&down), 0x113F_DB5C);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn started_from_a_register() {
        let bytes = b"The quick brown fox jumps over the lazy dog";
        for start in [0, 1, 0x8000_0000, 0x1234_5678, ORDINARY] {
            assert_eq!(crc32c_from(start, bytes), by_the_book(start, bytes), "{start:#x}");
        }
        // Begun where the first half ended (without its final exclusive-or), the second half ends the same.
        let (head, tail) = bytes.split_at(20);
        assert_eq!(crc32c_from(!crc32c(head), tail), crc32c(bytes));
    }
}
