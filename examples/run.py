#!/usr/bin/env python3
"""What a user runs: fails on any GPU, because the wrong one of two builds is picked on purpose.

    LD_PRELOAD=$PWD/build/libkguard.so python3 examples/run.py

Uses the real GPU where there is one, else the simulated RTX 5090 of the tests (KG_FAKE, or
build/fake). With --works the fitting build is picked, where there is one.
"""

import os
import sys

from mesh import Gpu, mesh2index

HERE = os.path.dirname(os.path.abspath(__file__))


def driver():
    if any(os.path.exists(node) for node in ("/dev/nvidiactl", "/dev/dxg")):
        return "libcuda.so.1"
    fake = os.environ.get("KG_FAKE", os.path.join(HERE, "..", "build", "fake"))
    return os.path.join(fake, "libcuda.so.1")


def main():
    gpu = Gpu(driver())
    is_blackwell = gpu.capability() // 10 == 12
    works = "--works" in sys.argv
    build = "sm_120" if is_blackwell == works else "sm_60-90"
    module = os.path.join(HERE, f"voxelize.{build}.fatbin")
    print("voxels:", mesh2index(gpu, module, [0.5, 1.5, 2.25]))


if __name__ == "__main__":
    main()
