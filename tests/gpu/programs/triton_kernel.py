"""A Triton kernel that works; Triton compiles and links a host stub on the way."""
import hashlib

import torch
import triton
import triton.language as tl


@triton.jit
def fused(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    tl.store(out + at, tl.load(x + at, mask=mask) * 2 + tl.load(y + at, mask=mask), mask=mask)


torch.manual_seed(3)
x, y = torch.randn(10000, device="cuda"), torch.randn(10000, device="cuda")
out = torch.empty_like(x)
fused[(triton.cdiv(10000, 256),)](x, y, out, 10000, BLOCK=256)
print("triton", hashlib.sha256(out.cpu().numpy().tobytes()).hexdigest()[:32])
