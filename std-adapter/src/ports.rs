//! Serial ports of this machine, and what is known of each.
//!
//! Invariant: nothing is opened, since opening a port resets many a board. What the system does not tell is absent.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serialport::SerialPortType;

use crate::link;

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortInfo {
    /// Its device file; an address is `serial://` and this.
    pub path: String,
    /// What the device at it says of itself, if it is one of USB.
    pub usb: Option<UsbInfo>,
    /// Its name under `/dev/serial/by-id`, which stays the same when the device gets another number.
    pub by_id: Option<String>,
    /// The group that may open it.
    pub group: Option<String>,
    /// Whether this program may open it, as far as its permissions tell.
    pub accessible: bool,
    /// Who has it open: process number and program.
    pub holders: Vec<(u32, String)>,
    /// For how long the adapter's driver may keep back what came, in ms (FTDI). More than 1 costs round trips that much.
    pub latency_ms: Option<u32>,
}

/// What a USB device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsbInfo {
    /// Vendor id.
    pub vendor: u16,
    /// Product id.
    pub product: u16,
    /// Its serial number.
    pub serial: Option<String>,
    /// Who has made it, and what it is.
    pub name: Option<String>,
}

/// The serial ports of this machine, by path.
///
/// # Errors
/// The system does not tell.
pub fn ports() -> io::Result<Vec<PortInfo>> {
    let mut ports: Vec<PortInfo> =
        link::ports()?.into_iter().map(|port| describe(port.port_name, port.port_type)).collect();
    ports.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(ports)
}

fn describe(path: String, kind: SerialPortType) -> PortInfo {
    let usb = match kind {
        SerialPortType::UsbPort(usb) => Some(UsbInfo {
            vendor: usb.vid,
            product: usb.pid,
            serial: usb.serial_number,
            name: match (usb.manufacturer, usb.product) {
                (None, None) => None,
                (a, b) => Some([a, b].into_iter().flatten().collect::<Vec<_>>().join(" ")),
            },
        }),
        _ => None,
    };
    PortInfo {
        usb,
        by_id: by_id(&path),
        group: group_of(&path),
        accessible: rustix::fs::access(&path, Access::READ_OK | Access::WRITE_OK).is_ok(),
        holders: holders(&path),
        latency_ms: latency(&path),
        path,
    }
}

fn by_id(path: &str) -> Option<String> {
    let device = fs::canonicalize(path).ok()?;
    let links = fs::read_dir("/dev/serial/by-id").ok()?;
    links
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|link| fs::canonicalize(link).is_ok_and(|target| target == device))
        .map(|link| link.to_string_lossy().into_owned())
}

/// The group of a device file.
pub(crate) fn group_of(path: &str) -> Option<String> {
    let gid = fs::metadata(path).ok()?.gid();
    group_name(&fs::read_to_string("/etc/group").unwrap_or_default(), gid)
}

/// The name of a group (group(5): `name:password:number:members`).
fn group_name(groups: &str, gid: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    })
}

/// Who has a device open, as far as this program may see.
pub(crate) fn holders(path: &str) -> Vec<(u32, String)> {
    let device = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut holders: Vec<_> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| has_open(*pid, &device))
        .map(|pid: u32| {
            let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (pid, program.trim().to_owned())
        })
        .collect();
    holders.sort_unstable();
    holders
}

fn has_open(pid: u32, device: &Path) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target == device)
}

fn latency(path: &str) -> Option<u32> {
    let name = Path::new(path).file_name()?.to_str()?;
    let text = fs::read_to_string(format!("/sys/bus/usb-serial/devices/{name}/latency_timer")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_number() {
        let groups = "root:x:0:\ndialout:x:20:ada,bob\nbroken\nuucp:x:14:\n";
        assert_eq!(group_name(groups, 20).as_deref(), Some("dialout"));
        assert_eq!(group_name(groups, 14).as_deref(), Some("uucp"));
        assert_eq!(group_name(groups, 2), None);
    }

    #[test]
    fn whoever_has_a_file_open_is_found() {
        let path = std::env::temp_dir().join(format!("tieline-holders-{}", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        let text = path.to_str().unwrap();
        if cfg!(target_os = "linux") {
            assert!(holders(text).iter().any(|(pid, _)| *pid == std::process::id()));
        }
        drop(file);
        assert!(holders(text).is_empty());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn ports_are_listed() {
        for port in ports().unwrap() {
            assert!(port.path.starts_with('/'), "{port:?}");
        }
    }
}
