"""PyTorch's profiler, which listens through CUPTI: the same kernels, as often, by the same names."""
import torch
from torch.profiler import ProfilerActivity, profile

a = torch.randn(256, 256, device="cuda")
torch.cuda.synchronize()
with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
    for _ in range(5):
        b = torch.relu(a @ a) + a.sin()
        torch.softmax(b, dim=1).sum().item()
kernels = {}
for event in profiler.events():
    if event.device_type == torch.autograd.DeviceType.CUDA:
        kernels[event.name] = kernels.get(event.name, 0) + 1
for name in sorted(kernels):
    print(kernels[name], name)
