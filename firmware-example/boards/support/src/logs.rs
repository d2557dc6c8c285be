//! A `defmt` logger whose records leave as messages of [`LOG`](tieline::driver::LOG).
//!
//! Interrupts are masked while a record is written, which is what makes one writer of all. The record of a panic is gone with
//! the reset that follows it: to see that, log by semihosting or RTT.

use core::cell::UnsafeCell;

use critical_section::RestoreState;
use tieline::driver::{Application, LogRing, Logged};

/// Some twenty records.
const RING: usize = 512;

static LOGS: LogRing<RING> = LogRing::new();

/// An application, and the logs beside it.
pub const fn logged<A: Application>(application: A) -> Logged<'static, A, RING> {
    Logged::new(application, &LOGS)
}

#[defmt::global_logger]
struct Logger;

/// What a record that is being written needs.
struct Writer {
    encoder: defmt::Encoder,
    restore: RestoreState,
    is_taken: bool,
}

struct Shared(UnsafeCell<Writer>);

// SAFETY: it is used with interrupts masked only, on a single core.
unsafe impl Sync for Shared {}

static WRITER: Shared = Shared(UnsafeCell::new(Writer {
    encoder: defmt::Encoder::new(),
    restore: RestoreState::invalid(),
    is_taken: false,
}));

// SAFETY: from `acquire` to `release` interrupts are masked, so there is one writer.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: `release` gives it back.
        let restore = unsafe { critical_section::acquire() };
        // SAFETY: interrupts are masked, and no reference is kept.
        let writer = unsafe { &mut *WRITER.0.get() };
        // A panic while a record is written, in code of whoever formats itself: there is no way on.
        if writer.is_taken {
            cortex_m::peripheral::SCB::sys_reset();
        }
        writer.is_taken = true;
        writer.restore = restore;
        LOGS.begin();
        writer.encoder.start_frame(|bytes| LOGS.write(bytes));
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: between `acquire` and here interrupts are masked.
        let writer = unsafe { &mut *WRITER.0.get() };
        writer.encoder.end_frame(|bytes| LOGS.write(bytes));
        LOGS.end();
        writer.is_taken = false;
        // SAFETY: it is what `acquire` got.
        unsafe { critical_section::release(writer.restore) };
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: between `acquire` and `release` interrupts are masked.
        let writer = unsafe { &mut *WRITER.0.get() };
        writer.encoder.write(bytes, |bytes| LOGS.write(bytes));
    }
}
