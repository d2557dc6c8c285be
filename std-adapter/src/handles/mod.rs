//! What an application holds: one handle for each route that it publishes, reads, calls or answers.

mod caller;
mod publisher;
mod responder;
mod subscriber;

use std::sync::Arc;

pub use caller::{Caller, RawCaller};
pub use publisher::{Progress, Publisher, RawPublisher};
pub use responder::{RawRequest, RawResponder, Refusal, Request, Responder};
pub use subscriber::{Peeked, RawSubscriber, Subscriber};
use tieline::{DeclareError, RouteId, RouteName};

use crate::connection::Inner;
use crate::engine::Engine;
use crate::error::Error;

/// A declaration that is withdrawn when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) inner: Arc<Inner>,
    pub(crate) id: RouteId,
    pub(crate) name: &'static RouteName,
    kind: u8,
}

impl Held {
    pub(crate) fn declare(
        inner: &Arc<Inner>,
        name: &'static RouteName,
        kind: u8,
        declare: impl FnOnce(&mut Engine) -> Result<RouteId, DeclareError>,
    ) -> Result<Self, Error> {
        let mut engine = inner.shared.lock();
        if let Some(ended) = &engine.over {
            return Err(Error::Ended(ended.clone()));
        }
        // The endpoint would take it as a change of the declaration, and the first handle dropped would end both.
        if engine.is_held(name, kind) {
            return Err(Error::Declare(DeclareError::Declared));
        }
        let id = declare(&mut engine).map_err(Error::Declare)?;
        engine.hold(id, name, kind);
        engine.digest();
        inner.shared.send(engine);
        Ok(Self { inner: Arc::clone(inner), id, name, kind })
    }
}

impl Held {
    /// Declares it once more, which renews its time to live.
    pub(crate) fn renew(
        &self,
        declare: impl FnOnce(&mut Engine) -> Result<RouteId, DeclareError>,
    ) -> Result<(), Error> {
        let mut engine = self.inner.shared.lock();
        if let Some(ended) = &engine.over {
            return Err(Error::Ended(ended.clone()));
        }
        declare(&mut engine).map_err(Error::Declare)?;
        self.inner.shared.send(engine);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut engine = self.inner.shared.lock();
        engine.release(self.id, self.kind);
        self.inner.shared.send(engine);
    }
}
