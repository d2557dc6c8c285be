//! QEMU with a firmware in it: its memory is set before the start and read at the end, its UART is a TCP connection.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Stack;
use crate::{process, workspace};

const EMULATOR: &str = "qemu-system-arm";

/// What the firmware is told to do, and its boot nonce: `firmware-example/measure/src/watch.rs`.
const ORDERS: u32 = 0x2000_FC00;
const ALL_ORDERS: u32 = 7;
const NONCE: u32 = 0x2000_FC08;
const BOARD_NONCE: u32 = 0x1234_5678;

/// The emulator needs a moment to start and to stop, on a busy machine some more.
const PATIENCE: Duration = Duration::from_secs(20);

/// An emulated board that runs. It is gone when this is dropped.
pub(super) struct Board {
    emulator: Child,
    /// Where the stack begins, and how long it is.
    stack: (u32, usize),
    dump: PathBuf,
}

impl Board {
    /// Starts a firmware with a painted stack; also the other end of its UART.
    pub(super) fn start(image: &Path, stack: &Stack) -> Result<(Self, TcpStream)> {
        let dir = workspace::target_dir()?.join("firmware/stack");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let (paint, dump) = (dir.join("paint.bin"), dir.join("dump.bin"));
        fs::write(&paint, stack.painted()).with_context(|| format!("cannot write {}", paint.display()))?;
        let _ = fs::remove_file(&dump);
        // The emulator dials: so it is here that a free port is chosen.
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let mut command = Command::new(EMULATOR);
        command
            .args(["-machine", "lm3s6965evb", "-display", "none", "-monitor", "stdio"])
            .args(["-serial", &format!("tcp:127.0.0.1:{port}")])
            .args([
                "-device",
                &format!("loader,file={},addr={:#x},force-raw=on", paint.display(), stack.start),
            ])
            .args(["-device", &format!("loader,addr={ORDERS:#x},data={ALL_ORDERS},data-len=4")])
            .args(["-device", &format!("loader,addr={NONCE:#x},data={BOARD_NONCE},data-len=4")])
            .arg("-kernel")
            .arg(image)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let emulator = process::spawn(&mut command)?;
        let mut board = Self { emulator, stack: (stack.start, stack.len()), dump };
        let line = board.accept(&listener)?;
        line.set_nodelay(true)?;
        Ok((board, line))
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<TcpStream> {
        listener.set_nonblocking(true)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match listener.accept() {
                Ok((line, _)) => {
                    line.set_nonblocking(false)?;
                    return Ok(line);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(status) = self.emulator.try_wait()? {
                bail!("{EMULATOR} ended at once ({status})");
            }
            if Instant::now() >= deadline {
                bail!("{EMULATOR} did not open the UART within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the board; returns what its stack looks like.
    pub(super) fn stop(mut self) -> Result<Vec<u8>> {
        let (start, len) = self.stack;
        let dump = self.dump.display();
        let mut monitor = self.emulator.stdin.take().context("the emulator's monitor is gone")?;
        write!(monitor, "stop\npmemsave {start:#x} {len} \"{dump}\"\nquit\n")?;
        monitor.flush()?;
        let deadline = Instant::now() + PATIENCE;
        while self.emulator.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                bail!("{EMULATOR} did not end within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let memory = fs::read(&self.dump).with_context(|| format!("{EMULATOR} wrote no {dump}"))?;
        if memory.len() != len {
            bail!("{EMULATOR} wrote {} of {len} bytes of the stack", memory.len());
        }
        Ok(memory)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
