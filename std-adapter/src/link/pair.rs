//! A line between two connections of one process: a pair of sockets, so that it runs the same code as TCP.

use std::io;
use std::os::unix::net::UnixStream;

use super::{Line, Open};
use tieline::Link;

pub(crate) fn pair() -> io::Result<(Line, Line)> {
    let (a, b) = UnixStream::pair()?;
    Ok((line(a)?, line(b)?))
}

fn line(socket: UnixStream) -> io::Result<Line> {
    socket.set_nonblocking(true)?;
    Ok(Line { carrier: Open::Socket(socket.into()), link: Link::stream(), pace: None })
}
