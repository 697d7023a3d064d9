#!/usr/bin/env python3
"""Writes rope.txt: rotary frequencies as fractions of a turn, in units of 2^-128.

Needs mpmath (written with 1.3.0). A line holds the base, as a decimal that parses to the very f64,
and base^(-2i/R) / (2 pi) modulo one, rounded down, for i = 0, 1, ..., R/2 - 1.
"""

from pathlib import Path

from mpmath import floor, mp, mpf, pi

mp.dps = 80

ENCODINGS = [(10000.0, 64), (10000.0, 32), (500000.0, 64), (1000000.0, 40), (82684.62264056221, 16), (10000.0, 3),
             (10000.0, 1), (1.0000000000000002, 5), (1.9999999999999998, 2), (2.0, 7), (1e300, 3), (3.0e38, 4)]


def main():
    lines = []
    for base, pairs in ENCODINGS:
        turns = [mpf(base) ** (-mpf(i) / pairs) / (2 * pi) for i in range(pairs)]
        lines.append(" ".join([repr(base)] + [f"{int(floor(t * 2**128)):032x}" for t in turns]))
    Path(__file__).with_name("rope.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
