"""Whole programs and single kernels against other libraries and the limits of the machine: `python -m benchmarks`."""
