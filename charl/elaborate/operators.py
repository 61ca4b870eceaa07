"""Arithmetic, comparison and logic on values of both stages: broadcasting, element types, leaf by leaf.

Enters: an operator and two values with the spans of their expressions. Leaves: a value; nodes where a run-time
value took part. Two operands of different rank never put a dimension variable against itself on another axis.
Never guesses an element type: compile-time numbers take that of what they meet, nothing else converts.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from charl import dtypes, ops
from charl.dims import Dim
from charl.dtypes import DType
from charl.elaborate import values as v
from charl.elaborate.numbers import COMPARISONS, unknown_binary
from charl.elaborate.numbers import ELEMENTWISE as ELEMENTWISE
from charl.elaborate.numbers import LITERAL as LITERAL
from charl.elaborate.numbers import LOGIC as LOGIC
from charl.elaborate.numbers import OPERAND as OPERAND
from charl.elaborate.numbers import compile_time as compile_time
from charl.elaborate.numbers import default_dtype as default_dtype
from charl.elaborate.numbers import elementwise as elementwise
from charl.elaborate.numbers import to_node as to_node
from charl.elaborate.numbers import unknown_call as unknown_call
from charl.elaborate.trained import map_leaves as map_leaves
from charl.elaborate.trained import state_members as state_members
from charl.elaborate.trained import trained_leaves as trained_leaves
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node, Size
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

MATMUL = code("E0201", "dimensions differ in `@`")
BROADCAST = code("E0202", "shapes do not broadcast")
ELEMENT_TYPES = code("E0205", "element types differ")
SILENT_OUTER = code("E0206", "a dimension would meet itself on another axis")


class Operand:
    """A value with the place of its expression, and of the declaration it names, for messages."""

    __slots__ = ("declared", "span", "value")

    def __init__(self, value: Any, span: Span, declared: Span | None = None) -> None:
        self.value = value
        self.span = span
        self.declared = declared


# ---------------------------------------------------------------- compile time


# ---------------------------------------------------------------- shapes


def broadcast_shapes(el: Elaborator, a: Operand, b: Operand, what: str, span: Span) -> tuple[Size, ...]:
    """The common shape of two tensors as NumPy has it, over dimensions that are provably 1."""
    x, y = a.value.shape, b.value.shape
    rank = max(len(x), len(y))
    out: list[Size] = []
    for i in range(rank):
        p = x[i - rank + len(x)] if i - rank + len(x) >= 0 else 1
        q = y[i - rank + len(y)] if i - rank + len(y) >= 0 else 1
        if p == q or q == 1:
            out.append(p)
        elif p == 1:
            out.append(q)
        else:
            raise CharlError([no_broadcast(a, b, what, span, p, q)])
    if len(x) != len(y) and x and y:
        _refuse_silent_outer(el, a, b, what, span)
    return tuple(out)


def no_broadcast(a: Operand, b: Operand, what: str, span: Span, p: Size, q: Size) -> Any:
    """The diagnostic for two tensors whose sizes p and q stand against each other."""
    from charl.errors import Diagnostic

    return Diagnostic(
        BROADCAST,
        f"shapes do not fit in {what}: {a.value.type} and {b.value.type}",
        span,
        labels=(Label(a.span, str(a.value.type)), Label(b.span, str(b.value.type))),
        notes=(f"dimensions {p} and {q} stand against each other; they must be equal or 1",),
    )


def _refuse_silent_outer(el: Elaborator, a: Operand, b: Operand, what: str, span: Span) -> None:
    """`f32[N] - f32[N, 1]`: the dimension meets itself on another axis, unless the axes were inserted by hand."""
    short, long = (a, b) if len(a.value.shape) < len(b.value.shape) else (b, a)
    offset = len(long.value.shape) - len(short.value.shape)
    for i, s in enumerate(short.value.shape):
        if not isinstance(s, Dim):
            continue
        against = long.value.shape[i + offset]
        elsewhere = [j for j, t in enumerate(long.value.shape) if t == s and j != i + offset]
        if against == 1 and elsewhere and not el.inserted(short.value) and not el.inserted(long.value):
            raise fail(
                SILENT_OUTER,
                f"{what} of {a.value.type} and {b.value.type} would pair every {s} with every {s}",
                span,
                labels=(Label(a.span, str(a.value.type)), Label(b.span, str(b.value.type))),
                help=f"write `{short.span.text}[:, None]` where they belong together, or insert both axes yourself",
            )


def broadcast_to(node: Node, shape: tuple[Size, ...]) -> Node:
    """`node` stretched to a shape it broadcasts to; dimensions of 1 are dropped first."""
    if node.shape == shape:
        return node
    offset = len(shape) - len(node.shape)
    kept = [i for i, s in enumerate(node.shape) if s == shape[i + offset]]
    if len(kept) < len(node.shape):
        node = ops.reshape(node, tuple(node.shape[i] for i in kept))
    axes = tuple(i + offset for i in kept)
    if node.shape == shape:
        return node
    return ops.broadcast(node, shape, axes)


# ---------------------------------------------------------------- operators


def binary(el: Elaborator, op: str, a: Operand, b: Operand, span: Span) -> Any:
    """`a op b` for any two values."""
    x, y = a.value, b.value
    if isinstance(x, Node) and isinstance(y, (Node, int, float)) and op in ELEMENTWISE and op not in LOGIC:
        return tensor_binary(el, op, a, b, span)
    if isinstance(x, v.ErrorValue) or isinstance(y, v.ErrorValue):
        raise v.Silenced
    if op in ("==", "!=") and (x is None or y is None):
        return (x is y) == (op == "==")
    if isinstance(x, v.Run) and isinstance(y, Node):
        x = a.value = numbers_like(el, x, y, a.span)
    elif isinstance(y, v.Run) and isinstance(x, Node):
        y = b.value = numbers_like(el, y, x, b.span)
    if all(v.is_table(z) or v.is_compile_time_number(z) for z in (x, y)) and (v.is_table(x) or v.is_table(y)):
        return _tables(el, op, a, b, span)
    if isinstance(x, (v.Instance, v.Tuple, v.Run)) or isinstance(y, (v.Instance, v.Tuple, v.Run)):
        return leafwise(el, op, a, b, span)
    run_time = isinstance(x, Node) or isinstance(y, Node)
    if op in LOGIC:
        return _logic(el, op, a, b, span, run_time)
    if op == "@":
        return matmul(el, a, b, span)
    if not run_time:
        return _both_compile_time(el, op, a, b, span)
    return tensor_binary(el, op, a, b, span)


def tables(el: Elaborator, a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """Two operands with arrays of numbers among them as tensors."""
    x, y = a.value, b.value
    if isinstance(x, v.Run) and isinstance(y, Node):
        return Operand(numbers_like(el, x, y, a.span), a.span), b
    if isinstance(y, v.Run) and isinstance(x, Node):
        return a, Operand(numbers_like(el, y, x, b.span), b.span)
    both = (v.is_table(x), v.is_table(y))
    numbers = all(t or v.is_compile_time_number(z) for t, z in zip(both, (x, y), strict=True))
    return _as_tensors(a, b) if any(both) and numbers else (a, b)


def _as_tensors(a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """Two arrays of numbers, or a number and one, as tensors of one element type."""
    from charl.elaborate.parameters import common_dtype, tensor_of_run

    dtype = common_dtype(v.Run((a.value, b.value), 2))
    made = [tensor_of_run(o.value, dtype, o.span) if v.is_table(o.value) else o.value for o in (a, b)]
    return Operand(made[0], a.span), Operand(made[1], b.span)


def _tables(el: Elaborator, op: str, a: Operand, b: Operand, span: Span) -> Any:
    """Arithmetic on arrays of compile-time numbers, element by element; `==` compares them as a whole."""
    x, y = a.value, b.value
    if op in ("==", "!="):
        return el.same(x, y) == (op == "==")
    if op in COMPARISONS:
        return tensor_binary(el, op, *_as_tensors(a, b), span)
    if op not in ("+", "-", "*", "/", "%", "**"):
        raise _bad_operand(op, a if v.is_table(x) else b, span)

    def combine(x: Any, y: Any) -> Any:
        if not isinstance(x, v.Run) and not isinstance(y, v.Run):
            return compile_time(op, x, y, span)
        n = max(len(z.items) for z in (x, y) if isinstance(z, v.Run))
        rows = [list(z.items) if isinstance(z, v.Run) else [z] * n for z in (x, y)]
        if len(rows[0]) != len(rows[1]):
            raise fail(
                OPERAND,
                f"`{op}` of {v.describe_value(a.value)} and {v.describe_value(b.value)}: their lengths differ",
                span,
                labels=(Label(a.span, v.describe_value(a.value)), Label(b.span, v.describe_value(b.value))),
            )
        return v.Run(tuple(combine(p, q) for p, q in zip(*rows, strict=True)), n)

    return combine(x, y)


def numbers_like(el: Elaborator, run: v.Run, other: Node, span: Span) -> Any:
    """An array of compile-time numbers takes the element type of the tensor it meets."""
    from charl.elaborate.parameters import tensor_of_run

    plain = run.items and all(isinstance(i, (int, float, v.Run)) for i in run.items)
    return tensor_of_run(run, other.dtype, span) if plain else run


def _both_compile_time(el: Elaborator, op: str, a: Operand, b: Operand, span: Span) -> Any:
    x, y = a.value, b.value
    if v.is_compile_time_number(x) and v.is_compile_time_number(y):
        return compile_time(op, x, y, span)
    if op in ("==", "!="):
        return el.same(x, y) == (op == "==")
    if isinstance(x, str) and isinstance(y, str) and op == "+":
        return x + y
    raise _bad_operand(op, b if v.is_compile_time_number(x) else a, span)


def _bad_operand(op: str, x: Operand, span: Span) -> CharlError:
    shown = v.describe_value(x.value)
    return fail(OPERAND, f"`{op}` does not take {shown}", span, labels=(Label(x.span, shown),))


def _logic(el: Elaborator, op: str, a: Operand, b: Operand, span: Span, run_time: bool) -> Any:
    for o in (a, b):
        ok = isinstance(o.value, bool) or (isinstance(o.value, v.Unknown) and o.value.kind == "bool")
        if not ok and not (isinstance(o.value, Node) and o.value.dtype == dtypes.boolean):
            raise _bad_operand(op, o, o.span)
    x, y = a.value, b.value
    if run_time:
        return tensor_binary(el, op, a, b, span)
    for p, q in ((x, y), (y, x)):
        if isinstance(p, bool):
            return (q if p else False) if op == "and" else (True if p else q)
    return unknown_binary(op, x, y)


def same_dtype(el: Elaborator, operands: list[Operand], what: str, span: Span) -> list[Node]:
    """Operands as nodes of one element type; compile-time numbers take that of the others."""
    nodes = [o for o in operands if isinstance(o.value, Node)]
    dtype = nodes[0].value.dtype
    for o in nodes[1:]:
        if o.value.dtype != dtype:
            raise fail(
                ELEMENT_TYPES,
                f"element types differ in {what}: {dtype} and {o.value.dtype}",
                span,
                labels=tuple(Label(n.span, str(n.value.type)) for n in (nodes[0], o)),
                help=f"nothing converts by itself: write `{_short(o)} as {dtype}`",
            )
    out = []
    for o in operands:
        if not isinstance(o.value, (Node, bool, v.Unknown)) and not v.is_compile_time_number(o.value):
            raise _bad_operand(what.strip("`"), o, o.span)
        out.append(to_node(o.value, dtype, o.span))
    return out


def _short(o: Operand) -> str:
    text = o.span.text
    depths = list(accumulate((c == "(") - (c == ")") for c in text))
    if text.isidentifier() or (text[0] == "(" and 0 not in depths[:-1]):
        return text
    return f"({text})" if len(text) <= 24 else "…"


def tensor_binary(el: Elaborator, op: str, a: Operand, b: Operand, span: Span) -> Node:
    """An elementwise operator with at least one run-time operand."""
    what = f"`{op}`"
    if (
        op == "**"
        and isinstance(a.value, Node)
        and isinstance(b.value, int)
        and not isinstance(b.value, bool)
    ):
        return integer_power(a.value, b.value, b.span)
    x, y = same_dtype(el, [a, b], what, span)
    if x.dtype == dtypes.boolean and op not in LOGIC and op not in ("==", "!="):
        raise fail(OPERAND, f"{what} does not take truth values", span, help="convert: `… as i32`")
    return align(el, ELEMENTWISE[op], Operand(x, a.span), Operand(y, b.span), what, span)


def align(el: Elaborator, name: str, a: Operand, b: Operand, what: str, span: Span) -> Node:
    """Broadcast two nodes of one element type and apply an elementwise operation."""
    shape = broadcast_shapes(el, a, b, what, span)
    return elementwise(name, broadcast_to(a.value, shape), broadcast_to(b.value, shape))


def integer_power(x: Node, n: int, span: Span) -> Node:
    """x ** n for a compile-time n, by repeated squaring; exact where `pow` would round."""
    if n < 0:
        if not x.dtype.is_float:
            raise fail(LITERAL, f"a negative power of {x.dtype} is no {x.dtype}", span)
        one = broadcast_to(ops.constant(1.0, x.dtype), x.shape)
        return ops.div(one, integer_power(x, -n, span))
    if n > 64:
        return elementwise("pow", x, broadcast_to(to_node(n, x.dtype, span), x.shape))
    out: Node | None = None
    square = x
    while n:
        if n & 1:
            out = square if out is None else ops.mul(out, square)
        n >>= 1
        if n:
            square = ops.mul(square, square)
    return out if out is not None else broadcast_to(to_node(1, x.dtype, span), x.shape)


def matmul(el: Elaborator, a: Operand, b: Operand, span: Span) -> Node:
    """`a @ b` with NumPy's rules: vectors, matrices, any leading batch that broadcasts."""
    for o in (a, b):
        if not isinstance(o.value, Node) or o.value.rank == 0:
            raise _bad_operand("@", o, span)
    same_dtype(el, [a, b], "`@`", span)
    x, y = a.value, b.value
    inner_x, inner_y = x.shape[-1], y.shape[-1] if y.rank == 1 else y.shape[-2]
    if inner_x != inner_y:
        where = "second last" if y.rank > 1 else "only"
        raise fail(
            MATMUL,
            "dimensions differ in `@`",
            span,
            labels=(Label(a.span, str(x.type)), Label(b.span, str(y.type))),
            notes=(
                f"the last dimension of the left ({inner_x}) must equal the {where} of the right ({inner_y})",
            ),
            help=_declared(b) or _declared(a),
        )
    return _contract(a, b, span)


def _declared(o: Operand) -> str | None:
    return f"`{o.span.text}` is declared at {o.declared}" if o.declared is not None else None


def _contract(a: Operand, b: Operand, span: Span) -> Node:
    x, y = a.value, b.value
    if y.rank <= 2:
        return ops.contract(x, y, batch=((), ()), sum=((x.rank - 1,), (max(0, y.rank - 2),)))
    if x.rank == 1:
        return ops.contract(x, y, batch=((), ()), sum=((0,), (y.rank - 2,)))
    lead_x, lead_y = x.shape[:-2], y.shape[:-2]
    if lead_x != lead_y:
        lead_x = _batch_shape(a, b, span)
        x = broadcast_to(x, lead_x + x.shape[-2:])
        y = broadcast_to(y, lead_x + y.shape[-2:])
    n = len(lead_x)
    batch = tuple(range(n))
    return ops.contract(x, y, batch=(batch, batch), sum=((n + 1,), (n,)))


def _batch_shape(a: Operand, b: Operand, span: Span) -> tuple[Size, ...]:
    x, y = a.value.shape[:-2], b.value.shape[:-2]
    rank = max(len(x), len(y))
    out: list[Size] = []
    for i in range(rank):
        p = x[i - rank + len(x)] if i - rank + len(x) >= 0 else 1
        q = y[i - rank + len(y)] if i - rank + len(y) >= 0 else 1
        if p != q and 1 not in (p, q):
            raise CharlError([no_broadcast(a, b, "`@`", span, p, q)])
        out.append(q if p == 1 else p)
    return tuple(out)


def unary(el: Elaborator, op: str, a: Operand, span: Span) -> Any:
    """`-a` and `not a`."""
    x = a.value
    if isinstance(x, v.ErrorValue):
        raise v.Silenced
    if op == "-" and v.is_table(x):
        return v.Run(tuple(unary(el, op, Operand(i, a.span), span) for i in x.items), x.length)
    if isinstance(x, (v.Instance, v.Tuple, v.Run)) and op == "-":
        return map_leaves(x, lambda n: ops.neg(n))
    if op == "not":
        if isinstance(x, bool):
            return not x
        if isinstance(x, v.Unknown) and x.kind == "bool":
            return v.Unknown("bool", f"not {x}", lambda t: ops.not_(x.build(t)), "not", (x,))
        if isinstance(x, Node) and x.dtype == dtypes.boolean:
            return ops.not_(x)
    elif isinstance(x, Node) and x.dtype != dtypes.boolean:
        return ops.neg(x)
    elif v.is_compile_time_number(x):
        return -x if not isinstance(x, v.Unknown) else unknown_binary("-", 0.0, x)
    raise _bad_operand(op, a, span)


# ---------------------------------------------------------------- aggregates


def leafwise(el: Elaborator, op: str, a: Operand, b: Operand, span: Span) -> Any:
    """`net - lr * g`: `+ -` leaf by leaf, and scaling by a number."""
    x, y = a.value, b.value
    aggregate = (v.Instance, v.Tuple, v.Run)
    if isinstance(x, aggregate) and isinstance(y, aggregate) and op in ("+", "-"):
        mine, theirs = trained_leaves(x), dict(trained_leaves(y))
        if [p for p, _ in mine] == list(theirs):
            new = {
                p: align(el, ELEMENTWISE[op], Operand(n, a.span), Operand(theirs[p], b.span), f"`{op}`", span)
                for p, n in mine
            }
            return v.rebuild(x, lambda path, n: new.get(path, n))
        raise fail(
            OPERAND,
            f"`{op}` of {v.describe_value(x)} and {v.describe_value(y)}: their leaves differ",
            span,
            labels=(Label(a.span, v.describe_value(x)), Label(b.span, v.describe_value(y))),
        )
    scalar, whole = (a, x) if not isinstance(x, aggregate) else (b, y)
    if scalar is a:
        scalar, whole, flipped = a, y, True
    else:
        scalar, whole, flipped = b, x, False
    if op not in ("*", "/") or (op == "/" and flipped) or isinstance(scalar.value, aggregate):
        raise _bad_operand(op, b if flipped else a, span)
    if isinstance(scalar.value, Node) and scalar.value.rank:
        raise _bad_operand(op, scalar, span)

    def change(n: Node) -> Node:
        o = Operand(n, span)
        return tensor_binary(el, op, scalar, o, span) if flipped else tensor_binary(el, op, o, scalar, span)

    return map_leaves(whole, change)


# ---------------------------------------------------------------- conversion


def cast(el: Elaborator, a: Operand, dtype: DType, span: Span) -> Any:
    """`a as dtype`; the shape stays."""
    x = a.value
    if v.is_table(x):
        from charl.elaborate.parameters import common_dtype, tensor_of_run

        floats = common_dtype(x).is_float
        x = tensor_of_run(x, dtypes.f64 if floats and dtype.is_integer else dtype, span)
    if isinstance(x, Node):
        return x if x.dtype == dtype else ops.cast(x, dtype)
    if isinstance(x, float) and dtype.is_integer:
        return to_node(int(x), dtype, span)
    if isinstance(x, bool) and dtype is not dtypes.boolean:
        return to_node(int(x), dtype, span)
    if isinstance(x, (bool, v.Unknown)) or v.is_compile_time_number(x):
        return to_node(x, dtype, span)
    raise _bad_operand(f"as {dtype}", a, span)
