//! Time mixing of version four: an online softmax with decay in each channel.

use suanzi::mixer::{CausalMixer, Rwkv4, Rwkv4Token, rwkv4_len};
use suanzi::nn::Matrix;
use suanzi::storage::F16;
use suanzi::{Cpu, Error, math};

use super::file::{File, Outcome};
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
    pub(crate) fn new(
        file: &'a File,
        layer: usize,
        cpu: Cpu,
        memory: &mut Arena<'a>,
    ) -> Outcome<Self> {
        let name = |part: &str| format!("blocks.{layer}.att.{part}");
        let mix = |part: &str| file.numbers(&name(&format!("time_mix_{part}")));
        let matrix = |part: &str| file.matrix(&name(part)).map(|matrix| matrix.on(cpu));
        let storage = memory.take(rwkv4_len(file.width))?;
        let decay = file.numbers(&name("time_decay"))?;
        let bonus = file.numbers(&name("time_first"))?;
        Ok(Self {
            norm: Norm::new(file, &format!("blocks.{layer}.ln1"), 1e-5, cpu)?,
            mixes: [mix("r")?, mix("k")?, mix("v")?],
            projections: [
                matrix("receptance.weight")?,
                matrix("key.weight")?,
                matrix("value.weight")?,
            ],
            output: matrix("output.weight")?,
            cell: Rwkv4::new(decay, bonus, storage)?.on(cpu),
            rows: memory.rows(file.width)?,
            projected: memory.rows(file.width)?,
            cpu,
        })
    }

    /// Returns how many numbers are kept from token to token.
    pub(crate) fn kept(&self) -> usize {
        let [before, ..] = &self.rows;
        before.len() + self.cell.state().len()
    }

    /// Adds the result for this token to `x`.
    pub(crate) fn step(&mut self, x: &mut [f32]) -> Result<(), Error> {
        let [before, h, mixed, y] = &mut self.rows;
        self.norm.of(x, h)?;
        let parts = self.mixes.iter().zip(&self.projections);
        for ((mix, matrix), out) in parts.zip(&mut self.projected) {
            shift(h, before, mix, mixed);
            matrix.multiply(mixed, out)?;
        }
        let [receptance, key, value] = &mut self.projected;
        self.cell.step(Rwkv4Token { key, value }, y)?;
        math::sigmoid_in_place(self.cpu, receptance);
        scale(y, receptance);
        self.output.multiply_add(y, x)?;
        before.copy_from_slice(h);
        Ok(())
    }
}
