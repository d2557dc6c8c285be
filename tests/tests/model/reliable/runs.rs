//! The configurations. Those of the first kind take seconds without optimisation; the others are for
//! `cargo test --release --test model -- --include-ignored --nocapture`.

use std::sync::atomic::Ordering::Relaxed;

use super::{Link, SAFE, Setup};
use crate::explore::{breaks, explore};

/// The real numbers of a serial line.
const NARROW: Link = Link::serial(128, 0xFF);

const LATER: &[Link] = &[Link::serial(2, 3), Link::stream(2), Link::datagram(2)];

fn run(name: &str, setup: Setup) {
    explore(name, setup, |setup| format!("at most {} steps to the end", setup.longest.load(Relaxed)));
}

fn small(links: &'static [Link], packets: usize) -> Setup {
    Setup { room: (2, 1), pings: false, ..Setup::new(links, packets) }
}

/// Much is under way, and little goes wrong.
fn long(links: &'static [Link], burst: usize, packets: usize, losses: u8) -> Setup {
    // All on one route; two in turn; a pair as far apart as a receiver stores, of which one shares its place in the
    // receiver's memory with the missing one.
    let burst_routes: &[fn(usize) -> u8] =
        &[|_| 0, |id| (id % 2) as u8, |id| u8::from(id == 1 || id == 32), |id| u8::from(id == 0 || id == 33)];
    let room = (packets, 1);
    let rest = Setup::new(links, packets);
    let losses = Some(losses);
    Setup { room, burst, burst_routes, losses, patient: true, pings: false, oldest_first: true, ..rest }
}

#[test]
fn a_window_of_half_the_numbers() {
    const LINK: &[Link] = &[Link::serial(2, 3)];
    run("serial, window 2 of 4 numbers, 4 packets", small(LINK, 4));
}

#[test]
fn a_window_of_less() {
    const LINK: &[Link] = &[Link::serial(3, 7)];
    run("serial, window 3 of 8 numbers, 3 packets, pings", Setup { pings: true, ..small(LINK, 3) });
}

#[test]
fn control_records_are_not_stored_out_of_turn() {
    const LINK: &[Link] = &[Link::serial(3, 7)];
    let setup = Setup { control: true, oldest_first: true, ..small(LINK, 3) };
    run("serial with control records, window 3 of 8 numbers, 3 packets", setup);
}

#[test]
fn a_link_that_reorders() {
    const LINK: &[Link] = &[Link::datagram(4)];
    let setup = Setup { losses: Some(1), routes: 1, ..small(LINK, 4) };
    run("datagram, window 4, 4 packets, 1 loss", setup);
}

#[test]
fn a_session_goes_on_over_other_links() {
    run(
        "serial, stream and datagram in turn, window 2, 3 packets",
        Setup { room: (1, 1), cuts: true, ..small(LATER, 3) },
    );
}

#[test]
fn as_far_ahead_as_is_stored() {
    const LINK: &[Link] = &[NARROW];
    let setup = Setup { burst_routes: &[|_| 0], ..long(LINK, 33, 34, 2) };
    run("serial, window 128 of 256 numbers, 33 of 34 under way, 2 losses", setup);
}

#[test]
fn more_than_is_followed_one_by_one() {
    const LINK: &[Link] = &[NARROW];
    let setup = Setup { burst_routes: &[|id| (id % 2) as u8], ..long(LINK, 70, 71, 1) };
    run("serial, window 128 of 256 numbers, 70 of 71 under way, 1 loss", setup);
}

#[test]
fn a_window_that_is_too_large_is_found() {
    const LINK: &[Link] = &[Link::serial(3, 3)];
    assert!(breaks(small(LINK, 3), SAFE));
}

#[test]
#[ignore = "large"]
fn large_a_window_of_half_the_numbers() {
    const TWO: &[Link] = &[Link::serial(2, 3)];
    run(
        "serial, window 2 of 4 numbers, 6 packets, pings",
        Setup { pings: true, room: (2, 2), ..small(TWO, 6) },
    );
    const FOUR: &[Link] = &[Link::serial(4, 7)];
    run("serial, window 4 of 8 numbers, 4 packets", small(FOUR, 4));
}

#[test]
#[ignore = "large"]
fn large_control_records() {
    const LINK: &[Link] = &[Link::serial(3, 7)];
    let setup = Setup { control: true, oldest_first: true, room: (2, 2), ..small(LINK, 4) };
    run("serial with control records, window 3 of 8 numbers, 4 packets", setup);
}

#[test]
#[ignore = "large"]
fn large_a_link_that_reorders() {
    const LINK: &[Link] = &[Link::datagram(4)];
    run("datagram, window 4, 4 packets", small(LINK, 4));
    run("datagram, window 4, 5 packets, 2 losses", Setup { losses: Some(2), routes: 1, ..small(LINK, 5) });
}

#[test]
#[ignore = "large"]
fn large_a_session_goes_on_over_other_links() {
    let setup = Setup { cuts: true, ..small(LATER, 3) };
    run("serial, stream and datagram in turn, window 2, 3 packets, 2 frames under way", setup);
    let setup = Setup { room: (1, 1), cuts: true, first: 0xFFFE, ..small(LATER, 4) };
    run("serial, stream and datagram in turn, window 2, 4 packets from number 65534", setup);
}

#[test]
#[ignore = "large"]
fn large_bursts() {
    const LINK: &[Link] = &[NARROW];
    run("serial, window 128 of 256 numbers, 35 of 37 under way, 2 losses", long(LINK, 35, 37, 2));
}
