"""What only `main` may do: print, load and save files, go over batches, start a stream of random numbers.

Enters: a call of one of these, with values. Leaves: text, files, values. Paths are relative to the current folder. Files are
written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import dtypes, ops
from charl.elaborate import operators
from charl.elaborate import values as v
from charl.elaborate.builtins import Missing, bind, constant, tensor
from charl.elaborate.calls import COUNT, MISSING, Argument, Call
from charl.elaborate.initial import seeded
from charl.errors import code, fail
from charl.graph.ir import Node
from charl.run import files
from charl.run.machine import known

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator
    from charl.run.interpreter import Interpreter

E_BATCHES = code("E0621", "tensors cannot be taken in batches together")


def effects(run: Interpreter) -> list[v.Builtin]:
    """The functions of `main`, bound to one run."""
    found = {"print": _print, "load": _load, "save": _save, "batches": _batches, "seeded": _seeded}

    def wrap(name: str) -> v.Builtin:
        def call(el: Elaborator, c: Call) -> Any:
            run.effects += 1
            return found[name](run, c)

        return v.Builtin(name, call)

    return [wrap(name) for name in found]


# ---------------------------------------------------------------- print


def _print(run: Interpreter, c: Call) -> None:
    """`print(a, b, name: c)`: values with blanks between."""
    words = [(f"{a.name} " if a.name else "") + _text(run, a.value) for a in c.arguments]
    print(*words, flush=True)


def _text(run: Interpreter, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Node):
        return _array_text(run.machine.compute([value])[0])
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (v.Tuple, v.Run)):
        return f"({', '.join(_text(run, x) for x in value.items)})"
    if isinstance(value, v.Instance):
        return f"{v.describe(value.type)} {{ {', '.join(f'{p}: {n.type}' for p, n in v.leaves(value))} }}"
    return str(value) if isinstance(value, (int, float)) else v.describe_value(value)


def _array_text(a: np.ndarray[Any, Any]) -> str:
    if a.ndim == 0:
        return str(a[()]).lower() if a.dtype.kind == "b" else str(a[()])
    return np.array2string(a, threshold=100, separator=", ")


# ---------------------------------------------------------------- files


def _load(run: Interpreter, c: Call) -> Any:
    """`load("x.npz")`: its arrays as members; `load("x.npy")`: a tensor; `load("w.safetensors", mut net)`: into a value."""
    given = bind("load", {"path": Missing, "into": None}, c)
    path = Path(constant(given["path"], "str", "path"))
    into = given["into"]
    arrays = files.read(path, given["path"].span)
    if isinstance(into, Argument):
        if into.place is None:
            raise fail(
                MISSING, "`load` changes its second argument", into.span, help=f"write `mut {into.span.text}`"
            )
        into.place.set(files.filled(into.value, arrays, path, into.span))
        return None
    return arrays[""] if path.suffix == ".npy" else files.members(path, arrays, run.outer)


def _save(run: Interpreter, c: Call) -> None:
    """`save("w.safetensors", net)`, `save("x.npy", a)`, `save("x.npz", a: a, b: b)`."""
    if not c.arguments:
        raise fail(MISSING, "`save` needs a path and what to save", c.span)
    path = Path(constant(c.arguments[0], "str", "path"))
    parts: dict[str, Node] = {}
    for a in c.arguments[1:]:
        value = a.value if isinstance(a.value, (Node, v.Instance, v.Tuple, v.Run)) else tensor("save", a)
        parts |= {".".join(filter(None, (a.name or "", p))): n for p, n in v.leaves(value)}
    arrays = dict(zip(parts, run.machine.compute(list(parts.values())), strict=True))
    files.write(path, arrays, c.span)


# ---------------------------------------------------------------- batches and streams


class Batches:
    """Rows of several tensors, some at a time; the last batch may be smaller."""

    def __init__(self, arrays: list[np.ndarray[Any, Any]], nodes: list[Node], size: int, order: Any) -> None:
        self.arrays, self.nodes, self.size, self.order = arrays, nodes, size, order

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __iter__(self) -> Iterator[Any]:
        for i in range(len(self)):
            rows = self.order[i * self.size : (i + 1) * self.size]
            parts = [known(a[rows], n.dtype, n.name) for a, n in zip(self.arrays, self.nodes, strict=True)]
            yield parts[0] if len(parts) == 1 else v.Tuple(tuple(parts))


def _batches(run: Interpreter, c: Call) -> Batches:
    """`batches(x, y, size: 32, rng: mut rng)`: in order, or shuffled by a draw from a stream."""
    named = {a.name: a for a in c.arguments if a.name is not None}
    nodes = [tensor("batches", a) for a in c.arguments if a.name is None]
    unknown = sorted(set(named) - {"size", "rng"})
    if unknown:
        raise fail(
            COUNT,
            f"`batches` has no parameter `{unknown[0]}`",
            named[unknown[0]].span,
            help="`size` or `rng`",
        )
    if not nodes or "size" not in named:
        raise fail(MISSING, "`batches` needs tensors and a `size`", c.span, help="batches(x, y, size: 32)")
    size = constant(named["size"], "int", "size")
    if size < 1:
        raise fail(E_BATCHES, f"a batch has at least one row, not {size}", named["size"].span)
    if len({n.shape[0] if n.shape else None for n in nodes}) > 1 or not nodes[0].shape:
        shown = " and ".join(str(n.type) for n in nodes)
        raise fail(E_BATCHES, f"{shown}: not the same number of rows", c.span)
    arrays = run.machine.compute(nodes)
    order = _shuffled(run, named["rng"], len(arrays[0])) if "rng" in named else np.arange(len(arrays[0]))
    return Batches(arrays, nodes, size, order)


def _shuffled(run: Interpreter, a: Argument, n: int) -> Any:
    """Positions ordered by one draw of random bits, ties by position."""
    value = a.value
    if not isinstance(value, v.Instance) or value.type.name != "Rng" or a.place is None:
        raise fail(operators.OPERAND, "`rng` is a stream that moves on", a.span, help="write `rng: mut rng`")
    key, counter = value.members["key"], value.members["counter"]
    bits = ops.random_bits(key, counter, (n,))
    drawn, moved = run.machine.compute([bits, ops.add(counter, ops.constant(1, dtypes.u32))])
    a.place.set(value.replace("counter", known(moved, dtypes.u32, "counter")))
    return np.argsort(drawn, kind="stable")


def _seeded(run: Interpreter, c: Call) -> Any:
    """`seeded(0)`: a stream of random numbers from a seed."""
    given = bind("seeded", {"seed": Missing}, c)
    return seeded(run.el, run.outer, constant(given["seed"], "int", "seed"))
