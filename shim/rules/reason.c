/* What the reason codes mean, for somebody who reads them at 2 a.m. Codes are never reused. */
#include "rules.h"

static const struct reason {
    int code;
    const char *title, *text;
} reasons[] = {
    {KGI_OK, "runs", "The image holds code that this GPU and this driver can run."},
    {KG101_NO_CODE, "no code for this GPU",
     "The library was built for other GPUs. SASS (machine code, sm_NN) runs on GPUs of the same\n"
     "major compute capability and the same or a higher minor one: sm_80 runs on 8.6, not on 9.0.\n"
     "PTX (compute_NN) can be compiled by the driver for any GPU from NN on, but this library "
     "holds\n"
     "none that would do. No setting makes such code run: it must be built again for this GPU, or "
     "a\n"
     "release that was must be installed. The one exception: CUDA_FORCE_PTX_JIT=1 hides SASS that\n"
     "would run. Other libraries of the program may be fine; the report names the one that is "
     "not."},
    {KG102_ARCH_SPECIFIC, "only arch-specific (a/f) code of another GPU",
     "Code for sm_90a, sm_100a and so on runs on exactly that GPU, and sm_100f on its family "
     "only;\n"
     "that holds for their PTX too: compute_90a is never compiled forward. Libraries carry such "
     "code\n"
     "on purpose, for one GPU's special instructions, and should not choose it elsewhere. So the\n"
     "build is usually right and the choice is wrong: often a test such as \"capability >= 9.0\"\n"
     "where \"== 9.0\" is meant. Switch that kernel off, or take a release that fixed the test."},
    {KG103_PTX_TOO_NEW, "PTX newer than the driver",
     "The library holds PTX that this GPU could run, written by a newer CUDA than the driver "
     "knows\n"
     "(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222). A driver reads PTX up to its own CUDA version;\n"
     "the rule that any 12.x program runs on any 12.x driver does not cover PTX. Upgrade the "
     "driver,\n"
     "or use a build that holds SASS for this GPU, which needs no compiling. The driver prefers "
     "the\n"
     "PTX nearest to the GPU, even if an older one lies beside it that it could read."},
    {KG104_UNREADABLE, "image the driver cannot read",
     "There is code for this GPU, but the driver cannot take it in: compressed with zstd (drivers\n"
     "before 550), cubins in the format of CUDA 13 (drivers before 580), a cubin from a cache "
     "that\n"
     "was filled on another GPU, or a damaged file. The driver has chosen by then and does not "
     "try\n"
     "the next best. Upgrade the driver, rebuild without what it cannot read, or, for cached "
     "code,\n"
     "delete the cache."},
    {KG105_NO_JIT, "JIT off, or its library missing",
     "The library holds only PTX for this GPU, and the driver may not or cannot compile it. "
     "Either\n"
     "CUDA_DISABLE_PTX_JIT=1 is set, or libnvidia-ptxjitcompiler.so.1, a part of the driver, "
     "cannot\n"
     "be loaded: usual in containers started without the \"compute\" driver capability."},
    {KG106_NO_KERNEL, "kernel missing from the image the driver chose",
     "The library holds an image for this GPU, and the driver took it, but the kernel is not in "
     "it.\n"
     "It was compiled for other architectures only: some files of the library were built with\n"
     "another architecture list, or the source hides the kernel behind an architecture test. "
     "Images\n"
     "are chosen whole; the driver does not look for the kernel in the others."},
    {KG107_BAD_PTX, "invalid PTX",
     "The driver's compiler refused the PTX. The log in the report says which line, where the "
     "driver\n"
     "gave one. It may use an instruction this GPU does not have, be damaged or obfuscated, or "
     "have\n"
     "met a fault of this driver's compiler. SASS built ahead for this GPU avoids the compiler."},
    {KG108_NEEDS_LINK, "relocatable or LTO code only",
     "The code that would fit is not finished: it was compiled with -rdc=true or -dlto and never\n"
     "device-linked for this GPU, so calls between its parts are open. Relocatable SASS and PTX "
     "can\n"
     "sometimes be linked by the driver at load; LTO code cannot, and needs nvlink or nvJitLink.\n"
     "The final link step must name this GPU's architecture too."},
    {KG109_CPU_ONLY, "CPU-only build of a CUDA package",
     "The package has a CUDA half, and this build of it holds no device code at all. Build "
     "scripts\n"
     "ask whether a GPU is visible and silently leave CUDA out when none is, as in docker build."},
    {KG110_COMPILER, "a compiler used at run time does not know this GPU",
     "Triton (with its own ptxas) and NVRTC build kernels while the program runs. Theirs is of a "
     "CUDA\n"
     "release that cannot make code for this GPU: from before it, or from after support for it "
     "was\n"
     "dropped. Triton then stops with \"Value 'sm_NN' is not defined for option 'gpu-name'\", "
     "NVRTC with\n"
     "\"invalid value for --gpu-architecture\". No library on disk lacks code; the package that "
     "brought\n"
     "the compiler must be changed."},
    {KG201_WILL_JIT, "PTX only: will be compiled at first use",
     "There is no SASS for this GPU, but PTX that the driver can compile. The program will run; "
     "the\n"
     "first start can take minutes for a big library and looks like a hang. The result is kept in\n"
     "the driver's compute cache (~/.nv/ComputeCache) while that lasts and has room."},
    {KG202_CACHE_LOST, "the compute cache will be lost",
     "The driver's compute cache is off, full, not writable, or in a place that does not outlive\n"
     "this container or session, so the same PTX will be compiled again at every start."},
    {KG203_JIT_VARIABLE, "CUDA_FORCE_PTX_JIT or CUDA_DISABLE_PTX_JIT is set",
     "These variables are for tests. CUDA_FORCE_PTX_JIT=1 makes the driver ignore all SASS, so "
     "that\n"
     "libraries without PTX fail; CUDA_DISABLE_PTX_JIT=1 makes those without SASS fail.\n"
     "CUDA_FORCE_JIT and CUDA_DISABLE_JIT do the same."},
    {KG204_UNCHECKED, "a failure the caller did not check",
     "A CUDA call failed and the program went on without looking at the result. What the kernel\n"
     "should have written was not written: results computed since may be wrong, and a later, "
     "healthy\n"
     "call may be blamed for the error."},
};

static const struct reason *find(int code)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].code == code)
            return &reasons[i];
    }
    return NULL;
}

const char *kgi_reason_title(int reason)
{
    const struct reason *r = find(reason);
    return r ? r->title : "unknown reason";
}

const char *kgi_reason_text(int reason)
{
    const struct reason *r = find(reason);
    return r ? r->text : "";
}
