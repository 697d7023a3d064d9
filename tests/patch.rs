//! The patch room against its definitions.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accuracy;
mod inputs;
mod reference;

use core::fmt::Debug;

use accuracy::ulps;
use inputs::{Number, Random, executors};
use reference::{golden, patch as definition};
use suanzi::patch::{
    Channels, Ddpm, Padding, Patches, bytes_to_unit, code_bits, least_code_len, least_vocabulary,
    unit_to_bytes, vocabulary_bits,
};
use suanzi::position::{Coordinate, Cursor, Placement};
use suanzi::storage::F16;
use suanzi::{Error, Parameter};

const BOTH: [Channels; 2] = [Channels::Last, Channels::First];

/// Images `[rows, columns, channels]` and patches.
const SHAPES: [([usize; 3], [usize; 2]); 26] = [
    ([1, 1, 1], [1, 1]),
    ([4, 4, 3], [2, 2]),
    ([6, 4, 3], [3, 2]),
    ([6, 4, 2], [2, 4]),
    ([8, 8, 4], [8, 8]),
    ([3, 7, 2], [1, 7]),
    ([6, 9, 1], [3, 3]),
    ([8, 5, 1], [4, 5]),
    ([5, 10, 7], [5, 1]),
    ([28, 28, 3], [14, 14]),
    ([32, 48, 3], [16, 16]),
    ([16, 66, 1], [4, 33]),
    ([5, 4, 1], [2, 2]),
    ([4, 7, 3], [4, 4]),
    ([7, 7, 2], [3, 5]),
    ([2, 3, 4], [5, 16]),
    // Rows of a patch of every length that is copied without a call, and of more.
    ([2, 24, 2], [2, 12]),
    ([4, 42, 1], [2, 21]),
    ([2, 80, 1], [2, 40]),
    ([2, 112, 1], [1, 56]),
    ([2, 200, 1], [2, 100]),
    ([2, 520, 1], [2, 260]),
    // Blocks of pixels, and what they leave.
    ([64, 64, 2], [32, 32]),
    ([32, 60, 4], [16, 20]),
    ([12, 140, 3], [6, 70]),
    ([40, 40, 5], [20, 10]),
];

/// Patches of a shape in every layout, checked against the definition element by element.
fn check<X: Copy + Debug + PartialEq>(image_of: impl Fn(usize) -> Vec<X>, none: X) {
    for (image, patch) in SHAPES {
        for image_channels in BOTH {
            for patch_channels in BOTH {
                let patches = Patches::padded(image, patch)
                    .unwrap()
                    .with_channels(image_channels, patch_channels);
                let what = format!("{image:?} {patch:?} {image_channels:?} {patch_channels:?}");
                let x = image_of(patches.image_len());
                let places = definition::places(
                    image,
                    patch,
                    image_channels == Channels::First,
                    patch_channels == Channels::First,
                );
                assert_eq!(places.len(), patches.patches_len(), "{what}");
                assert_eq!(patches.count() * patches.patch_len(), patches.patches_len());
                let [rows, columns] = patches.grid();
                assert_eq!(rows * columns, patches.count());
                let inside = |[row, column]: [usize; 2]| row < image[0] && column < image[1];
                for padding in [Padding::Value(none), Padding::Edge] {
                    let mut out = vec![none; places.len()];
                    patches.patchify_padded(&x, padding, &mut out).unwrap();
                    for (got, place) in out.iter().zip(&places) {
                        let (at, pixel) = place.unwrap();
                        let want = match padding {
                            Padding::Value(value) if !inside(pixel) => value,
                            _ => x[at],
                        };
                        assert_eq!(*got, want, "{what}");
                    }
                    let mut back = vec![none; x.len()];
                    patches.unpatchify(&out, &mut back).unwrap();
                    assert_eq!(back, x, "{what}");
                }
                for (i, place) in places.iter().enumerate() {
                    let (n, f) = (i / patches.patch_len(), i % patches.patch_len());
                    let (at, pixel) = place.unwrap();
                    let want = inside(pixel).then_some(at);
                    assert_eq!(patches.index(n, f), want, "{what}");
                    if let Some(at) = want {
                        assert_eq!(patches.place(at), Some((n, f)), "{what}");
                    }
                }
                assert_eq!(patches.index(patches.count(), 0), None);
                assert_eq!(patches.index(0, patches.patch_len()), None);
                assert_eq!(patches.place(x.len()), None);
                // Without padding it is the same by either call, and else refused.
                let mut out = vec![none; places.len()];
                let done = patches.patchify(&x, &mut out);
                let exact = Patches::new(image, patch);
                if patches.is_padded() {
                    assert!(matches!(done, Err(Error::Multiple { .. })), "{what}");
                    assert_eq!(done, exact.map(|_| ()));
                } else {
                    let exact = exact.unwrap().with_channels(image_channels, patch_channels);
                    assert_eq!((done, exact), (Ok(()), patches));
                    let mut other = vec![none; places.len()];
                    exact
                        .patchify_padded(&x, Padding::Edge, &mut other)
                        .unwrap();
                    assert_eq!(out, other);
                }
            }
        }
    }
}

#[test]
fn every_image_comes_back_in_every_type() {
    let words = |n: usize| -> Vec<u64> {
        let mut random = Random(n as u64);
        (0..n).map(|_| random.bits()).collect()
    };
    check(|n| words(n).iter().map(|&w| w as u8).collect(), 0_u8);
    check(
        |n| words(n).iter().map(|&w| F16::from_bits(w as u16)).collect(),
        F16::default(),
    );
    // Floats by their representation: NaN and all else.
    #[derive(Clone, Copy)]
    struct Bits(f32);
    impl PartialEq for Bits {
        fn eq(&self, other: &Self) -> bool {
            self.0.to_bits() == other.0.to_bits()
        }
    }
    impl Debug for Bits {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "{:08x}", self.0.to_bits())
        }
    }
    check(
        |n| {
            words(n)
                .iter()
                .map(|&w| Bits(f32::from_bits(w as u32)))
                .collect()
        },
        Bits(0.0),
    );
    check(words, 0);
    // Wider than what is turned by blocks.
    check(
        |n| words(n).into_iter().map(|w| u128::from(w) << 60).collect(),
        0_u128,
    );
}

#[test]
fn patches_agree_with_the_reference_vectors() {
    for case in golden::read("patchify.gv") {
        let size = |key: &str| case.key(key).unwrap().parse::<usize>().unwrap();
        let image = ["H", "W", "C"].map(size);
        let patch = ["ph", "pw"].map(size);
        let patches = Patches::new(image, patch);
        if size("ok") == 0 {
            let refused = match patches {
                Err(Error::Multiple { .. }) => !patch.contains(&0),
                Err(Error::Domain(Parameter::Shape)) => patch.contains(&0),
                _ => false,
            };
            assert!(refused, "{}", case.head);
            continue;
        }
        let patches = patches.unwrap();
        let bits =
            |name: &str| -> Vec<u32> { case.get32(name).iter().map(|x| x.to_bits()).collect() };
        let x = bits("x");
        for (name, channels) in [
            ("patches_hwc", Channels::Last),
            ("patches_chw", Channels::First),
        ] {
            let patches = patches.with_channels(Channels::Last, channels);
            let mut out = vec![0; x.len()];
            patches.patchify(&x, &mut out).unwrap();
            assert_eq!(out, bits(name), "{}", case.head);
            let mut back = vec![0; x.len()];
            patches.unpatchify(&out, &mut back).unwrap();
            assert_eq!(back, x, "{}", case.head);
        }
    }
}

#[test]
fn wrong_shapes_are_refused_before_anything_is_written() {
    let shape = Err(Error::Domain(Parameter::Shape));
    for (image, patch) in [
        ([0, 1, 1], [1, 1]),
        ([1, 0, 1], [1, 1]),
        ([1, 1, 0], [1, 1]),
        ([1, 1, 1], [0, 1]),
        ([1, 1, 1], [1, 0]),
        ([usize::MAX, 2, 1], [1, 1]),
        ([1, 1, 1], [usize::MAX, 2]),
        ([usize::MAX, 1, 1], [2, 1]),
    ] {
        assert_eq!(Patches::padded(image, patch).map(|_| ()), shape);
        assert_eq!(Patches::new(image, patch).map(|_| ()), shape);
    }
    assert_eq!(
        Patches::new([6, 5, 1], [3, 2]).map(|_| ()),
        Err(Error::Multiple { of: 2, found: 5 })
    );
    assert_eq!(
        Patches::new([5, 4, 1], [3, 2]).map(|_| ()),
        Err(Error::Multiple { of: 3, found: 5 })
    );
    let patches = Patches::new([2, 2, 1], [1, 2]).unwrap();
    let mut out = [7; 4];
    let length = |expected, found| Err(Error::Length { expected, found });
    assert_eq!(patches.patchify(&[1; 3], &mut out), length(4, 3));
    assert_eq!(patches.patchify(&[1; 4], &mut out[..3]), length(4, 3));
    assert_eq!(patches.unpatchify(&[1; 5], &mut out), length(4, 5));
    assert_eq!(patches.unpatchify(&[1; 4], &mut out[..2]), length(4, 2));
    assert_eq!(out, [7; 4]);
}

/// An index map that the compiler has computed.
#[test]
fn index_maps_are_constants() {
    const PATCHES: Patches = match Patches::new([4, 4, 3], [2, 2]) {
        Ok(patches) => patches,
        Err(_) => panic!("the sizes divide"),
    };
    const MAP: [usize; 12] = {
        let mut map = [0; 12];
        let mut f = 0;
        while f < map.len() {
            map[f] = match PATCHES.index(3, f) {
                Some(at) => at,
                None => panic!("no padding"),
            };
            f += 1;
        }
        map
    };
    assert_eq!(MAP, [30, 31, 32, 33, 34, 35, 42, 43, 44, 45, 46, 47]);
}

/// A patch of the room has the place of a patch of the cursor.
#[test]
fn patches_stand_where_the_cursor_says() {
    let patches = Patches::new([4, 6, 3], [2, 2]).unwrap();
    let mut cursor = Cursor::<2>::new(Placement::MRope, 0);
    let sides = patches.grid().map(|side| side as u32);
    let places: Vec<_> = cursor.grid(sides).unwrap().collect();
    assert_eq!(places.len(), patches.count());
    let [_, columns] = patches.grid();
    for (n, place) in places.iter().enumerate() {
        let [row, column] = [n / columns, n % columns].map(|i| Coordinate::new(i as i32));
        // M-RoPE counts rows and columns from where the image begins.
        let offset = places[0][0].units();
        assert_eq!(place[0].units() - offset, row.units());
        assert_eq!(place[1].units() - offset, column.units());
    }
}

fn check_units<T: Number>() {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut x = vec![T::nan(); 256];
    bytes_to_unit(&bytes, &mut x).unwrap();
    for (&byte, &x) in bytes.iter().zip(&x) {
        let want = f64::from(2 * i32::from(byte) - 255) / 255.0;
        // The quotient in f64 is half a unit off at most itself.
        assert!(
            ulps(x, want, 0.0, 0.0) <= T::bound("bytes to unit"),
            "{byte}"
        );
    }
    let mut back = vec![0; 256];
    unit_to_bytes(&x, &mut back).unwrap();
    assert_eq!(back, bytes);
    // As the formula of the article has it, which rounds three times.
    let one = T::one();
    let whole = T::from_f64(255.0);
    for x in &mut x {
        *x = ((*x + one) / (one + one) * whole) / whole * (one + one) - one;
    }
    unit_to_bytes(&x, &mut back).unwrap();
    assert_eq!(back, bytes);
    let edges = [
        (f64::NAN, 0),
        (f64::INFINITY, 255),
        (f64::NEG_INFINITY, 0),
        (1e30, 255),
        (-1.5, 0),
        (1.01, 255),
        (0.0, 128),
        (-0.0, 128),
    ];
    for (x, want) in edges {
        let mut byte = [7];
        unit_to_bytes(&[T::from_f64(x)], &mut byte).unwrap();
        assert_eq!(byte, [want], "{x}");
    }
    // The nearest byte, away from halves.
    let mut random = Random(1);
    for _ in 0..10_000 {
        let value = 2.0 * random.unit() - 1.0;
        let place = (value + 1.0) / 2.0 * 255.0;
        if (place.fract() - 0.5).abs() > 1e-4 {
            let mut byte = [0];
            unit_to_bytes(&[T::from_f64(value)], &mut byte).unwrap();
            assert_eq!(f64::from(byte[0]), place.round());
        }
    }
}

#[test]
fn bytes_and_units_invert_each_other() {
    check_units::<f32>();
    check_units::<f64>();
    let mut out = [0.0_f32; 2];
    let refused = Err(Error::Length {
        expected: 3,
        found: 2,
    });
    assert_eq!(bytes_to_unit(&[1; 3], &mut out), refused);
    assert_eq!(unit_to_bytes(&[1.0_f32; 3], &mut [0; 2]), refused);
}

#[test]
fn capacities_are_those_of_the_article() {
    let bits = 64.0 * 64.0 * 3.0 * 3.0;
    assert_eq!(bits, 36_864.0);
    assert_eq!(vocabulary_bits(bits, 1024), Ok(36.0));
    assert_eq!(vocabulary_bits(bits, 256), Ok(144.0));
    assert_eq!(code_bits(1024, 68_719_476_736), bits);
    assert_eq!(code_bits(32, 4096), 384.0);
    assert_eq!(least_code_len(bits, 68_719_476_736), Ok(1024));
    assert_eq!(least_code_len(1.0, 3), Ok(1));
    assert_eq!(least_code_len(0.0, 3), Ok(0));
    for vocabulary in [0, 1] {
        assert_eq!(code_bits(10, vocabulary), 0.0);
    }
    let refused = Error::Domain(Parameter::Code);
    assert_eq!(vocabulary_bits(1.0, 0), Err(refused));
    for bits in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(vocabulary_bits(bits, 1), Err(refused));
        assert_eq!(least_code_len(bits, 2), Err(refused));
    }
    for vocabulary in [0, 1] {
        assert_eq!(least_code_len(1.0, vocabulary), Err(refused));
    }
    assert_eq!(least_code_len(1e300, 2), Err(refused));
}

/// The least vocabulary by its definition, in integers.
#[test]
fn the_least_vocabulary_is_the_least() {
    /// Whether `len` words of a vocabulary tell 2^bits apart; more than 2^127 is as good.
    fn holds(vocabulary: u128, len: u64, bits: u32) -> bool {
        let mut words = 1_u128;
        (0..len).any(|_| {
            words = words.saturating_mul(vocabulary);
            words >= 1 << bits
        })
    }
    for bits in 1..=120_u32 {
        for len in 1..=130 {
            let found = least_vocabulary(bits.into(), len).expect("below 2^121");
            assert!(holds(found, len, bits), "{bits} {len}");
            assert!(!holds(found - 1, len, bits), "{bits} {len}");
        }
    }
    // From Python's integers: the least v with v ** len >= 2 ** bits, by bisection.
    for (bits, len, want) in GREAT {
        assert_eq!(least_vocabulary(bits, len), Some(want), "{bits} {len}");
    }
    // As many bits as all channels of an image, and beyond the words of a u128.
    assert_eq!(
        least_vocabulary(8 * 3 * 256 * 256, 3 * 256 * 256),
        Some(256)
    );
    assert_eq!(least_vocabulary(36_864, 256), None);
    assert_eq!(least_vocabulary(128, 1), None);
    assert_eq!(least_vocabulary(127, 1), Some(1 << 127));
    assert_eq!(least_vocabulary(1, u64::MAX), Some(2));
    assert_eq!(least_vocabulary(u64::MAX, u64::MAX), Some(2));
    assert_eq!(least_vocabulary(u64::MAX, 1), None);
    // Nothing takes one word, and no tokens hold nothing.
    assert_eq!(least_vocabulary(0, 7), Some(1));
    assert_eq!(least_vocabulary(0, 0), Some(1));
    assert_eq!(least_vocabulary(1, 0), None);
}

/// Bits, a length, and the least vocabulary.
const GREAT: [(u64, u64, u128); 8] = [
    (36_864, 1_000, 125_074_783_601),
    (
        36_864,
        300,
        9_785_113_492_689_064_724_799_264_035_230_022_384,
    ),
    (
        1_572_864,
        12_345,
        225_906_203_561_548_379_936_908_036_042_187_948_937,
    ),
    (1_572_864, 100_003, 54_282),
    (255, 2, 240_615_969_168_004_511_545_033_772_477_625_056_928),
    (383, 3, 270_082_293_608_263_279_864_102_872_957_453_496_185),
    (
        10_239,
        80,
        337_346_780_703_513_200_964_290_370_463_955_329_146,
    ),
    (99_991, 997, 1_551_896_969_645_387_614_057_434_878_150),
];

/// The least length by its definition, in integers: the first L with V^L >= 2^bits.
#[test]
fn the_least_length_is_the_least() {
    for vocabulary in 2..=40_u64 {
        for bits in 0..=120_u32 {
            let mut len = 0;
            let mut words = 1_u128;
            while words < 1 << bits {
                words *= u128::from(vocabulary);
                len += 1;
            }
            let found = least_code_len(bits.into(), vocabulary);
            assert_eq!(found, Ok(len), "{vocabulary} {bits}");
        }
    }
}

fn check_schedule<T: Number>() {
    for steps in [1, 2, 10, 1000] {
        let variance = T::from_f64(0.02);
        let ddpm = Ddpm::new(variance, vec![T::nan(); steps]).unwrap();
        assert_eq!(ddpm.steps(), steps);
        let want = definition::schedule(variance.value(), steps);
        for (i, want) in want.iter().enumerate() {
            let t = i + 1;
            let got = [
                ddpm.alpha(t).unwrap(),
                ddpm.beta(t).unwrap(),
                ddpm.signal(t).unwrap(),
                ddpm.noise(t).unwrap(),
            ];
            for (k, (got, want)) in got.iter().zip(want).enumerate() {
                let error = ulps(*got, want.high, want.low, 0.0);
                // What has decayed to exp(-l) carries the rounding of l.
                let log = if k == 2 { -want.high.ln() } else { 0.0 };
                let units = T::bound("ddpm") * (1.0 + log);
                assert!(error <= units, "{} {k} {t}/{steps}: {error}", T::NAME);
            }
        }
        let refused = Err(Error::Domain(Parameter::Step));
        for t in [0, steps + 1, usize::MAX] {
            assert_eq!(ddpm.alpha(t).map(|_| ()), refused);
            assert_eq!(ddpm.beta(t).map(|_| ()), refused);
            assert_eq!(ddpm.signal(t).map(|_| ()), refused);
            assert_eq!(ddpm.noise(t).map(|_| ()), refused);
        }
    }
}

#[test]
fn the_schedule_is_its_definition() {
    check_schedule::<f32>();
    check_schedule::<f64>();
    let ddpm = Ddpm::new(0.02_f64, [0.0; 1000]).unwrap();
    // The article's numbers for T = 1000.
    assert!((ddpm.alpha(1000).unwrap() - 0.98_f64.sqrt()).abs() < 1e-15);
    for variance in [0.0_f32, 1.0, -0.1, f32::NAN] {
        assert_eq!(
            Ddpm::new(variance, [0.0; 3]).map(|_| ()),
            Err(Error::Domain(Parameter::Noise))
        );
    }
    assert_eq!(
        Ddpm::<f32, _>::new(0.1, [0.0; 0]).map(|_| ()),
        Err(Error::Domain(Parameter::Step))
    );
}

#[test]
fn noise_goes_in_and_out_by_the_formulas() {
    let steps = 50;
    let want = definition::schedule(f64::from(0.02_f32), steps);
    for n in [0, 1, 3, 8, 17, 100] {
        let mut random = Random(n as u64);
        let mut numbers = || -> Vec<f32> { (0..n).map(|_| random.normal() as f32).collect() };
        let (start, noise, fresh) = (numbers(), numbers(), numbers());
        let mut bits: Option<Vec<u32>> = None;
        for cpu in executors() {
            let ddpm = Ddpm::new(0.02_f32, vec![0.0; steps]).unwrap().on(cpu);
            for t in [1, 7, steps] {
                let [alpha, beta, signal, total] = want[t - 1].map(|x| x.high);
                let mut x = vec![f32::NAN; n];
                ddpm.diffuse(t, &start, &noise, &mut x).unwrap();
                let before = x.clone();
                let unit = f64::from(f32::EPSILON) / 2.0 * accuracy::bound32("ddpm");
                for i in 0..n {
                    let [s, e] = [start[i], noise[i]].map(f64::from);
                    let size = (signal * s).abs() + (total * e).abs();
                    let error = (f64::from(x[i]) - (signal * s + total * e)).abs();
                    assert!(error <= unit * size, "{n} {t} {i}: {error}");
                }
                ddpm.step(t, &mut x, &noise, Some(&fresh)).unwrap();
                for i in 0..n {
                    let [b, e, z] = [before[i], noise[i], fresh[i]].map(f64::from);
                    let part = beta * beta / total;
                    let size = (b.abs() + (part * e).abs()) / alpha + (beta * z).abs();
                    let wanted = (b - part * e) / alpha + beta * z;
                    let error = (f64::from(x[i]) - wanted).abs();
                    assert!(error <= unit * size, "{n} {t} {i}: {error}");
                }
                let mut mean = before.clone();
                ddpm.step(t, &mut mean, &noise, None).unwrap();
                let (zeros, mut other) = (vec![0.0; n], before);
                ddpm.step(t, &mut other, &noise, Some(&zeros)).unwrap();
                assert_eq!(mean, other);
                if !cpu.is_fused() {
                    let got: Vec<u32> = x.iter().map(|x| x.to_bits()).collect();
                    if t == steps {
                        assert_eq!(*bits.get_or_insert(got.clone()), got);
                    }
                }
            }
        }
    }
}

#[test]
fn wrong_lengths_of_noise_are_refused() {
    let ddpm = Ddpm::new(0.02_f32, [0.0; 4]).unwrap();
    let mut x = [7.0; 2];
    let length = |expected, found| Err(Error::Length { expected, found });
    let step = Err(Error::Domain(Parameter::Step));
    assert_eq!(ddpm.diffuse(1, &[1.0; 2], &[1.0], &mut x), length(2, 1));
    assert_eq!(ddpm.diffuse(1, &[1.0], &[1.0], &mut x), length(1, 2));
    assert_eq!(ddpm.diffuse(5, &[1.0; 2], &[1.0; 2], &mut x), step);
    assert_eq!(ddpm.step(0, &mut x, &[1.0; 2], None), step);
    assert_eq!(ddpm.step(1, &mut x, &[1.0; 3], None), length(2, 3));
    assert_eq!(ddpm.step(1, &mut x, &[1.0; 2], Some(&[1.0])), length(2, 1));
    assert_eq!(x, [7.0; 2]);
    let mut x = [f32::NAN, 1.0];
    ddpm.step(1, &mut x, &[1.0, -f32::NAN], None).unwrap();
    assert!(x.iter().all(|x| x.to_bits() == f32::NAN.to_bits()));
}
