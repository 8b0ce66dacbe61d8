"""Blocks in pieces, as readers cut an input."""

from xent_cli.core.block import Block


def cut(block, size):
    """Cut a block into blocks of at most `size` samples."""
    names = ("logits", "labels", "weights", "unscored", "ids", "groups")
    fields = {name: getattr(block, name) for name in names if getattr(block, name) is not None}
    return [
        Block(block.start + i, **{name: field[i : i + size] for name, field in fields.items()})
        for i in range(0, len(block.logits), size)
    ]
