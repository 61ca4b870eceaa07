"""What Charl is compared with, a module for each library.

Enters: a case and its arguments. Leaves: a `Peer`, or None where the library has nothing of the kind. Written as users of the
library write it. A library is imported only where it measures.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.case import Case, Peer

# What a report calls it: the module, what it needs, and options.
NAMES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "NumPy": ("numpy_", "numpy", {}),
    "PyTorch": ("torch_", "torch", {"compiled": False}),
    "torch.compile": ("torch_", "torch", {"compiled": True}),
    "JAX": ("jax_", "jax", {}),
    "ONNX Runtime": ("onnx_", "onnxruntime", {}),
    "llama.cpp": ("llama_", "llama_cpp", {}),
}


def available(names: list[str]) -> dict[str, bool]:
    """Which of these libraries are installed."""
    return {name: find_spec(NAMES[name][1]) is not None for name in names}


def peer(
    name: str, case: Case, arguments: dict[str, Any], threads: int, folder: Any, simd: str
) -> Peer | None:
    """The library `name` doing `case` on copies of `arguments`; None where it does not."""
    module, _, options = NAMES[name]
    make: Callable[..., Peer | None] = import_module(f"benchmarks.peers.{module}").make
    return make(name, case, arguments, threads, folder, **options)
