"""Write files as llama.cpp does, by the layout alone: no code is shared with the reader."""

import contextlib
import struct

import numpy as np


def write_kld(target, logits, tokens, n_ctx, *, floor=16.0):
    """Write logits [chunks, n_ctx - 1 - n_ctx // 2, vocabulary] and tokens [chunks, n_ctx], in float32 as llama.cpp.

    The target is a path or a stream.
    """
    chunks, scored, vocab = logits.shape
    assert scored == n_ctx - 1 - n_ctx // 2
    with contextlib.nullcontext(target) if hasattr(target, "write") else target.open("wb") as file:
        file.write(b"_logits_" + struct.pack("<iii", n_ctx, vocab, chunks))
        file.write(np.asarray(tokens, "<i4").tobytes())
        for row in logits.reshape(-1, vocab).astype(np.float32):
            highest, lowest = row.max(), max(row.min(), np.float32(row.max() - np.float32(floor)))
            log_sum = np.float32(np.log(np.exp(row - highest, dtype=np.float32).astype(np.float64).sum()))
            minimum = np.float32(np.float32(lowest - highest) - log_sum)
            scale = np.float32((highest - lowest) / np.float32(65535))
            q = np.zeros(vocab, "<u2")
            if scale:
                inverse = np.float32(1) / scale
                q = np.where(row > lowest, np.rint(inverse * (row - lowest)), 0).astype("<u2")
            file.write(struct.pack("<ff", scale, minimum) + q.tobytes() + b"\0\0" * (vocab % 2))
