"""A module compiled for another GPU, loaded from memory by CuPy: fails with no kernel image.
    cupy_bad.py CUBIN"""
import sys

import cupy as cp


def load(path):
    cp.zeros(1)  # makes the context
    with open(path, "rb") as f:
        module = cp.cuda.function.Module()
        module.load(f.read())
    return module.get_function("_Z15voxelize_kernelPfi")


def main():
    try:
        load(sys.argv[1])
    except cp.cuda.driver.CUDADriverError as e:
        print("status", e.status)
        sys.exit(1)
    print("loaded")


main()
