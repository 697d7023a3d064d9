//! Time mixing of version four: an online softmax with decay in each channel.

use suanzi::mixer::{CausalMixer, Rwkv4, Rwkv4Token, rwkv4_len};
use suanzi::nn::Matrix;
use suanzi::storage::F16;
use suanzi::{Cpu, math};

use super::file::File;
use super::parts::{Arena, Norm, scale, shift};

pub(crate) struct Four<'a> {
    norm: Norm<'a>,
    /// Of receptance, key and value.
    mixes: [&'a [f32]; 3],
    projections: [Matrix<'a, F16>; 3],
    output: Matrix<'a, F16>,
    cell: Rwkv4<'a, f32, &'a mut [f32]>,
    /// What was before, this token, a mixture, and the result.
    rows: [&'a mut [f32]; 4],
    projected: [&'a mut [f32]; 3],
    cpu: Cpu,
}

impl<'a> Four<'a> {
    pub(crate) fn new(file: &'a File, layer: usize, cpu: Cpu, memory: &mut Arena<'a>) -> Self {
        let name = |part: &str| format!("blocks.{layer}.att.{part}");
        let storage = memory.take(rwkv4_len(file.width));
        let decay = file.numbers(&name("time_decay"));
        let bonus = file.numbers(&name("time_first"));
        Self {
            norm: Norm::new(file, &format!("blocks.{layer}.ln1"), 1e-5, cpu),
            mixes: ["r", "k", "v"].map(|part| file.numbers(&name(&format!("time_mix_{part}")))),
            projections: ["receptance", "key", "value"]
                .map(|part| file.matrix(&name(&format!("{part}.weight"))).on(cpu)),
            output: file.matrix(&name("output.weight")).on(cpu),
            cell: Rwkv4::new(decay, bonus, storage).unwrap().on(cpu),
            rows: [(); 4].map(|()| memory.take(file.width)),
            projected: [(); 3].map(|()| memory.take(file.width)),
            cpu,
        }
    }

    /// Adds the result for this token to `x`.
    pub(crate) fn step(&mut self, x: &mut [f32]) {
        let [before, h, mixed, y] = &mut self.rows;
        self.norm.of(x, h);
        for ((mix, matrix), out) in self
            .mixes
            .iter()
            .zip(&self.projections)
            .zip(&mut self.projected)
        {
            shift(h, before, mix, mixed);
            matrix.multiply(mixed, out).unwrap();
        }
        let [receptance, key, value] = &mut self.projected;
        self.cell.step(Rwkv4Token { key, value }, y).unwrap();
        math::sigmoid_in_place(self.cpu, receptance);
        scale(y, receptance);
        self.output.multiply_add(y, x).unwrap();
        before.copy_from_slice(h);
    }
}
