//! Host and port, as TCP and UDP write them.

use super::error::Problem;

/// `host:port`, the host in brackets if it is an IPv6 address.
pub(super) fn split_host(scheme: &str, place: &str) -> Result<(String, u16), Problem> {
    let name = scheme.to_uppercase();
    let example = |place: &str| format!("{scheme}://{place}");
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| {
            Problem::new("the bracket of the IPv6 address is not closed", &*name, example("[::1]:4100"))
        })?;
        (host, rest.strip_prefix(':'))
    } else if place.matches(':').count() > 1 {
        let wrong = "several colons: an IPv6 address stands in brackets";
        return Err(Problem::new(wrong, &*name, example("[::1]:4100")));
    } else {
        match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    if host.is_empty() {
        let wrong = "the host is missing; to listen on all interfaces it is 0.0.0.0";
        return Err(Problem::new(wrong, name, example("192.168.0.7:4100")));
    }
    if host.contains(['/', '@', ' ']) {
        let wrong =
            format!("`{host}` is not a host: nothing but host and port stand before the question mark");
        return Err(Problem::new(wrong, name, example("192.168.0.7:4100")));
    }
    let understood = format!("{name}, host `{host}`");
    let port = port.filter(|port| !port.is_empty());
    let port = port.ok_or_else(|| {
        Problem::new("the port is missing", &*understood, example(&format!("{place}:4100")))
    })?;
    let number = port.parse().map_err(|_| {
        let wrong = format!("`{port}` is not a port, which is a number from 1 to 65535");
        Problem::new(wrong, understood, example("192.168.0.7:4100"))
    })?;
    Ok((host.to_owned(), number))
}

/// Where a program of this machine finds who listens at `host`.
pub(super) fn this_machine(host: &str) -> String {
    match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    }
    .to_owned()
}
