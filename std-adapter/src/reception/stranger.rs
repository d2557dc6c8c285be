//! Who has come to an address and has not said yet who it is: what it says is read, up to a HELLO.
//!
//! Invariant: a bounded number of bytes is kept, and nothing waits. Whose the line is, is decided elsewhere.

use std::time::{Duration, Instant};

use tieline::framing::Peeked;
use tieline::limits::VERSION_MAJOR;
use tieline::packet::{Hello, HelloHead};

use crate::link::{Line, Step};
use crate::probe;

/// Who has come has that long to say HELLO: the protocol's slowest greeting, lost once or twice.
pub(super) const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a stranger that are looked at: a board's boot text, and a HELLO.
const HEARD_MAX: usize = 4096;

/// Who has come and was not placed yet.
pub(super) struct Stranger {
    pub(super) line: Line,
    pub(super) heard: Vec<u8>,
    pub(super) came: Instant,
    /// Name and nonce, once it has said HELLO.
    pub(super) hello: Option<(String, u64)>,
}

/// What becomes of a stranger.
pub(super) enum Verdict {
    Stays,
    SentAway(&'static str),
    /// It only wants to know whether anybody is here.
    Asks {
        name: String,
        head: HelloHead,
    },
    Placed,
}

fn name_in(hello: &Hello) -> String {
    hello.body.as_ref().map(|body| body.name.as_str().to_owned()).unwrap_or_default()
}

impl Stranger {
    /// Whether it is of interest what it says. Of one that has greeted it is only whether it is there, and of a datagram's
    /// sender nobody knows that.
    pub(super) fn is_heard(&self) -> bool {
        self.hello.is_none() || (self.heard.len() < HEARD_MAX && !self.line.is_datagram())
    }

    /// Reads what has come since it has greeted, for its session; returns whether nothing more will.
    pub(super) fn has_left(&mut self) -> bool {
        let mut buffer = [0; 512];
        while self.is_heard() {
            match self.line.read(&mut buffer) {
                Ok(Step::Moved(n)) => self.heard.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Ok(Step::NotNow) => return false,
                Ok(Step::End) | Err(_) => return true,
            }
        }
        // Nothing was asked for but that.
        true
    }

    /// Reads what has come; says so if there is no use in hearing more.
    pub(super) fn listen(&mut self) -> Option<Verdict> {
        let mut buffer = [0; 512];
        loop {
            match self.line.read(&mut buffer) {
                Ok(Step::Moved(n)) => self.heard.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Ok(Step::NotNow) => return None,
                Ok(Step::End) | Err(_) => {
                    return Some(Verdict::SentAway("somebody came and left without a greeting"));
                }
            }
            match Hello::peek(self.line.link.framing, &self.heard) {
                Peeked::More if self.heard.len() < HEARD_MAX => {}
                Peeked::More | Peeked::Foreign => {
                    let why = "what comes is not Tieline: does somebody else use that address?";
                    return Some(Verdict::SentAway(why));
                }
                Peeked::Hello(hello) if probe::is_question(&hello) => {
                    return Some(Verdict::Asks { name: name_in(&hello), head: hello.head });
                }
                Peeked::Hello(hello) if hello.head.major != VERSION_MAJOR => {
                    probe::say_version(&self.line, &hello.head);
                    return Some(Verdict::SentAway(
                        "a peer came that speaks another major version of the protocol",
                    ));
                }
                Peeked::Hello(hello) => {
                    self.hello = Some((name_in(&hello), hello.head.nonce));
                    return None;
                }
            }
        }
    }
}
