//! Asks whether somebody is there, and answers who asks: a HELLO that begins nothing and touches no session
//! (docs/protocol.md, section 4: Probe).
//!
//! Invariant: whoever asks never echoes the nonce of the answer, so even a peer that takes the question for an ordinary
//! greeting believes in no session.

use std::time::{Duration, Instant};

use tieline::framing::{Framing, Peeked, Sealer};
use tieline::limits::{FRAME_MIN, HELLO_MAX, NAME_MAX, VERSION_MAJOR, VERSION_MINOR};
use tieline::packet::{Hello, HelloBody, HelloHead, Mode, Packet};
use tieline::wire::Writer;

use crate::link::{self, Line, Step};
use crate::waker::Cancel;

/// Who is there answers at once; a second is time for a line that is busy.
const LIMIT: Duration = Duration::from_secs(1);
/// More than a HELLO and what may come before it.
const HEARD_MAX: usize = 4096;
/// HELLO's check begins as the ordinary CRC-32C does.
const CHECK_START: u32 = u32::MAX;

/// Whether somebody answers on this line, which nobody else uses. The name says who would come.
pub(crate) fn ask(line: &Line, name: &str, cancel: &Cancel) -> bool {
    let nonce = nonce();
    let Some(question) = frame(line.link.framing, nonce, 0, Mode::Probe, false, name) else { return false };
    if !matches!(line.write(&question), Ok(Step::Moved(n)) if n == question.len()) {
        return false;
    }
    let until = Instant::now() + LIMIT;
    let (mut heard, mut buffer) = (Vec::new(), [0; 512]);
    while until > Instant::now() && heard.len() < HEARD_MAX && !cancel.is_cancelled() {
        link::wait(Some(line), false, cancel.fd(), Some(until));
        match line.read(&mut buffer) {
            Ok(Step::Moved(n)) => heard.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Ok(Step::NotNow) => continue,
            Ok(Step::End) | Err(_) => return false,
        }
        match Hello::peek(line.link.framing, &heard) {
            // One that does not echo us asks for a peer itself: it is there as well.
            Peeked::Hello(_) => return true,
            Peeked::Foreign => return false,
            Peeked::More if line.is_datagram() => heard.clear(),
            Peeked::More => {}
        }
    }
    false
}

/// Answers who asked.
pub(crate) fn answer(line: &Line, asked: &HelloHead) {
    say(line, asked, false);
}

/// Tells somebody of another major version which one is spoken here (docs/protocol.md, section 4: Version): it
/// needs to say nothing more.
pub(crate) fn say_version(line: &Line, theirs: &HelloHead) {
    if !theirs.done {
        say(line, theirs, true);
    }
}

fn say(line: &Line, to: &HelloHead, done: bool) {
    if let Some(answer) = frame(line.link.framing, nonce(), to.nonce, Mode::Fresh, done, "") {
        // A line that does not take so little now is asked again.
        let _ = line.write(&answer);
    }
}

/// Whether this only asks.
pub(crate) fn is_question(hello: &Hello) -> bool {
    hello.body.as_ref().is_some_and(|body| body.mode == Mode::Probe)
}

/// Of nobody: what is said here belongs to no endpoint.
fn nonce() -> u64 {
    let mut bytes = [0; 8];
    // Without chance it is still not 0.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes) | 1
}

/// As an endpoint cuts its own name.
fn cut(name: &str) -> &str {
    let most = name.floor_char_boundary(NAME_MAX);
    name.get(..most).unwrap_or_default()
}

fn frame(framing: Framing, nonce: u64, echo: u64, mode: Mode, done: bool, name: &str) -> Option<Vec<u8>> {
    let head = HelloHead { major: VERSION_MAJOR, minor: VERSION_MINOR, done, nonce, echo };
    let least = u32::try_from(FRAME_MIN).ok()?;
    let body = HelloBody {
        name: cut(name).try_into().unwrap_or_default(),
        mode,
        capabilities: 0,
        frame_max: least,
        message_max: 0,
        requests: 0,
        ping_ms: 1000,
        silence_ms: 3000,
        resume_s: 0,
        clock: 0,
    };
    let content = HELLO_MAX + framing.check_len();
    let mut out = vec![0; Framing::wire_max(content)];
    let sealer = Sealer { framing, number: 0 };
    let mut w = Writer::new(sealer.area(&mut out, content)?);
    Packet::Hello(Hello { head, body: Some(body) }).emit(&mut w, framing.seq_width(), true).ok()?;
    let len = w.len();
    sealer.seal(&mut out, content, len, CHECK_START, true).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_as_such_on_any_line() {
        for framing in [Framing::Serial, Framing::Stream, Framing::Datagram] {
            let bytes = frame(framing, 7, 0, Mode::Probe, false, "somebody with a long name").unwrap();
            let Peeked::Hello(hello) = Hello::peek(framing, &bytes) else { panic!("{framing:?}") };
            assert!(is_question(&hello) && hello.head.nonce == 7);
            assert_eq!(hello.body.unwrap().name.as_str(), "somebody with a ");
            let bytes = frame(framing, 7, 9, Mode::Fresh, false, "").unwrap();
            let Peeked::Hello(hello) = Hello::peek(framing, &bytes) else { panic!("{framing:?}") };
            assert!(!is_question(&hello) && hello.head.echo == 9);
        }
    }
}
