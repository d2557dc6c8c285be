//! Ports that stay free until a test takes them.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below what any system hands out by itself (Linux: from 32768), to whoever asks for no port in particular or dials: what
/// was free a moment ago would be taken by chance.
const LOWEST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// A port that nobody uses, neither TCP nor UDP, and that no other call in this process returns.
///
/// # Panics
/// When all are taken.
#[must_use]
pub fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Programs that run at the same time begin far from each other.
    let begin = std::process::id().wrapping_mul(7919);
    let mut candidates = (0..COUNT).map(|_| {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        (LOWEST + begin.wrapping_add(call) % COUNT) as u16
    });
    let is_free = |port: &u16| {
        let place = (Ipv4Addr::UNSPECIFIED, *port);
        TcpListener::bind(place).is_ok() && UdpSocket::bind(place).is_ok()
    };
    candidates.find(is_free).expect("a port that is free")
}
