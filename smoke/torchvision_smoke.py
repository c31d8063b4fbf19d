"""torchvision: its own kernel for overlapping boxes keeps what its CPU code keeps."""

import torch
from torchvision.ops import nms

torch.manual_seed(0)
corners = torch.rand(500, 2) * 100
boxes = torch.cat([corners, corners + torch.rand(500, 2) * 30 + 1], dim=1)
scores = torch.rand(500)
wanted = nms(boxes, scores, 0.5)
found = nms(boxes.cuda(), scores.cuda(), 0.5).cpu()
assert torch.equal(found, wanted), f"{len(found)} boxes are kept, not {len(wanted)}"
print(f"{len(found)} of 500 boxes kept, as on the CPU")
