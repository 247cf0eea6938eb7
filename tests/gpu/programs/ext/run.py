"""run.py checked|unchecked|large_shared|or_exit|later|many|rank: a script that uses udf_ext.
later: an unchecked failure, then an innocent operation, where the error surfaces; many: 300 launches
that nobody checks; rank: one process of several, each of which lives until the others have failed too
(the first that ends ends them all)."""
import sys
import time

import torch
from mesh import mesh2index


def main(mode):
    tensor = torch.zeros(8, device="cuda")
    how = {"later": "unchecked", "many": "unchecked", "rank": "checked"}.get(mode, mode)
    try:
        for _ in range(300 if mode == "many" else 1):
            mesh2index(tensor, how)
    finally:
        time.sleep(10 if mode == "rank" else 0)
    if mode == "later":
        tensor = tensor * 2
    print(mode, tensor.cpu().tolist())


main(sys.argv[1])
