"""Elementwise operations: one row per function (element kinds, NumPy meaning, gradient, domain of samples).

Enters: tensors of equal shape (and dtype). Leaves: a tensor of that shape, element by element; nothing broadcasts here.
The index-level meaning of each is the scalar function of the same name. Gradients at kinks: `abs` and `sign` give 0 at
0; where `max` or `min` meet a constant (relu is `max(x, 0)`) a tie gives 0; between two tensors a tie gives half each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from charl import ops
from charl.dtypes import ALL, boolean
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, TensorType
from charl.graph.scalar import Expr, Index
from charl.ops import lanes, numeric
from charl.ops.common import Array, scalar_like, shown
from charl.ops.elementwise_samples import samples_of
from charl.ops.numeric import floor_mod, shift_left, shift_right
from charl.ops.record import Op, TypeRuleError, Vjp, make, register

Singular: TypeAlias = Callable[[Node, int], bool]
Linear: TypeAlias = Callable[[Node], Sequence[Sequence[int]]]
Unary: TypeAlias = Callable[[Node], Node]
Binary: TypeAlias = Callable[[Node, Node], Node]

FLOAT = ("float",)
INTEGER = ("int", "uint")
NUMBER = ("float", "int", "uint")
ANY = ("float", "int", "uint", "bool")
BOOL = ("bool",)


def same_types(name: str, types: Sequence[TensorType], kinds: Sequence[str], arity: int) -> TensorType:
    if len(types) != arity:
        raise TypeRuleError(f"{name} takes {arity} inputs, not {len(types)}")
    first = types[0]
    if first.dtype.kind not in kinds:
        raise TypeRuleError(f"{name} is not defined for {first.dtype}")
    for t in types[1:]:
        if t.dtype is not first.dtype and t.dtype != first.dtype:
            raise TypeRuleError(f"{name}: {first.dtype} meets {t.dtype}")
        if t.shape != first.shape:
            raise TypeRuleError(f"{name}: {shown(first.shape)} meets {shown(t.shape)}")
    return first


def _row(
    name: str,
    arity: int,
    kinds: Sequence[str],
    ref: Callable[..., Any],
    vjp: Vjp | None,
    domain: Sequence[float],
    logical: bool,
    singular: Singular | None,
    linear: Linear | None = None,
) -> None:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
        same = same_types(name, types, kinds, arity)
        return TensorType(boolean, same.shape) if logical else same

    def meaning(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
        return np.asarray(ref(*arrays))

    def at(node: Node, index: Index) -> Expr:
        return scalar.apply(name, *(scalar.read(x, index) for x in node.inputs), dtype=node.dtype)

    orders = 2 if vjp is not None and not logical else 0
    dtypes = [t for t in ALL.values() if t.kind in kinds]
    samples = samples_of(name, arity, dtypes, tuple(domain), orders)
    doc = f"Elementwise {name}."
    jvp = _diagonal if vjp is not None and not logical else None
    register(
        Op(
            name,
            doc,
            infer,
            meaning,
            at,
            vjp,
            samples,
            singular=singular,
            linear=linear,
            jvp=jvp,
            batch=lanes.elementwise,
        )
    )


def _diagonal(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """Each element depends on its own alone: the gradient rule says what a tangent is multiplied by, too."""
    from charl.ops import OPS

    record = OPS[node.op]
    assert record.vjp is not None
    out: Node | None = None
    for k, t in enumerate(tangents):
        part = record.vjp(node, t)[k] if t is not None else None
        out = part if out is None else out if part is None else add(out, part)
    return out


def _unary(
    name: str,
    kinds: Sequence[str],
    ref: Callable[..., Any],
    vjp: Vjp | None,
    domain: Sequence[float] = (-3, 3),
    singular: Singular | None = None,
    linear: Linear | None = None,
) -> Unary:
    _row(name, 1, kinds, ref, vjp, domain, False, singular, linear)
    return lambda x: make(name, x)


def _binary(
    name: str,
    kinds: Sequence[str],
    ref: Callable[..., Any],
    vjp: Vjp | None = None,
    domain: Sequence[float] = (-3, 3, -3, 3),
    logical: bool = False,
    singular: Singular | None = None,
    linear: Linear | None = None,
) -> Binary:
    _row(name, 2, kinds, ref, vjp, domain, logical, singular, linear)
    return lambda a, b: make(name, a, b)


def _c(node: Node, value: float) -> Node:
    return scalar_like(node, value)


def _times(derivative: Callable[[Node, Node], Node]) -> Vjp:
    """The gradient of a unary function from its derivative, a function of input and result."""
    return lambda node, ct: (mul(ct, derivative(node.inputs[0], node)),)


# ---------------------------------------------------------------- arithmetic


def _div_vjp(node: Node, ct: Node) -> tuple[Node, Node]:
    a = div(ct, node.inputs[1])
    return a, neg(mul(a, node))


def _mod_vjp(node: Node, ct: Node) -> tuple[Node, Node]:
    a, b = node.inputs
    return ct, neg(mul(ct, floor(div(a, b))))


def _pow_vjp(node: Node, ct: Node) -> tuple[Node, Node]:
    a, b = node.inputs
    zero = _c(a, 0)
    slope = mul(b, pow_(a, sub(b, _c(b, 1))))
    to_a = mul(ct, ops.select(eq(b, zero), zero, slope))
    rising = and_(eq(a, zero), ge(b, zero))  # 0 ** b stays 0: no NaN from 0 * log(0)
    to_b = mul(ct, ops.select(rising, zero, mul(node, log(ops.select(rising, _c(a, 1), a)))))
    return to_a, to_b


def _atan2_vjp(node: Node, ct: Node) -> tuple[Node, Node]:
    y, x = node.inputs
    scaled = div(ct, add(mul(x, x), mul(y, y)))
    return mul(scaled, x), neg(mul(scaled, y))


def is_constant(node: Node) -> bool:
    """Whether the values are literals or sizes (looked at before any optimisation)."""
    while node.op in ("broadcast", "reshape"):
        node = node.inputs[0]
    return node.op in ("constant", "size_value")


def _finite_number(node: Node) -> bool:
    """Whether all elements are one finite literal other than 0."""
    while node.op in ("broadcast", "reshape"):
        node = node.inputs[0]
    value = node.attrs.get("value") if node.op == "constant" else None
    return isinstance(value, (int, float)) and math.isfinite(value) and value != 0


def _anywhere(node: Node, k: int) -> bool:
    return True


def _unless_by_number(node: Node, k: int) -> bool:
    """Products and quotients by a finite literal are harmless."""
    return (k == 1 and node.op == "div") or not _finite_number(node.inputs[1 - k])


def _extreme_vjp(wins: str) -> Vjp:
    def vjp(node: Node, ct: Node) -> tuple[Node | None, Node | None]:
        a, b = node.inputs
        zero = _c(ct, 0)
        if is_constant(b):  # from the result alone: the input need not be kept
            return ops.select(make(wins, node, b), ct, zero), None
        if is_constant(a):
            return None, ops.select(make(wins, node, a), ct, zero)
        tie = ops.select(eq(a, b), mul(ct, _c(ct, 0.5)), zero)
        return ops.select(make(wins, a, b), ct, tie), ops.select(make(wins, b, a), ct, tie)

    return vjp


add: Binary = _binary("add", NUMBER, np.add, lambda node, ct: (ct, ct), linear=lambda node: ((0, 1),))
sub: Binary = _binary(
    "sub", NUMBER, np.subtract, lambda node, ct: (ct, neg(ct)), linear=lambda node: ((0, 1),)
)
mul: Binary = _binary(
    "mul",
    NUMBER,
    np.multiply,
    lambda node, ct: (mul(ct, node.inputs[1]), mul(ct, node.inputs[0])),
    singular=_unless_by_number,
    linear=lambda node: ((0,), (1,)),
)
div: Binary = _binary(
    "div",
    NUMBER,
    lambda a, b: np.divide(a, b) if a.dtype.kind == "f" else np.floor_divide(a, b),
    _div_vjp,
    (-3, 3, 0.5, 3),
    singular=_unless_by_number,
    linear=lambda node: ((0,),),
)
mod: Binary = _binary("mod", NUMBER, floor_mod, _mod_vjp, (1, 5, 0.7, 2), singular=_anywhere)
pow_: Binary = _binary("pow", FLOAT, numeric.power, _pow_vjp, (0.3, 3, -2, 2), singular=_anywhere)
min_: Binary = _binary("min", NUMBER, np.minimum, _extreme_vjp("lt"))
max_: Binary = _binary("max", NUMBER, np.maximum, _extreme_vjp("gt"))
atan2: Binary = _binary("atan2", FLOAT, np.arctan2, _atan2_vjp, (0.5, 2, -2, 2), singular=_anywhere)

neg: Unary = _unary("neg", NUMBER, np.negative, lambda node, ct: (neg(ct),), linear=lambda node: ((0,),))
abs_: Unary = _unary(
    "abs", NUMBER, np.abs, lambda node, ct: (mul(ct, sign(node.inputs[0])),), singular=_anywhere
)
sign: Unary = _unary("sign", NUMBER, np.sign, lambda node, ct: (None,))
floor: Unary = _unary("floor", FLOAT, np.floor, lambda node, ct: (None,))
ceil: Unary = _unary("ceil", FLOAT, np.ceil, lambda node, ct: (None,))
round_: Unary = _unary("round", FLOAT, np.rint, lambda node, ct: (None,))
trunc: Unary = _unary("trunc", FLOAT, np.trunc, lambda node, ct: (None,))

# ---------------------------------------------------------------- comparison, logic, bits

eq: Binary = _binary("eq", ANY, np.equal, logical=True)
ne: Binary = _binary("ne", ANY, np.not_equal, logical=True)
lt: Binary = _binary("lt", NUMBER, np.less, logical=True)
le: Binary = _binary("le", NUMBER, np.less_equal, logical=True)
gt: Binary = _binary("gt", NUMBER, np.greater, logical=True)
ge: Binary = _binary("ge", NUMBER, np.greater_equal, logical=True)
and_: Binary = _binary("and", BOOL, np.logical_and, logical=True)
or_: Binary = _binary("or", BOOL, np.logical_or, logical=True)
not_: Unary = _unary("not", BOOL, np.logical_not, None)
bitand: Binary = _binary("bitand", INTEGER, np.bitwise_and)
bitor: Binary = _binary("bitor", INTEGER, np.bitwise_or)
bitxor: Binary = _binary("bitxor", INTEGER, np.bitwise_xor)
bitnot: Unary = _unary("bitnot", INTEGER, np.bitwise_not, None)
shl: Binary = _binary("shl", INTEGER, shift_left, domain=(-99, 99, 0, 40))
shr: Binary = _binary("shr", INTEGER, shift_right, domain=(-99, 99, 0, 40))

# ---------------------------------------------------------------- transcendental


def _minus_square(x: Node) -> Node:
    return sub(_c(x, 1), mul(x, x))


exp: Unary = _unary("exp", FLOAT, np.exp, _times(lambda x, y: y), singular=_anywhere)
exp2: Unary = _unary(
    "exp2", FLOAT, np.exp2, _times(lambda x, y: mul(y, _c(y, math.log(2)))), singular=_anywhere
)
expm1: Unary = _unary("expm1", FLOAT, np.expm1, _times(lambda x, y: add(y, _c(y, 1))), singular=_anywhere)
log: Unary = _unary("log", FLOAT, np.log, lambda n, ct: (div(ct, n.inputs[0]),), (0.2, 3), singular=_anywhere)
log2: Unary = _unary(
    "log2", FLOAT, np.log2, _times(lambda x, y: div(_c(x, 1 / math.log(2)), x)), (0.2, 3), singular=_anywhere
)
log1p: Unary = _unary(
    "log1p",
    FLOAT,
    np.log1p,
    lambda n, ct: (div(ct, add(n.inputs[0], _c(ct, 1))),),
    (-0.7, 3),
    singular=_anywhere,
)
sqrt: Unary = _unary(
    "sqrt", FLOAT, np.sqrt, lambda n, ct: (div(mul(ct, _c(ct, 0.5)), n),), (0.2, 3), singular=_anywhere
)
rsqrt: Unary = _unary(
    "rsqrt",
    FLOAT,
    lambda x: np.divide(np.asarray(1, x.dtype), np.sqrt(x)),
    _times(lambda x, y: mul(mul(_c(y, -0.5), y), mul(y, y))),
    (0.2, 3),
    singular=_anywhere,
)
sin: Unary = _unary("sin", FLOAT, np.sin, _times(lambda x, y: cos(x)), singular=_anywhere)
cos: Unary = _unary("cos", FLOAT, np.cos, _times(lambda x, y: neg(sin(x))), singular=_anywhere)
tan: Unary = _unary(
    "tan", FLOAT, np.tan, _times(lambda x, y: add(_c(y, 1), mul(y, y))), (-1.2, 1.2), singular=_anywhere
)
asin: Unary = _unary(
    "asin", FLOAT, np.arcsin, _times(lambda x, y: rsqrt(_minus_square(x))), (-0.9, 0.9), singular=_anywhere
)
acos: Unary = _unary(
    "acos",
    FLOAT,
    np.arccos,
    _times(lambda x, y: neg(rsqrt(_minus_square(x)))),
    (-0.9, 0.9),
    singular=_anywhere,
)
atan: Unary = _unary(
    "atan",
    FLOAT,
    np.arctan,
    lambda n, ct: (div(ct, add(_c(ct, 1), mul(n.inputs[0], n.inputs[0]))),),
    singular=_anywhere,
)
sinh: Unary = _unary("sinh", FLOAT, np.sinh, _times(lambda x, y: cosh(x)), singular=_anywhere)
cosh: Unary = _unary("cosh", FLOAT, np.cosh, _times(lambda x, y: sinh(x)), singular=_anywhere)
tanh: Unary = _unary("tanh", FLOAT, np.tanh, _times(lambda x, y: _minus_square(y)), singular=_anywhere)
erf: Unary = _unary(
    "erf",
    FLOAT,
    numeric.erf,
    _times(lambda x, y: mul(_c(x, 2 / math.sqrt(math.pi)), exp(neg(mul(x, x))))),
    singular=_anywhere,
)

__all__ = [
    "abs_",
    "acos",
    "add",
    "and_",
    "asin",
    "atan",
    "atan2",
    "bitand",
    "bitnot",
    "bitor",
    "bitxor",
    "ceil",
    "cos",
    "cosh",
    "div",
    "eq",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "ge",
    "gt",
    "is_constant",
    "le",
    "log",
    "log1p",
    "log2",
    "lt",
    "max_",
    "min_",
    "mod",
    "mul",
    "ne",
    "neg",
    "not_",
    "or_",
    "pow_",
    "round_",
    "rsqrt",
    "shl",
    "shr",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "sub",
    "tan",
    "tanh",
    "trunc",
]
