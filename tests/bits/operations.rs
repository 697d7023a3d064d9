// One call of every public operation of the number type `T`, included once for each by `cases.rs`.
// Operands have any length: nothing here may panic.

pub(crate) fn softmax(o: &mut Operands<T>) -> Result<(), Error> {
    Softmax::default()
        .on(o.cpu)
        .map(first(o.x, o.n), first_mut(o.out, o.n))
}

pub(crate) fn softmax_of_anything(o: &mut Operands<T>) -> Result<(), Error> {
    let out = first_mut(o.out, o.n);
    copy(o.raw, out);
    Softmax::default().on(o.cpu).map_in_place(out)
}

pub(crate) fn softmax_of_scores(o: &mut Operands<T>) -> Result<(), Error> {
    let scaled = Logits::new().scaled(o.t)?;
    let out = first_mut(o.out, o.n);
    Softmax::new(scaled.masked(Mask::Add(first(o.y, o.n))))
        .on(o.cpu)
        .map(first(o.x, o.n), out)?;
    let out = first_mut(o.state, o.n);
    copy(o.x, out);
    let keep = Logits::new()
        .softcapped(o.t)?
        .masked(Mask::Keep(first(o.keep, o.n)));
    Softmax::new(keep).on(o.cpu).map_rows(out, o.n)
}

pub(crate) fn softmax_strided(o: &mut Operands<T>) -> Result<(), Error> {
    copy(o.x, o.out);
    let rows = Rows {
        count: 3,
        len: o.n,
        row_stride: 1,
        stride: 5,
    };
    let out = first_mut(o.out, rows.extent()?);
    Softmax::default().on(o.cpu).map_strided(out, rows)
}

pub(crate) fn log_softmax(o: &mut Operands<T>) -> Result<(), Error> {
    let out = first_mut(o.out, o.n);
    LogSoftmax::default().on(o.cpu).map(first(o.x, o.n), out)?;
    let out = first_mut(o.state, o.n);
    copy(o.x, out);
    LogSoftmax::new(Logits::new().scaled(o.t)?)
        .on(o.cpu)
        .map_rows(out, o.n)?;
    LogSoftmax::default().on(o.cpu).map_in_place(out)
}

pub(crate) fn log_sum_exp(o: &mut Operands<T>) -> Result<(), Error> {
    let sum = LogSumExp::default().on(o.cpu).reduce(first(o.x, o.n))?;
    copy(&[sum], o.out);
    let row = o.n / 4;
    let masked = Logits::new().masked(Mask::Add(first(o.y, row)));
    let (sums, rows) = if row > 0 { (4, row * 4) } else { (0, 0) };
    let state = first_mut(o.state, sums);
    LogSumExp::new(masked)
        .on(o.cpu)
        .reduce_rows(first(o.x, rows), row, state)
}

pub(crate) fn sparse(o: &mut Operands<T>) -> Result<(), Error> {
    let x = first(o.x, o.n);
    Sparsemax::default()
        .on(o.cpu)
        .map(x, first_mut(o.out, o.n))?;
    let out = first_mut(o.state, o.n);
    copy(o.raw, out);
    Sparsemax::new(Logits::new().masked(Mask::Add(first(o.y, o.n))))
        .with_radius(o.t)?
        .on(o.cpu)
        .map_in_place(out)
}

pub(crate) fn entmax(o: &mut Operands<T>) -> Result<(), Error> {
    let logits = Logits::new().scaled(o.t)?;
    // 3/2, where it has a form of its own, and 5/4.
    let half = o.t / (o.t + o.t);
    let out = first_mut(o.out, o.n);
    Entmax::new(half + half + half, logits)?
        .on(o.cpu)
        .map(first(o.x, o.n), out)?;
    let out = first_mut(o.state, o.n);
    copy(o.y, out);
    Entmax::new(o.t, logits)?.on(o.cpu).map_rows(out, o.n)
}

pub(crate) fn soft_top_k(o: &mut Operands<T>) -> Result<(), Error> {
    let (x, dp) = (first(o.x, o.n), first(o.y, o.n));
    let logits = Logits::new().scaled(o.t / (o.t + o.t))?;
    let of = |inclusion| Ok(SoftTopK::new(o.t + o.t, inclusion, logits)?.on(o.cpu));
    let (out, rest) = o.out.split_at_mut_checked(o.n).unwrap_or_default();
    of(Inclusion::Clamped)?.map(x, out)?;
    of(Inclusion::Exponential)?.map(x, first_mut(rest, o.n))?;
    let (out, rest) = o.state.split_at_mut_checked(o.n).unwrap_or_default();
    copy(o.raw, out);
    of(Inclusion::Laplace)?.map_in_place(out)?;
    of(Inclusion::Logistic)?.vjp(x, dp, first_mut(rest, o.n))
}

pub(crate) fn subsets(o: &mut Operands<T>) -> Result<(), Error> {
    let (x, dp) = (first(o.x, o.n), first(o.y, o.n));
    let k = T::from(3_i16);
    let map = SoftTopK::new(k, Inclusion::Subsets, Logits::new())?.on(o.cpu);
    map.map(x, first_mut(o.out, o.n))?;
    map.vjp(x, dp, first_mut(o.state, o.n))
}

pub(crate) fn normmax(o: &mut Operands<T>) -> Result<(), Error> {
    let (x, dp) = (first(o.x, o.n), first(o.y, o.n));
    let (p, dx) = (first_mut(o.out, o.n), first_mut(o.state, o.n));
    Normmax::new(o.t, Logits::new())?.on(o.cpu).map(x, p)?;
    normmax_vjp(o.cpu, o.t, p, dp, dx)
}

pub(crate) fn perturbed_vjp(o: &mut Operands<T>) -> Result<(), Error> {
    let (x, dp) = (first(o.y, o.n), first(o.x, o.n));
    let map = PerturbMax::new(Noise::Exponential, Logits::new());
    map.on(o.cpu).vjp(x, dp, first_mut(o.out, o.n))?;
    let map = PerturbMax::new(Noise::Logistic, Logits::new());
    map.on(o.cpu).vjp(x, dp, first_mut(o.state, o.n))
}

pub(crate) fn sparse_softmax(o: &mut Operands<T>) -> Result<(), Error> {
    let out = first_mut(o.out, o.n);
    let map = SparseSoftmax::new(Logits::new().scaled(o.t)?).on(o.cpu);
    map.with_top_k(5)?.map(first(o.x, o.n), out)?;
    let drawn = draw(o.cpu, out, o.t / (o.t + o.t));
    let place = argmax(o.cpu, out);
    let out = first_mut(o.state, o.n);
    copy(o.x, out);
    // A share of 2/5.
    map.with_top_p(o.t / (o.t + o.t) / o.t)?
        .with_top_k(100)?
        .with_min_p(o.t / (o.t + o.t) / o.t / o.t / o.t / o.t)?
        .map_in_place(out)?;
    // The places are marked, so that they count.
    for place in [drawn, place].into_iter().flatten() {
        if let Some(out) = out.get_mut(place) {
            *out += o.t;
        }
    }
    Ok(())
}

pub(crate) fn normalized(o: &mut Operands<T>) -> Result<(), Error> {
    let (x, dp) = (first(o.x, o.n), first(o.y, o.n));
    Normalized::taylor(4, Logits::new())?
        .on(o.cpu)
        .map(x, first_mut(o.out, o.n))?;
    let out = first_mut(o.state, o.n);
    let scaled = Logits::new().scaled(o.t)?;
    Normalized::spherical(scaled).on(o.cpu).map(x, out)?;
    Normalized::softplus(scaled).on(o.cpu).map_rows(out, o.n)?;
    Normalized::sigmoid(scaled).on(o.cpu).vjp(x, dp, out)
}

pub(crate) fn biased(o: &mut Operands<T>) -> Result<(), Error> {
    let out = first_mut(o.out, o.n);
    let slope = alibi_slope(o.n, o.n.saturating_add(3))?;
    let mask = Mask::Distance {
        slope,
        position: o.n / 2,
    };
    let logits = Logits::new().scaled(o.t)?.masked(mask).with_sink(o.t)?;
    Softmax::new(logits).on(o.cpu).map(first(o.x, o.n), out)
}

pub(crate) fn gradients(o: &mut Operands<T>) -> Result<(), Error> {
    let (x, dp) = (first(o.x, o.n), first(o.y, o.n));
    let out = first_mut(o.out, o.n);
    let (p, rest) = o.state.split_at_mut_checked(o.n).unwrap_or_default();
    Entmax::new(o.t, Logits::new())?.on(o.cpu).map(x, p)?;
    entmax_vjp(o.cpu, o.t, p, dp, out)?;
    let slope = entmax_alpha_gradient(o.cpu, o.t, p, dp)?;
    copy(&[slope], rest);
    LogSoftmax::default().on(o.cpu).map_in_place(p)?;
    log_softmax_vjp(o.cpu, p, out, first_mut(rest, o.n))
}

pub(crate) fn losses(o: &mut Operands<T>) -> Result<(), Error> {
    let (x, target) = (first(o.x, o.n), o.n / 3);
    let margin = Logits::new().masked(Mask::Margin {
        target,
        margin: o.t,
    });
    let share = o.t / (o.t + o.t);
    let entropy = CrossEntropy::new(margin)
        .with_smoothing(share)?
        .with_z_loss(share)?
        .on(o.cpu)
        .evaluate(x, target, first_mut(o.out, o.n))?;
    let (out, rest) = o.state.split_at_mut_checked(o.n).unwrap_or_default();
    let top = SparseSoftmax::new(Logits::new()).with_top_k(3)?.on(o.cpu);
    let top = top.loss(x, target, out)?;
    let young = Entmax::new(o.t, margin)?.on(o.cpu).loss(x, target, out)?;
    copy(&[entropy.value, top.value, young.value], rest);
    Ok(())
}

/// Noise that is zero or one.
struct Coin;

impl Distribution for Coin {
    fn cumulative(&self, z: f64) -> f64 {
        if z < 0.0 {
            0.0
        } else if z < 1.0 {
            0.5
        } else {
            1.0
        }
    }
    fn quantile(&self, u: f64) -> f64 {
        if u < 0.5 { 0.0 } else { 1.0 }
    }
}

pub(crate) fn perturbed(o: &mut Operands<T>) -> Result<(), Error> {
    let x = first(o.y, o.n);
    let (out, rest) = o.state.split_at_mut_checked(o.n).unwrap_or_default();
    for (noise, to) in [Noise::Exponential, Noise::Normal, Noise::Logistic]
        .into_iter()
        .zip(o.out.chunks_mut(o.n.max(1)))
    {
        PerturbMax::new(noise, Logits::new())
            .on(o.cpu)
            .map(x, first_mut(to, o.n))?;
    }
    perturb_max_with(&Coin, x, out)?;
    let noise = [
        Noise::Gumbel.sample(o.at as u32),
        Noise::Normal.quantile(o.t / (o.t + o.t + o.t)),
    ];
    copy(&noise, rest);
    let mut state = o.at as u32;
    let mut word = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state
    };
    let mut places = [0; 3];
    let rest = rest.get_mut(2..).unwrap_or_default();
    gumbel_softmax(x, o.t, &mut word, first_mut(rest, o.n))?;
    gumbel_top_k(x, &mut word, &mut places, first_mut(rest, 3))?;
    if let Some(to) = gumbel_max(x, word).and_then(|place| rest.get_mut(place)) {
        *to += o.t;
    }
    Ok(())
}

/// Softmax of eight and sixteen bits, of as many integers as fit the stack.
pub(crate) fn integers(o: &mut Operands<T>) -> Result<(), Error> {
    let (mut bytes, mut words) = ([0_i8; 64], [0_i16; 64]);
    let mut state = o.n as u32;
    for (byte, word) in bytes.iter_mut().zip(&mut words) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*byte, *word) = ((state >> 24) as i8, (state >> 16) as i16);
    }
    let (byte, word) = (
        ByteSoftmax::of_scale(0.07)?,
        WordSoftmax::of_scale(0.000_3)?,
    );
    byte.map_rows(first_mut(&mut bytes, o.n), o.n)?;
    word.map_in_place(first_mut(&mut words, o.n))?;
    ByteSoftmax::new(1_077_952_640, 19, -3968)?.map_in_place(&mut bytes[50..])?;
    WordSoftmax::new(1 << 30, -2)?.map_in_place(&mut words[50..])?;
    let numbers = bytes.iter().map(|&b| i16::from(b)).chain(words);
    for (out, number) in o.out.iter_mut().zip(numbers) {
        *out = T::from(number);
    }
    Ok(())
}

/// The functions of one argument, over every representation.
macro_rules! elementwise {
    ($($name:ident $in_place:ident;)*) => {$(
        pub(crate) fn $name(o: &mut Operands<T>) -> Result<(), Error> {
            math::$name(o.cpu, first(o.raw, o.n), first_mut(o.out, o.n))?;
            let out = first_mut(o.state, o.n);
            copy(o.x, out);
            math::$in_place(o.cpu, out);
            Ok(())
        }
    )*};
}
elementwise! {
    exp exp_in_place;
    exp_m1 exp_m1_in_place;
    ln ln_in_place;
    ln_1p ln_1p_in_place;
    sin sin_in_place;
    cos cos_in_place;
    sin_pi sin_pi_in_place;
    cos_pi cos_pi_in_place;
    tanh tanh_in_place;
    sigmoid sigmoid_in_place;
    softplus softplus_in_place;
    erf erf_in_place;
    erfc erfc_in_place;
}

pub(crate) fn sin_cos(o: &mut Operands<T>) -> Result<(), Error> {
    let (sin, cos) = (first_mut(o.out, o.n), first_mut(o.state, o.n));
    math::sin_cos(o.cpu, first(o.raw, o.n), sin, cos)
}

pub(crate) fn sin_cos_pi(o: &mut Operands<T>) -> Result<(), Error> {
    let (sin, cos) = (first_mut(o.out, o.n), first_mut(o.state, o.n));
    math::sin_cos_pi(o.cpu, first(o.raw, o.n), sin, cos)
}

/// Frequencies of the longest head.
type Storage = [<T as Angle>::Turns; 64];

/// The greatest number of coefficients of a density here, and the elements of its storage.
const SERIES: usize = 10;
const SERIES_LEN: usize = FourierDensity::<T, [T; 0]>::storage_len(SERIES);

/// Returns the density of the first coefficients, more of them for greater lengths.
fn fourier_of<'a>(
    (cpu, n, x): (Cpu, usize, &[T]),
    domain: Domain<T>,
    storage: &'a mut [T; SERIES_LEN],
) -> Result<FourierDensity<T, &'a mut [T]>, Error> {
    let count = (1 + n / 4).min(SERIES);
    let len = FourierDensity::<T, [T; 0]>::storage_len(count);
    let density = FourierDensity::new(domain, first(x, 2 * count), first_mut(storage, len))?;
    Ok(density.on(cpu))
}

pub(crate) fn fourier(o: &mut Operands<T>) -> Result<(), Error> {
    let (n, y) = (o.n, first(o.y, o.n));
    let mut memory = [T::default(); SERIES_LEN];
    let period = o.t / (o.t + o.t);
    for (i, domain) in [
        Domain::interval(-o.t, o.t)?,
        Domain::circle(o.t, period)?,
        Domain::line(T::default(), o.t)?,
        Domain::half_line(-o.t, o.t)?,
    ]
    .into_iter()
    .enumerate()
    {
        let density = fourier_of((o.cpu, n, o.x), domain, &mut memory)?;
        let out = o.out.get_mut(4 * i * n..).unwrap_or_default();
        let (to, out) = out.split_at_mut_checked(n).unwrap_or_default();
        density.density_into(y, to)?;
        let (to, out) = out.split_at_mut_checked(n).unwrap_or_default();
        density.ln_density_into(y, to)?;
        let (to, out) = out.split_at_mut_checked(n).unwrap_or_default();
        density.cumulative_into(y, to)?;
        for (to, &y) in out.iter_mut().zip(first(y, 4)) {
            *to = density.quantile(density.cumulative(y));
        }
    }
    Ok(())
}

pub(crate) fn fourier_of_anything(o: &mut Operands<T>) -> Result<(), Error> {
    let y = first(o.raw, o.n);
    let mut memory = [T::default(); SERIES_LEN];
    let density = fourier_of((o.cpu, o.n, o.x), Domain::line(o.t, o.t)?, &mut memory)?;
    density.density_into(y, first_mut(o.out, o.n))?;
    let (ln, rest) = o.state.split_at_mut_checked(o.n).unwrap_or_default();
    density.ln_density_into(y, ln)?;
    density.cumulative_into(y, first_mut(rest, o.n))?;
    let rest = rest.get_mut(o.n..).unwrap_or_default();
    let few = y.len().min(8);
    density.quantile_into(first(y, few), first_mut(rest, few))
}

pub(crate) fn fourier_table(o: &mut Operands<T>) -> Result<(), Error> {
    let mut memory = [T::default(); SERIES_LEN];
    let line = Domain::line(T::default(), o.t)?;
    let density = fourier_of((o.cpu, o.n, o.x), line, &mut memory)?;
    let symbols = 1 + o.n.min(63);
    let bins = Bins {
        start: -o.t,
        width: o.t / T::from(16_i16),
        symbols,
    };
    let mut entries = [0; CoderTable::<[u32; 0]>::storage_len(64)];
    let entries = entries.get_mut(..CoderTable::<[u32; 0]>::storage_len(symbols));
    let table = CoderTable::new(&density, bins, 12, entries.unwrap_or_default())?;
    let found = table.symbol(table.precision() * 99).unwrap_or_default();
    let range = table.range(found.0).unwrap_or_default();
    let entries = table.cumulative().iter().copied();
    let words = entries.chain(table.frequencies()).chain([range.0, range.1]);
    for (to, word) in o.state.iter_mut().zip(words) {
        // Below 2^13.
        *to = T::from(word as i16);
    }
    let (re, im) = density.characteristic(2);
    let other = FourierDensity::new(Domain::unit(), &[o.t, T::default()], [T::default(); 6])?;
    let numbers = [
        re,
        im,
        density.probability(-o.t, density.domain().middle()),
        density.sample(o.at as u32),
        density.variation(),
        density.entropy(9 + density.count()),
        density.divergence(&other, 9),
        T::from(table.symbols() as i16),
    ];
    copy(&numbers, o.out);
    Ok(())
}

pub(crate) fn fourier_fit(o: &mut Operands<T>) -> Result<(), Error> {
    const COUNT: usize = 3;
    let y = first(o.y, o.n);
    let sample = Sample::new(y)?;
    let (mean, deviation) = sample.moments();
    let two = T::from(2_i16);
    let domain = Domain::line(mean, deviation * two)?;
    let fit = Fit::new(domain)
        .with_roughness(o.t / T::from(1000_i16))?
        .with_free_map()?
        .with_starts(2)
        .with_tolerance(T::default(), 6)?
        .on(o.cpu);
    let mut scratch = [T::default(); Fit::<T>::scratch_len(COUNT)];
    let mut parameters = [T::default(); 2 * COUNT + 2];
    let len = fit.parameters_len(COUNT).min(parameters.len());
    let parameters = first_mut(&mut parameters, len);
    let mut word = 7_u32;
    let mut words = || {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        word
    };
    // Six iterations are too few, which is told and does no harm.
    match fit.run(sample, &mut words, parameters, &mut scratch, |_| ()) {
        Ok(_) | Err(Error::NotConverged) => {}
        Err(error) => return Err(error),
    }
    copy(parameters, o.out);
    let likelihood = fit.likelihood();
    let mut gradient = [T::default(); 2 * COUNT + 2];
    let mut scratch_of = [T::default(); Likelihood::<T>::scratch_len(COUNT)];
    let weights = [o.t; 64];
    let weighted = Sample::weighted(y, first(&weights, o.n))?;
    let value = likelihood.evaluate(parameters, weighted, &mut gradient, &mut scratch_of)?;
    let mut adam = Adam::new(
        o.t,
        [T::default(); Adam::<T, [T; 0]>::storage_len(2 * COUNT + 2)],
    )?;
    adam.set_rate(o.t / T::from(64_i16))?;
    adam.step(parameters, &gradient)?;
    copy(&gradient, first_mut(o.state, 2 * COUNT + 2));
    copy(parameters, o.state.get_mut(16..).unwrap_or_default());
    copy(&[value], o.state.get_mut(32..).unwrap_or_default());

    let fixed = Fit::new(domain).with_tolerance(T::default(), 3)?.on(o.cpu);
    let mut chosen = [T::default(); 2 * COUNT];
    match fixed.select(
        sample,
        weighted,
        &[1, COUNT],
        words,
        &mut chosen,
        &mut scratch,
    ) {
        Ok(_) | Err(Error::NotConverged) => {}
        Err(error) => return Err(error),
    }
    copy(&chosen, o.state.get_mut(33..).unwrap_or_default());
    const STORAGE: usize = Lbfgs::<T, [T; 0], 2>::storage_len(1);
    let mut least = Lbfgs::<T, _, 2>::new(1, T::default(), 4, [T::default(); STORAGE])?;
    let mut x = [o.t];
    let square = |x: &[T], gradient: &mut [T]| {
        let x = x.first().copied().unwrap_or_default();
        copy(&[x + x], gradient);
        x * x
    };
    match least.minimize(&mut x, square, |_| ()) {
        Ok(_) | Err(Error::NotConverged) => {}
        Err(error) => return Err(error),
    }
    copy(&x, o.state.get_mut(40..).unwrap_or_default());
    let mut memory = [T::default(); SERIES_LEN];
    let len = FourierDensity::<T, [T; 0]>::storage_len(COUNT);
    let density = fit.density(parameters, first_mut(&mut memory, len))?;
    copy(
        &[density.density(o.t)],
        o.state.get_mut(41..).unwrap_or_default(),
    );
    Ok(())
}

/// Heads of n pairs and four elements more, which do not turn.
fn head(o: &Operands<T>, pairing: Pairing) -> Result<HeadLayout, Error> {
    let rotary = o.n.wrapping_mul(2);
    HeadLayout::partial(rotary.wrapping_add(4), rotary, pairing)
}

pub(crate) fn rope(o: &mut Operands<T>) -> Result<(), Error> {
    let mut storage = Storage::from([Default::default(); 64]);
    let layout = head(o, Pairing::Interleaved)?;
    let rope = Rope::new(layout, &Base::new(10_000.0)?, first_mut(&mut storage, o.n))?.on(o.cpu);
    let heads = layout.head_dim().wrapping_mul(4);
    let (x, at) = (first(o.x, heads), o.at);
    rope.rotate_into(at, x, first_mut(o.out, heads))?;
    let out = first_mut(o.state, heads);
    copy(x, out);
    rope.rotate(at, out)?;
    rope.unrotate(at.wrapping_sub(1), out)?;
    rope.shift(at, out)?;
    rope.rotate_each([at, at, 3, -3], out)
}

pub(crate) fn rope_table(o: &mut Operands<T>) -> Result<(), Error> {
    let mut storage = Storage::from([Default::default(); 64]);
    let layout = head(o, Pairing::HalfSplit)?;
    let rope = Rope::new(layout, &Base::default(), first_mut(&mut storage, o.n))?;
    let mut table = [<T as Default>::default(); 4 * 128];
    let len = RopeTable::<T, &mut [T]>::table_len(4, layout.rotary_dim());
    let mut table = RopeTable::new(&rope, -1, first_mut(&mut table, len))?.on(o.cpu);
    let (at, next) = (o.at, o.at.wrapping_add(1));
    table.fill(&rope, at)?;
    let heads = layout.head_dim().wrapping_mul(4);
    let x = first(o.x, heads);
    table.rotate_into(next, x, first_mut(o.out, heads))?;
    let out = first_mut(o.state, heads);
    table.rotate_each_into([at, next, next, at], x, out)?;
    table.rotate_each([next, next, at, at], out)?;
    table.rotate(at, out)?;
    table.unrotate(next, out)?;
    let (cos, _) = table.row(next)?;
    let table = RopeTable::from_rows(layout, next, cos.get(..0).unwrap_or_default())?;
    if table.positions() == 0 {
        Ok(())
    } else {
        table.rotate(next, out)
    }
}

/// Frequencies in radians, with a temperature.
pub(crate) fn rope_in_radians(o: &mut Operands<T>) -> Result<(), Error> {
    let mut radians = [f64::from(o.at); 64];
    let mut factor = 1.0;
    for radians in &mut radians {
        *radians *= factor;
        factor *= 0.71;
    }
    let radians = Radians::new(first(&radians, o.n))?;
    let radians = radians.with_temperature(f64::from(o.at) / 800_000.0)?;
    let mut storage = Storage::from([Default::default(); 64]);
    let layout = head(o, Pairing::Interleaved)?;
    let rope = Rope::new(layout, &radians, first_mut(&mut storage, o.n))?.on(o.cpu);
    let heads = layout.head_dim().wrapping_mul(4);
    let out = first_mut(o.out, heads);
    rope.rotate_into(o.at, first(o.x, heads), out)?;
    let state = first_mut(o.state, heads);
    copy(out, state);
    rope.unrotate(o.at, state)
}

/// One head by every scaling of the frequencies.
pub(crate) fn rope_scalings(o: &mut Operands<T>) -> Result<(), Error> {
    let base = Base::new(10_000.0)?;
    let layout = head(o, Pairing::HalfSplit)?;
    let factors = [1.25_f32; 64];
    let factors = first(&factors, o.n);
    let longrope = FrequencyFactors::longrope(base, factors, factors, 4096, 131_072, 9000)?;
    let yarn = ByParts::yarn(base, 16.0, 4096)?;
    let yarn_by_turns = yarn.with_ramp(Ramp::Turns).with_temperature(1.5)?;
    let exact = yarn.with_ramp(Ramp::ExactIndex).with_mscale(1.0, 0.7)?;
    let llama = ByParts::llama3(base, 8.0, 8192)?.with_turns(4.5, 0.9)?;
    let listed = FrequencyFactors::new(llama, factors)?.with_temperature(0.8)?;
    let mixed = Ntk::new(base, NtkRule::Mixed(0.625), 8.0)?;
    let fixed = Ntk::new(base, NtkRule::Fixed, 8.0)?;
    let old = Linear::new(Ntk::new(base, NtkRule::Old, 8.0)?, 4.0)?;
    let dynamic = Proportional::new(Ntk::dynamic(base, 2.0, 4096, 16_384)?, o.n / 2);
    scaled_head(o, layout, 0, &longrope)?;
    scaled_head(o, layout, 1, &yarn)?;
    scaled_head(o, layout, 2, &yarn_by_turns)?;
    scaled_head(o, layout, 3, &exact)?;
    scaled_head(o, layout, 4, &listed)?;
    scaled_head(o, layout, 5, &mixed)?;
    scaled_head(o, layout, 6, &fixed)?;
    scaled_head(o, layout, 7, &old)?;
    scaled_head(o, layout, 8, &dynamic)
}

fn scaled_head(
    o: &mut Operands<T>,
    layout: HeadLayout,
    place: usize,
    frequencies: &impl Frequencies,
) -> Result<(), Error> {
    let mut storage = Storage::from([Default::default(); 64]);
    let rope = Rope::new(layout, frequencies, first_mut(&mut storage, o.n))?.on(o.cpu);
    let at = place.wrapping_mul(layout.head_dim());
    let out = o.out.get_mut(at..).unwrap_or_default();
    let out = first_mut(out, layout.head_dim());
    rope.rotate_into(o.at, first(o.x, layout.head_dim()), out)
}

/// Tokens and patches on three axes, shared among the pairs in every way.
pub(crate) fn axial(o: &mut Operands<T>) -> Result<(), Error> {
    let second = o.n / 3;
    let pairs = [o.n.wrapping_sub(2 * second), second, second];
    axial_tokens(o, Axes::Sections(pairs), Placement::MRope, 0)?;
    axial_tokens(o, Axes::Interleaved(pairs), Placement::TieFractional, 1)?;
    axial_tokens(o, Axes::Blocks(pairs), Placement::TieCentered, 2)
}

fn axial_tokens(
    o: &mut Operands<T>,
    axes: Axes<3>,
    placement: Placement,
    place: usize,
) -> Result<(), Error> {
    let mut storage = Storage::from([Default::default(); 64]);
    let layout = head(o, Pairing::HalfSplit)?;
    let storage = first_mut(&mut storage, o.n);
    let rope = if let Axes::Interleaved(_) = axes {
        AxialRope::new(layout, axes, &Base::default(), storage)?
    } else {
        let frequencies = PerAxis::new(Base::default(), axes.pairs());
        AxialRope::new(layout, axes, &frequencies, storage)?
    };
    let rope = rope.on(o.cpu);
    let axes = rope.axes().axis(o.n / 2);
    let mut cursor = Cursor::<3>::new(placement, o.at / 4);
    let head_dim = rope.layout().head_dim();
    let at = place.wrapping_mul(8).wrapping_mul(head_dim);
    let out = o.out.get_mut(at..).unwrap_or_default();
    let (text, rest) = out.split_at_mut_checked(head_dim).unwrap_or_default();
    let image = first_mut(rest, head_dim.wrapping_mul(6));
    copy(o.x, text);
    copy(o.x, image);
    let here = cursor.text()?;
    rope.rotate(here, text)?;
    rope.rotate_each(cursor.grid([1, 2, 3])?, image)?;
    let next = Coordinate::new(cursor.next());
    let away = Coordinate::from_units(next.units() / 3);
    rope.shift([Coordinate::halves(3), -away, next], image)?;
    rope.unrotate([away, next, away], text)?;
    copy(&[axes as T], text);
    Ok(())
}

/// Distances in the relative forms, and the scales of queries.
pub(crate) fn relative(o: &mut Operands<T>) -> Result<(), Error> {
    let window = o.n as u32;
    let forms = [
        Distance::Rope,
        Distance::ReRope { window },
        Distance::LeakyReRope {
            window,
            factor: 3.0,
        },
        Distance::SelfExtend { window, group: 5 },
    ];
    let query = (o.at / 8).wrapping_abs();
    for (out, form) in o.out.iter_mut().zip(forms) {
        form.check()?;
        *out = f64::from(form.between(query, query / 3)?) as T;
    }
    let tokens = query.unsigned_abs();
    let scales = [log_n_scale(tokens, 512)?, step_scale(tokens, 64, o.t)?];
    copy(&scales, o.state);
    Ok(())
}

pub(crate) fn xpos(o: &mut Operands<T>) -> Result<(), Error> {
    let mut storage = [Storage::from([Default::default(); 64]); 2];
    let [turns, octaves] = &mut storage;
    let lent = [first_mut(turns, o.n), first_mut(octaves, o.n)];
    let layout = head(o, Pairing::Interleaved)?;
    let xpos = XPos::new(layout, &Base::default(), 512, lent)?.on(o.cpu);
    let heads = layout.head_dim().wrapping_mul(2);
    let (queries, keys) = (first_mut(o.out, heads), first_mut(o.state, heads));
    copy(o.x, queries);
    copy(o.x, keys);
    let at = o.at % 30_000;
    xpos.rotate_queries(at, queries)?;
    xpos.rotate_keys(at, keys)
}

/// The upper digits of fractions of a turn.
pub(crate) fn turns(o: &mut Operands<T>) -> Result<(), Error> {
    let base = Base::new(f64::from(o.at))?.base();
    let turns = Turns::from_radians(base / 3.0)?
        .scaled(-base)?
        .divided(1.7)?;
    let (high, low) = turns.parts();
    let swapped = Turns::from_parts(low, high).scaled(base)?.parts();
    for (parts, out) in [((high, low), &mut *o.out), (swapped, &mut *o.state)] {
        let digits = |part: u64| (part >> (u64::BITS - T::MANTISSA_DIGITS)) as T;
        copy(&[digits(parts.0), digits(parts.1)], out);
    }
    Ok(())
}

pub(crate) fn permute_rows(o: &mut Operands<T>) -> Result<(), Error> {
    let layout = head(o, Pairing::Interleaved)?;
    for (i, place) in first_mut(o.state, layout.head_dim()).iter_mut().enumerate() {
        *place = layout.index_in(Pairing::HalfSplit, i) as T;
    }
    let rows = layout.head_dim().wrapping_mul(6);
    let out = first_mut(o.out, rows);
    layout.permute_rows(Pairing::HalfSplit, first(o.x, rows), 3, out)
}

pub(crate) fn matrix(o: &mut Operands<T>) -> Result<(), Error> {
    let (rows, columns) = (o.n, o.n.wrapping_add(3));
    let weights = first(o.y, rows.wrapping_mul(columns));
    let matrix = Matrix::new(rows, columns, weights)?
        .with_scales(first(o.x, rows))?
        .on(o.cpu);
    let (y, rest) = o
        .out
        .split_at_mut_checked(matrix.rows())
        .unwrap_or_default();
    matrix.multiply(first(o.x, columns), y)?;
    matrix.multiply_add(first(o.y, matrix.columns()), y)?;
    matrix.multiply_transposed(y, first_mut(rest, columns))?;
    matrix.row_into(1, first_mut(o.state, columns))
}

pub(crate) fn rms_norm(o: &mut Operands<T>) -> Result<(), Error> {
    let norm = RmsNorm::new(o.t)?.on(o.cpu);
    let (x, gain) = (first(o.x, o.n), first(o.y, o.n));
    norm.map(x, gain, first_mut(o.out, o.n))?;
    norm.map_in_place(first_mut(o.out, o.n), gain)?;
    let state = first_mut(o.state, o.n.wrapping_mul(3));
    copy(o.x, state);
    norm.map_rows(state, gain)
}

pub(crate) fn layer_norm(o: &mut Operands<T>) -> Result<(), Error> {
    let norm = LayerNorm::new(o.t)?.on(o.cpu);
    let (x, gain, bias) = (first(o.x, o.n), first(o.y, o.n), first(o.raw, o.n));
    let (out, rest) = o.out.split_at_mut_checked(o.n).unwrap_or_default();
    norm.map(x, gain, x, out)?;
    let rest = first_mut(rest, o.n);
    copy(o.x, rest);
    norm.map_in_place(rest, gain, bias)?;
    let (rows, groups) = o
        .state
        .split_at_mut_checked(o.n.wrapping_mul(3))
        .unwrap_or_default();
    copy(o.x, rows);
    norm.map_rows(rows, gain, x)?;
    let (len, groups) = (o.n / 2, first_mut(groups, o.n / 2 * 2));
    copy(o.x, groups);
    norm.map_groups(
        groups,
        len,
        first(o.y, groups.len()),
        first(o.x, groups.len()),
    )
}

pub(crate) fn gated_silu(o: &mut Operands<T>) -> Result<(), Error> {
    let out = first_mut(o.out, o.n);
    copy(o.raw, out);
    GatedSilu::default()
        .on(o.cpu)
        .map_in_place(out, first(o.x, o.n))
}

/// Four query heads over two key/value heads of six elements, values of five; n tokens.
pub(crate) fn attention(o: &mut Operands<T>) -> Result<(), Error> {
    let attention = Attention::new(4, 2, 6)?
        .with_value_dim(5)?
        .with_scale(o.t)?
        .on(o.cpu);
    let (key_len, value_len) = (cache_len(2, 6, o.n), cache_len(2, 5, o.n));
    let (keys, rest) = o.state.split_at_mut_checked(key_len).unwrap_or_default();
    let (values, scratch) = rest.split_at_mut_checked(value_len).unwrap_or_default();
    let mut cache = Cache::<T, _>::new(2, 6, 5, keys, values)?.with_layout(Layout::TokenMajor);
    cache.append(first(o.x, key_len), first(o.y, value_len))?;
    let scratch = first_mut(scratch, attention.scratch_len(o.n));
    let query = first(o.y, attention.query_len());
    let (out, rest) = o
        .out
        .split_at_mut_checked(attention.out_len())
        .unwrap_or_default();
    let (lse, rest) = rest.split_at_mut_checked(4).unwrap_or_default();
    attention.attend_with_lse(query, &cache, o.n, scratch, out, lse)?;
    // A memory that owns its storage gives the same bits.
    #[cfg(feature = "heapless")]
    {
        let mut cache = OwnedCache::<T, { cache_len(2, 6, 130) }>::with_tokens(2, 6, 5, o.n)?;
        cache.append(first(o.x, key_len), first(o.y, value_len))?;
        attention.attend(query, &cache, o.n, scratch, out)?;
    }
    let visible = Visible::from(o.n).window(7).sinks(2);
    attention.attend(query, &cache, visible, scratch, first_mut(rest, out.len()))?;
    cache.truncate(cache.capacity() / 2);
    attention.attend(query, &cache, o.n / 2, scratch, out)?;
    // What is left in the scratch is no result.
    scratch.fill(0.0);
    Ok(())
}

/// The heads of [`attention`] over n tokens whose scores change, with the queries of two tokens, then
/// of one.
pub(crate) fn attention_scores(o: &mut Operands<T>) -> Result<(), Error> {
    let attention = Attention::new(4, 2, 6)?
        .with_value_dim(5)?
        .with_scale(o.t)?
        .on(o.cpu);
    let keys = first(o.x, cache_len(2, 6, o.n));
    let values = first(o.y, cache_len(2, 5, o.n));
    let cache = Cache::<T, _>::filled(2, 6, 5, keys, values)?.with_layout(Layout::TokenMajor);
    let scratch = first_mut(o.state, attention.rows_scratch_len(o.n, 2));
    let query = first(o.y, attention.query_len().wrapping_mul(2));
    let (out, rest) = o.out.split_at_mut_checked(40).unwrap_or_default();
    let (lse, rest) = rest.split_at_mut_checked(8).unwrap_or_default();
    let visible = Visible::at((o.n as isize).wrapping_sub(2));

    let keep = first(o.keep, o.n.wrapping_mul(8));
    let keep = MaskRows::each_head(keep, 2, o.n);
    let added = MaskRows::each_query(first(o.y, o.n.wrapping_mul(2)), o.n);
    attention
        .with_scores((Softcap::new(o.t)?, (added, keep)))
        .attend_rows_with_lse(query, &cache, visible, scratch, out, lse)?;

    let (out, rest) = rest.split_at_mut_checked(40).unwrap_or_default();
    let sums = Forget::new(first(o.y, o.n.wrapping_mul(4)), o.n);
    let sinks = LogitSinks::new(first(o.x, 4));
    attention
        .with_scores(((Alibi::new(first(o.y, 4)), sums), Some(sinks)))
        .attend_rows(query, &cache, visible, scratch, out)?;

    let every_other = ScoreFn(|head: usize, query: isize, key: usize, score: T| {
        let odd = (head ^ key) & 1 == 1 && query > 3;
        if odd { T::NEG_INFINITY } else { score }
    });
    let row = MaskRows::new(first(o.keep, o.n));
    attention.with_scores((every_other, row)).attend(
        first(query, attention.query_len()),
        &cache,
        o.n,
        scratch,
        first_mut(rest, attention.out_len()),
    )?;
    // What is left in the scratch is no result.
    scratch.fill(0.0);
    Ok(())
}

/// The heads of [`attention`] over n tokens in pages, seen by three queries in several ways.
pub(crate) fn attention_views(o: &mut Operands<T>) -> Result<(), Error> {
    let attention = Attention::new(4, 2, 6)?.with_value_dim(5)?.on(o.cpu);
    let pages = (o.n & 0xffff) / 4 + 2;
    let (key_len, value_len) = (cache_len(2, 6, pages * 4), cache_len(2, 5, pages * 4));
    let (keys, rest) = o.state.split_at_mut_checked(key_len).unwrap_or_default();
    let (values, scratch) = rest.split_at_mut_checked(value_len).unwrap_or_default();
    keys.fill(0.0);
    values.fill(0.0);
    let backwards = |page: usize| pages.wrapping_sub(page).wrapping_sub(1);
    let mut memory =
        Paged::<T, _, _>::new(2, 6, 5, 4, keys, values, backwards)?.with_layout(Layout::TokenMajor);
    let tokens = first(o.x, cache_len(2, 6, o.n));
    memory.append(tokens, first(o.y, cache_len(2, 5, o.n)))?;
    let scratch = first_mut(scratch, attention.scratch_len(o.n));
    let query = first(o.y, attention.query_len().wrapping_mul(3));
    let mut outs = o.out.chunks_exact_mut(60);
    let middle = Visible::at((o.n / 2) as isize);
    for visible in [
        Visible::all()
            .skip(o.n / 8)
            .valid(o.n.wrapping_sub(o.n / 8)),
        middle.right(2).window(9).sinks(2),
        middle.right(40).chunk(16).sinks(1),
    ] {
        let out = outs.next().unwrap_or_default();
        attention.attend_rows(query, &memory, visible, scratch, out)?;
    }
    // What is left in the scratch is no result.
    scratch.fill(0.0);
    memory.truncate(o.n / 2);
    let _ = memory.with_len(o.n)?;
    Ok(())
}

/// The gradients of one token's attention over n tokens, with and without a change of scores.
pub(crate) fn attention_vjp(o: &mut Operands<T>) -> Result<(), Error> {
    let plain = Attention::new(4, 2, 6)?.with_value_dim(5)?.on(o.cpu);
    let attention = plain.with_scores((
        (Softcap::new(o.t)?, MaskRows::new(first(o.keep, o.n))),
        (Alibi::new(first(o.y, 4)), LogitSinks::new(first(o.x, 4))),
    ));
    let (key_len, value_len) = (cache_len(2, 6, o.n), cache_len(2, 5, o.n));
    let (keys, values) = (first(o.x, key_len), first(o.y, value_len));
    let cache = Cache::<T, _>::filled(2, 6, 5, keys, values)?.with_layout(Layout::TokenMajor);
    let scratch = first_mut(o.state, attention.scratch_len(o.n));
    let query = first(o.y, attention.query_len());
    let (out, rest) = o.out.split_at_mut_checked(20).unwrap_or_default();
    let (lse, rest) = rest.split_at_mut_checked(4).unwrap_or_default();
    let (to, rest) = rest.split_at_mut_checked(24).unwrap_or_default();
    let (keys, values) = rest.split_at_mut_checked(key_len).unwrap_or_default();
    let values = first_mut(values, value_len);
    keys.fill(0.0);
    values.fill(0.0);
    attention.attend_with_lse(query, &cache, o.n, scratch, out, lse)?;
    let scratch = first_mut(o.state, attention.vjp_scratch_len());
    let attended = Attended {
        out,
        lse,
        gradient: first(o.y, 20),
    };
    let gradients = Gradients {
        query: &mut *to,
        keys: &mut *keys,
        values: &mut *values,
    };
    attention.vjp(query, &cache, o.n, attended, scratch, gradients)?;
    let gradients = Gradients {
        query: to,
        keys,
        values,
    };
    plain.vjp(query, &cache, o.n / 2, attended, scratch, gradients)?;
    // What is left in the scratch is no result.
    o.state.fill(0.0);
    Ok(())
}

pub(crate) fn online_softmax(o: &mut Operands<T>) -> Result<(), Error> {
    let (heads, dim) = (3, o.n);
    let len = OnlineSoftmax::<T, &mut [T]>::state_len(heads, dim & 0xffff);
    let (one, two) = o.state.split_at_mut_checked(len).unwrap_or_default();
    let mut earlier = OnlineSoftmax::new(heads, dim, one)?.on(o.cpu);
    let mut later = OnlineSoftmax::new(heads, dim, first_mut(two, len))?.on(o.cpu);
    earlier.push_sink(first(o.x, heads))?;
    for (scores, value) in
        o.x.chunks_exact(heads)
            .zip(o.y.chunks_exact(dim.max(1)))
            .take(70)
    {
        earlier.push(scores, value)?;
        later.push(value.get(..heads).unwrap_or(scores), value)?;
    }
    earlier.merge(&later)?;
    let (out, lse) = o
        .out
        .split_at_mut_checked(heads * (dim & 0xffff))
        .unwrap_or_default();
    earlier.finish(out)?;
    earlier.log_sum_exp(first_mut(lse, heads))?;
    later.reset();
    Ok(())
}

/// n channels: tokens at once and one by one, of two stretches that join, then of every number.
pub(crate) fn rwkv4(o: &mut Operands<T>) -> Result<(), Error> {
    let (decay, bonus) = (first(o.y, o.n), first(o.x, o.n));
    let (one, two) = o
        .state
        .split_at_mut_checked(rwkv4_len(o.n))
        .unwrap_or_default();
    let mut earlier = Rwkv4::new(decay, bonus, one)?.on(o.cpu);
    let mut later = Rwkv4::new(decay, bonus, first_mut(two, rwkv4_len(o.n)))?.on(o.cpu);
    let len = o.n.wrapping_mul(5);
    let (out, rest) = o.out.split_at_mut_checked(len).unwrap_or_default();
    let tokens = Rwkv4Token {
        key: first(o.x, len),
        value: first(o.y, len),
    };
    earlier.prefill(tokens, out)?;
    let tokens = Rwkv4Token {
        key: first(o.y, len),
        value: first(o.x, len),
    };
    later.prefill(tokens, out)?;
    earlier.merge(&later)?;
    later.set_steps(earlier.steps());
    later.merge(&earlier)?;
    let (out, rest) = rest.split_at_mut_checked(o.n).unwrap_or_default();
    let token = Rwkv4Token {
        key: first(o.x, o.n),
        value: first(o.raw, o.n),
    };
    earlier.step(token, out)?;
    let token = Rwkv4Token {
        key: first(o.raw, o.n),
        value: first(o.y, o.n),
    };
    later.step(token, first_mut(rest, o.n))?;
    later.reset();
    copy(earlier.state(), later.state_mut());
    later.step(token, out)
}

/// n channels of four weights.
pub(crate) fn causal_convolution(o: &mut Operands<T>) -> Result<(), Error> {
    let (len, all) = (convolution_len(o.n, 4), o.n.wrapping_mul(6));
    let (one, two) = o.state.split_at_mut_checked(len).unwrap_or_default();
    let weights = first(o.y, o.n.wrapping_mul(4));
    let mut plain = CausalConvolution::new(o.n, 4, weights, one)?.on(o.cpu);
    let mut active = CausalConvolution::new(o.n, 4, weights, first_mut(two, len))?
        .with_bias(first(o.x, o.n))?
        .with_silu()
        .on(o.cpu);
    let (out, rest) = o.out.split_at_mut_checked(all).unwrap_or_default();
    plain.prefill(first(o.x, all), out)?;
    plain.step(first(o.raw, o.n), first_mut(rest, o.n))?;
    active.prefill(first(o.x, all), out)?;
    plain.reset();
    copy(active.state(), plain.state_mut());
    plain.step(first(o.x, o.n), first_mut(out, o.n))
}

/// n channels of nineteen numbers: sixteen lanes, and what is left over.
pub(crate) fn selective_scan(o: &mut Operands<T>) -> Result<(), Error> {
    let states = 19;
    let (len, all, few) = (scan_len(o.n, states), o.n.wrapping_mul(3), states * 3);
    let (one, two) = o.state.split_at_mut_checked(len).unwrap_or_default();
    let a = first(o.y, len);
    let mut plain = SelectiveScan::new(o.n, states, a, one)?.on(o.cpu);
    let mut whole = SelectiveScan::new(o.n, states, a, first_mut(two, len))?
        .with_skip(first(o.x, o.n))?
        .with_softplus(first(o.y, o.n))?
        .on(o.cpu);
    let tokens = ScanToken {
        input: first(o.x, all),
        step: first(o.y, all),
        b: first(o.y, few),
        c: first(o.x, few),
        gate: None,
    };
    let (out, rest) = o.out.split_at_mut_checked(all).unwrap_or_default();
    plain.prefill(tokens, out)?;
    let tokens = ScanToken {
        gate: Some(first(o.x, all)),
        ..tokens
    };
    whole.prefill(tokens, first_mut(rest, all))?;
    let token = ScanToken {
        input: first(o.raw, o.n),
        step: first(o.raw, o.n),
        b: first(o.y, states),
        c: first(o.x, states),
        gate: Some(first(o.raw, o.n)),
    };
    plain.step(token, first_mut(out, o.n))?;
    whole.step(token, first_mut(rest, o.n))?;
    whole.reset();
    copy(plain.state(), whole.state_mut());
    Ok(())
}

/// The heads of [`attention`] over n tokens that are stored already, then over a ring of eight
/// behind two sinks, which is cleared and filled again; the two outputs of the ring are merged.
pub(crate) fn memories(o: &mut Operands<T>) -> Result<(), Error> {
    let attention = Attention::new(4, 2, 6)?.with_value_dim(5)?.on(o.cpu);
    let query = first(o.y, attention.query_len());
    let keys = first(o.x, cache_len(2, 6, o.n));
    let values = first(o.y, cache_len(2, 5, o.n));
    let scratch = first_mut(o.state, attention.scratch_len(o.n));
    let (out, rest) = o
        .out
        .split_at_mut_checked(attention.out_len())
        .unwrap_or_default();
    let cache = Cache::<T, _>::filled(2, 6, 5, keys, values)?;
    attention.attend(query, &cache, o.n, scratch, out)?;

    // A memory that owns its storage gives the same bits.
    #[cfg(feature = "heapless")]
    let mut ring = OwnedRing::<T, { cache_len(2, 6, 10) }>::with_window(2, 6, 5, 2, 8)?;
    #[cfg(not(feature = "heapless"))]
    let (mut slots, mut others) = ([0.0; cache_len(2, 6, 10)], [0.0; cache_len(2, 5, 10)]);
    #[cfg(not(feature = "heapless"))]
    let mut ring = Ring::<T, _>::new(2, 6, 5, 2, &mut slots[..], &mut others[..])?;
    ring.append(keys, values)?;
    let (out, rest) = rest.split_at_mut_checked(out.len()).unwrap_or_default();
    let (lse, rest) = rest.split_at_mut_checked(4).unwrap_or_default();
    attention.attend_with_lse(query, &ring, ring.visible(), scratch, out, lse)?;
    ring.clear();
    let half = o.n / 2;
    ring.append(
        first(o.y, cache_len(2, 6, half)),
        first(o.x, cache_len(2, 5, half)),
    )?;
    let (other, rest) = rest.split_at_mut_checked(out.len()).unwrap_or_default();
    let other_lse = first_mut(rest, 4);
    attention.attend_with_lse(query, &ring, ring.visible(), scratch, other, other_lse)?;
    // What is left in the scratch is no result.
    scratch.fill(0.0);
    merge_outputs(out, lse, other, other_lse)
}

/// Two layers whose projections are rows of `weights`, over tokens of four elements.
struct Model<'a> {
    tokens: &'a [T],
    weights: &'a [T],
}

impl Model<'_> {
    /// Multiplies four elements by the matrix of this number.
    fn project(&self, matrix: usize, x: &[T], y: &mut [T]) {
        let weights = self.weights.get(matrix.wrapping_mul(32)..);
        for (y, row) in y
            .iter_mut()
            .zip(weights.unwrap_or_default().chunks_exact(4))
        {
            *y = x.iter().zip(row).fold(0.0, |sum, (x, w)| sum + x * w);
        }
    }
}

impl Layers<T> for Model<'_> {
    fn layers(&self) -> usize {
        2
    }

    fn width(&self) -> usize {
        4
    }

    fn embed(&mut self, position: usize, hidden: &mut [T]) {
        let token = self.tokens.get(position.wrapping_mul(4)..);
        copy(token.unwrap_or_default(), hidden);
    }

    fn query(&mut self, layer: usize, _: usize, hidden: &[T], query: &mut [T]) {
        self.project(layer, hidden, query);
    }

    fn key_value(&mut self, layer: usize, _: usize, hidden: &[T], key: &mut [T], value: &mut [T]) {
        self.project(layer.wrapping_add(2), hidden, key);
        self.project(layer.wrapping_add(4), hidden, value);
    }

    fn finish(&mut self, layer: usize, _: usize, attended: &[T], hidden: &mut [T]) {
        let mut change = [0.0; 4];
        self.project(layer.wrapping_add(6), attended, &mut change);
        for (hidden, change) in hidden.iter_mut().zip(change) {
            *hidden = 0.5 * *hidden + change;
        }
    }
}

/// Two query heads over one key/value head of three elements, values of two, at the nth token.
pub(crate) fn recompute(o: &mut Operands<T>) -> Result<(), Error> {
    let attention = Attention::new(2, 1, 3)?.with_value_dim(2)?.on(o.cpu);
    let recompute = Recompute::new(attention);
    let mut model = Model {
        tokens: o.y,
        weights: o.y.get(1024..).unwrap_or_default(),
    };
    let mut frames = [Frame::default(); 2];
    let position = o.n.saturating_sub(1);
    let scratch = first_mut(o.state, recompute.scratch_len(2, 4, o.n));
    let (hidden, rest) = o.out.split_at_mut_checked(4).unwrap_or_default();
    recompute.hidden(&mut model, position, &mut frames, scratch, hidden)?;
    // What is left in the scratch is no result.
    scratch.fill(0.0);
    let costs = [recompute_cost(2, position), recompute_cost(o.n, 5)];
    copy(&costs.map(|cost| cost.unwrap_or(0) as u32 as T), rest);
    Ok(())
}

/// Two heads with keys of six elements and values of 21, over at most 48 tokens: gates of channels in a
/// prefill, then steps that decay as in RetNet; two stretches merge.
pub(crate) fn linear_attention(o: &mut Operands<T>) -> Result<(), Error> {
    const LEN: usize = Recurrence::<LinearAttention, T, [T; 0]>::state_len(2, 6, 21);
    let n = o.n.min(48);
    let keys = cache_len(2, 6, n);
    let values = cache_len(2, 21, n);
    let token = LinearToken {
        query: first(o.y, keys),
        key: first(o.x, keys),
        value: first(o.y, values),
        gate: Gate::Log(first(o.y, keys)),
    };
    let keyed = Normalizer::Keys { epsilon: 1e-6 };
    let rule = LinearAttention::default();
    let mut early = Recurrence::new(rule, 2, 6, 21, [0.0; LEN])?.on(o.cpu);
    let (out, rest) = o.out.split_at_mut_checked(values).unwrap_or_default();
    early.prefill(token, out)?;
    let mut late = Recurrence::new(rule.with_normalizer(keyed), 2, 6, 21, [0.0; LEN])?.on(o.cpu);
    let mut features = [0.0; 12];
    FeatureMap::EluPlusOne.map_on(o.cpu, first(o.x, 12), 6, &mut features)?;
    FeatureMap::Relu.map(first(o.x, 12), 6, first_mut(rest, FeatureMap::Relu.len(12)))?;
    let decays = [retention_decay(0), retention_decay(1)];
    let step = LinearToken {
        query: &features,
        key: &features,
        value: first(o.x, 42),
        gate: Gate::Constant(&decays),
    };
    late.step(step, first_mut(rest, late.out_len()))?;
    late.step(step, first_mut(rest, late.out_len()))?;
    early.merge(&late)?;
    copy(early.state(), o.state);
    copy(early.matrices(), rest);
    late.reset();
    Ok(())
}

/// Four query heads on two states, with numbers a head as gates.
pub(crate) fn delta_rule(o: &mut Operands<T>) -> Result<(), Error> {
    const LEN: usize = Recurrence::<DeltaRule, T, [T; 0]>::state_len(2, 6, 21);
    let n = o.n.min(48);
    let keys = cache_len(2, 6, n);
    let outputs = cache_len(4, 21, n);
    let half = o.t / (o.t + o.t);
    let token = DeltaToken {
        query: first(o.x, cache_len(4, 6, n)),
        key: first(o.y, keys),
        value: first(o.x, cache_len(2, 21, n)),
        gate: Gate::Constant(&[half, half]),
        beta: first(o.y, cache_len(2, 1, n)),
    };
    let mut layer = Recurrence::new(DeltaRule, 2, 6, 21, [0.0; LEN])?
        .with_query_heads(4)?
        .with_scale(o.t)?
        .on(o.cpu);
    let scratch = first_mut(o.state, layer.scratch_len(7));
    layer.chunks(token, scratch, first_mut(o.out, outputs))?;
    scratch.fill(0.0);
    copy(layer.state_mut(), o.state);
    Ok(())
}

/// Versions six and seven, whose factors are given as they are; seven in chunks too.
pub(crate) fn rwkv(o: &mut Operands<T>) -> Result<(), Error> {
    const SIX: usize = Recurrence::<Rwkv6<'_, T>, T, [T; 0]>::state_len(2, 6, 21);
    const SEVEN: usize = Recurrence::<Rwkv7, T, [T; 0]>::state_len(2, 6, 21);
    let n = o.n.min(32);
    let keys = cache_len(2, 6, n);
    let values = cache_len(2, 21, n);
    let token = Rwkv6Token {
        receptance: first(o.x, keys),
        key: first(o.y, keys),
        value: first(o.x, values),
        gate: Gate::Factor(first(o.y, keys)),
    };
    let mut layer = Recurrence::new(Rwkv6::new(first(o.x, 12)), 2, 6, 21, [0.0; SIX])?.on(o.cpu);
    let (out, rest) = o.out.split_at_mut_checked(values).unwrap_or_default();
    layer.prefill(token, out)?;
    let half = o.t / (o.t + o.t);
    let token = Rwkv7Token {
        receptance: first(o.x, keys),
        key: first(o.y, keys),
        value: first(o.x, values),
        gate: Gate::Constant(&[half, half * half]),
        a: first(o.y, keys),
        b: first(o.y.get(1..).unwrap_or_default(), keys),
    };
    let mut layer = Recurrence::new(Rwkv7, 2, 6, 21, [0.0; SEVEN])?.on(o.cpu);
    let (out, rest) = rest.split_at_mut_checked(values).unwrap_or_default();
    layer.prefill(token, out)?;
    let scratch = first_mut(o.state, layer.scratch_len(5));
    layer.chunks(token, scratch, first_mut(rest, values))?;
    scratch.fill(0.0);
    copy(layer.state(), o.state);
    Ok(())
}

/// Two heads that share B and C, with steps through softplus.
pub(crate) fn ssd(o: &mut Operands<T>) -> Result<(), Error> {
    const LEN: usize = Recurrence::<Ssd<'_, T>, T, [T; 0]>::state_len(2, 6, 21);
    let n = o.n.min(48);
    let keys = cache_len(1, 6, n);
    let values = cache_len(2, 21, n);
    let token = SsdToken {
        step: first(o.y, cache_len(2, 1, n)),
        input: first(o.x, values),
        b: first(o.y, keys),
        c: first(o.x, keys),
    };
    let rule = Ssd::new(&[-0.5, -4.0], first(o.y, 2)).with_softplus(first(o.x, 2));
    let mut layer = Recurrence::new(rule, 2, 6, 21, [0.0; LEN])?
        .with_key_heads(1)?
        .with_query_heads(1)?
        .on(o.cpu);
    layer.prefill(token, first_mut(o.out, values))?;
    copy(layer.state(), o.state);
    Ok(())
}

/// One head whose tokens weigh alike, solved in five iterations.
pub(crate) fn mesa(o: &mut Operands<T>) -> Result<(), Error> {
    const LEN: usize = Mesa::<T, [T; 0]>::state_len(1, 6, 21);
    let half = o.t / (o.t + o.t);
    let (beta, ridge) = ([half; 130], [o.t; 6]);
    let token = MesaToken {
        query: first(o.y, cache_len(1, 6, o.n)),
        key: first(o.x, cache_len(1, 6, o.n)),
        value: first(o.y, cache_len(1, 21, o.n)),
        gate: Gate::Constant(&[half]),
        beta: first(&beta, o.n),
    };
    let mut layer = Mesa::new(&ridge, 1, 6, 21, [0.0; LEN])?
        .with_iterations(5, 0.0)?
        .on(o.cpu);
    layer.prefill(token, first_mut(o.out, cache_len(1, 21, o.n)))?;
    let one = MesaToken {
        query: first(o.y, 6),
        key: first(o.x, 6),
        value: first(o.y, 21),
        beta: &[half],
        ..token
    };
    layer.step(one, first_mut(o.state, layer.out_len()))?;
    copy(layer.state_mut(), o.state);
    copy(layer.state(), o.state);
    layer.reset();
    Ok(())
}

/// An adapter of rank three beside a layer of n inputs and n + 1 outputs: forward, merged, backward.
pub(crate) fn lora(o: &mut Operands<T>) -> Result<(), Error> {
    let (inputs, outputs, rank) = (o.n, o.n.wrapping_add(1), 3);
    let a = Matrix::new(rank, inputs, first(o.y, rank.wrapping_mul(inputs)))?;
    let b = Matrix::new(outputs, rank, first(o.x, outputs.wrapping_mul(rank)))?;
    let lora = Lora::new(a, b, lora_scale(o.t, rank))?.on(o.cpu);
    let other = lora.scaled(rs_lora_scale(o.t, lora.rank()))?;
    let mut scratch = [0.0; 64];
    let h = first_mut(&mut scratch, rank);
    let (y, rest) = o.out.split_at_mut_checked(outputs).unwrap_or_default();
    lora.add_to(first(o.x, inputs), y, h)?;
    lora.add_to_rows(first(o.y, inputs), y, h)?;
    let both = [lora, other];
    let sum = LoraSum::new(&both)?;
    sum.add_to(first(o.y, inputs), y, first_mut(h, sum.scratch_len()))?;
    let (dx, rest) = rest.split_at_mut_checked(inputs).unwrap_or_default();
    a.on(o.cpu).multiply_transposed_add(first(o.x, rank), dx)?;
    let (da, rest) = rest
        .split_at_mut_checked(rank.wrapping_mul(inputs))
        .unwrap_or_default();
    let db = first_mut(rest, outputs.wrapping_mul(rank));
    lora.vjp(first(o.x, inputs), first(o.y, outputs), dx, da, db, h)?;
    let weights = first_mut(o.state, outputs.wrapping_mul(inputs));
    copy(o.y, weights);
    let scratch = first_mut(&mut scratch, sum.merge_scratch_len());
    sum.merge(weights, scratch)?;
    lora.unmerge(weights, first_mut(scratch, lora.merge_scratch_len()))?;
    lora.merge(weights, scratch)?;
    sum.unmerge(weights, scratch)
}

/// The relatives of [`lora`], of rank two beside n inputs and outputs.
pub(crate) fn adapters(o: &mut Operands<T>) -> Result<(), Error> {
    let (n, rank) = (o.n, 2_usize);
    let len = rank.wrapping_mul(n);
    let a = Matrix::new(rank, n, first(o.y, len))?;
    let b = Matrix::new(n, rank, first(o.x, len))?;
    let mut scratch = [0.0; 64];
    let merging = first_mut(&mut scratch, rank.wrapping_add(n));
    let lora = Lora::new(a, b, o.t)?.on(o.cpu);
    let (norms, rest) = o
        .out
        .split_at_mut_checked(lora.outputs())
        .unwrap_or_default();
    let weights = first_mut(o.state, n.wrapping_mul(n));
    copy(o.x, weights);
    dora_norms(Matrix::new(n, n, &*weights)?, &lora, norms, merging)?;
    let dora = Dora::new(lora, first(o.y, n), norms)?;
    let (y, rest) = rest.split_at_mut_checked(n).unwrap_or_default();
    dora.add_to(first(o.x, lora.inputs()), y, first_mut(merging, rank))?;
    dora.merge(weights, merging)?;
    let (dy, rest) = rest.split_at_mut_checked(n).unwrap_or_default();
    copy(o.y, dy);
    let (dm, rest) = rest.split_at_mut_checked(n).unwrap_or_default();
    dora.vjp(y, dy, dm)?;

    let ia3 = Ia3::new(first(o.x, n))?;
    ia3.add_to(&[], y, &mut [])?;
    ia3.vjp(y, dy, dm)?;
    ia3.merge(weights)?;

    let vera = Vera::new(a, b, first(o.x, rank), first(o.y, n))?.on(o.cpu);
    vera.add_to(first(o.x, n), y, first_mut(merging, vera.scratch_len()))?;
    vera.merge(weights, merging)?;
    vera.unmerge(weights, merging)?;
    let scratch = first_mut(&mut scratch, vera.vjp_scratch_len());
    let (dx, rest) = rest.split_at_mut_checked(n).unwrap_or_default();
    let (dd, rest) = rest.split_at_mut_checked(rank).unwrap_or_default();
    let dl = first_mut(rest, n);
    vera.vjp(first(o.x, n), first(o.y, n), dx, dd, dl, scratch)
}

/// The rates of LoRA+, what factors begin with, and two steps of every rule.
pub(crate) fn optimizers(o: &mut Operands<T>) -> Result<(), Error> {
    let ratio = Ratio::Balanced {
        inputs: o.n,
        outputs: 3,
        rank: 2,
    };
    let plus = LoraPlus::new(o.t)?
        .with_weight_decay(o.t)?
        .with_embedding_rate(ratio.value()?)?
        .with_ratio(ratio)?;
    let (a, b) = o.out.split_at_mut_checked(o.n).unwrap_or_default();
    let mut word = o.n as u32;
    let words = || {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        word
    };
    Initial::Uniform.fill(1, words, a, first_mut(b, o.n))?;
    let moments = Moments::default();
    let rules = [
        Rule::Sgd,
        Rule::SignSgd,
        Rule::Adam(moments),
        Rule::AdamW(moments),
    ];
    for rule in rules {
        let optimizer = Optimizer::new(rule)?.on(o.cpu);
        let state = first_mut(o.state, optimizer.state_len::<T>(o.n));
        optimizer.begin(a, state)?;
        for (time, group) in [(1, Group::A), (1_000, Group::Embedding)] {
            let (rate, decay) = (plus.rate(group), plus.decay(group));
            optimizer.step(time, rate, decay, a, first(o.x, o.n), state)?;
        }
    }
    Ok(())
}

/// Patches of two by one pixels, in both layouts, as bytes and back.
pub(crate) fn patches(o: &mut Operands<T>) -> Result<(), Error> {
    let patches = Patches::new([4, o.n, 3], [2, 1])?;
    let len = patches.image_len();
    let image = first(o.raw, len);
    let (out, back) = o
        .out
        .split_at_mut_checked(patches.patches_len())
        .unwrap_or_default();
    patches.patchify(image, out)?;
    let back = first_mut(back, len);
    patches.unpatchify(out, back)?;
    let planes =
        Patches::padded([3, o.n, 3], [2, 2])?.with_channels(Channels::First, Channels::Last);
    let state = first_mut(o.state, planes.patches_len());
    planes.patchify_padded(first(o.x, planes.image_len()), Padding::Value(o.t), state)?;
    planes.unpatchify(state, first_mut(back, planes.image_len()))?;
    let edge = planes.is_padded() && planes.index(planes.count(), planes.patch_len()).is_none();
    let [rows, columns] = planes.grid();
    let place = planes.place(o.n).unwrap_or_default();
    for (to, at) in back.iter_mut().zip([rows, columns, place.0, place.1]) {
        *to = if edge { at as T } else { 0.0 };
    }
    let mut bytes = [0; 64];
    let bytes = first_mut(&mut bytes, o.n);
    unit_to_bytes(first(o.y, o.n), bytes)?;
    bytes_to_unit(bytes, first_mut(o.state, o.n))
}

/// Planes turned into patches of pixels and back, and pixels into patches of planes.
pub(crate) fn planes(o: &mut Operands<T>) -> Result<(), Error> {
    let planes = Patches::new([4, o.n, 3], [2, 1])?.with_channels(Channels::First, Channels::Last);
    let pixels = planes.with_channels(Channels::Last, Channels::First);
    let len = planes.image_len();
    let (out, rest) = o.out.split_at_mut_checked(len).unwrap_or_default();
    let image = first(o.raw, len);
    planes.patchify(image, out)?;
    planes.unpatchify(image, first_mut(o.state, len))?;
    pixels.patchify(image, first_mut(rest, len))?;
    pixels.unpatchify(out, first_mut(rest.get_mut(len..).unwrap_or_default(), len))
}

/// Vocabularies of codes of n tokens.
pub(crate) fn codes(o: &mut Operands<T>) -> Result<(), Error> {
    let len = o.n as u64;
    for (i, to) in (0_u64..).zip(o.out.chunks_exact_mut(16).take(4)) {
        let bits = len.wrapping_mul(13_u64.wrapping_add(i.wrapping_mul(30)));
        let words = least_vocabulary(bits.wrapping_add(i), len).unwrap_or_default();
        for (to, byte) in to.iter_mut().zip(words.to_le_bytes()) {
            *to = T::from(byte);
        }
    }
    Ok(())
}

/// Weights with rows of lengths of their own, and back.
pub(crate) fn unmerged(o: &mut Operands<T>) -> Result<(), Error> {
    let (n, rank) = (o.n, 2_usize);
    let len = rank.wrapping_mul(n);
    let a = Matrix::new(rank, n, first(o.y, len))?;
    let b = Matrix::new(n, rank, first(o.x, len))?;
    let lora = Lora::new(a, b, o.t)?.on(o.cpu);
    let mut scratch = [0.0; 64];
    let scratch = first_mut(&mut scratch, lora.merge_scratch_len());
    let weights = first_mut(o.state, n.wrapping_mul(n));
    copy(o.x, weights);
    let norms = first_mut(o.out, n);
    dora_norms(Matrix::new(n, n, &*weights)?, &lora, norms, scratch)?;
    let dora = Dora::new(lora, first(o.y, n), norms)?;
    dora.merge(weights, scratch)?;
    dora.unmerge(weights, scratch)
}

/// A schedule of n steps, noise in and out, and capacities.
pub(crate) fn diffusion(o: &mut Operands<T>) -> Result<(), Error> {
    let ddpm = Ddpm::new(o.t / (o.t + o.t), first_mut(o.state, o.n))?.on(o.cpu);
    let t = ddpm.steps();
    let numbers = [
        ddpm.alpha(t)?,
        ddpm.beta(t)?,
        ddpm.signal(t)?,
        ddpm.noise(t)?,
    ];
    let (out, rest) = o.out.split_at_mut_checked(o.n).unwrap_or_default();
    let (x, y) = (first(o.x, o.n), first(o.y, o.n));
    ddpm.diffuse(t, x, y, out)?;
    ddpm.step(t, out, y, Some(x))?;
    copy(&numbers, rest);
    let words = o.n as u64;
    let bits = code_bits(words, words.wrapping_add(2));
    let len = least_code_len(bits, words.wrapping_add(3))?;
    let counts = [bits, vocabulary_bits(bits, words)?, len as f64].map(|x| x as T);
    copy(&counts, rest.get_mut(4..).unwrap_or_default());
    Ok(())
}

/// The model of [`recompute`] with a cache for its first layer, n tokens.
pub(crate) fn checkpoint(o: &mut Operands<T>) -> Result<(), Error> {
    let attention = Attention::new(2, 1, 3)?.with_value_dim(2)?.on(o.cpu);
    let recompute = Recompute::new(attention);
    let mut model = Model {
        tokens: o.y,
        weights: o.y.get(1024..).unwrap_or_default(),
    };
    let mut frames = [Frame::default(); 1];
    let (keys, rest) = o
        .state
        .split_at_mut_checked(cache_len(1, 3, o.n))
        .unwrap_or_default();
    let (values, rest) = rest
        .split_at_mut_checked(cache_len(1, 2, o.n))
        .unwrap_or_default();
    let (rows, scratch) = rest
        .split_at_mut_checked(checkpoint_len(2, 1, 4, o.n))
        .unwrap_or_default();
    let mut caches = [Cache::<T, _>::new(1, 3, 2, keys, values)?];
    let mut below = Checkpoint::new(4, &mut caches, rows)?;
    let (hidden, rest) = o.out.split_at_mut_checked(4).unwrap_or_default();
    for _ in 0..o.n {
        let scratch = first_mut(scratch, recompute.advance_len(o.n));
        recompute.advance(&mut model, &mut below, scratch)?;
    }
    let above = first_mut(scratch, recompute.scratch_len(1, 4, o.n));
    recompute.hidden_above(&mut model, &below, &mut frames, above, hidden)?;
    below.clear();
    // What is left in the scratch is no result.
    scratch.fill(0.0);
    let costs = [checkpoint_cost(2, 1, o.n), checkpoint_cost(o.n, 5, 7)];
    copy(&costs.map(|cost| cost.unwrap_or(0) as u32 as T), rest);
    Ok(())
}

/// Two heads over a latent vector of six elements and a rotated key of two, n tokens, in both forms; then
/// the counts of these sizes.
pub(crate) fn latent(o: &mut Operands<T>) -> Result<(), Error> {
    let dims = LatentDims {
        heads: 2,
        latent_dim: 6,
        rope_dim: 2,
        nope_dim: 3,
        value_dim: 2,
    };
    let latent = Latent::joint(dims, first(o.y.get(64..).unwrap_or_default(), 60))?
        .with_joint_scales(first(o.x, 10))?
        .with_mscale(o.t)?
        .on(o.cpu);
    let (query, rope_query) = (first(o.y, 6), first(o.x, 4));
    let latents = first(o.x, o.n.wrapping_mul(6));
    let rope_keys = first(o.y, o.n.wrapping_mul(2));
    let (rows, scratch) = o
        .state
        .split_at_mut_checked(latent_cache_len(6, 2, o.n))
        .unwrap_or_default();
    let mut cache = LatentCache::<T, _>::new(6, 2, &mut *rows)?;
    cache.append(latents, rope_keys)?;
    let (out, rest) = o.out.split_at_mut_checked(4).unwrap_or_default();
    let len = latent.scratch_len(o.n);
    let own = first_mut(scratch, len);
    latent.attend(query, rope_query, &cache, o.n, own, out)?;
    // A memory that owns its storage gives the same bits.
    #[cfg(feature = "heapless")]
    {
        let len = latent.scratch_len(o.n);
        let mut cache =
            OwnedLatentCache::<T, { latent_cache_len(6, 2, 130) }>::with_tokens(6, 2, o.n)?;
        cache.append(latents, rope_keys)?;
        latent.attend(query, rope_query, &cache, o.n, first_mut(scratch, len), out)?;
    }
    let (token, rest) = rest.split_at_mut_checked(8).unwrap_or_default();
    let (c, r) = token.split_at_mut_checked(6).unwrap_or_default();
    cache.token_into(0, c, r)?;
    cache.truncate(cache.capacity() / 2);

    // The steps of the absorbed form, with other weights.
    let latent = Latent::new(dims, first(o.y, 36), first(o.x, 24))?
        .with_scales(first(o.x, 6), first(o.y, 4))?
        .with_scale(o.t)?
        .on(o.cpu);
    let cache = LatentCache::<T, _>::filled(6, 2, &*rows)?;
    let (absorbed, attended) = (latent.absorbed_attention(), latent.expanded_attention());
    let (queries, others) = scratch
        .split_at_mut_checked(absorbed.query_len())
        .unwrap_or_default();
    latent.absorb(query, rope_query, queries)?;
    let (means, others) = others
        .split_at_mut_checked(absorbed.out_len())
        .unwrap_or_default();
    let own = first_mut(others, absorbed.scratch_len(o.n));
    absorbed.attend(queries, &cache, o.n / 2, own, means)?;
    let (out, rest) = rest.split_at_mut_checked(4).unwrap_or_default();
    latent.expand_output(means, out)?;

    // The expanded form.
    let (keys, others) = scratch
        .split_at_mut_checked(cache_len(2, 5, o.n))
        .unwrap_or_default();
    let (values, others) = others
        .split_at_mut_checked(cache_len(2, 2, o.n))
        .unwrap_or_default();
    latent.expand(latents, rope_keys, keys, values)?;
    let cache = Cache::<T, _>::filled(2, 5, 2, &*keys, &*values)?.with_layout(Layout::TokenMajor);
    let own = first_mut(others, attended.scratch_len(o.n));
    let (out, rest) = rest.split_at_mut_checked(4).unwrap_or_default();
    attended.attend(first(o.x, 10), &cache, o.n, own, out)?;
    // What is left in the scratch is no result.
    scratch.fill(0.0);

    let sharing = Sharing::Latent(latent.dims());
    let counts = [
        kv_cache_len(sharing),
        sharing.absorption(),
        sharing.multiply_adds_per_key(),
        sharing.step_multiply_adds(o.n),
        sharing.weights(o.n, Some(3)),
        sharing.expanded().query_heads(),
        kv_cache_len(Sharing::multi_head(4, o.n, 3)),
        kv_cache_len(Sharing::multi_query(4, o.n, 3)),
        Sharing::grouped_query(4, 2, o.n, 3).weights(5, None),
    ];
    copy(&counts.map(|count| count as u32 as T), rest);
    Ok(())
}

/// The heads of [`attention`] over n tokens in three stretches, their states joined and sent.
pub(crate) fn stretches(o: &mut Operands<T>) -> Result<(), Error> {
    const LEN: usize = OnlineSoftmax::<T, [T; 0]>::state_len(4, 5);
    let attention = Attention::new(4, 2, 6)?.with_value_dim(5)?.on(o.cpu);
    let query = first(o.y, attention.query_len());
    let keys = first(o.x, cache_len(2, 6, o.n));
    let values = first(o.y, cache_len(2, 5, o.n));
    let cache = Cache::<T, _>::filled(2, 6, 5, keys, values)?;
    let mut states = [OnlineSoftmax::new(4, 5, [0.0; LEN])?.on(o.cpu); 3];
    let scratch = first_mut(o.state, attention.scratch_len(o.n));
    let ends = [o.n.min(64), o.n.min(128), o.n];
    let mut from = 0;
    for (state, to) in states.iter_mut().zip(ends) {
        attention.attend_stretch(query, &cache, from..to, scratch, state)?;
        from = to;
    }
    // What is left in the scratch is no result.
    scratch.fill(0.0);
    OnlineSoftmax::merge_tree(&mut states)?;
    let [whole, ..] = states;
    copy(whole.as_slice(), o.state);
    let whole = OnlineSoftmax::received(4, 5, first_mut(o.state, LEN))?;
    whole.finish(first_mut(o.out, attention.out_len()))
}
