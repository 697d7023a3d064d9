//! The lines of `bits.txt`, and the hash in them.

/// A line of the hash file: an operation, its number type, a range of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) operation: &'static str,
    pub(crate) number: &'static str,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Finds the hash of a case in the hash file.
pub(crate) fn expected(file: &str, case: Case) -> Option<u64> {
    file.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let same = fields.next()? == case.operation
            && fields.next()? == case.number
            && fields.next()?.parse() == Ok(case.from)
            && fields.next()?.parse() == Ok(case.to);
        let hash = fields.next()?;
        if same {
            u64::from_str_radix(hash, 16).ok()
        } else {
            None
        }
    })
}

/// The 64-bit FNV-1a hash, a word at a time in little-endian bytes.
#[derive(Debug)]
pub(crate) struct Fnv(u64);

impl Fnv {
    /// Returns the hash of nothing.
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes a word.
    pub(crate) fn write(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Returns the hash of what was written.
    pub(crate) const fn finish(&self) -> u64 {
        self.0
    }
}
