//! The steps of both forms.

use super::Latent;
use crate::Error;
use crate::error::check_len;
use crate::mixer::{KeyValues, Visible};
use crate::scalar::Scalar;
use crate::simd::stream::copy;
use crate::storage::Stored;

impl<W: Stored<T>, T: Scalar> Latent<'_, W, T> {
    /// Returns the scratch that [`Latent::attend`] needs over at most `keys` positions.
    #[must_use]
    pub const fn scratch_len(&self, keys: usize) -> usize {
        self.absorbed.query_len() + self.absorbed.out_len() + self.absorbed.scratch_len(keys)
    }

    /// Writes the absorbed queries `[token][head][latent_dim + rope_dim]` of one token or more: K_h^T q,
    /// then the rotated part as it comes.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `query` is not whole tokens, [`Error::Length`] if `rope_query` or
    /// `absorbed` is not as many.
    pub fn absorb(&self, query: &[T], rope_query: &[T], absorbed: &mut [T]) -> Result<(), Error> {
        let d = self.dims;
        let tokens = whole(d.heads * d.nope_dim, query.len())?;
        check_len(
            tokens.saturating_mul(d.heads * d.rope_dim),
            rope_query.len(),
        )?;
        check_len(
            tokens.saturating_mul(self.absorbed.query_len()),
            absorbed.len(),
        )?;
        let row = d.latent_dim + d.rope_dim;
        for (head, matrix) in self.keys.heads(self.cpu).enumerate() {
            for token in 0..tokens {
                let at = token * d.heads + head;
                let to = part_mut(absorbed, at, row);
                let (latent, rope) = to.split_at_mut_checked(d.latent_dim).unwrap_or_default();
                matrix.multiply_transposed(part(query, at, d.nope_dim), latent)?;
                copy(part(rope_query, at, d.rope_dim), rope);
            }
        }
        Ok(())
    }

    /// Writes the outputs `[token][head][value_dim]` from those of the absorbed attention,
    /// `[token][head][latent_dim]`: V_h u.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `attended` is not whole tokens, [`Error::Length`] if `out` is not as many.
    pub fn expand_output(&self, attended: &[T], out: &mut [T]) -> Result<(), Error> {
        let d = self.dims;
        let tokens = whole(d.heads * d.latent_dim, attended.len())?;
        check_len(tokens.saturating_mul(d.heads * d.value_dim), out.len())?;
        for (head, matrix) in self.values.heads(self.cpu).enumerate() {
            for token in 0..tokens {
                let at = token * d.heads + head;
                let u = part(attended, at, d.latent_dim);
                matrix.multiply(u, part_mut(out, at, d.value_dim))?;
            }
        }
        Ok(())
    }

    /// Writes each head's keys `[token][head][nope_dim + rope_dim]` and values
    /// `[token][head][value_dim]`, from latent vectors `[token][latent_dim]` and rotated keys
    /// `[token][rope_dim]`, which every head repeats: the expanded form, as a
    /// [`Cache`](crate::mixer::Cache) takes it.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `latents` are not whole tokens, [`Error::Length`] if one of the others is
    /// not as many.
    pub fn expand(
        &self,
        latents: &[T],
        rope_keys: &[T],
        keys: &mut [T],
        values: &mut [T],
    ) -> Result<(), Error> {
        let d = self.dims;
        let key_dim = d.nope_dim + d.rope_dim;
        let tokens = whole(d.latent_dim, latents.len())?;
        check_len(tokens.saturating_mul(d.rope_dim), rope_keys.len())?;
        check_len(tokens.saturating_mul(d.heads * key_dim), keys.len())?;
        check_len(tokens.saturating_mul(d.heads * d.value_dim), values.len())?;
        let heads = self.keys.heads(self.cpu).zip(self.values.heads(self.cpu));
        for (head, (key_matrix, value_matrix)) in heads.enumerate() {
            for token in 0..tokens {
                let at = token * d.heads + head;
                let c = part(latents, token, d.latent_dim);
                let key = part_mut(keys, at, key_dim);
                let (nope, rope) = key.split_at_mut_checked(d.nope_dim).unwrap_or_default();
                key_matrix.multiply(c, nope)?;
                copy(part(rope_keys, token, d.rope_dim), rope);
                value_matrix.multiply(c, part_mut(values, at, d.value_dim))?;
            }
        }
        Ok(())
    }

    /// Attends in the absorbed form with one token's queries to the visible rows of `memory`, a
    /// [`LatentCache`](super::LatentCache) for instance.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `query` has not heads * nope_dim elements, `rope_query` heads * rope_dim,
    /// `out` heads * value_dim, `scratch` less than [`Latent::scratch_len`], or the memory other sizes;
    /// the others as
    /// [`Attention::attend`](crate::mixer::Attention::attend).
    pub fn attend<C: KeyValues<T>>(
        &self,
        query: &[T],
        rope_query: &[T],
        memory: &C,
        visible: impl Into<Visible>,
        scratch: &mut [T],
        out: &mut [T],
    ) -> Result<(), Error> {
        let d = self.dims;
        check_len(d.heads * d.nope_dim, query.len())?;
        check_len(d.heads * d.rope_dim, rope_query.len())?;
        check_len(d.heads * d.value_dim, out.len())?;
        let visible = visible.into();
        self.absorbed.check_memory(memory)?;
        let keys = visible.check(memory, 1)?;
        let (expected, found) = (self.scratch_len(keys), scratch.len());
        let Some(scratch) = scratch.get_mut(..expected) else {
            return Err(Error::Length { expected, found });
        };
        let (absorbed, rest) = scratch
            .split_at_mut_checked(self.absorbed.query_len())
            .unwrap_or_default();
        let (attended, rest) = rest
            .split_at_mut_checked(self.absorbed.out_len())
            .unwrap_or_default();
        self.absorb(query, rope_query, absorbed)?;
        self.absorbed
            .attend(absorbed, memory, visible, rest, attended)?;
        self.expand_output(attended, out)
    }
}

/// Returns how many times `of` elements there are.
fn whole(of: usize, found: usize) -> Result<usize, Error> {
    match (found.checked_div(of), found.checked_rem(of)) {
        (Some(tokens), Some(0)) => Ok(tokens),
        _ => Err(Error::Multiple { of, found }),
    }
}

/// Returns vector `i` of `dim` elements.
fn part<T>(x: &[T], i: usize, dim: usize) -> &[T] {
    let x = x.get(i * dim..).unwrap_or_default();
    x.get(..dim).unwrap_or_default()
}

/// Returns vector `i` of `dim` elements.
fn part_mut<T>(x: &mut [T], i: usize, dim: usize) -> &mut [T] {
    let x = x.get_mut(i * dim..).unwrap_or_default();
    x.get_mut(..dim).unwrap_or_default()
}
