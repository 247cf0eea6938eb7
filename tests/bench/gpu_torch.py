"""Import of PyTorch and its first 1 000 operations; prints the seconds of its own part."""
import time

begin = time.perf_counter()
import torch

x = torch.randn(256, 256, device="cuda")
y = torch.randn(256, 256, device="cuda")
operations = (torch.add, torch.mul, torch.sub, torch.matmul, torch.maximum,
              lambda a, b: torch.relu(a), lambda a, b: torch.tanh(a),
              lambda a, b: torch.softmax(a, 1), lambda a, b: a.t().contiguous(),
              lambda a, b: a.sum(0, keepdim=True) * b)
for i in range(1000):
    z = operations[i % 10](x, y)
torch.cuda.synchronize()
print(f"{time.perf_counter() - begin:.4f}")
