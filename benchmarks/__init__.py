"""How fast xent is beside what else there is: `python -m benchmarks`, with the extra `[bench]`."""
