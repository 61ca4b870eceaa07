"""How large a run-time integer can be, where it is made of the indices of loops.

Enters: a node, and the ranges of the indices in use. Leaves: its smallest and largest value as sizes, or None.
`for j in 0..i + 1` inside `for i in 0..N` so has a bound, and with it a reverse mode.
"""

from __future__ import annotations

from collections.abc import Mapping

from charl import dims
from charl.graph.ir import Node, Size

Range = tuple[Size, Size]
_DEEPEST = 8


def bounds(x: Node, indices: Mapping[Node, Range], depth: int = 0) -> Range | None:
    """The smallest and the largest value of `x`, both inclusive."""
    if x in indices:
        return indices[x]
    if x.op == "size_value":
        return x.attrs["size"], x.attrs["size"]
    if x.op == "constant" and isinstance(x.attrs["value"], int):
        return x.attrs["value"], x.attrs["value"]
    if depth == _DEEPEST:
        return None
    found = [bounds(y, indices, depth + 1) for y in x.inputs]
    if x.op == "reshape":
        return found[0]
    if len(found) != 2:
        return None
    a, b = found
    if x.op == "min" and (a is None or b is None):
        one = a if a is not None else b
        return None if one is None or x.rank else one
    if a is None or b is None:
        return None
    if x.op == "add":
        return a[0] + b[0], a[1] + b[1]
    if x.op == "sub":
        return a[0] - b[1], a[1] - b[0]
    if x.op == "min":
        return dims.minimum(a[0], b[0]), dims.minimum(a[1], b[1])
    if x.op == "max":
        return dims.maximum(a[0], b[0]), dims.maximum(a[1], b[1])
    return None
