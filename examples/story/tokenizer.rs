//! llama2.c's tokenizer, read in place: `core` alone, no table beside the file.

use core::fmt;

/// The token that starts a text, and that a model ends it with.
pub(crate) const BOS: u32 = 1;
/// The other token that ends a text.
pub(crate) const EOS: u32 = 2;
/// The token of byte zero; the other bytes follow.
const BYTES: u32 = 3;

/// Says what is wrong with a tokenizer or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file does not hold as many pieces as the model has tokens.
    Pieces {
        /// The tokens of the model.
        expected: usize,
        /// The pieces that could be read.
        found: usize,
    },
    /// Bytes follow the last piece.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The text has more tokens than there is room for.
    Long {
        /// The room.
        limit: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Pieces { expected, found } => write!(
                f,
                "the model has {expected} tokens and the tokenizer only {found} readable pieces; \
                 name the tokenizer that belongs to the model"
            ),
            Self::Trailing { bytes } => write!(
                f,
                "{bytes} bytes follow the last piece of the tokenizer; \
                 name the tokenizer that belongs to the model"
            ),
            Self::Long { limit } => {
                write!(f, "the prompt takes more than {limit} tokens; shorten it")
            }
        }
    }
}

impl core::error::Error for Fault {}

/// The pieces of a vocabulary, in a borrowed file: `i32` greatest length, then for each piece `f32`
/// score, `i32` length, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokenizer<'a> {
    pieces: &'a [u8],
}

/// One piece and what follows it.
struct Piece<'a> {
    score: f32,
    text: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Piece<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (score, bytes) = bytes.split_first_chunk::<4>()?;
        let (len, bytes) = bytes.split_first_chunk::<4>()?;
        let len = usize::try_from(i32::from_le_bytes(*len)).ok()?;
        let (text, rest) = bytes.split_at_checked(len)?;
        Some(Self {
            score: f32::from_le_bytes(*score),
            text,
            rest,
        })
    }
}

impl<'a> Tokenizer<'a> {
    /// Checks a file of `vocab` pieces.
    ///
    /// # Errors
    ///
    /// [`Fault::Pieces`] or [`Fault::Trailing`].
    pub(crate) fn parse(bytes: &'a [u8], vocab: usize) -> Result<Self, Fault> {
        let pieces = bytes.get(4..).unwrap_or_default();
        let mut rest = pieces;
        for found in 0..vocab {
            rest = Piece::read(rest)
                .ok_or(Fault::Pieces {
                    expected: vocab,
                    found,
                })?
                .rest;
        }
        if rest.is_empty() {
            Ok(Self { pieces })
        } else {
            Err(Fault::Trailing { bytes: rest.len() })
        }
    }

    fn iter(&self) -> impl Iterator<Item = Piece<'a>> + use<'a> {
        let mut rest = self.pieces;
        core::iter::from_fn(move || {
            let piece = Piece::read(rest)?;
            rest = piece.rest;
            Some(piece)
        })
    }

    /// Returns the bytes that `token` adds to a text after `previous`; none for a token that the
    /// vocabulary lacks. `byte` lends the place of a token that stands for a single byte.
    pub(crate) fn decode<'b>(&self, previous: u32, token: u32, byte: &'b mut [u8; 1]) -> &'b [u8]
    where
        'a: 'b,
    {
        let text = self
            .iter()
            .nth(token as usize)
            .map_or(&[][..], |piece| piece.text);
        let text = match text {
            [b' ', rest @ ..] if previous == BOS => rest,
            text => text,
        };
        match text {
            [b'<', b'0', b'x', high, low, b'>'] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    *byte = [16 * high + low];
                    byte
                }
                _ => text,
            },
            text => text,
        }
    }

    /// Writes BOS and the tokens of a text to `tokens`; returns how many.
    ///
    /// As in llama2.c: a space in front, characters, bytes where the vocabulary lacks a character,
    /// then the adjacent pair whose joined piece has the best score, the leftmost of equals, is merged
    /// until none is left.
    ///
    /// # Errors
    ///
    /// [`Fault::Long`] if they do not fit before any merging; nothing is written then.
    pub(crate) fn encode(&self, text: &str, tokens: &mut [u32]) -> Result<usize, Fault> {
        let space = if text.is_empty() { "" } else { " " };
        let characters = || space.chars().chain(text.chars());
        let pieces = characters().map(|c| self.character(c).map_or(c.len_utf8(), |_| 1));
        let mut len = 1 + pieces.sum::<usize>();
        if len > tokens.len() {
            let limit = tokens.len();
            return Err(Fault::Long { limit });
        }
        let mut room = tokens.iter_mut();
        let mut push = |token| {
            if let Some(to) = room.next() {
                *to = token;
            }
        };
        push(BOS);
        for character in characters() {
            match self.character(character) {
                Some(token) => push(token),
                None => {
                    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                        push(BYTES + u32::from(byte));
                    }
                }
            }
        }
        while let Some((at, token)) = self.best_pair(tokens.get(..len).unwrap_or_default()) {
            if let Some(to) = tokens.get_mut(at) {
                *to = token;
            }
            let after = at + 1;
            if let Some(rest) = tokens.get_mut(after..len) {
                rest.copy_within(1.., 0);
            }
            len -= 1;
        }
        Ok(len)
    }

    /// Returns the token of a character, if the vocabulary has it.
    fn character(&self, character: char) -> Option<u32> {
        let mut buffer = [0; 4];
        let text = character.encode_utf8(&mut buffer).as_bytes();
        self.find(text, &[]).map(|(token, _)| token)
    }

    /// Returns where the pair to merge is, and into which token.
    fn best_pair(&self, tokens: &[u32]) -> Option<(usize, u32)> {
        let mut best: Option<(usize, u32, f32)> = None;
        for (at, pair) in tokens.windows(2).enumerate() {
            let &[a, b] = pair else { continue };
            // BOS is a mark, not text.
            if a == BOS {
                continue;
            }
            let text = |token: u32| self.iter().nth(token as usize).map(|piece| piece.text);
            let (Some(a), Some(b)) = (text(a), text(b)) else {
                continue;
            };
            if let Some((token, score)) = self.find(a, b)
                && best.is_none_or(|(_, _, than)| score > than)
            {
                best = Some((at, token, score));
            }
        }
        best.map(|(at, token, _)| (at, token))
    }

    /// Returns the token and the score of the piece `a` followed by `b`.
    fn find(&self, a: &[u8], b: &[u8]) -> Option<(u32, f32)> {
        (0..).zip(self.iter()).find_map(|(token, piece)| {
            (piece.text.strip_prefix(a) == Some(b)).then_some((token, piece.score))
        })
    }
}

/// Returns the value of a hexadecimal digit.
const fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
