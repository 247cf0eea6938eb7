"""NCCL by torch.distributed: what each rank got, in the order of the ranks.    nccl.py RANKS GPUS

More ranks than GPUs are what NCCL refuses. Exit 77 where there are fewer GPUs.
"""
import hashlib
import os
import re
import sys
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def rank(number, ranks, gpus, directory):
    out = open(os.path.join(directory, f"rank {number}"), "w")

    def show(name, tensor):
        found = hashlib.sha256(tensor.cpu().numpy().tobytes()).hexdigest()[:32]
        print(f"rank {number}: {name} {found}", file=out, flush=True)

    torch.cuda.set_device(number % gpus)
    dist.init_process_group("nccl", rank=number, world_size=ranks, init_method=f"file://{directory}/store")
    mine = torch.arange(4096, dtype=torch.float32, device="cuda") / 7 + number
    data = mine.clone()
    try:
        dist.all_reduce(data)
        torch.cuda.synchronize()
    except Exception as error:
        if ranks <= gpus:
            raise
        if number == 0:
            found = re.search("Duplicate GPU detected|ncclInvalidUsage|[A-Z][a-zA-Z]+Error", str(error))
            print(f"{ranks} ranks: {type(error).__name__}: {found and found[0]}", file=out, flush=True)
        os._exit(0)
    show("all_reduce", data)
    parts = [torch.empty_like(mine) for _ in range(ranks)]
    dist.all_gather(parts, mine)
    show("all_gather", torch.cat(parts))
    data = mine.clone()
    dist.broadcast(data, ranks - 1)
    show("broadcast", data)
    part = torch.empty_like(mine[:4096 // ranks])
    dist.reduce_scatter_tensor(part, mine)
    show("reduce_scatter", part)
    if ranks > 1:
        data = torch.empty_like(mine)
        for work in dist.batch_isend_irecv([dist.P2POp(dist.isend, mine, (number + 1) % ranks),
                                            dist.P2POp(dist.irecv, data, (number - 1) % ranks)]):
            work.wait()
        show("sent and received", data)
    data = mine.clone()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        dist.all_reduce(data)
    graph.replay()
    show("all_reduce in a graph", data)
    graph.reset()  # NCCL waits for the graphs that hold its kernels
    dist.destroy_process_group()


if __name__ == "__main__":
    ranks, gpus = map(int, sys.argv[1:])
    if torch.cuda.device_count() < gpus:
        print(f"it needs {gpus} GPUs, {torch.cuda.device_count()} here")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        mp.spawn(rank, (ranks, gpus, directory), nprocs=ranks)
        for number in range(ranks):
            print(open(os.path.join(directory, f"rank {number}")).read(), end="")
