//! Model files: llama2.c's version 0, and the same tensors in int8 with a scale a row.
//!
//! A file is checked once, from its header to its last byte; afterwards weights are read in place.

use core::fmt;
use core::marker::PhantomData;

use suanzi::nn::Matrix;
use suanzi::storage::Stored;

use crate::llama::{Dims, Layer, Weights};

/// The first bytes of the int8 format.
pub(crate) const MAGIC: &[u8; 8] = b"suanzi1\0";

/// The greatest size that a header may state; real models stay far below.
const GREATEST: i32 = 1 << 24;

/// Says what is wrong with a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file ends within its header.
    Header {
        /// The bytes that came.
        found: usize,
    },
    /// A size in the header makes no sense.
    Size {
        /// Which one.
        name: &'static str,
        /// What the header says.
        found: i32,
    },
    /// The file has another length than its header asks for.
    Length {
        /// The bytes that the header asks for.
        expected: u64,
        /// The bytes that came.
        found: usize,
    },
    /// The bytes do not start at a multiple of four.
    Alignment,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Header { found } => write!(
                f,
                "a model file has a header of 28 or 36 bytes, this one has {found} bytes in all; download it again"
            ),
            Self::Size { name, found } => write!(
                f,
                "the header says {name} = {found}, which no model has; is this a llama2.c version-0 or suanzi1 file?"
            ),
            Self::Length { expected, found } if expected > found as u64 => write!(
                f,
                "the file is cut off: its header asks for {expected} bytes and {found} came; download it again"
            ),
            Self::Length { expected, found } => write!(
                f,
                "the file is too long: its header asks for {expected} bytes and {found} came; \
                 is this a llama2.c version-0 or suanzi1 file?"
            ),
            Self::Alignment => f.write_str(
                "the model does not start at a multiple of four bytes; copy it to an aligned buffer",
            ),
        }
    }
}

impl core::error::Error for Fault {}

/// A checked model file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Checkpoint<'a> {
    /// Weights in `f32`.
    Float(Tensors<'a, f32>),
    /// Weights in `i8`, with a scale a row.
    Int8(Tensors<'a, i8>),
}

impl<'a> Checkpoint<'a> {
    /// Checks a file.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that is found.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        match bytes.strip_prefix(MAGIC) {
            Some(rest) => Tensors::parse(rest, MAGIC.len()).map(Self::Int8),
            None => Tensors::parse(bytes, 0).map(Self::Float),
        }
    }

    /// Returns the sizes.
    pub(crate) const fn dims(&self) -> Dims {
        match self {
            Self::Float(tensors) => tensors.dims,
            Self::Int8(tensors) => tensors.dims,
        }
    }
}

/// A number type that a file keeps its matrices in.
pub(crate) trait Kept: Stored<f32> {
    /// Whether rotary tables stand behind the last norm, and a negative vocabulary stands for a
    /// classifier of its own.
    const LEGACY: bool;

    /// Returns the bytes of a matrix.
    fn matrix_len(rows: u64, columns: u64) -> u64;

    /// Reads a matrix in place.
    fn matrix(bytes: &[u8], rows: usize, columns: usize) -> Option<Matrix<'_, Self>>;
}

impl Kept for f32 {
    const LEGACY: bool = true;

    fn matrix_len(rows: u64, columns: u64) -> u64 {
        4 * rows * columns
    }

    fn matrix(bytes: &[u8], rows: usize, columns: usize) -> Option<Matrix<'_, Self>> {
        Matrix::new(rows, columns, floats(bytes)?).ok()
    }
}

impl Kept for i8 {
    const LEGACY: bool = false;

    fn matrix_len(rows: u64, columns: u64) -> u64 {
        rows * (4 + columns)
    }

    fn matrix(bytes: &[u8], rows: usize, columns: usize) -> Option<Matrix<'_, Self>> {
        let (scales, weights) = bytes.split_at_checked(rows.checked_mul(4)?)?;
        let matrix = Matrix::new(rows, columns, bytemuck::try_cast_slice(weights).ok()?).ok()?;
        matrix.with_scales(floats(scales)?).ok()
    }
}

/// Reads floats in place, if they are aligned; the machine is little-endian, as the file is.
fn floats(bytes: &[u8]) -> Option<&[f32]> {
    bytemuck::try_cast_slice(bytes).ok()
}

/// The tensors of a file, layer after layer within each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensors<'a, W> {
    dims: Dims,
    embedding: &'a [u8],
    attention_norm: &'a [u8],
    query: &'a [u8],
    key: &'a [u8],
    value: &'a [u8],
    output: &'a [u8],
    gated_norm: &'a [u8],
    gate: &'a [u8],
    down: &'a [u8],
    up: &'a [u8],
    final_norm: &'a [u8],
    classifier: &'a [u8],
    element: PhantomData<W>,
}

impl<'a, W: Kept> Tensors<'a, W> {
    /// Checks what follows the magic number.
    fn parse(bytes: &'a [u8], before: usize) -> Result<Self, Fault> {
        let found = before + bytes.len();
        let (header, mut rest) = bytes
            .split_first_chunk::<28>()
            .ok_or(Fault::Header { found })?;
        let (words, _) = header.as_chunks::<4>();
        let mut words = words.iter().map(|&word| i32::from_le_bytes(word));
        let mut size = |name, separate: bool| match words.next() {
            Some(found @ 1..=GREATEST) => Ok((found as usize, false)),
            Some(found @ (..-1 | -1)) if separate && found >= -GREATEST => {
                Ok((found.unsigned_abs() as usize, true))
            }
            Some(found) => Err(Fault::Size { name, found }),
            None => Err(Fault::Header { found }),
        };
        let (dim, _) = size("dim", false)?;
        let (hidden_dim, _) = size("hidden_dim", false)?;
        let (layers, _) = size("n_layers", false)?;
        let (heads, _) = size("n_heads", false)?;
        let (kv_heads, _) = size("n_kv_heads", false)?;
        let (vocab, separate) = size("vocab_size", W::LEGACY)?;
        let (seq_len, _) = size("seq_len", false)?;
        let fault = |name, found: usize| Fault::Size {
            name,
            found: found as i32,
        };
        if dim % heads != 0 || dim / heads % 2 != 0 {
            return Err(fault("n_heads", heads));
        }
        if heads % kv_heads != 0 {
            return Err(fault("n_kv_heads", kv_heads));
        }
        let dims = Dims {
            dim,
            hidden_dim,
            layers,
            heads,
            kv_heads,
            vocab,
            seq_len,
        };

        // Sizes are at most 2^24, so every product of three of them fits in 128 bits and more.
        let wide = |x: usize| x as u64;
        let stack = |len: u64| u128::from(len) * layers as u128;
        let matrix = |rows, columns| W::matrix_len(wide(rows), wide(columns));
        let rows = 4 * wide(dim);
        let tables = if W::LEGACY {
            4 * wide(seq_len) * wide(dims.head_dim())
        } else {
            0
        };
        let lens = [
            matrix(vocab, dim).into(),
            stack(rows),
            stack(matrix(dim, dim)),
            stack(matrix(dims.kv_dim(), dim)),
            stack(matrix(dims.kv_dim(), dim)),
            stack(matrix(dim, dim)),
            stack(rows),
            stack(matrix(hidden_dim, dim)),
            stack(matrix(dim, hidden_dim)),
            stack(matrix(hidden_dim, dim)),
            rows.into(),
            tables.into(),
            if separate {
                matrix(vocab, dim).into()
            } else {
                0
            },
        ];
        let expected = lens.iter().sum::<u128>() + before as u128 + header.len() as u128;
        if expected != found as u128 {
            let expected = u64::try_from(expected).unwrap_or(u64::MAX);
            return Err(Fault::Length { expected, found });
        }
        // The sum of all lengths is the length of a slice, so each fits.
        let mut parts = lens.map(|len| {
            let (part, after) = rest.split_at_checked(len as usize).unwrap_or_default();
            rest = after;
            part
        });
        if !separate {
            parts[12] = parts[0];
        }
        let [
            embedding,
            attention_norm,
            query,
            key,
            value,
            output,
            gated_norm,
            gate,
            down,
            up,
            final_norm,
            _,
            classifier,
        ] = parts;
        let tensors = Self {
            dims,
            embedding,
            attention_norm,
            query,
            key,
            value,
            output,
            gated_norm,
            gate,
            down,
            up,
            final_norm,
            classifier,
            element: PhantomData,
        };
        let readable = W::matrix(embedding, vocab, dim).is_some()
            && W::matrix(classifier, vocab, dim).is_some()
            && floats(final_norm).is_some()
            && (0..layers).all(|layer| tensors.layer(layer).is_some());
        if readable {
            Ok(tensors)
        } else {
            Err(Fault::Alignment)
        }
    }

    /// Returns one layer's gains.
    fn norm(&self, stack: &'a [u8], layer: usize) -> Option<&'a [f32]> {
        floats(stack.chunks_exact(4 * self.dims.dim).nth(layer)?)
    }

    /// Returns one layer's matrix.
    fn matrix(
        &self,
        stack: &'a [u8],
        layer: usize,
        rows: usize,
        columns: usize,
    ) -> Option<Matrix<'a, W>> {
        let len = W::matrix_len(rows as u64, columns as u64) as usize;
        W::matrix(stack.chunks_exact(len.max(1)).nth(layer)?, rows, columns)
    }
}

impl<W: Kept> Weights for Tensors<'_, W> {
    type Element = W;

    fn dims(&self) -> Dims {
        self.dims
    }

    fn embedding(&self) -> Option<Matrix<'_, W>> {
        W::matrix(self.embedding, self.dims.vocab, self.dims.dim)
    }

    fn classifier(&self) -> Option<Matrix<'_, W>> {
        W::matrix(self.classifier, self.dims.vocab, self.dims.dim)
    }

    fn final_norm(&self) -> &[f32] {
        floats(self.final_norm).unwrap_or_default()
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, W>> {
        let Dims {
            dim, hidden_dim, ..
        } = self.dims;
        let kv_dim = self.dims.kv_dim();
        Some(Layer {
            attention_norm: self.norm(self.attention_norm, index)?,
            query: self.matrix(self.query, index, dim, dim)?,
            key: self.matrix(self.key, index, kv_dim, dim)?,
            value: self.matrix(self.value, index, kv_dim, dim)?,
            output: self.matrix(self.output, index, dim, dim)?,
            gated_norm: self.norm(self.gated_norm, index)?,
            gate: self.matrix(self.gate, index, hidden_dim, dim)?,
            down: self.matrix(self.down, index, dim, hidden_dim)?,
            up: self.matrix(self.up, index, hidden_dim, dim)?,
        })
    }
}
