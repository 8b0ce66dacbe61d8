"""How fast xent is compared with the alternatives: `python -m benchmarks`, with the extra `[bench]`."""
