//! The PC's side of the demo: what a program of your own would do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tieline_app::{COMMAND, GetStatus, IMU, ImuSample, STATUS, SetRate, Status};
use tieline_std::{
    CallError, Caller, Connection, Error, Events, IntentOptions, Options, Publisher, Subscriber,
};

use super::Place;
use super::script::{Script, Step};
use super::show::Show;
use crate::interrupt;

/// The rate that the board is told to use.
const FASTER: u32 = 100;
/// Longest time for an answer, and without a sample while the line seems to be alive.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for a board to come back: somebody may have to put its cable back.
const RETURN: Duration = Duration::from_secs(30);
/// How often to look whether something else than a sample has come.
const LOOK: Duration = Duration::from_millis(5);
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Talks until the script is over, or Ctrl-C; then tells the summary.
pub(super) fn talk(place: &Place, script: &mut Script, show: &mut Show) -> Result<()> {
    let begin = Instant::now();
    let options =
        Options { name: "tieline demo", ping_interval: Duration::from_millis(100), ..Options::default() };
    let connection = Connection::open(place.address(), options)?;
    interrupt::closes(&connection);
    let peer = connection.peer().map(|peer| peer.name.to_string()).unwrap_or_default();
    show.connected(&peer, begin.elapsed());
    let talked = Talk::begin(&connection).and_then(|talk| talk.run(place, script, show));
    let (stats, rtt) = (connection.stats(), connection.rtt());
    let _ = connection.close(CLOSE_LIMIT);
    match talked {
        Err(_) if interrupt::requested() => {}
        other => other?,
    }
    show.summary(&stats, &rtt)?;
    Ok(())
}

/// What is declared, once: the connection sees to it that each start of the board learns it.
struct Talk<'c> {
    connection: &'c Connection,
    events: Events,
    samples: Subscriber<ImuSample>,
    command: Publisher<SetRate>,
    status: Caller<GetStatus, Status>,
}

impl<'c> Talk<'c> {
    fn begin(connection: &'c Connection) -> Result<Self> {
        Ok(Self {
            connection,
            events: connection.events(),
            samples: connection.subscriber(&IMU)?,
            command: connection.publisher(&COMMAND, IntentOptions::reliable())?,
            status: connection.caller(&STATUS),
        })
    }

    /// Watches samples, and does what the script says. Nothing is to be done about a board that is reset.
    fn run(&self, place: &Place, script: &mut Script, show: &mut Show) -> Result<()> {
        let mut heard = Instant::now();
        // A board that is away when the time is over is seen coming back.
        while (!script.is_over() || show.is_away()) && !interrupt::requested() {
            if !show.is_away()
                && let Some(step) = script.due()
            {
                show.interrupt();
                self.step(step, place, show)?;
                heard = Instant::now();
            }
            let sample = self.samples.recv_timeout(LOOK);
            // What came before the sample.
            while let Some(event) = self.events.try_recv() {
                show.event(&event);
            }
            match sample {
                Ok(sample) => {
                    heard = Instant::now();
                    show.sample(&sample, self.connection.rtt().last)?;
                }
                Err(Error::TimedOut) => {
                    let limit = if show.is_away() { RETURN } else { PATIENCE };
                    if heard.elapsed() > limit {
                        bail!("the board has sent no sample for {} s", limit.as_secs());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        show.interrupt();
        Ok(())
    }

    fn step(&self, step: Step, place: &Place, show: &mut Show) -> Result<()> {
        match step {
            Step::Command => self.command(show),
            Step::Ask => self.ask(show),
            Step::Reset => {
                show.reset();
                if !place.reset()? {
                    show.ask_for_reset();
                }
                Ok(())
            }
        }
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
        let mut answer = self.status.call(&GetStatus, PATIENCE);
        // It was reset meanwhile, and is asked again when it is back: it takes no harm by that.
        while matches!(answer, Err(CallError::Lost)) && begin.elapsed() < RETURN {
            answer = self.status.call(&GetStatus, PATIENCE);
        }
        let status = answer.context("the board does not answer")?;
        show.answer(&status, begin.elapsed());
        Ok(())
    }
}
