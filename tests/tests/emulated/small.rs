//! The small application, whose endpoint is `tieline::lite`.

use std::time::Duration;

use tieline::{Event, LostReason};
use tieline_tests::Rng;

use crate::boards;
use crate::pc::Pc;

const RESETS: u32 = 6;
const COMMANDS: u32 = 50;

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn the_small_application_publishes_obeys_and_comes_back() {
    let board = boards::small().start();
    let mut pc = Pc::connect(board.uart(), 1);
    let mut rng = Rng::new(11);
    pc.subscribe();
    pc.ready();
    for reset in 0..RESETS {
        pc.samples.clear();
        pc.until("samples of this start", |pc| pc.samples.len() >= 3);
        // Reliable, with noise between them: each is taken once.
        let mut published = 0;
        let mut delivered = 0;
        pc.until("commands", |pc| {
            if published < COMMANDS && published - delivered < 3 {
                pc.inject(&rng.bytes(40));
                published += u32::from(pc.publish(1000));
            }
            delivered += taken(pc);
            delivered == COMMANDS
        });
        pc.samples.clear();
        pc.until("faster samples", |pc| pc.samples.len() >= 50);
        let micros: Vec<u32> = pc.samples.iter().map(|sample| sample.micros).collect();
        let mut periods: Vec<u32> = micros.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        periods.sort_unstable();
        // 10 a second at first. A busy host stops the whole board now and then: not each of them.
        assert!(periods[periods.len() / 2] < 50_000, "{periods:?} \u{b5}s between samples");

        pc.run(Duration::from_millis(rng.between(0, 200)));
        pc.events.clear();
        board.reset().unwrap();
        let noticed = pc.until("the restart to be noticed", |pc| {
            pc.events.iter().any(|event| matches!(event, Event::Lost(LostReason::PeerRestarted)))
        });
        pc.events.clear();
        println!("reset {reset}: noticed after {noticed:?}, back {:?} later", pc.ready());
    }
}

/// How many more commands the board has taken; none may fail.
fn taken(pc: &mut Pc) -> u32 {
    pc.events.drain(..).fold(0, |count, event| match event {
        Event::Delivered(_) => count + 1,
        Event::Failed(..) | Event::Lost(_) | Event::Degraded(_) | Event::Closed(_) => panic!("{event:?}"),
        _ => count,
    })
}
