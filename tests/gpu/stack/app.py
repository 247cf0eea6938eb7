"""A run in the way of the application this is about: three extensions, one after the other, and the
checks its user makes: it starts, everything imports, the GPU is recognised without a warning, the run
goes through."""
import warnings

with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    import torch
    import flash_attn
    import torchsparse
    import udf_ext
    print("imports: torch torchsparse flash_attn udf_ext")
    print("GPU:", torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0))
    field = torch.full((512,), 1.0, device="cuda")
    features, out = torch.ones(64, device="cuda"), torch.zeros(64, device="cuda")
    attention = torch.zeros(256, device="cuda")
print("warnings:", "; ".join(str(w.message).splitlines()[0] for w in warned) or "none")


def extract_mesh():
    udf_ext.compute_valid_udf(field.data_ptr(), field.numel())
    near = int((field.cpu().numpy() < 0.5).sum())
    print(f"mesh: {near} of {field.numel()} voxels near the surface")


def decode():
    torchsparse.conv(out, features, launches=216)
    print("features:", out.cpu().numpy().mean())


def attend():
    flash_attn.flash_attn_func(attention)
    print("attention:", attention.cpu().numpy().sum())


extract_mesh()
decode()
attend()
