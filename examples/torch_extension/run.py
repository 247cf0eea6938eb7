#!/usr/bin/env python3
"""Uses the extension of setup.py."""

import torch
import voxelize

points = torch.tensor([0.5, 1.5, 2.25], device="cuda")
voxelize.voxelize(points)
print("voxels:", points.int().tolist())
