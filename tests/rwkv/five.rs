//! Time mixing of version five: a matrix a head, with constant decay and a bonus.

use suanzi::Cpu;
use suanzi::mixer::{CausalMixer, Gate, Recurrence, Rwkv6, Rwkv6Token};
use suanzi::nn::{GatedSilu, Matrix};
use suanzi::storage::F16;

use super::file::File;
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
    pub(crate) fn new(file: &'a File, layer: usize, cpu: Cpu, memory: &mut Arena<'a>) -> Self {
        let name = |part: &str| format!("blocks.{layer}.att.{part}");
        let heads = file.width / HEAD;
        let rule = Rwkv6::new(file.numbers(&name("time_faaaa")));
        let storage = memory.take(Cell::state_len(heads, HEAD, HEAD));
        let cell = Recurrence::new(rule, heads, HEAD, HEAD, storage).unwrap();
        Self {
            norm: Norm::new(file, &format!("blocks.{layer}.ln1"), 1e-5, cpu),
            group_norm: Norm::new(file, &name("ln_x"), 1e-5, cpu),
            mixes: ["r", "k", "v", "g"]
                .map(|part| file.numbers(&name(&format!("time_mix_{part}")))),
            projections: ["receptance", "key", "value", "gate"]
                .map(|part| file.matrix(&name(&format!("{part}.weight"))).on(cpu)),
            output: file.matrix(&name("output.weight")).on(cpu),
            decay: file.numbers(&name("time_decay")),
            cell: cell.on(cpu),
            rows: [(); 4].map(|()| memory.take(file.width)),
            projected: [(); 4].map(|()| memory.take(file.width)),
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
        let [receptance, key, value, gate] = &mut self.projected;
        let token = Rwkv6Token {
            receptance,
            key,
            value,
            gate: Gate::Constant(self.decay),
        };
        self.cell.step(token, y).unwrap();
        self.group_norm.groups(y, HEAD);
        GatedSilu::default()
            .on(self.cpu)
            .map_in_place(gate, y)
            .unwrap();
        self.output.multiply_add(gate, x).unwrap();
        before.copy_from_slice(h);
    }
}
