//! Time mixing of version seven: a matrix a head, whose decay and removal depend on the token.

use suanzi::mixer::{CausalMixer, Gate, Recurrence, Rwkv7, Rwkv7Token};
use suanzi::nn::Matrix;
use suanzi::storage::F16;
use suanzi::{Cpu, Error, math};

use super::file::{File, Outcome};
use super::parts::{Arena, Norm, add, scale, shift};

/// Two matrices with few numbers between them, and what is added.
#[derive(Clone, Copy)]
struct LowRank<'a> {
    inner: Matrix<'a, F16>,
    outer: Matrix<'a, F16>,
    /// Empty, or one a result.
    bias: &'a [f32],
}

impl<'a> LowRank<'a> {
    fn new(file: &'a File, name: &str, cpu: Cpu) -> Outcome<Self> {
        let bias = format!("{name}0");
        Ok(Self {
            inner: file.matrix(&format!("{name}1"))?.on(cpu),
            outer: file.matrix(&format!("{name}2"))?.on(cpu),
            bias: if file.has(&bias) {
                file.numbers(&bias)?
            } else {
                &[]
            },
        })
    }

    /// Writes outer(activation(inner x)) + bias.
    fn of(
        &self,
        x: &[f32],
        activation: impl Fn(&mut [f32]),
        small: &mut [f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        let small = small.get_mut(..self.inner.rows()).unwrap_or_default();
        self.inner.multiply(x, small)?;
        activation(small);
        self.outer.multiply(small, out)?;
        add(out, self.bias);
        Ok(())
    }
}

type Cell<'a> = Recurrence<Rwkv7, f32, &'a mut [f32]>;

pub(crate) struct Seven<'a> {
    norm: Norm<'a>,
    group_norm: Norm<'a>,
    /// Of receptance, decay, key, value, rate and gate: how much of the token before there is.
    mixes: &'a [f32],
    receptance: Matrix<'a, F16>,
    key: Matrix<'a, F16>,
    value: Matrix<'a, F16>,
    output: Matrix<'a, F16>,
    decay: LowRank<'a>,
    rate: LowRank<'a>,
    gate: LowRank<'a>,
    /// How much of the first layer's value takes the place of this one's.
    residual: Option<LowRank<'a>>,
    removal: &'a [f32],
    replacement: &'a [f32],
    bonus: &'a [f32],
    head: usize,
    cell: Cell<'a>,
    small: &'a mut [f32],
    /// What was before, this token, a mixture, the result, and the removal key.
    rows: [&'a mut [f32]; 5],
    /// Receptance, decay, key, value, rate and gate.
    projected: [&'a mut [f32]; 6],
    cpu: Cpu,
}

impl<'a> Seven<'a> {
    pub(crate) fn new(
        file: &'a File,
        layer: usize,
        cpu: Cpu,
        memory: &mut Arena<'a>,
    ) -> Outcome<Self> {
        let name = |part: &str| format!("blocks.{layer}.att.{part}");
        let width = file.width;
        let low_rank = |part: &str| LowRank::new(file, &name(part), cpu);
        let matrix = |part: &str| file.matrix(&name(part)).map(|matrix| matrix.on(cpu));
        // One head of the whole width in this file.
        let head = width;
        let storage = memory.take(Cell::state_len(1, head, head))?;
        Ok(Self {
            norm: Norm::new(file, &format!("blocks.{layer}.ln1"), 1e-5, cpu)?,
            group_norm: Norm::new(file, &name("ln_x"), 64e-5, cpu)?,
            mixes: file.numbers(&name("x_rwkvag"))?,
            receptance: matrix("receptance.weight")?,
            key: matrix("key.weight")?,
            value: matrix("value.weight")?,
            output: matrix("output.weight")?,
            decay: low_rank("w")?,
            rate: low_rank("a")?,
            gate: low_rank("g")?,
            residual: if layer > 0 {
                Some(low_rank("v")?)
            } else {
                None
            },
            removal: file.numbers(&name("k_k"))?,
            replacement: file.numbers(&name("k_a"))?,
            bonus: file.numbers(&name("r_k"))?,
            head,
            cell: Recurrence::new(Rwkv7, 1, head, head, storage)?.on(cpu),
            small: memory.take(width)?,
            rows: memory.rows(width)?,
            projected: memory.rows(width)?,
            cpu,
        })
    }

    /// Returns how many numbers are kept from token to token.
    pub(crate) fn kept(&self) -> usize {
        let [before, ..] = &self.rows;
        before.len() + self.cell.state().len()
    }

    /// Adds the result for this token to `x`; `first` is the value of the first layer.
    pub(crate) fn step(&mut self, x: &mut [f32], first: &mut [f32]) -> Result<(), Error> {
        let cpu = self.cpu;
        let [before, h, mixed, y, removal] = &mut self.rows;
        let [r, w, k, v, a, g] = &mut self.projected;
        let small = &mut *self.small;
        self.norm.of(x, h)?;
        let mut mixes = self.mixes.chunks_exact(h.len());
        let mut mix = |mixed: &mut [f32]| shift(before, h, mixes.next().unwrap_or_default(), mixed);
        let sigmoid = |x: &mut [f32]| math::sigmoid_in_place(cpu, x);

        mix(mixed);
        self.receptance.multiply(mixed, r)?;
        mix(mixed);
        self.decay
            .of(mixed, |x| math::tanh_in_place(cpu, x), small, w)?;
        sigmoid(w);
        w.iter_mut().for_each(|w| *w *= -0.606_531);
        mix(mixed);
        self.key.multiply(mixed, k)?;
        mix(mixed);
        self.value.multiply(mixed, v)?;
        if let Some(residual) = &self.residual {
            residual.of(mixed, |_| {}, small, y)?;
            sigmoid(y);
            for ((v, first), share) in v.iter_mut().zip(&*first).zip(&**y) {
                *v += (first - *v) * share;
            }
        } else {
            first.copy_from_slice(v);
        }
        mix(mixed);
        self.rate.of(mixed, |_| {}, small, a)?;
        sigmoid(a);
        mix(mixed);
        self.gate.of(mixed, sigmoid, small, g)?;

        removal.copy_from_slice(k);
        scale(removal, self.removal);
        for head in removal.chunks_exact_mut(self.head) {
            let norm = head.iter().map(|k| k * k).sum::<f32>();
            let norm = libm::sqrtf(norm).max(1e-12);
            head.iter_mut().for_each(|k| *k /= norm);
        }
        for ((k, a), share) in k.iter_mut().zip(&**a).zip(self.replacement) {
            *k *= 1.0 + (a - 1.0) * share;
        }
        // What is removed, and where: -kappa and kappa a.
        scale(a, removal);
        removal.iter_mut().for_each(|k| *k = -*k);
        let token = Rwkv7Token {
            receptance: r,
            key: k,
            value: v,
            gate: Gate::Log(w),
            a: removal,
            b: a,
        };
        self.cell.step(token, y)?;
        self.group_norm.groups(y, self.head)?;
        let heads = y.chunks_exact_mut(self.head).zip(v.chunks_exact(self.head));
        let keys = r.chunks_exact(self.head).zip(k.chunks_exact(self.head));
        for (((y, v), (r, k)), u) in heads.zip(keys).zip(self.bonus.chunks_exact(self.head)) {
            let weight: f32 = r.iter().zip(k).zip(u).map(|((r, k), u)| r * k * u).sum();
            y.iter_mut().zip(v).for_each(|(y, v)| *y += weight * v);
        }
        scale(y, g);
        self.output.multiply_add(y, x)?;
        before.copy_from_slice(h);
        Ok(())
    }
}
