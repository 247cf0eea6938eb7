"""NCCL by torch.distributed: one rank's collectives; then two ranks on one GPU, which NCCL refuses."""
import os
import re
import sys
import tempfile
import hashlib

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def show(name, tensor):
    print(name, hashlib.sha256(tensor.cpu().numpy().tobytes()).hexdigest()[:32], flush=True)


def rank(number, ranks, store):
    torch.cuda.set_device(0)
    dist.init_process_group("nccl", rank=number, world_size=ranks, init_method="file://" + store)
    data = torch.arange(4096, dtype=torch.float32, device="cuda") / 7 + number
    try:
        dist.all_reduce(data)
        torch.cuda.synchronize()
    except Exception as error:
        if number == 0:
            found = re.search("Duplicate GPU detected|ncclInvalidUsage|[A-Z][a-zA-Z]+Error", str(error))
            print(f"{ranks} ranks: {type(error).__name__}: {found and found[0]}", flush=True)
        os._exit(0)
    if ranks > 1:
        print(f"{ranks} ranks went well", flush=True)
        os._exit(0)
    show("all_reduce", data)
    parts = [torch.empty_like(data)]
    dist.all_gather(parts, data)
    show("all_gather", parts[0])
    dist.broadcast(data, 0)
    out = torch.empty_like(data)
    dist.reduce_scatter_tensor(out, data)
    show("reduce_scatter", out)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        dist.all_reduce(data)
    graph.replay()
    show("in a graph", data)
    dist.destroy_process_group()


if __name__ == "__main__":
    for ranks in map(int, sys.argv[1:] or ["1", "2"]):
        with tempfile.TemporaryDirectory() as directory:
            mp.spawn(rank, (ranks, os.path.join(directory, "store")), nprocs=ranks)
