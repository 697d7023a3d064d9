"""Trains the story model: corpus, tokenizer, transformer, int8 file.

    python train.py --work DIR             # everything, with checkpoints in DIR; the same command goes on after a stop
    python train.py --work DIR --export    # the last checkpoint in DIR, into this folder

1. `grammar.py` writes the corpus: story i is a function of (seed, i) only.
2. A byte-pair tokenizer of 1024 pieces is trained on its first part.
3. A Llama-style transformer is trained for one pass over the corpus, one story per row: BOS at position 0, the story, BOS again
   as the end mark. A row is what the model sees when it is used, so no position and no token of a neighbor leaks into it.
4. The matrices are rounded to int8 with one f32 scale per output row, and both losses are measured on held-out stories.

The result depends on the seed, the sizes below and the versions of the packages named in README.md.
"""

import argparse
import json
import math
import os
import re
import struct
import time
from collections import Counter, deque
from pathlib import Path

import grammar

HERE = Path(__file__).resolve().parent

SEED = 2024
VOCAB = 1024
SEQ_LEN = 512
DIM, HIDDEN, LAYERS, HEADS, KV_HEADS = 128, 288, 5, 4, 2
BATCH_TOKENS = 2048
BLOCK = 64
STEPS = 8000
WARMUP = 100
PEAK_RATE = 3e-3
FINAL_RATE = 4e-5
WEIGHT_DECAY = 0.1
TOKENIZER_STORIES = 12_000
NAME_LOSS = 5.0  # a name counts this often in the loss: who did what is what a story is about, and hard to learn
HELD_OUT = 10**9  # stories from this index on are never trained on
HELD_OUT_STORIES = 1024
NORM_EPS = 1e-5
ROPE_BASE = 10000.0

BOS = 1
FIRST_PIECE = 259

# --- tokenizer ---------------------------------------------------------------------------------------------------------

UNIT = re.compile(r" ?[A-Za-z]+|'[a-z]+| ?[^A-Za-z ]+| ")
NAME_WEIGHT = 4  # a name counts this often, so that each becomes one piece: a name is copied over and over


class Tokenizer:
    """The llama2.c tokenizer: merge the adjacent pair whose joined piece has the highest score, leftmost first."""

    def __init__(self, pieces):
        """`pieces` are strings in order of rank; the piece of rank r has id 259 + r and score -r."""
        self.pieces = list(pieces)
        self.rank = {p: r for r, p in enumerate(self.pieces)}
        self.cache = {}

    def split(self, unit):
        parts = list(unit)
        while True:
            best, at = None, -1
            for i in range(len(parts) - 1):
                r = self.rank.get(parts[i] + parts[i + 1])
                if r is not None and (best is None or r < best):
                    best, at = r, i
            if best is None:
                return parts
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    def encode(self, text):
        """Ids of `text` with the space in front that llama2.c adds; no BOS."""
        ids = []
        for unit in UNIT.findall(" " + text):
            got = self.cache.get(unit)
            if got is None:
                got = []
                for part in self.split(unit):
                    r = self.rank.get(part)
                    got += [FIRST_PIECE + r] if r is not None else [3 + b for b in part.encode()]
                self.cache[unit] = got
            ids += got
        return ids

    def decode(self, ids):
        text = b"".join(self.pieces[i - FIRST_PIECE].encode() if i >= FIRST_PIECE else bytes([i - 3]) for i in ids)
        return text.decode("utf-8", "replace").removeprefix(" ")

    @classmethod
    def train(cls, texts, size):
        """Byte-pair encoding over units (a word or a run of punctuation, each with the space in front).

        No piece crosses a unit, and after every new piece the units that contain it are split again with the rule above, so the
        counts that choose the next piece are those of the encoder itself.
        """
        units = Counter(u for t in texts for u in UNIT.findall(" " + t))
        for u in units:
            if u.strip() in grammar.NAMES:
                units[u] *= NAME_WEIGHT
        chars = Counter()
        for u, n in units.items():
            for c in u:
                chars[c] += n
        letters = [c for c, _ in sorted(chars.items(), key=lambda e: (-e[1], e[0]))]
        merges = size - FIRST_PIECE - len(letters)
        self = cls([])
        splits = {u: list(u) for u in units}
        while len(self.pieces) < merges:
            pairs = Counter()
            for u, parts in splits.items():
                for a, b in zip(parts, parts[1:]):
                    pairs[a + b] += units[u]
            piece = max(pairs, key=lambda p: (pairs[p], p))
            self.rank[piece] = len(self.pieces)
            self.pieces.append(piece)
            for u in splits:
                if piece in u:
                    splits[u] = self.split(u)
        return cls(self.pieces + letters)

    def save(self, path):
        pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % b for b in range(256)]
        scores = [0.0] * FIRST_PIECE + [-float(r) for r in range(len(self.pieces))]
        pieces += [p.encode() for p in self.pieces]
        out = struct.pack("<i", max(map(len, pieces)))
        for p, s in zip(pieces, scores):
            out += struct.pack("<fi", s, len(p)) + p
        Path(path).write_bytes(out)

    @classmethod
    def load(cls, path):
        data = Path(path).read_bytes()
        at, pieces = 4, []
        while at < len(data):
            _, n = struct.unpack_from("<fi", data, at)
            pieces.append(data[at + 8 : at + 8 + n])
            at += 8 + n
        return cls(p.decode() for p in pieces[FIRST_PIECE:])


# --- data --------------------------------------------------------------------------------------------------------------


def rows(tokenizer, start):
    """Endless (ids) of stories start, start + 1, ...: BOS, the story, BOS."""
    i = start
    while True:
        ids = [BOS] + tokenizer.encode(grammar.story(SEED, i)) + [BOS]
        if len(ids) <= SEQ_LEN + 1:
            yield ids
        i += 1


def batches(tokenizer, start, step=48):
    """Endless (inputs, targets) of about BATCH_TOKENS tokens; the rows of a batch have similar lengths; target 0 is padding."""
    import numpy as np

    waiting = {}
    for ids in rows(tokenizer, start):
        length = -(-(len(ids) - 1) // step) * step
        queue = waiting.setdefault(length, [])
        queue.append(ids)
        if len(queue) == max(1, BATCH_TOKENS // length):
            x = np.zeros((len(queue), length + 1), np.int32)
            for row, one in zip(x, queue):
                row[: len(one)] = one
            queue.clear()
            yield x[:, :-1], x[:, 1:]


# --- model -------------------------------------------------------------------------------------------------------------

NAMES = ["embedding", "rms_att", "wq", "wk", "wv", "wo", "rms_ffn", "w1", "w2", "w3", "rms_final"]


def shapes():
    kv = DIM // HEADS * KV_HEADS
    return {
        "embedding": (VOCAB, DIM),
        "rms_att": (LAYERS, DIM),
        "wq": (LAYERS, DIM, DIM),
        "wk": (LAYERS, kv, DIM),
        "wv": (LAYERS, kv, DIM),
        "wo": (LAYERS, DIM, DIM),
        "rms_ffn": (LAYERS, DIM),
        "w1": (LAYERS, HIDDEN, DIM),
        "w2": (LAYERS, DIM, HIDDEN),
        "w3": (LAYERS, HIDDEN, DIM),
        "rms_final": (DIM,),
    }


def initial(seed):
    import numpy as np

    rng = np.random.default_rng(seed)
    params = {}
    for name, shape in shapes().items():
        if name.startswith("rms"):
            params[name] = np.ones(shape, np.float32)
        else:
            std = 0.04 if name != "embedding" else 0.02
            if name in ("wo", "w2"):
                std /= math.sqrt(2 * LAYERS)
            params[name] = rng.normal(0.0, std, shape).astype(np.float32)
    return params


def loss_sum(params, x, y, weights=None):
    """Sum of the losses in nats over the targets that are not padding, and their count; `weights` of the vocabulary count both."""
    import jax
    import jax.numpy as jnp

    rows, length = x.shape
    size = DIM // HEADS
    freq = ROPE_BASE ** (-jnp.arange(0, size, 2) / size)
    angle = jnp.arange(length)[:, None] * freq
    cos, sin = jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]
    def norm(h, gain):
        return h * jax.lax.rsqrt(jnp.mean(h * h, -1, keepdims=True) + NORM_EPS) * gain

    def rotate(h):
        a, b = h[..., 0::2], h[..., 1::2]
        return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(h.shape)

    def attention(q, k, v):
        """Causal, one block of queries at a time: the keys after the block are not looked at."""
        out = []
        for first in range(0, length, BLOCK):
            last = min(first + BLOCK, length)
            scores = jnp.einsum("bthd,bshd->bhts", q[:, first:last], k[:, :last])
            seen = jnp.arange(first, last)[:, None] >= jnp.arange(last)
            weights = jax.nn.softmax(jnp.where(seen, scores, -1e30), -1)
            out.append(jnp.einsum("bhts,bshd->bthd", weights, v[:, :last]))
        return jnp.concatenate(out, 1)

    def layer(h, w):
        n = norm(h, w["rms_att"])
        q = rotate((n @ w["wq"].T).reshape(rows, length, HEADS, size)) * size**-0.5
        k = rotate((n @ w["wk"].T).reshape(rows, length, KV_HEADS, size))
        v = (n @ w["wv"].T).reshape(rows, length, KV_HEADS, size)
        k, v = (jnp.repeat(a, HEADS // KV_HEADS, 2) for a in (k, v))
        h = h + attention(q, k, v).reshape(rows * length, DIM) @ w["wo"].T
        n = norm(h, w["rms_ffn"])
        return h + (jax.nn.silu(n @ w["w1"].T) * (n @ w["w3"].T)) @ w["w2"].T

    h = params["embedding"][x.reshape(-1)]
    for i in range(LAYERS):
        h = layer(h, {k: params[k][i] for k in NAMES[1:-1]})
    logits = norm(h, params["rms_final"]) @ params["embedding"].T
    y = y.reshape(-1)
    nll = jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, y[:, None], -1)[:, 0]
    keep = jnp.where(y != 0, 1.0 if weights is None else weights[y], 0.0)
    return jnp.sum(keep * nll), jnp.sum(keep)


# --- file --------------------------------------------------------------------------------------------------------------


def quantize(w):
    """(int8, f32 scale per row): symmetric, scale = max|row| / 127, round half to even."""
    import numpy as np

    scale = (np.abs(w).max(-1) / 127).astype(np.float32)
    scale = np.where(scale == 0, np.float32(1), scale)
    return np.rint(w / scale[..., None]).clip(-127, 127).astype(np.int8), scale


def dequantized(params):
    import numpy as np

    out = {}
    for name, w in params.items():
        w = np.asarray(w, np.float32)
        if not name.startswith("rms"):
            q, s = quantize(w)
            w = q.astype(np.float32) * s[..., None]
        out[name] = w
    return out


def save(params, path):
    """Writes the file that README.md describes."""
    import numpy as np

    out = b"suanzi1\0" + struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ_LEN)
    for name in NAMES:
        w = np.asarray(params[name], np.float32)
        if name.startswith("rms"):
            out += w.astype("<f4").tobytes()
        else:
            for m in w if w.ndim == 3 else [w]:
                q, s = quantize(m)
                out += s.astype("<f4").tobytes() + q.tobytes()
    Path(path).write_bytes(out)


# --- training ----------------------------------------------------------------------------------------------------------


def held_out(params, tokenizer):
    import jax

    f = jax.jit(loss_sum)
    total = count = stories = 0
    for x, y in batches(tokenizer, HELD_OUT):
        s, n = f(params, x, y)
        total, count, stories = total + float(s), count + int(n), stories + len(x)
        if stories >= HELD_OUT_STORIES:
            return total / count


def checkpoint(work, params, moments, state):
    """The parameters by name, the leaves of the optimizer's state by number, and the counters, in one file."""
    import jax
    import numpy as np

    arrays = {k: np.asarray(v) for k, v in params.items()}
    arrays |= {f"moment{i}": np.asarray(v) for i, v in enumerate(jax.tree.leaves(moments))}
    np.savez(work / "checkpoint.tmp.npz", state=json.dumps(state), **arrays)
    os.replace(work / "checkpoint.tmp.npz", work / "checkpoint.npz")


def restore(work):
    """(parameters, leaves of the optimizer's state, counters)."""
    import numpy as np

    arrays = dict(np.load(work / "checkpoint.npz"))
    state = json.loads(str(arrays.pop("state")))
    params = {name: arrays.pop(name) for name in NAMES}
    return params, [arrays[f"moment{i}"] for i in range(len(arrays))], state


def train(work, steps):
    import jax
    import jax.numpy as jnp
    import optax

    begin = time.time()
    if not (work / "story.tok").exists():
        Tokenizer.train((grammar.story(SEED, i) for i in range(TOKENIZER_STORIES)), VOCAB).save(work / "story.tok")
    tokenizer = Tokenizer.load(work / "story.tok")
    print(f"tokenizer {time.time() - begin:.0f} s", flush=True)

    params = {k: jnp.asarray(v) for k, v in initial(SEED).items()}
    print("parameters", sum(v.size for v in params.values()), flush=True)
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK_RATE, WARMUP, steps, FINAL_RATE)
    decay = {k: not k.startswith("rms") for k in params}
    adam = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(rate, b1=0.9, b2=0.99, weight_decay=WEIGHT_DECAY, mask=decay),
    )
    moments = adam.init(params)

    names = jnp.asarray([piece.strip() in grammar.NAMES for piece in tokenizer.pieces])
    weights = jnp.concatenate([jnp.ones(FIRST_PIECE), jnp.where(names, NAME_LOSS, 1.0)])
    print("pieces that are names:", int(names.sum()), flush=True)

    def mean_loss(p, x, y):
        s, n = loss_sum(p, x, y, weights)
        return s / n

    @jax.jit
    def update(params, moments, x, y):
        loss, grads = jax.value_and_grad(mean_loss)(params, x, y)
        change, moments = adam.update(grads, moments, params)
        return optax.apply_updates(params, change), moments, loss

    stream = batches(tokenizer, 0)
    recent, state = deque(maxlen=100), {"steps": 0, "stories": 0, "tokens": 0, "seconds": 0.0}
    if (work / "checkpoint.npz").exists():
        saved, leaves, state = restore(work)
        params = {k: jnp.asarray(v) for k, v in saved.items()}
        moments = jax.tree.unflatten(jax.tree.structure(moments), [jnp.asarray(v) for v in leaves])
        for _ in range(state["steps"]):
            next(stream)
        print("going on after step", state["steps"], flush=True)
    begin = time.time() - state["seconds"]
    last_print = last_save = time.time()
    for step in range(state["steps"] + 1, steps + 1):
        x, y = next(stream)
        params, moments, loss = update(params, moments, x, y)
        recent.append(float(loss))
        elapsed = time.time() - begin
        state = {
            "steps": step,
            "stories": state["stories"] + len(x),
            "tokens": state["tokens"] + int((y != 0).sum()),
            "train_loss": sum(recent) / len(recent),
            "seconds": elapsed,
        }
        if time.time() - last_print > 30 or step == steps:
            last_print = time.time()
            print(
                f"step {step}/{steps} loss {state['train_loss']:.4f} tokens {state['tokens'] / 1e6:.2f}M "
                f"{state['tokens'] / elapsed:.0f}/s elapsed {elapsed:.0f} s ETA {elapsed / step * (steps - step):.0f} s",
                flush=True,
            )
        if time.time() - last_save > 120 or step == steps:
            last_save = time.time()
            checkpoint(work, params, moments, state)


def export(work, target):
    """Writes story.bin and story.tok and reports the losses before and after rounding."""
    params, _, state = restore(work)
    tokenizer = Tokenizer.load(work / "story.tok")
    save(params, target / "story.bin")
    tokenizer.save(target / "story.tok")
    state["held_out_loss_f32"] = held_out(params, tokenizer)
    state["held_out_loss_int8"] = held_out(dequantized(params), tokenizer)
    state["bytes"] = [os.path.getsize(target / n) for n in ("story.bin", "story.tok")]
    print(json.dumps(state, indent=1))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--work", type=Path, required=True, help="folder for checkpoints, outside the repository")
    args.add_argument("--steps", type=int, default=STEPS)
    args.add_argument("--export", action="store_true", help="only write the files from the last checkpoint")
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if not args.export:
        train(args.work, args.steps)
    export(args.work, HERE)


if __name__ == "__main__":
    main()
