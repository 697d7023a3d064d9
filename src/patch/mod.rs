//! Images as tokens and back, without loss.
//!
//! [`Patches`] cuts an image into patches, one token each, and puts it together again: a permutation of
//! its numbers, of any type, so that every bit comes back. [`bytes_to_unit`] and [`unit_to_bytes`] map
//! bytes to [-1, 1] and back, exactly for all 256. [`code_bits`], [`vocabulary_bits`],
//! [`least_vocabulary`] and [`least_code_len`] say what a code of tokens can hold at most; [`Ddpm`] is the
//! schedule of noise under which patches are denoised. After Su Jianlin (2024), "Closed-door multimodal
//! thoughts (1): lossless input", kexue.fm/archives/9984. The places of patches among text are those of
//! [`position::Cursor`](crate::position::Cursor).
//!
//! ```
//! use suanzi::patch::{Patches, bytes_to_unit, unit_to_bytes};
//!
//! // An image of 4 x 4 pixels with three channels, in four patches of 2 x 2.
//! let patches = Patches::new([4, 4, 3], [2, 2])?;
//! let image: [u8; 48] = core::array::from_fn(|i| i as u8);
//! let mut tokens = [0_u8; 48];
//! patches.patchify(&image, &mut tokens)?;
//! assert_eq!(tokens[..12], [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17]);
//!
//! let mut units = [0.0_f32; 48];
//! bytes_to_unit(&tokens, &mut units)?;
//! let (mut bytes, mut again) = ([0; 48], [0; 48]);
//! unit_to_bytes(&units, &mut bytes)?;
//! patches.unpatchify(&bytes, &mut again)?;
//! assert_eq!(again, image);
//! # Ok::<(), suanzi::Error>(())
//! ```

mod capacity;
mod ddpm;
mod elements;
mod patches;
mod pieces;
mod rows;
mod shape;
mod turn;
mod unit;

pub use capacity::{code_bits, least_code_len, least_vocabulary, vocabulary_bits};
pub use ddpm::Ddpm;
pub use patches::{Channels, Padding, Patches};
pub use unit::{bytes_to_unit, unit_to_bytes};
