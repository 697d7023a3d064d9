#!/usr/bin/env python3
"""Derives every constant of `src/math` and writes `coefficients.rs` beside this file.

Needs mpmath alone. Run it without arguments to write the file, with `--check` to fail if the
committed file differs. It takes half a minute.

Each polynomial is a weighted minimax approximation, found by the Remez exchange in 60 digits. The
coefficients are then rounded to the target type one after the other, lowest power first, and those
that are left make up for the rounding in the least squares sense, where that beats rounding all at
once. The error that a constant states is the one of the rounded coefficients.
"""

import struct
import sys
from pathlib import Path

from mpmath import (atan, atanh, cos, erf, erfc, exp, expm1, floor, fabs, ldexp, log, lu_solve, matrix, mp, mpf,
                    nint, pi, sin, sqrt, tanh)

mp.dps = 60


class Type:
    """A binary format: its name in Rust, its precision in bits and its exponent range."""

    def __init__(self, name, bits, code, digits):
        self.name, self.bits, self.code, self.digits = name, bits, code, digits

    def round(self, x):
        """Rounds to nearest; every constant here is a normal number."""
        return short(x, self.bits)

    def literal(self, x):
        """Returns the shortest decimal that parses back to the same bits."""
        want = struct.pack(self.code, float(x))
        for digits in range(1, self.digits + 1):
            text = f"{float(x):.{digits}g}"
            if struct.pack(self.code, float(text)) == want:
                break
        mantissa, _, exponent = text.partition("e")
        if exponent and int(exponent) > 0:
            mantissa, exponent = f"{float(text):.0f}", ""
        if "." not in mantissa:
            mantissa += ".0"
        return mantissa + (f"e{int(exponent)}" if exponent else "")


F32 = Type("f32", 24, "<f", 9)
F64 = Type("f64", 53, "<d", 17)


def short(x, bits):
    """Rounds x to `bits` significant bits."""
    if x == 0:
        return mpf(0)
    scale = bits - 1 - int(floor(log(fabs(x), 2)))
    return ldexp(nint(ldexp(mpf(x), scale)), -scale)


def nodes(low, high, count):
    """Chebyshev nodes, none of them an end of the interval."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * cos((2 * i + 1) * pi / (2 * count)) for i in range(count)]


def exchange(points, values, weights, powers):
    """Returns the coefficients of x^p, p in powers, whose greatest weighted error is least."""
    count = len(powers)
    if count == 0:
        return []
    table = [[x**p for p in powers] for x in points]
    at = [round((1 - float(cos(i * pi / count))) / 2 * (len(points) - 1)) for i in range(count + 1)]
    best = None
    for _ in range(20):
        system = matrix([table[i] + [(-1) ** n / weights[i]] for n, i in enumerate(at)])
        solution = lu_solve(system, matrix([values[i] for i in at]))
        coefficients = [solution[j] for j in range(count)]
        errors = [
            (sum(c * t for c, t in zip(coefficients, row)) - v) * w for row, v, w in zip(table, values, weights)
        ]
        greatest = max(fabs(e) for e in errors)
        if best is None or greatest < best[0]:
            best = (greatest, coefficients)
        if greatest <= fabs(solution[count]) * mpf("1.002"):
            break
        peaks = []
        for i, e in enumerate(errors):
            if peaks and (e > 0) == (errors[peaks[-1]] > 0):
                if fabs(e) > fabs(errors[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > count + 1:
            peaks.pop(0 if fabs(errors[peaks[0]]) < fabs(errors[peaks[-1]]) else -1)
        if len(peaks) < count + 1:
            break
        at = peaks
    return best[1]


class Polynomial:
    """A function, the powers of its argument, the interval, and the weight of its error."""

    def __init__(self, name, doc, function, weight, low, high, powers):
        self.name, self.doc, self.function, self.weight = name, doc, function, weight
        self.low, self.high, self.powers = mpf(low), mpf(high), list(powers)

    def derive(self, kind):
        """Returns the rounded coefficients, lowest power first, and their greatest weighted error."""
        points = nodes(self.low, self.high, 24 * (len(self.powers) + 2))
        values = [self.function(x) for x in points]
        weights = [fabs(self.weight(x)) for x in points]
        exact = exchange(points, values, weights, self.powers)
        plain = [kind.round(c) for c in exact]
        table = [[w * x**p for p in self.powers] for x, w in zip(points, weights)]
        error = lambda c: max(
            fabs(sum(a * t for a, t in zip(c, row)) - v * w) for row, v, w in zip(table, values, weights)
        )
        return min(((error(c), c) for c in (plain, compensated(kind, exact, table))), key=lambda e: e[0])[::-1]


def compensated(kind, exact, table):
    """Rounds one coefficient after the other and lets the later ones make up for it, in the least squares sense."""
    count = len(exact)
    gram = matrix([[sum(row[i] * row[j] for row in table) for j in range(count)] for i in range(count)])
    done, left = [], list(exact)
    for i in range(count):
        done.append(kind.round(left[0]))
        lost, left = left[0] - done[i], left[1:]
        if left:
            minor = matrix([[gram[j, k] for k in range(i + 1, count)] for j in range(i + 1, count)])
            side = matrix([gram[j, i] * lost for j in range(i + 1, count)])
            left = [a + b for a, b in zip(left, lu_solve(minor, side))]
    return done


def even(function):
    """Returns a function of z = x^2 as a function of z."""
    return lambda z: function(sqrt(z))


LN2_HALF = log(2) / 2
QUARTER = (pi / 4) ** 2
ATANH = ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2
TANH_SPLIT = mpf("0.625")
ERF_SPLIT = mpf(1)
ERFC_FROM = mpf("0.46875")


def scaled_erfc(x):
    """A function close to one on the whole half line."""
    return (1 + 2 * x) * exp(x * x) * erfc(x)


def center_of_erfc(kind):
    """Returns the center near 4 where the constant term of the polynomial loses least by its rounding."""
    centers = [4 + mpf(i) / 1024 for i in range(-256, 257)]
    values = [(scaled_erfc(c), c) for c in centers]
    return min((fabs(kind.round(v) - v), c) for v, c in values)[1]


def polynomials(kind):
    """Returns the polynomials of one type."""
    single = kind is F32
    n = lambda f32, f64: range(f32 if single else f64)
    erfc_center, erfc_to = center_of_erfc(kind), mpf("10.25") if single else mpf("27.25")
    moebius = lambda x: (x - erfc_center) / (x + erfc_center)
    back = lambda t: erfc_center * (1 + t) / (1 - t)
    return [
        Polynomial("EXP", "(exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; error relative to exp(r)",
                   lambda r: (expm1(r) - r) / r**2, lambda r: r**2 / exp(r), -LN2_HALF * mpf("1.001"),
                   LN2_HALF * mpf("1.001"), n(5, 10)),
        Polynomial("EXP_M1", "(exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; error relative to exp(r) - 1",
                   lambda r: (expm1(r) - r) / r**2, lambda r: r**2 / expm1(r), -LN2_HALF * mpf("1.001"),
                   LN2_HALF * mpf("1.001"), n(6, 11)),
        Polynomial("LN", "(2 atanh(s)/s - 2) / z, z = s^2, on |s| <= (sqrt(2) - 1)/(sqrt(2) + 1); error relative to 2 atanh(s)",
                   even(lambda s: (2 * atanh(s) / s - 2) / s**2), even(lambda s: s**3 / (2 * atanh(s))), 0, ATANH, n(3, 7)),
        Polynomial("SIN", "(sin(r) - r) / r^3, in z = r^2, on |r| <= pi/4; error relative to sin(r)",
                   even(lambda r: (sin(r) - r) / r**3), even(lambda r: r**3 / sin(r)), 0, QUARTER * mpf("1.001"), n(3, 6)),
        Polynomial("COS", "(cos(r) - 1 + r^2/2) / r^4, in z = r^2, on |r| <= pi/4; error relative to cos(r)",
                   even(lambda r: (cos(r) - 1 + r**2 / 2) / r**4), even(lambda r: r**4 / cos(r)), 0, QUARTER * mpf("1.001"), n(3, 6)),
        Polynomial("TANH", "(tanh(x) - x) / x^3, in z = x^2, on |x| <= 0.625; error relative to tanh(x)",
                   even(lambda x: (tanh(x) - x) / x**3), even(lambda x: x**3 / tanh(x)), 0, TANH_SPLIT**2, n(5, 12)),
        Polynomial("ERF", "erf(x)/x - 1, in z = x^2, on |x| <= 1; error relative to erf(x)",
                   even(lambda x: erf(x) / x - 1), even(lambda x: x / erf(x)), 0, ERF_SPLIT**2, n(7, 13)),
        Polynomial("ERFC", "(1 + 2x) exp(x^2) erfc(x), in t = (x - c)/(x + c) with c = ERFC_CENTER, "
                   f"on 0.46875 <= x <= {float(erfc_to)}; relative error",
                   lambda t: scaled_erfc(back(t)), lambda t: 1 / scaled_erfc(back(t)),
                   moebius(ERFC_FROM), moebius(erfc_to), n(11, 22)),
    ]


def parts(x, bits, count, kind):
    """Splits x into `count` parts of `bits` bits each, the last one of full precision."""
    out = []
    for i in range(count):
        part = short(x, bits) if i + 1 < count else kind.round(x)
        out.append(part)
        x -= part
    return out, fabs(x)


def two_over_pi(words):
    """Returns the words of 2/pi, 32 bits each, after two words of integer part."""
    with mp.workprec(32 * words + 64):
        bits = int(floor(ldexp(2 / +pi, 32 * (words - 2))))
    return [bits >> 32 * (words - 1 - i) & 0xFFFF_FFFF for i in range(words)]


def binary(error):
    """Writes an error as a power of two, rounded up."""
    return f"2^{float(log(error, 2)) + 0.05:.1f}"


def array(name, literals, kind_name="Self"):
    """Writes a constant array, as many literals to a line as fit."""
    lines, line = [], "       "
    for literal in literals:
        if len(line) + len(literal) + 2 > 100:
            lines.append(line)
            line = "       "
        line += f" {literal},"
    lines.append(line)
    return [f"    const {name}: &'static [{kind_name}] = &["] + lines + ["    ];"]


def implementation(kind):
    """Writes the implementation of `Coefficients` for one type."""
    single = kind is F32
    out = [f"impl Coefficients for {kind.name} {{"]

    def number(name, value, doc):
        out.append(f"    /// {doc}")
        out.append(f"    const {name}: Self = {kind.literal(value)};")

    number("HALF", mpf(0.5), "One half.")
    number("TWO", mpf(2), "Two.")
    number("NORMALS_FROM", ldexp(mpf(1), -126 if single else -1022), "The least positive normal number.")
    number("PIECE", ldexp(mpf(1), -16), "2^-16.")
    raised = 32 if single else 64
    number("RAISE", ldexp(mpf(1), raised), "A power of two that makes every subnormal number normal.")
    number("RAISED", mpf(raised), "Its binary exponent.")
    number("LOG2_E", kind.round(1 / log(mpf(2))), "1 / ln 2.")
    bits, range_bits = (15, 9) if single else (41, 12)
    (high, low), _ = parts(log(mpf(2)), bits, 2, kind)
    low = short(log(mpf(2)) - high, bits)
    missing = binary(fabs(log(mpf(2)) - high - low))
    number("LN2_HI", high, f"{bits} bits of ln 2: exact times any |k| < 2^{range_bits}.")
    number("LN2_LO", low, f"{bits} bits more; the two miss ln 2 by {missing}.")
    bits, count, range_bits = (12, 5, 12) if single else (33, 4, 20)
    split, missing = parts(pi / 2, bits, count, kind)
    out.append(f"    /// pi/2 in {count} parts, all but the last of {bits} bits; they miss it by {binary(missing)}.")
    out.extend(array("HALF_PI_PARTS", [kind.literal(x) for x in split]))
    number("HALF_PI_LIMIT", kind.round(floor((2**range_bits - 1) * pi / 2)),
           f"Below it the nearest multiple of pi/2 is less than the 2^{range_bits}th.")
    (high, low), missing = parts(pi / 2, bits, 2, kind)
    number("HALF_PI_HI", high, f"{bits} bits of pi/2.")
    number("HALF_PI_LO", low, f"The rest; the two miss pi/2 by {binary(missing)}.")
    number("TWO_OVER_PI", kind.round(2 / pi), "2/pi.")
    words = 12 if single else 40
    out.append(f"    /// {32 * (words - 2)} bits of 2/pi after {64} bits of integer part.")
    out.extend(array("TWO_OVER_PI_WORDS", [f"0x{w:08x}" for w in two_over_pi(words)], "u32"))
    lowest, highest = (-104, 89) if single else (-746, 710)
    number("EXP_MIN", mpf(lowest), "From here down the exponential rounds to zero.")
    number("EXP_MAX", mpf(highest), "From here up the exponential overflows.")
    number("EXP_M1_MIN", mpf(-18 if single else -38), "From here down exp(x) - 1 rounds to -1.")
    number("TANH_SPLIT", TANH_SPLIT, "Where tanh leaves its polynomial for the exponential.")
    number("ERFC_FROM", ERFC_FROM, "Where erfc leaves 1 - erf(x).")
    number("ERFC_TO", mpf("10.25") if single else mpf("27.25"), "From here up erfc rounds to zero.")
    number("ERFC_CENTER", center_of_erfc(kind), "The zero of the Moebius map of erfc, where the constant term is almost exact.")
    center, shift, low = (220, 60, 184) if single else (1400, 120, 1140)
    anchored, headroom, rise = (45, 32, 34) if single else (250, 60, 500)
    reach = 149 - 2 * 24 - 1 if single else 1074 - 2 * 53 - 1
    number("CENTERED", mpf(center), "Rows of no greater maximum are not shifted.")
    number("SHIFT", mpf(shift), "Terms of a row carry 2^SHIFT.")
    number("FLOOR", mpf(low), "Terms below 2^-FLOOR of the greatest are held there.")
    number("ANCHORED", mpf(anchored), "Scores of no greater size may stand in for a row's maximum.")
    number("HEADROOM", mpf(headroom), "The maximum is then taken to lie 2^HEADROOM above.")
    number("RISE", mpf(rise), "And may lie 2^RISE above that.")
    number("REACH", mpf(reach), "Down to 2^-REACH, 2^k p is exact for every p with a say in 2^k + 2^k p.")
    for polynomial in polynomials(kind):
        coefficients, error = polynomial.derive(kind)
        degree = polynomial.powers[-1]
        out.append(f"    /// {polynomial.doc}.")
        out.append(f"    ///")
        out.append(f"    /// Degree {degree}, error {binary(error)}.")
        out.extend(array(polynomial.name, [kind.literal(c) for c in reversed(coefficients)]))
        print(kind.name, polynomial.name, degree, binary(error), file=sys.stderr)
    out.append("}")
    return out


def generate():
    """Returns the text of `coefficients.rs`."""
    lines = [
        "//! Constants of the elementary functions. Generated: edit and run `python3 src/math/coefficients.py`.",
        "//!",
        "//! Polynomials are minimax, highest power first; decimals parse back to the exact bits.",
        "",
        "#![allow(clippy::approx_constant, reason = \"the rounded constant is what is meant\")]",
        "",
        "use super::Coefficients;",
    ]
    for kind in (F32, F64):
        lines += [""] + implementation(kind)
    return "\n".join(lines) + "\n"


def main():
    path = Path(__file__).with_name("coefficients.rs")
    text = generate()
    if "--check" in sys.argv[1:]:
        if path.read_text() != text:
            sys.exit(f"{path.name} differs from what {Path(__file__).name} derives")
    else:
        path.write_text(text)


if __name__ == "__main__":
    main()
