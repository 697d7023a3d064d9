//! One run of fine-tuning, from memory that is laid out before the first.

use suanzi::adapter::{
    Adapter, Group, Initial, Lora, LoraPlus, Moments, Optimizer, Ratio, Rule, lora_scale,
};
use suanzi::nn::Matrix;
use suanzi::probability::{CrossEntropy, Logits};
use suanzi::{Cpu, Error};

use crate::corpus::{Corpus, Part};

/// The rank of the adapter.
pub(crate) const RANK: usize = 8;
/// Its scale is alpha / rank.
pub(crate) const ALPHA: f32 = 16.0;
/// How often the text is read.
pub(crate) const EPOCHS: usize = 8;
/// Runs of each rate.
pub(crate) const SEEDS: usize = 3;
/// The rates of A that are tried: 2^-13 to 2^-4.
pub(crate) const RATES: [f32; 10] = [
    1.220_703_1e-4,
    2.441_406_3e-4,
    4.882_812_5e-4,
    9.765_625e-4,
    1.953_125e-3,
    3.906_25e-3,
    7.812_5e-3,
    1.562_5e-2,
    3.125e-2,
    6.25e-2,
];

/// How the rates of A and B relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// One rate for both.
    Lora,
    /// B sixteen times as fast.
    LoraPlus,
}

impl Method {
    pub(crate) const ALL: [Self; 2] = [Self::Lora, Self::LoraPlus];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lora => "LoRA",
            Self::LoraPlus => "LoRA+",
        }
    }
}

/// Losses in nats a token, before the first epoch and after each: of the lines that choose the rate, and
/// of those held out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Curve {
    pub(crate) choose: [f32; EPOCHS + 1],
    pub(crate) held_out: [f32; EPOCHS + 1],
}

impl Curve {
    /// Returns what a rate is chosen by, in the end.
    pub(crate) fn chosen_by(&self) -> f32 {
        self.choose[EPOCHS]
    }

    /// Returns the held-out loss of the model as it was.
    pub(crate) fn before(&self) -> f32 {
        self.held_out[0]
    }

    /// Returns the held-out loss in the end.
    pub(crate) fn after(&self) -> f32 {
        self.held_out[EPOCHS]
    }
}

/// All that runs need.
pub(crate) struct Tuner<'c> {
    corpus: &'c Corpus,
    dim: usize,
    vocab: usize,
    optimizer: Optimizer<f32>,
    cpu: Cpu,
    a: Vec<f32>,
    b: Vec<f32>,
    da: Vec<f32>,
    db: Vec<f32>,
    state_a: Vec<f32>,
    state_b: Vec<f32>,
    dx: Vec<f32>,
    logits: Vec<f32>,
    gradient: Vec<f32>,
}

impl<'c> Tuner<'c> {
    pub(crate) fn new(
        corpus: &'c Corpus,
        dim: usize,
        vocab: usize,
        cpu: Cpu,
    ) -> Result<Self, Error> {
        let optimizer = Optimizer::new(Rule::AdamW(Moments::default()))?.on(cpu);
        let zeros = |len| vec![0.0; len];
        let state = |len| zeros(optimizer.state_len::<f32>(len));
        Ok(Self {
            corpus,
            dim,
            vocab,
            optimizer,
            cpu,
            a: zeros(RANK * dim),
            b: zeros(vocab * RANK),
            da: zeros(RANK * dim),
            db: zeros(vocab * RANK),
            state_a: state(RANK * dim),
            state_b: state(vocab * RANK),
            dx: zeros(dim),
            logits: zeros(vocab),
            gradient: zeros(vocab),
        })
    }

    /// Returns the bytes of the factors, of their gradients and of all else that a run writes.
    pub(crate) fn bytes(&self) -> usize {
        let all = [
            &self.a,
            &self.b,
            &self.da,
            &self.db,
            &self.state_a,
            &self.state_b,
            &self.dx,
            &self.logits,
            &self.gradient,
        ];
        all.iter().map(|x| size_of_val(&x[..])).sum()
    }

    /// Returns both factors as the last run left them.
    pub(crate) fn factors(&self) -> (&[f32], &[f32]) {
        (&self.a, &self.b)
    }

    /// Tunes from new; one step a line, in the order of the text.
    pub(crate) fn run(&mut self, method: Method, rate: f32, seed: u32) -> Result<Curve, Error> {
        let ratio = Ratio::Given(match method {
            Method::Lora => 1.0,
            Method::LoraPlus => 16.0,
        });
        let plus = LoraPlus::new(rate)?.with_ratio(ratio)?;
        let mut state = u64::from(seed).wrapping_add(1) << 32;
        let word = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        Initial::Uniform.fill(RANK, word, &mut self.a, &mut self.b)?;
        self.optimizer.begin(&self.a, &mut self.state_a)?;
        self.optimizer.begin(&self.b, &mut self.state_b)?;
        let mut curve = Curve::default();
        let mut time = 0;
        for epoch in 0..=EPOCHS {
            if epoch > 0 {
                for line in self.corpus.part(Part::Learn) {
                    time += 1;
                    self.learn(line, time, plus)?;
                }
            }
            curve.choose[epoch] = self.loss(Part::Choose)?;
            curve.held_out[epoch] = self.loss(Part::HeldOut)?;
        }
        Ok(curve)
    }

    /// Takes one step on the tokens of a line.
    fn learn(
        &mut self,
        line: core::ops::Range<usize>,
        time: u32,
        plus: LoraPlus,
    ) -> Result<(), Error> {
        self.da.fill(0.0);
        self.db.fill(0.0);
        let share = 1.0 / line.len() as f32;
        for token in line {
            let h = self.evaluate(token)?.0;
            for d in &mut self.gradient {
                *d *= share;
            }
            let lora = adapter(&self.a, &self.b, self.dim, self.vocab, self.cpu)?;
            let (da, db) = (&mut self.da, &mut self.db);
            lora.vjp(h, &self.gradient, &mut self.dx, da, db, &mut [0.0; RANK])?;
        }
        let (rate, decay) = (plus.rate(Group::A), plus.decay(Group::A));
        self.optimizer
            .step(time, rate, decay, &mut self.a, &self.da, &mut self.state_a)?;
        let (rate, decay) = (plus.rate(Group::B), plus.decay(Group::B));
        self.optimizer
            .step(time, rate, decay, &mut self.b, &self.db, &mut self.state_b)
    }

    /// Returns the mean loss of the tokens of a part.
    fn loss(&mut self, part: Part) -> Result<f32, Error> {
        let (mut sum, mut count) = (0.0, 0);
        let corpus = self.corpus;
        for line in corpus.part(part) {
            count += line.len();
            for token in line {
                sum += self.evaluate(token)?.1;
            }
        }
        Ok(sum / count.max(1) as f32)
    }

    /// Returns the vector of a token and its loss; writes the gradient in its logits.
    fn evaluate(&mut self, token: usize) -> Result<(&'c [f32], f32), Error> {
        let corpus = self.corpus;
        let row = |x: &'c [f32], len: usize| x.chunks_exact(len).nth(token).unwrap_or_default();
        let h = row(&corpus.hidden, self.dim);
        self.logits.copy_from_slice(row(&corpus.logits, self.vocab));
        let lora = adapter(&self.a, &self.b, self.dim, self.vocab, self.cpu)?;
        lora.add_to(h, &mut self.logits[..], &mut [0.0; RANK][..])?;
        let next = corpus.next.get(token).map_or(0, |&next| next as usize);
        let loss = CrossEntropy::new(Logits::new()).on(self.cpu).evaluate(
            &self.logits,
            next,
            &mut self.gradient,
        )?;
        Ok((h, loss.value))
    }
}

/// Returns the adapter of two factors.
fn adapter<'a>(
    a: &'a [f32],
    b: &'a [f32],
    dim: usize,
    vocab: usize,
    cpu: Cpu,
) -> Result<Lora<'a, f32>, Error> {
    let (a, b) = (Matrix::new(RANK, dim, a)?, Matrix::new(vocab, RANK, b)?);
    Ok(Lora::new(a, b, lora_scale(ALPHA, RANK))?.on(cpu))
}
