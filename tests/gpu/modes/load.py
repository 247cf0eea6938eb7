"""load.py FILE [KERNEL]: loads an image that lies in memory, as programs do that build or cache kernels."""
import sys

import cupy as cp

cp.zeros(1)  # makes the context
with open(sys.argv[1], "rb") as f:
    image = f.read()
module = cp.cuda.function.Module()
module.load(image)
if len(sys.argv) > 2:
    module.get_function(sys.argv[2])
print("loaded")
