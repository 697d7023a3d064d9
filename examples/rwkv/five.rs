//! Time mixing of version five: a matrix a head, with constant decay and a bonus.

use suanzi::mixer::{CausalMixer, Gate, Recurrence, Rwkv6, Rwkv6Token};
use suanzi::nn::{GatedSilu, Matrix};
use suanzi::storage::F16;
use suanzi::{Cpu, Error};

use super::file::{File, Outcome};
use super::parts::{Arena, Norm, shift};

/// The elements of a head.
const HEAD: usize = 8;

type Cell<'a> = Recurrence<Rwkv6<'a, f32>, f32, &'a mut [f32]>;

pub(crate) struct Five<'a> {
    norm: Norm<'a>,
    group_norm: Norm<'a>,
    /// Of receptance, key, value and gate.
    mixes: [&'a [f32]; 4],
    projections: [Matrix<'a, F16>; 4],
    output: Matrix<'a, F16>,
    decay: &'a [f32],
    cell: Cell<'a>,
    /// What was before, this token, a mixture, and the result.
    rows: [&'a mut [f32]; 4],
    projected: [&'a mut [f32]; 4],
    cpu: Cpu,
}

impl<'a> Five<'a> {
    pub(crate) fn new(
        file: &'a File,
        layer: usize,
        cpu: Cpu,
        memory: &mut Arena<'a>,
    ) -> Outcome<Self> {
        let name = |part: &str| format!("blocks.{layer}.att.{part}");
        let mix = |part: &str| file.numbers(&name(&format!("time_mix_{part}")));
        let matrix = |part: &str| file.matrix(&name(part)).map(|matrix| matrix.on(cpu));
        let heads = file.width / HEAD;
        let rule = Rwkv6::new(file.numbers(&name("time_faaaa"))?);
        let storage = memory.take(Cell::state_len(heads, HEAD, HEAD))?;
        Ok(Self {
            norm: Norm::new(file, &format!("blocks.{layer}.ln1"), 1e-5, cpu)?,
            group_norm: Norm::new(file, &name("ln_x"), 1e-5, cpu)?,
            mixes: [mix("r")?, mix("k")?, mix("v")?, mix("g")?],
            projections: [
                matrix("receptance.weight")?,
                matrix("key.weight")?,
                matrix("value.weight")?,
                matrix("gate.weight")?,
            ],
            output: matrix("output.weight")?,
            decay: file.numbers(&name("time_decay"))?,
            cell: Recurrence::new(rule, heads, HEAD, HEAD, storage)?.on(cpu),
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
        let [receptance, key, value, gate] = &mut self.projected;
        let token = Rwkv6Token {
            receptance,
            key,
            value,
            gate: Gate::Constant(self.decay),
        };
        self.cell.step(token, y)?;
        self.group_norm.groups(y, HEAD)?;
        GatedSilu::default().on(self.cpu).map_in_place(gate, y)?;
        self.output.multiply_add(gate, x)?;
        before.copy_from_slice(h);
        Ok(())
    }
}
