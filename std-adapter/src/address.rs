//! Addresses as text, and precise words about what is wrong with one.
//!
//! Invariant: an [`Address`] that exists is complete; opening it needs nothing else. Nothing is opened or
//! looked up here.

use std::fmt;
use std::str::FromStr;

mod error;
mod host;
mod options;
mod serial;
mod udp;

pub use error::AddressError;
use error::{EXAMPLES, Problem};
use host::{split_host, this_machine};
use options::Stated;
pub(crate) use serial::{Dtr, Port, Wires};
pub use tieline::Framing;
pub(crate) use udp::{To, Udp};

/// Baud rate of a serial address that does not state one.
pub const BAUD_DEFAULT: u32 = 115_200;

/// Where a peer is, written as text:
///
/// | text | meaning |
/// |---|---|
/// | `tcp://192.168.0.7:4100` | dial that host; a name or an IPv6 address in brackets will do as well |
/// | `tcp://0.0.0.0:4100?listen` | wait there for one peer |
/// | `serial:///dev/ttyUSB0?baud=921600` | open that serial port; 115200 baud unless stated |
/// | `serial://?usb=0403:6001&baud=921600` | the serial port of that USB device, whatever its number; `usb=VID:PID:SERIAL` tells equal ones apart |
/// | `serial:///dev/ttyUSB0?flow=rtscts&dtr=keep` | with hardware flow control, and with DTR as it is (`on`, `off`): many a board is reset by it |
/// | `unix:///run/bench.sock` | dial a Unix socket; `unix:///run/bench.sock?listen` waits there |
/// | `udp://192.168.0.7:4100` | the peer there, over UDP; `mtu=N` where packets of another size go undivided |
/// | `udp://0.0.0.0:4100?listen` | wait there for one peer |
/// | `udp://239.1.2.3:4100?multicast`, `udp://192.168.0.255:4100?broadcast` | whoever listens: see [`Broadcast`](crate::Broadcast); `interface=eth0` and `hops=N` for a group |
/// | `tcp://gateway:4100?framing=serial` | a serial line carried over TCP by an emulator or a port server |
///
/// ```
/// use tieline_std::Address;
///
/// let address: Address = "serial:///dev/ttyUSB0?baud=921600".parse()?;
/// assert_eq!(address.to_string(), "serial:///dev/ttyUSB0?baud=921600");
///
/// let error = "tcp://gateway".parse::<Address>().unwrap_err();
/// assert!(error.to_string().contains("the port is missing"));
/// # Ok::<(), tieline_std::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub(crate) carrier: Carrier,
    pub(crate) serial_framing: bool,
    /// Stated in the address.
    pub(crate) baud: Option<u32>,
}

/// What carries the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Carrier {
    Tcp { host: String, port: u16, listen: bool },
    Udp(Udp),
    Unix { path: String, listen: bool },
    Serial { port: Port, wires: Wires },
}

impl Address {
    /// Dials `host` (a name, an IPv4 or an IPv6 address without brackets) on `port`.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        let carrier = Carrier::Tcp { host: host.into(), port, listen: false };
        Self { carrier, serial_framing: false, baud: None }
    }

    /// Waits for one peer on that interface and port; port 0 lets the system choose one.
    #[must_use]
    pub fn tcp_listen(host: impl Into<String>, port: u16) -> Self {
        let carrier = Carrier::Tcp { host: host.into(), port, listen: true };
        Self { carrier, serial_framing: false, baud: None }
    }

    /// Opens a serial port.
    #[must_use]
    pub fn serial(path: impl Into<String>, baud: u32) -> Self {
        let carrier = Carrier::Serial { port: Port::Path(path.into()), wires: Wires::default() };
        Self { carrier, serial_framing: true, baud: Some(baud.max(1)) }
    }

    /// Dials a Unix socket.
    #[must_use]
    pub fn unix(path: impl Into<String>) -> Self {
        let carrier = Carrier::Unix { path: path.into(), listen: false };
        Self { carrier, serial_framing: false, baud: None }
    }

    /// Waits for one peer at a Unix socket, which is made there.
    #[must_use]
    pub fn unix_listen(path: impl Into<String>) -> Self {
        let carrier = Carrier::Unix { path: path.into(), listen: true };
        Self { carrier, serial_framing: false, baud: None }
    }

    /// Whether this address waits for a peer instead of going to one.
    #[must_use]
    pub fn listens(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp { listen, .. } | Carrier::Unix { listen, .. } => *listen,
            Carrier::Udp(udp) => udp.to == To::Anybody,
            Carrier::Serial { .. } => false,
        }
    }

    /// The address at which a peer on this machine finds this listener; any other address is returned as it is.
    #[must_use]
    pub fn to_dial(&self) -> Self {
        let carrier = match &self.carrier {
            Carrier::Tcp { host, port, .. } => {
                Carrier::Tcp { host: this_machine(host), port: *port, listen: false }
            }
            Carrier::Udp(udp @ Udp { to: To::Anybody, .. }) => {
                Carrier::Udp(Udp { host: this_machine(&udp.host), to: To::Peer, ..udp.clone() })
            }
            Carrier::Unix { path, .. } => Carrier::Unix { path: path.clone(), listen: false },
            other @ (Carrier::Udp(_) | Carrier::Serial { .. }) => other.clone(),
        };
        Self { carrier, ..self.clone() }
    }

    /// How frames are marked on it.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match self.carrier {
            Carrier::Udp(_) => Framing::Datagram,
            _ if self.serial_framing => Framing::Serial,
            _ => Framing::Stream,
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| Problem::no_scheme(text))?;
        if scheme.eq_ignore_ascii_case("udp") {
            let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
            return Udp::parse(place, options).map(Self::from);
        }
        let (place, options) = match rest.split_once('?') {
            Some((place, options)) => (place, Stated::parse(options)?),
            None => (rest, Stated::default()),
        };
        let scheme = scheme.to_ascii_lowercase();
        if options.is_of_port() && scheme != "serial" {
            let wrong = "`usb`, `flow` and `dtr` are for serial ports";
            return Err(Problem::new(wrong, "", "serial://?usb=0403:6001"));
        }
        match scheme.as_str() {
            "tcp" => Self::parse_tcp(place, &options),
            "unix" => Self::parse_unix(place, &options),
            "serial" => Self::parse_serial(place, options),
            _ => Err(Problem::new(
                format!("`{scheme}` is not a scheme that is known here; it is tcp, udp, unix or serial"),
                "",
                EXAMPLES,
            )),
        }
    }

    fn parse_tcp(place: &str, options: &Stated) -> Result<Self, Problem> {
        let (host, port) = split_host("tcp", place)?;
        let serial_framing = options.serial_framing.unwrap_or(false);
        if options.baud.is_some() && !serial_framing {
            return Err(Problem::new(
                "`baud` means nothing on TCP unless the address also says framing=serial",
                format!("TCP, host `{host}`, port {port}"),
                "tcp://gateway:4100?framing=serial&baud=115200",
            ));
        }
        if port == 0 && !options.listen {
            return Err(Problem::new(
                "port 0 cannot be dialled",
                format!("TCP, host `{host}`"),
                "tcp://192.168.0.7:4100",
            ));
        }
        let carrier = Carrier::Tcp { host, port, listen: options.listen };
        Ok(Self { carrier, serial_framing, baud: options.baud })
    }

    fn parse_unix(place: &str, options: &Stated) -> Result<Self, Problem> {
        const EXAMPLE: &str = "unix:///run/bench.sock";
        if place.is_empty() || place == "/" {
            return Err(Problem::new("the path is missing", "a Unix socket", EXAMPLE));
        }
        if !place.starts_with('/') {
            let wrong = format!("`{place}` is not an absolute path: it takes three slashes");
            return Err(Problem::new(wrong, "a Unix socket", format!("unix:///{place}")));
        }
        if options.baud.is_some() || options.serial_framing == Some(true) {
            let wrong = "nothing is lost on a Unix socket: leave `baud` and `framing` away";
            return Err(Problem::new(wrong, format!("a Unix socket at `{place}`"), EXAMPLE));
        }
        let carrier = Carrier::Unix { path: place.to_owned(), listen: options.listen };
        Ok(Self { carrier, serial_framing: false, baud: None })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text.trim()).map_err(|problem| AddressError { text: text.to_owned(), problem })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = Vec::new();
        match &self.carrier {
            Carrier::Tcp { host, port, listen } => {
                if host.contains(':') {
                    write!(f, "tcp://[{host}]:{port}")?;
                } else {
                    write!(f, "tcp://{host}:{port}")?;
                }
                if *listen {
                    options.push("listen".to_owned());
                }
                if self.serial_framing {
                    options.push("framing=serial".to_owned());
                }
            }
            Carrier::Udp(udp) => udp.write(f, &mut options)?,
            Carrier::Unix { path, listen } => {
                write!(f, "unix://{path}")?;
                if *listen {
                    options.push("listen".to_owned());
                }
            }
            Carrier::Serial { port, .. } => port.write(f, &mut options)?,
        }
        options.extend(self.baud.map(|baud| format!("baud={baud}")));
        if let Carrier::Serial { wires, .. } = &self.carrier {
            wires.write(&mut options);
        }
        if options.is_empty() { Ok(()) } else { write!(f, "?{}", options.join("&")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Address>().expect_err(text).to_string()
    }

    #[test]
    fn right_addresses_come_back_as_they_went_in() {
        for text in [
            "tcp://gateway:4100",
            "tcp://127.0.0.1:1?listen",
            "tcp://[::1]:4100?listen",
            "tcp://gateway:4100?framing=serial",
            "tcp://gateway:4100?listen&framing=serial&baud=9600",
            "serial:///dev/ttyUSB0",
            "serial:///dev/serial/by-id/usb-x?baud=921600",
            "serial://?usb=0403:6001",
            "serial:///dev/ttyUSB0?baud=115200&flow=rtscts&dtr=keep",
            "serial:///dev/ttyUSB0?dtr=off",
            "serial://?usb=2e8a:000a:E660:58&baud=921600",
            "unix:///run/a.sock",
            "unix:///run/a.sock?listen",
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
        assert_eq!("TCP://h:1/".parse(), Ok(Address::tcp("h", 1)));
        assert_eq!("tcp://[::1]:0?listen".parse(), Ok(Address::tcp_listen("::1", 0)));
        assert_eq!("serial:///dev/x?framing=serial&baud=7".parse(), Ok(Address::serial("/dev/x", 7)));
    }

    #[test]
    fn an_error_says_what_is_wrong_what_was_understood_and_how_to_do_it() {
        for (text, said) in [
            ("tcp://gateway", ["the port is missing", "host `gateway`", "tcp://gateway:4100"]),
            ("tcp://gateway:", ["the port is missing", "host `gateway`", "tcp://"]),
            ("tcp://gateway:http", ["`http` is not a port", "host `gateway`", "tcp://"]),
            ("tcp://gateway:70000", ["`70000` is not a port", "host `gateway`", "1 to 65535"]),
            ("tcp://gateway:0", ["port 0 cannot be dialled", "host `gateway`", "tcp://"]),
            ("tcp://:4100", ["the host is missing", "TCP", "0.0.0.0"]),
            ("tcp://::1:4100", ["brackets", "TCP", "tcp://[::1]:4100"]),
            ("tcp://[::1:4100", ["not closed", "TCP", "tcp://[::1]:4100"]),
            ("tcp://h:1?baud=9600", ["`baud` means nothing on TCP", "host `h`, port 1", "framing=serial"]),
            ("tcp://h:1?liste", ["`liste` is not an option", "listen", "tcp://"]),
            ("tcp://h:1?listen=yes", ["`listen` takes no value", "`yes`", "?listen"]),
            ("tcp://h:1?listen&listen", ["`listen` is there twice", "", "tcp://"]),
            ("tcp://h:1?framing=cobs", ["`framing` is serial or stream", "`cobs`", "framing=serial"]),
            ("http://h:1", ["`http` is not a scheme", "tcp, udp, unix or serial", "tcp://"]),
            ("unix://", ["the path is missing", "a Unix socket", "unix:///"]),
            ("unix://run/a", ["three slashes", "a Unix socket", "unix:///run/a"]),
            ("unix:///run/a?baud=9600", ["leave `baud`", "`/run/a`", "unix:///"]),
            ("serial:///dev/x?flow=xonxoff", ["`flow` is rtscts or none", "`xonxoff`", "flow=rtscts"]),
            ("serial:///dev/x?dtr=maybe", ["`dtr` is on, off or keep", "`maybe`", "dtr=keep"]),
            ("tcp://h:1?dtr=on", ["are for serial ports", "", "serial://"]),
            ("serial://?usb=0403", ["vendor and product in hexadecimal", "`0403`", "usb=0403:6001"]),
            ("serial://?usb=0403:6001:", ["vendor and product", "`0403:6001:`", "usb="]),
            ("serial:///dev/x?usb=0403:6001", ["both say which port", "USB 0403:6001", "usb="]),
            ("tcp://h:1?usb=0403:6001", ["are for serial ports", "", "serial://"]),
            ("h:4100", ["begins with tcp://, udp://, unix:// or serial://", "", "A right one: tcp://h:4100"]),
            ("/dev/ttyUSB0", ["begins with", "", "A right one: serial:///dev/ttyUSB0"]),
            ("", ["begins with", "", "serial://"]),
            ("serial://", ["the device is missing", "a serial port", "serial:///dev/ttyUSB0"]),
            ("serial://dev/ttyUSB0", ["three slashes", "a serial port", "serial:///dev/ttyUSB0"]),
            ("serial:///dev/x?baud=fast", ["`baud` is bits per second", "`fast`", "baud=921600"]),
            ("serial:///dev/x?baud=0", ["`baud` is bits per second", "`0`", "baud=921600"]),
            ("serial:///dev/x?listen", ["does not listen", "device `/dev/x`", "serial://"]),
            ("serial:///dev/x?framing=stream", ["framing=stream", "device `/dev/x`", "serial://"]),
        ] {
            let text_of_error = error(text);
            for part in said {
                assert!(text_of_error.contains(part), "{text:?}: {part:?} is not in {text_of_error:?}");
            }
        }
    }
}
