#!/bin/sh
# Compiles the kernels: gpu/kernels.sh writes gpu/built/*.fatbin, gpu/kernels.sh --check compiles them
# elsewhere and fails if a byte differs.
#
# The compiler is pinned by requirements.txt and gives the same bytes every time; its version stands in
# gpu/built/compiler.txt. No driver, no device and no installed CUDA is needed. `-fmad=false` keeps
# multiplications and additions apart; what is fused is written as fmaf in the kernels.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${CUDA_VENV:-${CARGO_TARGET_DIR:-$here/../target}/cuda-venv}
if [ ! -e "$venv/complete" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --no-deps -r "$here/requirements.txt"
    touch "$venv/complete"
fi
root=$("$venv/bin/python" -c 'import nvidia.cu13 as m; print(list(m.__path__)[0])')
out=$here/built
check=false
if [ "${1:-}" = --check ]; then
    check=true
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
cd "$here"
for kernels in *.cu; do
    # shellcheck disable=SC2086
    "$root/bin/nvcc" -std=c++17 -O3 -fmad=false -fatbin -Xfatbin=-compress-all ${KERNEL_FLAGS:-} \
        -gencode=arch=compute_80,code=sm_80 \
        -gencode=arch=compute_90,code=sm_90 \
        -gencode=arch=compute_80,code=compute_80 \
        "$kernels" -o "$out/${kernels%.cu}.fatbin"
done
"$root/bin/nvcc" --version | grep release >"$out/compiler.txt"
if $check; then
    for file in "$out"/*; do
        cmp "$file" "built/$(basename "$file")"
    done
    echo "the committed kernels match their sources"
fi
