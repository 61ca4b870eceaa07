"""Primitives that make, move and join tensors. As `builtins`, for shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl import dims, dtypes, ops
from charl.dims import Dim
from charl.elaborate import derived, indexing, instances, operators
from charl.elaborate import values as v
from charl.elaborate.builtins import (
    BUILTINS,
    TENSOR,
    Missing,
    axes_of,
    axis_of,
    bind,
    builtin,
    constant,
    sizes,
    tensor,
    tensor_list,
)
from charl.elaborate.numbers import REAL
from charl.elaborate.operators import Operand
from charl.elaborate.parameters import Argument, Call, common_dtype, tensor_of_run
from charl.errors import Label, code, fail
from charl.graph.ir import Node, Size, TensorType

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

RESHAPE = code("E0209", "a reshape does not keep the number of elements")
PERMUTATION = code("E0228", "the axes of a transpose are no permutation")
DIVISION = code("E0229", "a dimension does not divide")
JOIN = code("E0231", "tensors do not fit together")
DIV = code("E0232", "a division of sizes has no value")

for _operator in derived.OPERATORS:
    BUILTINS[_operator.name] = _operator


def _variadic(name: str, body: Any) -> None:
    BUILTINS[name] = v.Builtin(name, body)


# ---------------------------------------------------------------- making


def _filled(name: str, value: float) -> None:
    def call(el: Elaborator, c: Call) -> Any:
        shape = sizes([a for a in c.arguments if a.name in (None, "shape")] or shape_extra(c))
        for a in c.arguments:
            if a.name not in (None, "shape"):
                bind(name, {"shape": Missing}, c)
        return ops.full(value, TensorType(REAL.get(), shape))

    _variadic(name, call)


def shape_extra(c: Call) -> list[Argument]:
    """The declared shape, where an initializer is called with it."""
    return [c.extra["shape"]] if "shape" in c.extra else []


_filled("zeros", 0.0)
_filled("ones", 1.0)


@builtin("full", shape=None, value=Missing)
def _full(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """`full([2, 3], 1.5)`; as an initializer `full(value: 1.5)`."""
    given = [p["shape"]] if isinstance(p["shape"], Argument) else shape_extra(c)
    if not given:
        raise fail(TENSOR, "`full` needs a shape", c.span)
    return operators.broadcast_to(tensor("full", p["value"]), sizes(given))


@builtin("zeros_like", x=Missing)
def _zeros_like(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    return v.rebuild(p["x"].value, lambda _, n: ops.zeros(n.type))


@builtin("ones_like", x=Missing)
def _ones_like(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    return v.rebuild(p["x"].value, lambda _, n: ops.full(1, n.type))


@builtin("smallest_normal", x=Missing)
def _smallest_normal(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """Below it, arithmetic on x meets subnormal numbers."""
    x = tensor("smallest_normal", p["x"])
    if not x.dtype.is_float:
        raise fail(TENSOR, f"`smallest_normal` takes floats, and this is {v.describe_value(x)}", c.span)
    return ops.constant(dtypes.smallest_normal(x.dtype), x.dtype)


@builtin("params", x=Missing)
def _params(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """The trained part of a value, as its gradient has it."""
    return instances.to_grad(p["x"].value)


@builtin("leaves", x=Missing)
def _leaves(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    x = p["x"].value
    chosen = operators.trained_leaves(x) if isinstance(x, v.Instance) else list(v.leaves(x))
    return v.Tuple(tuple(n for _, n in chosen))


def _zip(el: Elaborator, c: Call) -> Any:
    parts = []
    for a in c.arguments:
        if not isinstance(a.value, (v.Run, v.Tuple)):
            raise fail(
                TENSOR, f"`zip` takes runs and tuples, and this is {v.describe_value(a.value)}", a.span
            )
        parts.append(a.value.items)
    if len({len(x) for x in parts}) > 1:
        raise fail(JOIN, "the arguments of `zip` differ in length", c.span)
    return v.Tuple(tuple(v.Tuple(row) for row in zip(*parts, strict=True)))


_variadic("zip", _zip)


def _iota(el: Elaborator, c: Call) -> Any:
    shape = sizes([a for a in c.arguments if a.name is None])
    axis = next((a for a in c.arguments if a.name == "axis"), None)
    which = constant(axis, "int", "axis") if axis is not None else 0
    if not shape or not -len(shape) <= which < len(shape):
        raise fail(TENSOR, "`iota` takes sizes: `iota(N)`, `iota(N, M, axis: 1)`", c.span)
    return ops.iota(shape, which % len(shape), dtypes.i32)


_variadic("iota", _iota)


@builtin("random_bits", key=Missing, counter=Missing, shape=Missing, word=0)
def _random_bits(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """32 random bits per element: Threefry-2x32-20 (Salmon et al. 2011)."""
    word = constant(p["word"], "int", "word")
    counter = operators.to_node(p["counter"].value, dtypes.u32, p["counter"].span)
    return ops.random_bits(tensor("random_bits", p["key"]), counter, sizes([p["shape"]]), word)


def _rounding(name: str, plain: Any, symbolic: Any) -> None:
    @builtin(name, a=Missing, b=Missing)
    def body(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
        a, b = p["a"].value, p["b"].value
        if all(isinstance(x, (int, Dim)) and not isinstance(x, bool) for x in (a, b)):
            if b == 0:
                raise fail(DIV, f"`{name}` by zero", c.span)
            return symbolic(a, b)
        if name == "div" and (isinstance(a, Node) or isinstance(b, Node)):
            x, y = operators.same_dtype(el, [p["a"].operand, p["b"].operand], "`div`", c.span)
            out = operators.align(
                el, "div", Operand(x, p["a"].span), Operand(y, p["b"].span), "`div`", c.span
            )
            return out if x.dtype.is_integer else ops.floor(out)
        raise fail(
            DIV, f"`{name}` takes integers, not {v.describe_value(a)} and {v.describe_value(b)}", c.span
        )


_rounding("div", None, dims.rounded_down)
_rounding("ceil_div", None, dims.ceildiv)


# ---------------------------------------------------------------- moving


def _reshape(el: Elaborator, c: Call) -> Any:
    x = tensor("reshape", c.arguments[0]) if c.arguments else None
    if x is None:
        raise fail(TENSOR, "`reshape` takes a tensor and sizes", c.span)
    shape = list(sizes(c.arguments[1:]))
    total = dims.product(x.shape)
    if shape.count(-1) == 1:
        rest = dims.product(s for s in shape if s != -1)
        q = dims.exact_div(total, rest)
        if q is None or not dims.integral(q):
            raise _no_reshape(x, shape, c)
        shape[shape.index(-1)] = q
    if dims.product(shape) != total:
        raise _no_reshape(x, shape, c)
    return ops.reshape(x, tuple(shape))


def _no_reshape(x: Node, shape: list[Any], c: Call) -> Any:
    wanted = f"[{', '.join(map(str, shape))}]"
    return fail(
        RESHAPE,
        f"{x.type} cannot be reshaped to {wanted}",
        c.span,
        labels=(Label(c.arguments[0].span, str(x.type)),),
        notes=(f"{dims.product(x.shape)} elements against {dims.product(shape)}",) if -1 not in shape else (),
    )


_variadic("reshape", _reshape)


def _transpose(el: Elaborator, c: Call) -> Any:
    x = tensor("transpose", c.arguments[0]) if c.arguments else None
    if x is None:
        raise fail(TENSOR, "`transpose` takes a tensor", c.span)
    perm = [axis_of(x, p, c.span) for p in sizes(c.arguments[1:])] or list(range(x.rank))[::-1]
    if sorted(perm) != list(range(x.rank)):
        raise fail(PERMUTATION, f"{x.type} has {x.rank} axes, and each must stand once", c.span)
    return ops.transpose(x, tuple(perm))


_variadic("transpose", _transpose)


@builtin("swapaxes", x=Missing, a=Missing, b=Missing)
def _swapaxes(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """`x` with two axes exchanged."""
    x = tensor("swapaxes", p["x"])
    a, b = (axis_of(x, p[k].value, p[k].span) for k in ("a", "b"))
    perm = list(range(x.rank))
    perm[a], perm[b] = b, a
    return ops.transpose(x, perm)


@builtin("broadcast", x=Missing, shape=Missing)
def _broadcast(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    x, shape = tensor("broadcast", p["x"]), sizes([p["shape"]])
    tail = shape[len(shape) - x.rank :] if len(shape) >= x.rank else ()
    if len(shape) < x.rank or any(a not in (1, b) for a, b in zip(x.shape, tail, strict=True)):
        wanted = f"[{', '.join(map(str, shape))}]"
        raise fail(operators.BROADCAST, f"{x.type} does not broadcast to {wanted}", c.span)
    return operators.broadcast_to(x, shape)


@builtin("flip", x=Missing, axis=None)
def _flip(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    x = tensor("flip", p["x"])
    return ops.reverse(x, axes_of(x, p["axis"]))


# ---------------------------------------------------------------- joining and splitting


@builtin("concat", xs=Missing, axis=0)
def _concat(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    xs = tensor_list("concat", p["xs"])
    axis = axis_of(xs[0], p["axis"].value if isinstance(p["axis"], Argument) else 0, c.span)
    for x in xs[1:]:
        rest = [n for i, n in enumerate(x.shape) if i != axis]
        if x.dtype != xs[0].dtype or rest != [n for i, n in enumerate(xs[0].shape) if i != axis]:
            raise fail(JOIN, f"{xs[0].type} and {x.type} cannot be joined along axis {axis}", p["xs"].span)
    return ops.concatenate(xs, axis=axis)


@builtin("stack", xs=Missing, axis=0)
def _stack(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    rows = p["xs"].value
    if isinstance(rows, Node) and rows.rank and isinstance(rows.shape[0], int) and rows.shape[0]:
        xs = [indexing.row(rows, i) for i in range(rows.shape[0])]  # an array of scalars is a tensor already
    else:
        xs = tensor_list("stack", p["xs"])
    rank = xs[0].rank + 1
    axis = constant(p["axis"], "int", "axis")
    if not -rank <= axis < rank:
        raise fail(TENSOR, f"axis {axis} does not exist in the result", c.span)
    axis %= rank
    for x in xs[1:]:
        if x.type != xs[0].type:
            raise fail(JOIN, f"{xs[0].type} and {x.type} cannot be stacked", p["xs"].span)
    shape = xs[0].shape
    return ops.concatenate([ops.reshape(x, (*shape[:axis], 1, *shape[axis:])) for x in xs], axis=axis)


@builtin("split", x=Missing, parts=Missing, axis=0)
def _split(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """Equal parts along an axis."""
    x, parts = tensor("split", p["x"]), constant(p["parts"], "int", "parts")
    axis = axis_of(x, p["axis"].value if isinstance(p["axis"], Argument) else 0, c.span)
    whole = x.shape[axis]
    part = dims.exact_div(whole, parts) if parts else None
    # Of a size that is not known yet the parts are quotients, as in `d / 2`: checked where it is known, of exports on entry.
    if part is None or not isinstance(parts, int) or not (isinstance(whole, Dim) or dims.integral(part)):
        raise fail(
            DIVISION, f"dimension {x.shape[axis]} of {x.type} does not split into {parts} parts", c.span
        )
    out = []
    for i in range(parts):
        starts = tuple(i * part if k == axis else 0 for k in range(x.rank))
        shape = tuple(part if k == axis else n for k, n in enumerate(x.shape))
        out.append(ops.slice_(x, starts, shape, (1,) * x.rank))
    return v.Run(tuple(out), parts)


@builtin("pick", x=Missing, index=Missing)
def _pick(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """`pick(x, i)[s] = x[s, i[s]]`: one element of each row, the index clamped."""
    x, i = tensor("pick", p["x"]), tensor("pick", p["index"])
    if x.rank == 0 or i.shape != x.shape[:-1] or not i.dtype.is_integer:
        raise fail(
            JOIN, f"`pick` takes an integer for every row of {x.type}, and this is {i.type}", p["index"].span
        )
    return ops.gather(x, i, axis=x.rank - 1, batch=i.rank)


@builtin("take_along_axis", x=Missing, index=Missing, axis=-1)
def _take_along_axis(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """`x` at one index per element along an axis, the others standing still; indices clamp."""
    x, i = tensor("take_along_axis", p["x"]), tensor("take_along_axis", p["index"])
    axis = axis_of(x, p["axis"].value if isinstance(p["axis"], Argument) else p["axis"], c.span)
    rest = [n for k, n in enumerate(x.shape) if k != axis]
    if i.rank != x.rank or not i.dtype.is_integer or [n for k, n in enumerate(i.shape) if k != axis] != rest:
        raise fail(
            JOIN,
            f"`take_along_axis` takes integers in the shape of {x.type}, of any size along axis {axis} only, and "
            f"this is {i.type}",
            p["index"].span,
        )
    order = (*(k for k in range(x.rank) if k != axis), axis)
    found = ops.gather(ops.transpose(x, order), ops.transpose(i, order), axis=x.rank - 1, batch=x.rank - 1)
    return ops.transpose(found, tuple(order.index(k) for k in range(x.rank)))


@builtin("one_hot", index=Missing, classes=Missing)
def _one_hot(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """1.0 at the index, 0.0 elsewhere, along a new last axis."""
    i, n = tensor("one_hot", p["index"]), constant(p["classes"], "int", "classes")
    if not i.dtype.is_integer:
        raise fail(TENSOR, f"`one_hot` takes integers, and this is {i.type}", p["index"].span)
    shape: tuple[Size, ...] = (*i.shape, n)
    spread = ops.broadcast(i, shape, tuple(range(i.rank)))
    return ops.cast(ops.eq(spread, ops.iota(shape, i.rank, i.dtype)), REAL.get())


@builtin("tensor", x=Missing)
def _tensor(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """An array of numbers or tensors as one tensor."""
    x = p["x"].value
    if isinstance(x, v.Run):
        return tensor_of_run(x, common_dtype(x), p["x"].span)
    return tensor("tensor", p["x"])
