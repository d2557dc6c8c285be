//! The board of the demo: the example application on this host, behind a pseudo-terminal as if that were its UART.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tieline::driver::{Driver, Port};
use tieline::{Inline, Link, nb};
use tieline_app::App;
use tieline_std::Address;

/// Baud rate of the simulated UART.
const BAUD: u32 = 921_600;
/// The memory of a small board.
type Memory = Inline<256, 512, 512, 8>;

/// A board that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Board {
    address: Address,
    /// A byte presses the reset button, closing it switches the board off.
    button: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Board {
    /// A board behind a pseudo-terminal.
    pub(super) fn behind_terminal() -> Result<Self> {
        let terminal = Terminal::open().context("no pseudo-terminal can be had")?;
        let address = Address::serial(terminal.path.clone(), BAUD);
        Self::start(address, move |button| {
            // The other end stays open so that the line is up even while nobody has it open, like a UART.
            let Terminal { board, _plug, .. } = terminal;
            rustix::io::ioctl_fionbio(&board, true)?;
            while run(&board, Link::serial(BAUD), &button)? == Button::Reset {}
            Ok(())
        })
    }

    /// A board behind a TCP port of this host. A reset closes the connection: a stream has no other way to begin anew.
    pub(super) fn behind_tcp() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no TCP port can be had")?;
        listener.set_nonblocking(true)?;
        let address = Address::tcp("127.0.0.1", listener.local_addr()?.port());
        Self::start(address, move |button| {
            loop {
                match wait_for(&listener, false, &button, None)? {
                    Some(Button::Off) => return Ok(()),
                    Some(Button::Reset) => continue,
                    None => {}
                }
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                if run(&stream.into(), Link::stream(), &button)? == Button::Off {
                    return Ok(());
                }
            }
        })
    }

    fn start(
        address: Address,
        life: impl FnOnce(OwnedFd) -> io::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let (pressed, button) = rustix::pipe::pipe()?;
        let thread = std::thread::Builder::new().name("board".to_owned()).spawn(move || {
            // A board whose line fails has nobody to tell; the PC's side says that the line is down.
            let _ = life(pressed);
        })?;
        Ok(Self { address, button: Some(button), thread: Some(thread) })
    }

    /// Where the PC finds it.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Presses its reset button.
    pub(super) fn reset(&self) -> io::Result<()> {
        if let Some(button) = &self.button {
            rustix::io::write(button, &[0])?;
        }
        Ok(())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.button = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A pseudo-terminal: two ends of a line.
#[derive(Debug)]
struct Terminal {
    board: OwnedFd,
    path: String,
    _plug: File,
}

impl Terminal {
    fn open() -> io::Result<Self> {
        let board = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::pty::grantpt(&board)?;
        rustix::pty::unlockpt(&board)?;
        let path = rustix::pty::ptsname(&board, Vec::new())?;
        let path = path.into_string().map_err(|_| io::Error::other("its name is not text"))?;
        let flags = i32::try_from(OpenptFlags::NOCTTY.bits()).unwrap_or_default();
        let plug = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)?;
        // A fresh terminal echoes what it is sent, which a UART does not.
        let mut settings = tcgetattr(&plug)?;
        settings.make_raw();
        tcsetattr(&plug, OptionalActions::Now, &settings)?;
        Ok(Self { board, path, _plug: plug })
    }
}

/// The main loop, until somebody presses a button: what a real board does with its UART, here with a file descriptor.
fn run(line: &OwnedFd, link: Link, button: &OwnedFd) -> io::Result<Button> {
    let epoch = Instant::now();
    let now =
        || tieline::Instant::from_micros(u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX));
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;

    let mut app = App::new(Memory::new());
    app.start(u64::from_le_bytes(nonce));
    app.endpoint().handle_connect(now(), link).map_err(io::Error::other)?;
    let mut driver = Driver::<_, { Memory::TRANSMIT_MAX }>::new(Uart(line));
    loop {
        let before = driver.poll(app.endpoint(), now())?;
        let wake = app.poll(now());
        // Once more, for what the application has just said.
        if before | driver.poll(app.endpoint(), now())? {
            continue;
        }
        // To the next millisecond: a board that is late by less is not late.
        let wait = wake.map(|wake| wake.since(now()) + std::time::Duration::from_micros(1));
        if let Some(pressed) = wait_for(line, driver.is_blocked(), button, wait)? {
            return Ok(pressed);
        }
    }
}

/// What somebody does to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Button {
    Reset,
    Off,
}

/// The board's end of the line, as a port.
struct Uart<'l>(&'l OwnedFd);

impl Port for Uart<'_> {
    type Error = io::Error;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, io::Error> {
        match rustix::io::read(self.0, buffer) {
            Ok(0) => Err(nb::Error::Other(io::ErrorKind::UnexpectedEof.into())),
            other => moved(other),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, io::Error> {
        moved(rustix::io::write(self.0, bytes))
    }
}

fn moved(result: Result<usize, Errno>) -> nb::Result<usize, io::Error> {
    match result {
        Ok(count) => Ok(count),
        Err(Errno::AGAIN | Errno::INTR) => Err(nb::Error::WouldBlock),
        Err(error) => Err(nb::Error::Other(error.into())),
    }
}

/// Waits for the line, or for somebody who presses a button.
fn wait_for(
    line: &impl AsFd,
    blocked: bool,
    button: &OwnedFd,
    wait: Option<std::time::Duration>,
) -> io::Result<Option<Button>> {
    let flags = if blocked { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let mut fds = [PollFd::from_borrowed_fd(line.as_fd(), flags), PollFd::new(button, PollFlags::IN)];
    let limit = wait.map(|wait| Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    });
    match poll(&mut fds, limit.as_ref()) {
        Ok(_) if fds[1].revents().is_empty() => Ok(None),
        Ok(_) => Ok(Some(match rustix::io::read(button, &mut [0; 1])? {
            0 => Button::Off,
            _ => Button::Reset,
        })),
        Err(Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
