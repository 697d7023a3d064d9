#!/usr/bin/env python3
"""Times PyTorch's softmax, log-softmax and decode attention on the shapes of `gpu/bench.rs`."""

import torch
import torch.nn.functional as F


def time(call):
    """Returns the seconds of a call: the lowest mean of several rounds."""
    best, calls = float("inf"), 1
    for turn in range(8):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        seconds = start.elapsed_time(end) / 1e3
        if turn == 0:
            calls = min(max(int(0.02 * calls / max(seconds, 1e-6)), 3), 2000)
        else:
            best = min(best, seconds / calls)
    return best


def report(name, seconds, size):
    print(f"{name:<44} {1e6 * seconds:9.1f} us {size / seconds / 1e9:7.0f} GB/s")


def main():
    print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
    a, b = (torch.zeros(1 << 27, device="cuda") for _ in range(2))
    report("copy of 512 MiB, bytes read and written", time(lambda: b.copy_(a)), 8 << 27)
    del a, b
    for rows, row in [(4096, 4096), (32768, 1024), (32, 128256), (1, 128256)]:
        x = torch.randn(rows, row, device="cuda")
        y = torch.empty_like(x)
        size = 8 * rows * row
        report(f"softmax {rows} x {row}", time(lambda: torch.softmax(x, -1, out=y)), size)
        report(f"log-softmax {rows} x {row}", time(lambda: torch.log_softmax(x, -1, out=y)), size)
    for tokens in [16384, 131072]:
        for name, kind in [("f32", torch.float32), ("bf16", torch.bfloat16)]:
            q = torch.randn(1, 32, 1, 128, device="cuda", dtype=kind)
            k, v = (torch.randn(1, 8, tokens, 128, device="cuda", dtype=kind) for _ in range(2))
            size = 2 * k.numel() * k.element_size()
            call = lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
            report(f"decode 32:8 x 128, {name}, {tokens}", time(call), size)


main()
