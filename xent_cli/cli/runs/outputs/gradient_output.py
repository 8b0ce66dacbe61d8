"""Where gradients are written, and in which dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import UsageError
from xent_cli.readers.interface import ARRAYS

if TYPE_CHECKING:
    from xent_cli.cli.options import LayoutFlags, OutputFlags
    from xent_cli.readers.pair.paired_inputs import Pair
    from xent_cli.writers.folder import PartsFolder
    from xent_cli.writers.npy import GradientWriter
    from xent_cli.writers.publish import Publication


@dataclass(frozen=True, slots=True)
class GradientOutput:
    """Where gradients are written, and in which dtype.

    Fields
    ------
    path
        A .npy file, or a folder/ of .npy files.
    dtype
        Dtype in the file; 2-byte void is bfloat16.
    of_sum
        Whether these are gradients of the sum, not of the mean.
    shape, axis
        Shape and class axis of the logits; the first side is None if the number of rows is known only at the end.
    """

    path: str
    dtype: np.dtype[np.generic]
    of_sum: bool
    shape: tuple[int | None, ...]
    axis: int

    @property
    def in_parts(self) -> bool:
        """Whether each block is written to a file of its own, by the worker that computes it."""
        return self.path.endswith("/")

    @property
    def kernel_dtype(self) -> str:
        """Dtype for the kernel, which has no bfloat16: the writer rounds float32 to it."""
        return "<f4" if self.dtype.kind == "V" else self.dtype.str

    def open_folder(self, files: Publication) -> PartsFolder:
        """Open the folder that parts are written to."""
        from xent_cli.writers.folder import open_folder

        return open_folder(files, self.path, None, self.dtype.str)

    def open_writer(self, files: Publication) -> GradientWriter:
        """Open the file."""
        from xent_cli.writers.npy import GradientWriter

        return GradientWriter(files.file(self.path), self.shape, self.axis, self.dtype)


def gradient_output(flags: OutputFlags, layout: LayoutFlags, pair: Pair) -> GradientOutput:
    """Return the output that the options name for gradients; the default dtype is that of the logits.

    Raises
    ------
    UsageError
        If gradients cannot be written to the path, or there is a dtype without a path.
    """
    path, logits = flags.gradients, pair.logits
    if path is None:
        raise UsageError("--gradient-dtype without --gradients")
    if not path.endswith((".npy", "/")):
        what = f"--gradients {path}: gradients are written as .npy, or into a folder/ of them"
        raise UsageError(what, hint="for example --gradients gradients.npy")
    shape = logits.info.shape
    if not path.endswith("/") and logits.info.format in ARRAYS and None in shape:
        found = f"shards of {logits.info.path} that differ in shape"
        raise UsageError(f"--gradients {path}: one array cannot hold them", found=found, hint="name a folder/")
    dtype = logits.info.dtype if logits.info.dtype.kind == "f" else np.dtype(np.float64)
    if flags.gradient_dtype == "bfloat16" or (layout.logits_dtype == "bfloat16" and not flags.gradient_dtype):
        dtype = np.dtype("V2")  # as numpy.save writes bfloat16
    elif flags.gradient_dtype:
        dtype = np.dtype(flags.gradient_dtype)
    of_sum, axis = flags.reduction == "sum", layout.axis % len(shape)
    return GradientOutput(path, dtype.newbyteorder("="), of_sum, shape, axis)
