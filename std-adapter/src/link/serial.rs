//! Serial ports.
//!
//! `serialport` configures and locks the port. It reads and writes with a time-out and not with readiness, so
//! the bytes go through a second, non-blocking descriptor of the same device.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::termios::{ControlModes, OptionalActions};
use serialport::{ClearBuffer, FlowControl, SerialPort, SerialPortInfo, SerialPortType, TTYPort};

use crate::address::{self, Dtr, Wires};
use crate::ports::{group_of, holders};

/// An open serial port.
#[derive(Debug)]
pub(super) struct Port {
    bytes: File,
    /// Keeps the lock on the device; a mutex because it is not `Sync`.
    settings: std::sync::Mutex<TTYPort>,
}

impl Port {
    pub(super) fn open(port: &address::Port, baud: u32, wires: Wires) -> io::Result<Self> {
        match port {
            address::Port::Path(path) => Self::open_path(path, baud, wires),
            address::Port::Usb { vendor, product, serial } => {
                let path = find_usb(&ports()?, (*vendor, *product), serial.as_deref())?;
                Self::open_path(&path, baud, wires)
            }
        }
    }

    fn open_path(path: &str, baud: u32, wires: Wires) -> io::Result<Self> {
        let flow = if wires.rtscts { FlowControl::Hardware } else { FlowControl::None };
        let opened = serialport::new(path, baud).flow_control(flow).open_native();
        let mut settings = opened.map_err(|error| explain(path, describe(error)))?;
        if let Some(level) = wires.dtr.filter(|dtr| *dtr != Dtr::Keep).map(|dtr| dtr == Dtr::On) {
            settings.write_data_terminal_ready(level).map_err(no_dtr)?;
            if !wires.rtscts {
                settings.write_request_to_send(level).map_err(describe)?;
            }
        }
        // Whatever came before the settings were right is noise.
        let _ = settings.clear(ClearBuffer::Input);
        // Others stay locked out but for the moment in which we open the device once more ourselves.
        settings.set_exclusive(false).map_err(describe)?;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let bytes = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        if wires.dtr == Some(Dtr::Keep) {
            keep_on_close(&bytes)?;
        }
        settings.set_exclusive(true).map_err(describe)?;
        Ok(Self { bytes, settings: std::sync::Mutex::new(settings) })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.bytes.as_fd()
    }

    /// Bytes that the system has not sent yet; 0 where it cannot tell.
    pub(super) fn queued(&self) -> usize {
        let settings = self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        settings.bytes_to_write().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

/// The lines stay as they are when the port is closed, so that opening it once more changes nothing.
fn keep_on_close(port: &File) -> io::Result<()> {
    let mut settings = rustix::termios::tcgetattr(port)?;
    settings.control_modes.remove(ControlModes::HUPCL);
    Ok(rustix::termios::tcsetattr(port, OptionalActions::Now, &settings)?)
}

/// Adds what helps to an error of opening a port.
fn explain(path: &str, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => match group_of(path) {
            Some(group) => {
                let text = format!("{error}; it belongs to the group `{group}`");
                io::Error::new(error.kind(), text)
            }
            None => error,
        },
        // That is also what `serialport` says of a port that somebody has locked.
        io::ErrorKind::NotFound if std::path::Path::new(path).exists() => {
            let holders = holders(path);
            let list: Vec<_> =
                holders.iter().map(|(pid, program)| format!("`{program}` (process {pid})")).collect();
            let who = if list.is_empty() { "another program".to_owned() } else { list.join(", ") };
            io::Error::new(io::ErrorKind::ResourceBusy, format!("{who} has it open"))
        }
        _ => error,
    }
}

/// An error of setting DTR: a port that has no such line (a pseudo-terminal, say) never will have one.
fn no_dtr(error: serialport::Error) -> io::Error {
    // ENOTTY as `serialport` tells it, which keeps the text only.
    if error.description == "Not a typewriter" {
        let text = "this port has no DTR line: leave dtr= away";
        return io::Error::new(io::ErrorKind::Unsupported, text);
    }
    describe(error)
}

fn describe(error: serialport::Error) -> io::Error {
    match error.kind {
        serialport::ErrorKind::Io(kind) => io::Error::new(kind, error.description),
        serialport::ErrorKind::NoDevice => io::Error::new(io::ErrorKind::NotFound, error.description),
        _ => io::Error::other(error.description),
    }
}

/// The serial ports of this machine.
pub(crate) fn ports() -> io::Result<Vec<SerialPortInfo>> {
    // Without it (a container) `serialport` panics.
    if cfg!(target_os = "linux") && !std::path::Path::new("/sys/class/tty").is_dir() {
        return Ok(Vec::new());
    }
    serialport::available_ports().map_err(describe)
}

/// The port of that USB device. Its number is the system's choice, and another one each time it is plugged in.
fn find_usb(ports: &[SerialPortInfo], (vid, pid): (u16, u16), serial: Option<&str>) -> io::Result<String> {
    let matching: Vec<_> = ports
        .iter()
        .filter_map(|port| match &port.port_type {
            SerialPortType::UsbPort(usb) if (usb.vid, usb.pid) == (vid, pid) => Some((port, usb)),
            _ => None,
        })
        .filter(|(_, usb)| serial.is_none_or(|serial| usb.serial_number.as_deref() == Some(serial)))
        .collect();
    match matching.as_slice() {
        [(port, _)] => Ok(port.port_name.clone()),
        [] => {
            let serial = serial.map(|serial| format!(" with serial number {serial}")).unwrap_or_default();
            let text = format!("no serial port of a USB device {vid:04x}:{pid:04x}{serial} is plugged in");
            Err(io::Error::new(io::ErrorKind::NotFound, text))
        }
        several => {
            let list: Vec<_> = several
                .iter()
                .map(|(port, usb)| {
                    let number = usb.serial_number.as_deref().unwrap_or("none");
                    format!("{} (serial number {number})", port.port_name)
                })
                .collect();
            let text = format!(
                "several USB devices {vid:04x}:{pid:04x} are plugged in, say which: {}",
                list.join(", ")
            );
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use serialport::UsbPortInfo;

    use super::*;

    fn port(name: &str, usb: Option<(u16, u16, Option<&str>)>) -> SerialPortInfo {
        let port_type = match usb {
            None => SerialPortType::PciPort,
            Some((vid, pid, serial)) => SerialPortType::UsbPort(UsbPortInfo {
                vid,
                pid,
                serial_number: serial.map(str::to_owned),
                manufacturer: None,
                product: None,
            }),
        };
        SerialPortInfo { port_name: name.to_owned(), port_type }
    }

    #[test]
    fn a_usb_device_is_found_under_any_number() {
        let ports = [
            port("/dev/ttyS0", None),
            port("/dev/ttyUSB3", Some((0x0403, 0x6001, Some("A1")))),
            port("/dev/ttyUSB7", Some((0x0403, 0x6001, Some("B2")))),
            port("/dev/ttyACM0", Some((0x2e8a, 0x000a, None))),
        ];
        assert_eq!(find_usb(&ports, (0x2e8a, 0x000a), None).unwrap(), "/dev/ttyACM0");
        assert_eq!(find_usb(&ports, (0x0403, 0x6001), Some("B2")).unwrap(), "/dev/ttyUSB7");
        let several = find_usb(&ports, (0x0403, 0x6001), None).unwrap_err();
        assert_eq!(several.kind(), io::ErrorKind::InvalidInput);
        assert!(several.to_string().contains("/dev/ttyUSB3 (serial number A1)"), "{several}");
        for (ids, serial) in [((0x0403, 0x6001), Some("C3")), ((1, 2), None)] {
            let nobody = find_usb(&ports, ids, serial).unwrap_err();
            assert_eq!(nobody.kind(), io::ErrorKind::NotFound, "{nobody}");
        }
    }
}
