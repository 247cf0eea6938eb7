"""run.py checked|unchecked|large_shared|or_exit|later|many: a script that uses udf_ext.
later: an unchecked failure, then an innocent operation, where the error surfaces; many: 300 launches
that nobody checks."""
import sys

import torch
from mesh import mesh2index


def main(mode):
    tensor = torch.zeros(8, device="cuda")
    for _ in range(300 if mode == "many" else 1):
        mesh2index(tensor, "unchecked" if mode in ("later", "many") else mode)
    if mode == "later":
        tensor = tensor * 2
    print(mode, tensor.cpu().tolist())


main(sys.argv[1])
