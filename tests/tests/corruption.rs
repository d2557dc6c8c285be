//! Undetected corruption, in small. `cargo bench -p tieline-tests --bench corruption` does it in earnest.

use tieline::framing::{Deframed, Deframer, DropReason};
use tieline_tests::corruption::odds::{CONTENT_MAX, distance_is_six, reference};
use tieline_tests::corruption::run;
use tieline_tests::forge;

#[test]
fn a_million_damaged_frames_are_told() {
    let report = run(1_000_000, 1, 2);
    assert_eq!(report.failures(), [""; 0], "\n{report}");
    assert_eq!(report.total().frames, 1_000_000);
    assert!(report.rows.iter().all(|row| row.checked > row.frames / 50), "\n{report}");
}

#[test]
fn no_five_flips_cancel_in_the_frames_of_this_test() {
    assert!(distance_is_six(8 * CONTENT_MAX));
}

/// Behind an intact content the register is the same whatever is in it, and COBS makes a zero of what was the
/// second frame's first code. A session that starts there takes two frames for one if the delimiter is lost.
#[test]
fn joined_frames_pass_for_one_start_in_all() {
    let check = reference(u32::MAX, b"any").to_le_bytes();
    let behind_any_content = !reference(u32::MAX, &[b"any", &check[..]].concat());
    let start = !reference(behind_any_content, &[0]);
    for (start, passes) in [(start, true), (start ^ 1, false), (u32::MAX, false), (0, false)] {
        let (mut wire, second) = (forge::seal(&[0x83, 1, 2, 3], start), forge::seal(&[0x84, 0, 5], start));
        wire.pop();
        wire.extend_from_slice(&second[1..]);
        let mut buffer = [0; 80];
        let mut deframer = Deframer::new();
        let (taken, leading) = deframer.push(&wire, &mut buffer, Some(start));
        assert_eq!((taken, leading), (1, Deframed::Nothing));
        let (_, found) = deframer.push(&wire[1..], &mut buffer, Some(start));
        let joined = matches!(found, Deframed::Packets([0x83, 1, 2, 3, _, _, _, _, 0, 0x84, 0, 5]));
        assert_eq!(joined, passes, "{start:#x}");
        assert_eq!(found == Deframed::Dropped(DropReason::Check), !passes, "{start:#x}");
    }
}
