"""What the sizes of an export must satisfy for its tensors to exist and its indices to be in range.

Enters: the nodes of an export's graph, and what `where` and `--dim` say of its dimension variables. Leaves: stronger bounds, and
constraints to check on entry. Nothing is checked here that can be proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import lcm

from charl import dims
from charl.dims import Dim
from charl.elaborate.clauses import Comparison, proved
from charl.elaborate.options import Bounds
from charl.graph.ir import Node, Size
from charl.source import Span


def add_obligations(nodes: Iterable[Node], names: Iterable[str], bounds: Bounds) -> None:
    """Divisions that must be exact, sizes that must not be negative, and dimensions that are indexed."""
    names = list(names)
    sizes: dict[Size, Span | None] = {}
    for node in _outside_loops(nodes):
        for x in (*node.shape, *_indexed(node)):
            if isinstance(x, Dim) and dims.symbols(x) <= set(names):
                sizes.setdefault(x, node.span)
    for x, span in sizes.items():
        assert isinstance(x, Dim)
        _exact(x, span, bounds)
        _not_negative(x, span, names, bounds)


def _outside_loops(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes, and those of the sides of branches. What regions leave are nodes of their own; a loop may never run."""
    for node in nodes:
        if node.op == "branch":
            for side in node.regions:
                yield from _outside_loops(side.nodes())
        elif node.op != "loop":
            yield node


def add_comparisons(comparisons: Iterable[Comparison], names: Iterable[str], bounds: Bounds) -> None:
    """What functions that the export calls ask of sizes, where it follows from nothing."""
    names = set(names)
    for text, left, op, right, span in comparisons:
        asked = (text, left, op, right, span)
        if dims.symbols(left) | dims.symbols(right) <= names and not proved(asked):
            shown = f"{left} {op} {right}"
            if not any(c[0] == shown for c in bounds.constraints):
                bounds.learn((shown, left, op, right, span))


def _indexed(node: Node) -> Iterator[Size]:
    """Sizes that are not negative where no index of the operation leaves its operand."""
    if node.op == "slice":
        parts = zip(
            node.inputs[0].shape, *(node.attrs[k] for k in ("starts", "sizes", "strides")), strict=True
        )
        for n, start, size, stride in parts:
            yield start
            whole = size == dims.ceildiv(n - start, stride)  # all that are left: in range by construction
            yield n - start if whole else n - 1 - start - (size - 1) * stride
    elif node.op in ("dynamic_slice", "dynamic_update"):
        window = node.shape if node.op == "dynamic_slice" else node.inputs[1].shape
        for n, size in zip(node.inputs[0].shape, window, strict=True):
            yield n - size
    elif node.op == "gather":
        n = node.inputs[0].shape[node.attrs["axis"]]
        if n not in node.inputs[1].shape:  # else there is an index only where there is an element
            yield n - 1


def _exact(x: Dim, span: Span | None, bounds: Bounds) -> None:
    """A quotient is an integer."""
    multiples = {n: m * dims.sym(n) for n, m in bounds.multiple.items()}
    if dims.integral(dims.substitute(x, multiples)):
        return
    below: Size = lcm(*(Fraction(c).denominator for _, c in x.terms))
    for a in dict.fromkeys(a for m, _ in x.terms for a, p in m if p < 0):
        power = max(-p for m, _ in x.terms for b, p in m if b == a)
        below = below * dims.atom(a) ** power
    above = x * below
    text = f"{above} is a multiple of {below}"
    if not any(c[0] == text for c in bounds.constraints):
        bounds.constraints.append((text, below, "divides", above, span))


def _not_negative(x: Dim, span: Span | None, names: list[str], bounds: Bounds) -> None:
    least = {n: dims.sym(n) - 1 + bounds.low.get(n, 0) for n in names}  # proofs take sizes for 1 or more
    if any(p < 0 for m, _ in x.terms for _, p in m) or dims.nonnegative(dims.substitute(x, least)):
        return
    for name in dims.symbols(x):
        rest = x - dims.sym(name)
        if isinstance(rest, int):
            bounds.low[name] = max(bounds.low.get(name, 0), -rest)
            return
    text = f"{x} >= 0"
    if not any(c[0] == text for c in bounds.constraints):
        bounds.constraints.append((text, x, ">=", 0, span))
