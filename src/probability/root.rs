//! Where a falling function of one number is zero.

/// The most steps: those that do not halve the bracket halve the step.
const STEPS: usize = 160;

/// Returns the zero between `low` and `high` of a function that falls, by Newton's steps from `from`.
///
/// `step` returns, at a point, Newton's step and a number with the sign of the function, zero where
/// that is small enough. Steps that leave the bracket, or do not become smaller fast enough, give
/// way to its middle.
#[inline(always)]
pub(super) fn falling(
    (mut low, mut high): (f64, f64),
    from: f64,
    mut step: impl FnMut(f64) -> (f64, f64),
) -> f64 {
    // The last two movements.
    let (mut at, mut moved) = (from, [f64::INFINITY; 2]);
    for _ in 0..STEPS {
        let (step, excess) = step(at);
        if excess >= 0.0 {
            low = at;
        } else {
            high = at;
        }
        let slow = step.abs() > moved[0] / 2.0;
        let next = if !slow && at + step >= low && at + step <= high {
            at + step
        } else {
            low + (high - low) / 2.0
        };
        moved = [moved[1], (next - at).abs()];
        if excess == 0.0 || next == at {
            break;
        }
        at = next;
    }
    at
}
