//! Orders to a QEMU that runs: its machine protocol, QMP (QEMU documentation, "QEMU Machine Protocol Specification").
//!
//! A line of JSON each way per order; what QEMU tells unasked comes in between and is skipped.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// Nothing that is asked here takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// A QEMU that takes orders. It listens to one such connection at a time.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    /// Connects to QEMU at its socket.
    ///
    /// # Errors
    /// Nobody is there, or who is there is not QEMU.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut control = Self { stream: BufReader::new(stream) };
        let greeting = control.line()?;
        if greeting.get("QMP").is_none() {
            return Err(io::Error::other(format!("this is not QEMU: {greeting}")));
        }
        control.execute("qmp_capabilities", &Value::Null)?;
        Ok(control)
    }

    /// Gives an order; returns the answer. `arguments` is an object, or null.
    ///
    /// # Errors
    /// QEMU is gone, or refuses; the error has its words.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> io::Result<Value> {
        let mut order = json!({ "execute": command });
        if !arguments.is_null() {
            order["arguments"] = arguments.clone();
        }
        writeln!(self.stream.get_mut(), "{order}")?;
        loop {
            let mut line = self.line()?;
            if let Some(error) = line.get("error") {
                return Err(io::Error::other(format!("QEMU refuses `{command}`: {error}")));
            }
            if let Some(answer) = line.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }

    fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
