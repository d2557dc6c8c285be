//! The sub-commands but for the demo.

pub(crate) mod broadcast;
pub(crate) mod call;
pub(crate) mod ping;
pub(crate) mod ports;
pub(crate) mod publish;
pub(crate) mod routes;
pub(crate) mod stats;
pub(crate) mod subscribe;
