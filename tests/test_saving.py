"""The lines of the README that save a model's outputs: what they wrote is stored, and gives the loss it must."""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from xent_cli.cli import cli

SAVED_BY = Path(__file__).with_name("saved_by")
# By name: the line, what it writes, and the options that xent needs with it. `model`, `x`, `y` and `loader` are as in
# any script; the stored files were written by these lines.
TORCH = {
    "float32": ('torch.save({"logits": model(x), "labels": y}, "outputs.pt")', "outputs.pt", []),
    "bfloat16": ('torch.save({"logits": model(x).bfloat16(), "labels": y}, "bfloat16.pt")', "bfloat16.pt", []),
    "sharded": (
        'for i, (x, y) in enumerate(loader):\n    torch.save({"logits": model(x), "labels": y}, f"outputs/{i:05d}.pt")',
        "outputs",
        [],
    ),
}


def run_lines(folder):
    """Run the lines of PyTorch with a small model in a folder; return its outputs and the labels."""
    import torch

    torch.manual_seed(3)
    model, x, y = torch.nn.Linear(4, 5), torch.randn(12, 4) * 3, torch.randint(0, 5, (12,))
    loader = list(zip(x.split(5), y.split(5), strict=True))
    (folder / "outputs").mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line, _, _ in TORCH.values():
            exec(line, {"torch": torch, "model": model, "x": x, "y": y, "loader": loader})
    finally:
        os.chdir(before)
    return model(x).detach().numpy(), y.numpy()


def mean_loss(logits, labels):
    z = np.asarray(logits, np.longdouble)
    z = z - z.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]).mean())


def bfloat16(values):
    """Round to the nearest bfloat16, ties to even."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return bits.astype(np.uint32).view(np.float32)


def found(path, options):
    run = CliRunner().invoke(cli, ["compute", str(path), *options, "-f", "json", "-q"], standalone_mode=False)
    assert run.exception is None, run.exception
    return json.loads(run.stdout)["summary"]


def hold(folder, logits, labels):
    """See that every line's file gives the loss of the logits it holds."""
    for name, (_, file, options) in TORCH.items():
        expected = mean_loss(bfloat16(logits) if name == "bfloat16" else logits, labels)
        summary = found(folder / file, options)
        assert summary["n_samples"] == len(labels)
        assert summary["mean_loss"] == pytest.approx(expected, rel=1e-13), name


def test_what_the_lines_of_pytorch_wrote_is_read():
    expected = np.load(SAVED_BY / "torch_lines" / "expected.npz")
    hold(SAVED_BY / "torch_lines", expected["logits"], expected["labels"])


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the stored files stand for a torch that is here")
def test_what_the_lines_write_with_the_pytorch_that_is_installed_is_read(tmp_path):
    hold(tmp_path, *run_lines(tmp_path))


if __name__ == "__main__":  # python -m tests.test_saving writes the stored files anew
    logits, labels = run_lines(SAVED_BY / "torch_lines")
    np.savez(SAVED_BY / "torch_lines" / "expected.npz", logits=logits, labels=labels)
