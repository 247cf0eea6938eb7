/*
 * What a driver older than the toolkit refuses, each by its cause: code in zstd (before 550), a cubin of
 * nvcc 13 (before 580), PTX that is newer than it: with both versions, and the driver that would do.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/535 KGFAKE_CC=8.0 KGFAKE_FAIL=cuModuleLoadData=200 KGUARD_LOG=error zstd
 * run: LD_LIBRARY_PATH=@/../fake/535 KGFAKE_CC=8.0 KGFAKE_FAIL=cuModuleLoadData=200 KGUARD_LOG=error cubin
 * run: LD_LIBRARY_PATH=@/../fake/535 KGFAKE_CC=9.0 KGUARD_LOG=error ptx
 */
#include "direct.h"

EMBED(zstd, "tests/fixtures/cuda_124_zstd.fatbin");
EMBED(cubin, "tests/fixtures/cubin_80.cubin");
EMBED(ptx, "tests/fixtures/made_90a.ptx");

int main(int argc, char **argv)
{
    const void *image = strcmp(argv[1], "zstd") == 0 ? zstd : strcmp(argv[1], "cubin") == 0 ? cubin : ptx;
    CUmodule module = NULL;

    start_direct();
    CALL(cuModuleLoadData, &module, image);
    return 0;
}
