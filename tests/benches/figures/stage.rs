//! What all sections share: the sender's configuration, two sides with one reader, and what the core can do.

use tieline::{Config, IntentOptions, InterestOptions, PublishError, RouteName, nb};
use tieline_tests::feed::numbered;
use tieline_tests::{A, B, Handle, Setup, Sim, Sizes};

use crate::ideal::FRAME;

/// Small stores, for the direction that is not measured.
const SMALL: usize = 512;

/// The switch: how an endpoint is configured with or without adaptive fragments. None: the core does not have that.
pub(crate) fn configured(name: &'static str, adaptive: bool) -> Option<Config> {
    Some(Config { adaptive, ..Config::new(name) })
}

/// A sends, B reads; each has the stores that it needs for that. The line is clean and nothing is declared.
pub(crate) fn setup(baud: u32, config: [Config; 2], tx: usize, rx: usize) -> Setup {
    let size = |rx, tx| Sizes { frame: FRAME, rx, tx, routes: 4, requests: 1 };
    Setup { sizes: [size(SMALL, tx), size(rx, SMALL)], config, ..Setup::new(1).baud(baud) }
}

/// Both sides as they are configured by default.
pub(crate) const USUAL: [Config; 2] = [Config::new("a"), Config::new("b")];

/// A publishes, B reads with a window of so many bytes.
pub(crate) fn route(
    sim: &mut Sim,
    name: &'static RouteName,
    options: IntentOptions,
    window: usize,
) -> (Handle, Handle) {
    let publisher = sim[A].intent(name, options);
    let reader = sim[B].interest(name, InterestOptions { window: Some(window), ..Default::default() });
    (publisher, reader)
}

/// No events: nobody reads what millions of messages came to.
pub(crate) fn reliable() -> IntentOptions {
    IntentOptions { tickets: false, ..IntentOptions::reliable() }
}

/// What a window must be for `count` messages: each costs 8 bytes besides its payload.
pub(crate) const fn window(count: usize, payload: usize) -> usize {
    count * (payload + tieline::limits::MESSAGE_COST)
}

/// Waits for the session and the audience, on a clean line.
pub(crate) fn establish(sim: &mut Sim, publishers: &[Handle]) {
    sim.establish();
    let heard = |sim: &Sim| publishers.iter().all(|publisher| sim[A].has_audience(*publisher));
    assert!(sim.run_until(5_000, heard), "no audience");
}

/// Whether the core takes a message of this size on a route. If so, it is sent.
pub(crate) fn takes(sim: &mut Sim, publisher: Handle, payload: usize) -> bool {
    match sim[A].publish(publisher, &numbered(0, payload)) {
        Ok(_) => true,
        Err(nb::Error::Other(PublishError::TooLarge { .. })) => false,
        Err(error) => panic!("{payload} bytes: {error:?}"),
    }
}
