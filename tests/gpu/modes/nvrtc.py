"""Compiles for a GPU that this NVRTC does not know."""
from cupy_backends.cuda.libs import nvrtc

program = nvrtc.createProgram("__global__ void f() {}", "f.cu", [], [])
try:
    nvrtc.compileProgram(program, ("--gpu-architecture=compute_70",))
except nvrtc.NVRTCError:
    print(nvrtc.getProgramLog(program))
    raise
