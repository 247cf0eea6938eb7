/*
 * What is known of error messages: whose words they are, what they mean, who is usually guilty.
 * Rows that name one program's message stand before those of a CUDA error, which many programs
 * print.
 *
 * texts: what to look for in a pasted text, lower case, white space as one space; '|' between
 * several, one of which must be there, '&' between those that must all be (binds closer). The
 * messages were read in the sources named or in the threads named, the CUDA errors in cuda.h and
 * driver_types.h of CUDA 13.0 (since CUDA 10.1 both APIs share the numbers); July 2026.
 */
#include "explain.h"

#define RUN "kguard run -- COMMAND names the kernel and its library"
#define SCAN "kguard scan SITE-PACKAGES names every library that cannot run here"

const struct kgi_known kgi_known[] = {
    /* ---- compilers
     * ---------------------------------------------------------------------------------------- */
    {.title = "ptxas does not know this GPU",
     .texts = "is not defined for option 'gpu-name'|ptxas too old|ptxas does not support cc",
     .means = "A compiler that works while the program runs (Triton, torch.compile, XLA) called "
              "a ptxas from before this GPU. No library on disk lacks code.",
     .guilty = "The ptxas that the package brings: triton/backends/nvidia/bin/ptxas, or the one "
               "of JAX's and TensorFlow's nvidia packages. The one in /usr/local/cuda is not "
               "used unless it is named.",
     .next = "Install a Triton that goes with a newer PyTorch, or point TRITON_PTXAS_PATH (from "
             "Triton 3.6 on, for compute capability 10.0 and up, TRITON_PTXAS_BLACKWELL_PATH) at "
             "a newer ptxas. kguard scan SITE-PACKAGES tells which CUDA each ptxas is of.",
     .source = "triton-lang/triton#5950, #8539; openxla/xla asm_compiler.cc",
     .codes = {KG110_COMPILER}},
    {.title = "PTX newer than the compiler or driver that got it",
     .texts = "unsupported .version",
     .means = "PTX says in its first line which version it is written in; this one is higher "
              "than the compiler that refused it can read. With \"ptxas application ptx input\" "
              "that is the driver itself.",
     .guilty = "Two CUDA versions in one environment: the one that writes PTX (NVRTC, Numba, "
               "Triton) is newer than the ptxas or the driver that reads it.",
     .next = "Upgrade the driver, or install the package's build for the older CUDA. " RUN " "
             "with both versions.",
     .source = "numba/numba#8961",
     .codes = {KG103_PTX_TOO_NEW, KG110_COMPILER}},
    {.title = "NVRTC does not know this GPU",
     .texts = "invalid value for --gpu-architecture|nvrtc_error_invalid_option",
     .means = "A kernel that is built while the program runs was asked for an architecture that "
              "this NVRTC cannot make: one from before the GPU, or from after support for it was "
              "dropped.",
     .guilty = "The libnvrtc that is loaded: usually that of PyTorch or CuPy, which is bound to "
               "their CUDA version. PyTorch's fused kernels, CuPy, torchsparse's and spconv's "
               "tuners use it.",
     .next = "Install a PyTorch or CuPy build for a CUDA that knows the GPU. kguard run -- "
             "COMMAND names the libnvrtc, its version and what it knows.",
     .source = "pytorch/pytorch#47658, #87595",
     .codes = {KG110_COMPILER}},
    {.title = "nvcc does not know this GPU",
     .texts = "unsupported gpu architecture",
     .means = "The nvcc that builds an extension cannot make code for an architecture on its "
              "command line: it is from before the GPU, or from after support for it was dropped.",
     .guilty = "The CUDA toolkit that is found first (CUDA_HOME, PATH), or an architecture list "
               "that names more than it can make.",
     .next = "Install a toolkit that knows the GPU and set CUDA_HOME to it, or shorten "
             "TORCH_CUDA_ARCH_LIST or CMAKE_CUDA_ARCHITECTURES to the GPUs you have.",
     .source = "CUDA Toolkit release notes, nvcc",
     .codes = {KG110_COMPILER}},
    {.title = "PyTorch's extension builder does not know this GPU",
     .texts = "unknown cuda arch (",
     .means = "torch.utils.cpp_extension has a list of architectures; the one in "
              "TORCH_CUDA_ARCH_LIST is not on it.",
     .guilty = "A PyTorch from before the GPU. Its own kernels do not run there either.",
     .next = "Upgrade PyTorch first (2.7 and later know 12.0), then build the extension again.",
     .source = "pytorch/pytorch torch/utils/cpp_extension.py; StanfordVL/BEHAVIOR-1K#1939",
     .codes = {KG110_COMPILER}},

    /* ---- frameworks and packages
     * ------------------------------------------------------------------------------ */
    {.title = "PyTorch's warning about its own build",
     .texts = "is not compatible with the current pytorch installation|"
              "minimum and maximum cuda capability supported by this version of pytorch|"
              "pytorch no longer supports this gpu",
     .means = "This PyTorch has no machine code for the GPU; nearly everything it does will fail.",
     .guilty = "The PyTorch wheel. The warning compares names only and says nothing of "
               "extensions: they may lack code where it is silent, and have it where it speaks.",
     .next = "Install a PyTorch whose CUDA knows the GPU: for 12.0, 2.7 or later from the cu128 "
             "index, or 2.8 or later from PyPI; then build extensions again. " SCAN ".",
     .source = "pytorch/pytorch torch/cuda/__init__.py, _check_cubins",
     .codes = {KG101_NO_CODE}},
    {.title = "SageAttention's module for this GPU is not there",
     .texts =
         "sm80 kernel is not available|sm89 kernel is not available|sm90 kernel is not available",
     .means = "SageAttention is one module per GPU generation, and the one for this GPU could "
              "not be imported.",
     .guilty = "Not the GPU, whatever the text says: the module was not built "
               "(TORCH_CUDA_ARCH_LIST at its build did not name it), or it was built for another "
               "PyTorch and its import failed.",
     .next = "python3 -c 'import sageattention._qattn_sm89' (or _qattn_sm80, _qattn_sm90) shows "
             "the import error; build again with TORCH_CUDA_ARCH_LIST naming this GPU and nvcc "
             "of a CUDA that knows it.",
     .source = "thu-ml/SageAttention sageattention/core.py, setup.py",
     .codes = {KG101_NO_CODE}},
    {.title = "FlashAttention 3's kernels are for 9.0 alone",
     .texts = "hopper/flash|flash_fwd_launch_template.h&no kernel image",
     .means = "The path in the message is that of a source file on the machine that built "
              "flash-attn or xformers. Code in flash-attention/hopper is built for sm_90a, which "
              "runs on exactly 9.0.",
     .guilty = "The choice, not the build: something tested for \"capability >= 9.0\" where \"== "
               "9.0\" is meant (xformers before 0.0.33).",
     .next = "xformers >= 0.0.33, or xformers.ops.fmha.dispatch._set_use_fa3(False), or "
             "flash-attn 2. " RUN ".",
     .source = "facebookresearch/xformers ops/fmha/flash3.py, 0.0.29 to 0.0.33",
     .codes = {KG102_ARCH_SPECIFIC, KG101_NO_CODE}},
    {.title = "FlashAttention 2 is not for GPUs before 8.0",
     .texts = "flashattention only supports ampere",
     .means = "The GPU is older than compute capability 8.0. No build of FlashAttention 2 has "
              "code for it.",
     .guilty = "The choice of attention, not a build.",
     .next = "Choose another implementation: attn_implementation=\"sdpa\" in transformers, or "
             "xformers.",
     .source = "Dao-AILab/flash-attention csrc/flash_attn/flash_api.cpp",
     .codes = {KG101_NO_CODE}},
    {.title = "xformers has no operator for this GPU",
     .texts = "xformers wasn't buil|no operator found for `memory_efficient_attention",
     .means = "Each operator of xformers gives its reason. \"requires device with capability\" "
              "is about the GPU; \"wasn't build with CUDA support\" means that its C++ part "
              "could not be loaded, or holds no device code.",
     .guilty = "Usually an xformers built for another PyTorch; else one from before the GPU.",
     .next =
         "python3 -m xformers.info; install the xformers that goes with this PyTorch. " SCAN ".",
     .source = "facebookresearch/xformers ops/fmha/common.py",
     .codes = {KG101_NO_CODE, KG109_CPU_ONLY}},
    {.title = "bitsandbytes failed in its CUDA library",
     .texts = "csrc/ops.cu|libbitsandbytes",
     .means = "bitsandbytes brings one library per CUDA version, each for other GPUs; the one "
              "that was chosen lacks a kernel for this GPU. It ends the program itself.",
     .guilty = "libbitsandbytes_cudaNNN.so, chosen by PyTorch's CUDA version or BNB_CUDA_VERSION.",
     .next = "bitsandbytes >= 0.45.3 under a PyTorch for CUDA 12.8 has code for 12.0. " RUN ".",
     .source = "bitsandbytes-foundation/bitsandbytes CMakeLists.txt, csrc/ops.cu",
     .codes = {KG101_NO_CODE}},
    {.title = "tiny-cuda-nn was built for another GPU",
     .texts = "could not find compatible tinycudann extension",
     .means = "tiny-cuda-nn is one module per compute capability, and none of those built is "
              "this GPU's or a lower one.",
     .guilty = "tinycudann's own build.",
     .next = "Build it again with TCNN_CUDA_ARCHITECTURES=120 (for 12.0; needs nvcc >= 12.8).",
     .source = "NVlabs/tiny-cuda-nn bindings/torch/tinycudann/modules.py",
     .codes = {KG101_NO_CODE}},
    {.title = "ggml's kernel was compiled for another GPU",
     .texts = "has no device code compatible with cuda arch",
     .means = "The kernel is there, but its body was left out: ggml compiles it for some "
              "architectures only. The message comes from the GPU itself.",
     .guilty = "The build of llama.cpp, whisper.cpp or what contains them; rarely a missing case "
               "of the kernel.",
     .next = "Build with -DCMAKE_CUDA_ARCHITECTURES=native, or the number of the GPU (120).",
     .source = "ggml-org/llama.cpp ggml/src/ggml-cuda/common.cuh, no_device_code",
     .codes = {KG101_NO_CODE}},
    {.title = "TensorFlow will compile its kernels at the first start",
     .texts = "not built with cuda kernel binaries compatible",
     .means = "This TensorFlow has no machine code for the GPU, but PTX that the driver can "
              "compile. The first start takes minutes and looks like a hang; later ones are fast "
              "while the driver's compute cache lasts.",
     .guilty = "The TensorFlow wheel, from before the GPU. Some versions fail after compiling.",
     .next = "Wait once, with CUDA_CACHE_MAXSIZE=4294967296 and a CUDA_CACHE_PATH that lasts "
             "(kguard doctor looks at it), or take a newer TensorFlow.",
     .source = "tensorflow/tensorflow gpu_device.cc; #62320",
     .codes = {KG201_WILL_JIT, KG202_CACHE_LOST}},
    {.title = "TensorRT does not support this GPU",
     .texts = "is not supported by this tensorrt release",
     .means = "TensorRT builds engines for a list of GPU generations, and this one is not on it: "
              "too new or dropped.",
     .guilty = "The TensorRT release, or its build for an older CUDA.",
     .next = "TensorRT 10.8 and later for CUDA 12.8 know 12.0; from 10.0 on 6.x, and from 10.5 "
             "on 7.0, are left out.",
     .source = "TensorRT release notes, support matrix",
     .codes = {KG101_NO_CODE}},
    {.title = "CPU-only build of a CUDA package",
     .texts = "not compiled with gpu support|not compiled with cuda enabled|has no attribute "
              "'build_kernel_map|"
              "compiled without cuda support",
     .means = "The package has a CUDA half that was left out when it was built.",
     .guilty = "A build without a visible GPU, as in docker build: many setup.py ask "
               "torch.cuda.is_available(). Or the CPU wheel of PyTorch.",
     .next = "Build again with FORCE_CUDA=1 and TORCH_CUDA_ARCH_LIST set, or install a CUDA "
             "wheel. " SCAN ".",
     .source = "facebookresearch/detectron2, pytorch3d, mit-han-lab/torchsparse setup.py",
     .codes = {KG109_CPU_ONLY}},
    {.title = "a library hides the CUDA error",
     .texts = "cublas_status_arch_mismatch|cudnn_status_arch_mismatch|"
              "cudnn_status_not_supported_arch_mismatch",
     .means = "cuBLAS and cuDNN translate CUDA's errors to their own. These mean that the "
              "library has nothing for this GPU.",
     .guilty = "The version of that library: from before the GPU, or from after support for it "
               "was dropped.",
     .next = RUN ", and CUDA's own error; " SCAN ".",
     .source = "cuBLAS and cuDNN documentation, status codes",
     .codes = {KG101_NO_CODE}},
    {.title = "NCCL reports a CUDA failure",
     .texts = "nccl warn cuda failure|ncclunhandledcudaerror",
     .means = "NCCL loads kernels of its own at the first collective call. What failed stands in "
              "its warning.",
     .guilty = "libnccl itself, from before the GPU; or an earlier failure of other code that is "
               "only noticed here.",
     .next = RUN ", on every rank; NCCL >= 2.25.1 has code for 12.0.",
     .source = "pytorch/pytorch#145949",
     .codes = {KG101_NO_CODE, KG106_NO_KERNEL}},

    /* ---- CUDA errors -------------------------------------------------------------------------
     * ------------------ */
    {.number = 209,
     .title = "no kernel image is available for execution on the device",
     .names = "cudaErrorNoKernelImageForDevice, CUDA_ERROR_NO_BINARY_FOR_GPU",
     .texts = "no kernel image|cudaerrornokernelimagefordevice|cuda_error_no_binary_for_gpu",
     .means = "A kernel was to run, and the library that holds it has neither machine code for "
              "this GPU nor PTX that the driver may compile for it.",
     .guilty = "One library, often an extension built for other GPUs, and not the line that "
               "raised: a failure that nobody checked is returned by a later call. "
               "CUDA_LAUNCH_BLOCKING=1 does not help.",
     .next = RUN ". " SCAN ".",
     .source = "cuda.h, CUDA 13.0",
     .codes = {KG101_NO_CODE, KG102_ARCH_SPECIFIC}},
    {.number = 98,
     .title = "invalid device function",
     .names = "cudaErrorInvalidDeviceFunction",
     .texts = "invalid device function|cudaerrorinvaliddevicefunction",
     .means = "The runtime has no such kernel on this GPU: older runtimes say so where newer "
              "ones say 209.",
     .guilty = "A library built for other GPUs, as with 209; or one file of it built with "
               "another list; or two copies of the runtime, of which the other knows the kernel.",
     .next = RUN ".",
     .source = "driver_types.h, CUDA 13.0; recorded with driver 580",
     .codes = {KG101_NO_CODE, KG106_NO_KERNEL}},
    {.number = 200,
     .title = "device kernel image is invalid",
     .names = "cudaErrorInvalidKernelImage, CUDA_ERROR_INVALID_IMAGE",
     .texts = "device kernel image is invalid|cudaerrorinvalidkernelimage|cuda_error_invalid_image",
     .means = "The driver was given code that it cannot read: compressed in a way it does not "
              "know, newer than it, damaged, or a cubin made for another GPU.",
     .guilty = "A cache of compiled kernels filled on another GPU (Triton, CuPy, "
               "torch_extensions), or a library newer than the driver.",
     .next = RUN " and what is wrong with the image. Delete the cache, or upgrade the driver.",
     .source = "cuda.h, CUDA 13.0; triton-lang/triton#3001",
     .codes = {KG104_UNREADABLE}},
    {.number = 218,
     .title = "a PTX JIT compilation failed",
     .names = "cudaErrorInvalidPtx, CUDA_ERROR_INVALID_PTX",
     .texts = "a ptx jit compilation failed|cudaerrorinvalidptx|cuda_error_invalid_ptx",
     .means = "There is PTX for this GPU, and the driver's compiler refused it.",
     .guilty = "PTX that uses what this GPU does not have (made for sm_90a, say), damaged PTX, "
               "or the driver's compiler.",
     .next = RUN "; CUDA_LOG_FILE=stderr shows the compiler's words (drivers from 575 on).",
     .source = "cuda.h, CUDA 13.0",
     .codes = {KG107_BAD_PTX}},
    {.number = 221,
     .title = "PTX JIT compiler library not found",
     .names = "cudaErrorJitCompilerNotFound, CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
     .texts = "ptx jit compiler library not found|cudaerrorjitcompilernotfound|"
              "cuda_error_jit_compiler_not_found|libnvidia-ptxjitcompiler",
     .means = "A library holds only PTX for this GPU, and the part of the driver that compiles "
              "it cannot be loaded.",
     .guilty = "The container or the driver's installation: libnvidia-ptxjitcompiler.so.1 is "
               "missing.",
     .next = "Start the container with NVIDIA_DRIVER_CAPABILITIES=compute,utility (kguard doctor "
             "looks for the library), or use a build with machine code for the GPU.",
     .source = "cuda.h, CUDA 13.0; NVIDIA container toolkit, driver capabilities",
     .codes = {KG105_NO_JIT}},
    {.number = 222,
     .title = "the provided PTX was compiled with an unsupported toolchain",
     .names = "cudaErrorUnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     .texts = "compiled with an unsupported toolchain|cudaerrorunsupportedptxversion|"
              "cuda_error_unsupported_ptx_version",
     .means = "A library holds no machine code for this GPU, only PTX, and that was written by a "
              "CUDA newer than the driver.",
     .guilty = "That library together with the driver: 12.x code runs on any 12.x driver only "
               "where no PTX is needed.",
     .next = "Upgrade the driver, or use a build with machine code for the GPU. " RUN " and the "
             "driver that would do.",
     .source = "cuda.h, CUDA 13.0; recorded with driver 580",
     .codes = {KG103_PTX_TOO_NEW}},
    {.number = 223,
     .title = "PTX JIT compilation was disabled",
     .names = "cudaErrorJitCompilationDisabled, CUDA_ERROR_JIT_COMPILATION_DISABLED",
     .texts = "ptx jit compilation was disabled|cudaerrorjitcompilationdisabled|"
              "cuda_error_jit_compilation_disabled",
     .means = "A library holds only PTX for this GPU, and the environment forbids compiling it.",
     .guilty = "CUDA_DISABLE_PTX_JIT=1, a variable for tests.",
     .next = "unset CUDA_DISABLE_PTX_JIT. " RUN ".",
     .source = "cuda.h, CUDA 13.0",
     .codes = {KG105_NO_JIT, KG203_JIT_VARIABLE}},
    {.number = 300,
     .title = "device kernel image is invalid (invalid source)",
     .names = "cudaErrorInvalidSource, CUDA_ERROR_INVALID_SOURCE",
     .texts = "cudaerrorinvalidsource|cuda_error_invalid_source",
     .means = "The driver was given something that it does not take for code at all.",
     .guilty = "A damaged file or cache, or a program that hands the wrong bytes over.",
     .next = RUN ".",
     .source = "cuda.h, CUDA 13.0",
     .codes = {KG104_UNREADABLE}},
    {.number = 500,
     .title = "named symbol not found",
     .names = "cudaErrorSymbolNotFound, CUDA_ERROR_NOT_FOUND",
     .texts = "named symbol not found|cudaerrorsymbolnotfound|cuda_error_not_found",
     .means = "The driver took an image for this GPU, and the kernel is not in it.",
     .guilty = "A library whose files were compiled for different lists of GPUs, a device link "
               "left out (-rdc=true), or a wrong name. Some programs ask for what may be "
               "missing, and go on.",
     .next = RUN " and the GPUs whose images do hold it.",
     .source = "cuda.h, CUDA 13.0",
     .codes = {KG106_NO_KERNEL, KG108_NEEDS_LINK}},
    {.number = 13,
     .title = "invalid device symbol",
     .names = "cudaErrorInvalidSymbol",
     .texts = "invalid device symbol|cudaerrorinvalidsymbol",
     .means = "A device variable (__device__, __constant__) is not known to the runtime; also "
              "where its library has no code for this GPU.",
     .guilty = "A library built for other GPUs, or an address that is no symbol.",
     .next = RUN ", if that is the cause.",
     .source = "driver_types.h, CUDA 13.0; recorded with driver 580",
     .codes = {KG101_NO_CODE}},
    {.number = 400,
     .title = "invalid resource handle",
     .names = "cudaErrorInvalidResourceHandle, CUDA_ERROR_INVALID_HANDLE",
     .texts = "invalid resource handle|cudaerrorinvalidresourcehandle|cuda_error_invalid_handle",
     .means = "Many things; among them a kernel or variable whose library has no code for this "
              "GPU, used in a graph or copy.",
     .guilty = "A stream, event or kernel of another device or context; sometimes a library "
               "built for other GPUs.",
     .next = RUN ", if that is the cause.",
     .source = "cuda.h, CUDA 13.0; recorded with driver 580",
     .codes = {KG101_NO_CODE}},
    {.number = 700,
     .title = "an illegal memory access was encountered",
     .names = "cudaErrorIllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS",
     .texts = "an illegal memory access was "
              "encountered|cudaerrorillegaladdress|cuda_error_illegal_address",
     .means = "A kernel ran and touched memory that is not there. It can be the consequence of "
              "another that did not run: what it should have written is garbage.",
     .guilty = "Usually a fault of that kernel or its arguments; where a launch failed unchecked "
               "before, the library of that launch.",
     .next = RUN " of an earlier failure, if there was one. Else: compute-sanitizer COMMAND.",
     .source = "cuda.h, CUDA 13.0",
     .codes = {KG204_UNCHECKED}},
    /* 716 to 719: what else kernels come to that work on what another should have written. */
#define CONSEQUENCE(n, words, runtime, driver, lower)                                              \
    {.number = n,                                                                                  \
     .title = words,                                                                               \
     .names = runtime ", " driver,                                                                 \
     .texts = words "|" lower,                                                                     \
     .means = "A kernel ran and went wrong. It can be the consequence of another that did not "    \
              "run: what it should have written is garbage.",                                      \
     .guilty = "Usually a fault of that kernel or its arguments; where a launch failed "           \
               "unchecked before, the library of that launch.",                                    \
     .next = RUN " of an earlier failure, if there was one. Else: compute-sanitizer COMMAND.",     \
     .source = "cuda.h, CUDA 13.0",                                                                \
     .codes = {KG204_UNCHECKED}}
    CONSEQUENCE(716, "misaligned address", "cudaErrorMisalignedAddress",
                "CUDA_ERROR_MISALIGNED_ADDRESS",
                "cudaerrormisalignedaddress|cuda_error_misaligned_address"),
    CONSEQUENCE(717, "operation not supported on global/shared address space",
                "cudaErrorInvalidAddressSpace", "CUDA_ERROR_INVALID_ADDRESS_SPACE",
                "cudaerrorinvalidaddressspace|cuda_error_invalid_address_space"),
    CONSEQUENCE(718, "invalid program counter", "cudaErrorInvalidPc", "CUDA_ERROR_INVALID_PC",
                "cudaerrorinvalidpc|cuda_error_invalid_pc"),
    CONSEQUENCE(719, "unspecified launch failure", "cudaErrorLaunchFailure",
                "CUDA_ERROR_LAUNCH_FAILED", "cudaerrorlaunchfailure|cuda_error_launch_failed"),
    {.number = 100,
     .title = "no CUDA-capable device is detected",
     .names = "cudaErrorNoDevice, CUDA_ERROR_NO_DEVICE",
     .texts = "no cuda-capable device is detected|cudaerrornodevice|cuda_error_no_device|"
              "found no nvidia driver on your system|no cuda gpus are available",
     .means = "The driver sees no GPU from here, or there is no driver. Nothing about GPU code.",
     .guilty = "A container started without --gpus, CUDA_VISIBLE_DEVICES that hides all, or the "
               "driver's installation.",
     .next = "kguard doctor shows which driver, devices and libcuda.so.1 are found.",
     .source = "cuda.h, CUDA 13.0; pytorch/pytorch torch/csrc/cuda/Module.cpp",
     .codes = {0}},
    {.number = 35,
     .title = "CUDA driver version is insufficient for CUDA runtime version",
     .names = "cudaErrorInsufficientDriver",
     .texts = "driver version is insufficient|cudaerrorinsufficientdriver",
     .means = "The driver is older than the CUDA the program was built with, or none was found "
              "at all. Nothing about GPU code.",
     .guilty = "The driver, or a container started without GPUs.",
     .next = "kguard doctor shows which driver is there and which libcuda.so.1 is found.",
     .source = "driver_types.h, CUDA 13.0",
     .codes = {0}},
    {.number = 803,
     .title = "system has unsupported display driver / cuda driver combination",
     .names = "cudaErrorSystemDriverMismatch, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
     .texts = "unsupported display driver / cuda driver combination|cudaerrorsystemdrivermismatch|"
              "cuda_error_system_driver_mismatch",
     .means = "The libcuda.so.1 that was found is of another version than the kernel's driver. "
              "Nothing about GPU code.",
     .guilty = "A driver that was upgraded without a reboot, or a libcuda.so.1 inside the container "
               "image.",
     .next = "kguard doctor shows both versions and where the library was found.",
     .source = "cuda.h, CUDA 13.0",
     .codes = {0}},
    {.number = 804,
     .title = "forward compatibility was attempted on non supported HW",
     .names = "cudaErrorCompatNotSupportedOnDevice, CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
     .texts = "forward compatibility was attempted|cudaerrorcompatnotsupportedondevice|"
              "cuda_error_compat_not_supported_on_device",
     .means = "A cuda-compat package's libcuda.so.1 was found first, and this GPU is not of the "
              "kind it is for (data centre).",
     .guilty = "The container image: LD_LIBRARY_PATH or ld.so.conf names /usr/local/cuda/compat.",
     .next = "Take that folder out of the search path; kguard doctor shows which libcuda.so.1 is "
             "found.",
     .source = "CUDA Compatibility, forward compatibility",
     .codes = {0}},
};

const size_t kgi_known_count = KGI_COUNT(kgi_known);
