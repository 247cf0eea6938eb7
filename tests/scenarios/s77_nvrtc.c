/*
 * NVRTC is asked for an architecture it does not know: which libnvrtc, its version, what it knows. Found
 * by dlsym, as PyTorch and CuPy do, and linked. Other options it refuses are the program's affair.
 * link: -l:libcuda.so.1 -ldl
 * run: NVRTC=@/nvrtc/libnvrtc.so.12 KGUARD_LOG=error
 * run: NVRTC=@/nvrtc/libnvrtc.so.12 KGUARD_LOG=error linked
 * run: NVRTC=@/nvrtc/libnvrtc-672ee683.so.11.2 KGUARD_LOG=error
 * run: NVRTC=@/nvrtc/libnvrtc.so.12 KGUARD=0
 */
#include "direct.h"

typedef int compile_function(void *program, int count, const char *const *options);
__attribute__((weak)) compile_function nvrtcCompileProgram;

static void try(compile_function *compile, int count, const char *const *options)
{
    printf("compile %s%s = %d\n", options[0], count > 1 ? options[1] : "",
           compile(NULL, count, options));
}

int main(int argc, char **argv)
{
    void *library = dlopen(getenv("NVRTC"), RTLD_NOW | RTLD_GLOBAL);
    compile_function *compile = (compile_function *)dlsym(library, "nvrtcCompileProgram");

    if (argc > 1 && nvrtcCompileProgram)
        compile = nvrtcCompileProgram;
    try(compile, 1, (const char *[]){"--gpu-architecture=compute_90"});
    try(compile, 2, (const char *[]){"--gpu-architecture=compute_90", "--no-such-option"});
    try(compile, 2, (const char *[]){"-arch", "sm_103"});
    start_direct();
    try(compile, 1, (const char *[]){"--gpu-architecture=compute_120"});
    try(compile, 1, (const char *[]){"--gpu-architecture=compute_120"});
    return 0;
}
