//! Payloads and numbers as text.

use std::io::{self, Write};
use std::time::Duration;

/// How payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The bytes as they are, and a line feed
    Text,
    /// Two hexadecimal digits a byte
    Hex,
    /// One JSON object a line: {"route": ..., "text": ...}, or "hex" for what is not UTF-8
    Json,
    /// The bytes as they are and nothing between: for a decoder of a stream
    Raw,
}

/// Writes a payload as one line, but for [`Format::Raw`].
pub(crate) fn payload(out: &mut impl Write, format: Format, route: &str, payload: &[u8]) -> io::Result<()> {
    match format {
        Format::Raw => return out.write_all(payload),
        Format::Text => out.write_all(payload)?,
        Format::Hex => hex(out, payload)?,
        Format::Json => {
            write!(out, "{{\"route\":{},", json(route))?;
            if let Ok(text) = std::str::from_utf8(payload) {
                write!(out, "\"text\":{}}}", json(text))?;
            } else {
                out.write_all(b"\"hex\":\"")?;
                hex(out, payload)?;
                out.write_all(b"\"}")?;
            }
        }
    }
    out.write_all(b"\n")
}

fn hex(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().try_for_each(|byte| {
        let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        out.write_all(&[high, low])
    })
}

/// A JSON string.
pub(crate) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Beyond what JSON asks for: it may be read on a terminal.
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Milliseconds, with as many digits as tell something.
pub(crate) fn millis(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.3} ms") } else { format!("{ms:.1} ms") }
}

/// Milliseconds as a number of JSON, to a microsecond.
pub(crate) fn json_millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

/// A count with its noun.
pub(crate) fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        payload(&mut out, format, "T@a", bytes).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn payloads_are_lines() {
        assert_eq!(line(Format::Text, b"a b"), "a b\n");
        assert_eq!(line(Format::Hex, &[0, 0xAF]), "00af\n");
        assert_eq!(line(Format::Raw, b"a\n"), "a\n");
        assert_eq!(
            line(Format::Json, b"\"\\\n\x01\x7F\xC2\x9B\xC3\xA9"),
            "{\"route\":\"T@a\",\"text\":\"\\\"\\\\\\n\\u0001\\u007f\\u009b\u{e9}\"}\n"
        );
        assert_eq!(line(Format::Json, &[0xFF]), "{\"route\":\"T@a\",\"hex\":\"ff\"}\n");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(millis(Duration::from_micros(123)), "0.123 ms");
        assert_eq!(millis(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(json_millis(Duration::from_nanos(71_004)).to_string(), "0.071");
        assert_eq!((count(1, "line"), count(0, "line")), ("1 line".to_owned(), "0 lines".to_owned()));
    }
}
