//! What the three versions share: memory, norms, the shift between tokens and the channel mixing.

use core::mem;

use suanzi::nn::{LayerNorm, Matrix};
use suanzi::storage::F16;
use suanzi::{Cpu, Error, math};

use super::file::{File, Outcome};

/// Memory that is handed out piece by piece.
pub(crate) struct Arena<'a>(pub(crate) &'a mut [f32]);

impl<'a> Arena<'a> {
    /// Returns the next `n` numbers, all zero.
    pub(crate) fn take(&mut self, n: usize) -> Outcome<&'a mut [f32]> {
        let rest = mem::take(&mut self.0);
        let Some((taken, rest)) = rest.split_at_mut_checked(n) else {
            return Err("the memory is too small for this model".into());
        };
        self.0 = rest;
        taken.fill(0.0);
        Ok(taken)
    }

    /// Returns `N` rows of `n` numbers.
    pub(crate) fn rows<const N: usize>(&mut self, n: usize) -> Outcome<[&'a mut [f32]; N]> {
        let mut rows = [(); N].map(|()| <&mut [f32]>::default());
        for row in &mut rows {
            *row = self.take(n)?;
        }
        Ok(rows)
    }
}

/// A layer normalization with its gain and bias.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    gain: &'a [f32],
    bias: &'a [f32],
    norm: LayerNorm,
}

impl<'a> Norm<'a> {
    pub(crate) fn new(file: &'a File, name: &str, epsilon: f32, cpu: Cpu) -> Outcome<Self> {
        Ok(Self {
            gain: file.numbers(&format!("{name}.weight"))?,
            bias: file.numbers(&format!("{name}.bias"))?,
            norm: LayerNorm::new(epsilon)?.on(cpu),
        })
    }

    pub(crate) fn of(&self, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        self.norm.map(x, self.gain, self.bias, out)
    }

    pub(crate) fn in_place(&self, x: &mut [f32]) -> Result<(), Error> {
        self.norm.map_in_place(x, self.gain, self.bias)
    }

    /// Normalizes groups of `len` elements.
    pub(crate) fn groups(&self, x: &mut [f32], len: usize) -> Result<(), Error> {
        self.norm.map_groups(x, len, self.gain, self.bias)
    }
}

/// Writes x m + before (1 - m): a mixture with the token before.
pub(crate) fn shift(x: &[f32], before: &[f32], mix: &[f32], out: &mut [f32]) {
    for ((out, mix), (x, before)) in out.iter_mut().zip(mix).zip(x.iter().zip(before)) {
        *out = x * mix + before * (1.0 - mix);
    }
}

/// Multiplies element by element.
pub(crate) fn scale(x: &mut [f32], by: &[f32]) {
    for (x, by) in x.iter_mut().zip(by) {
        *x *= by;
    }
}

/// Adds element by element.
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Channel mixing: two layers with the square of a rectifier between them, gated by a receptance in the
/// versions before seven.
pub(crate) struct Channels<'a> {
    norm: Norm<'a>,
    mix: &'a [f32],
    /// The mixture of the receptance and its matrix.
    gate: Option<(&'a [f32], Matrix<'a, F16>)>,
    key: Matrix<'a, F16>,
    value: Matrix<'a, F16>,
    keys: &'a mut [f32],
    rows: [&'a mut [f32]; 4],
    cpu: Cpu,
}

impl<'a> Channels<'a> {
    pub(crate) fn new(
        file: &'a File,
        layer: usize,
        cpu: Cpu,
        memory: &mut Arena<'a>,
    ) -> Outcome<Self> {
        let name = |part: &str| format!("blocks.{layer}.ffn.{part}");
        let gate = if file.has(&name("receptance.weight")) {
            let receptance = file.matrix(&name("receptance.weight"))?.on(cpu);
            Some((file.numbers(&name("time_mix_r"))?, receptance))
        } else {
            None
        };
        // Version seven says how much of the token before there is, the others how much of this.
        let mix = if gate.is_some() { "time_mix_k" } else { "x_k" };
        let key = file.matrix(&name("key.weight"))?.on(cpu);
        Ok(Self {
            norm: Norm::new(file, &format!("blocks.{layer}.ln2"), 1e-5, cpu)?,
            mix: file.numbers(&name(mix))?,
            gate,
            key,
            value: file.matrix(&name("value.weight"))?.on(cpu),
            keys: memory.take(key.rows())?,
            rows: memory.rows(file.width)?,
            cpu,
        })
    }

    /// Returns how many numbers are kept from token to token.
    pub(crate) fn kept(&self) -> usize {
        let [before, ..] = &self.rows;
        before.len()
    }

    /// Adds the result for this token to `x`.
    pub(crate) fn step(&mut self, x: &mut [f32]) -> Result<(), Error> {
        let [before, h, mixed, out] = &mut self.rows;
        self.norm.of(x, h)?;
        if self.gate.is_some() {
            shift(h, before, self.mix, mixed);
        } else {
            shift(before, h, self.mix, mixed);
        }
        self.key.multiply(mixed, self.keys)?;
        for k in &mut *self.keys {
            *k = k.max(0.0) * k.max(0.0);
        }
        self.value.multiply(self.keys, out)?;
        if let Some((mix, receptance)) = &self.gate {
            shift(h, before, mix, mixed);
            // The mixture is done: what was before makes room for the product.
            receptance.multiply(mixed, before)?;
            math::sigmoid_in_place(self.cpu, before);
            scale(out, before);
        }
        before.copy_from_slice(h);
        add(x, out);
        Ok(())
    }
}
