//! The options of an address of TCP, a Unix socket or a serial port. UDP has others: see `udp`.
//!
//! What an option means is decided here; which carrier takes it, where its address is parsed.

use super::error::{EXAMPLES, Problem};
use super::serial::{Dtr, Port};

/// The options behind the question mark.
#[derive(Debug, Default)]
pub(super) struct Stated {
    pub(super) listen: bool,
    pub(super) serial_framing: Option<bool>,
    pub(super) baud: Option<u32>,
    pub(super) usb: Option<Port>,
    pub(super) rtscts: Option<bool>,
    pub(super) dtr: Option<Dtr>,
}

impl Stated {
    /// Whether it says something that only a serial port has.
    pub(super) fn is_of_port(&self) -> bool {
        self.usb.is_some() || self.rtscts.is_some() || self.dtr.is_some()
    }

    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut stated = Self::default();
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (option, None),
            };
            let twice = match (name, value) {
                ("listen", None) => std::mem::replace(&mut stated.listen, true),
                ("listen", Some(value)) => {
                    let wrong = format!("`listen` takes no value, and here it is `{value}`");
                    return Err(Problem::new(wrong, "", "tcp://0.0.0.0:4100?listen"));
                }
                ("baud", value) => stated.baud.replace(parse_baud(value)?).is_some(),
                ("usb", value) => stated.usb.replace(parse_usb(value)?).is_some(),
                ("flow", value) => stated.rtscts.replace(parse_flow(value)?).is_some(),
                ("dtr", value) => stated.dtr.replace(parse_dtr(value)?).is_some(),
                ("framing", value) => stated.serial_framing.replace(parse_framing(value)?).is_some(),
                _ => {
                    let wrong = format!(
                        "`{name}` is not an option; there are listen, baud=N, usb=VID:PID, flow=rtscts, dtr=on|off|keep and framing=serial"
                    );
                    return Err(Problem::new(wrong, "", EXAMPLES));
                }
            };
            if twice {
                return Err(Problem::new(format!("`{name}` is there twice"), "", EXAMPLES));
            }
        }
        Ok(stated)
    }
}

fn parse_baud(value: Option<&str>) -> Result<u32, Problem> {
    let value = value.unwrap_or_default();
    match value.parse() {
        Ok(baud @ 1..) => Ok(baud),
        _ => Err(Problem::new(
            format!("`baud` is bits per second, a whole number from 1, and not `{value}`"),
            "",
            "serial:///dev/ttyUSB0?baud=921600",
        )),
    }
}

fn parse_usb(value: Option<&str>) -> Result<Port, Problem> {
    let value = value.unwrap_or_default();
    let mut parts = value.splitn(3, ':');
    let mut number = || parts.next().and_then(|part| u16::from_str_radix(part, 16).ok());
    match (number(), number(), parts.next()) {
        (Some(vendor), Some(product), serial) if serial != Some("") => {
            Ok(Port::Usb { vendor, product, serial: serial.map(str::to_owned) })
        }
        _ => Err(Problem::new(
            format!(
                "`usb` is vendor and product in hexadecimal, and perhaps a serial number, and not `{value}`"
            ),
            "",
            "serial://?usb=0403:6001&baud=921600",
        )),
    }
}

fn parse_flow(value: Option<&str>) -> Result<bool, Problem> {
    match value {
        Some("rtscts") => Ok(true),
        Some("none") => Ok(false),
        other => Err(Problem::new(
            format!("`flow` is rtscts or none, and not `{}`", other.unwrap_or_default()),
            "a serial port",
            "serial:///dev/ttyUSB0?flow=rtscts",
        )),
    }
}

fn parse_dtr(value: Option<&str>) -> Result<Dtr, Problem> {
    match value {
        Some("on") => Ok(Dtr::On),
        Some("off") => Ok(Dtr::Off),
        Some("keep") => Ok(Dtr::Keep),
        other => Err(Problem::new(
            format!("`dtr` is on, off or keep, and not `{}`", other.unwrap_or_default()),
            "a serial port",
            "serial:///dev/ttyUSB0?dtr=keep",
        )),
    }
}

fn parse_framing(value: Option<&str>) -> Result<bool, Problem> {
    match value {
        Some("serial") => Ok(true),
        Some("stream") => Ok(false),
        other => Err(Problem::new(
            format!("`framing` is serial or stream, and not `{}`", other.unwrap_or_default()),
            "",
            "tcp://gateway:4100?framing=serial",
        )),
    }
}
