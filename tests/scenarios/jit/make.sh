#!/bin/sh
# Remakes the device code of the s6x scenarios from examples/voxelize.cu, with CUDA 13.0's tools: PTX
# alone, as a fatbin and as text; and the cubin that a compiler makes of it for the simulated GPU.
set -eu
cd "$(dirname "$0")"
PATH="${CUDA_HOME:-/usr/local/cuda}/bin:$PATH"
nvcc -fatbin -gencode arch=compute_80,code=compute_80 -o voxelize.compute_80.fatbin ../../../examples/voxelize.cu
nvcc -fatbin -gencode arch=compute_80,code=compute_80 -gencode arch=compute_120,code=sm_120 \
    -o voxelize.both.fatbin ../../../examples/voxelize.cu
# With options for ptxas stored beside it: those of xformers' wheels, of cuSOLVER, and one that names a file.
nvcc -fatbin -gencode arch=compute_80,code=compute_80 -Xptxas "-v -O2 -allow-expensive-optimizations=true" \
    -o voxelize.options.fatbin ../../../examples/voxelize.cu
nvcc -fatbin -gencode arch=compute_80,code=compute_80 -Xptxas "-uumn --register-usage-level=3" \
    -o voxelize.solver.fatbin ../../../examples/voxelize.cu
nvcc -fatbin -gencode arch=compute_80,code=compute_80 -Xptxas -optf=/tmp/options \
    -o voxelize.file.fatbin ../../../examples/voxelize.cu
nvcc -ptx -arch=compute_80 -o voxelize.compute_80.ptx ../../../examples/voxelize.cu
ptxas -arch=sm_120 -m64 -o voxelize.sm_120.cubin voxelize.compute_80.ptx
# The same kernel under another name: a cubin that lacks what the PTX defines.
sed s/voxelize/kernelize/ voxelize.compute_80.ptx >other.ptx
ptxas -arch=sm_120 -m64 -o other.sm_120.cubin other.ptx
rm other.ptx
# A large module; all of its cubin, and that of each kernel which a scenario has compiled alone.
nvcc -fatbin -gencode arch=compute_80,code=compute_80 -o many.compute_80.fatbin many.cu
nvcc -ptx -arch=compute_80 -o many.compute_80.ptx many.cu
ptxas -arch=sm_120 -m64 -o many.all.sm_120.cubin many.compute_80.ptx
for n in 1 2 3 4; do
    # From its first line to its "}", behind the module's head.
    { sed -n '/^\.version/,/^\.address_size/p' many.compute_80.ptx
      sed -n "/^.visible .entry kernel_${n}_/,/^}/p" many.compute_80.ptx; } >one.ptx
    ptxas -arch=sm_120 -m64 -o many.$n.sm_120.cubin one.ptx
done
# And of a module without kernels.
sed -n '/^\.version/,/^\.address_size/p' many.compute_80.ptx >one.ptx
ptxas -arch=sm_120 -m64 -o many.none.sm_120.cubin one.ptx
rm one.ptx
# The same beside code for the simulated GPU.
nvcc -fatbin -Xfatbin -compress-all -gencode arch=compute_80,code=compute_80 \
    -gencode arch=compute_120,code=sm_120 -o many.both.fatbin many.cu
ls -l ./*.*
