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
