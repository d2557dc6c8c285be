//! Raspberry Pi Pico: the example application over UART0, at 115200 bit/s: GP0 sends, GP1 receives.

#![no_std]
#![no_main]

use defmt_rtt as _; // logs, by the debug probe
use panic_probe as _;
use rp2040_hal::clocks::{Clock, init_clocks_and_plls};
use rp2040_hal::fugit::RateExtU32;
use rp2040_hal::gpio::Pins;
use rp2040_hal::rosc::RingOscillator;
use rp2040_hal::uart::{DataBits, StopBits, UartConfig, UartPeripheral};
use rp2040_hal::{Sio, Timer, Watchdog, pac};
use tieline::driver::{Driver, Io};
use tieline::{Inline, Instant, Link};
use tieline_app::App;

/// The largest frame, the stores for what comes and what goes (bytes), and the number of routes.
type Storage = Inline<256, 512, 512, 8>;

const BAUD: u32 = 115_200;
const CRYSTAL_HZ: u32 = 12_000_000;

/// The second stage of the boot loader, for the Pico's flash chip.
#[used]
#[unsafe(link_section = ".boot2")]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[rp2040_hal::entry]
fn main() -> ! {
    static mut APP: App<Storage> = App::new(Storage::new());

    // Clocks, pins, UART and timer, as any firmware of this HAL sets them up.
    let mut chip = pac::Peripherals::take().unwrap();
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL_HZ,
        chip.XOSC,
        chip.CLOCKS,
        chip.PLL_SYS,
        chip.PLL_USB,
        &mut chip.RESETS,
        &mut watchdog,
    )
    .unwrap();
    let sio = Sio::new(chip.SIO);
    let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, sio.gpio_bank0, &mut chip.RESETS);
    let uart = UartPeripheral::new(
        chip.UART0,
        (pins.gpio0.into_function(), pins.gpio1.into_function()),
        &mut chip.RESETS,
    )
    .enable(UartConfig::new(BAUD.Hz(), DataBits::Eight, None, StopBits::One), clocks.peripheral_clock.freq())
    .unwrap();
    let timer = Timer::new(chip.TIMER, &mut chip.RESETS, &clocks);
    let now = || Instant::from_micros(timer.get_counter().ticks());

    // Must differ at each start. One bit of the ring oscillator is a poor one; each of the 64 is 256 of them.
    let noise = RingOscillator::new(chip.ROSC).initialize();
    let boot_nonce =
        (0..64 * 256).fold(0, |nonce: u64, _| nonce.rotate_left(5) ^ u64::from(noise.get_random_bit()));
    defmt::info!("boot nonce {=u64:#x}", boot_nonce);

    APP.start(boot_nonce);
    APP.endpoint().handle_connect(now(), Link::serial(BAUD)).unwrap();
    let mut driver = Driver::<_, { Storage::TRANSMIT_MAX }>::new(Io(uart));
    loop {
        let _ = driver.turn(APP, now()); // a fault of the line: the protocol recovers
    }
}
