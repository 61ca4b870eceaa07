"""What a row of the benchmark is: a program, its export and sizes, the arguments, and how much work that is.

Enters: nothing. Leaves: types that the files in `models` fill and the runner reads. Libraries to compare with (`peers`) know a
case by its key, and get the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
Leaves: TypeAlias = "dict[str, Array]"
MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Case:
    """One row.

    `arguments()` gives the export's arguments by name: arrays, numbers, the leaves of a record by path, or a list of those for a
    run of records. What is not given is a record of zeros (the state of an optimizer before its first step). `flops`
    counts the multiply-adds of the algorithm twice and nothing else; `bytes` what must be read or written, `touched` the memory
    that holds it where that is less: weights that every step reads again, and what is read and written.
    """

    key: str  # what peers know: "mlp.predict"
    name: str  # what a reader knows: "MLP 784-128-10, batch 1"
    kind: str  # "product", "inference", "training", "layer", "program"
    program: str
    export: str
    arguments: Callable[[], dict[str, Any]]
    flops: float
    bytes: float
    dims: dict[str, int] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    calls: int = 1  # that are compared, one after the other
    touched: float = 0.0  # bytes; those of `bytes` where zero
    before: int = 0  # that are made before anything is timed
    flush: bool = False  # subnormal numbers are zero, where a library can be told so
    heavy: bool = False  # left out of quick runs
    share: float = 0.0  # of the limit that is aimed at, on one thread; zero where there is no such aim
    lead: float = 1.0  # how many times as fast as the best other library is aimed at, on one thread
    simd: str = (
        ""  # instructions of Charl's C, where not the widest; without others, which choose their own (and no `lead`)
    )
    options: dict[str, Any] = field(default_factory=dict)  # for peers

    def given(self) -> dict[str, Any]:
        """The arguments, with arrays that begin at cache lines, where PyTorch and JAX put theirs."""
        return {name: placed(value) for name, value in self.arguments().items()}

    @property
    def source(self) -> Path:
        """The program's file."""
        return MODELS / self.program

    @property
    def model(self) -> str:
        """What peers know the network by."""
        return self.key.split(".")[0]

    @property
    def stem(self) -> str:
        """The program: cases of one program run in one process."""
        return self.program.removesuffix(".ch")


@dataclass
class Peer:
    """A library doing the same. `step` is one call, finished when it returns; `result` its outcome as arrays; `state` the leaves
    that `step` changed, under Charl's names."""

    name: str
    step: Callable[[], Any]
    result: Callable[[Any], Any]
    state: Callable[[], Leaves] = dict
    tolerance: float = 1e-4  # of its outputs from Charl's
    many: Callable[[int], Any] | None = None  # so many calls, where that is not a loop over `step`

    def run(self, calls: int) -> None:
        """So many calls."""
        if self.many is not None:
            self.many(calls)
            return
        for _ in range(calls):
            self.step()


def placed(value: Any) -> Any:
    """Copies of all arrays in it that begin at multiples of 64 bytes."""
    if isinstance(value, dict):
        return {k: placed(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(placed, value))
    if not isinstance(value, np.ndarray):
        return value
    space = np.empty(value.nbytes + 64, np.uint8)
    skip = -space.ctypes.data % 64
    out = space[skip : skip + value.nbytes].view(value.dtype).reshape(value.shape)
    out[...] = value
    return out


def rng(seed: int = 0) -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(seed)


def normal(r: np.random.Generator, *shape: int, std: float = 1.0) -> Array:
    """Normal numbers in f32."""
    return (std * r.standard_normal(shape, np.float32)).astype(np.float32)


def dense(r: np.random.Generator, path: str, i: int, o: int, std: float | None = None) -> Leaves:
    """Leaves of a dense layer, its bias not zero so that a missing one is noticed."""
    std = i**-0.5 if std is None else std
    return {f"{path}.w": normal(r, i, o, std=std), f"{path}.b": normal(r, o, std=0.01)}


def conv(r: np.random.Generator, path: str, i: int, o: int, kernel: int, bias: bool = False) -> Leaves:
    """Leaves of a convolution with square taps."""
    out = {f"{path}.w": normal(r, o, i, kernel, kernel, std=(2 / (i * kernel * kernel)) ** 0.5)}
    return out | ({f"{path}.b": normal(r, o, std=0.01)} if bias else {})


def batch_norm(r: np.random.Generator, path: str, channels: int) -> Leaves:
    """Leaves of a batch norm that has seen data."""
    return {
        f"{path}.scale": 1 + normal(r, channels, std=0.1),
        f"{path}.shift": normal(r, channels, std=0.1),
        f"{path}.mean": normal(r, channels, std=0.1),
        f"{path}.variance": np.abs(1 + normal(r, channels, std=0.1)),
    }
