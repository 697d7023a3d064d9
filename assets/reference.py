"""Runs the story model in f64 with NumPy and writes what an implementation must reproduce.

    python reference.py                # writes story-oracle.txt
    python reference.py --samples 10   # prints ten sampled stories

It reads story.bin and story.tok and shares no code with train.py. The int8 weights are multiplied by their row scales exactly, in f64;
nothing else is rounded.

Lines of story-oracle.txt:

1. the greedy token ids, from BOS (included) to the token that ends the story (included) or to 400 tokens;
2. their text;
3. the smallest margin between the best and the second logit over all choices, and the position of that choice;
4. the first 8 logits at position 0, where the input is BOS, in full precision;
5. the negative log-likelihood of the ids of line 1 after the first, in nats.
"""

import argparse
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BOS, EOS = 1, 2
CAP = 400


class Model:
    """The weights of story.bin and a cache of the keys and values seen so far."""

    def __init__(self, path):
        data = path.read_bytes()
        assert data[:8] == b"suanzi1\0"
        sizes = struct.unpack_from("<7i", data, 8)
        self.dim, self.hidden, self.layers, self.heads, self.kv_heads, self.vocab, self.seq_len = sizes
        at = 36

        def f32(count):
            nonlocal at
            assert at % 4 == 0
            out = np.frombuffer(data, "<f4", count, at).astype(np.float64)
            at += 4 * count
            return out

        def matrix(rows, cols):
            nonlocal at
            scale = f32(rows)
            q = np.frombuffer(data, np.int8, rows * cols, at).astype(np.float64)
            at += rows * cols
            return q.reshape(rows, cols) * scale[:, None]

        d, h, n = self.dim, self.hidden, self.layers
        kv = d // self.heads * self.kv_heads
        self.embedding = matrix(self.vocab, d)
        self.rms_att = f32(n * d).reshape(n, d)
        self.wq = [matrix(d, d) for _ in range(n)]
        self.wk = [matrix(kv, d) for _ in range(n)]
        self.wv = [matrix(kv, d) for _ in range(n)]
        self.wo = [matrix(d, d) for _ in range(n)]
        self.rms_ffn = f32(n * d).reshape(n, d)
        self.w1 = [matrix(h, d) for _ in range(n)]
        self.w2 = [matrix(d, h) for _ in range(n)]
        self.w3 = [matrix(h, d) for _ in range(n)]
        self.rms_final = f32(d)
        assert at == len(data)
        self.reset()

    def reset(self):
        self.keys = [[] for _ in range(self.layers)]
        self.values = [[] for _ in range(self.layers)]

    def step(self, token):
        """Logits after `token`, at the next position."""
        size = self.dim // self.heads
        pos = len(self.keys[0])
        angle = pos * 10000.0 ** (-2.0 * np.arange(size // 2) / size)
        cos, sin = np.cos(angle), np.sin(angle)

        def norm(x, gain):
            return x / np.sqrt(np.mean(x * x) + 1e-5) * gain

        def rotate(x):
            out = np.empty_like(x)
            out[:, 0::2] = x[:, 0::2] * cos - x[:, 1::2] * sin
            out[:, 1::2] = x[:, 0::2] * sin + x[:, 1::2] * cos
            return out

        x = self.embedding[token].copy()
        for layer in range(self.layers):
            n = norm(x, self.rms_att[layer])
            q = rotate((self.wq[layer] @ n).reshape(self.heads, size))
            self.keys[layer].append(rotate((self.wk[layer] @ n).reshape(self.kv_heads, size)))
            self.values[layer].append((self.wv[layer] @ n).reshape(self.kv_heads, size))
            keys, values = np.array(self.keys[layer]), np.array(self.values[layer])
            y = np.empty((self.heads, size))
            for head in range(self.heads):
                group = head * self.kv_heads // self.heads
                scores = keys[:, group] @ q[head] / np.sqrt(size)
                weights = np.exp(scores - scores.max())
                y[head] = weights / weights.sum() @ values[:, group]
            x += self.wo[layer] @ y.reshape(-1)
            n = norm(x, self.rms_ffn[layer])
            gate = self.w1[layer] @ n
            x += self.w2[layer] @ (gate / (1 + np.exp(-gate)) * (self.w3[layer] @ n))
        return self.embedding @ norm(x, self.rms_final)


def read_pieces(path):
    data = path.read_bytes()
    at, pieces = 4, []
    while at < len(data):
        _, n = struct.unpack_from("<fi", data, at)
        pieces.append(data[at + 8 : at + 8 + n])
        at += 8 + n
    assert max(map(len, pieces)) == struct.unpack_from("<i", data)[0]
    return pieces


def decode(pieces, ids):
    """The text of `ids`, which begin with BOS; a final BOS or EOS has no text."""
    out = b""
    for before, token in zip(ids, ids[1:]):
        if token in (BOS, EOS):
            break
        piece = pieces[token]
        if before == BOS and piece.startswith(b" "):
            piece = piece[1:]
        if len(piece) == 6 and piece.startswith(b"<0x"):
            piece = bytes([int(piece[3:5], 16)])
        out += piece
    return out.decode("utf-8", "replace")


def greedy(model):
    """(ids, smallest margin, its position, logits at position 0, negative log-likelihood)."""
    model.reset()
    ids, margins, nll, first = [BOS], [], 0.0, None
    while len(ids) < CAP and (len(ids) == 1 or ids[-1] not in (BOS, EOS)):
        logits = model.step(ids[-1])
        first = logits if first is None else first
        second, best = np.argsort(logits)[-2:]
        margins.append(logits[best] - logits[second])
        nll += np.log(np.exp(logits - logits[best]).sum())
        ids.append(int(best))
    return ids, min(margins), int(np.argmin(margins)), first, nll


def sample(model, rng, temperature=0.8, top_p=0.9):
    model.reset()
    ids = [BOS]
    while len(ids) < model.seq_len and (len(ids) == 1 or ids[-1] not in (BOS, EOS)):
        logits = model.step(ids[-1]) / temperature
        p = np.exp(logits - logits.max())
        p /= p.sum()
        order = np.argsort(-p)
        kept = order[: np.searchsorted(np.cumsum(p[order]), top_p) + 1]
        ids.append(int(rng.choice(kept, p=p[kept] / p[kept].sum())))
    return ids


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--samples", type=int, default=0, help="print this many sampled stories and write nothing")
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--folder", type=Path, default=HERE)
    args = args.parse_args()
    model, pieces = Model(args.folder / "story.bin"), read_pieces(args.folder / "story.tok")
    if args.samples:
        rng = np.random.default_rng(args.seed)
        for _ in range(args.samples):
            ids = sample(model, rng)
            print(f"[{len(ids)} tokens{'' if ids[-1] in (BOS, EOS) else ', no end'}] {decode(pieces, ids)}\n")
        return
    ids, margin, at, first, nll = greedy(model)
    lines = [
        " ".join(map(str, ids)),
        decode(pieces, ids),
        f"smallest margin {margin!r} at position {at}".replace("np.float64(", "").replace(")", ""),
        " ".join(repr(float(v)) for v in first[:8]),
        repr(float(nll)),
    ]
    (args.folder / "story-oracle.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
