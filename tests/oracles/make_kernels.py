"""What PyTorch's kernels return in three float types, and what kernels with a known mistake return: `kernels.npz`.

    python tests/oracles/make_kernels.py        in an environment with torch (2.13.0, CPU)

Arrays are named ``<type>.<case>.<what>``; bfloat16 is stored as the uint16 of its bits. Nothing of xent is used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

PATH = Path(__file__).parent / "kernels.npz"
SAMPLES, CLASSES = 48, 12
CASES = {"plain": {}, "options": {"ignore_index": -100, "label_smoothing": 0.1, "weight": True}}


def stored(values: torch.Tensor) -> np.ndarray:
    """Return values as a NumPy array; the bits of bfloat16 as uint16."""
    values = values.detach()
    return values.view(torch.uint16).numpy() if values.dtype == torch.bfloat16 else values.numpy()


def textbook(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the losses of a kernel that does not subtract the maximum: inf or NaN where exp overflows."""
    return logits.exp().sum(1).log() - logits[torch.arange(len(labels)), labels]


def main() -> None:
    """Write the file."""
    torch.manual_seed(0)
    base = 4 * torch.randn(SAMPLES, CLASSES)
    base[::16] += 200  # beyond exp in float32; a kernel that subtracts the maximum does not notice
    labels = torch.randint(0, CLASSES, (SAMPLES,))
    weight = torch.rand(CLASSES) + 0.5
    arrays = {"labels": labels.numpy(), "ignoring": labels.numpy().copy(), "weight": weight.numpy()}
    arrays["ignoring"][5::7] = -100
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        kind = str(dtype).removeprefix("torch.")
        arrays[f"{kind}.logits"] = stored(base.to(dtype))
        for case, options in CASES.items():
            kwargs = {**options, "weight": weight.to(dtype)} if options else {}
            y = torch.from_numpy(arrays["ignoring" if options else "labels"])
            for reduction in ("none", "mean", "sum"):
                z = base.to(dtype, copy=True).requires_grad_()
                loss = cross_entropy(z, y, reduction=reduction, **kwargs)
                arrays[f"{kind}.{case}.loss_{reduction}"] = stored(loss)
                loss.sum().backward()
                arrays[f"{kind}.{case}.gradient_{reduction}"] = stored(z.grad)
        # What training code does, and fused kernels: arithmetic in float32, whatever type the logits are in.
        z = base.to(dtype, copy=True).requires_grad_()
        loss = cross_entropy(z.float(), labels, reduction="none")
        loss.mean().backward()
        arrays[f"{kind}.fused.loss_none"] = stored(loss.to(dtype))
        arrays[f"{kind}.fused.gradient_mean"] = stored(z.grad)
        arrays[f"{kind}.textbook"] = stored(textbook(base.to(dtype), labels))
    np.savez_compressed(PATH, **arrays)


if __name__ == "__main__":
    main()
