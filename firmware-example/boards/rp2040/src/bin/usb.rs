//! Raspberry Pi Pico: the example application as a USB serial port (CDC-ACM), over the Pico's own connector.
//!
//! What differs from `main.rs` is the port. USB says when the cable is pulled, so the endpoint is told.

#![no_std]
#![no_main]

use defmt_rtt as _; // logs, by the debug probe
use panic_probe as _;
use rp2040_hal::clocks::init_clocks_and_plls;
use rp2040_hal::rosc::RingOscillator;
use rp2040_hal::usb::UsbBus;
use rp2040_hal::{Timer, Watchdog, pac};
use tieline::driver::{Driver, Port};
use tieline::{Inline, Instant, Link, nb};
use tieline_app::App;
use usb_device::bus::UsbBusAllocator;
use usb_device::device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbDeviceState, UsbVidPid};
use usb_device::{LangID, UsbError};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

/// The largest frame, the stores for what comes and what goes (bytes), and the number of routes.
type Storage = Inline<256, 512, 512, 8>;

const CRYSTAL_HZ: u32 = 12_000_000;

/// The pair that V-USB lends to serial ports of whoever has none of his own.
const ID: UsbVidPid = UsbVidPid(0x16C0, 0x27DD);

/// The second stage of the boot loader, for the Pico's flash chip.
#[used]
#[unsafe(link_section = ".boot2")]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// A serial port on USB. Each read serves the bus, which must happen every 10 ms at least.
struct UsbPort {
    device: UsbDevice<'static, UsbBus>,
    serial: SerialPort<'static, UsbBus>,
}

impl UsbPort {
    fn new(bus: &'static UsbBusAllocator<UsbBus>) -> Option<Self> {
        let serial = SerialPort::new(bus);
        let strings =
            StringDescriptors::new(LangID::EN).manufacturer("Tieline").product("Tieline example board");
        let device =
            UsbDeviceBuilder::new(bus, ID).strings(&[strings]).ok()?.device_class(USB_CLASS_CDC).build();
        Some(Self { device, serial })
    }

    /// Whether a host has taken us in.
    fn is_configured(&self) -> bool {
        self.device.state() == UsbDeviceState::Configured
    }
}

/// What is not there now comes later; anything else is a fault.
fn later<T>(result: Result<T, UsbError>) -> nb::Result<T, UsbError> {
    result.map_err(|error| match error {
        UsbError::WouldBlock => nb::Error::WouldBlock,
        error => nb::Error::Other(error),
    })
}

impl Port for UsbPort {
    type Error = UsbError;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, UsbError> {
        self.device.poll(&mut [&mut self.serial]);
        if !self.is_configured() {
            return Err(nb::Error::WouldBlock);
        }
        later(self.serial.read(buffer))
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, UsbError> {
        later(self.serial.write(bytes))
    }
}

#[rp2040_hal::entry]
fn main() -> ! {
    static mut APP: App<Storage> = App::new(Storage::new());
    static mut BUS: Option<UsbBusAllocator<UsbBus>> = None;

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
    let timer = Timer::new(chip.TIMER, &mut chip.RESETS, &clocks);
    let now = || Instant::from_micros(timer.get_counter().ticks());
    let bus = UsbBus::new(chip.USBCTRL_REGS, chip.USBCTRL_DPRAM, clocks.usb_clock, true, &mut chip.RESETS);
    let port = UsbPort::new(BUS.insert(UsbBusAllocator::new(bus))).unwrap();

    // Must differ at each start. One bit of the ring oscillator is a poor one; each of the 64 is 256 of them.
    let noise = RingOscillator::new(chip.ROSC).initialize();
    let boot_nonce =
        (0..64 * 256).fold(0, |nonce: u64, _| nonce.rotate_left(5) ^ u64::from(noise.get_random_bit()));
    defmt::info!("boot nonce {=u64:#x}", boot_nonce);

    APP.start(boot_nonce);
    let mut connected = false;
    let mut driver = Driver::<_, { Storage::TRANSMIT_MAX }>::new(port);
    loop {
        let _ = driver.turn(APP, now()); // a fault of the line: the protocol recovers
        let configured = driver.port().is_configured();
        if configured && !connected {
            connected = APP.endpoint().handle_connect(now(), Link::serial(0)).is_ok();
        } else if connected && !configured {
            APP.endpoint().handle_disconnect(now());
            connected = false;
        }
    }
}
