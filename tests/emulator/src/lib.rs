//! A board in QEMU: an image of firmware that runs, its UART as a TCP port of this host, its reset button and its logs.
//!
//! Used by `cargo xtask` and by the tests against emulated boards. It neither installs QEMU nor builds images, and knows
//! nothing of what the UART carries.
//!
//! Invariant: QEMU does not outlive the [`Board`], nor, where `setpriv` is there to see to it (Linux), the thread that has
//! started it, however that ends.

#![forbid(unsafe_code)]

mod control;
mod place;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use control::Control;
use place::Place;

/// The program.
pub const QEMU: &str = "qemu-system-arm";

/// QEMU needs a moment to start and to answer, on a busy machine some more.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often to look whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What to emulate.
#[derive(Debug, Clone)]
pub struct Setup<'a> {
    /// QEMU's name for the board, such as `lm3s6965evb`.
    pub machine: &'a str,
    /// The firmware: an ELF file.
    pub image: &'a Path,
    /// Whether somebody will read the [logs](Board::logs); else they are dropped.
    pub logs: bool,
    /// More arguments for QEMU.
    pub arguments: &'a [OsString],
}

impl<'a> Setup<'a> {
    /// A board without logs.
    #[must_use]
    pub const fn new(machine: &'a str, image: &'a Path) -> Self {
        Self { machine, image, logs: false, arguments: &[] }
    }
}

/// An emulated board that runs. It is gone when this is dropped.
#[derive(Debug)]
pub struct Board {
    qemu: Child,
    uart: SocketAddr,
    place: Place,
}

impl Board {
    /// Starts it; returns when its UART can be connected to. The firmware runs already by then, and what it has said is
    /// lost, as on a real board that nobody listens to.
    ///
    /// # Errors
    /// QEMU is not installed, or does not like what it was told; the error has its words.
    pub fn start(setup: &Setup<'_>) -> io::Result<Self> {
        let place = Place::create()?;
        let mut command = command(setup, &place);
        command
            .stdin(Stdio::null())
            .stdout(if setup.logs { Stdio::piped() } else { Stdio::null() })
            .stderr(File::create(place.words())?);
        let mut qemu = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), format!("{QEMU} is not installed")),
            _ => error,
        })?;
        let uart = find_uart(&mut qemu, &place).inspect_err(|_| {
            let _ = qemu.kill();
            let _ = qemu.wait();
        })?;
        Ok(Self { qemu, uart, place })
    }

    /// Where its UART is: one connection at a time, and another one when that is closed. What the board says while nobody is
    /// connected is lost.
    #[must_use]
    pub const fn uart(&self) -> SocketAddr {
        self.uart
    }

    /// Presses its reset button.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn reset(&self) -> io::Result<()> {
        reset(self.socket())
    }

    /// The socket at which QEMU takes orders: see [`Control`].
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.place.socket()
    }

    /// What the firmware writes by semihosting, if the [`Setup`] says so; for who takes it first.
    pub const fn logs(&mut self) -> Option<ChildStdout> {
        self.qemu.stdout.take()
    }

    /// Bytes of its memory. It stands still from then on.
    ///
    /// # Errors
    /// QEMU is gone, or the board has no such memory.
    pub fn freeze(&self, address: u32, len: usize) -> io::Result<Vec<u8>> {
        let dump = self.place.dump();
        let mut control = Control::connect(self.socket())?;
        control.execute("stop", &Value::Null)?;
        control.execute(
            "pmemsave",
            &json!({ "val": address, "size": len, "filename": dump.to_string_lossy() }),
        )?;
        let memory = std::fs::read(dump)?;
        if memory.len() != len {
            return Err(io::Error::other(format!("{QEMU} wrote {} of {len} bytes of memory", memory.len())));
        }
        Ok(memory)
    }

    /// A word of its memory, while it runs.
    ///
    /// # Errors
    /// QEMU is gone, or the board has no such memory.
    pub fn word(&self, address: u32) -> io::Result<u32> {
        let order = json!({ "command-line": format!("xp /1xw {address:#x}") });
        let answer = Control::connect(self.socket())?.execute("human-monitor-command", &order)?;
        word_in(answer.as_str().unwrap_or_default())
            .ok_or_else(|| io::Error::other(format!("{QEMU} says of memory: {answer}")))
    }

    /// Whether QEMU still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.qemu.try_wait(), Ok(None))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Presses the reset button of the board whose QEMU takes orders at `socket`.
///
/// # Errors
/// QEMU is gone.
pub fn reset(socket: &Path) -> io::Result<()> {
    Control::connect(socket)?.execute("system_reset", &Value::Null).map(drop)
}

fn command(setup: &Setup<'_>, place: &Place) -> Command {
    let mut command = if ends_with_us() {
        let mut command = Command::new("setpriv");
        // Not in the group that Ctrl-C interrupts: whoever has the board may still need it then.
        command.args(["--pdeathsig", "KILL", "--", QEMU]).process_group(0);
        command
    } else {
        Command::new(QEMU)
    };
    let mut orders = OsString::from("unix:");
    orders.push(escaped(place.socket()));
    orders.push(",server=on,wait=off");
    command
        .args(["-machine", setup.machine, "-display", "none", "-monitor", "none"])
        // The system chooses the port. Without `nodelay` what the board says is held back for 40 ms now and then.
        .args(["-serial", "tcp:127.0.0.1:0,server=on,wait=off,nodelay=on"])
        // Also when nobody reads the logs: without it, writing one is a fault.
        .args(["-semihosting-config", "enable=on,target=native"])
        .arg("-qmp")
        .arg(orders)
        .args(setup.arguments)
        .arg("-kernel")
        .arg(setup.image);
    command
}

/// Whether `setpriv` can see to it that QEMU ends with the thread that starts it, even if that is killed: a parent can
/// do no more about it by itself without `unsafe`.
fn ends_with_us() -> bool {
    let mut trial = Command::new("setpriv");
    trial.args(["--pdeathsig", "KILL", "--", "true"]);
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    trial.status().is_ok_and(|status| status.success())
}

/// Waits until QEMU takes orders, and asks it for the UART's port.
fn find_uart(qemu: &mut Child, place: &Place) -> io::Result<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    let mut control = loop {
        match Control::connect(place.socket()) {
            Ok(control) => break control,
            Err(error) if Instant::now() >= deadline => {
                let problem = format!("{QEMU} took no orders within {} s: {error}", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
            Err(_) => {}
        }
        if let Some(status) = qemu.try_wait()? {
            let words = std::fs::read_to_string(place.words()).unwrap_or_default();
            return Err(io::Error::other(format!("{QEMU} ended at once ({status}): {}", words.trim())));
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    let devices = control.execute("query-chardev", &Value::Null)?;
    uart_of(&devices).ok_or_else(|| io::Error::other(format!("{QEMU} names no UART: {devices}")))
}

/// The address in `disconnected:tcp:127.0.0.1:34805,server=on`.
fn uart_of(devices: &Value) -> Option<SocketAddr> {
    let serial = devices.as_array()?.iter().find(|device| device["label"] == "serial0")?;
    let (_, address) = serial["filename"].as_str()?.split_once("tcp:")?;
    address.split(',').next()?.parse().ok()
}

/// The word in `0000000020000004: 0x0000002a`.
fn word_in(answer: &str) -> Option<u32> {
    let (_, word) = answer.trim().split_once(": 0x")?;
    u32::from_str_radix(word, 16).ok()
}

/// A path as it is written into an argument of QEMU that has options after commas.
#[must_use]
pub fn escaped(path: &Path) -> PathBuf {
    PathBuf::from(path.to_string_lossy().replace(',', ",,"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uart_is_found_among_the_devices() {
        let devices = json!([
            { "frontend-open": false, "filename": "vc", "label": "parallel0" },
            { "frontend-open": true, "filename": "disconnected:tcp:127.0.0.1:34805,server=on", "label": "serial0" },
        ]);
        assert_eq!(uart_of(&devices), Some("127.0.0.1:34805".parse().unwrap()));
        assert_eq!(uart_of(&json!([{ "filename": "vc", "label": "serial0" }])), None);
        assert_eq!(uart_of(&json!({})), None);
    }

    #[test]
    fn a_word_of_memory_is_read_from_what_the_monitor_says() {
        assert_eq!(word_in("0000000020000004: 0x0000002a\r\n"), Some(42));
        assert_eq!(word_in("Cannot access memory\r\n"), None);
    }

    #[test]
    fn a_comma_in_a_path_is_no_option() {
        assert_eq!(escaped(Path::new("/a,b")), Path::new("/a,,b"));
    }
}
