//! Rotations against their definition: any base, layout, position and number of heads, on every level.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use suanzi::Cpu;
use suanzi::position::{Base, HeadLayout, Pairing, PositionEncoding, Rope, RopeTable};

#[derive(Arbitrary, Debug)]
struct Input {
    base: f64,
    head_dim: u8,
    rotary_dim: u8,
    interleaved: bool,
    position: i32,
    offset: i32,
    x: Vec<f32>,
}

fuzz_target!(|input: Input| {
    let pairing = if input.interleaved {
        Pairing::Interleaved
    } else {
        Pairing::HalfSplit
    };
    let (head_dim, rotary_dim) = (usize::from(input.head_dim), usize::from(input.rotary_dim));
    let (Ok(layout), Ok(base)) = (
        HeadLayout::partial(head_dim, rotary_dim, pairing),
        Base::new(input.base),
    ) else {
        return;
    };
    let rope = Rope::<f32, _>::new(layout, &base, vec![0; layout.pairs()]).expect("an encoding");
    let table = RopeTable::new(&rope, input.position, vec![0.0; rotary_dim]).expect("a table");
    let mut expected = input.x.clone();
    if rope
        .clone()
        .on(Cpu::scalar())
        .rotate(input.position, &mut expected[..])
        .is_err()
    {
        // Not whole heads: refused, and nothing was written.
        assert!(input.x.len() % head_dim != 0);
        assert_eq!(bits(&expected), bits(&input.x));
        return;
    }

    // The definition, with the sines and cosines of the table.
    let (cos, sin) = table.row(input.position).expect("a row");
    for (x, y) in input.x.chunks(head_dim).zip(expected.chunks(head_dim)) {
        for i in 0..layout.pairs() {
            assert!((cos[i] * cos[i] + sin[i] * sin[i] - 1.0).abs() < 4.0 * f32::EPSILON);
            let (a, b) = match pairing {
                Pairing::Interleaved => (2 * i, 2 * i + 1),
                Pairing::HalfSplit => (i, i + layout.pairs()),
            };
            assert_same(y[a], x[a] * cos[i] - x[b] * sin[i]);
            assert_same(y[b], x[b] * cos[i] + x[a] * sin[i]);
        }
        assert_eq!(bits(&x[rotary_dim..]), bits(&y[rotary_dim..]));
    }

    // Every way there gives the same bits.
    for level in Cpu::levels() {
        let cpu = Cpu::with(level).expect("a level that is listed");
        let mut y = input.x.clone();
        rope.clone()
            .on(cpu)
            .rotate(input.position, &mut y[..])
            .expect("whole heads");
        assert_eq!(bits(&y), bits(&expected), "{level:?} on the fly");
        let table = table.clone().on(cpu);
        table
            .rotate_into(input.position, &input.x, &mut y)
            .expect("whole heads");
        assert_eq!(bits(&y), bits(&expected), "{level:?} from a table");
        assert!(table.row(input.position.wrapping_sub(1)).is_err());
    }

    // A shift, like any rotation, must survive every offset.
    let mut y = expected.clone();
    rope.shift(input.offset, &mut y).expect("whole heads");
});

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The same number, where every NaN is the one that stands for all.
fn assert_same(got: f32, expected: f32) {
    let expected = if expected.is_nan() {
        f32::NAN
    } else {
        expected
    };
    assert_eq!(
        got.to_bits(),
        expected.to_bits(),
        "{got}, expected {expected}"
    );
}
