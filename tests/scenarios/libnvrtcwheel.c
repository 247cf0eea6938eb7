/* The same under the name that it has in PyTorch's wheels for CUDA 11.
 * as: nvrtc/libnvrtc-672ee683.so.11.2 */
#include "libnvrtc.c"
