#!/bin/sh
# Remakes the two fatbins of the demo from voxelize.cu. Neither holds PTX, so that each has nothing
# to offer to the GPUs of the other:
#   voxelize.sm_60-90.fatbin   CUDA 11.8, the last toolkit that compiles for 6.0 to 9.0 in one go
#   voxelize.sm_120.fatbin     CUDA 13.0 (or NVCC=...)
# Needs: nvcc 13, apt-get, pip, network. 11.8's nvcc comes from Debian bookworm's non-free part, its
# headers from the packages that NVIDIA publishes for Python; nothing is installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p lists/partial cache/archives/partial
cat >apt.conf <<EOF
Dir::State "$work";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$work/cache";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "-";
Debug::NoLocking "true";
EOF
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(sed -n 's/^URIs: \(.*\/debian\)$/\1/p' /etc/apt/sources.list.d/debian.sources | head -1)
echo "deb [signed-by=$keys] $mirror bookworm non-free" >sources.list
export APT_CONFIG="$work/apt.conf"
apt-get -qq update
apt-get -qq download nvidia-cuda-toolkit
dpkg-deb -x nvidia-cuda-toolkit_11.8*.deb root
pip download -q --no-deps -d . nvidia-cuda-runtime-cu11==11.8.89 nvidia-cuda-nvcc-cu11==11.8.89
for wheel in *.whl; do
    python3 -m zipfile -e "$wheel" headers
done
bin=$work/root/usr/lib/nvidia-cuda-toolkit/bin
rm -f "$bin/gcc" "$bin/g++" # Debian's wrappers insist on an older compiler; only cpp is needed here

targets=
for sm in 60 61 70 75 80 86 89 90; do
    targets="$targets -gencode arch=compute_$sm,code=sm_$sm"
done
include=$work/headers/nvidia
# shellcheck disable=SC2086 # targets is a list of words
PATH="$work/root/usr/bin:$bin:$PATH" "$bin/nvcc" -allow-unsupported-compiler -fatbin $targets \
    -I"$include/cuda_runtime/include" -I"$include/cuda_nvcc/include" \
    -o "$here/voxelize.sm_60-90.fatbin" "$here/voxelize.cu"
"${NVCC:-/usr/local/cuda/bin/nvcc}" -fatbin -gencode arch=compute_120,code=sm_120 \
    -o "$here/voxelize.sm_120.fatbin" "$here/voxelize.cu"
ls -l "$here"/*.fatbin
