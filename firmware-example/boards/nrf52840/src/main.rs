//! nRF52840-DK: the example application over UART0 at 115200 bit/s, in async firmware (embassy).
//!
//! P0.06 sends and P0.08 receives; on the DK they end in the USB serial port of its debugger. A task of its own watches
//! button 1, and what it sees is published as well: the endpoint is polled by the task that owns it, beside other work.

#![no_std]
#![no_main]

mod line;

use defmt_rtt as _; // logs, by the debug probe
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_nrf::buffered_uarte::{self, BufferedUarte};
use embassy_nrf::config::{Config, HfclkSource, LfclkSource};
use embassy_nrf::gpio::{Input, Pull};
use embassy_nrf::rng::Rng;
use embassy_nrf::{bind_interrupts, peripherals, uarte};
use embassy_sync::blocking_mutex::raw::ThreadModeRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::Timer;
use panic_probe as _;
use serde::{Deserialize, Serialize};
use static_cell::ConstStaticCell;
use tieline::{Inline, IntentOptions, Link, Named, Route};
use tieline_app::App;

use line::{Line, now};

/// The largest frame, the stores for what comes and what goes (bytes), and the number of routes.
type Storage = Inline<256, 512, 512, 8>;

const BAUD: u32 = 115_200;

/// The button was pressed, and how often since the start.
#[derive(Serialize, Deserialize)]
struct Pressed {
    count: u32,
}

impl Named for Pressed {
    const TYPE: &'static str = "Pressed";
}

const BUTTON: Route<Pressed> = Route::new("board.button");

/// From the task of the button to the task of the line.
static PRESSES: Channel<ThreadModeRawMutex, Pressed, 4> = Channel::new();

bind_interrupts!(struct Interrupts {
    UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static APP: ConstStaticCell<App<Storage>> = ConstStaticCell::new(App::new(Storage::new()));
    // 22 ms of line each: what comes while the firmware does something else, and what goes.
    static RX: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
    static TX: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);

    let mut config = Config::default();
    // The crystals of the DK: a baud rate and a clock that are true.
    config.hfclk_source = HfclkSource::ExternalXtal;
    config.lfclk_source = LfclkSource::ExternalXtal;
    let chip = embassy_nrf::init(config);

    let mut serial = uarte::Config::default();
    serial.baudrate = uarte::Baudrate::Baud115200;
    let uart = BufferedUarte::new(
        chip.UARTE0,
        chip.TIMER0,
        chip.PPI_CH0,
        chip.PPI_CH1,
        chip.PPI_GROUP0,
        chip.P0_08,
        chip.P0_06,
        Interrupts,
        serial,
        RX.take(),
        TX.take(),
    );
    let (rx, tx) = uart.split();

    // Must differ at each start: noise of a diode, which the peripheral makes free of bias.
    let mut noise = Rng::new_blocking(chip.RNG);
    noise.set_bias_correction(true);
    let boot_nonce = noise.blocking_next_u64();
    defmt::info!("boot nonce {=u64:#x}", boot_nonce);
    let app = APP.take();
    app.start(boot_nonce);
    let button = app.endpoint().declare_intent(BUTTON.name(), IntentOptions::reliable()).unwrap();
    app.endpoint().handle_connect(now(), Link::serial(BAUD)).unwrap();

    spawner.spawn(watch(Input::new(chip.P0_11, Pull::Up)).unwrap());
    let mut line = Line::<_, _, { Storage::TRANSMIT_MAX }>::new(rx, tx);
    loop {
        match select(line.turn(app), PRESSES.receive()).await {
            Either::First(Ok(())) => {}
            Either::First(Err(error)) => defmt::warn!("a fault of the line: {}", error),
            Either::Second(pressed) => {
                if app.endpoint().publish_message(button, &pressed).is_err() {
                    defmt::info!("nobody wants to know that the button was pressed");
                }
            }
        }
    }
}

/// Counts how often the button is pressed.
#[embassy_executor::task]
async fn watch(mut button: Input<'static>) {
    let mut count = 0;
    loop {
        button.wait_for_falling_edge().await;
        // A contact bounces for some milliseconds.
        Timer::after_millis(20).await;
        if button.is_low() {
            count += 1;
            PRESSES.send(Pressed { count }).await;
        }
    }
}
