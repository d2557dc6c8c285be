//! The simulator: two endpoints, a virtual clock and a seeded line, on which every behavioural test runs.
//!
//! Real time never passes in here, but for [`proxy`] and [`gate`]. The clock jumps to the next thing that happens: a piece
//! of a frame arrives, a deadline of an endpoint, the line is free for the next frame, an application wants to
//! do something. The same seed gives the same run, byte by byte.
//!
//! | module | |
//! |---|---|
//! | [`rng`] | the one source of chance |
//! | [`line`](mod@line) | one direction of a line: rate, delay, faults |
//! | [`memory`] | storage whose sizes are chosen at run time |
//! | [`names`] | routes that stories speak of |
//! | [`app`] | an application: what it declares, how it reads, publishes, answers and asks |
//! | [`feed`] | numbered messages that it publishes by itself |
//! | [`side`] | an endpoint with its application and clock, that can restart |
//! | [`sim`] | the two sides, the two lines, the clock |
//! | [`forge`] | frames made by hand, and frames taken apart |
//! | [`chaos`] | hostile material |
//! | [`corruption`] | damaged frames, and how many pass for good ones |
//! | [`proxy`] | a bad line between two real programs |
//! | [`gate`] | a gate in front of a real TCP port, that can be cut, frozen and shut |
//! | [`schedule`] | everything that happens in one run of the property tests, as a value |
//! | `draw` | draws one from a seed |
//! | [`property`] | runs a schedule: what must hold whatever happens |
//! | [`report`] | what a run comes to |
//! | `verdict` | judges a run by what its applications were told |
//! | `quiet` | panics that are expected |
//! | [`shrink`] | makes a schedule that fails smaller |
//! | [`seeds`] | many runs of one story; a failing one prints the line that reproduces it |
//!
//! ```
//! use tieline::{IntentOptions, InterestOptions, RouteName};
//! use tieline_tests::{A, B, Sim};
//!
//! static GREETING: RouteName = match RouteName::new("Text", "demo.greeting") { Ok(name) => name, Err(_) => panic!() };
//!
//! let mut sim = Sim::new(1);
//! let publisher = sim[A].intent(&GREETING, IntentOptions::reliable());
//! let reader = sim[B].interest(&GREETING, InterestOptions::default());
//! sim.connect();
//! assert!(sim.run_until(1_000, |sim| sim[A].has_audience(publisher)));
//! sim[A].publish(publisher, b"hello").unwrap();
//! sim.run(100);
//! assert_eq!(sim[B].app.payloads(reader), [b"hello"]);
//! ```

#![forbid(unsafe_code)]

pub mod app;
pub mod chaos;
pub mod corruption;
mod draw;
pub mod feed;
pub mod forge;
pub mod gate;
pub mod line;
pub mod memory;
pub mod names;
mod ports;
pub mod property;
pub mod proxy;
mod quiet;
pub mod report;
pub mod rng;
pub mod schedule;
pub mod seeds;
pub mod shrink;
pub mod side;
pub mod sim;
mod verdict;

pub use app::{App, Handle, Heard, Reading, Serving};
pub use feed::Feed;
pub use line::{Chunking, Line, LineConfig};
pub use memory::{Memory, Sizes};
pub use ports::free_port;
pub use rng::Rng;
pub use schedule::Schedule;
pub use seeds::for_seeds;
pub use side::Side;
pub use sim::{A, B, Setup, Sim, Who, Wiring};
