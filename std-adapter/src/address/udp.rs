//! Addresses of UDP: one peer, or all that listen.

use std::fmt;
use std::net::IpAddr;

use super::error::Problem;
use super::host::split_host;
use super::{Address, Carrier};

/// The smallest MTU that leaves room for any HELLO: 84 bytes, 8 of UDP and 40 of IPv6.
const MTU_MIN: u16 = 132;

/// What a `udp` address says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Udp {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) to: To,
    /// Largest packet that the network carries undivided, in bytes, IP's header included.
    pub(crate) mtu: Option<u16>,
}

/// Whom a `udp` address reaches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum To {
    /// The peer that is there.
    Peer,
    /// The peer that comes.
    Anybody,
    /// Whoever has joined a group, over the interface of that name if it is stated; that many routers may be between.
    Group { interface: Option<String>, hops: u8 },
    /// Whoever is in a network.
    Network,
}

impl Address {
    /// The peer at `host` and `port`, over UDP.
    #[must_use]
    pub fn udp(host: impl Into<String>, port: u16) -> Self {
        Udp { host: host.into(), port, to: To::Peer, mtu: None }.into()
    }

    /// Waits for one peer on that interface and port, over UDP; port 0 lets the system choose one.
    #[must_use]
    pub fn udp_listen(host: impl Into<String>, port: u16) -> Self {
        Udp { host: host.into(), port, to: To::Anybody, mtu: None }.into()
    }

    /// All that listen to a multicast group, in the network that the system chooses; for [`Broadcast`](crate::Broadcast).
    #[must_use]
    pub fn multicast(group: IpAddr, port: u16) -> Self {
        Udp { host: group.to_string(), port, to: To::Group { interface: None, hops: 1 }, mtu: None }.into()
    }

    /// Whether it reaches no peer but whoever listens: a multicast group, or all of a network.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        matches!(&self.carrier, Carrier::Udp(Udp { to: To::Group { .. } | To::Network, .. }))
    }
}

impl From<Udp> for Address {
    fn from(udp: Udp) -> Self {
        Self { carrier: Carrier::Udp(udp), ..Self::tcp("", 0) }
    }
}

impl Udp {
    pub(super) fn parse(place: &str, options: &str) -> Result<Self, Problem> {
        const EXAMPLE: &str = "udp://192.168.0.7:4100";
        let (host, port) = split_host("udp", place)?;
        let understood = format!("UDP, host `{host}`, port {port}");
        let problem = |wrong: String, example| Problem::new(wrong, understood.clone(), example);
        let stated = Stated::parse(options)?;
        let to = stated.to.unwrap_or(Kind::Peer);
        if port == 0 && to != Kind::Listen {
            return Err(problem("port 0 cannot be reached".to_owned(), EXAMPLE));
        }
        let group = host.parse::<IpAddr>().ok().filter(IpAddr::is_multicast);
        let multicast = "udp://239.1.2.3:4100?multicast";
        match (to, group) {
            (Kind::Multicast, None) => {
                let wrong = format!(
                    "`{host}` is not a multicast group, which is from 224.0.0.0 to 239.255.255.255 or begins with ff"
                );
                return Err(problem(wrong, multicast));
            }
            (Kind::Peer | Kind::Listen | Kind::Broadcast, Some(_)) => {
                let wrong = format!("`{host}` is a multicast group: it takes `?multicast`");
                return Err(problem(wrong, multicast));
            }
            (Kind::Broadcast, None) if host.contains(':') => {
                let wrong = "there is no broadcast in IPv6: use a multicast group".to_owned();
                return Err(problem(wrong, "udp://[ff02::4321]:4100?multicast"));
            }
            _ => {}
        }
        if to != Kind::Multicast && (stated.interface.is_some() || stated.hops.is_some()) {
            return Err(problem("`interface` and `hops` are for multicast".to_owned(), multicast));
        }
        let to = match to {
            Kind::Peer => To::Peer,
            Kind::Listen => To::Anybody,
            Kind::Multicast => To::Group { interface: stated.interface, hops: stated.hops.unwrap_or(1) },
            Kind::Broadcast => To::Network,
        };
        Ok(Self { host, port, to, mtu: stated.mtu })
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, options: &mut Vec<String>) -> fmt::Result {
        match &self.to {
            To::Peer => {}
            To::Anybody => options.push("listen".to_owned()),
            To::Group { interface, hops } => {
                options.push("multicast".to_owned());
                options.extend(interface.iter().map(|name| format!("interface={name}")));
                options.extend(Some(hops).filter(|hops| **hops != 1).map(|hops| format!("hops={hops}")));
            }
            To::Network => options.push("broadcast".to_owned()),
        }
        options.extend(self.mtu.map(|mtu| format!("mtu={mtu}")));
        if self.host.contains(':') {
            write!(f, "udp://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "udp://{}:{}", self.host, self.port)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Peer,
    Listen,
    Multicast,
    Broadcast,
}

/// The options behind the question mark.
#[derive(Debug, Default)]
struct Stated {
    to: Option<Kind>,
    mtu: Option<u16>,
    interface: Option<String>,
    hops: Option<u8>,
}

impl Stated {
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut stated = Self::default();
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (option, None),
            };
            let twice = match (name, value) {
                ("listen", None) => stated.to.replace(Kind::Listen).is_some(),
                ("multicast", None) => stated.to.replace(Kind::Multicast).is_some(),
                ("broadcast", None) => stated.to.replace(Kind::Broadcast).is_some(),
                ("listen" | "multicast" | "broadcast", Some(value)) => {
                    let wrong = format!("`{name}` takes no value, and here it is `{value}`");
                    return Err(Problem::new(wrong, "UDP", format!("udp://0.0.0.0:4100?{name}")));
                }
                ("mtu", value) => stated.mtu.replace(parse_mtu(value)?).is_some(),
                ("interface", Some(value)) if !value.is_empty() => {
                    stated.interface.replace(value.to_owned()).is_some()
                }
                ("hops", value) => stated.hops.replace(parse_hops(value)?).is_some(),
                _ => {
                    let wrong = format!(
                        "`{option}` is not an option of UDP; there are listen, mtu=N, broadcast, multicast, interface=NAME and hops=N"
                    );
                    return Err(Problem::new(wrong, "UDP", "udp://0.0.0.0:4100?listen"));
                }
            };
            if twice {
                let wrong = "listen, multicast and broadcast exclude each other, and nothing is said twice";
                return Err(Problem::new(wrong, "UDP", "udp://0.0.0.0:4100?listen"));
            }
        }
        Ok(stated)
    }
}

fn parse_mtu(value: Option<&str>) -> Result<u16, Problem> {
    let value = value.unwrap_or_default();
    value.parse().ok().filter(|mtu| *mtu >= MTU_MIN).ok_or_else(|| {
        let wrong =
            format!("`mtu` is the largest packet in bytes, from {MTU_MIN} to 65535, and not `{value}`");
        Problem::new(wrong, "UDP", "udp://192.168.0.7:4100?mtu=9000")
    })
}

fn parse_hops(value: Option<&str>) -> Result<u8, Problem> {
    let value = value.unwrap_or_default();
    value.parse().map_err(|_| {
        let wrong = format!("`hops` is a number from 0 (this machine) to 255, and not `{value}`");
        Problem::new(wrong, "UDP", "udp://239.1.2.3:4100?multicast&hops=2")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "udp://192.168.0.7:4100",
            "udp://board.local:4100?mtu=9000",
            "udp://[fe80::1]:4100",
            "udp://0.0.0.0:0?listen",
            "udp://[::]:4100?listen&mtu=1280",
            "udp://239.1.2.3:4100?multicast",
            "udp://239.1.2.3:4100?multicast&interface=eth0&hops=3&mtu=600",
            "udp://[ff02::4321]:4100?multicast&interface=eth0",
            "udp://192.168.0.255:4100?broadcast",
            "udp://255.255.255.255:4100?broadcast",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
            assert_eq!(address.listens(), text.contains("listen"), "{text}");
            assert_eq!(address.is_broadcast(), text.contains("cast"), "{text}");
        }
        let group = Address::multicast("239.1.2.3".parse().unwrap(), 4100);
        assert_eq!(group.to_string(), "udp://239.1.2.3:4100?multicast");
        assert_eq!(Address::udp_listen("0.0.0.0", 7).to_dial(), Address::udp("127.0.0.1", 7));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("udp://h", "the port is missing"),
            ("udp://h:0", "port 0 cannot be reached"),
            ("udp://h:1?baud=9600", "`baud=9600` is not an option of UDP"),
            ("udp://h:1?framing=serial", "is not an option of UDP"),
            ("udp://h:1?listen=yes", "`listen` takes no value"),
            ("udp://h:1?listen&listen", "nothing is said twice"),
            ("udp://h:1?listen&broadcast", "exclude each other"),
            ("udp://h:1?mtu=100", "from 132 to 65535, and not `100`"),
            ("udp://h:1?mtu", "from 132"),
            ("udp://h:1?interface=eth0", "are for multicast"),
            ("udp://h:1?interface=", "is not an option"),
            ("udp://h:1?multicast", "`h` is not a multicast group"),
            ("udp://10.0.0.1:1?multicast", "`10.0.0.1` is not a multicast group"),
            ("udp://239.1.2.3:1", "it takes `?multicast`"),
            ("udp://239.1.2.3:1?listen", "it takes `?multicast`"),
            ("udp://[fe80::1]:1?broadcast", "no broadcast in IPv6"),
            ("udp://239.1.2.3:1?multicast&hops=256", "`hops` is a number"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
