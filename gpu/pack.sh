#!/bin/sh
# Builds the device's test and benchmark and puts them with their scripts into a folder that can be
# carried to a machine without Rust: gpu/pack.sh FOLDER, then FOLDER/on-device.sh there.
set -eu
to=${1:?a folder}
cd "$(dirname "$0")/.."
mkdir -p "$to"
built() {
    cargo "$@" --release --features cuda --message-format json |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}
cp "$(built test --test gpu --no-run)" "$to/test_gpu"
cp "$(built build --example gpu_bench)" "$to/gpu_bench"
strip "$to/test_gpu" "$to/gpu_bench"
cp gpu/on-device.sh gpu/bench_torch.py "$to/"
