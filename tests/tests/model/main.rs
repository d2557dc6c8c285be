//! The shipped machines `reliable` and `handshake`, not a model of them, explored state by state.
//!
//! What is modelled is only what is around them: the line with its faults, the timers, the application. Every state that
//! can be reached within a configuration's bounds is visited (breadth first, by `stateright`); safety is judged in each,
//! and from each the faultless run to the end is made. That is stronger than the checker's own "eventually", which
//! overlooks cycles. How many states there are is printed and written down in docs/design.md.

#![forbid(unsafe_code)]

mod explore;
mod handshake;

mod reliable;
