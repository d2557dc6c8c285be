//! The PC's side of the demo: what a program of your own would do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tieline_app::{COMMAND, GetStatus, IMU, ImuSample, STATUS, SetRate, Status};
use tieline_std::{Caller, Connection, Error, IntentOptions, Options, Policy, Publisher, Subscriber};

use super::Place;
use super::script::{Script, Step};
use super::show::Show;
use crate::interrupt;

/// The rate that the board is told to use.
const FASTER: u32 = 100;
/// Longest time without a sample, or for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest time for a board to come back: somebody may have to put its cable back.
const RETURN: Duration = Duration::from_secs(30);
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Talks until the script is over, or Ctrl-C; then tells the summary.
pub(super) fn talk(place: &Place, script: &mut Script, show: &mut Show) -> Result<()> {
    let mut options = Options {
        name: "tieline demo",
        // A board that comes back is shown as such.
        policy: Policy::Once,
        ping_interval: Duration::from_millis(100),
        ..Options::default()
    };
    loop {
        let begin = Instant::now();
        let connection = match Connection::open(place.address(), options) {
            Err(_) if interrupt::requested() => break,
            other => other?,
        };
        interrupt::closes(&connection);
        let peer = connection.peer().map(|peer| peer.name.to_string()).unwrap_or_default();
        show.connected(&peer, begin.elapsed());
        let talked = Talk::begin(&connection).and_then(|talk| talk.run(place, script, show));
        show.measured(&connection.stats(), &connection.rtt());
        let ended = connection.ended();
        let _ = connection.close(CLOSE_LIMIT);
        interrupt::closes_none();
        drop(connection);
        match (talked, ended) {
            (Ok(()), _) => break,
            (Err(_), _) if interrupt::requested() => break,
            // Whatever of it failed: the line has ended in a way that another one may mend.
            (Err(_), Some(ended)) if ended.is_transient() => show.lost(&ended),
            (Err(error), _) => return Err(error),
        }
        options.timeout = Some(RETURN);
    }
    show.summary()?;
    Ok(())
}

/// What is declared on one connection.
struct Talk<'c> {
    connection: &'c Connection,
    samples: Subscriber<ImuSample>,
    command: Publisher<SetRate>,
    status: Caller<GetStatus, Status>,
}

impl<'c> Talk<'c> {
    fn begin(connection: &'c Connection) -> Result<Self> {
        Ok(Self {
            connection,
            samples: connection.subscriber(&IMU)?,
            command: connection.publisher(&COMMAND, IntentOptions::reliable())?,
            status: connection.caller(&STATUS),
        })
    }

    /// Watches samples, and does what the script says.
    fn run(&self, place: &Place, script: &mut Script, show: &mut Show) -> Result<()> {
        while !script.is_over() && !interrupt::requested() {
            if let Some(step) = script.due() {
                show.interrupt();
                match step {
                    Step::Command => self.command(show)?,
                    Step::Ask => self.ask(show)?,
                    Step::Reset => {
                        show.reset();
                        if !place.reset()? {
                            show.ask_for_reset();
                        }
                    }
                }
            }
            match self.samples.recv_timeout(PATIENCE) {
                Ok(sample) => show.sample(&sample, self.connection.rtt().last)?,
                Err(Error::TimedOut) => {
                    anyhow::bail!("the board has sent no sample for {} s", PATIENCE.as_secs())
                }
                Err(error) => return Err(error.into()),
            }
        }
        show.interrupt();
        Ok(())
    }

    fn command(&self, show: &mut Show) -> Result<()> {
        let begin = Instant::now();
        self.command.wait_audience(PATIENCE).context("the board takes no commands")?;
        self.command.publish(&SetRate { hertz: FASTER })?;
        self.connection.flush(PATIENCE).context("the board has not taken the command")?;
        show.command(&SetRate { hertz: FASTER }, begin.elapsed());
        Ok(())
    }

    fn ask(&self, show: &mut Show) -> Result<()> {
        let begin = Instant::now();
        let status = self.status.call(&GetStatus, PATIENCE).context("the board does not answer")?;
        show.answer(&status, begin.elapsed());
        Ok(())
    }
}
