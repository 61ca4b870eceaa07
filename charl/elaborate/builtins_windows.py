"""Primitives for which each of some axes has its own numbers: windows, their overlapping sum, padding.

As `builtins`. A number that stands alone holds for every axis in question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl import dims, ops
from charl.elaborate import values as v
from charl.elaborate.builtins import TENSOR, Missing, axis_of, builtin, constant, sizes, tensor
from charl.elaborate.builtins_shape import JOIN
from charl.elaborate.parameters import Argument, Call
from charl.errors import Label, code, fail
from charl.graph.ir import Node, Size
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

WINDOW = code("E0590", "a window does not fit its axis")
PER_AXIS = code("E0591", "numbers and axes differ in count")


def _is_list(a: Any) -> bool:
    return isinstance(a, Argument) and isinstance(a.value, (v.Run, v.Tuple))


def _count(given: dict[str, Any], c: Call) -> int | None:
    """How many axes the lists among the arguments speak of; None where there is no list."""
    found = {name: len(a.value.items) for name, a in given.items() if _is_list(a)}
    if len(set(found.values())) > 1:
        said = ", ".join(f"`{name}` has {n}" for name, n in found.items())
        raise fail(PER_AXIS, f"a number for each axis: {said}", c.span)
    return next(iter(found.values()), None)


def _each(a: Any, n: int) -> tuple[Size, ...]:
    """One size per axis."""
    given = sizes([a]) if isinstance(a, Argument) else (a,)
    return given if _is_list(a) else given * n


def _steps(name: str, a: Any, n: int) -> tuple[Size, ...]:
    """Strides or dilations: at least 1."""
    out = _each(a, n)
    if any(isinstance(s, int) and s < 1 for s in out):
        raise fail(WINDOW, f"`{name}` is at least 1", a.span)
    return out


def _axes(x: Node, a: Any, n: int | None, rank: int, span: Span) -> tuple[int, ...]:
    """`axes:` of a call, of the first `rank` axes of `x`: as given, or else the last n (one where nothing says how many)."""
    if isinstance(a, Argument) and a.value is not None:
        many = a.value.items if isinstance(a.value, (v.Tuple, v.Run)) else (a.value,)
        out = tuple(axis_of(x, i, a.span) for i in many)
        if len(set(out)) != len(out) or any(i >= rank for i in out):
            raise fail(PER_AXIS, "an axis occurs twice, or is one of taps", a.span)
        return out
    count = 1 if n is None else n
    if count > rank:
        raise fail(PER_AXIS, f"{count} axes of {x.type}", span)
    return tuple(range(rank - count, rank))


# ---------------------------------------------------------------- windows


@builtin("windows", x=Missing, size=Missing, stride=1, dilation=1, padding=0, fill=0, axes=None)
def _windows(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """`windows(x, [3, 3])[…, i, j, k, l] = x[…, i + k, j + l]`: every window of the last axes, a view.

    `padding` puts so many `fill`s before and behind each of the axes first, or a pair `(before, behind)`.
    """
    x = tensor("windows", p["x"])
    n = _count({k: p[k] for k in ("size", "stride", "dilation", "axes", "padding")}, c)
    axes = _axes(x, p["axes"], n, x.rank, c.span)
    x = _with_margin(x, axes, p["padding"], p["fill"], c.span)
    size, strides, dilations = _each(p["size"], len(axes)), *(
        _steps(k, p[k], len(axes)) for k in ("stride", "dilation")
    )
    for axis, k, d in zip(axes, size, dilations, strict=True):
        reach, length = d * (k - 1) + 1, x.shape[axis]
        if isinstance(k, int) and k < 1:
            raise fail(WINDOW, f"a window of {k} holds nothing", p["size"].span)
        if isinstance(reach, int) and isinstance(length, int) and reach > length:
            apart = f", {d} apart," if d != 1 else ""
            raise fail(
                WINDOW,
                f"a window of {k} taps{apart} does not fit into {length} elements",
                p["size"].span,
                labels=(Label(p["x"].span, str(x.type)),),
                help="pad the input",
            )
    return ops.windows(x, axes, size, strides, dilations)


@builtin("overlap_add", x=Missing, length=None, stride=1, dilation=1, padding=0, extra=0, axes=None)
def _overlap_add(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """The adjoint of `windows`: windows [..., O, ..., K] added up into axes of `length`, and `padding` cut off.

    Without a length, what the windows cover, and `extra` elements behind.
    """
    x = tensor("overlap_add", p["x"])
    n = _count({k: p[k] for k in ("length", "stride", "dilation", "padding", "extra", "axes")}, c) or 1
    if 2 * n > x.rank or not (x.dtype.is_float or x.dtype.is_integer):
        raise fail(TENSOR, f"`overlap_add` takes windows over {n} axes, and this is {x.type}", p["x"].span)
    axes = _axes(x, p["axes"], n, x.rank - n, c.span)
    taps = x.shape[x.rank - n :]
    strides, dilations = (_steps(k, p[k], n) for k in ("stride", "dilation"))
    low, high = _margins(p["padding"], n, c.span)
    if isinstance(p["length"], Argument) and p["length"].value is not None:
        given = _each(p["length"], n)
    else:
        covered = zip(axes, strides, dilations, taps, strict=True)
        ends = [(x.shape[a] - 1) * s + d * (k - 1) + 1 for a, s, d, k in covered]
        more = _each(p["extra"], n)
        given = tuple(e + m - b - a for e, m, b, a in zip(ends, more, low, high, strict=True))
    lengths = tuple(b + m + a for b, m, a in zip(low, given, high, strict=True))
    for axis, k, length, s, d in zip(axes, taps, lengths, strides, dilations, strict=True):
        fitting = dims.rounded_down(length - d * (k - 1) - 1, s) + 1
        if fitting != x.shape[axis]:
            raise fail(
                WINDOW,
                f"{fitting} windows of {k} fit into {length} elements, and these are {x.shape[axis]}",
                c.span,
                labels=(Label(p["x"].span, str(x.type)),),
            )
    out = ops.overlap_add(x, axes, lengths, strides, dilations)
    first = dict(zip(axes, low, strict=True))
    kept = dict(zip(axes, given, strict=True))
    if any(isinstance(m, int) and m < 0 for m in given):
        raise fail(WINDOW, f"nothing is left of {lengths} elements without the padding", c.span)
    sizes_ = tuple(kept.get(k, m) for k, m in enumerate(out.shape))
    return ops.slice_(out, tuple(first.get(k, 0) for k in range(out.rank)), sizes_)


# ---------------------------------------------------------------- padding


def _with_margin(x: Node, axes: tuple[int, ...], padding: Any, fill: Any, span: Span) -> Node:
    """`x` in a margin along `axes`; a pair for an axis says what stands before and what behind."""
    low, high = _margins(padding, len(axes), span)
    return _padded(x, axes, low, high, fill, span)


def _margins(padding: Any, n: int, span: Span) -> tuple[tuple[Size, ...], tuple[Size, ...]]:
    """What stands before and behind each of n axes."""
    items = padding.value.items if _is_list(padding) else (_value(padding),) * n
    pairs = [i.items if isinstance(i, (v.Run, v.Tuple)) else (i, i) for i in items]
    if any(len(pair) != 2 for pair in pairs):
        raise fail(PER_AXIS, "the padding of an axis is a size, or a pair of sizes", padding.span)
    low, high = (sizes([Argument(v.Run(side, n), span)]) for side in zip(*pairs, strict=True))
    return low, high


def _padded(
    x: Node, axes: tuple[int, ...], low: tuple[Size, ...], high: tuple[Size, ...], fill: Any, span: Span
) -> Node:
    for s in (*low, *high):
        if isinstance(s, int) and s < 0:
            raise fail(JOIN, f"padding adds elements, and {s} is negative", span)
    value = _value(fill)
    if isinstance(value, Node) or not isinstance(value, (int, float)):
        raise fail(JOIN, "padding fills with a compile-time number", span)
    margins = [dict(zip(axes, side, strict=True)) for side in (low, high)]
    before, behind = (tuple(m.get(k, 0) for k in range(x.rank)) for m in margins)
    return ops.pad(x, before, behind, value)


def _value(a: Any) -> Any:
    return a.value if isinstance(a, Argument) else a


@builtin("pad", x=Missing, low=Missing, high=Missing, value=0, axes=None)
def _pad(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """`pad(x, [1, 0], [1, 0])`: sizes before and behind every axis, or every one of `axes`; one number for all of them."""
    x = tensor("pad", p["x"])
    n = _count({k: p[k] for k in ("low", "high", "axes")}, c)
    axes = _axes(x, p["axes"], x.rank if n is None else n, x.rank, c.span)
    if len(axes) != x.rank and not (isinstance(p["axes"], Argument) and p["axes"].value is not None):
        raise fail(JOIN, f"`pad` takes a size for every axis of {x.type}", c.span, help="or name the `axes:`")
    low, high = (_each(p[side], len(axes)) for side in ("low", "high"))
    return _padded(x, axes, low, high, p["value"], c.span)


# ---------------------------------------------------------------- counting


@builtin("rank", x=Missing)
def _rank(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """Number of axes."""
    return tensor("rank", p["x"]).rank


@builtin("range", start=Missing, stop=Missing)
def _range(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """The compile-time integers from `start` up to, not including, `stop`: `axis: range(2, rank(x))`."""
    first, last = (constant(p[k], "int", k) for k in ("start", "stop"))
    if not (isinstance(first, int) and isinstance(last, int)):
        raise fail(PER_AXIS, "`range` takes integers that are known while transpiling", c.span)
    items = tuple(range(first, last))
    return v.Run(items, len(items))


@builtin("each", x=Missing, n=Missing)
def _each_of(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """A list of n numbers: `x` where it is one, n times `x` where it is a number."""
    n = constant(p["n"], "int", "n")
    if not _is_list(p["x"]):
        if not isinstance(n, int):
            raise fail(PER_AXIS, "`each` takes a count that is known while transpiling", c.span)
        return v.Run((p["x"].value,) * n, n)
    if len(p["x"].value.items) != n:
        raise fail(PER_AXIS, f"{n} numbers are wanted, and these are {len(p['x'].value.items)}", p["x"].span)
    return v.Run(p["x"].value.items, n)
