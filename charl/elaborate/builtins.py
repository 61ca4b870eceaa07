"""The primitives of the prelude: what Charl code cannot express by itself.

Enters: a call with its arguments. Leaves: values. Each is registered under its name by `builtin`; everything else that a
user finds in scope is Charl code in `charl/lib` (the modules of `modules.PRELUDE`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from charl import dims, dtypes, ops
from charl.dims import Dim
from charl.elaborate import operators
from charl.elaborate import values as v
from charl.elaborate.names import suggest_parameter
from charl.elaborate.operators import Operand
from charl.elaborate.parameters import (
    COUNT,
    MISSING,
    UNKNOWN_ARGUMENT,
    Argument,
    Call,
    common_dtype,
    tensor_of_run,
)
from charl.elaborate.types import MAX_SIZE, NOT_A_SIZE
from charl.errors import Label, code, fail
from charl.graph.ir import Node, Size
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

TENSOR = code("E0227", "a function needs a tensor")
AXIS = code("E0207", "an axis does not exist")

BUILTINS: dict[str, v.Builtin] = {}
Body = Callable[["Elaborator", Call, dict[str, Any]], Any]


class Missing:
    """A parameter without default."""


def builtin(name: str, **parameters: Any) -> Callable[[Body], Body]:
    """Register a primitive. `parameters` in order with defaults (`Missing` for none); the body gets them by name."""

    def register(body: Body) -> Body:
        def call(el: Elaborator, c: Call) -> Any:
            return body(el, c, bind(name, parameters, c))

        BUILTINS[name] = v.Builtin(name, call)
        return body

    return register


def bind(name: str, parameters: dict[str, Any], c: Call) -> dict[str, Any]:
    """Arguments by parameter name: `Argument` objects, or the default as it stands."""
    positional = [a for a in c.arguments if a.name is None]
    given = {a.name: a for a in c.arguments if a.name is not None}
    for n, a in given.items():
        if n not in parameters:
            where = a.name_span or a.span
            raise fail(
                UNKNOWN_ARGUMENT,
                f"`{name}` has no parameter `{n}`",
                where,
                help=suggest_parameter(n or "", parameters),
            )
    out: dict[str, Any] = {}
    for p, default in parameters.items():
        if p in given:
            out[p] = given[p]
        elif positional:
            out[p] = positional.pop(0)
        elif default is Missing:
            raise fail(MISSING, f"`{name}` needs an argument for `{p}`", c.span)
        else:
            out[p] = default
    if positional:
        raise fail(
            COUNT, f"`{name}` takes {len(parameters)} arguments, and this is one more", positional[0].span
        )
    return out


# ---------------------------------------------------------------- reading arguments


def tensor(name: str, a: Argument) -> Node:
    """A run-time tensor."""
    if isinstance(a.value, v.ErrorValue):
        raise v.Silenced
    if isinstance(a.value, Node):
        return a.value
    if isinstance(a.value, (bool, v.Unknown)) or v.is_compile_time_number(a.value):
        return operators.to_node(a.value, operators.default_dtype(a.value), a.span)
    if isinstance(a.value, v.Run):
        made = tensor_of_run(a.value, common_dtype(a.value), a.span)
        if isinstance(made, Node):
            return made
    raise fail(
        TENSOR,
        f"`{name}` takes a tensor, and this is {v.describe_value(a.value)}",
        a.span,
        labels=(Label(a.span, v.describe_value(a.value)),),
    )


def tensor_list(name: str, a: Argument) -> list[Node]:
    """Tensors of a run or tuple."""
    if not isinstance(a.value, (v.Run, v.Tuple)) or not a.value.items:
        raise fail(
            TENSOR, f"`{name}` takes an array of tensors, and this is {v.describe_value(a.value)}", a.span
        )
    known = next((x.dtype for x in a.value.items if isinstance(x, Node)), None)
    items = [tensor_of_run(x, known, a.span) if known and v.is_table(x) else x for x in a.value.items]
    return [tensor(name, Argument(x, a.span)) for x in items]


def constant(a: Any, kind: str, name: str) -> Any:
    """A compile-time value of a kind; defaults pass as they are."""
    if not isinstance(a, Argument):
        return a
    if isinstance(a.value, v.ErrorValue):
        raise v.Silenced
    if v.plain_name(a.value) != kind or isinstance(a.value, (Node, v.Tuple, v.Run, v.Instance)):
        raise fail(
            operators.OPERAND,
            f"`{name}` is a compile-time {kind}, and this is {v.describe_value(a.value)}",
            a.span,
        )
    return a.value


def axis_of(x: Node, value: Any, span: Span) -> int:
    """One axis, negative ones counted from the end."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise fail(AXIS, f"an axis is a compile-time integer, not {v.describe_value(value)}", span)
    if not -x.rank <= value < x.rank:
        raise fail(AXIS, f"axis {value} does not exist in {x.type}", span)
    return value % x.rank


def axes_of(x: Node, a: Any) -> tuple[int, ...]:
    """`axis:` of a reduction: None for all, an integer, or several."""
    if not isinstance(a, Argument) or a.value is None:
        return tuple(range(x.rank))
    many = a.value.items if isinstance(a.value, (v.Tuple, v.Run)) else (a.value,)
    axes = [axis_of(x, i, a.span) for i in many]
    if len(set(axes)) != len(axes):
        raise fail(AXIS, "an axis occurs twice", a.span)
    return tuple(sorted(axes))


def sizes(arguments: list[Argument]) -> tuple[Size, ...]:
    """A shape: sizes one by one, or one run or tuple of them."""
    out: list[Size] = []
    for a in arguments:
        many = a.value.items if isinstance(a.value, (v.Tuple, v.Run)) else (a.value,)
        for x in many:
            if isinstance(x, v.ErrorValue):
                raise v.Silenced
            if isinstance(x, bool) or not isinstance(x, (int, Dim)):
                raise fail(AXIS, f"a size is an integer, not {v.describe_value(x)}", a.span)
            if isinstance(x, int) and x > MAX_SIZE:
                raise fail(NOT_A_SIZE, f"a dimension of {x} is too large: at most {MAX_SIZE}", a.span)
            out.append(x)
    return tuple(out)


# ---------------------------------------------------------------- elementwise

UNARY = (
    *(
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log1p",
        "sqrt",
        "rsqrt",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
    ),
    *("sinh", "cosh", "tanh", "erf", "abs", "sign", "floor", "ceil", "round", "trunc", "bitnot"),
)
BINARY = ("atan2", "bitand", "bitor", "bitxor", "shl", "shr")
FLOAT_ONLY = frozenset(UNARY) - {"abs", "sign", "bitnot"}


def _number(name: str, x: float) -> Any:
    """A scalar function of a compile-time number."""
    table: dict[str, Callable[[Any], Any]] = {
        "exp2": lambda t: 2.0**t,
        "rsqrt": lambda t: 1.0 / math.sqrt(t),
        "abs": abs,
        "sign": lambda t: (t > 0) - (t < 0),
        "floor": lambda t: float(math.floor(t)),
        "ceil": lambda t: float(math.ceil(t)),
        "round": lambda t: float(round(t)),
        "trunc": lambda t: float(math.trunc(t)),
        "bitnot": lambda t: ~t,
    }
    return (table.get(name) or getattr(math, name))(x)


def _of_numbers(name: str, x: Any, span: Span) -> Any:
    """A scalar function of compile-time numbers, or of every number of an array of them."""
    if isinstance(x, v.Run):
        return v.Run(tuple(_of_numbers(name, i, span) for i in x.items), x.length)
    if isinstance(x, (Dim, v.Unknown)):
        return operators.unknown_call(name, x)
    try:
        return _number(name, x)
    except (ValueError, OverflowError, TypeError):
        raise fail(operators.OPERAND, f"`{name}({x})` has no value", span) from None


def _unary(name: str) -> None:
    @builtin(name, x=Missing)
    def body(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
        x = p["x"].value
        if v.is_compile_time_number(x) or v.is_table(x):
            return _of_numbers(name, x, c.span)
        if isinstance(x, (v.Instance, v.Tuple, v.Run)):
            return operators.map_leaves(x, lambda n: operators.elementwise(name, n))
        n = tensor(name, p["x"])
        if (name in FLOAT_ONLY and not n.dtype.is_float) or n.dtype == dtypes.boolean:
            kind = "floating" if name in FLOAT_ONLY else "numeric"
            raise fail(
                TENSOR,
                f"`{name}` takes a {kind} tensor, and this is {n.type}",
                p["x"].span,
                help="convert it: `… as f32`" if name in FLOAT_ONLY else None,
            )
        return operators.elementwise(name, n)


def _binary(name: str) -> None:
    @builtin(name, x=Missing, y=Missing)
    def body(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
        a, b = p["x"].operand, p["y"].operand
        a, b = operators.tables(el, a, b)
        if not isinstance(a.value, Node) and not isinstance(b.value, Node):
            raise fail(TENSOR, f"`{name}` takes a tensor", c.span)
        x, y = operators.same_dtype(el, [a, b], f"`{name}`", c.span)
        if name != "atan2" and not x.dtype.is_integer:
            raise fail(TENSOR, f"`{name}` takes integers, and this is {x.type}", c.span)
        return operators.align(el, name, Operand(x, a.span), Operand(y, b.span), f"`{name}`", c.span)


for _name in UNARY:
    _unary(_name)
for _name in BINARY:
    _binary(_name)


@builtin("where", condition=Missing, a=Missing, b=Missing)
def _where(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    condition, a, b = p["condition"], p["a"], p["b"]
    if isinstance(condition.value, bool):
        return a.value if condition.value else b.value
    mask = condition.value
    if isinstance(mask, v.Unknown):
        mask = operators.to_node(mask, dtypes.boolean, condition.span)
    if not isinstance(mask, Node) or mask.dtype != dtypes.boolean:
        raise fail(
            TENSOR,
            f"the condition of `where` is a tensor of truth values, and this is {v.describe_value(condition.value)}",
            condition.span,
        )
    first, second = operators.tables(el, a.operand, b.operand)
    if not isinstance(first.value, Node) and not isinstance(second.value, Node):
        dtype = operators.default_dtype(
            0.5 if isinstance(a.value, float) or isinstance(b.value, float) else a.value
        )
        x, y = operators.to_node(a.value, dtype, a.span), operators.to_node(b.value, dtype, b.span)
    else:
        x, y = operators.same_dtype(el, [first, second], "`where`", c.span)
    shape = operators.broadcast_shapes(el, Operand(x, a.span), Operand(y, b.span), "`where`", c.span)
    both = Operand(operators.broadcast_to(x, shape), a.span)
    shape = operators.broadcast_shapes(el, Operand(mask, condition.span), both, "`where`", c.span)
    return ops.select(*(operators.broadcast_to(n, shape) for n in (mask, x, y)))


# ---------------------------------------------------------------- reductions


def _keep(x: Node, out: Node, axes: tuple[int, ...], keepdims: Any) -> Node:
    if constant(keepdims, "bool", "keepdims") is not True:
        return out
    return ops.reshape(out, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _reduction(name: str, op: str, logical: bool = False) -> None:
    @builtin(name, x=Missing, axis=None, keepdims=False)
    def body(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
        many = isinstance(p["x"].value, (v.Run, v.Tuple)) and len(c.arguments) == 1
        if many and not any(isinstance(i, (Node, v.Run)) for i in p["x"].value.items):
            return _fold(el, name, p["x"], c)
        x = tensor(name, p["x"])
        if logical != (x.dtype == dtypes.boolean):
            hint = "count truth values with `sum(c as i32)`" if name == "sum" else "compare first"
            kind = "truth values" if logical else "numbers"
            raise fail(TENSOR, f"`{name}` takes {kind}, and this is {x.type}", p["x"].span, help=hint)
        axes = axes_of(x, p["axis"])
        return _keep(x, getattr(ops, op)(x, axes), axes, p["keepdims"])


def _fold(el: Elaborator, name: str, a: Argument, c: Call) -> Any:
    """A reduction of compile-time numbers (`prod(*S)`, `sum([1, 2])`)."""
    items = a.value.items
    if name == "prod":
        return dims.product(items) if all(isinstance(i, (int, Dim)) for i in items) else math.prod(items)
    if name == "sum":
        out: Any = 0
        for i in items:
            out = operators.compile_time("+", out, i, c.span)
        return out
    plain = {"max": max, "min": min, "any": any, "all": all}[name]
    if not items or not all(isinstance(i, (int, float)) for i in items):
        raise fail(TENSOR, f"`{name}` takes a tensor", a.span)
    return plain(items)  # type: ignore[operator]


_reduction("sum", "reduce_sum")
_reduction("any", "reduce_or", True)
_reduction("all", "reduce_and", True)
_reduction("prod", "reduce_prod")
_PROD = BUILTINS["prod"]


def _prod(el: Elaborator, c: Call) -> Any:
    """`prod(x)` of a tensor, `prod(*S)` of sizes."""
    if c.arguments and all(isinstance(a.value, (int, Dim)) for a in c.arguments):
        return dims.product(a.value for a in c.arguments)
    if not c.arguments:
        return 1
    return _PROD.call(el, c)


BUILTINS["prod"] = v.Builtin("prod", _prod)


def _extreme(name: str) -> None:
    """`max(x, axis: …)` reduces; `max(a, b)` is elementwise."""
    reduce_name = f"reduce_{name}"
    _reduction(name, reduce_name)
    reducing = BUILTINS[name]

    def call(el: Elaborator, c: Call) -> Any:
        if len([a for a in c.arguments if a.name is None]) != 2:
            return reducing.call(el, c)
        a, b = operators.tables(el, c.arguments[0].operand, c.arguments[1].operand)
        if isinstance(a.value, Node) or isinstance(b.value, Node):
            x, y = operators.same_dtype(el, [a, b], f"`{name}`", c.span)
            return operators.align(el, name, Operand(x, a.span), Operand(y, b.span), f"`{name}`", c.span)
        if isinstance(a.value, (Dim, v.Unknown)) or isinstance(b.value, (Dim, v.Unknown)):
            if all(isinstance(o.value, (int, Dim)) for o in (a, b)):
                return (dims.maximum if name == "max" else dims.minimum)(a.value, b.value)
            return operators.unknown_call(name, a.value, b.value)
        if not (v.is_compile_time_number(a.value) and v.is_compile_time_number(b.value)):
            raise fail(TENSOR, f"`{name}` takes numbers", c.span)
        return (max if name == "max" else min)(a.value, b.value)

    BUILTINS[name] = v.Builtin(name, call)


_extreme("max")
_extreme("min")


def _arg(name: str) -> None:
    @builtin(name, x=Missing, axis=None, keepdims=False)
    def body(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
        x = tensor(name, p["x"])
        if x.dtype == dtypes.boolean or x.rank == 0:
            raise fail(TENSOR, f"`{name}` takes numbers along an axis, and this is {x.type}", p["x"].span)
        if not isinstance(p["axis"], Argument) or p["axis"].value is None:
            return getattr(ops, name)(ops.reshape(x, (dims.product(x.shape),)), axis=0)
        axis = axis_of(x, p["axis"].value, p["axis"].span)
        return _keep(x, getattr(ops, name)(x, axis=axis), (axis,), p["keepdims"])


_arg("argmax")
_arg("argmin")


@builtin("cumsum", x=Missing, axis=Missing)
def _cumsum(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    x = tensor("cumsum", p["x"])
    return ops.cumsum(x, axis=axis_of(x, p["axis"].value, p["axis"].span))


@builtin("order_keys", x=Missing)
def _order_keys(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """Unsigned integers in the order of the elements, and of how many bytes they are."""
    keys = ops.order_keys(tensor("order_keys", p["x"]))
    return v.Tuple((keys, keys.dtype.bytes))


@builtin("parallel")
def _parallel(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """Whether the target runs an invocation for each element."""
    return ops.parallel()


@builtin("size", x=Missing, axis=None)
def _size(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    """Number of elements, over some axes."""
    x = tensor("size", p["x"])
    return dims.product(x.shape[i] for i in axes_of(x, p["axis"]))


@builtin("shape", x=Missing)
def _shape(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    x = tensor("shape", p["x"])
    return v.Run(x.shape, x.rank)


@builtin("stop_gradient", x=Missing)
def _stop(el: Elaborator, c: Call, p: dict[str, Any]) -> Any:
    if not isinstance(p["x"].value, (Node, v.Instance, v.Tuple, v.Run)):
        return p["x"].value
    return v.rebuild(p["x"].value, lambda _, n: ops.stop_gradient(n) if n.dtype.is_float else n)
