//! What the board and the PC say to each other. Both use this file, so both mean the same.

use serde::{Deserialize, Serialize};
use tieline::{Named, Route};

/// One reading of the inertial sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImuSample {
    /// Counts the readings, from 0.
    pub number: u32,
    /// When it was read, in µs since the board's start, modulo 2^32.
    pub micros: u32,
    /// Acceleration along x, y and z, in thousandths of the earth's.
    pub acceleration: [i16; 3],
    /// Temperature, in hundredths of a degree Celsius.
    pub temperature: i16,
}

impl Named for ImuSample {
    const TYPE: &'static str = "ImuSample";
}

/// A command: how many samples a second are published. 0: none; more than [`RATE_MAX`] is taken as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRate {
    /// Samples a second.
    pub hertz: u32,
}

impl Named for SetRate {
    const TYPE: &'static str = "SetRate";
}

/// An event: a command was obeyed. One for each, in their order, to whoever wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateChanged {
    /// Commands that were obeyed since the start, this one included.
    pub commands: u32,
    /// Samples a second from now on.
    pub hertz: u32,
}

impl Named for RateChanged {
    const TYPE: &'static str = "RateChanged";
}

/// A request: how are you?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetStatus;

impl Named for GetStatus {
    const TYPE: &'static str = "GetStatus";
}

/// The answer to [`GetStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Time since the start, in ms.
    pub uptime_ms: u32,
    /// Samples a second.
    pub rate: u32,
    /// Samples that were sent.
    pub samples: u32,
    /// Samples that found no room.
    pub dropped: u32,
    /// Commands that were obeyed.
    pub commands: u32,
    /// What went wrong: lost lines, commands and requests that could not be read, conflicts.
    pub errors: u32,
}

impl Status {
    /// Nothing has happened.
    pub(crate) const NONE: Self =
        Self { uptime_ms: 0, rate: 0, samples: 0, dropped: 0, commands: 0, errors: 0 };
}

impl Named for Status {
    const TYPE: &'static str = "Status";
}

/// Most samples a second.
pub const RATE_MAX: u32 = 1000;

/// The samples, best effort.
pub const IMU: Route<ImuSample> = Route::new("sensors.imu");
/// The command, reliable.
pub const COMMAND: Route<SetRate> = Route::new("board.rate");
/// What became of it, reliable.
pub const RATE_CHANGED: Route<RateChanged> = Route::new("board.rate-changed");
/// The service; its answer is a [`Status`].
pub const STATUS: Route<GetStatus> = Route::new("board.status");
