//! A whole model, token by token.

use suanzi::nn::Matrix;
use suanzi::storage::F16;
use suanzi::{Cpu, Error};

use super::file::{File, Outcome};
use super::five::Five;
use super::four::Four;
use super::parts::{Arena, Channels, Norm};
use super::seven::Seven;

/// The time mixing of one layer.
enum Time<'a> {
    Four(Box<Four<'a>>),
    Five(Box<Five<'a>>),
    Seven(Box<Seven<'a>>),
}

/// A model between two tokens: its weights, and all that it remembers.
pub(crate) struct Model<'a> {
    embedding: Matrix<'a, F16>,
    entry: Norm<'a>,
    layers: Vec<(Time<'a>, Channels<'a>)>,
    exit: Norm<'a>,
    head: Matrix<'a, F16>,
    x: &'a mut [f32],
    normal: &'a mut [f32],
    /// The values of the first layer.
    first: &'a mut [f32],
    logits: &'a mut [f32],
}

impl<'a> Model<'a> {
    /// Returns a model before its first token, in this memory.
    pub(crate) fn new(file: &'a File, cpu: Cpu, memory: &'a mut [f32]) -> Outcome<Self> {
        let mut memory = Arena(memory);
        let mut layers = Vec::new();
        for layer in 0..file.layers {
            let time = if file.has("blocks.0.att.x_rwkvag") {
                Time::Seven(Box::new(Seven::new(file, layer, cpu, &mut memory)?))
            } else if file.has("blocks.0.att.time_faaaa") {
                Time::Five(Box::new(Five::new(file, layer, cpu, &mut memory)?))
            } else {
                Time::Four(Box::new(Four::new(file, layer, cpu, &mut memory)?))
            };
            layers.push((time, Channels::new(file, layer, cpu, &mut memory)?));
        }
        Ok(Self {
            embedding: file.matrix("emb.weight")?.on(cpu),
            entry: Norm::new(file, "blocks.0.ln0", 1e-5, cpu)?,
            layers,
            exit: Norm::new(file, "ln_out", 1e-5, cpu)?,
            head: file.matrix("head.weight")?.on(cpu),
            x: memory.take(file.width)?,
            normal: memory.take(file.width)?,
            first: memory.take(file.width)?,
            logits: memory.take(file.vocabulary)?,
        })
    }

    /// Returns how many numbers are kept from token to token, however many tokens there were.
    pub(crate) fn kept(&self) -> usize {
        let layers = self.layers.iter().map(|(time, channels)| {
            let time = match time {
                Time::Four(time) => time.kept(),
                Time::Five(time) => time.kept(),
                Time::Seven(time) => time.kept(),
            };
            time + channels.kept()
        });
        layers.sum()
    }

    /// Reads a token and returns the logits of the next.
    pub(crate) fn step(&mut self, token: u8) -> Result<&[f32], Error> {
        self.embedding.row_into(token.into(), self.x)?;
        self.entry.in_place(self.x)?;
        for (time, channels) in &mut self.layers {
            match time {
                Time::Four(time) => time.step(self.x)?,
                Time::Five(time) => time.step(self.x)?,
                Time::Seven(time) => time.step(self.x, self.first)?,
            }
            channels.step(self.x)?;
        }
        self.exit.of(self.x, self.normal)?;
        self.head.multiply(self.normal, self.logits)?;
        Ok(self.logits)
    }
}
