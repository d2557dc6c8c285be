//! Ctrl-C: the connection is closed orderly, every blocked call returns, and the command says how far it came.
//! A second Ctrl-C, or one before there is a connection, ends the program at once.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tieline_std::Connection;

/// The status of a program that was ended by SIGINT, as shells report it.
const STATUS: u8 = 130;
/// How long what was published may still take to arrive.
const LIMIT: Duration = Duration::from_millis(300);

static REQUESTED: AtomicBool = AtomicBool::new(false);
static LOOKED_FOR: AtomicBool = AtomicBool::new(false);
static CONNECTION: Mutex<Option<Connection>> = Mutex::new(None);

pub(crate) fn watch() -> Result<()> {
    ctrlc::set_handler(|| {
        let first = !REQUESTED.swap(true, Ordering::SeqCst);
        let connection = CONNECTION.lock().ok().and_then(|mut connection| connection.take());
        match connection {
            // The command tells what was not delivered.
            Some(connection) => drop(connection.close(LIMIT)),
            None if first && LOOKED_FOR.load(Ordering::SeqCst) => {}
            None => std::process::exit(STATUS.into()),
        }
    })
    .context("Ctrl-C cannot be watched")
}

/// From now on the command asks whether there was one: only a second one ends the program.
pub(crate) fn is_looked_for() {
    LOOKED_FOR.store(true, Ordering::SeqCst);
}

/// From now on an interrupt closes this connection.
pub(crate) fn closes(connection: &Connection) {
    if let Ok(mut place) = CONNECTION.lock() {
        *place = Some(connection.clone());
    }
}

/// The connection is over: nothing here keeps it, and what it holds (a socket file, say), any longer.
pub(crate) fn forgets() {
    if let Ok(mut place) = CONNECTION.lock() {
        *place = None;
    }
}

/// Whether Ctrl-C was pressed.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

pub(crate) fn exit_code() -> ExitCode {
    ExitCode::from(STATUS)
}
