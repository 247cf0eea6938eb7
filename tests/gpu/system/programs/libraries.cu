/* cuBLAS and cuFFT: products single, batched, in half precision and through cuBLASLt's heuristics;
 * transforms in one and two dimensions, real and complex, forth and back. */
#include <cublas_v2.h>
#include <cuda_fp16.h>
#include <cufft.h>
#include "common.h"

enum { N = 256, BATCH = 8, LENGTH = 4096 };

int main()
{
    float *a, *b, *c, one = 1, zero = 0;
    double *da, *dc, done = 1, dzero = 0;
    cublasHandle_t blas;
    CHECK(cudaMalloc(&a, N * N * BATCH * sizeof(float)));
    CHECK(cudaMalloc(&b, N * N * BATCH * sizeof(float)));
    CHECK(cudaMalloc(&c, N * N * BATCH * sizeof(float)));
    CHECK(cudaMalloc(&da, N * N * sizeof(double)));
    CHECK(cudaMalloc(&dc, N * N * sizeof(double)));
    CHECK(cudaMemset(da, 0, N * N * sizeof(double)));
    fill<<<N * N * BATCH / 256, 256>>>(a, N * N * BATCH, -100);
    fill<<<N * N * BATCH / 256, 256>>>(b, N * N * BATCH, 0.5f);
    CHECK(cublasCreate(&blas));
    CHECK(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_T, N, N, N, &one, a, N, b, N, &zero, c, N));
    show("sgemm", c, N * N);
    CHECK(cublasDgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &done, da, N, da, N, &dzero, dc, N));
    show("dgemm", dc, N * N);
    CHECK(cublasSgemmStridedBatched(blas, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &one, a, N, N * N, b, N,
                                    N * N, &zero, c, N, N * N, BATCH));
    show("sgemm batched", c, N * N * BATCH);
    CHECK(cublasSetMathMode(blas, CUBLAS_TF32_TENSOR_OP_MATH));
    CHECK(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &one, a, N, b, N, &zero, c, N));
    show("tf32", c, N * N);
    CHECK(cublasGemmEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &one, a, CUDA_R_16F, N, b, CUDA_R_16F, N,
                       &zero, c, CUDA_R_32F, N, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    float dot;
    CHECK(cudaDeviceSynchronize());
    CHECK(cublasSdot(blas, N, a, 1, b, 1, &dot));
    printf("dot %a\n", dot);
    CHECK(cublasDestroy(blas));

    cufftComplex *x;
    cufftReal *r;
    cufftHandle plan;
    CHECK(cudaMalloc(&x, LENGTH * 16 * sizeof *x));
    r = (cufftReal *)x;
    fill<<<LENGTH * 32 / 256, 256>>>((float *)x, LENGTH * 32, -1);
    CHECK(cufftPlan1d(&plan, LENGTH, CUFFT_C2C, 16));
    CHECK(cufftExecC2C(plan, x, x, CUFFT_FORWARD));
    show("c2c", (float *)x, LENGTH * 32);
    CHECK(cufftExecC2C(plan, x, x, CUFFT_INVERSE));
    show("and back", (float *)x, LENGTH * 32);
    CHECK(cufftDestroy(plan));
    CHECK(cufftPlan2d(&plan, 128, 96, CUFFT_R2C));
    fill<<<LENGTH * 32 / 256, 256>>>(r, LENGTH * 32, 4);
    CHECK(cufftExecR2C(plan, r, x + LENGTH * 8));
    show("r2c", (float *)(x + LENGTH * 8), 2 * 128 * 49);
    CHECK(cufftDestroy(plan));
    CHECK(cufftPlan1d(&plan, 1009, CUFFT_C2C, 1)); /* a prime */
    CHECK(cufftExecC2C(plan, x, x, CUFFT_FORWARD));
    show("prime", (float *)x, 2018);
    CHECK(cufftDestroy(plan));
    return 0;
}
