//! Rotary position encoding on a device; the kernel is `gpu/rope.cu`.

use super::device::{Extent, MOST_Y, arguments};
use super::{DeviceSlice, Gpu};
use crate::position::{Pairing, PositionEncoding, Rope};
use crate::{Error, Parameter};

/// The most pairs that travel as a parameter of the kernel.
const MOST_PAIRS: usize = 256;
/// Tokens from which on one block turns every head of its token.
const MANY: usize = 1024;

/// The frequencies, as the kernel takes them.
#[repr(C)]
struct Turns([u64; MOST_PAIRS]);

/// Heads of tokens, and by what they turn.
#[derive(Clone, Copy)]
struct Turn {
    tokens: usize,
    /// The address of one position a token, or zero.
    positions: u64,
    /// The position of all tokens where there is no list.
    position: i32,
    cos_factor: f32,
    sin_factor: f32,
}

/// Angles travel with the launch, so that the encoding keeps its storage in host memory. Layouts of
/// more than 256 pairs are refused with [`Parameter::RotaryDim`].
impl<S: AsRef<[u64]>> PositionEncoding<DeviceSlice<f32>> for Rope<f32, S, Gpu> {
    type Position = i32;

    fn rotate(&self, at: i32, x: &mut DeviceSlice<f32>) -> Result<(), Error> {
        let temperature = self.temperature;
        self.turn_at(at, temperature, temperature, x)
    }

    fn unrotate(&self, at: i32, x: &mut DeviceSlice<f32>) -> Result<(), Error> {
        let inverse = self.inverse;
        self.turn_at(at, inverse, -inverse, x)
    }
}

impl<S: AsRef<[u64]>> Rope<f32, S, Gpu> {
    /// Rotates the heads of several tokens in place, each token at its own position.
    ///
    /// `x` holds as many heads for each position, token after token.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if `x` is not a whole number of heads for every position,
    /// [`Parameter::RotaryDim`] for more than 256 pairs.
    pub fn rotate_each(
        &self,
        positions: &DeviceSlice<i32>,
        x: &mut DeviceSlice<f32>,
    ) -> Result<(), Error> {
        let (temperature, gpu) = (self.temperature, self.executor);
        gpu.owns(positions)?;
        let turn = Turn {
            tokens: positions.len(),
            positions: positions.address(),
            position: 0,
            cos_factor: temperature,
            sin_factor: temperature,
        };
        self.launch(turn, x)
    }

    /// Turns every head by the angles of one position.
    fn turn_at(
        &self,
        at: i32,
        cos_factor: f32,
        sin_factor: f32,
        x: &mut DeviceSlice<f32>,
    ) -> Result<(), Error> {
        let turn = Turn {
            tokens: 1,
            positions: 0,
            position: at,
            cos_factor,
            sin_factor,
        };
        self.launch(turn, x)
    }

    fn launch(&self, turn: Turn, x: &mut DeviceSlice<f32>) -> Result<(), Error> {
        let (turns, gpu) = (self.turns.as_ref(), self.executor);
        let layout = self.layout();
        gpu.owns(x)?;
        let heads = crate::position::heads_per_token(layout, turn.tokens, x.len())?;
        let mut of_pair = Turns([0; MOST_PAIRS]);
        let places = of_pair.0.get_mut(..layout.pairs());
        let places = places.ok_or(Error::Domain(Parameter::RotaryDim))?;
        for (place, &turns) in places.iter_mut().zip(turns) {
            *place = turns;
        }
        if x.is_empty() {
            return Ok(());
        }
        let shares = if turn.tokens >= MANY {
            1
        } else {
            heads.min(MOST_Y)
        };
        let extent = Extent {
            grid: (turn.tokens, shares),
            threads: layout.pairs().next_multiple_of(32),
            shared: 0,
        };
        let Turn {
            mut positions,
            mut position,
            mut cos_factor,
            mut sin_factor,
            ..
        } = turn;
        let mut address = x.address();
        let (mut heads, mut dim) = (heads as u32, layout.head_dim() as u32);
        let mut pairs = layout.pairs() as u32;
        let mut interleaved = u32::from(layout.pairing() == Pairing::Interleaved);
        let arguments = arguments![
            of_pair,
            positions,
            position,
            address,
            heads,
            dim,
            pairs,
            interleaved,
            cos_factor,
            sin_factor
        ];
        let device = gpu.device();
        // SAFETY: the arguments are those of `rope_rotate`; x holds `heads` heads for each token and
        // `positions` one element, or is null; at most 256 pairs have at most 256 threads.
        unsafe { device.launch(&device.kernels().rope_rotate, extent, &arguments) }
    }
}
