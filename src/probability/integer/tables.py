"""Writes tables.rs: the tables of the sixteen-bit softmax, by the rule of TensorFlow Lite's LUTPopulate.

512 steps over the sixteen-bit range; each entry is lowered by half the error that the line to the next makes
in the middle. Computed in single precision, as there. Run: python3 src/probability/integer/tables.py
"""

import os

import numpy as np

f = np.float32


def rounded(x):
    """Half away from zero."""
    return f(np.sign(x) * np.floor(np.abs(x) + f(0.5)))


def table(scale, zero, function):
    least, most = scale * f(-32768 - zero), scale * f(32767 - zero)
    unit = f(2.0) / f(65535)
    inverse = f(65536) / (unit * f(32767) - unit * f(-32768))
    step = (most - least) / f(512)
    entries = []
    for i in range(512):
        at = least + f(i) * step
        value, middle = function(at), function(at + step / f(2))
        after = function(least + f(i + 1) * step)
        sample = rounded(value * inverse)
        line = rounded((after * inverse + sample) / f(2))
        bias = rounded((line - rounded(middle * inverse)) / f(2))
        entries.append(int(min(max(sample - bias, -32768), 32767)))
    entries.append(int(min(max(rounded(function(most) * inverse), -32768), 32767)))
    return entries


def text(name, doc, entries):
    rows = [entries[i : i + 12] for i in range(0, len(entries), 12)]
    body = "".join("    " + ", ".join(map(str, row)) + ",\n" for row in rows)
    return f"/// {doc}\n#[rustfmt::skip]\npub(super) static {name}: [i16; 513] = [\n{body}];\n"


range_ = f(65535)
exp = table(f(10.0) / range_, 32767, lambda x: f(np.exp(f(x))))
reciprocal = table(f(1.0) / range_, -32768, lambda x: f(1.0) / (f(1.0) + f(x)))
with open(os.path.join(os.path.dirname(__file__), "tables.rs"), "w") as out:
    out.write("//! Tables of the sixteen-bit softmax. Generated: edit and run `tables.py`.\n\n")
    out.write(text("EXP", "exp from -10 to 0, in units of 2^-15.", exp) + "\n")
    out.write(text("RECIPROCAL", "1 / (1 + x) from 0 to 1, in units of 2^-15.", reciprocal))
