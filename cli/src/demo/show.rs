//! What the demo shows.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use tieline_app::{COMMAND, IMU, ImuSample, STATUS, SetRate, Status};
use tieline_std::{Event, LostReason, RttStats, Stats};

use crate::format::{count, json, json_millis, millis};
use crate::terminal::{BOLD, DIM, GOOD, note};

/// The line on a terminal is renewed that often, and a new one begun that often.
const RENEW: Duration = Duration::from_millis(100);
const NEW_LINE: Duration = Duration::from_millis(500);
/// The rate is that of the samples of this long.
const RATE_SPAN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Show {
    json: bool,
    live: bool,
    begin: Instant,
    /// When the newest samples came.
    recent: VecDeque<Instant>,
    samples: u64,
    missed: u64,
    last_number: Option<u32>,
    renewed: Option<Instant>,
    new_line: Option<Instant>,
    /// A line is open on the terminal.
    open: bool,
    told: Vec<String>,
    /// When the reset button was pressed, until samples come again.
    reset: Option<Instant>,
    /// The line was lost, then, and no sample has come since.
    away: Option<Instant>,
    restarts: u32,
}

impl Show {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            live: io::stdout().is_terminal(),
            begin: Instant::now(),
            recent: VecDeque::new(),
            samples: 0,
            missed: 0,
            last_number: None,
            renewed: None,
            new_line: None,
            open: false,
            told: Vec::new(),
            reset: None,
            away: None,
            restarts: 0,
        }
    }

    pub(super) fn sample(&mut self, sample: &ImuSample, rtt: Duration) -> io::Result<()> {
        let now = Instant::now();
        self.back(now);
        self.samples += 1;
        if let Some(last) = self.last_number {
            // A board that was reset counts from 0.
            self.missed += u64::from(sample.number.saturating_sub(last).saturating_sub(1));
        }
        self.last_number = Some(sample.number);
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > RATE_SPAN) {
            self.recent.pop_front();
        }
        if self.json {
            let ImuSample { number, micros, acceleration: [x, y, z], temperature } = sample;
            return writeln!(
                io::stdout(),
                "{{\"route\":{},\"number\":{number},\"micros\":{micros},\"acceleration\":[{x},{y},{z}],\
                 \"temperature\":{temperature},\"rtt_ms\":{}}}",
                json(&IMU.name().to_string()),
                json_millis(rtt)
            );
        }
        let is_due = |last: Option<Instant>, span| last.is_none_or(|at| now.duration_since(at) >= span);
        let new_line = is_due(self.new_line, NEW_LINE);
        if new_line || (self.live && is_due(self.renewed, RENEW)) {
            self.line(sample, rtt, new_line)?;
            self.renewed = Some(now);
        }
        Ok(())
    }

    fn line(&mut self, sample: &ImuSample, rtt: Duration, new_line: bool) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        if new_line {
            self.new_line = Some(Instant::now());
            if self.open {
                writeln!(out)?;
            }
        }
        let at = self.begin.elapsed().as_secs_f64();
        let [x, y, z] = sample.acceleration.map(|milli| f32::from(milli) / 1000.0);
        let celsius = f32::from(sample.temperature) / 100.0;
        let (rate, number, rtt) = (self.rate(), sample.number, millis(rtt));
        let text = format!(
            "{DIM}{at:5.1} s{DIM:#}  #{number:<5} {x:+.3} {y:+.3} {z:+.3} g  {celsius:.2} \u{b0}C  \
             {GOOD}{rate:>3} samples/s{GOOD:#}  ping {rtt}"
        );
        if self.live {
            write!(out, "\r{text}\x1b[K")?;
            self.open = true;
            out.flush()
        } else {
            writeln!(out, "{text}")
        }
    }

    /// Samples a second, or a dash while there are not enough to tell.
    fn rate(&self) -> String {
        match (self.recent.front(), self.recent.back()) {
            (Some(first), Some(last)) if first < last => {
                let span = last.duration_since(*first).as_secs_f64();
                format!("{:.0}", (self.recent.len() - 1) as f64 / span)
            }
            _ => "-".to_owned(),
        }
    }

    /// Something else is about to be written.
    pub(super) fn interrupt(&mut self) {
        if self.open {
            let _ = writeln!(io::stdout());
        }
        (self.open, self.new_line) = (false, None);
    }

    /// A connection is there.
    pub(super) fn connected(&self, peer: &str, took: Duration) {
        note(format_args!("{DIM}connected to {peer:?} after {}{DIM:#}", millis(took)));
    }

    pub(super) fn command(&mut self, command: &SetRate, took: Duration) {
        // The rate is measured anew.
        self.recent.clear();
        self.tell(format!(
            "command {}: {} samples a second; taken after {}",
            COMMAND.name(),
            command.hertz,
            millis(took)
        ));
    }

    pub(super) fn answer(&mut self, status: &Status, took: Duration) {
        let Status { uptime_ms, rate, samples, dropped, commands, errors } = status;
        self.tell(format!(
            "request {}: up {:.1} s; answered after {}\n  \
             {rate} samples a second, {samples} sent, {dropped} dropped, {}, {}",
            STATUS.name(),
            f64::from(*uptime_ms) / 1000.0,
            millis(took),
            count((*commands).into(), "command"),
            count((*errors).into(), "error"),
        ));
    }

    /// The reset button is about to be pressed.
    pub(super) fn reset(&mut self) {
        self.reset = Some(Instant::now());
    }

    /// Nobody but the user can press it.
    pub(super) fn ask_for_reset(&mut self) {
        self.reset = None;
        self.tell(
            "reset the board now, or pull its cable and put it back: it comes back by itself".to_owned(),
        );
    }

    /// Something has happened to the connection.
    pub(super) fn event(&mut self, event: &Event) {
        let what = match event {
            Event::Lost(LostReason::PeerRestarted) => {
                self.restarts += 1;
                "the board has started anew"
            }
            Event::Degraded => "the board has fallen silent, or the line to it is gone",
            // A silence has a consequence, by now: who was away already is away for good.
            Event::Lost(_) if self.is_away() => return,
            Event::Lost(_) => "the session is lost",
            _ => return,
        };
        self.interrupt();
        self.recent.clear();
        let now = Instant::now();
        self.away.get_or_insert(now);
        self.tell(match self.reset {
            Some(reset) => format!("reset: {what}, noticed after {}", millis(now - reset)),
            None => format!("{what}: it is waited for"),
        });
    }

    /// Whether the board is waited for.
    pub(super) const fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Samples come; tells so if they did not for a while.
    fn back(&mut self, now: Instant) {
        let Some(away) = self.away.take() else { return };
        let text = match self.reset.take() {
            Some(reset) => format!("back by itself: samples again {} after the reset", millis(now - reset)),
            None => format!("back by itself: samples again after {}", millis(now - away)),
        };
        self.tell(text);
    }

    fn tell(&mut self, text: String) {
        note(format_args!("{BOLD}>{BOLD:#} {text}"));
        self.told.push(text.replace("\n  ", "; "));
    }

    pub(super) fn summary(&self, stats: &Stats, rtt: &RttStats) -> io::Result<()> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let Stats { bytes_in, bytes_out, frames_in, frames_out, check_failures, framing_errors, .. } = stats;
        let bad = check_failures + framing_errors;
        let (samples, missed, restarts) = (self.samples, self.missed, self.restarts);
        if self.json {
            let told: Vec<String> = self.told.iter().map(|text| json(text)).collect();
            return writeln!(
                io::stdout(),
                "{{\"seconds\":{seconds:.3},\"samples\":{samples},\"missed\":{missed},\"restarts\":{restarts},\
                 \"events\":[{}],\"rtt_min_ms\":{},\"rtt_mean_ms\":{},\"rtt_p99_ms\":{},\
                 \"bytes_in\":{bytes_in},\"bytes_out\":{bytes_out},\"bad_frames\":{bad}}}",
                told.join(","),
                json_millis(rtt.min),
                json_millis(rtt.mean),
                json_millis(rtt.p99),
            );
        }
        let [min, mean, p99] = [rtt.min, rtt.mean, rtt.p99].map(millis);
        note(format_args!(
            "\n{BOLD}Summary of {seconds:.1} s{BOLD:#}\n\
             samples     {samples} received, {missed} missed; {}\n\
             round trip  min {min}, mean {mean}, 99 % within {p99}\n\
             line        in {bytes_in} bytes, {frames_in} frames; out {bytes_out} bytes, {frames_out} frames; {bad} bad\n\
             {DIM}next: `cargo install --path cli`, then `tieline sub --help`;\n\
             on your own board: docs/boards.md{DIM:#}",
            count(restarts.into(), "restart"),
        ));
        Ok(())
    }
}
