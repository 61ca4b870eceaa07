"""Benchmarks, each a module to run: `python -m benchmarks.mlp`. Every library computes on one thread."""

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
