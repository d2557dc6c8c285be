//! Nucleo-F411RE: the example application over USART2 at 115200 bit/s, on RTIC.
//!
//! PA2 sends and PA3 receives; on the Nucleo they end in the USB serial port of its debugger. The interrupt of the UART moves
//! bytes between registers and queues; a task moves them between queues and endpoint, and sleeps until bytes come or
//! something is due.

#![no_std]
#![no_main]

mod counter;
mod nonce;

use defmt_rtt as _; // logs, by the debug probe
use panic_probe as _;

#[rtic::app(device = stm32f4xx_hal::pac, peripherals = true, dispatchers = [SPI4])]
mod app {
    use rtic_sync::make_signal;
    use rtic_sync::signal::{SignalReader, SignalWriter};
    use rtic_time::Monotonic;
    use stm32f4xx_hal::nb;
    use stm32f4xx_hal::pac::{Interrupt, TIM5, USART2};
    use stm32f4xx_hal::prelude::*;
    use stm32f4xx_hal::rcc;
    use stm32f4xx_hal::serial::{Config, Error, Rx, Serial, Tx};
    use stm32f4xx_hal::timer::MonoTimerUs;
    use tieline::driver::{Driver, Handler, QueuedPort, Queues, Turn};
    use tieline::{Inline, Instant, Link};
    use tieline_app::App;

    use crate::nonce;

    /// The largest frame, the stores for what comes and what goes (bytes), and the number of routes.
    type Storage = Inline<256, 512, 512, 8>;
    type Port = QueuedPort<'static, fn()>;
    /// The clock, in microseconds of 64 bits.
    type Clock = MonoTimerUs<TIM5>;

    const BAUD: u32 = 115_200;

    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        rx: Rx<USART2>,
        tx: Tx<USART2>,
        handler: Handler<'static>,
        moved: SignalWriter<'static, ()>,
        driver: Driver<Port, { Storage::TRANSMIT_MAX }>,
        app: &'static mut App<Storage>,
        news: SignalReader<'static, ()>,
    }

    #[init(local = [memory: App<Storage> = App::new(Storage::new()), queues: Queues<256, 256> = Queues::new()])]
    fn init(mut context: init::Context) -> (Shared, Local) {
        let mut chip = context.device;
        let count = nonce::count(&mut chip.FLASH);
        // The internal oscillator: true to 1 % at room temperature, which a UART takes, and every board has it.
        let mut rcc = chip.RCC.freeze(rcc::Config::hsi().sysclk(84.MHz()));
        chip.TIM5.monotonic_us(&mut context.core.NVIC, &mut rcc);
        let pins = chip.GPIOA.split(&mut rcc);
        let config = Config::default().baudrate(BAUD.bps());
        let (tx, mut rx) =
            Serial::<USART2>::new(chip.USART2, (pins.pa2, pins.pa3), config, &mut rcc).unwrap().split();
        rx.listen();

        let kick = || rtic::pend(Interrupt::USART2);
        let (handler, port) = context.local.queues.split(kick as fn());
        let app = context.local.memory;
        let boot_nonce = nonce::new(count, chip.ADC1, &mut rcc);
        defmt::info!("boot nonce {=u64:#x}", boot_nonce);
        app.start(boot_nonce);
        app.endpoint().handle_connect(now(), Link::serial(BAUD)).unwrap();
        let (moved, news) = make_signal!(());
        serve::spawn().unwrap();
        (Shared {}, Local { rx, tx, handler, moved, driver: Driver::new(port), app, news })
    }

    fn now() -> Instant {
        Instant::from_micros(Clock::now().ticks())
    }

    /// A byte came, or one can go, or the task has put bytes into the queue.
    #[task(binds = USART2, local = [rx, tx, handler, moved], priority = 2)]
    fn usart2(context: usart2::Context) {
        let usart2::LocalResources { rx, tx, handler, moved, .. } = context.local;
        match rx.read() {
            Ok(byte) => {
                handler.receive(byte);
                moved.write(());
            }
            Err(nb::Error::Other(Error::Overrun)) => handler.count_overruns(1),
            // Damaged, or none there.
            Err(_) => {}
        }
        if tx.is_tx_empty() {
            match handler.transmit() {
                Some(byte) => {
                    let _ = tx.write(byte); // it is empty
                    tx.listen();
                }
                None => {
                    tx.unlisten();
                    moved.write(());
                }
            }
        }
    }

    /// The endpoint and the application, below all interrupts.
    #[task(local = [driver, app, news], priority = 1)]
    async fn serve(context: serve::Context) {
        let serve::LocalResources { driver, app, news, .. } = context.local;
        loop {
            let Ok(turn) = driver.turn(*app, now());
            match turn {
                Turn::Again => {}
                Turn::Idle(None) => news.wait().await,
                Turn::Idle(Some(at)) => {
                    let at = <Clock as Monotonic>::Instant::from_ticks(at.as_micros());
                    let _ = Clock::timeout_at(at, news.wait()).await; // either is a reason for a turn
                }
            }
        }
    }
}
