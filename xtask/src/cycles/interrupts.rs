//! Interrupts per byte: how often the UART of the emulated LM3S6965 interrupts its processor for what it moves.
//!
//! The firmware counts; this is the other end of the line, which makes the traffic and counts the bytes. The FIFOs hold 16
//! bytes each way, as on the chip; but QEMU has no baud rate, so bytes come in as large pieces as the FIFO takes. At a real
//! rate a byte that comes alone may cost an interrupt of its own: at the chip's trigger of 8 it is one for 8 bytes of a frame,
//! and one for its end.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result, bail};
use object::{Object as _, ObjectSymbol as _};
use tieline::{
    Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link, RouteId, RouteName,
    Select,
};
use tieline_emulator::{Board, Setup};

use crate::firmware;

const BOARD: &str = "qemu-lm3s6965";
/// In `firmware-example/boards/qemu-lm3s6965/src/uart.rs`.
const COUNTER: &str = "TIELINE_UART_INTERRUPTS";

static SAMPLES: RouteName = name("ImuSample", "sensors.imu");
static COMMANDS: RouteName = name("SetRate", "board.rate");

/// `SetRate` of 1000 and of 0, as postcard writes it.
const FAST: &[u8] = &[0xE8, 0x07];
const SILENT: &[u8] = &[0];

/// How many messages of each kind are looked at.
const MESSAGES: u32 = 1000;
/// For all of it, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for bytes when there is nothing to do.
const TURN: Duration = Duration::from_millis(1);

const fn name(type_name: &'static str, path: &'static str) -> RouteName {
    match RouteName::new(type_name, path) {
        Ok(name) => name,
        Err(_) => panic!("not a route"),
    }
}

/// Builds the firmware, has it talk, and prints what it took.
pub(super) fn print() -> Result<()> {
    let described = firmware::Board::find(BOARD)?;
    let machine = described.machine.context("not a board of QEMU's")?;
    // Without logs: writing one stops the processor for longer than a frame takes.
    let image = described.build(Some(""))?;
    let counter = address_of(&image)?;
    let board = Board::start(&Setup::new(machine, &image))?;
    let mut peer = Peer::connect(&board).context("the line to the board")?;
    let mark = || -> Result<u32> { Ok(board.word(counter)?) };

    println!("\ninterrupts of the UART of {BOARD} in QEMU, for all bytes both ways");
    peer.command(FAST)?;
    peer.until("samples", |peer| peer.samples >= 100)?;
    let (bytes, interrupts, end) = (peer.bytes, mark()?, peer.samples + MESSAGES);
    peer.until("samples", |peer| peer.samples >= end)?;
    row("samples of the board, 1000 a second", peer.bytes - bytes, mark()?.wrapping_sub(interrupts));

    peer.command(SILENT)?;
    peer.until("silence", |peer| peer.delivered == peer.published)?;
    let (bytes, interrupts, end) = (peer.bytes, mark()?, peer.published + MESSAGES);
    while peer.published < end {
        peer.command(SILENT)?;
    }
    peer.until("commands", |peer| peer.delivered >= end)?;
    row("commands of the PC, as fast as they go", peer.bytes - bytes, mark()?.wrapping_sub(interrupts));
    Ok(())
}

fn row(what: &str, bytes: u64, interrupts: u32) {
    let ratio = f64::from(interrupts) / bytes.max(1) as f64;
    println!("{what:<50}{interrupts:>8} for {bytes:>7} bytes: {ratio:.3} a byte");
}

fn address_of(image: &Path) -> Result<u32> {
    let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let file = object::File::parse(&*bytes)?;
    let symbol = file.symbol_by_name(COUNTER).with_context(|| format!("the image has no `{COUNTER}`"))?;
    u32::try_from(symbol.address()).context("an address of more than 32 bits")
}

type Storage = Inline<512, 4096, 4096, 4>;

struct Peer {
    line: TcpStream,
    began: Clock,
    endpoint: Box<Endpoint<Storage>>,
    commands: RouteId,
    samples: u32,
    published: u32,
    delivered: u32,
    /// Both ways.
    bytes: u64,
}

impl Peer {
    fn connect(board: &Board) -> Result<Self> {
        let line = TcpStream::connect(board.uart())?;
        line.set_nodelay(true)?;
        line.set_read_timeout(Some(TURN))?;
        let mut endpoint = Box::new(Endpoint::new(Storage::new()));
        endpoint.start(Config::new("meter"), u64::from(std::process::id()) << 16 | 1);
        endpoint.declare_interest(&SAMPLES, InterestOptions::default()).context("no room for a route")?;
        let commands =
            endpoint.declare_intent(&COMMANDS, IntentOptions::reliable()).context("no room for a route")?;
        endpoint.handle_connect(Instant::ZERO, Link::serial(115_200)).context("no link")?;
        let began = Clock::now();
        let mut peer =
            Self { line, began, endpoint, commands, samples: 0, published: 0, delivered: 0, bytes: 0 };
        peer.until("session", |peer| peer.endpoint.has_audience(peer.commands))?;
        Ok(peer)
    }

    /// Publishes a command as soon as there is room.
    fn command(&mut self, payload: &[u8]) -> Result<()> {
        let published = self.published;
        self.until("room for a command", |peer| {
            if peer.endpoint.publish(peer.commands, payload).is_ok() {
                peer.published += 1;
            }
            peer.published > published
        })
    }

    fn until(&mut self, what: &str, mut is_done: impl FnMut(&mut Self) -> bool) -> Result<()> {
        while !is_done(self) {
            if self.began.elapsed() > PATIENCE {
                bail!("{BOARD}: no {what} within {} s", PATIENCE.as_secs());
            }
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let now = Instant::ZERO + self.began.elapsed();
        let mut out = [0; Storage::TRANSMIT_MAX];
        while let Some(frame) = self.endpoint.poll_transmit(now, &mut out) {
            self.bytes += frame.len() as u64;
            self.line.write_all(frame)?;
        }
        let mut buffer = [0; 1024];
        let count = match self.line.read(&mut buffer) {
            Ok(0) => bail!("the board has hung up"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) => return Err(error.into()),
        };
        self.bytes += count as u64;
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let taken = self.endpoint.handle_input(now, rest);
            rest = &rest[taken..];
            while self.endpoint.poll_message(Select::Any).is_some() {
                self.samples += 1;
            }
        }
        self.endpoint.handle_timeout(now);
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Delivered(_) => self.delivered += 1,
                Event::Failed(..) | Event::Lost(_) | Event::Closed(_) => bail!("{BOARD}: {event:?}"),
                _ => {}
            }
        }
        Ok(())
    }
}
