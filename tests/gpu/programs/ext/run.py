"""run.py checked|unchecked|large_shared|or_exit|later: a script that uses udf_ext.
later: an unchecked failure, then an innocent operation, where the error surfaces."""
import sys

import torch
from mesh import mesh2index


def main(mode):
    tensor = torch.zeros(8, device="cuda")
    mesh2index(tensor, "unchecked" if mode == "later" else mode)
    if mode == "later":
        tensor = tensor * 2
    print(mode, tensor.cpu().tolist())


main(sys.argv[1])
