#!/bin/sh
# Prepares build-gpu/system: the programs of system.sh, CuPy's own tests (of the release that the GPU
# machine has; they are not in its wheel), and what Numba-CUDA's tests import. Where there is nvcc 13,
# pip and a network; after tests/gpu/prepare.sh.      tests/gpu/system/prepare.sh [build-gpu]
set -eu
cd "$(dirname "$0")/../../.."
programs=$PWD/tests/gpu/system/programs
out=$(mkdir -p "${1-build-gpu}/system" && cd "${1-build-gpu}/system" && pwd)
cuda=${CUDA_HOME:-/usr/local/cuda}
cupy=14.2.0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

build() { # name source flag...
    name=$1 source=$2
    shift 2
    "$cuda/bin/nvcc" -std=c++17 -O2 -cudart shared -Wno-deprecated-gpu-targets -o "$out/$name" \
        "$programs/$source.cu" -L"$cuda/lib64/stubs" -Xlinker "-rpath,/usr/local/cuda/lib64" "$@"
}
all="-gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -gencode arch=compute_100,code=sm_100"
# shellcheck disable=SC2086 # a list of words
{
    build graphs graphs $all
    build streams streams $all
    build streams-per-thread streams $all --default-stream per-thread
    build ipc ipc $all
    build processes processes $all
    build compile compile $all -lnvrtc -lcuda
    build libraries libraries $all -lcublas -lcufft
    build parallelism parallelism $all -rdc=true -lcudadevrt -lcuda
}
build lacking lacking -gencode arch=compute_80,code=sm_80

if [ ! -d "$out/cupy" ]; then
    # pip fails once it has unpacked the source, since it would build it: the tests are all that is wanted.
    TMPDIR=$temp python3 -m pip download -q --no-clean --no-deps --no-binary=:all: \
        --no-build-isolation "cupy==$cupy" -d "$temp" >"$temp/log" 2>&1 || :
    tests=$(find "$temp" -maxdepth 3 -path '*/cupy_*/tests' | head -n 1)
    [ -n "$tests" ] || { cat "$temp/log"; exit 1; }
    mkdir -p "$out/cupy/cupy_tests"
    cp "$tests/../pyproject.toml" "$out/cupy/"
    cp "$tests/conftest.py" "$tests/__init__.py" "$out/cupy/" 2>/dev/null || :
    cp -r "$tests/cupy_tests/__init__.py" "$tests/cupy_tests/core_tests" "$tests/cupy_tests/cuda_tests" \
        "$out/cupy/cupy_tests/"
fi
# What Numba compiles by: a machine may have nvcc without it. Half a minute of packing, for a third of the size.
if [ ! -e "$out/nvvm.tar.xz" ]; then
    python3 -m pip install -q --no-deps --target "$temp/site" 'nvidia-nvvm==13.0.*'
    mkdir -p "$temp/nvvm/lib64"
    cp "$temp"/site/nvidia/cu13/lib/libnvvm.so.4 "$temp/nvvm/lib64/"
    ln -s libnvvm.so.4 "$temp/nvvm/lib64/libnvvm.so"
    cp -r "$temp/site/nvidia/cu13/nvvm/libdevice" "$temp/nvvm/"
    tar -C "$temp" -cJf "$out/nvvm.tar.xz" nvvm
fi
# For the interpreter that is there.
[ -d "$out/site/cffi" ] || python3 -m pip install -q --no-deps --only-binary=:all: --python-version 3.12 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --upgrade --target "$out/site" \
    filecheck==1.0.6 cffi==2.0.0 pycparser==2.23
du -sh "$out" | sed 's/^/prepared: /'
