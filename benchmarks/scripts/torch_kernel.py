"""PyTorch's cross-entropy of arrays in memory: the mean, once for each line of standard input.

Arguments: logits.npy, labels.npy, number of threads, kind. The kind is "sparse", "smoothing" or "class-weight" for
class indices, "dense" for rows of probabilities, and "teacher" for a teacher's logits, whose softmax counts too.
"""

import sys

import numpy as np
import torch
from torch.nn.functional import cross_entropy

logits, labels = (torch.from_numpy(np.load(path)) for path in sys.argv[1:3])
torch.set_num_threads(int(sys.argv[3]))
kind = sys.argv[4]
weight = torch.linspace(0.5, 1.5, logits.shape[1]) if kind == "class-weight" else None
smoothing = 0.1 if kind == "smoothing" else 0.0
for _ in sys.stdin:
    target = labels.softmax(1) if kind == "teacher" else labels
    losses = cross_entropy(logits, target, weight=weight, label_smoothing=smoothing, reduction="none")
    print(float(losses.mean()), flush=True)
