"""Spelling of scalar functions in WGSL.

Enters: a function of `charl.graph.scalar.FUNCTIONS`, its operands as text and their element types. Leaves: text, and
the names of the helper functions (templates/wgsl/functions.wgsl) it calls. Never chooses an algorithm: what WGSL leaves
open is in the helpers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from charl import templating
from charl.backends.printing import Level, Text, infix
from charl.dtypes import DType, accumulator, boolean, u32
from charl.errors import InternalError
from charl.graph.scalar import HALF_FUNCTIONS, Const, Expr

# What values of a type are, where it is computed with: 64 bits are two words, the low one first.
TYPES = {"f32": "f32", "i32": "i32", "u32": "u32", "bool": "bool", "i64": "vec2<u32>", "u64": "vec2<u32>"}

_FLOAT = {
    **{
        fn: fn
        for fn in ("abs", "floor", "ceil", "round", "trunc", "exp", "exp2", "sqrt", "sin", "cos", "tan")
    },
    "rsqrt": "inverseSqrt",
    **{
        fn: f"{fn}_f32"
        for fn in ("expm1", "log", "log2", "log1p", "asin", "acos", "atan", "sinh", "cosh", "tanh")
    },
    **{fn: f"{fn}_f32" for fn in ("erf", "sign", "mod", "pow", "min", "max", "atan2")},
}
_SIGNED = {
    **{fn: fn for fn in ("abs", "sign", "min", "max")},
    "mod": "mod_i32",
    "div": "div_i32",
}
_UNSIGNED = {"abs": "abs", "min": "min", "max": "max", "mod": "mod_u32", "div": "div_u32"}
_LONG = {
    "int": {
        **{fn: f"{fn}_u64" for fn in ("add", "sub", "mul", "neg", "shl")},
        **{fn: f"{fn}_i64" for fn in ("div", "mod", "min", "max", "lt", "shr", "abs", "sign")},
    },
    "uint": {
        **{fn: f"{fn}_u64" for fn in ("add", "sub", "mul", "neg", "shl")},
        **{fn: f"{fn}_u64" for fn in ("div", "mod", "min", "max", "lt", "shr", "sign")},
    },
}
_CALLS = {"float": _FLOAT, "int": _SIGNED, "uint": _UNSIGNED, "bool": {}}

_ON_BOOL = {
    "bitand": "and",
    "bitor": "or",
    "bitxor": "ne",
    "min": "and",
    "max": "or",
    "add": "or",
    "mul": "and",
}
_ARITHMETIC = ("add", "sub", "mul", "div", "mod", "pow", "shl", "shr", "neg", "abs", "cast")


@lru_cache(maxsize=1)
def _library() -> dict[str, str]:
    """Every helper function by name, with the comment above it."""
    text = templating.text("wgsl/functions.wgsl").split("\n\n", 1)[1]
    found = re.findall(r"((?://[^\n]*\n)*fn (\w+)\(.*?\n}\n)", text, re.S)
    return {name: body for body, name in found}


@lru_cache(maxsize=1)
def helper_names() -> frozenset[str]:
    """Names that a module may need for helpers."""
    return frozenset(_library())


def helpers(used: Iterable[str]) -> list[str]:
    """The text of the helpers `used`, and of those they call, in the order of the library."""
    library = _library()
    needed: set[str] = set()
    pending = [name for name in used if name in library]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += [n for n in re.findall(r"\b(\w+)\(", library[name]) if n in library]
    return [body for name, body in library.items() if name in needed]


def memory(t: DType) -> DType:
    """The element type of buffers that hold `t`: a whole word for what is smaller."""
    return u32 if t == boolean else accumulator(t)


def literal(value: float | int | bool, dtype: DType) -> Text:
    """A constant. Numbers that WGSL cannot write go through their bits."""
    if dtype.kind == "bool":
        return Text("true" if value else "false")
    if dtype.is_integer:
        n = int(value)
        if dtype.bytes == 8:
            return Text(f"vec2<u32>({n & 0xFFFFFFFF}u, {n >> 32 & 0xFFFFFFFF}u)")
        if dtype.kind == "uint":
            return Text(f"{n}u")
        if n == -(1 << 31):
            return Text("i32(-2147483648)")
        return Text(str(n), Level.PRIMARY if n >= 0 else Level.UNARY)
    with np.errstate(over="ignore", under="ignore"):
        x = np.float32(value)
    text = str(x)
    largest = float(np.finfo(np.float32).max)  # the shortest decimals for it are above it, and refused
    if not abs(float(text)) <= largest or 0 < abs(x) < np.finfo(np.float32).tiny:
        return Text(f"from_bits(0x{int(x.view(np.uint32)):08x}u)")
    if "." not in text and "e" not in text:
        text += ".0"
    return Text(text, Level.UNARY if text.startswith("-") else Level.PRIMARY)


def call(name: str, *args: Text) -> Text:
    """A function call."""
    return Text(f"{name}({', '.join(a.text for a in args)})")


def _prefix(symbol: str, x: Text) -> Text:
    return Text(symbol + x.at(Level.PRIMARY), Level.UNARY)


def apply(fn: str, args: Sequence[Text], exprs: Sequence[Expr], result: DType) -> Text:
    """`fn` of `args`, the spelled `exprs`."""
    runtime = exprs[0].dtype.name in ("f32", "i32", "u32")
    if fn in _ARITHMETIC and all(isinstance(e, Const) for e in exprs) and runtime:
        # Arithmetic of constants is evaluated by the shader compiler, which refuses what overflows.
        args = [call(f"runtime_{e.dtype}", a) for e, a in zip(exprs, args, strict=True)]
    if len(args) == 1:
        return _unary(fn, args[0], exprs[0].dtype, result)
    if len(args) == 2:
        return binary(fn, args[0], args[1], exprs[0].dtype, exprs[1])
    if fn == "select":
        condition, yes, no = args
        return call("select", no, yes, condition)
    if fn in ("threefry", "threefry1"):
        return Text(call("threefry", *args).text + (".x" if fn == "threefry" else ".y"))
    raise InternalError("wgsl", f"no spelling of {fn}")


def _unary(fn: str, x: Text, kind: DType, result: DType) -> Text:
    if fn == "cast":
        return cast(x, kind, result)
    if fn in HALF_FUNCTIONS:
        return call(fn, x)
    if fn == "bitcast":
        return x if TYPES[kind.name] == TYPES[result.name] else call(f"bitcast<{TYPES[result.name]}>", x)
    if fn == "not" or (fn == "bitnot" and kind.kind == "bool"):
        return _prefix("!", x)
    if fn == "bitnot":
        return _prefix("~", x)
    if (fn in ("floor", "ceil", "round", "trunc") and kind.is_integer) or (fn, kind.kind) == ("abs", "uint"):
        return x
    if kind.bytes == 8:
        return call(_LONG[kind.kind][fn], x)
    if fn == "neg":
        return infix("sub", Text("0u"), x) if kind.kind == "uint" else _prefix("-", x)
    if kind.kind == "uint" and fn == "sign":
        return call("min", x, Text("1u"))
    return call(_function(fn, kind), x)


def _function(fn: str, kind: DType) -> str:
    name = _CALLS[kind.kind].get(fn)
    if name is None:
        raise InternalError("wgsl", f"no spelling of {fn} on {kind}")
    return name


def binary(fn: str, a: Text, b: Text, kind: DType, right: Expr | None = None) -> Text:
    """`a fn b` on elements of type `kind`; `right` is the expression behind `b` where there is one."""
    if kind.kind == "bool":
        return _logic(fn, a, b)
    if kind.bytes == 8:
        return _long(fn, a, b, kind)
    if fn in ("shl", "shr"):
        return _shift(fn, a, b, kind, right)
    if fn == "ne" and kind.is_float:
        # True for NaN, which a "!=" that is ordered is not.
        return _prefix("!", Text(f"({infix('eq', a, b).text})"))
    if kind.kind == "uint" and fn in ("div", "mod") and isinstance(right, Const) and right.value:
        return infix(fn, a, b)
    if fn in _CALLS[kind.kind]:
        return call(_function(fn, kind), a, b)
    return infix(fn, a, b)


def _logic(fn: str, a: Text, b: Text) -> Text:
    if fn in ("lt", "gt"):
        low, high = (a, b) if fn == "lt" else (b, a)
        return infix("and", _prefix("!", low), high)
    if fn in ("le", "ge"):
        low, high = (a, b) if fn == "le" else (b, a)
        return infix("or", _prefix("!", low), high)
    return infix(_ON_BOOL.get(fn, fn), a, b)


def _long(fn: str, a: Text, b: Text, kind: DType) -> Text:
    """A function of two integers of 64 bits."""
    if fn.startswith("bit"):
        return infix(fn, a, b)
    if fn in ("eq", "ne"):
        return call("all" if fn == "eq" else "any", infix(fn, a, b))
    less = _LONG[kind.kind]["lt"]
    if fn in ("lt", "gt"):
        return call(less, a, b) if fn == "lt" else call(less, b, a)
    if fn in ("le", "ge"):
        return _prefix("!", call(less, b, a) if fn == "le" else call(less, a, b))
    return call(_LONG[kind.kind][fn], a, b)


def _shift(fn: str, a: Text, b: Text, kind: DType, right: Expr | None) -> Text:
    if isinstance(right, Const):
        amount = int(right.value)
        if not 0 <= amount < kind.bits:
            return literal(0, kind)
        return infix(fn, a, Text(f"{amount}u"))
    return call(f"{fn}_{kind}", a, b)


def cast(x: Text, kind: DType, result: DType) -> Text:
    """`x` of type `kind` as `result`: float to integer truncates and saturates."""
    if kind == result:
        return x
    if kind.bytes == 8 or (result.bytes == 8 and not kind.is_float):
        return _long_cast(x, kind, result)
    if result.kind == "bool":
        if kind.is_float:
            return _prefix("!", Text(f"({infix('eq', x, Text('0.0')).text})"))
        return infix("ne", x, Text("0u" if kind.kind == "uint" else "0"))
    if kind.is_float:
        return call(f"to_{result}", x)
    return call(TYPES[result.name], x)


def _long_cast(x: Text, kind: DType, result: DType) -> Text:
    """Between integers of 64 bits and others, which wrap, and from them to f32."""
    if kind.bytes == 8 and result.bytes == 8:
        return x
    if kind.kind == "bool":
        return call("vec2<u32>", call("u32", x), Text("0u"))
    if result.bytes == 8:
        return call("i64_of_i32" if kind.kind == "int" else "u64_of_u32", x)
    if result.kind == "bool":
        return call("any", infix("ne", x, call("vec2<u32>", Text("0u"))))
    if result.is_float:
        return call(f"f32_of_{kind}", x)
    low = Text(f"{x.at(Level.PRIMARY)}.x")
    return low if result.kind == "uint" else call("bitcast<i32>", low)


def combine(fn: str, name: str, value: Text, kind: DType) -> str:
    """The statement that brings `value` into the accumulator `name`."""
    if kind.kind != "bool" and kind.bytes == 4 and fn in ("add", "mul"):
        return f"{name} {'+' if fn == 'add' else '*'}= {value.text};"
    return f"{name} = {binary(fn, Text(name), value, kind).text};"


def identity(fn: str, kind: DType) -> Text:
    """What an accumulator of `fn` starts from."""
    if fn in ("add", "mul"):
        return literal(0 if fn == "add" else 1, kind)
    if fn in ("and", "or"):
        return literal(fn == "and", kind)
    low = fn in ("max", "argmax")
    if kind.is_float:
        return literal(-np.inf if low else np.inf, kind)
    if kind.kind == "bool":
        return literal(not low, kind)
    bounds = np.iinfo(kind.numpy)
    return literal(int(bounds.min if low else bounds.max), kind)


def better(fn: str, value: Text, best: Text, kind: DType) -> Text:
    """Whether `value` is the new extreme of an argmax or argmin."""
    if kind.is_float:
        return call("above" if fn == "argmax" else "below", value, best)
    return binary("gt" if fn == "argmax" else "lt", value, best, kind)
