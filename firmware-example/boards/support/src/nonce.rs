//! A boot nonce for boards that have no random number generator.
//!
//! It must differ at each start, and from every other board's. What it is made of:
//!
//! - a counter in RAM that the start-up code leaves alone: differs after each reset while there is power;
//! - all other RAM that is left alone: after power-on its bits are as the transistors happen to fall, hundreds of them anew
//!   each time; in an emulator they are zero;
//! - a timer's count, again and again: in an emulator, which runs in the time of a busy host, it differs now and then; on real
//!   hardware it is always the same;
//! - with semihosting the host's clocks: differ between two starts of an emulator.
//!
//! That is enough for a bench. A product stores a boot counter in flash or EEPROM and mixes it with a number of the chip's
//! own, or takes a chip with a generator.

use core::mem::MaybeUninit;
use core::ptr::addr_of_mut;

/// How much memory is looked at, in words: all of it, on a small board.
const WORDS: usize = 0x4000;

/// How often the timer is waited for, and the bit of its count that is to change: 41 µs at 12.5 MHz. Less than that is the same
/// in most starts of an emulator.
const SAMPLES: u32 = 128;
const BIT: u32 = 1 << 9;

/// The counter and its complement, by which it is known to be one.
#[unsafe(link_section = ".uninit.BOOTS")]
static mut BOOTS: MaybeUninit<[u32; 2]> = MaybeUninit::uninit();

/// The nonce of this start; to be called once. `ticks` is a timer that runs, the faster
/// the better.
pub fn boot_nonce(mut ticks: impl FnMut() -> u32) -> u64 {
    let mut mixer = Mixer(0);
    mixer.add(count_boot());
    add_memory(&mut mixer);
    for _ in 0..SAMPLES {
        let begin = ticks();
        let mut count = 0;
        while (ticks() ^ begin) & BIT == 0 {
            count += 1;
        }
        mixer.add(count);
    }
    add_host_time(&mut mixer);
    mixer.0
}

fn count_boot() -> u32 {
    let place = addr_of_mut!(BOOTS).cast::<[u32; 2]>();
    // SAFETY: nobody else uses it, any bits are an array of numbers, and the compiler does not know that they are not there.
    let [count, check] = unsafe { place.read_volatile() };
    let count = if check == !count { count.wrapping_add(1) } else { 1 };
    // SAFETY: as above.
    unsafe { place.write_volatile([count, !count]) };
    count
}

/// RAM between the variables and the stack.
fn add_memory(mixer: &mut Mixer) {
    let mut word = cortex_m_rt::heap_start().cast_const();
    let top = (&raw const *mixer).addr().min(word.addr() + WORDS * size_of::<u32>());
    while word.addr() + size_of::<u32>() <= top {
        // SAFETY: aligned, in RAM, below what of the stack is in use above this function; nothing is expected of its value.
        mixer.add(unsafe { word.read_volatile() });
        word = word.wrapping_add(1);
    }
}

#[cfg(feature = "semihosting-logs")]
fn add_host_time(mixer: &mut Mixer) {
    use cortex_m_semihosting::nr;
    for order in [nr::TIME, nr::CLOCK] {
        // SAFETY: both orders take no argument and return a number (Arm, "Semihosting for AArch32 and AArch64").
        mixer.add(unsafe { cortex_m_semihosting::syscall1(order, 0) } as u32);
    }
    // The two above are the same for emulators that start within a second; this counts nanoseconds since the start, of
    // which a host needs more or less each time.
    let mut elapsed = MaybeUninit::new([0; 2]);
    // SAFETY: the order writes 8 bytes to its argument, which has room for them (the same).
    let refused = unsafe { cortex_m_semihosting::syscall1(nr::ELAPSED, elapsed.as_mut_ptr() as usize) };
    // SAFETY: it is initialized, whatever the host has made of it; which the compiler does not know.
    let [low, high]: [u32; 2] = unsafe { elapsed.as_ptr().read_volatile() };
    mixer.add(refused as u32);
    mixer.add(low);
    mixer.add(high);
}

#[cfg(not(feature = "semihosting-logs"))]
const fn add_host_time(_: &mut Mixer) {}

/// Each word that is added changes about half of the bits.
struct Mixer(u64);

impl Mixer {
    fn add(&mut self, word: u32) {
        // The finalizer of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators"), shortened.
        let mixed = (self.0 ^ u64::from(word)).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        self.0 = mixed ^ mixed >> 27;
    }
}
