//! The adapter room against its definitions, on every level.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use accuracy::{bound64, ulps};
use inputs::{Number, Random, executors};
use reference::{adapter as definition, golden};
use suanzi::adapter::{
    Adapter, Dora, Group, Ia3, Initial, Lora, LoraPlus, LoraSum, Moments, Optimizer, Ratio, Rule,
    Trained, Vera, dora_norms, lora_scale, rs_lora_scale,
};
use suanzi::nn::Matrix;
use suanzi::probability::Noise;
use suanzi::storage::{Bf16, F16, Stored};
use suanzi::{Error, Parameter};

/// Inputs, outputs, rank.
const SHAPES: [[usize; 3]; 12] = [
    [1, 1, 1],
    [2, 1, 1],
    [3, 2, 1],
    [1, 3, 2],
    [7, 8, 3],
    [15, 16, 2],
    [16, 15, 4],
    [17, 33, 5],
    [64, 64, 8],
    [67, 31, 9],
    [128, 100, 16],
    [1000, 5, 17],
];

/// Returns so many numbers, nearly normal.
fn numbers<T: Number>(random: &mut Random, n: usize) -> Vec<T> {
    (0..n).map(|_| T::from_f64(random.normal())).collect()
}

/// Returns numbers in f64.
fn wide<T: Number>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.value()).collect()
}

/// Returns the unit of rounding.
fn unit<T: Number>() -> f64 {
    T::epsilon().value() / 2.0
}

/// Checks numbers within so many units of rounding of their sizes.
fn close<T: Number>(what: &str, got: &[T], want: &[f64], sizes: &[f64], units: f64) {
    assert_eq!((got.len(), got.len()), (want.len(), sizes.len()), "{what}");
    for (i, ((&got, &want), &size)) in got.iter().zip(want).zip(sizes).enumerate() {
        let error = (got.value() - want).abs() / unit::<T>();
        assert!(
            error <= units * size,
            "{what} {} {i}: {got:?} for {want:e}, {} units of {units}",
            T::NAME,
            error / size
        );
    }
}

/// Compares the bits of results on every portable executor.
struct SameBits(Option<Vec<u64>>);

impl SameBits {
    fn check<T: Number>(&mut self, cpu: suanzi::Cpu, what: &str, results: &[&[T]]) {
        if cpu.is_fused() {
            return;
        }
        let bits: Vec<u64> = results
            .iter()
            .flat_map(|x| x.iter().map(|x| x.representation()))
            .collect();
        assert_eq!(*self.0.get_or_insert(bits.clone()), bits, "{what} {cpu:?}");
    }
}

/// One adapter of a shape, its factors in storage `P`, with everything around it.
struct Case<P, T> {
    shape: [usize; 3],
    a: Vec<P>,
    b: Vec<P>,
    wide_a: Vec<f64>,
    wide_b: Vec<f64>,
    x: Vec<T>,
    y: Vec<T>,
    dy: Vec<T>,
    scale: T,
}

impl<P: Stored<T>, T: Number> Case<P, T> {
    fn new(shape: [usize; 3], narrow: impl Fn(T) -> P, widen: impl Fn(P) -> f64) -> Self {
        let [inputs, outputs, rank] = shape;
        let mut random = Random((inputs * 7919 + outputs * 31 + rank) as u64);
        let mut factor = |n| -> Vec<P> {
            numbers::<T>(&mut random, n)
                .into_iter()
                .map(&narrow)
                .collect()
        };
        let (a, b) = (factor(rank * inputs), factor(outputs * rank));
        Self {
            shape,
            wide_a: a.iter().map(|&a| widen(a)).collect(),
            wide_b: b.iter().map(|&b| widen(b)).collect(),
            a,
            b,
            x: numbers(&mut random, inputs),
            y: numbers(&mut random, outputs),
            dy: numbers(&mut random, outputs),
            scale: T::from_f64(1.7),
        }
    }

    fn lora(&self) -> Lora<'_, P, T> {
        let [inputs, outputs, rank] = self.shape;
        Lora::new(
            Matrix::new(rank, inputs, &self.a).unwrap(),
            Matrix::new(outputs, rank, &self.b).unwrap(),
            self.scale,
        )
        .unwrap()
    }

    fn check_forward(&self, what: &str) {
        let [inputs, outputs, rank] = self.shape;
        let (x, y, s) = (wide(&self.x), wide(&self.y), self.scale.value());
        let want = definition::lora(&y, s, &self.wide_a, &self.wide_b, &x);
        let of = definition::sizes;
        let sizes = definition::lora(
            &of(&y),
            s.abs(),
            &of(&self.wide_a),
            &of(&self.wide_b),
            &of(&x),
        );
        let mut bits = SameBits(None);
        for cpu in executors() {
            let lora = self.lora().on(cpu);
            assert_eq!([lora.inputs(), lora.outputs(), lora.rank()], self.shape);
            let (mut out, mut scratch) = (self.y.clone(), vec![T::nan(); lora.scratch_len()]);
            lora.add_to(&self.x, &mut out, &mut scratch).unwrap();
            let units = T::bound("lora") + (inputs + rank) as f64 / 16.0;
            close(what, &out, &want, &sizes, units);
            bits.check(cpu, what, &[&out]);
            // Rows are tokens.
            let (rows, mut outs) = (self.x.repeat(3), self.y.repeat(3));
            lora.add_to_rows(&rows, &mut outs, &mut scratch).unwrap();
            assert_eq!(outs, out.repeat(3));
            // Twice the same with half the weight.
            let half = lora.scaled(T::from_f64(0.5)).unwrap();
            let both = [half, half];
            let sum = LoraSum::new(&both).unwrap();
            let mut out = self.y.clone();
            sum.add_to(&self.x, &mut out, &mut scratch).unwrap();
            let units = T::bound("lora sum") + (inputs + rank) as f64 / 8.0;
            close(what, &out, &want, &sizes, units);
            assert_eq!(out.len(), outputs);
        }
    }

    fn check_vjp(&self, what: &str) {
        let [inputs, outputs, rank] = self.shape;
        let (x, dy, s) = (wide(&self.x), wide(&self.dy), self.scale.value());
        let want = definition::lora_vjp(s, &self.wide_a, &self.wide_b, &x, &dy);
        let of = definition::sizes;
        let sizes =
            definition::lora_vjp(s, &of(&self.wide_a), &of(&self.wide_b), &of(&x), &of(&dy));
        let mut bits = SameBits(None);
        for cpu in executors() {
            let lora = self.lora().on(cpu);
            let mut got = sizes.clone().map(|part| vec![T::one(); part.len()]);
            let [dx, da, db] = &mut got;
            lora.vjp(&self.x, &self.dy, dx, da, db, &mut vec![T::nan(); rank])
                .unwrap();
            for ((got, want), sizes) in got.iter().zip(&want).zip(&sizes) {
                // All three are added to: to ones here.
                let want: Vec<f64> = want.iter().map(|want| want + 1.0).collect();
                let sizes: Vec<f64> = sizes.iter().map(|size| size + 1.0).collect();
                let units = T::bound("lora vjp") + (inputs + outputs + rank) as f64 / 8.0;
                close(what, got, &want, &sizes, units);
            }
            bits.check(cpu, what, &[&got[0], &got[1], &got[2]]);
        }
    }

    fn check_merge<W: Trained<T>>(
        &self,
        what: &str,
        narrow: impl Fn(T) -> W,
        widen: impl Fn(W) -> f64,
        stored: f64,
    ) {
        let [inputs, outputs, rank] = self.shape;
        let mut random = Random(inputs as u64);
        let base: Vec<W> = numbers::<T>(&mut random, outputs * inputs)
            .into_iter()
            .map(&narrow)
            .collect();
        let values = |w: &[W]| -> Vec<f64> { w.iter().map(|&w| widen(w)).collect() };
        let (start, s) = (values(&base), self.scale.value());
        let want = definition::merged(&start, s, (&self.wide_a, inputs), &self.wide_b);
        let of = definition::sizes;
        let sizes = definition::merged(
            &of(&start),
            s,
            (&of(&self.wide_a), inputs),
            &of(&self.wide_b),
        );
        let units = (T::bound("merge") + rank as f64 / 8.0) * unit::<T>();
        let mut same: Option<Vec<f64>> = None;
        for cpu in executors() {
            let lora = self.lora().on(cpu);
            let mut scratch = vec![T::nan(); lora.merge_scratch_len()];
            let mut weights = base.clone();
            lora.merge(&mut weights, &mut scratch).unwrap();
            let merged = values(&weights);
            for ((got, want), size) in merged.iter().zip(&want).zip(&sizes) {
                let limit = units * size + stored * want.abs();
                assert!((got - want).abs() <= limit, "{what}: {got} for {want}");
            }
            if !cpu.is_fused() {
                assert_eq!(
                    *same.get_or_insert(merged.clone()),
                    merged,
                    "{what} {cpu:?}"
                );
            }
            // The merged layer is the layer and its adapter, within both bounds.
            let (mut together, mut apart) = (vec![T::nan(); outputs], vec![T::nan(); outputs]);
            let matrix = |w| Matrix::<W, T>::new(outputs, inputs, w).unwrap().on(cpu);
            matrix(&weights).multiply(&self.x, &mut together).unwrap();
            matrix(&base).multiply(&self.x, &mut apart).unwrap();
            lora.add_to(&self.x, &mut apart, &mut scratch[..rank])
                .unwrap();
            let size = definition::times((&sizes, inputs), &of(&wide(&self.x)));
            for ((a, b), size) in together.iter().zip(&apart).zip(&size) {
                let products = T::bound("matrix product") + T::bound("lora");
                let terms = (2.0 * inputs as f64 + rank as f64) / 16.0;
                let limit = (units + (products + terms) * unit::<T>() + stored) * size;
                assert!(
                    (a.value() - b.value()).abs() <= limit,
                    "{what}: {a:?} {b:?}"
                );
            }
            // And back.
            lora.unmerge(&mut weights, &mut scratch).unwrap();
            for ((got, start), size) in values(&weights).iter().zip(&start).zip(&sizes) {
                let limit = (2.0 * units + 2.0 * stored) * size;
                assert!((got - start).abs() <= limit, "{what}: {got} for {start}");
            }
        }
    }
}

fn check_lora<T: Number + Trained<T>>() {
    for shape in SHAPES {
        let case = Case::<T, T>::new(shape, |x| x, |x: T| x.value());
        let what = format!("{shape:?}");
        case.check_forward(&what);
        case.check_vjp(&what);
        case.check_merge(&what, |x| x, |w: T| w.value(), unit::<T>());
    }
}

#[test]
fn lora_is_its_definition_in_singles() {
    check_lora::<f32>();
}

#[test]
fn lora_is_its_definition_in_doubles() {
    check_lora::<f64>();
}

#[test]
fn factors_and_weights_may_have_sixteen_bits() {
    for shape in SHAPES {
        let what = format!("{shape:?} in 16 bits");
        let case = Case::<F16, f32>::new(shape, F16::from_f32, |w| w.to_f32().into());
        case.check_forward(&what);
        case.check_vjp(&what);
        let wide = |w: F16| f64::from(w.to_f32());
        case.check_merge(&what, F16::from_f32, wide, 0.5_f64.powi(11));
        let case = Case::<Bf16, f32>::new(shape, Bf16::from_f32, |w| w.to_f32().into());
        case.check_forward(&what);
        let wide = |w: Bf16| f64::from(w.to_f32());
        case.check_merge(&what, Bf16::from_f32, wide, 0.5_f64.powi(8));
        let narrow = |x: f32| (20.0 * x) as i8;
        Case::<i8, f32>::new(shape, narrow, f64::from).check_forward(&what);
    }
}

/// A base in int8 with scales, and its adapter: the whole layer.
#[test]
fn the_base_may_be_int8() {
    let [inputs, outputs, rank] = [33, 20, 4];
    let case = Case::<f32, f32>::new([inputs, outputs, rank], |x| x, f64::from);
    let mut random = Random(5);
    let base: Vec<i8> = (0..inputs * outputs)
        .map(|_| random.below(255) as i8)
        .collect();
    let scales: Vec<f32> = (0..outputs).map(|_| 0.01 * random.unit() as f32).collect();
    let matrix = Matrix::new(outputs, inputs, &base).unwrap();
    let matrix = matrix.with_scales(&scales).unwrap();
    let mut y = vec![0.0; outputs];
    matrix.multiply(&case.x, &mut y).unwrap();
    case.lora()
        .add_to(&case.x, &mut y, &mut vec![0.0; rank])
        .unwrap();
    let full: Vec<f64> = (0..inputs * outputs)
        .map(|i| f64::from(base[i]) * f64::from(scales[i / inputs]))
        .collect();
    let start = definition::times((&full, inputs), &wide(&case.x));
    let (a, b, x) = (&case.wide_a, &case.wide_b, &wide(&case.x));
    let want = definition::lora(&start, case.scale.into(), a, b, x);
    let of = definition::sizes;
    let size = definition::times((&of(&full), inputs), &of(x));
    let sizes = definition::lora(&size, case.scale.into(), &of(a), &of(b), &of(x));
    let units = accuracy::bound32("lora") + accuracy::bound32("matrix product");
    close("int8", &y, &want, &sizes, units + 4.0);
}

/// <dy, y> is linear in the input and in each factor, so central differences are exact.
#[test]
fn gradients_agree_with_differences() {
    for shape in [[1, 1, 1], [5, 4, 2], [17, 9, 3]] {
        let mut case = Case::<f64, f64>::new(shape, |x| x, |x| x);
        let [inputs, outputs, rank] = shape;
        let mut got = [
            vec![0.0; inputs],
            vec![0.0; rank * inputs],
            vec![0.0; outputs * rank],
        ];
        let [dx, da, db] = &mut got;
        let scratch = &mut vec![0.0; rank];
        case.lora()
            .vjp(&case.x, &case.dy, dx, da, db, scratch)
            .unwrap();
        let value = |case: &Case<f64, f64>| -> f64 {
            let mut y = vec![0.0; outputs];
            let lora = case.lora();
            lora.add_to(&case.x, &mut y, &mut vec![0.0; rank]).unwrap();
            y.iter().zip(&case.dy).map(|(y, dy)| y * dy).sum()
        };
        let size = got.iter().flatten().fold(1.0_f64, |m, g| m.max(g.abs()));
        for (part, got) in got.iter().enumerate() {
            for (i, got) in got.iter().enumerate() {
                let mut at = |h: f64| {
                    let place = match part {
                        0 => &mut case.x[i],
                        1 => &mut case.a[i],
                        _ => &mut case.b[i],
                    };
                    let kept = *place;
                    *place += h;
                    let found = value(&case);
                    match part {
                        0 => case.x[i] = kept,
                        1 => case.a[i] = kept,
                        _ => case.b[i] = kept,
                    }
                    found
                };
                let slope = (at(0.5) - at(-0.5)) / 1.0;
                let limit = bound64("lora vjp by differences") * size;
                assert!((slope - got).abs() <= limit, "{shape:?} {part} {i}");
            }
        }
    }
}

fn check_dora<T: Number + Trained<T>>() {
    for shape in SHAPES {
        let case = Case::<T, T>::new(shape, |x| x, |x: T| x.value());
        let [inputs, outputs, rank] = shape;
        let mut random = Random(rank as u64);
        let base: Vec<T> = numbers(&mut random, outputs * inputs);
        let magnitudes: Vec<T> = numbers(&mut random, outputs);
        let (start, s) = (wide(&base), case.scale.value());
        let merged = definition::merged(&start, s, (&case.wide_a, inputs), &case.wide_b);
        let of = definition::sizes;
        let (a, b) = (of(&case.wide_a), of(&case.wide_b));
        let sizes = definition::merged(&of(&start), s, (&a, inputs), &b);
        let norms = definition::norms((&merged, inputs));
        let long = definition::norms((&sizes, inputs));
        let units = T::bound("dora") + (inputs + rank) as f64 / 16.0;
        let (mut bits, mut back) = (SameBits(None), SameBits(None));
        for cpu in executors() {
            let lora = case.lora().on(cpu);
            let mut scratch = vec![T::nan(); lora.merge_scratch_len()];
            let mut found = vec![T::nan(); outputs];
            let matrix = Matrix::new(outputs, inputs, &base).unwrap().on(cpu);
            dora_norms(matrix, &lora, &mut found, &mut scratch).unwrap();
            close("norms", &found, &norms, &long, units);
            let dora = Dora::new(lora, &magnitudes, &found).unwrap();
            let mut y = vec![T::nan(); outputs];
            matrix.multiply(&case.x, &mut y).unwrap();
            dora.add_to(&case.x, &mut y, &mut scratch[..rank]).unwrap();
            let factors: Vec<f64> = magnitudes
                .iter()
                .zip(&found)
                .map(|(m, n)| m.value() / n.value())
                .collect();
            let scaled =
                |x: Vec<f64>| -> Vec<f64> { x.iter().zip(&factors).map(|(x, f)| x * f).collect() };
            let z = definition::times((&merged, inputs), &wide(&case.x));
            let size = definition::times((&sizes, inputs), &of(&wide(&case.x)));
            let size = of(&scaled(size));
            close("dora", &y, &scaled(z.clone()), &size, 2.0 * units);
            // Merged it is the same layer.
            let mut weights = base.clone();
            dora.merge(&mut weights, &mut scratch).unwrap();
            let mut together = vec![T::nan(); outputs];
            let matrix = Matrix::new(outputs, inputs, &weights).unwrap().on(cpu);
            matrix.multiply(&case.x, &mut together).unwrap();
            close(
                "merged dora",
                &together,
                &scaled(z.clone()),
                &size,
                2.0 * units,
            );
            bits.check(cpu, "dora", &[&found, &y, &weights]);
            // And back, within both roundings.
            let mut again = weights.clone();
            dora.unmerge(&mut again, &mut scratch).unwrap();
            for ((got, start), size) in again.iter().zip(&start).zip(&sizes) {
                let limit = (2.0 * units + 2.0) * unit::<T>() * size;
                assert!((got.value() - start).abs() <= limit, "{got:?} for {start}");
            }
            back.check(cpu, "unmerged dora", &[&again]);
            // The gradient through the magnitudes.
            let z: Vec<T> = z.iter().map(|&z| T::from_f64(z)).collect();
            let (mut dy, mut dm) = (case.dy.clone(), vec![T::zero(); outputs]);
            dora.vjp(&z, &mut dy, &mut dm).unwrap();
            for i in 0..outputs {
                let want = case.dy[i].value() * z[i].value() / found[i].value();
                assert!((dm[i].value() - want).abs() <= 4.0 * unit::<T>() * want.abs());
                let want = case.dy[i].value() * factors[i];
                assert!((dy[i].value() - want).abs() <= 4.0 * unit::<T>() * want.abs());
            }
        }
    }
}

#[test]
fn dora_is_its_definition() {
    check_dora::<f32>();
    check_dora::<f64>();
}

#[test]
fn a_row_without_direction_is_zero_in_dora() {
    let (zeros, ones) = ([0.0_f32; 2], [1.0_f32; 1]);
    let (a, b) = ([0.0_f32; 2], [0.0_f32]);
    let lora = Lora::new(
        Matrix::new(1, 2, &a).unwrap(),
        Matrix::new(1, 1, &b).unwrap(),
        1.0,
    )
    .unwrap();
    let mut norms = [7.0];
    let base = Matrix::new(1, 2, &zeros).unwrap();
    dora_norms(base, &lora, &mut norms, &mut [0.0; 3]).unwrap();
    assert_eq!(norms, [0.0]);
    let dora = Dora::new(lora, &ones, &norms).unwrap();
    let mut y = [0.0];
    dora.add_to(&[1.0, 2.0], &mut y, &mut [0.0]).unwrap();
    assert_eq!(y, [0.0]);
}

#[test]
fn dora_comes_back_as_far_as_it_can() {
    let (base, a, b) = ([2.0_f32, 4.0], [1.0_f32, 2.0], [-2.0_f32]);
    let lora = Lora::new(
        Matrix::new(1, 2, &a).unwrap(),
        Matrix::new(1, 1, &b).unwrap(),
        1.0,
    )
    .unwrap();
    let mut scratch = [0.0; 3];
    // The adapter has taken all of the weights away: nothing is merged, and they are what it took.
    let mut norms = [7.0];
    let matrix = Matrix::new(1, 2, &base).unwrap();
    dora_norms(matrix, &lora, &mut norms, &mut scratch).unwrap();
    assert_eq!(norms, [0.0]);
    let mut weights = base;
    let dora = Dora::new(lora, &[3.0], &norms).unwrap();
    dora.merge(&mut weights, &mut scratch).unwrap();
    assert_eq!(weights, [0.0; 2]);
    dora.unmerge(&mut weights, &mut scratch).unwrap();
    assert_eq!(weights, base);
    // A magnitude of zero keeps nothing of the row.
    let mut weights = [9.0, 9.0];
    let dora = Dora::new(lora, &[0.0], &[5.0]).unwrap();
    dora.merge(&mut weights, &mut scratch).unwrap();
    assert_eq!(weights, [0.0; 2]);
    dora.unmerge(&mut weights, &mut scratch).unwrap();
    assert_eq!(weights, base);
    let length = |expected, found| Err(Error::Length { expected, found });
    assert_eq!(dora.unmerge(&mut weights[..1], &mut scratch), length(2, 1));
    assert_eq!(dora.unmerge(&mut weights, &mut scratch[..2]), length(3, 2));
}

fn check_vera<T: Number + Trained<T>>() {
    for shape in SHAPES {
        let case = Case::<T, T>::new(shape, |x| x, |x: T| x.value());
        let [inputs, outputs, rank] = shape;
        let mut random = Random(outputs as u64);
        let (d, l) = (
            numbers::<T>(&mut random, rank),
            numbers(&mut random, outputs),
        );
        // The definition folds the vectors into the factors.
        let fold = |w: &[f64], by: &[T], columns: usize| -> Vec<f64> {
            let scaled = |(i, w): (usize, &f64)| w * by[i / columns].value();
            w.iter().enumerate().map(scaled).collect()
        };
        let (a, b) = (fold(&case.wide_a, &d, inputs), fold(&case.wide_b, &l, rank));
        let (x, y, dy) = (wide(&case.x), wide(&case.y), wide(&case.dy));
        let of = definition::sizes;
        let want = definition::lora(&y, 1.0, &a, &b, &x);
        let sizes = definition::lora(&of(&y), 1.0, &of(&a), &of(&b), &of(&x));
        let h = definition::times((&case.wide_a, inputs), &x);
        let dx = definition::lora_vjp(1.0, &a, &b, &x, &dy);
        let dx_sizes = definition::lora_vjp(1.0, &of(&a), &of(&b), &of(&x), &of(&dy));
        let mut bits = SameBits(None);
        for cpu in executors() {
            let vera = Vera::new(
                Matrix::new(rank, inputs, &case.a).unwrap(),
                Matrix::new(outputs, rank, &case.b).unwrap(),
                &d,
                &l,
            )
            .unwrap()
            .on(cpu);
            let (mut out, mut scratch) = (case.y.clone(), vec![T::nan(); vera.scratch_len()]);
            vera.add_to(&case.x, &mut out, &mut scratch).unwrap();
            let units = T::bound("vera") + (inputs + rank) as f64 / 16.0;
            close("vera", &out, &want, &sizes, units);
            let mut got = [
                vec![T::zero(); inputs],
                vec![T::zero(); rank],
                vec![T::zero(); outputs],
            ];
            let [gx, gd, gl] = &mut got;
            let mut scratch = vec![T::nan(); vera.vjp_scratch_len()];
            vera.vjp(&case.x, &case.dy, gx, gd, gl, &mut scratch)
                .unwrap();
            let units = T::bound("lora vjp") + (inputs + outputs + rank) as f64 / 8.0;
            close("vera dx", gx, &dx[0], &dx_sizes[0], units);
            // d_k gets (B^T (l dy))_k (A x)_k, l_i gets dy_i (B (d (A x)))_i.
            let folded = |dy: &[f64]| -> Vec<f64> {
                dy.iter().zip(&l).map(|(dy, l)| dy * l.value()).collect()
            };
            let t = definition::transposed((&case.wide_b, rank), &folded(&dy));
            let t_size = definition::transposed((&of(&case.wide_b), rank), &of(&folded(&dy)));
            let h_size = definition::times((&of(&case.wide_a), inputs), &of(&x));
            let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| a * b).collect()
            };
            close(
                "vera dd",
                gd,
                &product(&t, &h),
                &product(&t_size, &h_size),
                units,
            );
            let dh = product(&h, &wide(&d));
            let dh_size = product(&h_size, &of(&wide(&d)));
            let u = definition::times((&case.wide_b, rank), &dh);
            let u_size = definition::times((&of(&case.wide_b), rank), &dh_size);
            close(
                "vera dl",
                gl,
                &product(&dy, &u),
                &product(&of(&dy), &u_size),
                units,
            );
            bits.check(cpu, "vera", &[&out, gx, gd, gl]);
            // Merged and taken out again.
            let mut weights = vec![T::zero(); outputs * inputs];
            let mut scratch = vec![T::nan(); rank + inputs];
            vera.merge(&mut weights, &mut scratch).unwrap();
            let zeros = vec![0.0; outputs * inputs];
            let want = definition::merged(&zeros, 1.0, (&a, inputs), &b);
            let sizes = definition::merged(&zeros, 1.0, (&of(&a), inputs), &of(&b));
            close(
                "vera merged",
                &weights,
                &want,
                &sizes,
                T::bound("merge") + rank as f64 / 8.0,
            );
            vera.unmerge(&mut weights, &mut scratch).unwrap();
            assert!(weights.iter().all(|w| w.value() == 0.0));
        }
    }
}

#[test]
fn vera_is_its_definition() {
    check_vera::<f32>();
    check_vera::<f64>();
}

#[test]
fn ia3_scales_outputs() {
    let mut random = Random(1);
    for n in inputs::LENGTHS.into_iter().filter(|n| *n > 0) {
        let (l, y) = (
            numbers::<f32>(&mut random, n),
            numbers::<f32>(&mut random, n),
        );
        let ia3 = Ia3::new(&l).unwrap();
        let mut out = y.clone();
        ia3.add_to(&[], &mut out, &mut []).unwrap();
        let mut weights = y.repeat(2);
        for (row, &y) in weights.chunks_exact_mut(2).zip(&y) {
            row.fill(y);
        }
        ia3.merge(&mut weights).unwrap();
        for (i, &out) in out.iter().enumerate() {
            let error = ulps(out, f64::from(l[i]) * f64::from(y[i]), 0.0, 0.0);
            assert!(error <= accuracy::bound32("ia3"), "{error}");
            assert_eq!(weights[2 * i..2 * i + 2], [out; 2]);
        }
        let (mut dy, mut dl) = (y.clone(), vec![0.0; n]);
        ia3.vjp(&l, &mut dy, &mut dl).unwrap();
        assert_eq!(dy, out);
        assert_eq!(dl, out);
    }
    assert_eq!(
        Ia3::<f32>::new(&[]).map(|_| ()),
        Err(Error::Domain(Parameter::Shape))
    );
}

#[test]
fn scales_are_those_of_both_papers() {
    assert_eq!(lora_scale(16.0_f64, 8), 2.0);
    // 32 / sqrt(8), which is the root of 128.
    assert!(ulps(rs_lora_scale(32.0_f64, 8), 128.0_f64.sqrt(), 0.0, 0.0) <= 1.0);
    assert_eq!(rs_lora_scale(16.0_f32, 16), 4.0);
}

#[test]
fn several_adapters_merge_with_one_rounding() {
    let (inputs, outputs) = (19, 7);
    let cases =
        [3, 1, 8].map(|rank| Case::<f32, f32>::new([inputs, outputs, rank], |x| x, f64::from));
    let weights = [0.5_f32, -1.25, 2.0];
    let loras = [0, 1, 2].map(|i| cases[i].lora().scaled(weights[i]).unwrap());
    let sum = LoraSum::new(&loras).unwrap();
    assert_eq!(sum.scratch_len(), 8);
    let mut random = Random(3);
    let base: Vec<f32> = numbers(&mut random, inputs * outputs);
    let (mut want, mut sizes) = (wide(&base), definition::sizes(&wide(&base)));
    for (case, weight) in cases.iter().zip(weights) {
        let s = f64::from(case.scale * weight);
        let of = definition::sizes;
        want = definition::merged(&want, s, (&case.wide_a, inputs), &case.wide_b);
        let (a, b) = (of(&case.wide_a), of(&case.wide_b));
        sizes = definition::merged(&sizes, s.abs(), (&a, inputs), &b);
    }
    let mut merged = base.clone();
    let mut scratch = vec![0.0; sum.merge_scratch_len()];
    sum.merge(&mut merged, &mut scratch).unwrap();
    close(
        "sum",
        &merged,
        &want,
        &sizes,
        accuracy::bound32("merge") + 12.0 / 8.0,
    );
    sum.unmerge(&mut merged, &mut scratch).unwrap();
    close(
        "sum",
        &merged,
        &wide(&base),
        &sizes,
        2.0 * accuracy::bound32("merge") + 3.0,
    );
}

#[test]
fn wrong_shapes_are_refused_before_anything_is_written() {
    let case = Case::<f32, f32>::new([3, 2, 2], |x| x, f64::from);
    let lora = case.lora();
    let wrong = Matrix::new(2, 3, &case.a).unwrap();
    assert_eq!(
        Lora::new(wrong, wrong, 1.0).map(|_| ()),
        Err(Error::Length {
            expected: 2,
            found: 3
        })
    );
    for scale in [f32::NAN, f32::INFINITY] {
        assert_eq!(
            lora.scaled(scale).map(|_| ()),
            Err(Error::Domain(Parameter::Scale))
        );
    }
    let length = |expected, found| Err(Error::Length { expected, found });
    let (mut y, mut h) = ([7.0_f32; 2], [7.0_f32; 2]);
    assert_eq!(lora.add_to(&[1.0; 2], &mut y, &mut h), length(3, 2));
    assert_eq!(lora.add_to(&[1.0; 3], &mut y[..1], &mut h), length(2, 1));
    assert_eq!(lora.add_to(&[1.0; 3], &mut y, &mut h[..1]), length(2, 1));
    assert_eq!(
        lora.add_to_rows(&[1.0; 4], &mut y, &mut h),
        Err(Error::Multiple { of: 3, found: 4 })
    );
    assert_eq!(lora.add_to_rows(&[1.0; 6], &mut y, &mut h), length(4, 2));
    let (mut dx, mut da, mut db) = ([7.0_f32; 3], [7.0_f32; 6], [7.0_f32; 4]);
    let x = [1.0; 3];
    assert_eq!(
        lora.vjp(&x, &[1.0], &mut dx, &mut da, &mut db, &mut h),
        length(2, 1)
    );
    assert_eq!(
        lora.vjp(&x, &[1.0; 2], &mut dx, &mut da[..5], &mut db, &mut h),
        length(6, 5)
    );
    assert_eq!(
        lora.vjp(&x, &[1.0; 2], &mut dx, &mut da, &mut db[..3], &mut h),
        length(4, 3)
    );
    let mut weights = [7.0_f32; 6];
    assert_eq!(lora.merge(&mut weights[..5], &mut [0.0; 5]), length(6, 5));
    assert_eq!(lora.merge(&mut weights, &mut [0.0; 4]), length(5, 4));
    assert!(
        y.iter()
            .chain(&h)
            .chain(&dx)
            .chain(&da)
            .chain(&db)
            .chain(&weights)
            .all(|x| *x == 7.0)
    );
    let other = Case::<f32, f32>::new([2, 2, 1], |x| x, f64::from);
    for loras in [&[][..], &[lora, other.lora()]] {
        assert_eq!(
            LoraSum::new(loras).map(|_| ()),
            Err(Error::Domain(Parameter::Shape))
        );
    }
}

#[test]
fn nan_is_the_one_nan() {
    let mut case = Case::<f32, f32>::new([20, 18, 3], |x| x, f64::from);
    case.x[4] = -f32::NAN;
    for cpu in executors() {
        let lora = case.lora().on(cpu);
        let mut y = case.y.clone();
        lora.add_to(&case.x, &mut y, &mut [0.0; 3]).unwrap();
        assert!(y.iter().all(|y| y.to_bits() == f32::NAN.to_bits()));
        let (mut dx, mut da, mut db) = (vec![0.0; 20], vec![0.0; 60], vec![0.0; 54]);
        lora.vjp(&case.x, &case.dy, &mut dx, &mut da, &mut db, &mut [0.0; 3])
            .unwrap();
        assert!(db.iter().all(|d| d.to_bits() == f32::NAN.to_bits()));
        assert_eq!(da[4].to_bits(), f32::NAN.to_bits());
        assert!(dx.iter().all(|d| d.is_finite()));
    }
}

#[test]
fn ratios_are_those_of_article_and_paper() {
    let balanced = |inputs, outputs, rank| {
        Ratio::<f64>::Balanced {
            inputs,
            outputs,
            rank,
        }
        .value()
        .unwrap()
    };
    assert_eq!(balanced(768, 768, 8), 9.797958971132712);
    assert_eq!(balanced(1024, 1024, 8), 11.313708498984761);
    assert_eq!(balanced(4096, 4096, 8), 22.627416997969522);
    assert!((balanced(4096, 11008, 8) - 8.419503999244473).abs() < 1e-14);
    assert_eq!(balanced(4096, 4096, 64), 8.0);
    assert_eq!(Ratio::<f32>::Width { inputs: 4096 }.value(), Ok(4096.0));
    let refused = Err(Error::Domain(Parameter::Ratio));
    for ratio in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Ratio::Given(ratio).value(), refused);
    }
    for [inputs, outputs, rank] in [[0, 1, 1], [1, 0, 1], [1, 1, 0]] {
        let ratio = Ratio::<f64>::Balanced {
            inputs,
            outputs,
            rank,
        };
        assert_eq!(ratio.value(), refused);
    }
}

#[test]
fn groups_have_the_rates_of_peft() {
    let plus = LoraPlus::new(1e-3_f64)
        .unwrap()
        .with_weight_decay(0.01)
        .unwrap();
    let rates = [Group::A, Group::B, Group::Embedding, Group::NoDecay].map(|g| plus.rate(g));
    assert_eq!(rates, [1e-3, 1.6e-2, 1e-6, 1.6e-2]);
    let decays = [Group::A, Group::B, Group::Embedding, Group::NoDecay].map(|g| plus.decay(g));
    assert_eq!(decays, [0.01, 0.01, 0.01, 0.0]);
    assert_eq!(
        plus.with_embedding_rate(0.5)
            .unwrap()
            .rate(Group::Embedding),
        0.5
    );
    let equal = plus.with_ratio(Ratio::Given(1.0)).unwrap();
    assert_eq!(equal.rate(Group::A), equal.rate(Group::B));
    for rate in [-1.0, f64::NAN, f64::INFINITY] {
        let refused = Err(Error::Domain(Parameter::Rate));
        assert_eq!(LoraPlus::new(rate).map(|_| ()), refused);
        assert_eq!(plus.with_weight_decay(rate).map(|_| ()), refused);
        assert_eq!(plus.with_embedding_rate(rate).map(|_| ()), refused);
    }
}

/// Returns the rule of a name.
fn rule<T: Number>(name: &str, moments: Moments<T>) -> Rule<T> {
    match name {
        "sgd" => Rule::Sgd,
        "sign" => Rule::SignSgd,
        "adam" => Rule::Adam(moments),
        _ => Rule::AdamW(moments),
    }
}

fn check_steps<T: Number + Trained<T>>() {
    for name in ["sgd", "sign", "adam", "adamw"] {
        for n in [1, 3, 7, 8, 9, 16, 33, 67] {
            for decay in [0.0, 0.01] {
                let moments = Moments::default();
                let mut random = Random(n as u64);
                let start: Vec<T> = numbers(&mut random, n);
                let gradients: Vec<Vec<T>> = (0..4)
                    .map(|i| {
                        let size = [1.0, 1e-3, 30.0, 1e-9][i];
                        let mut g: Vec<T> = numbers(&mut random, n);
                        g.iter_mut().for_each(|g| *g = *g * T::from_f64(size));
                        g[0] = T::zero();
                        g
                    })
                    .collect();
                let (rate, decay) = (T::from_f64(1e-2), T::from_f64(decay));
                let mut bits = SameBits(None);
                for cpu in executors() {
                    let optimizer = Optimizer::new(rule(name, moments)).unwrap().on(cpu);
                    let mut p = start.clone();
                    let mut state = vec![T::nan(); optimizer.state_len::<T>(n)];
                    optimizer.begin(&p, &mut state).unwrap();
                    // Late steps too, where 1 - b^t cancels the other way.
                    for (time, gradient) in [1, 2, 3, 5000].into_iter().zip(&gradients) {
                        let (before, old) = (p.clone(), state.clone());
                        optimizer
                            .step(time, rate, decay, &mut p, gradient, &mut state)
                            .unwrap();
                        let step = definition::Step {
                            rule: name,
                            time,
                            rate: rate.value(),
                            decay: decay.value(),
                            beta1: moments.beta1.value(),
                            beta2: moments.beta2.value(),
                            epsilon: moments.epsilon.value(),
                        };
                        for i in 0..n {
                            let mean = |k: usize, s: &[T]| s.get(k * n + i).map(|m| m.value());
                            let [m, v] = [0, 1].map(|k| mean(k, &old).unwrap_or(0.0));
                            let g = gradient[i].value();
                            let (want, size) = step.next(before[i].value(), g, m, v);
                            let size = before[i].value().abs() + 8.0 * size;
                            let unit = unit::<T>() * T::bound("optimizer step");
                            let error = (p[i].value() - want[0]).abs();
                            assert!(
                                error <= unit * size,
                                "{name} {cpu:?} {time} {i}: {} units",
                                error / unit / size
                            );
                            for (k, want) in [want[1], want[2]].into_iter().enumerate() {
                                let Some(got) = mean(k, &state) else { continue };
                                let full = g.abs() + (decay.value() * before[i].value()).abs();
                                let size = [m.abs() + full, v + full * full][k];
                                let tiny = T::min_positive_value().value();
                                let error = (got - want).abs();
                                assert!(error <= 2.0 * unit * size + tiny, "{name} {k} {error}");
                            }
                        }
                    }
                    bits.check(cpu, name, &[&p, &state]);
                }
            }
        }
    }
}

#[test]
fn steps_are_their_definition() {
    check_steps::<f32>();
    check_steps::<f64>();
}

#[test]
fn parameters_in_sixteen_bits_descend_in_singles() {
    for cpu in executors() {
        for name in ["sgd", "sign", "adam", "adamw"] {
            let mut random = Random(7);
            let start: Vec<F16> = numbers::<f32>(&mut random, 21)
                .into_iter()
                .map(F16::from_f32)
                .collect();
            let optimizer = Optimizer::new(rule(name, Moments::default()))
                .unwrap()
                .on(cpu);
            let mut wide: Vec<f32> = start.iter().map(|p| p.to_f32()).collect();
            let mut halves = start.clone();
            let mut state = vec![0.0; optimizer.state_len::<F16>(21)];
            let mut other = vec![0.0; optimizer.state_len::<f32>(21)];
            optimizer.begin(&halves, &mut state).unwrap();
            optimizer.begin(&wide, &mut other).unwrap();
            for time in 1..=50 {
                let g: Vec<f32> = numbers(&mut random, 21);
                // Each step is far below half a unit of f16.
                optimizer
                    .step(time, 1e-6, 0.1, &mut halves, &g, &mut state)
                    .unwrap();
                optimizer
                    .step(time, 1e-6, 0.1, &mut wide, &g, &mut other)
                    .unwrap();
            }
            assert_eq!(state[..21], wide, "{name}");
            for (half, wide) in halves.iter().zip(&wide) {
                assert_eq!(half.to_bits(), F16::from_f32(*wide).to_bits());
            }
            assert_ne!(wide, start.iter().map(|p| p.to_f32()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn wrong_steps_are_refused() {
    let bad = |beta1, beta2, epsilon| {
        Optimizer::new(Rule::AdamW(Moments {
            beta1,
            beta2,
            epsilon,
        }))
        .map(|_| ())
    };
    for beta in [-0.1_f32, 1.0, f32::NAN] {
        assert_eq!(bad(beta, 0.9, 1e-8), Err(Error::Domain(Parameter::Beta)));
        assert_eq!(bad(0.9, beta, 1e-8), Err(Error::Domain(Parameter::Beta)));
    }
    for epsilon in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(
            bad(0.9, 0.9, epsilon),
            Err(Error::Domain(Parameter::Epsilon))
        );
    }
    let adam = Optimizer::new(Rule::Adam(Moments::default())).unwrap();
    let (mut p, mut state) = ([1.0_f32; 2], [2.0; 4]);
    let g = [1.0; 2];
    assert_eq!(
        adam.step(0, 0.1, 0.0, &mut p, &g, &mut state),
        Err(Error::Domain(Parameter::Step))
    );
    for rate in [-1.0, f32::NAN] {
        assert_eq!(
            adam.step(1, rate, 0.0, &mut p, &g, &mut state),
            Err(Error::Domain(Parameter::Rate))
        );
        assert_eq!(
            adam.step(1, 0.1, rate, &mut p, &g, &mut state),
            Err(Error::Domain(Parameter::Rate))
        );
    }
    let length = |expected, found| Err(Error::Length { expected, found });
    assert_eq!(
        adam.step(1, 0.1, 0.0, &mut p, &g[..1], &mut state),
        length(2, 1)
    );
    assert_eq!(
        adam.step(1, 0.1, 0.0, &mut p, &g, &mut state[..3]),
        length(4, 3)
    );
    assert_eq!(adam.begin(&p, &mut state[..3]), length(4, 3));
    assert_eq!((p, state), ([1.0; 2], [2.0; 4]));
}

#[test]
fn a_gradient_that_is_no_number_gives_the_one_nan() {
    for cpu in executors() {
        for name in ["sgd", "sign", "adam", "adamw"] {
            let optimizer = Optimizer::new(rule(name, Moments::default()))
                .unwrap()
                .on(cpu);
            let (mut p, mut g) = ([1.0_f32; 19], [1.0_f32; 19]);
            (g[2], g[17]) = (-f32::NAN, -f32::NAN);
            let mut state = vec![0.0; optimizer.state_len::<f32>(19)];
            optimizer.step(1, 0.1, 0.0, &mut p, &g, &mut state).unwrap();
            for (i, p) in p.iter().enumerate() {
                assert_eq!(p.is_nan(), matches!(i, 2 | 17), "{name}");
                assert!(!p.is_nan() || p.to_bits() == f32::NAN.to_bits());
            }
        }
    }
}

/// Returns a matrix of so many columns with rows and columns exchanged.
fn exchanged<T: Copy>(x: &[T], columns: usize) -> Vec<T> {
    (0..columns)
        .flat_map(|j| x.iter().skip(j).step_by(columns).copied())
        .collect()
}

fn check_golden<T: Number + Trained<T>>() {
    for case in golden::read("lora.gv") {
        let size = |key: &str| case.key(key).unwrap().parse::<usize>().unwrap();
        let [batch, inputs, outputs, rank] = ["b", "n", "m", "r"].map(size);
        let get = |name: &str| -> Vec<T> {
            let field = case.get32(name);
            field.iter().map(|&x| T::from_f64(x.into())).collect()
        };
        // The file has inputs on the left: every matrix is the other way around.
        let (x, g) = (get("X"), get("G"));
        let (a, b) = (exchanged(&get("A"), rank), exchanged(&get("B"), outputs));
        let base = exchanged(&get("W"), outputs);
        let s = get("s")[0];
        let of = |x: &[T]| definition::sizes(&wide(x));
        let units = |inner: usize| (inner as f64).mul_add(0.25, 20.0);
        for cpu in executors() {
            let lora = Lora::new(
                Matrix::new(rank, inputs, &a).unwrap(),
                Matrix::new(outputs, rank, &b).unwrap(),
                s,
            )
            .unwrap()
            .on(cpu);
            let matrix = Matrix::new(outputs, inputs, &base).unwrap().on(cpu);
            let mut merged = base.clone();
            let mut scratch = vec![T::nan(); rank + inputs];
            lora.merge(&mut merged, &mut scratch).unwrap();
            let want = exchanged(case.get("Wm").unwrap(), outputs);
            let sizes = definition::merged(&of(&base), s.value(), (&of(&a), inputs), &of(&b));
            close(
                "Wm",
                &merged,
                &want,
                &sizes,
                T::bound("merge") + rank as f64 / 8.0,
            );
            let (mut da, mut db) = (vec![T::zero(); a.len()], vec![T::zero(); b.len()]);
            let (mut da_size, mut db_size) = (vec![0.0; a.len()], vec![0.0; b.len()]);
            for (t, (x, g)) in x
                .chunks_exact(inputs)
                .zip(g.chunks_exact(outputs))
                .enumerate()
            {
                let mut y = vec![T::nan(); outputs];
                matrix.multiply(x, &mut y).unwrap();
                lora.add_to(x, &mut y, &mut scratch[..rank]).unwrap();
                let want = &case.get("Y").unwrap()[t * outputs..][..outputs];
                let size = definition::times((&sizes, inputs), &of(x));
                close("Y", &y, want, &size, units(inputs + rank));
                let mut dx = vec![T::nan(); inputs];
                matrix.multiply_transposed(g, &mut dx).unwrap();
                lora.vjp(x, g, &mut dx, &mut da, &mut db, &mut scratch[..rank])
                    .unwrap();
                let want = &case.get("dX").unwrap()[t * inputs..][..inputs];
                let size = definition::transposed((&sizes, inputs), &of(g));
                close("dX", &dx, want, &size, units(outputs + rank));
                let parts = definition::lora_vjp(s.value(), &of(&a), &of(&b), &of(x), &of(g));
                for (to, from) in da_size.iter_mut().zip(&parts[1]) {
                    *to += from;
                }
                for (to, from) in db_size.iter_mut().zip(&parts[2]) {
                    *to += from;
                }
            }
            let inner = inputs + outputs + rank + batch;
            let want = exchanged(case.get("dA").unwrap(), rank);
            close("dA", &da, &want, &da_size, units(inner));
            let want = exchanged(case.get("dB").unwrap(), outputs);
            close("dB", &db, &want, &db_size, units(inner));
        }
    }
}

#[test]
fn lora_agrees_with_the_reference_vectors() {
    check_golden::<f32>();
    check_golden::<f64>();
}

/// A and B after each step of the file, in which AdamW is PyTorch's and the groups are PEFT's.
fn check_golden_steps<T: Number + Trained<T>>() {
    for case in golden::read("loraplus_step.gv") {
        let kind = case.key("opt").unwrap();
        let size = |key: &str| case.key(key).unwrap().parse::<usize>().unwrap();
        let [inputs, outputs, rank, steps] = ["n", "m", "r", "k"].map(size);
        if kind == "ratio_estimate" {
            let ratio = Ratio::<T>::Balanced {
                inputs,
                outputs,
                rank,
            };
            let want = case.get("ratio_article").unwrap()[0];
            assert!(ulps(ratio.value().unwrap(), want, 0.0, 0.0) <= 1.5);
            continue;
        }
        let get = |name: &str| -> Vec<T> {
            let field = case.get32(name);
            field.iter().map(|&x| T::from_f64(x.into())).collect()
        };
        let one = |name: &str| get(name)[0];
        let plus = LoraPlus::new(one("lr"))
            .unwrap()
            .with_ratio(Ratio::Given(one("ratio")))
            .unwrap()
            .with_weight_decay(one("weight_decay"))
            .unwrap();
        let moments = Moments {
            beta1: one("beta1"),
            beta2: one("beta2"),
            epsilon: one("eps"),
        };
        for cpu in executors() {
            let name = kind.trim_start_matches("full_");
            let optimizer = Optimizer::new(rule(name, moments)).unwrap().on(cpu);
            let (mut a, mut b) = (get("A"), get("B"));
            let full = kind.starts_with("full");
            let (ga, gb) = if full {
                full_gradients(&case, [inputs, outputs, rank])
            } else {
                (get("gA"), get("gB"))
            };
            let mut state_a = vec![T::zero(); optimizer.state_len::<T>(a.len())];
            let mut state_b = vec![T::zero(); optimizer.state_len::<T>(b.len())];
            let (len_a, len_b) = (a.len(), b.len());
            for step in 0..steps {
                let time = step as u32 + 1;
                let (group, g) = (Group::A, &ga[step * len_a..][..len_a]);
                let (rate, decay) = (plus.rate(group), plus.decay(group));
                optimizer
                    .step(time, rate, decay, &mut a, g, &mut state_a)
                    .unwrap();
                let (group, g) = (Group::B, &gb[step * len_b..][..len_b]);
                let (rate, decay) = (plus.rate(group), plus.decay(group));
                optimizer
                    .step(time, rate, decay, &mut b, g, &mut state_b)
                    .unwrap();
                for (name, got, rate) in [("A", &a, plus.rate(Group::A)), ("B", &b, rate)] {
                    let want = case.get(&format!("{name}{time}")).unwrap();
                    // Errors of the steps add up; a step of Adam or of signs is as long as its rate, one
                    // of SGD as its rate and gradient, below three.
                    let sizes: Vec<f64> = want
                        .iter()
                        .map(|p| f64::from(time) * (p.abs() + 24.0 * rate.value()))
                        .collect();
                    close(name, got, want, &sizes, T::bound("optimizer step"));
                }
            }
        }
    }
}

/// Returns the gradients of A and B of a case that gives what they come from, in its order of indices.
fn full_gradients<T: Number + Trained<T>>(
    case: &golden::Case,
    [inputs, outputs, rank]: [usize; 3],
) -> (Vec<T>, Vec<T>) {
    let get = |name: &str| -> Vec<T> {
        let field = case.get32(name);
        field.iter().map(|&x| T::from_f64(x.into())).collect()
    };
    let (x, g) = (get("X"), get("G"));
    let (a, b) = (exchanged(&get("A"), rank), exchanged(&get("B"), outputs));
    let lora = Lora::new(
        Matrix::new(rank, inputs, &a).unwrap(),
        Matrix::new(outputs, rank, &b).unwrap(),
        get("s")[0],
    )
    .unwrap();
    let (mut da, mut db) = (vec![T::zero(); a.len()], vec![T::zero(); b.len()]);
    let mut dx = vec![T::zero(); inputs];
    for (x, g) in x.chunks_exact(inputs).zip(g.chunks_exact(outputs)) {
        let scratch = &mut vec![T::zero(); rank];
        lora.vjp(x, g, &mut dx, &mut da, &mut db, scratch).unwrap();
    }
    (exchanged(&da, inputs), exchanged(&db, rank))
}

#[test]
fn lora_plus_takes_the_steps_of_the_reference_vectors() {
    check_golden_steps::<f32>();
    check_golden_steps::<f64>();
}

/// The toy of the paper, f = b (a . x), as an adapter of rank one.
struct Toy {
    a: Vec<f64>,
    b: Vec<f64>,
    x: Vec<f64>,
}

impl Toy {
    /// With a of variance 1/n, b zero and x of variance one.
    fn new(n: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut words = || (random.bits() >> 32) as u32;
        let (mut a, mut b) = (vec![0.0; n], vec![0.0]);
        Initial::InputSide
            .fill(1, &mut words, &mut a, &mut b)
            .unwrap();
        let x = (0..n).map(|_| Noise::Normal.sample(words())).collect();
        Self { a, b, x }
    }

    fn value(&self) -> f64 {
        let lora = self.lora();
        let mut y = [0.0];
        lora.add_to(&self.x, &mut y, &mut [0.0]).unwrap();
        y[0]
    }

    fn lora(&self) -> Lora<'_, f64, f64> {
        let a = Matrix::new(1, self.a.len(), &self.a).unwrap();
        Lora::new(a, Matrix::new(1, 1, &self.b).unwrap(), 1.0).unwrap()
    }

    /// Takes a step on (f - 1)^2 / 2 and returns its three parts by definition.
    fn step(&mut self, plus: LoraPlus<f64>) -> [f64; 3] {
        let rates = [plus.rate(Group::A), plus.rate(Group::B)];
        let parts = definition::toy(&self.a, self.b[0], &self.x, 1.0, rates);
        let dy = [self.value() - 1.0];
        let n = self.a.len();
        let (mut dx, mut da, mut db) = (vec![0.0; n], vec![0.0; n], vec![0.0]);
        self.lora()
            .vjp(&self.x, &dy, &mut dx, &mut da, &mut db, &mut [0.0])
            .unwrap();
        let sgd = Optimizer::new(Rule::Sgd).unwrap();
        sgd.step(1, rates[0], 0.0, &mut self.a, &da, &mut [])
            .unwrap();
        sgd.step(1, rates[1], 0.0, &mut self.b, &db, &mut [])
            .unwrap();
        parts
    }
}

#[test]
fn a_step_of_the_toy_is_the_sum_of_its_three_parts() {
    for n in [1, 2, 17, 64, 1024, 4096] {
        for (rate, ratio) in [(0.5 / n as f64, n as f64), (0.01, 1.0), (1e-3, 16.0)] {
            let mut toy = Toy::new(n, n as u64);
            let plus = LoraPlus::new(rate)
                .unwrap()
                .with_ratio(Ratio::Given(ratio))
                .unwrap();
            for _ in 0..3 {
                let before = toy.value();
                let parts = toy.step(plus);
                let after = toy.value();
                let sizes = parts.iter().map(|part| part.abs()).sum::<f64>();
                // What a . x sums up to may cancel.
                let terms: f64 = toy.a.iter().zip(&toy.x).map(|(a, x)| (a * x).abs()).sum();
                let size = before.abs() + after.abs() + sizes + toy.b[0].abs() * terms;
                let units = bound64("toy step") + n as f64 / 16.0;
                let change: f64 = parts.iter().sum();
                let error = (after - before - change).abs() / (f64::EPSILON / 2.0);
                assert!(error <= units * size, "{n} {rate} {ratio}: {error}");
            }
        }
    }
}

/// The mean of ln |part| over some starts, of the first two parts in the second step: the first moves b
/// away from zero.
fn orders(n: usize, rate: f64, ratio: f64) -> [f64; 2] {
    let plus = LoraPlus::new(rate)
        .unwrap()
        .with_ratio(Ratio::Given(ratio))
        .unwrap();
    let seeds = 64;
    let mut sums = [0.0; 2];
    for seed in 0..seeds {
        let mut toy = Toy::new(n, seed * 977 + 5);
        let _ = toy.step(plus);
        let parts = toy.step(plus);
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += part.abs().ln() / seeds as f64;
        }
    }
    sums
}

/// Theorem 1 of the paper: with rates in 1/n and in one both parts keep their order as the width grows;
/// with one rate for both, the first grows with n or the second dies with it.
#[test]
fn both_parts_keep_their_order_only_with_the_ratio_of_the_paper() {
    let (narrow, wide) = (64, 4096);
    let growth = |rate: &dyn Fn(f64) -> f64, ratio: &dyn Fn(f64) -> f64| {
        let at = |n: usize| orders(n, rate(n as f64), ratio(n as f64));
        let (from, to) = (at(narrow), at(wide));
        let width = ((wide / narrow) as f64).ln();
        [(to[0] - from[0]) / width, (to[1] - from[1]) / width]
    };
    // The power of n that each part grows with, which half a power tells apart.
    let plus = growth(&|n| 0.5 / n, &|n| n);
    assert!(plus.iter().all(|power| power.abs() < 0.5), "{plus:?}");
    let large = growth(&|_| 0.5, &|_| 1.0);
    assert!(large[0] > 0.5, "{large:?}");
    let small = growth(&|n| 0.5 / n, &|_| 1.0);
    assert!(small[1] < -0.5, "{small:?}");
}

#[test]
fn factors_begin_with_their_distribution() {
    let (rank, n, outputs) = (8, 200, 150);
    let check = |initial: Initial, deviation_a: f64, deviation_b: f64| {
        let mut random = Random(11);
        let mut words = || (random.bits() >> 32) as u32;
        let (mut a, mut b) = (vec![f32::NAN; rank * n], vec![f32::NAN; outputs * rank]);
        initial.fill(rank, &mut words, &mut a, &mut b).unwrap();
        for (x, deviation) in [(&a, deviation_a), (&b, deviation_b)] {
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
            let square: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let found = (square / x.len() as f64).sqrt();
            // Six deviations of the mean and of the deviation of 1200 numbers.
            assert!(mean.abs() <= 0.18 * deviation, "{initial:?} {mean}");
            assert!((found - deviation).abs() <= 0.13 * deviation, "{found}");
        }
        a
    };
    let within = 1.0 / (n as f64).sqrt();
    let a = check(Initial::Uniform, within / 3.0_f64.sqrt(), 0.0);
    assert!(a.iter().all(|&a| f64::from(a).abs() < within));
    let _ = check(Initial::Gaussian, 1.0 / rank as f64, 0.0);
    let _ = check(Initial::InputSide, within, 0.0);
    let _ = check(Initial::OutputSide, 0.0, 1.0 / (rank as f64).sqrt());
}

#[test]
fn factors_are_the_quantiles_of_the_words() {
    let words = [0, 1, 1 << 31, 3_000_000_000, u32::MAX];
    let mut given = words.into_iter();
    let (mut a, mut b) = ([0.0_f32; 5], [1.0_f32]);
    let word = || given.next().unwrap();
    Initial::InputSide.fill(1, word, &mut a, &mut b).unwrap();
    for (a, word) in a.iter().zip(words) {
        let z: f64 = Noise::Normal.sample(word);
        let error = ulps(*a, z / 5.0_f64.sqrt(), 0.0, 0.0);
        assert!(error <= accuracy::bound32("initial factors"), "{error}");
    }
    let mut given = words.into_iter();
    let word = || given.next().unwrap();
    Initial::Uniform.fill(1, word, &mut a, &mut b).unwrap();
    for (a, word) in a.iter().zip(words) {
        let middle = (f64::from(word >> 8) + 0.5) / f64::from(1 << 23) - 1.0;
        let error = ulps(*a, middle / 5.0_f64.sqrt(), 0.0, 0.0);
        assert!(error <= accuracy::bound32("initial factors"), "{error}");
    }
    let mut halves = [F16::from_f32(1.0); 4];
    let refused = Initial::Gaussian.fill(3, || 7, &mut halves, &mut [F16::default(); 3]);
    assert_eq!(refused, Err(Error::Multiple { of: 3, found: 4 }));
    let refused = Initial::Gaussian.fill(0, || 7, &mut halves, &mut []);
    assert_eq!(
        refused,
        Err(Error::Length {
            expected: 1,
            found: 0
        })
    );
    assert_eq!(halves[0].to_f32(), 1.0);
}
