#!/usr/bin/env python3
"""Writes `math_f64.txt` beside this file: f64 elementary functions in mpmath, a few hundred points each.

A line is `function x y rest`: x and the nearest f64 y in hexadecimal bits, and (exact - y) in units in
the last place of y, to three decimals. Points: stratified over the exponent range and over the
interval of interest (fixed seed), neighbors of the places where an implementation switches, ends of
the range, and for sine and cosine the f64 closest to multiples of pi/2, by continued fractions.
"""

import random
import struct
from pathlib import Path

import mpmath
from mpmath import mp, mpf

mp.prec = 1400


def bits(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def unbits(b):
    return struct.unpack("<d", struct.pack("<Q", b))[0]


def around(*centers):
    """Returns the neighbors of each center, of both signs."""
    out = []
    for c in centers:
        for step in (-2, -1, 0, 1, 2):
            x = unbits(bits(abs(float(c))) + step)
            out += [x, -x]
    return out


def hard_angles():
    """Returns f64 numbers closest to multiples of pi/2: m 2^e with m of 53 bits."""
    found = []
    for e in range(-50, 971, 3):
        ratio = mpf(2) ** e * 2 / mp.pi
        # Convergents of the fractional part of the ratio have small m * ratio mod 1.
        a, p0, q0, p1, q1 = ratio, 0, 1, 1, 0
        while True:
            whole = int(mpmath.floor(a))
            p0, p1 = p1, whole * p1 + p0
            q0, q1 = q1, whole * q1 + q0
            if q1 >= 1 << 53 or a == whole:
                break
            a = 1 / (a - whole)
        if q0 > 0:
            found.append((abs(q0 * ratio - p0), float(mpf(q0) * mpf(2) ** e)))
    found.sort()
    return [x for _, x in found[:80]]


def nearest(y):
    """Returns the f64 nearest to y and the difference in units in the last place."""
    if y == 0 or not mpmath.isfinite(y):
        return float(y), 0.0
    _, exponent = mpmath.frexp(y)
    unit = mpf(2) ** max(exponent - 53, -1074)
    n = mpmath.nint(y / unit)
    if abs(n * unit) >= mpf(2) ** 1024:
        return (float("inf") if y > 0 else float("-inf")), 0.0
    return float(n * unit), float(y / unit - n)


def points(low, high, extra=(), positive=False, strata=(-60, 10)):
    rng = random.Random(1)
    out = list(extra)
    out += [rng.uniform(low, high) for _ in range(120)]
    for _ in range(120):
        x = rng.uniform(1, 2) * 2.0 ** rng.uniform(*strata)
        if not positive and rng.random() < 0.5:
            x = -x
        if low <= x <= high:
            out.append(x)
    return [x for x in out if low <= x <= high]


def logistic(x):
    return 1 / (1 + mpmath.exp(-x))


LN2 = 0.6931471805599453
HALF_LN2 = around(LN2 / 2, LN2, 1.5 * LN2, 2.5 * LN2)
TINY = [5e-324, -5e-324, 2.2250738585072014e-308, -2.2250738585072014e-308, 1e-310, 1e-300]
CASES = [
    ("exp", mpmath.exp, points(-746, 710, HALF_LN2 + TINY + around(708.3, 709.78, 745.1))),
    ("exp_m1", mpmath.expm1, points(-40, 710, HALF_LN2 + TINY + around(36.7, 37.4, 44.3, 709.78))),
    ("ln", mpmath.log, points(0, 1.7e308, TINY + around(1, 2, 0.5, 2**0.5, 0.5**0.5, 1.7e308), True, (-1074, 1024))),
    ("ln_1p", mpmath.log1p, points(-1, 1.7e308, TINY + around(2**0.5 - 1, 1 - 0.5**0.5, 1, 0.9999999, 1e15, 1e16), False, (-80, 1024))),
    ("sin", mpmath.sin, points(-1e5, 1e308, TINY + hard_angles() + around(mpmath.pi / 4, 1647097, 1.7e6), False, (-60, 1023))),
    ("cos", mpmath.cos, points(-1e5, 1e308, TINY + hard_angles() + around(mpmath.pi / 4, 1647097, 1.7e6), False, (-60, 1023))),
    ("sin_pi", mpmath.sinpi, points(-1e5, 1e17, TINY[2:4] + around(0.25, 0.5, 1, 1.5, 2**51, 2**52, 2**53), False, (-60, 54))),
    ("cos_pi", mpmath.cospi, points(-1e5, 1e17, TINY[2:4] + around(0.25, 0.5, 1, 1.5, 2**51, 2**52, 2**53), False, (-60, 54))),
    ("tanh", mpmath.tanh, points(-25, 25, TINY + around(0.625, 1, 18, 19.1), False, (-60, 5))),
    ("sigmoid", logistic, points(-745, 40, HALF_LN2 + TINY + around(36.7, 708.3, 745.0))),
    ("softplus", lambda x: mpmath.log1p(mpmath.exp(x)), points(-745, 1000, HALF_LN2 + TINY + around(0.88, 36.7, 708.3, 745.0))),
    ("erf", mpmath.erf, points(-6, 6, TINY + around(1, 0.46875, 5.9), False, (-60, 3))),
    ("erfc", mpmath.erfc, points(-7, 27.3, TINY + around(1, 0.46875, 4.134765625, 26.5, 27.2), False, (-60, 5))),
]


def main():
    lines = [
        f"# Written by math_f64.py with mpmath {mpmath.__version__} at {mp.prec} bits.",
        "# function, x and the nearest y as hexadecimal bits, (exact - y) in units in the last place of y",
    ]
    for name, function, xs in CASES:
        for x in dict.fromkeys(xs):
            y, rest = nearest(function(mpf(x)))
            lines.append(f"{name} {bits(x):x} {bits(y):x} {rest:.3f}")
    Path(__file__).with_name("math_f64.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
