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
    sin_pi sin_pi_in_place;
    cos_pi cos_pi_in_place;
}

pub(crate) fn sin_cos_pi(o: &mut Operands<T>) -> Result<(), Error> {
    let (sin, cos) = (first_mut(o.out, o.n), first_mut(o.state, o.n));
    math::sin_cos_pi(o.cpu, first(o.raw, o.n), sin, cos)
}

/// Frequencies of the longest head.
type Storage = [<T as Angle>::Turns; 64];

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
    let rows = layout.rotary_dim().wrapping_mul(4);
    let mut table = RopeTable::new(&rope, -1, first_mut(&mut table, rows))?.on(o.cpu);
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

pub(crate) fn permute_rows(o: &mut Operands<T>) -> Result<(), Error> {
    let layout = head(o, Pairing::Interleaved)?;
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
    let visible = Visible::from(o.n).window(7).sinks(2);
    attention.attend(query, &cache, visible, scratch, first_mut(rest, out.len()))?;
    cache.truncate(cache.capacity() / 2);
    attention.attend_rows(query, &cache, o.n / 2, scratch, out)
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
