//! The mesa layer: the least squares of all tokens so far, solved anew at each of them.

use super::Gate;
use super::kernel::{self, Step};
use super::rule::{At, Shape};
use crate::cpu::dispatch;
use crate::error::check_len;
use crate::mixer::CausalMixer;
use crate::scalar::Scalar;
use crate::simd::{Isa, dot};
use crate::{Cpu, Error, Parameter};

/// o = G^T (H + diag(ridge))^-1 q with G = gate G + beta k v^T and H = gate H + beta k k^T.
///
/// What linear attention reads approximately, the mesa layer reads as the solution of the regularized
/// least squares that maps the keys so far to their values. The system is solved by conjugate
/// gradients, from zero, until the square of the residual is at most `tolerance`^2 of the query's or
/// the iterations are spent. Von Oswald et al. 2025, "MesaNet", arXiv 2506.05233; Hestenes and Stiefel
/// 1952.
///
/// * **Shapes:** queries and keys `[token][head][key_dim]`, values and outputs
///   `[token][head][value_dim]`, beta `[token][head]`, gates a number a head, ridges
///   `[head][key_dim]`.
/// * **Domain:** gates and beta not negative, as the system is then positive definite; other numbers
///   give what the iteration gives, NaN where it divides zero by zero. A query of zeros gives zeros.
/// * **Order:** as every [`Recurrence`](super::Recurrence), dot products as in [`Matrix`](crate::nn::Matrix):
///   the same bits, and the same number of iterations, at every vector width.
/// * **Accuracy:** the table's row `mesa`.
/// * **Cost:** two steps of linear attention, then two operations for each of key_dim^2 elements and
///   iteration.
///
/// ```
/// use suanzi::mixer::{CausalMixer, Gate, Mesa, MesaToken};
///
/// const LEN: usize = Mesa::<f32, [f32; 0]>::state_len(1, 2, 1);
/// let ridge = [1e-3_f32; 2];
/// let mut layer = Mesa::new(&ridge, 1, 2, 1, [0.0_f32; LEN])?;
/// let token = |query, key, value| MesaToken { query, key, value, gate: Gate::Open, beta: &[1.0] };
/// let mut out = [0.0];
/// layer.step(token(&[1.0, 0.0], &[2.0, 0.0], &[6.0]), &mut out)?;
/// // The keys are multiplied by three.
/// assert!((out[0] - 3.0).abs() < 1e-2);
/// # Ok::<(), suanzi::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Mesa<'a, T, S> {
    ridge: &'a [T],
    shape: Shape,
    iterations: usize,
    tolerance: T,
    cpu: Cpu,
    storage: S,
}

/// One token of [`Mesa`], or several.
#[derive(Clone, Copy, Debug)]
pub struct MesaToken<'a, T> {
    /// `[token][head][key_dim]`.
    pub query: &'a [T],
    /// `[token][head][key_dim]`.
    pub key: &'a [T],
    /// `[token][head][value_dim]`.
    pub value: &'a [T],
    /// What both states keep, a number a head.
    pub gate: Gate<'a, T>,
    /// The weight of the token, `[token][head]`.
    pub beta: &'a [T],
}

impl<T: Scalar, S> Mesa<'_, T, S> {
    /// Returns the elements that the state of this many heads takes.
    #[must_use]
    pub const fn state_len(heads: usize, key_dim: usize, value_dim: usize) -> usize {
        let columns = key_dim.saturating_add(value_dim);
        let head = key_dim.saturating_mul(columns);
        // Decays, and the vectors of the iteration beside room for a value.
        let scratch = key_dim.saturating_mul(6).saturating_add(value_dim);
        heads.saturating_mul(head).saturating_add(scratch)
    }

    /// Moves the layer to another executor.
    #[must_use]
    pub fn on(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Returns this layer with another end of the iteration; thirty steps and a tolerance of eight
    /// units in the last place to begin with.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if the tolerance is not finite or negative.
    pub fn with_iterations(self, iterations: usize, tolerance: T) -> Result<Self, Error> {
        if !(tolerance >= T::ZERO && tolerance < T::INFINITY) {
            return Err(Error::Domain(Parameter::Epsilon));
        }
        Ok(Self {
            iterations,
            tolerance,
            ..self
        })
    }

    /// Returns the elements of one token's output.
    #[must_use]
    pub const fn out_len(&self) -> usize {
        self.shape.heads * self.shape.value_dim
    }

    /// Returns the elements of both matrices of all heads.
    const fn matrices_len(&self) -> usize {
        let shape = self.shape;
        shape.heads * shape.key_dim * (shape.key_dim + shape.value_dim)
    }
}

impl<'a, T: Scalar, S: AsRef<[T]> + AsMut<[T]>> Mesa<'a, T, S> {
    /// Returns the layer before the first token, in lent storage, on the processor's best instruction
    /// set.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] if a size is zero, [`Error::Length`] if there is not one ridge for each head
    /// and channel or the storage has not [`state_len`](Self::state_len) elements.
    pub fn new(
        ridge: &'a [T],
        heads: usize,
        key_dim: usize,
        value_dim: usize,
        storage: S,
    ) -> Result<Self, Error> {
        if heads == 0 {
            return Err(Error::Domain(Parameter::Heads));
        }
        if key_dim == 0 || value_dim == 0 {
            return Err(Error::Domain(Parameter::HeadDim));
        }
        let expected = Self::state_len(heads, key_dim, value_dim);
        check_len(expected, storage.as_ref().len())?;
        check_len(heads * key_dim, ridge.len())?;
        let mut layer = Self {
            ridge,
            shape: Shape {
                heads,
                key_heads: heads,
                query_heads: heads,
                key_dim,
                value_dim,
            },
            iterations: 30,
            tolerance: T::epsilon() * (T::TWO + T::TWO) * T::TWO,
            cpu: Cpu::default(),
            storage,
        };
        layer.reset();
        Ok(layer)
    }

    /// Forgets every token.
    pub fn reset(&mut self) {
        self.storage.as_mut().fill(T::ZERO);
    }

    /// Returns the state: `[head]` of G, `[key_dim][value_dim]`, and H, `[key_dim][key_dim]`. A copy of
    /// it is a checkpoint.
    #[must_use]
    pub fn state(&self) -> &[T] {
        let state = self.storage.as_ref().get(..self.matrices_len());
        state.unwrap_or_default()
    }

    /// Returns the state to change.
    pub fn state_mut(&mut self) -> &mut [T] {
        let len = self.matrices_len();
        self.storage.as_mut().get_mut(..len).unwrap_or_default()
    }

    /// Reads several tokens, one after the other, and writes their outputs: the bits of single steps.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if the queries are not whole tokens, [`Error::Length`] if another part or
    /// `out` has not as many.
    pub fn prefill(&mut self, tokens: MesaToken<'_, T>, out: &mut [T]) -> Result<(), Error> {
        let [of, _, value, _] = self.shape.lens();
        let found = tokens.query.len();
        let count = found / of.max(1);
        if !found.is_multiple_of(of.max(1)) {
            return Err(Error::Multiple { of, found });
        }
        check_len(found, tokens.key.len())?;
        check_len(count.saturating_mul(value), tokens.value.len())?;
        check_len(count.saturating_mul(self.shape.heads), tokens.beta.len())?;
        tokens.gate.check_per_head(self.shape, count)?;
        check_len(count.saturating_mul(value), out.len())?;
        let solver = Solver {
            shape: self.shape,
            iterations: self.iterations,
            tolerance: self.tolerance,
            cpu: self.cpu,
        };
        let len = self.matrices_len();
        let state = self.storage.as_mut().split_at_mut_checked(len);
        let state = state.unwrap_or_default();
        solver.steps(count, (&tokens, self.ridge), state, out);
        Ok(())
    }
}

impl<T: Scalar, S: AsRef<[T]> + AsMut<[T]>> CausalMixer<[T]> for Mesa<'_, T, S> {
    type Token<'t>
        = MesaToken<'t, T>
    where
        [T]: 't;

    fn step(&mut self, token: MesaToken<'_, T>, out: &mut [T]) -> Result<(), Error> {
        let [query, _, _, _] = self.shape.lens();
        check_len(query, token.query.len())?;
        self.prefill(token, out)
    }

    fn reset(&mut self) {
        Self::reset(self);
    }
}

/// Where the iteration ends.
#[derive(Clone, Copy)]
struct Solver<T> {
    shape: Shape,
    iterations: usize,
    tolerance: T,
    cpu: Cpu,
}

impl<T: Scalar> Solver<T> {
    /// Takes the steps of every head.
    #[inline(never)]
    fn steps(
        self,
        count: usize,
        tokens: (&MesaToken<'_, T>, &[T]),
        state: (&mut [T], &mut [T]),
        out: &mut [T],
    ) {
        dispatch!(self.cpu, isa => self.heads(isa, count, tokens, state, out));
    }

    /// Takes all steps of one head after the other.
    #[inline(always)]
    fn heads<S: Isa>(
        self,
        isa: S,
        count: usize,
        (tokens, ridge): (&MesaToken<'_, T>, &[T]),
        (matrices, scratch): (&mut [T], &mut [T]),
        out: &mut [T],
    ) {
        let Shape {
            heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        let (decay, rest) = scratch.split_at_mut_checked(key_dim).unwrap_or_default();
        let (room, vectors) = rest
            .split_at_mut_checked(value_dim + key_dim)
            .unwrap_or_default();
        let matrices = matrices.chunks_exact_mut((key_dim * (key_dim + value_dim)).max(1));
        for (head, matrices) in matrices.enumerate() {
            let (values, keys) = matrices
                .split_at_mut_checked(key_dim * value_dim)
                .unwrap_or_default();
            let first = At {
                shape: self.shape,
                tokens: count,
                token: 0,
                head,
            };
            let ridge = first.part(ridge, heads, key_dim);
            for token in 0..count {
                let at = At { token, ..first };
                let (key, value) = at.key_value(tokens.key, tokens.value);
                let query = at.part(tokens.query, heads, key_dim);
                let step = Step {
                    decay: tokens.gate.factors(isa, at, decay),
                    key,
                    first: key,
                    second: key,
                    value,
                    write: at.number(tokens.beta),
                    bonus: T::ZERO,
                };
                let of_keys = Step { value: key, ..step };
                let out = out.get_mut((token * heads + head) * value_dim..);
                let out = out.unwrap_or_default().get_mut(..value_dim);
                let out = out.unwrap_or_default();
                let (of_value, of_key) = room.split_at_mut_checked(value_dim).unwrap_or_default();
                kernel::step::<S, T, 0>(isa, &step, (query, T::ONE), values, of_value, out);
                let (product, solution) = vectors.split_at_mut_checked(key_dim).unwrap_or_default();
                kernel::step::<S, T, 0>(isa, &of_keys, (query, T::ONE), keys, of_key, product);
                let solution = self.solve(isa, keys, ridge, query, product, solution);
                kernel::read(isa, (solution, T::ONE), values, out);
            }
        }
    }

    /// Solves (H + diag(ridge)) x = query by conjugate gradients; returns x.
    #[inline(always)]
    fn solve<'s, S: Isa>(
        self,
        isa: S,
        keys: &[T],
        ridge: &[T],
        query: &[T],
        product: &mut [T],
        vectors: &'s mut [T],
    ) -> &'s [T] {
        let (x, rest) = vectors
            .split_at_mut_checked(query.len())
            .unwrap_or_default();
        let (residual, direction) = rest.split_at_mut_checked(query.len()).unwrap_or_default();
        x.fill(T::ZERO);
        for ((r, p), &q) in residual.iter_mut().zip(direction.iter_mut()).zip(query) {
            (*r, *p) = (q, q);
        }
        let mut square = dot::one(residual, residual);
        let enough = self.tolerance * self.tolerance * square;
        for _ in 0..self.iterations {
            if square <= enough {
                break;
            }
            kernel::read(isa, (direction, T::ONE), keys, product);
            for ((product, &ridge), &p) in product.iter_mut().zip(ridge).zip(direction.iter()) {
                *product = *product + ridge * p;
            }
            let length = square / dot::one(direction, product);
            let along = x.iter_mut().zip(direction.iter());
            for (x, &p) in along {
                *x = *x + length * p;
            }
            for (r, &product) in residual.iter_mut().zip(product.iter()) {
                *r = *r - length * product;
            }
            let before = square;
            square = dot::one(residual, residual);
            let turn = square / before;
            for (p, &r) in direction.iter_mut().zip(residual.iter()) {
                *p = r + turn * *p;
            }
        }
        x
    }
}
