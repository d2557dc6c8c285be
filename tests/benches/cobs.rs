//! Our COBS and the crate `cobs`, side by side: `cargo bench --package tieline-tests --bench cobs`.
//!
//! Our COBS is there only because it is faster and encodes in place; when this no longer shows it, it goes.
//! Encoding is timed with the copy of the data to where it is encoded, decoding with the search for the delimiter.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tieline::wire::cobs as ours;

/// Each figure is the best of this many rounds, so that another process costs a round and not the figure.
const ROUNDS: usize = 80;
const ROUND: Duration = Duration::from_millis(3);

fn main() {
    println!("MB/s of data (best of {ROUNDS} rounds); ratio: ours / crate");
    println!(
        "{:<22}{:>10}{:>10}{:>7}  {:>10}{:>10}{:>10}{:>7}",
        "", "encode", "ours", "ratio", "decode", "push", "ours", "ratio"
    );
    for len in [64, 256, 4096] {
        let random = random(len);
        let few: Vec<u8> = random.iter().map(|byte| if *byte == 0 { 1 } else { *byte }).collect();
        let mut many = random.clone();
        many.iter_mut().enumerate().filter(|(at, _)| at % 4 != 0).for_each(|(_, byte)| *byte = 0);
        for (name, data) in [("random", random), ("no zeros", few), ("3 of 4 are zero", many)] {
            compare(&format!("{len:>4} B, {name}"), &data);
        }
    }
}

fn compare(name: &str, data: &[u8]) {
    let head = ours::overhead(data.len());
    let mut out = vec![0; cobs::max_encoding_length(data.len()) + 1];
    let mut area = vec![0; head + data.len()];
    let mut wire = cobs::encode_vec(data);
    wire.push(0);

    // Both must do the same, or their speed says nothing.
    assert_eq!(ours_encode(data, &mut area, head), &wire[..wire.len() - 1]);
    assert_eq!(ours_decode(&wire, &mut out), data);

    let mut out2 = out.clone();
    let mut out3 = out.clone();
    let mut out4 = out.clone();
    let [encode, encode_ours, decode, push, decode_ours] = rates(
        data.len(),
        [
            &mut || {
                black_box(cobs::encode(black_box(data), &mut out));
            },
            &mut || {
                black_box(ours_encode(black_box(data), &mut area, head));
            },
            &mut || {
                black_box(cobs::decode(black_box(&wire), &mut out2).is_ok());
            },
            &mut || {
                black_box(cobs::CobsDecoder::new(&mut out3).push(black_box(&wire)).is_ok());
            },
            &mut || {
                black_box(ours_decode(black_box(&wire), &mut out4));
            },
        ],
    );
    println!(
        "{name:<22}{encode:>10.0}{encode_ours:>10.0}{:>7.1}  {decode:>10.0}{push:>10.0}{decode_ours:>10.0}{:>7.1}",
        encode_ours / encode,
        decode_ours / decode.max(push),
    );
}

fn ours_encode<'a>(data: &[u8], area: &'a mut [u8], head: usize) -> &'a [u8] {
    area[head..].copy_from_slice(data);
    let range = ours::encode(area, head, data.len()).expect("there is room");
    &area[range]
}

fn ours_decode<'a>(wire: &[u8], out: &'a mut [u8]) -> &'a [u8] {
    let end = ours::find_zero(wire).expect("there is a delimiter");
    let mut decoder = ours::Decoder::new();
    let len = decoder.decode(&wire[..end], out, 0).expect("there is room");
    assert!(decoder.is_complete());
    &out[..len]
}

/// Megabytes per second of each of `runs`, one of which does `len` bytes.
///
/// They take turns, so that a machine that is slow for a while is slow for all of them.
fn rates<const N: usize>(len: usize, mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [0.0_f64; N];
    for _ in 0..ROUNDS {
        for (run, best) in runs.iter_mut().zip(&mut best) {
            let begin = Instant::now();
            let mut count = 0_u32;
            while begin.elapsed() < ROUND {
                for _ in 0..100 {
                    run();
                }
                count += 100;
            }
            *best = best.max(f64::from(count) * len as f64 / begin.elapsed().as_secs_f64() / 1e6);
        }
    }
    best
}

/// Xorshift64.
fn random(len: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_9ABC_DEF1_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
