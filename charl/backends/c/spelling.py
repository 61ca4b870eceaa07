"""How C writes types, literals and scalar functions: tables, no decisions.

Enters: an element type, a value, a function of `charl.graph.scalar.FUNCTIONS` with the text of its arguments.
Leaves: C text with its precedence (`Text`). What C cannot say in an operator is a call of a helper that
`templates/c/scalar.h` defines. Never looks at kernels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from charl.dtypes import DType, rounded
from charl.dtypes import stored as half_bits
from charl.graph.scalar import HALF_FUNCTIONS


class Text(NamedTuple):
    """C text and how tightly its outermost operator binds."""

    text: str
    level: int


ATOM, UNARY, PRODUCT, SUM, SHIFT, ORDER, EQUAL, BITAND, BITXOR, BITOR, AND, OR, CHOICE = range(16, 3, -1)

C_TYPES = {
    "f16": "uint16_t",  # C99 has no half floats: these are their bits
    "bf16": "uint16_t",
    "f32": "float",
    "f64": "double",
    "bool": "bool",
    **{f"{k}{b}": f"{'u' if k == 'u' else ''}int{b}_t" for k in "iu" for b in (8, 16, 32, 64)},
}


def c_type(t: DType) -> str:
    """The C type of one element in memory."""
    return C_TYPES[t.name]


def at(x: Text, level: int) -> str:
    """`x` as an operand of an operator that binds at `level`."""
    return x.text if x.level >= level else f"({x.text})"


def call(name: str, *args: Text) -> Text:
    """A function call."""
    return Text(f"{name}({', '.join(a.text for a in args)})", ATOM)


def binary(op: str, level: int, a: Text, b: Text) -> Text:
    """`a op b`, left-associative. Compilers warn of bare mixtures of logic, bits and sums; those get parentheses."""
    strict = level <= SHIFT
    left = at(a, UNARY if strict and a.level != level else level)
    if level in (ORDER, EQUAL):
        left, right = at(a, SUM), at(b, SUM)
    elif level in (AND, OR):
        left, right = at(a, level if a.level == level else EQUAL), at(b, EQUAL)
    else:
        right = at(b, UNARY if strict else level + 1)
    return Text(f"{left} {op} {right}", level)


def negative(x: Text) -> Text:
    """-x."""
    inner = at(x, UNARY)
    return Text(f"-({inner})" if inner.startswith("-") else f"-{inner}", UNARY)


def choose(condition: Text, a: Text, b: Text) -> Text:
    """condition ? a : b."""
    return Text(f"{at(condition, OR)} ? {at(a, OR)} : {at(b, CHOICE)}", CHOICE)


def cast(ctype: str, x: Text) -> Text:
    """(ctype)x."""
    return Text(f"({ctype}){at(x, UNARY)}", UNARY)


# ---------------------------------------------------------------- literals


def literal(value: float | int | bool, t: DType) -> Text:
    """The shortest spelling that gives back exactly this value of type `t`."""
    if t.is_half:
        return Text(f"0x{int(half_bits(rounded(value, t), t).view(np.uint16)):04x}", ATOM)
    if t.kind == "bool":
        return Text("true" if value else "false", ATOM)
    if t.is_float:
        return _float_literal(value, t.bits == 32)
    return _integer_literal(int(value), t)


def _float_literal(value: float, single: bool) -> Text:
    with np.errstate(over="ignore"):
        x = np.float32(value) if single else np.float64(value)
    if np.isnan(x) or np.isinf(x):
        word = "NAN" if np.isnan(x) else "INFINITY"
        out = Text(word, ATOM) if single else Text(f"(double){word}", UNARY)
        return negative(out) if x == -np.inf else out
    text = str(x)
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa}e{int(exponent)}"
    return Text(text + "f" * single, UNARY if text.startswith("-") else ATOM)


def _integer_literal(value: int, t: DType) -> Text:
    info = np.iinfo(t.numpy)
    value = (value - int(info.min)) % (1 << t.bits) + int(info.min)
    if t.kind == "uint":
        return Text(f"{value}u" if value < 1 << 32 else f"UINT64_C({value})", ATOM)
    if value == info.min and t.bits >= 32:
        return Text(f"INT{t.bits}_MIN", ATOM)
    text = str(abs(value)) if abs(value) < 1 << 31 else f"INT64_C({abs(value)})"
    return Text(f"-{text}", UNARY) if value < 0 else Text(text, ATOM)


# ---------------------------------------------------------------- memory


def loaded(x: Text, memory: DType, register: DType) -> Text:
    """An element of memory as a register holds it."""
    return x if memory == register else call(f"{memory}_value", x)


def stored(x: Text, memory: DType, register: DType) -> Text:
    """The value of a register as memory holds it."""
    return x if memory == register else cast(c_type(memory), call(f"{memory}_bits", x))


# ---------------------------------------------------------------- functions

ORDERS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_NAMED = frozenset(["threefry", "threefry1", *HALF_FUNCTIONS])
_BITS = {"bitand": ("&", BITAND), "bitor": ("|", BITOR), "bitxor": ("^", BITXOR)}
_SUMS = {"add": ("+", SUM), "sub": ("-", SUM), "mul": ("*", PRODUCT), "div": ("/", PRODUCT)}
_LIBM_WORDS = """exp exp2 expm1 log log2 log1p sqrt sin cos tan asin acos atan sinh cosh tanh erf
floor ceil trunc pow atan2"""
_LIBM = {f: f for f in _LIBM_WORDS.split()} | {"round": "rint", "abs": "fabs"}


def function(fn: str, args: tuple[Text, ...], source: DType, result: DType) -> Text:
    """Function `fn` of arguments of type `source` (of the last argument) as C."""
    if fn == "select":
        chosen = choose(*args)
        return cast(c_type(result), chosen) if result.is_integer and result.bits < 32 else chosen
    if fn in _NAMED:
        return call(fn, *args)
    if fn == "cast":
        return conversion(args[0], source, result)
    if fn == "bitcast":
        return args[0] if source == result else call(f"{result.name}_of_bits_{source.name}", args[0])
    if fn in ("and", "or"):
        return _logic(fn, *args)
    if fn == "not":
        return Text(f"!{at(args[0], UNARY)}", UNARY)
    if fn in ("eq", "ne"):
        return binary("==" if fn == "eq" else "!=", EQUAL, *args)
    if source.kind == "bool":
        return _on_bool(fn, args)
    if fn in ORDERS:
        return _decided(fn, source, args) or binary(ORDERS[fn], ORDER, *args)
    return _on_float(fn, args, result) if source.is_float else _on_integer(fn, args, result)


def _logic(fn: str, a: Text, b: Text) -> Text:
    """a && b or a || b, where one may be a literal."""
    neutral = "true" if fn == "and" else "false"
    for x, y in ((a, b), (b, a)):
        if x.text in ("true", "false"):
            return y if x.text == neutral else x
    return binary("&&" if fn == "and" else "||", AND if fn == "and" else OR, a, b)


def _decided(fn: str, source: DType, args: tuple[Text, ...]) -> Text | None:
    """Comparisons of unsigned numbers with 0 that always or never hold: compilers warn of them."""
    if source.kind == "uint":
        if args[1].text == "0u" and fn in ("ge", "lt"):
            return Text("true" if fn == "ge" else "false", ATOM)
        if args[0].text == "0u" and fn in ("le", "gt"):
            return Text("true" if fn == "le" else "false", ATOM)
    return None


def _on_bool(fn: str, args: tuple[Text, ...]) -> Text:
    if fn in ("min", "mul"):
        return binary("&&", AND, *args)
    if fn in ("max", "add"):
        return binary("||", OR, *args)
    ints = tuple(cast("int", a) for a in args)
    return binary(ORDERS[fn], ORDER, *ints)


def _on_float(fn: str, args: tuple[Text, ...], t: DType) -> Text:
    single = t.bits == 32
    if fn == "neg":
        return negative(args[0])
    if fn in _SUMS:
        return binary(*_SUMS[fn], *args)
    if fn == "rsqrt":
        return Text(f"{literal(1.0, t).text} / sqrt{'f' * single}({args[0].text})", PRODUCT)
    if fn in _LIBM:
        return call(_LIBM[fn] + "f" * single, *args)
    return call(f"{t.name}_{fn}", *args)  # sign mod min max


def _on_integer(fn: str, args: tuple[Text, ...], t: DType) -> Text:
    if t.kind == "uint" and t.bits >= 32:
        if fn in ("add", "sub", "mul"):
            return binary(*_SUMS[fn], *args)
        if fn == "neg":
            return Text(f"0u - {at(args[0], PRODUCT)}", SUM)
    if fn == "abs" and t.kind == "uint":
        return args[0]
    if t.bits >= 32 and fn in _BITS:
        return binary(*_BITS[fn], *args)
    if t.bits >= 32 and fn == "bitnot":
        return Text(f"~{at(args[0], UNARY)}", UNARY)
    return call(f"{t.name}_{fn}", *args)


def conversion(x: Text, source: DType, result: DType) -> Text:
    """`x` as another type: floats truncate and saturate into integers, integers wrap."""
    if source == result:
        return x
    if result.kind == "bool":
        zero = literal(0.0 if source.is_float else 0, source)
        return binary("!=", EQUAL, x, zero)
    if source.is_float and result.is_integer:
        return call(f"{result.name}_from_{source.name}", x)
    return cast(c_type(result), x)
