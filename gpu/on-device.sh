#!/bin/sh
# Everything that wants a device, on a machine with a GPU, CUDA's tools and PyTorch but no Rust, in under
# five minutes. `gpu/pack.sh FOLDER` builds the programs and copies them and this script to FOLDER.
set -u
cd "$(dirname "$0")" || exit 1
status=0
run() {
    echo "== $*"
    "$@" || { echo "FAILED: $*"; status=1; }
}
export REQUIRE_GPU=1
run nvidia-smi -L
run ./test_gpu
run env CUDA_FORCE_PTX_JIT=1 QUICK=1 ./test_gpu
if command -v compute-sanitizer >/dev/null; then
    run env QUICK=1 timeout 100 compute-sanitizer --tool memcheck --error-exitcode 9 ./test_gpu --test-threads 1 attention rotations
    run env QUICK=1 timeout 100 compute-sanitizer --tool racecheck --error-exitcode 9 ./test_gpu --test-threads 1 attention_has
fi
run ./gpu_bench
run python3 ./bench_torch.py
exit $status
