"""A small user of the CUDA driver API, as an extension module would be: snaps points to a grid."""

import ctypes

COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


class Gpu:
    """The first GPU of a driver library, with its primary context current."""

    def __init__(self, driver):
        self.cuda = ctypes.CDLL(driver)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.check(self.cuda.cuInit(0))
        self.check(self.cuda.cuDeviceGet(ctypes.byref(device), 0))
        self.device = device.value
        self.check(self.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
        self.check(self.cuda.cuCtxSetCurrent(context))

    def check(self, result):
        if result != 0:
            text = ctypes.c_char_p()
            self.cuda.cuGetErrorString(result, ctypes.byref(text))
            raise RuntimeError(f"CUDA error {result}: {(text.value or b'unknown').decode()}")

    def capability(self):
        """12.0 as 120."""
        number = 0
        for attribute in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR):
            value = ctypes.c_int()
            self.check(self.cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, self.device))
            number = 10 * number + value.value
        return number


def mesh2index(gpu, module, points):
    """Voxel coordinates of the points."""
    library, kernel, memory = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
    none = (None, None, 0)
    gpu.check(gpu.cuda.cuLibraryLoadFromFile(ctypes.byref(library), module.encode(), *none, *none))
    name = b"_Z15voxelize_kernelPfi"
    gpu.check(gpu.cuda.cuLibraryGetKernel(ctypes.byref(kernel), library, name))

    values = (ctypes.c_float * len(points))(*points)
    size = ctypes.c_size_t(ctypes.sizeof(values))
    gpu.check(gpu.cuda.cuMemAlloc_v2(ctypes.byref(memory), size))
    gpu.check(gpu.cuda.cuMemcpyHtoD_v2(memory, values, size))
    arguments = (ctypes.c_void_p * 2)(
        ctypes.addressof(memory), ctypes.addressof(ctypes.c_int(len(points)))
    )
    grid, block = (1, 1, 1), (256, 1, 1)
    gpu.check(gpu.cuda.cuLaunchKernel(kernel, *grid, *block, 0, None, arguments, None))
    gpu.check(gpu.cuda.cuMemcpyDtoH_v2(values, memory, size))
    gpu.check(gpu.cuda.cuMemFree_v2(memory))
    return [int(v) for v in values]
