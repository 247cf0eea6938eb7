"""The first steps of an application on PyTorch, and the checks that its user makes: it starts, everything
imports, the GPU is recognised without a warning, the run goes through."""
import importlib
import sys
import warnings

MODULES = sys.argv[1:]


def start():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        import torch
        for name in MODULES:
            importlib.import_module(name)
        print("imports: torch", torch.__version__, *MODULES)
        print("GPU:", torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0))
    for warning in warned:
        print("warning:", " ".join(str(warning.message).split()))
    return torch


def encode(torch):
    image = torch.zeros(1, 3, 64, 64, device="cuda")
    return (image * 2 - 1).clamp(-1, 1)


torch = start()
tokens = encode(torch)
print("run: went through,", tuple(tokens.shape))
