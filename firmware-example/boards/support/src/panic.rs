//! What a panic does: it is logged, if there are logs, and the board starts anew, which the peer notices.

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "logs")]
    defmt::error!("{}", defmt::Display2Format(info));
    #[cfg(not(feature = "logs"))]
    let _ = info;
    SCB::sys_reset()
}
