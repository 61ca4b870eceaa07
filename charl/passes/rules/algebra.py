"""Identities of scalar arithmetic, logic and choice.

Enters: elementwise nodes. Leaves: fewer or cheaper ones of the same meaning. What is listed as exact holds for NaN,
infinities and -0.0; so there is no `x * 0`, no `x - x`, no `x + 0` unless x cannot be -0.0 (-0.0 + 0.0 is +0.0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from charl import ops
from charl.dtypes import DType, boolean, f16, f32, f64, i8, i32, i64, u8
from charl.graph.ir import Node, TensorType
from charl.passes.pattern import Apply, Literal, Match, Pattern, Rule, Splat, Var
from charl.passes.values import full_like, never_minus_zero

A, B, C, D, X, Y = (Var(n) for n in "abcdxy")
K, L = Splat("k"), Splat("l")
ZERO, ONE, MINUS_ONE, MINUS_ZERO = Literal(0), Literal(1), Literal(-1), Literal(-0.0)
TRUE, FALSE = Literal(True), Literal(False)

FLOAT = ("float",)
INT = ("int", "uint")
SIGNED = ("float", "int")
NUMBER = ("float", "int", "uint")
BOOL = ("bool",)


def _op(name: str, *args: Pattern) -> Apply:
    return Apply(name, args)


def add(a: Pattern, b: Pattern) -> Apply:
    return _op("add", a, b)


def sub(a: Pattern, b: Pattern) -> Apply:
    return _op("sub", a, b)


def mul(a: Pattern, b: Pattern) -> Apply:
    return _op("mul", a, b)


def div(a: Pattern, b: Pattern) -> Apply:
    return _op("div", a, b)


def pow_(a: Pattern, b: Pattern) -> Apply:
    return _op("pow", a, b)


def neg(a: Pattern) -> Apply:
    return _op("neg", a)


def not_(a: Pattern) -> Apply:
    return _op("not", a)


def select(c: Pattern, a: Pattern, b: Pattern) -> Apply:
    return _op("select", c, a, b)


# ---------------------------------------------------------------- computed replacements


def _negated(m: Match) -> Node:
    """x op (-k) where the pattern is (-x) op k: the sign moves into the constant."""
    k = m["k"]
    return ops.make(m.root.op, m["x"], full_like(k, -m.number("k")))


def _is_power_of_two(m: Match) -> bool:
    k = float(m.number("k"))
    if k == 0 or not math.isfinite(k) or abs(math.frexp(k)[0]) != 0.5:
        return False
    limits = np.finfo(m.root.dtype.numpy)
    return bool(limits.tiny <= abs(1 / k) <= limits.max and abs(k) >= limits.tiny)


def _times_reciprocal(m: Match) -> Node:
    return ops.mul(m["x"], full_like(m.root, 1 / float(m.number("k"))))


def _reciprocal_root(m: Match) -> Node:
    """1 / sqrt(x + 0): the sum turns -0.0 into 0.0, of which both sides give inf."""
    return ops.rsqrt(ops.add(m["x"], full_like(m["x"], 0)))


def _repeated_negation(op: str, m: Match) -> Node:
    """x + broadcast(-y) is x - broadcast(y), and the other way round."""
    repeat = next(i for i in m.root.inputs[::-1] if i.op == "broadcast" and i.inputs[0].op == "neg")
    return ops.make(op, m["x"], ops.make("broadcast", m["y"], **repeat.attrs))


def _repeated_samples(op: str) -> list[Node]:
    x, y = ops.parameter("x", TensorType(f32, (3, 4))), ops.parameter("y", TensorType(f32, (3,)))
    repeated = ops.broadcast(ops.neg(y), (3, 4), (0,))
    return [ops.make(op, x, repeated), *([ops.add(repeated, x)] if op == "add" else [])]


def _associated(m: Match) -> Node:
    """(x op k) op l is x op (k op l) where arithmetic wraps."""
    return ops.make(m.root.op, m["x"], ops.make(m.root.op, m["k"], m["l"]))


# ---------------------------------------------------------------- casts


def holds(wide: DType, narrow: DType) -> bool:
    """Whether every value of `narrow` is one of `wide`."""
    if narrow in (wide, boolean):
        return True
    if wide == boolean:
        return False
    if narrow.is_float:
        return wide.is_float and (narrow, wide) in {(f16, f32), (f16, f64), (f32, f64)}
    if wide.is_float:
        digits = {f16: 11, f32: 24, f64: 53}.get(wide, 8)
        return narrow.bits - (narrow.kind == "int") <= digits and wide != f16
    if narrow.kind == "uint":
        return wide.bits > narrow.bits or (wide.kind == "uint" and wide.bits >= narrow.bits)
    return wide.kind == "int" and wide.bits >= narrow.bits


def _skip_middle(m: Match) -> bool:
    """cast(cast(x, middle), last) is cast(x, last): middle keeps x, and last treats both kinds alike."""
    first, middle, last = m["x"].dtype, m["c"].dtype, m.root.dtype
    if not holds(middle, first):
        return False
    alike = first.is_float or not middle.is_float or last.is_float
    return alike or first == boolean or holds(last, first)


def _cast_samples() -> list[Node]:
    chains = (
        (boolean, i32, f32),
        (i8, i32, i64),
        (f32, f64, f32),
        (u8, f32, f64),
        (f16, f32, i32),
        (i32, i64, i8),
        (i8, f32, i32),
    )
    return [
        ops.make("cast", ops.make("cast", ops.parameter("x", TensorType(a, (7,))), dtype=b), dtype=c)
        for a, b, c in chains
    ]


def _same_samples(op: str) -> list[Node]:
    return [ops.make(op, ops.parameter("x", TensorType(t, (3,))), dtype=t) for t in (f32, i32)]


def _plus_zero_samples() -> Sequence[Node]:
    x = ops.parameter("x", TensorType(f32, (6,)))
    zero = full_like(x, 0)
    picked = ops.select(ops.gt(x, zero), ops.exp(x), zero)
    return [ops.add(y, zero) for y in (ops.abs_(x), ops.mul(x, x), picked, ops.add(x, ops.exp(x)))]


def _division_samples() -> Sequence[Node]:
    x = ops.parameter("x", TensorType(f32, (9,)))
    return [ops.div(x, full_like(x, k)) for k in (2, -8, 0.25, 2.0**100)]


# ---------------------------------------------------------------- the rules

_SUMS = [
    Rule("x + 0 of integers", add(X, ZERO), X, kinds=INT),
    Rule(
        "x + 0 where x is not -0",
        add(X, ZERO),
        X,
        where=lambda m: never_minus_zero(m["x"]),
        kinds=FLOAT,
        samples=_plus_zero_samples,
    ),
    Rule("x + -0", add(X, MINUS_ZERO), X, kinds=FLOAT),
    Rule("x - 0", sub(X, ZERO), X, kinds=NUMBER),
    Rule("x - x of integers", sub(X, X), ZERO, kinds=INT),
    Rule("0 - x of integers", sub(ZERO, X), neg(X), kinds=INT),
    Rule("x + -y", add(X, neg(Y)), sub(X, Y), kinds=NUMBER),
    Rule("x - -y", sub(X, neg(Y)), add(X, Y), kinds=NUMBER),
    Rule(
        "x + broadcast(-y)",
        add(X, _op("broadcast", neg(Y))),
        partial(_repeated_negation, "sub"),
        kinds=NUMBER,
        samples=lambda: _repeated_samples("add"),
    ),
    Rule(
        "x - broadcast(-y)",
        sub(X, _op("broadcast", neg(Y))),
        partial(_repeated_negation, "add"),
        kinds=NUMBER,
        samples=lambda: _repeated_samples("sub"),
    ),
    Rule("-(x - y) of integers", neg(sub(X, Y)), sub(Y, X), kinds=INT),
    Rule("(x + k) + l of integers", add(add(X, K), L), _associated, kinds=INT),
]

_PRODUCTS = [
    Rule("x * 1", mul(X, ONE), X, kinds=NUMBER),
    Rule("x * 0 of integers", mul(X, ZERO), ZERO, kinds=INT),
    Rule("x * -1", mul(X, MINUS_ONE), neg(X), kinds=SIGNED),
    Rule("-x * -y", mul(neg(X), neg(Y)), mul(X, Y), kinds=NUMBER),
    Rule("-x * k", mul(neg(X), K), _negated, kinds=SIGNED),
    Rule(
        "-(x * k)", neg(mul(X, K)), lambda m: ops.mul(m["x"], full_like(m.root, -m.number("k"))), kinds=SIGNED
    ),
    Rule("-x * y", mul(neg(X), Y), neg(mul(X, Y)), kinds=NUMBER),
    Rule("(x * k) * l of integers", mul(mul(X, K), L), _associated, kinds=INT),
    Rule("x / 1", div(X, ONE), X, kinds=NUMBER),
    Rule("x / -1", div(X, MINUS_ONE), neg(X), kinds=FLOAT),
    Rule("x / 2^n", div(X, K), _times_reciprocal, _is_power_of_two, kinds=FLOAT, samples=_division_samples),
    Rule("-x / -y", div(neg(X), neg(Y)), div(X, Y), kinds=FLOAT),
    Rule("-x / k", div(neg(X), K), _negated, kinds=FLOAT),
    Rule("-x / y", div(neg(X), Y), neg(div(X, Y)), kinds=FLOAT),
    Rule("x / -y", div(X, neg(Y)), neg(div(X, Y)), kinds=FLOAT),
    Rule("x % 1 of integers", _op("mod", X, ONE), ZERO, kinds=INT),
]

_POWERS = [  # of -inf, C's pow gives inf and 0 where roots give NaN; NumPy itself takes the root
    Rule("x ** 0", pow_(X, ZERO), ONE, kinds=FLOAT),
    Rule("x ** 1", pow_(X, ONE), X, kinds=FLOAT),
    Rule("x ** 2", pow_(X, Literal(2)), mul(X, X), kinds=FLOAT, promise="rounded"),
    Rule("x ** 3", pow_(X, Literal(3)), mul(mul(X, X), X), kinds=FLOAT, promise="rounded"),
    Rule(
        "x ** 4",
        pow_(X, Literal(4)),
        lambda m: ops.mul(square := ops.mul(m["x"], m["x"]), square),
        kinds=FLOAT,
        promise="rounded",
    ),
    Rule("x ** -1", pow_(X, MINUS_ONE), div(ONE, X), kinds=FLOAT, promise="rounded"),
    Rule("x ** 0.5", pow_(X, Literal(0.5)), _op("sqrt", X), kinds=FLOAT, promise="finite"),
    Rule("x ** -0.5", pow_(X, Literal(-0.5)), _reciprocal_root, kinds=FLOAT, promise="finite"),
    Rule("2 ** x", pow_(Literal(2), X), _op("exp2", X), kinds=FLOAT, promise="rounded"),
]

_SIGNS = [
    Rule("--x", neg(neg(X)), X, kinds=NUMBER),
    Rule("not not x", not_(not_(X)), X),
    Rule("~~x", _op("bitnot", _op("bitnot", X)), X, kinds=INT),
    Rule("| |x| |", _op("abs", _op("abs", X)), _op("abs", X), kinds=SIGNED),
    Rule("|-x|", _op("abs", neg(X)), _op("abs", X), kinds=SIGNED),
    Rule("cos(-x)", _op("cos", neg(X)), _op("cos", X), kinds=FLOAT),
]

_LOGIC = [
    Rule("x and true", _op("and", X, TRUE), X),
    Rule("x and false", _op("and", X, FALSE), FALSE),
    Rule("x or true", _op("or", X, TRUE), TRUE),
    Rule("x or false", _op("or", X, FALSE), X),
    Rule("x and x", _op("and", X, X), X),
    Rule("x or x", _op("or", X, X), X),
    Rule("not x == y", not_(_op("eq", X, Y)), _op("ne", X, Y)),
    Rule("not x != y", not_(_op("ne", X, Y)), _op("eq", X, Y)),
    *(Rule(f"x {n} x of integers", _op(n, X, X), TRUE, kinds=(*INT, *BOOL)) for n in ("eq",)),
    *(Rule(f"x {n} x of integers", _op(n, X, X), TRUE, kinds=INT) for n in ("le", "ge")),
    *(Rule(f"x {n} x of integers", _op(n, X, X), FALSE, kinds=INT) for n in ("lt", "gt", "ne")),
    Rule("max(x, x)", _op("max", X, X), X, kinds=NUMBER),
    Rule("min(x, x)", _op("min", X, X), X, kinds=NUMBER),
    Rule("max(max(x, y), y)", _op("max", _op("max", X, Y), Y), _op("max", X, Y), kinds=INT),
    Rule("min(min(x, y), y)", _op("min", _op("min", X, Y), Y), _op("min", X, Y), kinds=INT),
    Rule("x & x", _op("bitand", X, X), X, kinds=INT),
    Rule("x | x", _op("bitor", X, X), X, kinds=INT),
    Rule("x | 0", _op("bitor", X, ZERO), X, kinds=INT),
    Rule("x & 0", _op("bitand", X, ZERO), ZERO, kinds=INT),
    Rule("x ^ x", _op("bitxor", X, X), ZERO, kinds=INT),
    Rule("x ^ 0", _op("bitxor", X, ZERO), X, kinds=INT),
    Rule("x << 0", _op("shl", X, ZERO), X, kinds=INT),
    Rule("x >> 0", _op("shr", X, ZERO), X, kinds=INT),
]

_CHOICE = [
    Rule("select(true, a, b)", select(TRUE, A, B), A),
    Rule("select(false, a, b)", select(FALSE, A, B), B),
    Rule("select(c, a, a)", select(C, A, A), A),
    Rule("select(not c, a, b)", select(not_(C), A, B), select(C, B, A)),
    Rule("select(c, select(c, a, b), d)", select(C, select(C, A, B), D), select(C, A, D)),
    Rule("select(c, a, select(c, b, d))", select(C, A, select(C, B, D)), select(C, A, D)),
    Rule("select(c, true, false)", select(C, TRUE, FALSE), C, kinds=BOOL),
    Rule("select(c, false, true)", select(C, FALSE, TRUE), not_(C), kinds=BOOL),
]


def _unchanged(m: Match) -> Node | None:
    return m["x"] if m["x"].dtype == m.root.dtype else None


_TYPES = [
    Rule("cast to the same type", _op("cast", X), _unchanged, samples=lambda: _same_samples("cast")),
    Rule("bitcast to the same type", _op("bitcast", X), _unchanged, samples=lambda: _same_samples("bitcast")),
    Rule(
        "cast of a widening cast",
        _op("cast", Apply("cast", (X,), "c")),
        lambda m: ops.cast(m["x"], m.root.dtype),
        _skip_middle,
        samples=_cast_samples,
    ),
    Rule("no gradient is taken any more", _op("stop_gradient", X), X),
]

RULES: list[Rule] = [*_SUMS, *_PRODUCTS, *_POWERS, *_SIGNS, *_LOGIC, *_CHOICE, *_TYPES]
