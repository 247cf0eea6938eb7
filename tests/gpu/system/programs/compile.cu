/* NVRTC: compiled at run time to PTX and to a cubin, loaded, linked from two parts, launched; then a
 * program that does not compile, and one for a GPU that this is not. */
#include <cstring>
#include <cuda.h>
#include <nvrtc.h>
#include <string>
#include "common.h"

static const char part[] = "extern \"C\" __device__ float twice(float x) { return 2 * x; }\n";
static const char whole[] =
    "extern \"C\" __device__ float twice(float x);\n"
    "extern \"C\" __global__ void run(float *out, int n)\n"
    "{ int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) out[i] = twice(i + 0.5f); }\n";
static const char alone[] =
    "template <typename T> __global__ void scaled(T *out, T by)\n"
    "{ out[threadIdx.x] = by * threadIdx.x; }\n";

static std::string compile(const char *source, std::vector<const char *> options, bool cubin,
                           const char *expression, std::string *name)
{
    nvrtcProgram program;
    size_t size;
    const char *lowered;
    CHECK(nvrtcCreateProgram(&program, source, "source.cu", 0, nullptr, nullptr));
    if (expression)
        CHECK(nvrtcAddNameExpression(program, expression));
    nvrtcResult result = nvrtcCompileProgram(program, (int)options.size(), options.data());
    if (result != NVRTC_SUCCESS) {
        printf("nvrtcCompileProgram = %d\n", (int)result);
        CHECK(nvrtcGetProgramLogSize(program, &size));
        std::string log(size, 0);
        CHECK(nvrtcGetProgramLog(program, &log[0]));
        printf("%s\n", log.c_str());
        CHECK(nvrtcDestroyProgram(&program));
        return "";
    }
    if (expression) {
        CHECK(nvrtcGetLoweredName(program, expression, &lowered));
        *name = lowered;
    }
    CHECK(cubin ? nvrtcGetCUBINSize(program, &size) : nvrtcGetPTXSize(program, &size));
    std::string code(size, 0);
    CHECK(cubin ? nvrtcGetCUBIN(program, &code[0]) : nvrtcGetPTX(program, &code[0]));
    CHECK(nvrtcDestroyProgram(&program));
    return code;
}

static void launch(const char *what, const void *image, const char *name)
{
    CUmodule module;
    CUfunction function;
    float *out, by = 3;
    int n = 64;
    bool is_run = strcmp(name, "run") == 0;
    CHECK(cudaMalloc(&out, n * sizeof(float)));
    CHECK(cuModuleLoadData(&module, image));
    CHECK(cuModuleGetFunction(&function, module, name));
    void *arguments[] = {&out, is_run ? (void *)&n : (void *)&by};
    CHECK(cuLaunchKernel(function, 1, 1, 1, n, 1, 1, 0, 0, arguments, nullptr));
    show(what, out, n);
    CHECK(cuModuleUnload(module));
    CHECK(cudaFree(out));
}

int main()
{
    cudaDeviceProp device;
    char sm[32], compute[40];
    std::string name, code;
    int major, minor;
    CHECK(cudaFree(0));
    CHECK(cudaGetDeviceProperties(&device, 0));
    CHECK(nvrtcVersion(&major, &minor));
    printf("NVRTC %d.%d\n", major, minor);
    snprintf(sm, sizeof sm, "-arch=sm_%d%d", device.major, device.minor);
    snprintf(compute, sizeof compute, "-arch=compute_%d%d", device.major, device.minor);

    code = compile(alone, {compute}, false, "scaled<float>", &name);
    launch("PTX", code.data(), name.c_str());
    code = compile(alone, {sm}, true, "scaled<float>", &name);
    launch("cubin", code.data(), name.c_str());

    std::string one = compile(part, {compute, "-rdc=true"}, false, nullptr, nullptr);
    std::string two = compile(whole, {compute, "-rdc=true"}, false, nullptr, nullptr);
    CUlinkState link;
    void *linked;
    size_t size;
    CHECK(cuLinkCreate(0, nullptr, nullptr, &link));
    CHECK(cuLinkAddData(link, CU_JIT_INPUT_PTX, &one[0], one.size(), "one", 0, nullptr, nullptr));
    CHECK(cuLinkAddData(link, CU_JIT_INPUT_PTX, &two[0], two.size(), "two", 0, nullptr, nullptr));
    CHECK(cuLinkComplete(link, &linked, &size));
    launch("linked", linked, "run");
    CHECK(cuLinkDestroy(link));

    compile("this is not a program\n", {sm}, true, nullptr, nullptr);
    return 0;
}
