#!/bin/sh
# Prepares build-gpu/, the folder that `make check-gpu` and `make bench-gpu` need on the GPU machine
# beside build/: old CUDA runtimes, and the test programs linked to them. Run where there is nvcc 13,
# pip, apt and a network; downloads 1.7 GB once (two Debian packages, of which one file each stays)
# and nothing when the parts are there. Changes nothing outside build-gpu/.
#     tests/gpu/prepare.sh [build-gpu]
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
out=$(mkdir -p "${1-build-gpu}" && cd "${1-build-gpu}" && pwd)
cuda=${CUDA_HOME:-/usr/local/cuda}
programs=$root/tests/gpu/programs
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
mkdir -p "$out/cudart" "$out/fat" "$out/bin"

# ---- old runtimes -----------------------------------------------------------------------------------

# wheel PACKAGE VERSION SONAME CUDART: the shared runtime
wheel() {
    [ -e "$out/cudart/$4/$3" ] && return
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
        --platform manylinux2014_x86_64 -d "$temp" "$1==$2"
    mkdir -p "$out/cudart/$4"
    python3 - "$temp"/*"$2"*.whl "$3" "$out/cudart/$4/$3" <<'P'
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
name = next(n for n in archive.namelist() if n.endswith("/lib/" + sys.argv[2]))
open(sys.argv[3], "wb").write(archive.read(name))
P
}

# debian SUITE VERSION CUDART: the static runtime, from the suite's non-free part. A private set of
# lists and sources; the system's own stay as they are.
debian() {
    [ -e "$out/cudart/$3/libcudart_static.a" ] && return
    mkdir -p "$temp/$1/lists/partial" "$out/cudart/$3"
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        grep '/debian/*$' | head -n 1)
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$key] $uri $1 non-free" >"$temp/$1/sources"
    set -- "$1" "$2" "$3" "-oDir::Etc::SourceList=$temp/$1/sources" \
        -oDir::Etc::SourceParts=/dev/null "-oDir::State::Lists=$temp/$1/lists" \
        "-oDir::Cache=$temp/$1" -oAPT::Sandbox::User=root
    suite=$1 version=$2 cudart=$3
    shift 3
    apt-get -qq "$@" update
    (cd "$temp/$suite" && apt-get -qq "$@" download "nvidia-cuda-dev=$version")
    dpkg-deb --fsys-tarfile "$temp/$suite"/nvidia-cuda-dev_*.deb |
        tar -x -C "$temp/$suite" ./usr/lib/x86_64-linux-gnu/libcudart_static.a
    mv "$temp/$suite/usr/lib/x86_64-linux-gnu/libcudart_static.a" "$out/cudart/$cudart/"
    rm "$temp/$suite"/*.deb
}

wheel nvidia-cuda-runtime-cu11 11.8.89 libcudart.so.11.0 11.8
wheel nvidia-cuda-runtime-cu12 12.4.127 libcudart.so.12 12.4
debian bookworm '11.8.89~11.8.0-5~deb12u1' 11.8
debian trixie '12.4.127~12.4.1-2' 12.4
mkdir -p "$out/cudart/13.0"
cp -L "$cuda/lib64/libcudart.so.13" "$cuda/lib64/libcudart_static.a" "$out/cudart/13.0/"

# Triton 3.6 with a ptxas that does not know sm_90.
ptxas() {
    [ -e "$out/ptxas-11.7" ] && return
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
        --platform manylinux1_x86_64 -d "$temp" nvidia-cuda-nvcc-cu11==11.7.99
    python3 -c 'import sys, zipfile
open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read("nvidia/cuda_nvcc/bin/ptxas"))' \
        "$temp"/nvidia_cuda_nvcc_cu11-*.whl "$out/ptxas-11.7"
    chmod +x "$out/ptxas-11.7"
}
ptxas

# ---- device code ------------------------------------------------------------------------------------

cd "$out/fat"
bad="-gencode arch=compute_80,code=sm_80 -gencode arch=compute_120,code=sm_120"
good="$bad"
for sm in 75 90 100; do good="$good -gencode arch=compute_$sm,code=sm_$sm"; done
nvcc="$cuda/bin/nvcc"
$nvcc -fatbin $bad -o bad.fatbin "$programs/device_bad.cu"
$nvcc -fatbin $good -o good.fatbin "$programs/device_good.cu"
$nvcc -fatbin $bad -DPART_KERNEL=part12_bad -o part12.fatbin "$programs/device_part.cu"
$nvcc -fatbin $bad -DPART_KERNEL=part13_bad -o part13.fatbin "$programs/device_part.cu"
$nvcc -cubin -arch=sm_80 -o bad80.cubin "$programs/device_bad.cu"
$nvcc -cubin -arch=sm_90 -o good90.cubin "$programs/device_good.cu"
$nvcc -ptx -arch=compute_75 -o good.ptx "$programs/device_good.cu"
sed 's/^\.version .*/.version 9.9/' good.ptx >new.ptx
sed 's/^\tret;/\tno.such.instruction %r1;/' good.ptx >bad.ptx

# ---- the packages of a stack ------------------------------------------------------------------------

# stack NAME GENCODE...: the three of tests/gpu/stack as pip installs them, built for these targets
stack() {
    site=$out/stack/$1
    rm -rf "$site" "$temp/stack"
    shift
    for package in udf_ext torchsparse flash_attn; do
        cp -r "$root/tests/gpu/stack" "$temp/stack"
        STACK_PACKAGE=$package STACK_GENCODE="$*" "$temp/venv/bin/python" -m pip install -q \
            --disable-pip-version-check --no-index --no-deps --no-build-isolation --no-compile \
            --target "$site" "$temp/stack"
        rm -rf "$temp/stack"
    done
}
python3 -m venv "$temp/venv"
"$temp/venv/bin/python" -m pip install -q --disable-pip-version-check setuptools wheel
sm80='-gencode arch=compute_80,code=sm_80'
sm90='-gencode arch=compute_90,code=sm_90'
sm120='-gencode arch=compute_120,code=sm_120'
stack broken $sm80 $sm120
stack half $sm80 -gencode arch=compute_80,code=compute_80
stack cured $sm80 $sm90 $sm120

# ---- host programs ----------------------------------------------------------------------------------

cd "$out/bin"
flags="-O2 -g -Wall -Wextra -Wno-unused-parameter -I$cuda/include"
embed="-DFATBIN_DIR=\"$out/fat\""
system="-ldl -lrt -lpthread"
shared_of() { echo "$out/cudart/$1"/libcudart.so.*; }
for v in 11.8 12.4 13.0; do
    gcc $flags "$embed" "$programs/hand.c" -o hand-$v-static "$out/cudart/$v/libcudart_static.a" \
        $system
    gcc $flags "$embed" "$programs/hand.c" -o hand-$v-shared "$(shared_of $v)" \
        "-Wl,-rpath,\$ORIGIN/../cudart/$v"
    strip -o hand-$v-stripped hand-$v-static
done
for kind in static shared; do
    $nvcc -O2 -cudart $kind $bad -c -o "$temp/bad.o" "$programs/nvcc_bad.cu"
    $nvcc -O2 -cudart $kind $good -c -o "$temp/main.o" "$programs/nvcc_main.cu"
    $nvcc -cudart $kind -o nvcc-$kind "$temp/main.o" "$temp/bad.o" \
        -Xlinker '-rpath,$ORIGIN/../cudart/13.0'
done
for v in 12.4 13.0; do
    n=${v%%.*}
    gcc $flags "$embed" -shared -fPIC "-DBAD_FATBIN=\"part$n.fatbin\"" \
        "-DBAD_KERNEL=\"part${n}_bad\"" "$programs/two_part.c" -o libpart$n.so \
        "$(shared_of $v)" "-Wl,-rpath,\$ORIGIN/../cudart/$v"
done
gcc $flags "$programs/two_main.c" -o two_main -ldl
driver() { gcc $flags "$embed" "-DVIA_$1" "$programs/driver.c" -o "driver-$2" $3 -ldl; }
driver LINK link "-L$cuda/lib64/stubs -lcuda"
driver DLSYM dlsym ""
driver GPA gpa ""
driver ENTRY entry "$(shared_of 13.0) -Wl,-rpath,\$ORIGIN/../cudart/13.0"
gcc $flags -D_GNU_SOURCE -Wno-format-truncation "-I$root/include" "$root/tests/gpu/soak/soak.c" -o soak "-L$cuda/lib64/stubs" -lcuda \
    $system
bench=$root/tests/bench
object="-D_GNU_SOURCE -I$root/shim $root/shim/base/object.c $root/shim/base/memory.c"
$nvcc -fatbin $good -o "$out/fat/null.fatbin" "$bench/gpu_null.cu"
gcc $flags "$embed" "$bench/gpu_launch.c" $object -o gpu_launch "-L$cuda/lib64/stubs" -lcuda
gcc $flags "$embed" -DRUNTIME "$bench/gpu_launch.c" $object -o gpu_launch_runtime "$(shared_of 13.0)" \
    '-Wl,-rpath,$ORIGIN/../cudart/13.0'
gcc $flags -fPIC -shared "$bench/gpu_cupti.c" -o gpu_cupti.so "-L$cuda/lib64" -lcupti
# A shim that does nothing: with it, every check that asks for a report must fail.
: | gcc -shared -fPIC -x c - -o "$out/inert.so"
du -sh "$out" | sed 's/^/prepared: /'
