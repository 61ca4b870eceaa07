"""Reference numbers of the library in float64: `python make.py` writes an .npz for each program of ../programs.

They come from PyTorch 2.13, torchmetrics 1.9, scikit-learn 1.9, and JAX 0.10 with optax 0.2.8; what is drawn, from JAX's
Threefry. Enters: nothing but random numbers of fixed seeds. Knows nothing of the program under test.
"""

from __future__ import annotations

from functions import activations, losses
from layers import layers, residual
from measures import numbers
from randomness import randomness
from reductions import orders, reductions
from sequences import sequences
from training import optimizers
from windows import axes, convolutions, pools

if __name__ == "__main__":
    for make in (activations, axes, convolutions, layers, losses, numbers, optimizers, orders, pools):
        make()
    for make in (randomness, reductions, residual, sequences):
        make()
