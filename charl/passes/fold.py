"""Constant folding: what depends on no input is computed now, by the operations' NumPy meaning.

Enters: nodes with settled inputs. Leaves: constants of at most `LIMIT` elements. Numbers that are the same everywhere stay
broadcast scalars. Counting (`iota`) is an index, cheaper than any table: what is made of it becomes a table only where that
saves more than arithmetic. Never folds what depends on a parameter or on a dimension variable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from charl import ops
from charl.dims import Dim
from charl.graph.ir import Node
from charl.ops.record import OPS

LIMIT = 4096  # elements of a folded constant

# Worth a table although they count: one element costs more than loading it.
COSTLY = frozenset((
    "exp", "exp2", "expm1", "log", "log2", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "erf", "pow", "atan2", "random_bits", "contract", "cumsum", "argmax", "argmin",
    "reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or",
))  # fmt: skip

Array = np.ndarray[Any, Any]


def _sizes(node: Node) -> tuple[int, ...] | None:
    """The shape where it is fixed and small."""
    total = 1
    for n in node.shape:
        if not isinstance(n, int):
            return None
        total *= n
    return tuple(int(n) for n in node.shape if isinstance(n, int)) if total <= LIMIT else None


def _symbolic(value: Any) -> bool:
    """Whether an attribute depends on a dimension variable."""
    return isinstance(value, Dim) or (isinstance(value, tuple) and any(map(_symbolic, value)))


class Folder:
    """The values known so far; `counted` are those that hang on an `iota`."""

    def __init__(self) -> None:
        self.known: dict[Node, Array] = {}
        self.counted: set[Node] = set()

    def step(self, node: Node) -> Node | None:
        """The constant that `node` is, or None."""
        if node.op in ("parameter", "item", "parallel") or node.regions:
            return None
        shape = _sizes(node)
        if shape is None:
            return None
        if any(map(_symbolic, node.attrs.values())):
            return None
        if not all(i in self.known for i in node.inputs):
            return None
        with np.errstate(all="ignore"):
            value = np.asarray(OPS[node.op].ref([self.known[i] for i in node.inputs], node.attrs, shape))
        counts = node.op == "iota" or any(i in self.counted for i in node.inputs)
        keep = node.op in ("constant", "broadcast") or (counts and node.op not in COSTLY)
        new = node if keep else ops.constant(value, node.dtype)
        self.known[new] = value
        if keep and counts:
            self.counted.add(new)
        if keep:
            return None
        return new
