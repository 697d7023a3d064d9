#!/usr/bin/env python3
"""Writes scaling.txt: scaled rotary frequencies as fractions of a turn, in units of 2^-128.

Needs mpmath (written with 1.3.0). A line holds a name, the number of pairs, the parameters as decimals that
parse to the very f64, a colon, and the frequencies over 2 pi modulo one, rounded down.
"""

from pathlib import Path

from mpmath import ceil, floor, log, mp, mpf, pi

mp.dps = 80


def base(b, pairs):
    return [mpf(b) ** (-mpf(i) / pairs) for i in range(pairs)]


def linear(pairs, b, k):
    return [t / mpf(k) for t in base(b, pairs)]


def ntk_old(pairs, b, k):
    return base(mpf(b) * mpf(k), pairs)


def ntk_aware(pairs, b, k):
    scaled = mpf(b) * mpf(k) ** (mpf(2 * pairs) / (2 * pairs - 2)) if pairs > 1 else b
    return base(scaled, pairs)


def ntk_fixed(pairs, b, k):
    """n / (lambda (beta lambda)^(m - 1)), m = 1 .. d/2."""
    beta, lam = mpf(b) ** (mpf(1) / pairs), mpf(k) ** (mpf(1) / pairs)
    return [1 / (lam * (beta * lam) ** (m - 1)) for m in range(1, pairs + 1)]


def ntk_mixed(pairs, b, k, c):
    """n / (beta^(m - 1) exp(a m^c)) with a (d/2)^c = ln k."""
    beta, a = mpf(b) ** (mpf(1) / pairs), log(mpf(k)) / mpf(pairs) ** mpf(c)
    return [1 / (beta ** (m - 1) * mp.exp(a * mpf(m) ** mpf(c))) for m in range(1, pairs + 1)]


def blend(frequencies, kept, k):
    return [t * g + t / mpf(k) * (1 - g) for t, g in zip(frequencies, kept)]


def clip(x):
    return min(max(x, mpf(0)), mpf(1))


def turns(pairs, b, k, length, fast, slow):
    """The formula of the YaRN paper; with fast 4 and slow 1 that of Llama 3."""
    frequencies = base(b, pairs)
    kept = [clip((t * length / (2 * pi) - mpf(slow)) / (mpf(fast) - mpf(slow))) for t in frequencies]
    return blend(frequencies, kept, k)


def llama3(pairs, b, k, length, high, low):
    """By wavelengths, as the configuration of Llama 3.1 is read."""
    out = []
    for t in base(b, pairs):
        wavelength = 2 * pi / t
        if wavelength < length / mpf(high):
            out.append(t)
        elif wavelength > length / mpf(low):
            out.append(t / mpf(k))
        else:
            smooth = (length / wavelength - mpf(low)) / (mpf(high) - mpf(low))
            out.append((1 - smooth) * t / mpf(k) + smooth * t)
    return out


def index(pairs, b, k, length, fast, slow, truncate=True):
    """The reference code of YaRN: find_correction_range and linear_ramp_mask."""
    dim = 2 * pairs
    low, high = (dim * log(length / (mpf(turns) * 2 * pi)) / (2 * log(mpf(b))) for turns in (fast, slow))
    if truncate:
        low, high = floor(low), ceil(high)
    low, high = max(low, mpf(0)), min(high, mpf(dim - 1))
    if low == high:
        high += mpf("0.001")
    kept = [1 - clip((i - low) / (high - low)) for i in range(pairs)]
    return blend(base(b, pairs), kept, k)


def exact_index(*arguments):
    return index(*arguments, truncate=False)


CASES = [
    (linear, 32, 1e4, 4.0), (linear, 5, 5e5, 2.7), (linear, 3, 1e4, 0.3), (linear, 64, 1e6, 1.1),
    (ntk_old, 64, 1e4, 8.0), (ntk_old, 3, 5e5, 1.7), (ntk_aware, 64, 1e4, 8.0), (ntk_aware, 32, 1e4, 7.0),
    (ntk_aware, 2, 1e4, 3.3), (ntk_aware, 1, 1e4, 3.3), (ntk_aware, 16, 1e6, 1.0), (ntk_fixed, 64, 1e4, 8.0),
    (ntk_fixed, 7, 5e5, 12.5), (ntk_mixed, 64, 1e4, 8.0, 0.625), (ntk_mixed, 64, 1e4, 12.0, 0.75),
    (ntk_mixed, 5, 1e6, 3.7, 0.0), (ntk_mixed, 6, 1e4, 2.0, 1.0), (ntk_mixed, 9, 1e4, 1e9, 17.3),
    (turns, 64, 1e4, 16.0, 4096, 32.0, 1.0), (turns, 32, 1e6, 2.5, 32768, 48.5, 0.7),
    (llama3, 64, 5e5, 8.0, 8192, 4.0, 1.0), (llama3, 32, 5e5, 32.0, 8192, 4.0, 1.0),
    (index, 64, 1e4, 16.0, 4096, 32.0, 1.0), (index, 32, 1e4, 40.0, 4096, 32.0, 1.0), (index, 32, 1e4, 16.0, 4096, 32.0, 1.0),
    (index, 4, 1e4, 16.0, 4096, 8.0, 1.5), (index, 8, 100.0, 4.0, 1000000, 32.0, 1.0), (index, 8, 1e4, 4.0, 7, 32.0, 1.0),
    (index, 8, 1e4, 4.0, 3, 2.0, 1.0), (index, 2, 1e4, 4.0, 300, 40.0, 39.5), (index, 64, 1e6, 0.5, 32768, 32.0, 1.0),
    (exact_index, 32, 1.5e5, 32.0, 4096, 32.0, 1.0), (exact_index, 64, 1e6, 4.0, 32768, 32.0, 1.0),
    (exact_index, 8, 1e4, 4.0, 7, 32.0, 1.0), (exact_index, 8, 100.0, 4.0, 1000000, 32.0, 1.0),
]


def main():
    lines = []
    for rule, pairs, *parameters in CASES:
        fractions = [int(floor(t / (2 * pi) % 1 * 2**128)) for t in rule(pairs, *parameters)]
        head = " ".join([rule.__name__, str(pairs)] + [repr(float(p)) for p in parameters])
        lines.append(head + " : " + " ".join(f"{t:032x}" for t in fractions))
    Path(__file__).with_name("scaling.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
