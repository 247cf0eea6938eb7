/* Streams: many at once, by many threads, with priorities, events and host functions, memory that is
 * allocated in stream order, and the default stream. Compiled for the legacy and the per-thread one. */
#include <atomic>
#include <thread>
#include "common.h"

enum { N = 1 << 15, STREAMS = 16, THREADS = 8 };

static std::atomic<int> called;

static void CUDART_CB on_host(void *)
{
    called++;
}

static void by_thread(int number, uint64_t *out)
{
    float *a, *b;
    cudaStream_t stream;
    cudaEvent_t event;
    int least, greatest;
    CHECK(cudaSetDevice(0));
    CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                       number & 1 ? least : greatest));
    CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    CHECK(cudaMallocAsync(&a, N * sizeof(float), stream));
    CHECK(cudaMallocAsync(&b, N * sizeof(float), stream));
    fill<<<N / 128, 128, 0, stream>>>(a, N, (float)number);
    fill<<<N / 128, 128, 0, stream>>>(b, N, 1);
    for (int i = 0; i < 50; i++)
        add<<<N / 128, 128, 0, stream>>>(a, b, N, 0.5f);
    CHECK(cudaLaunchHostFunc(stream, on_host, nullptr));
    CHECK(cudaEventRecord(event, stream));
    CHECK(cudaEventSynchronize(event));
    std::vector<float> host(N);
    CHECK(cudaMemcpyAsync(host.data(), a, N * sizeof(float), cudaMemcpyDeviceToHost, stream));
    CHECK(cudaFreeAsync(a, stream));
    CHECK(cudaFreeAsync(b, stream));
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaStreamDestroy(stream));
    *out = hash_of(host.data(), N * sizeof(float));

    /* The default stream, which is this thread's own where compiled so. */
    float *c;
    CHECK(cudaMalloc(&c, N * sizeof(float)));
    fill<<<N / 128, 128>>>(c, N, 7);
    CHECK(cudaMemcpy(host.data(), c, N * sizeof(float), cudaMemcpyDeviceToHost));
    *out ^= hash_of(host.data(), N * sizeof(float));
    CHECK(cudaFree(c));
}

int main()
{
    float *memory[STREAMS];
    cudaStream_t streams[STREAMS];
    cudaEvent_t events[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        CHECK(cudaMalloc(&memory[i], N * sizeof(float)));
        CHECK(cudaStreamCreate(&streams[i]));
        CHECK(cudaEventCreate(&events[i]));
    }
    /* A chain through all of them. */
    for (int i = 0; i < STREAMS; i++) {
        fill<<<N / 256, 256, 0, streams[i]>>>(memory[i], N, (float)i);
        if (i) {
            CHECK(cudaStreamWaitEvent(streams[i], events[i - 1]));
            add<<<N / 256, 256, 0, streams[i]>>>(memory[i], memory[i - 1], N, 0.5f);
        }
        CHECK(cudaEventRecord(events[i], streams[i]));
    }
    CHECK(cudaDeviceSynchronize());
    show("chain", memory[STREAMS - 1], N);
    float milliseconds;
    CHECK(cudaEventElapsedTime(&milliseconds, events[0], events[STREAMS - 1]));

    uint64_t results[THREADS];
    std::vector<std::thread> threads;
    for (int i = 0; i < THREADS; i++)
        threads.emplace_back(by_thread, i, &results[i]);
    for (auto &thread : threads)
        thread.join();
    for (int i = 0; i < THREADS; i++)
        printf("thread %d %016llx\n", i, (unsigned long long)results[i]);
    printf("host function %d times\n", called.load());
    return 0;
}
