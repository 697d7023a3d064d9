//! What an attention layer keeps and computes for a token, in numbers.

use super::LatentDims;

/// How the query heads of a layer share keys and values, for counting.
///
/// Su Jianlin (2024), "Cache versus quality: MHA, MQA, GQA, MLA"; Shazeer (2019), arXiv 1911.02150;
/// Ainslie et al. (2023), arXiv 2305.13245; DeepSeek-AI (2024), arXiv 2405.04434. The counts are elements
/// and multiply-adds, not bytes and seconds. Products that exceed `usize` stay at its maximum, so that a
/// comparison holds.
///
/// ```
/// use suanzi::mixer::{LatentDims, Sharing, kv_cache_len};
///
/// // DeepSeek-V2, and its heads without the latent vector.
/// let latent = Sharing::Latent(LatentDims {
///     heads: 128,
///     latent_dim: 512,
///     rope_dim: 64,
///     nope_dim: 128,
///     value_dim: 128,
/// });
/// assert_eq!(kv_cache_len(latent), 576);
/// assert_eq!(kv_cache_len(Sharing::multi_head(128, 128, 128)), 32_768);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Sharing {
    /// Each key/value head serves as many query heads as the others.
    Grouped {
        /// Query heads.
        heads: usize,
        /// Key/value heads: as many for multi-head attention, one for multi-query attention, between
        /// for grouped-query attention.
        kv_heads: usize,
        /// Elements of a key.
        key_dim: usize,
        /// Elements of a value.
        value_dim: usize,
    },
    /// All heads share a latent vector and a rotated key: multi-head latent attention in its absorbed
    /// form.
    Latent(LatentDims),
}

/// Returns the elements that one token adds to the memory of one layer.
///
/// Key/value heads times the elements of a key and a value; of latent attention the latent vector and
/// the rotated key.
#[must_use]
pub const fn kv_cache_len(sharing: Sharing) -> usize {
    match sharing {
        Sharing::Grouped {
            kv_heads,
            key_dim,
            value_dim,
            ..
        } => kv_heads.saturating_mul(key_dim.saturating_add(value_dim)),
        Sharing::Latent(dims) => dims.latent_dim.saturating_add(dims.rope_dim),
    }
}

impl Sharing {
    /// Returns multi-head attention: a key/value head for each query head.
    #[must_use]
    pub const fn multi_head(heads: usize, key_dim: usize, value_dim: usize) -> Self {
        Self::grouped_query(heads, heads, key_dim, value_dim)
    }

    /// Returns grouped-query attention with `kv_heads` key/value heads.
    #[must_use]
    pub const fn grouped_query(
        heads: usize,
        kv_heads: usize,
        key_dim: usize,
        value_dim: usize,
    ) -> Self {
        Self::Grouped {
            heads,
            kv_heads,
            key_dim,
            value_dim,
        }
    }

    /// Returns multi-query attention: one key/value head.
    #[must_use]
    pub const fn multi_query(heads: usize, key_dim: usize, value_dim: usize) -> Self {
        Self::grouped_query(heads, 1, key_dim, value_dim)
    }

    /// Returns what the layer computes where every head's keys and values are there: latent attention
    /// in its expanded form, the others as they are.
    #[must_use]
    pub const fn expanded(self) -> Self {
        match self {
            Self::Latent(dims) => Self::multi_head(
                dims.heads,
                dims.nope_dim.saturating_add(dims.rope_dim),
                dims.value_dim,
            ),
            grouped @ Self::Grouped { .. } => grouped,
        }
    }

    /// Returns the number of query heads.
    #[must_use]
    pub const fn query_heads(self) -> usize {
        match self {
            Self::Grouped { heads, .. } => heads,
            Self::Latent(dims) => dims.heads,
        }
    }

    /// Returns the multiply-adds of one query head for one key and its value: 2 `latent_dim` + `rope_dim`
    /// for latent attention, else the elements of both.
    #[must_use]
    pub const fn multiply_adds_per_key(self) -> usize {
        match self {
            Self::Grouped {
                key_dim, value_dim, ..
            } => key_dim.saturating_add(value_dim),
            Self::Latent(dims) => dims
                .latent_dim
                .saturating_mul(2)
                .saturating_add(dims.rope_dim),
        }
    }

    /// Returns the multiply-adds that a step takes whatever the number of keys: those that absorb the
    /// queries and expand the outputs, heads * `latent_dim` * (`nope_dim` + `value_dim`); zero without a
    /// latent vector.
    #[must_use]
    pub const fn absorption(self) -> usize {
        match self {
            Self::Grouped { .. } => 0,
            Self::Latent(dims) => dims
                .heads
                .saturating_mul(dims.latent_dim)
                .saturating_mul(dims.nope_dim.saturating_add(dims.value_dim)),
        }
    }

    /// Returns the multiply-adds of one step of one layer over this many keys, projections of the token
    /// aside.
    #[must_use]
    pub const fn step_multiply_adds(self, keys: usize) -> usize {
        self.query_heads()
            .saturating_mul(self.multiply_adds_per_key())
            .saturating_mul(keys)
            .saturating_add(self.absorption())
    }

    /// Returns the weights of one layer's projections from and to hidden vectors of `width` elements:
    /// queries, keys, values, output. `query_rank` is the length of the vector between the hidden one and
    /// the queries, if there is one.
    #[must_use]
    pub const fn weights(self, width: usize, query_rank: Option<usize>) -> usize {
        let (query_dim, value_dim, down, up) = match self {
            Self::Grouped {
                key_dim, value_dim, ..
            } => (key_dim, value_dim, kv_cache_len(self), 0),
            Self::Latent(dims) => (
                dims.nope_dim.saturating_add(dims.rope_dim),
                dims.value_dim,
                kv_cache_len(self),
                self.absorption(),
            ),
        };
        let heads = self.query_heads();
        let queries = match query_rank {
            None => width.saturating_mul(heads.saturating_mul(query_dim)),
            Some(rank) => {
                rank.saturating_mul(width.saturating_add(heads.saturating_mul(query_dim)))
            }
        };
        queries
            .saturating_add(width.saturating_mul(down))
            .saturating_add(up)
            .saturating_add(width.saturating_mul(heads.saturating_mul(value_dim)))
    }
}
