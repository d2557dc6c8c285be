//! Addresses of serial ports: which one, and its control lines.

use std::fmt;

use super::error::Problem;
use super::options::Stated;
use super::{Address, Carrier};

/// What is done with the control lines of a serial port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Wires {
    /// RTS and CTS say when bytes may be sent.
    pub(crate) rtscts: bool,
    pub(crate) dtr: Option<Dtr>,
}

/// What DTR (and RTS, unless it is for flow control) is set to when the port is opened. Many a board is reset by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dtr {
    On,
    Off,
    /// As it is, also when the port is closed: the next one who opens it resets nothing.
    Keep,
}

/// Which serial port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Port {
    /// A device file.
    Path(String),
    /// That of a USB device: vendor and product, and the serial number that it tells of itself if there are several.
    Usb { vendor: u16, product: u16, serial: Option<String> },
}

impl Port {
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, options: &mut Vec<String>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "serial://{path}"),
            Self::Usb { vendor, product, serial } => {
                let serial = serial.iter().map(|serial| format!(":{serial}")).collect::<String>();
                options.push(format!("usb={vendor:04x}:{product:04x}{serial}"));
                f.write_str("serial://")
            }
        }
    }
}

impl Wires {
    pub(super) fn write(self, options: &mut Vec<String>) {
        options.extend(self.rtscts.then(|| "flow=rtscts".to_owned()));
        let dtr = self.dtr.map(|dtr| match dtr {
            Dtr::On => "dtr=on",
            Dtr::Off => "dtr=off",
            Dtr::Keep => "dtr=keep",
        });
        options.extend(dtr.map(str::to_owned));
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Usb { vendor, product, serial } => {
                write!(f, "USB {vendor:04x}:{product:04x}")?;
                serial.iter().try_for_each(|serial| write!(f, ":{serial}"))
            }
        }
    }
}

impl Address {
    pub(super) fn parse_serial(place: &str, options: Stated) -> Result<Self, Problem> {
        const EXAMPLE: &str = "serial:///dev/ttyUSB0?baud=921600";
        let is_missing = place.is_empty() || place == "/";
        let port = match options.usb {
            None if is_missing => {
                return Err(Problem::new("the device is missing", "a serial port", EXAMPLE));
            }
            None => Port::Path(place.to_owned()),
            Some(usb) if is_missing => usb,
            Some(usb) => {
                let wrong = format!("a device and `usb` both say which port: `{place}` and {usb}");
                return Err(Problem::new(wrong, "a serial port", "serial://?usb=0403:6001"));
            }
        };
        if cfg!(unix) && !is_missing && !place.starts_with('/') {
            return Err(Problem::new(
                format!("`{place}` is not an absolute path: it takes three slashes"),
                "a serial port",
                format!("serial:///{place}"),
            ));
        }
        let understood = format!("a serial port, device `{port}`");
        if options.listen {
            return Err(Problem::new(
                "a serial port does not listen: leave `listen` away",
                understood,
                EXAMPLE,
            ));
        }
        if options.serial_framing == Some(false) {
            let wrong =
                "framing=stream loses its place for good when a byte is lost, which a serial port may do";
            return Err(Problem::new(wrong, understood, EXAMPLE));
        }
        let wires = Wires { rtscts: options.rtscts.unwrap_or(false), dtr: options.dtr };
        Ok(Self { carrier: Carrier::Serial { port, wires }, serial_framing: true, baud: options.baud })
    }
}
