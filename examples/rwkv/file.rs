//! Reads the model files of rwkv.cpp: a header, then named arrays.

use core::error::Error;

use suanzi::nn::Matrix;
use suanzi::storage::F16;

/// What may fail for several reasons.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// What every file starts with.
const MAGIC: u32 = 0x6767_6d66;

/// The numbers of an array, as they are kept.
pub(crate) enum Numbers {
    Single(Vec<f32>),
    Half(Vec<F16>),
}

/// A named array: rows of columns.
pub(crate) struct Array {
    name: String,
    columns: usize,
    numbers: Numbers,
}

/// A model in memory.
pub(crate) struct File {
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) vocabulary: usize,
    arrays: Vec<Array>,
}

/// Takes bytes from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn integer(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}

impl File {
    /// Parses a file; `None` if it is none of these or ends early.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let head: [u32; 6] = {
            let mut head = [0; 6];
            for word in &mut head {
                *word = bytes.integer()?;
            }
            head
        };
        let [magic, _, vocabulary, width, layers, _] = head;
        if magic != MAGIC {
            return None;
        }
        let mut arrays = Vec::new();
        while !bytes.0.is_empty() {
            arrays.push(Array::parse(&mut bytes)?);
        }
        Some(Self {
            width: width as usize,
            layers: layers as usize,
            vocabulary: vocabulary as usize,
            arrays,
        })
    }

    fn array(&self, name: &str) -> Outcome<&Array> {
        let array = self.arrays.iter().find(|array| array.name == name);
        array.ok_or_else(|| format!("the file has no {name}").into())
    }

    /// Returns an array that is kept in `f32`.
    pub(crate) fn numbers(&self, name: &str) -> Outcome<&[f32]> {
        match &self.array(name)?.numbers {
            Numbers::Single(x) => Ok(x),
            Numbers::Half(_) => Err(format!("{name} is kept in 16 bits").into()),
        }
    }

    /// Returns an array that is kept in 16 bits, as a matrix.
    pub(crate) fn matrix(&self, name: &str) -> Outcome<Matrix<'_, F16>> {
        let array = self.array(name)?;
        match &array.numbers {
            Numbers::Half(x) => {
                let rows = x.len().checked_div(array.columns).unwrap_or_default();
                Ok(Matrix::new(rows, array.columns, x)?)
            }
            Numbers::Single(_) => Err(format!("{name} is not kept in 16 bits").into()),
        }
    }

    /// Returns whether there is such an array.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.arrays.iter().any(|array| array.name == name)
    }
}

impl Array {
    fn parse(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (dims, name, kind) = (bytes.integer()?, bytes.integer()?, bytes.integer()?);
        let mut shape = Vec::new();
        for _ in 0..dims {
            shape.push(bytes.integer()? as usize);
        }
        let name = String::from_utf8(bytes.take(name as usize)?.to_vec()).ok()?;
        let len: usize = shape.iter().product();
        let numbers = match kind {
            0 => Numbers::Single(
                bytes
                    .take(4 * len)?
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&x| f32::from_le_bytes(x))
                    .collect(),
            ),
            1 => Numbers::Half(
                bytes
                    .take(2 * len)?
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&x| F16::from_bits(u16::from_le_bytes(x)))
                    .collect(),
            ),
            _ => return None,
        };
        Some(Self {
            name,
            // Shapes are written with the innermost size first.
            columns: *shape.first()?,
            numbers,
        })
    }
}
