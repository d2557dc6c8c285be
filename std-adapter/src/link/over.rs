//! Any pair of a reader and a writer as a line: a child's pipes, an SSH channel.
//!
//! They block, and a line must not: two threads carry the bytes to and from a pair of sockets. Invariant: what is under way
//! in between is bounded and small, so that what is urgent overtakes the rest.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use rustix::net::sockopt;
use tieline::{Framing, Link};

use super::{Line, Open, serial_link};

/// What is carried at once.
const CHUNK: usize = 16 * 1024;

pub(crate) fn over(
    reader: impl Read + Send + 'static,
    writer: impl Write + Send + 'static,
    framing: Framing,
) -> io::Result<Line> {
    let link = match framing {
        Framing::Stream => Link::stream(),
        Framing::Serial => serial_link(None),
        Framing::Datagram => {
            let text = "a reader and a writer keep no boundaries: they are a stream, or a serial line";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    };
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    for end in [&ours, &theirs] {
        // Only a wish: without it everything works, with worse priorities.
        let _ = sockopt::set_socket_send_buffer_size(end, CHUNK);
    }
    let to_us = theirs.try_clone()?;
    std::thread::Builder::new().name("tieline-read".to_owned()).spawn(move || {
        let _ = carry(reader, &to_us);
        let _ = to_us.shutdown(Shutdown::Write);
    })?;
    std::thread::Builder::new().name("tieline-write".to_owned()).spawn(move || {
        // The writer is dropped at the end: whoever reads there sees that nothing more comes.
        let _ = carry(&theirs, writer);
        let _ = theirs.shutdown(Shutdown::Read);
    })?;
    Ok(Line { carrier: Open::Socket(ours.into()), link, pace: None })
}

/// Copies as it comes, and leaves nothing in the writer's own buffer.
fn carry(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                to.write_all(buffer.get(..n).unwrap_or_default())?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
