//! Adapters and optimizers: the same bits in one lane as in the widest vectors, merged weights near the sum of
//! both parts, 16-bit parameters in step with single ones, refusals without a trace.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use suanzi::Cpu;
use suanzi::adapter::{Adapter, Lora, Moments, Optimizer, Rule};
use suanzi::nn::Matrix;
use suanzi::storage::F16;

#[derive(Arbitrary, Debug)]
struct Input {
    shape: [u8; 3],
    numbers: Vec<i8>,
    /// Any representation, for the input.
    raw: Vec<u32>,
    rule: u8,
    time: u32,
    rate: f32,
    decay: f32,
    lengths: [u8; 4],
}

/// Returns the representations: NaN differs from itself.
fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fuzz_target!(|input: Input| {
    let [inputs, outputs, rank] = input.shape.map(|side| usize::from(side % 40) + 1);
    let small = |n: usize, skip: usize| -> Vec<f32> {
        (0..n)
            .map(|i| {
                let at = (i * 7 + skip) % input.numbers.len().max(1);
                f32::from(input.numbers.get(at).copied().unwrap_or(3)) / 32.0
            })
            .collect()
    };
    let (a, b) = (small(rank * inputs, 1), small(outputs * rank, 2));
    let raw: Vec<f32> = (0..inputs)
        .map(|i| f32::from_bits(input.raw.get(i).copied().unwrap_or(0x3f80_0000)))
        .collect();
    let dy = small(outputs, 3);
    let lora = |cpu| {
        let a = Matrix::new(rank, inputs, &a).unwrap();
        let b = Matrix::new(outputs, rank, &b).unwrap();
        Lora::new(a, b, 0.75).unwrap().on(cpu)
    };
    let run = |cpu| {
        let lora = lora(cpu);
        let (mut y, mut h) = (small(outputs, 4), vec![f32::NAN; rank]);
        lora.add_to(&raw, &mut y, &mut h).unwrap();
        let mut parts = [
            vec![1.0; inputs],
            vec![2.0; rank * inputs],
            vec![3.0; outputs * rank],
        ];
        let [dx, da, db] = &mut parts;
        lora.vjp(&raw, &dy, dx, da, db, &mut h).unwrap();
        let mut all = bits(&y);
        all.extend(parts.iter().flat_map(|part| bits(part)));
        all
    };
    assert_eq!(run(Cpu::default()), run(Cpu::scalar()));

    // Merged and apart.
    let x = small(inputs, 5);
    let lora = lora(Cpu::default());
    let mut weights = small(outputs * inputs, 6);
    let (mut apart, mut together) = (vec![0.0; outputs], vec![0.0; outputs]);
    let base = Matrix::<f32, f32>::new(outputs, inputs, &weights).unwrap();
    base.multiply(&x, &mut apart).unwrap();
    lora.add_to(&x, &mut apart, &mut vec![0.0; rank]).unwrap();
    let mut scratch = vec![0.0; lora.merge_scratch_len()];
    lora.merge(&mut weights, &mut scratch).unwrap();
    let merged = Matrix::<f32, f32>::new(outputs, inputs, &weights).unwrap();
    merged.multiply(&x, &mut together).unwrap();
    for (a, b) in apart.iter().zip(&together) {
        // Numbers are at most four: products of three, summed over both sides.
        let size = 16.0 * inputs as f32 * (1.0 + 4.0 * rank as f32);
        assert!((a - b).abs() <= 1e-5 * size, "{a} {b}");
    }

    // Steps: one lane and all, single and 16-bit parameters.
    let moments = Moments::default();
    let rule = match input.rule % 4 {
        0 => Rule::Sgd,
        1 => Rule::SignSgd,
        2 => Rule::Adam(moments),
        _ => Rule::AdamW(moments),
    };
    let step = |cpu, halves: bool| {
        let optimizer = Optimizer::new(rule).unwrap().on(cpu);
        let mut narrow: Vec<F16> = x.iter().map(|&x| F16::from_f32(x)).collect();
        let mut wide: Vec<f32> = narrow.iter().map(|x| x.to_f32()).collect();
        let (time, rate, decay) = (input.time, input.rate, input.decay);
        if halves {
            let mut state = vec![f32::NAN; optimizer.state_len::<F16>(inputs)];
            optimizer.begin(&narrow, &mut state).unwrap();
            let done = optimizer.step(time, rate, decay, &mut narrow, &raw, &mut state);
            wide = state[..inputs].to_vec();
            for (narrow, wide) in narrow.iter().zip(&wide) {
                assert_eq!(narrow.to_bits(), F16::from_f32(*wide).to_bits());
            }
            (done, bits(&wide))
        } else {
            let mut state = vec![f32::NAN; optimizer.state_len::<f32>(inputs)];
            optimizer.begin(&wide, &mut state).unwrap();
            let done = optimizer.step(time, rate, decay, &mut wide, &raw, &mut state);
            (done, bits(&wide))
        }
    };
    let all = step(Cpu::default(), false);
    assert_eq!(all, step(Cpu::scalar(), false));
    assert_eq!(all, step(Cpu::default(), true));

    // Any lengths are taken or refused, and a refusal writes nothing.
    let lengths = input.lengths.map(usize::from);
    let mut y = vec![7.0; lengths[1]];
    let given = (vec![1.0; lengths[0]], vec![7.0; lengths[2]]);
    let mut scratch = given.1;
    if lora.add_to(&given.0, &mut y, &mut scratch).is_err() {
        assert!(y.iter().chain(&scratch).all(|&x| x == 7.0));
    }
    let mut merged = vec![7.0_f32; lengths[3]];
    if lora.merge(&mut merged, &mut scratch).is_err() {
        assert!(merged.iter().all(|&x| x == 7.0));
    }
});
