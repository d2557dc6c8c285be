//! Nothing: what `cortex-m-rt` and an empty loop take. The other programs are compared with it.

#![no_std]
#![no_main]

use panic_halt as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {}
}
