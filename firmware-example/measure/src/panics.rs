//! What a panic does in a program that is not to have any: it is a function that nobody has written, so that such a program
//! does not link.

use core::panic::PanicInfo;

#[cfg(not(feature = "panic-tells"))]
unsafe extern "C" {
    /// Nobody has written it.
    safe fn tieline_a_panic_can_be_reached() -> !;
}

#[cfg(not(feature = "panic-tells"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    tieline_a_panic_can_be_reached()
}

/// Where the panic is depends on how it came here, so the compiler leaves all places in.
#[cfg(feature = "panic-tells")]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(place) = info.location() {
        core::hint::black_box(place);
    }
    loop {}
}
