//! How much of the state a step keeps.

use super::rule::{At, Shape};
use crate::Error;
use crate::error::check_len;
use crate::math::exp::factor_lanes;
use crate::scalar::Scalar;
use crate::simd::{Isa, Lanes, One, number, order};

/// What a step multiplies the rows of a state by, before it writes.
///
/// One number a head, or one a key channel: the length tells, `[token][head]` or
/// `[token][head][key_dim]`.
#[derive(Clone, Copy, Debug, Default)]
pub enum Gate<'a, T> {
    /// Everything is kept.
    #[default]
    Open,
    /// The factors of each token, in (0, 1] as a rule.
    Factor(&'a [T]),
    /// Their natural logarithms, at most zero as a rule; a factor below the normal numbers is zero.
    Log(&'a [T]),
    /// Factors that serve every token: `[head]` or `[head][key_dim]`.
    Constant(&'a [T]),
}

impl<T: Scalar> Gate<'_, T> {
    /// Checks the length for this many tokens.
    pub(super) fn check(&self, shape: Shape, tokens: usize) -> Result<(), Error> {
        self.check_per_head(shape, tokens).or_else(|_| {
            let channels = shape.heads.saturating_mul(shape.key_dim);
            self.check_len(channels, tokens)
        })
    }

    /// Checks that there is a number a head for this many tokens.
    pub(super) fn check_per_head(&self, shape: Shape, tokens: usize) -> Result<(), Error> {
        self.check_len(shape.heads, tokens)
    }

    /// Checks that there are this many numbers for each token.
    fn check_len(&self, each: usize, tokens: usize) -> Result<(), Error> {
        match self {
            Self::Open => Ok(()),
            Self::Factor(x) | Self::Log(x) => check_len(each.saturating_mul(tokens), x.len()),
            Self::Constant(x) => check_len(each, x.len()),
        }
    }

    /// Returns the factors of a head's rows; `row` is where they are computed if need be.
    #[inline(always)]
    pub(super) fn factors<'a, S: Isa>(&'a self, isa: S, at: At, row: &'a mut [T]) -> &'a [T] {
        let Shape { heads, key_dim, .. } = at.shape;
        let (x, at) = match self {
            Self::Open => {
                row.fill(T::ONE);
                return row;
            }
            Self::Factor(x) | Self::Log(x) => (*x, at),
            Self::Constant(x) => {
                let first = At {
                    tokens: 1,
                    token: 0,
                    ..at
                };
                (*x, first)
            }
        };
        let log = matches!(self, Self::Log(_));
        if x.len() == heads * at.tokens {
            let mut factor = at.number(x);
            if log {
                factor = number(factor_lanes(One, Lanes::splat(One, factor)));
            }
            row.fill(factor);
            return row;
        }
        let own = at.part(x, heads, key_dim);
        if !log {
            return own;
        }
        order::map::<T::Lanes<S>, _>(
            isa,
            (Some(own), &mut *row),
            #[inline(always)]
            |g, _| factor_lanes(isa, g),
        );
        row
    }
}
