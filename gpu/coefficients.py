#!/usr/bin/env python3
"""Writes the `f32` constants of `src/math/coefficients.rs` as `coefficients.cuh`, for the kernels.

Run it without arguments to write the file, with `--check` to fail if the committed file differs. The
decimals are copied as they stand: they parse to the same bits in both languages. A polynomial of
which kernels have a use becomes one constant a coefficient, highest power first.
"""

import re
import sys
from pathlib import Path

NUMBERS = ["HALF", "LOG2_E", "LN2_HI", "LN2_LO", "HALF_PI_HI", "HALF_PI_LO", "CENTERED", "SHIFT", "FLOOR", "REACH"]
POLYNOMIALS = ["EXP", "SIN", "COS"]


def generate(source):
    """Returns the header for the text of `coefficients.rs`."""
    single = source[source.index("impl Coefficients for f32"):source.index("impl Coefficients for f64")]
    lines = [
        "// Constants of the elementary functions. Generated: edit `src/math/coefficients.py`, then run",
        "// `gpu/coefficients.py`; the origin and the error of each stand in `src/math/coefficients.rs`.",
        "#pragma once",
        "",
    ]
    for name in NUMBERS:
        value = re.search(rf"const {name}: Self = ([-0-9.e]+);", single).group(1)
        lines.append(f"constexpr float {name} = {value}f;")
    for name in POLYNOMIALS:
        body = re.search(rf"const {name}: &'static \[Self\] = &\[([^\]]+)\];", single).group(1)
        for i, value in enumerate(re.findall(r"[-0-9.e]+", body)):
            lines.append(f"constexpr float {name}_{i} = {value}f;")
    return "\n".join(lines) + "\n"


def main():
    here = Path(__file__).resolve().parent
    path = here / "coefficients.cuh"
    text = generate((here.parent / "src/math/coefficients.rs").read_text())
    if sys.argv[1:] == ["--check"]:
        if path.read_text() != text:
            sys.exit("gpu/coefficients.cuh differs from src/math/coefficients.rs: run gpu/coefficients.py")
    else:
        path.write_text(text)


main()
