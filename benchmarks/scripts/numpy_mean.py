"""Mean loss of two .npy files, as one would write it with NumPy."""

import sys

import numpy as np

z, labels = np.load(sys.argv[1]).astype(np.float64), np.load(sys.argv[2])
m = z.max(axis=1, keepdims=True)
print(np.mean(np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[np.arange(len(z)), labels]))
