//! The board's reset button.

use std::collections::VecDeque;
use std::time::Duration;

use tieline::{Event, FailReason, LostReason};
use tieline_tests::Rng;

use crate::boards;
use crate::pc::Pc;

const RESETS: u32 = 12;
/// From the button to a session whose routes are all there, most of the time. The board greets when it starts; how soon an
/// emulated one does depends on the host.
const BACK: Duration = Duration::from_secs(3);

/// Commands that were published in this session and whose fate is open.
#[derive(Default)]
struct Ledger {
    /// What was published, in order.
    published: VecDeque<u32>,
    /// Of which the peer's application has taken so many.
    delivered: u32,
    /// Reports that came.
    reported: u32,
    failed: u32,
}

/// Publishes commands without end; each is of a rate of its own, so that a report says whose it is.
struct Commander {
    next: u32,
    ledger: Ledger,
}

impl Commander {
    fn publish(&mut self, pc: &mut Pc) {
        while pc.publish(self.rate()) {
            self.ledger.published.push_back(self.rate());
            self.next += 1;
        }
    }

    fn rate(&self) -> u32 {
        self.next % 997 + 1
    }

    /// Books what came: the n-th report of a session is that of its n-th command.
    fn book(&mut self, pc: &mut Pc) {
        let ledger = &mut self.ledger;
        for report in pc.reports.drain(..) {
            assert_eq!(report.commands, ledger.reported + 1, "a command was obeyed twice, or not at all");
            assert_eq!(Some(&report.hertz), ledger.published.get(ledger.reported as usize));
            ledger.reported += 1;
        }
        for event in &pc.events {
            match event {
                Event::Delivered(_) => ledger.delivered += 1,
                Event::Failed(_, reason) => {
                    assert!(
                        matches!(
                            reason,
                            FailReason::PeerRestarted | FailReason::NotSent | FailReason::NoAudience
                        ),
                        "{reason:?}"
                    );
                    ledger.failed += 1;
                }
                _ => {}
            }
        }
    }

    /// The session is over: each command is accounted for.
    fn close(&mut self) {
        let Ledger { published, delivered, reported, failed } = std::mem::take(&mut self.ledger);
        assert_eq!(delivered + failed, published.len() as u32, "a command without an end");
        // The report of a command that was taken may have been lost with the session, not the other way round by more
        // than what was in doubt.
        assert!(reported <= delivered + failed, "{reported} reports, {delivered} delivered, {failed} failed");
    }
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn a_board_that_is_reset_at_random_moments_comes_back_and_each_command_has_one_end() {
    let board = boards::main().start();
    let mut pc = Pc::connect(board.uart(), 1);
    pc.subscribe();
    pc.ready();
    let mut rng = Rng::new(4);
    let mut commander = Commander { next: 0, ledger: Ledger::default() };
    let mut spans = Vec::new();
    let mut reported = 0;
    for reset in 0..RESETS {
        // Also in the middle of the handshake, now and then.
        let calm = if reset % 4 == 3 { 0 } else { rng.between(20, 400) };
        let until = pc.now() + Duration::from_millis(calm);
        while pc.now() < until {
            commander.publish(&mut pc);
            pc.turn();
            commander.book(&mut pc);
            assert!(!is_lost(&pc), "the session was lost without a reset");
            pc.events.clear();
        }
        reported += commander.ledger.reported;
        board.reset().unwrap();
        let span = pc.until("the restart to be noticed", |pc| {
            commander.book(pc);
            let lost = is_lost(pc);
            pc.events.clear();
            lost
        });
        commander.close();
        spans.push(span + pc.ready());
    }
    pc.samples.clear();
    pc.until("samples", |pc| pc.samples.len() > 3);
    let status = pc.status();
    assert_eq!(status.commands, 0, "the last start is a new one: {status:?}");
    assert!(reported > 100, "only {reported} commands were reported: nothing was under way");
    spans.sort_unstable();
    assert!(spans[spans.len() / 2] < BACK, "it was back after {spans:?}");
    println!(
        "{RESETS} resets, {reported} commands: back after {:?}, at the worst {:?}",
        spans[spans.len() / 2],
        spans[spans.len() - 1]
    );
}

/// Whether the session was lost, which a reset is the only reason for.
fn is_lost(pc: &Pc) -> bool {
    let mut lost = pc.events.iter().filter_map(|event| match event {
        Event::Lost(reason) => Some(*reason),
        Event::Degraded(reason) => panic!("degraded: {reason:?}"),
        _ => None,
    });
    let found = lost.next();
    assert!(matches!(found, None | Some(LostReason::PeerRestarted)), "{found:?}");
    found.is_some()
}
