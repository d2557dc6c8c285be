//! What an endpoint takes of a board's RAM. A budget, so that growth is noticed.

use std::mem::size_of;

use tieline::{Call, Endpoint, Inline, RouteName, Served, Slot};

const FRAME: usize = 256;
const RX: usize = 512;
const TX: usize = 512;
const ROUTES: usize = 8;
/// Places for requests of an `Inline`, each way.
const REQUESTS: usize = 4;

/// At most the buffers, 512 bytes, and 64 for each route.
const GOAL: usize = FRAME + RX + TX + 512 + 64 * ROUTES;

#[test]
fn an_endpoint_fits_its_budget() {
    let all = size_of::<Endpoint<Inline<FRAME, RX, TX, ROUTES>>>();
    let storage = size_of::<Inline<FRAME, RX, TX, ROUTES>>();
    let requests = REQUESTS * (size_of::<Call>() + size_of::<Served>());
    println!("endpoint {all}, goal {GOAL}, pointers of {} bytes", size_of::<usize>());
    println!("  buffers          {}", FRAME + RX + TX);
    println!("  {ROUTES} routes of {:3}  {}", size_of::<Slot>(), ROUTES * size_of::<Slot>());
    println!("  4 + 4 requests   {requests} (call {}, served {})", size_of::<Call>(), size_of::<Served>());
    println!("  state            {}", all - storage);
    assert!(all <= PRESENT, "{all} bytes, it was {PRESENT}");
}

/// What it is today on a 64-bit host. It may shrink, towards GOAL, and must not grow.
const PRESENT: usize = 3352;

#[test]
fn a_route_name_is_small_enough_for_flash_tables() {
    assert!(size_of::<RouteName>() <= 48, "{}", size_of::<RouteName>());
}
