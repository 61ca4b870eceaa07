"""Sizes and indices: integers, or Laurent polynomials over named symbols.

Enters: Python integers and symbols (dimension variables, loop indices). Leaves: the same in normal
form, so that two sizes are equal exactly when their polynomials are. A constant is always a plain
`int`; `Dim` stands only for what is not known yet. Never guesses: what cannot be proved is not equal.

The same class serves as shape entry (`N`, `d / heads`), as loop extent and as array index
(`64 * i + j`): a stride is a coefficient, and index simplification is arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import gcd, lcm, prod
from types import MappingProxyType
from typing import Any, TypeAlias

Size: TypeAlias = "int | Dim"


@dataclass(frozen=True)
class Known:
    """What is known of a symbol besides that it is a size: from a `where` clause, or checked on entry."""

    low: int = 0
    high: int | None = None
    multiple: int = 1


# Of symbols by name, while a program is elaborated.
KNOWN: ContextVar[Mapping[str, Known]] = ContextVar("KNOWN", default=MappingProxyType({}))


@dataclass(frozen=True)
class Sym:
    """A named unknown. Dimension variables use the user's name, loop indices a unique one."""

    name: str

    @cached_property
    def key(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Func:
    """An opaque integer function: `floordiv`, `ceildiv`, `mod`, `min`, `max` of two sizes."""

    name: str
    args: tuple[Any, ...]  # of Size

    @cached_property
    def key(self) -> str:
        return f"~{self}"

    def __str__(self) -> str:
        spelled = {"floordiv": "div", "ceildiv": "ceil_div"}.get(self.name, self.name)
        return f"{spelled}({', '.join(map(str, self.args))})"


@dataclass(frozen=True)
class Value:
    """A run-time integer used as an index (a gather); `expr` is a scalar expression."""

    expr: Any

    @cached_property
    def key(self) -> str:
        return f"~~{self.expr}"

    def __str__(self) -> str:
        return f"[{self.expr}]"


Atom = Sym | Func | Value
Monomial = tuple[tuple[Atom, int], ...]  # sorted by atom key, no zero powers


def _tidy(c: Any) -> Any:
    return c.numerator if isinstance(c, Fraction) and c.denominator == 1 else c


@lru_cache(maxsize=65536)
def _mono_mul(a: Monomial, b: Monomial) -> Monomial:
    if not a:
        return b
    if not b:
        return a
    powers: dict[Atom, int] = dict(a)
    for atom, p in b:
        powers[atom] = powers.get(atom, 0) + p
    return tuple(sorted(((x, p) for x, p in powers.items() if p), key=lambda t: t[0].key))


@lru_cache(maxsize=65536)
def _mono_key(m: Monomial) -> tuple[Any, ...]:
    return (-sum(p for _, p in m), tuple((a.key, -p) for a, p in m))


def _make(terms: Mapping[Monomial, Any]) -> int | Dim:
    kept = {m: c if type(c) is int else _tidy(c) for m, c in terms.items() if c}
    if not kept:
        return 0
    if len(kept) == 1:
        if () in kept and isinstance(kept[()], int):
            return int(kept[()])
        return Dim(tuple(kept.items()))
    return Dim(tuple(sorted(kept.items(), key=lambda t: _mono_key(t[0]))))


def _terms(x: int | Dim) -> dict[Monomial, Any]:
    return dict(x.terms) if isinstance(x, Dim) else ({(): x} if x else {})


class Dim:
    """A polynomial that is not a constant. Build with `sym(...)` and arithmetic, never directly."""

    __slots__ = ("_hash", "_str", "terms")

    def __init__(self, terms: tuple[tuple[Monomial, Any], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)
        self._str: str | None = None

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Dim) and self._hash == other._hash and self.terms == other.terms
        )

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: int | Dim) -> int | Dim:
        if not isinstance(other, (int, Dim)):
            return NotImplemented
        out = _terms(self)
        for m, c in _terms(other).items():
            out[m] = out.get(m, 0) + c
        return _make(out)

    __radd__ = __add__

    def __neg__(self) -> int | Dim:
        return _make({m: -c for m, c in self.terms})

    def __sub__(self, other: int | Dim) -> int | Dim:
        if not isinstance(other, (int, Dim)):
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: int | Dim) -> int | Dim:
        return (-self) + other

    def __mul__(self, other: int | Dim) -> int | Dim:
        if isinstance(other, int):
            return self if other == 1 else _make({m: c * other for m, c in self.terms})
        if not isinstance(other, Dim):
            return NotImplemented
        out: dict[Monomial, Any] = {}
        theirs = _terms(other)
        for m, c in self.terms:
            for n, d in theirs.items():
                k = _mono_mul(m, n)
                out[k] = out.get(k, 0) + c * d
        return _make(out)

    __rmul__ = __mul__

    def __pow__(self, n: int) -> int | Dim:
        out: int | Dim = 1
        for _ in range(n):
            out = out * self
        return out

    def __floordiv__(self, other: int | Dim) -> int | Dim:
        return floordiv(self, other)

    def __rfloordiv__(self, other: int | Dim) -> int | Dim:
        return floordiv(other, self)

    def __mod__(self, other: int | Dim) -> int | Dim:
        return mod(self, other)

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        if self._str is None:
            self._str = render(self, str)
        return self._str

    __repr__ = __str__


def sym(name: str) -> Dim:
    """The size called `name`."""
    return Dim(((((Sym(name), 1),), 1),))


def atom(a: Atom) -> Dim:
    """An atom as a size."""
    return Dim(((((a, 1),), 1),))


# ---------------------------------------------------------------- division


def exact_div(a: int | Dim, b: int | Dim) -> int | Dim | None:
    """a / b where the division is known to be exact as a polynomial, else None.

    By a single term it always succeeds symbolically (`d / heads` keeps the negative power); whether the
    value is an integer is then an obligation of the caller: see `integral`.
    """
    if isinstance(b, int):
        if b == 0:
            return None
        if isinstance(a, int):
            return a // b if a % b == 0 else None
        return _make({m: Fraction(c) / b for m, c in a.terms})
    if a == 0:
        return 0
    if len(b.terms) == 1:
        m, c = b.terms[0]
        inverse = tuple((x, -p) for x, p in m)
        return _make({_mono_mul(n, inverse): Fraction(d) / c for n, d in _terms(a).items()})
    return _long_division(a, b)


def _long_division(a: int | Dim, b: Dim) -> int | Dim | None:
    quotient: int | Dim = 0
    lead, c = b.terms[0]
    for _ in range(64):
        if a == 0:
            return quotient
        if isinstance(a, int):
            return None
        m, d = a.terms[0]
        q = _mono_mul(m, tuple((x, -p) for x, p in lead))
        if any(p < 0 for _, p in q):
            return None
        step = _make({q: Fraction(d) / c})
        quotient, a = quotient + step, a - step * b
    return None


def integral(x: int | Dim) -> bool:
    """Whether every value of `x` is an integer whatever its symbols, by what can be seen at once."""
    if isinstance(x, int):
        return True
    if any(p < 0 for m, _ in x.terms for _, p in m):
        return False
    den = lcm(*(Fraction(c).denominator for _, c in x.terms))
    if den == 1:
        return True
    names = sorted({a for m, _ in x.terms for a, _ in m}, key=lambda a: a.key)
    if den ** len(names) > 4096:
        return False

    def check(values: dict[Atom, int], rest: list[Atom]) -> bool:
        if rest:
            return all(check({**values, rest[0]: v}, rest[1:]) for v in range(den))
        total = sum(Fraction(c) * prod(values[a] ** p for a, p in m) for m, c in x.terms)
        return bool(total.denominator == 1)

    return check({}, names)


def floordiv(a: int | Dim, b: int | Dim, ranges: Mapping[str, Any] | None = None) -> int | Dim:
    """Division rounded down, simplified where the remainder is provably in 0..b."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    whole, rest = _split(a, b)
    if rest == 0:
        return whole
    if _within(rest, b, ranges):
        return whole
    return whole + atom(Func("floordiv", (rest, b)))


def mod(a: int | Dim, b: int | Dim, ranges: Mapping[str, Any] | None = None) -> int | Dim:
    """Remainder with the sign of the divisor, simplified where it can be proved."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if b == 1:
        return 0
    _, rest = _split(a, b)
    if rest == 0 or _within(rest, b, ranges):
        return rest
    return atom(Func("mod", (rest, b)))


def ceildiv(a: int | Dim, b: int | Dim) -> int | Dim:
    """Division rounded up."""
    if isinstance(a, int) and isinstance(b, int):
        return -(-a // b)
    whole, rest = _split(a, b)
    return whole if rest == 0 else whole + atom(Func("ceildiv", (rest, b)))


def minimum(a: int | Dim, b: int | Dim, ranges: Mapping[str, Any] | None = None, least: int = 1) -> int | Dim:
    """The smaller of two sizes; `ranges` and `least` as in `nonnegative`."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    if nonnegative(b - a, ranges, least):
        return a
    return b if nonnegative(a - b, ranges, least) else atom(Func("min", (a, b)))


def maximum(a: int | Dim, b: int | Dim, ranges: Mapping[str, Any] | None = None, least: int = 1) -> int | Dim:
    """The larger of two sizes; `ranges` and `least` as in `nonnegative`."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    if nonnegative(a - b, ranges, least):
        return a
    return b if nonnegative(b - a, ranges, least) else atom(Func("max", (a, b)))


def _split(a: int | Dim, b: int | Dim) -> tuple[int | Dim, int | Dim]:
    """a = whole * b + rest with every term of `a` that b divides moved into `whole`."""
    whole: int | Dim = 0
    rest: int | Dim = 0
    for m, c in _terms(a).items():
        term = _make({m: c})
        q = exact_div(term, b)
        if q is not None and (_plain(q) or _divides(q)):
            whole = whole + q
        elif isinstance(b, int) and isinstance(c, int) and abs(c) > b > 0:
            whole = whole + _make({m: c // b})
            rest = rest + _make({m: c % b})
        else:
            rest = rest + term
    return whole, rest


def _plain(x: int | Dim) -> bool:
    """No fraction and no negative power: an integer for sure."""
    return isinstance(x, int) or all(isinstance(c, int) and all(p > 0 for _, p in m) for m, c in x.terms)


def _divides(q: int | Dim) -> bool:
    """Whether a quotient is an integer for the multiples that are known."""
    known = KNOWN.get()
    multiples = {n: k.multiple * sym(n) for n, k in known.items() if k.multiple > 1}
    return bool(multiples) and integral(substitute(q, multiples))


def _within(rest: int | Dim, b: int | Dim, ranges: Mapping[str, Any] | None) -> bool:
    return nonnegative(rest, ranges) and nonnegative(b - rest - 1, ranges)


# ---------------------------------------------------------------- bounds


def nonnegative(x: int | Dim, ranges: Mapping[str, Any] | None = None, least: int = 1) -> bool:
    """Whether x >= 0 is proved, `ranges` giving (low, high), inclusive, of some symbols.

    Symbols without a range are sizes of at least `least`: 1 inside a loop nest, where every extent is. False means
    "not proved", not "negative".
    """
    if isinstance(x, int):
        return x >= 0
    known = KNOWN.get()
    both = {n: (max(least, k.low), k.high) for n, k in known.items() if k.high is not None}
    ranges = {**both, **(ranges or {})}
    x = _functions_bounded(x, ranges)
    for _ in range(24):
        if isinstance(x, int):
            return x >= 0
        ranged = [a for m, _ in x.terms for a, _ in m if isinstance(a, Sym) and a.name in ranges]
        if not ranged:
            break
        a = max(ranged, key=lambda s: s.name)
        slope, degree = _slope(x, a)
        if degree != 1:
            return False
        low, high = ranges[a.name]
        if nonnegative(slope, ranges, least):
            x = substitute(x, {a.name: low})
        elif nonnegative(-slope, ranges, least):
            x = substitute(x, {a.name: high})
        else:
            return False
    if isinstance(x, int):
        return x >= 0
    names = {a.name for m, _ in x.terms for a, _ in m if isinstance(a, Sym)}
    at_least = {n: max(least, known[n].low if n in known else 0) for n in names}
    shifted = substitute(x, {n: sym(n) + at_least[n] for n in names if _only_positive(x, n)})
    return all(c >= 0 and all(_nonneg_atom(a, ranges) for a, _ in m) for m, c in _terms(shifted).items())


def _functions_bounded(x: Dim, ranges: Mapping[str, Any]) -> int | Dim:
    """Nothing above `x`: a quotient or remainder that is subtracted is replaced by the most that it can be."""
    out: int | Dim = x
    for m, c in x.terms:
        if isinstance(c, int) and c < 0 and len(m) == 1 and m[0][1] == 1 and isinstance(m[0][0], Func):
            most = _most(m[0][0], ranges)
            if most is not None:
                out = out - _make({m: c}) + c * most
    return out


def _most(f: Func, ranges: Mapping[str, Any]) -> int | None:
    """An upper bound of a quotient or remainder by a positive integer."""
    a, b = f.args if len(f.args) == 2 else (0, 0)
    if not isinstance(b, int) or b <= 0 or f.name not in ("mod", "floordiv"):
        return None
    if f.name == "mod":
        return b - 1
    highs = {}
    for name in symbols(a):
        slope = coefficient(a, name)
        if name not in ranges or not isinstance(slope, int) or slope < 0:
            return None
        highs[name] = ranges[name][1]
    top = substitute(a, highs)
    return top // b if isinstance(top, int) else None


def _only_positive(x: Dim, name: str) -> bool:
    return all(p > 0 for m, _ in x.terms for a, p in m if isinstance(a, Sym) and a.name == name)


def _nonneg_atom(a: Atom, ranges: Mapping[str, Any]) -> bool:
    if isinstance(a, Sym):
        return True
    if isinstance(a, Func):
        if a.name == "mod":
            return True
        if a.name == "max":
            return any(nonnegative(x, ranges) for x in a.args)
        return all(nonnegative(x, ranges) for x in a.args)
    return False


def _slope(x: Dim, a: Sym) -> tuple[int | Dim, int]:
    """Coefficient of `a` and the degree in it (2 stands for anything that is not linear)."""
    out: dict[Monomial, Any] = {}
    degree = 1
    for m, c in x.terms:
        for b, p in m:
            if b == a:
                if p != 1:
                    degree = 2
                out[tuple(t for t in m if t[0] != a)] = c
            elif not isinstance(b, Sym) and a.name in symbols(atom(b)):
                degree = 2
    return _make(out), degree


def coefficient(x: int | Dim, name: str) -> int | Dim | None:
    """The stride of `x` along symbol `name`; None when `x` is not linear in it."""
    if isinstance(x, int):
        return 0
    slope, degree = _slope(x, Sym(name))
    return slope if degree == 1 and name not in symbols(slope) else None


# ---------------------------------------------------------------- walking


def symbols(x: int | Dim) -> frozenset[str]:
    """Names of all symbols in `x`, inside functions and run-time values too."""
    if isinstance(x, int):
        return frozenset()
    return _symbols(x)


@lru_cache(maxsize=65536)
def _symbols(x: Dim) -> frozenset[str]:
    out: set[str] = set()
    for m, _ in x.terms:
        for a, _p in m:
            if isinstance(a, Sym):
                out.add(a.name)
            elif isinstance(a, Func):
                for arg in a.args:
                    out |= symbols(arg)
            else:
                out |= a.expr.symbols()
    return frozenset(out)


def atoms(x: int | Dim) -> Iterator[Atom]:
    """Every atom at the top level of `x`."""
    if isinstance(x, Dim):
        for m, _ in x.terms:
            for a, _p in m:
                yield a


def values(x: int | Dim) -> Iterator[Any]:
    """The run-time expressions in `x`, inside functions too."""
    for a in atoms(x):
        if isinstance(a, Value):
            yield a.expr
        elif isinstance(a, Func):
            for arg in a.args:
                yield from values(arg)


def substitute(
    x: int | Dim,
    env: Mapping[str, int | Dim],
    value: Callable[[Any], Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
) -> int | Dim:
    """Replace symbols by sizes; `value` maps the scalar expressions of run-time indices.

    Raises ZeroDivisionError where a size becomes a divisor of zero.
    """
    if isinstance(x, int):
        return x
    if value is None and not (symbols(x) & env.keys()) and ranges is None:
        return x
    kept: dict[Monomial, Any] = {}
    for m, c in x.terms:
        if all(isinstance(a, Sym) and a.name not in env for a, _ in m):
            kept[m] = kept.get(m, 0) + c
            continue
        for n, d in _terms(_substitute_term(m, c, env, value, ranges)).items():
            kept[n] = kept.get(n, 0) + d
    return _make(kept)


def _substitute_term(m: Monomial, c: Any, env: Any, value: Any, ranges: Any) -> int | Dim:
    above: int | Dim = 1
    below: int | Dim = 1
    for a, p in m:
        new = _substitute_atom(a, env, value, ranges)
        if p > 0:
            above = new if above == 1 and p == 1 else above * new**p
        else:
            below = below * new**-p
    if below != 1:
        q = exact_div(above, below) if below != 0 else None
        if q is None and isinstance(above, int) and isinstance(below, int) and below:
            return _make({(): Fraction(c) * Fraction(above, below)})
        if q is None:
            raise ZeroDivisionError(f"{above} / {below}")
        above = q
    return above * c if isinstance(c, int) else _scale(above, c)


def _scale(x: int | Dim, c: Any) -> int | Dim:
    return _make({m: d * c for m, d in _terms(x).items()})


def _substitute_atom(
    a: Atom, env: Mapping[str, int | Dim], value: Callable[[Any], Any] | None, ranges: Any
) -> int | Dim:
    if isinstance(a, Sym):
        return env.get(a.name, atom(a))
    if isinstance(a, Value):
        return atom(Value(value(a.expr))) if value else atom(Value(a.expr.substitute(env)))
    x, y = (substitute(arg, env, value, ranges) for arg in a.args)
    if a.name == "floordiv":
        return floordiv(x, y, ranges)
    if a.name == "mod":
        return mod(x, y, ranges)
    if a.name == "ceildiv":
        return ceildiv(x, y)
    least = 1 if ranges is not None else 0  # a symbol may be an index, which begins at 0
    return (minimum if a.name == "min" else maximum)(x, y, ranges, least)


def simplify(x: int | Dim, ranges: Mapping[str, Any]) -> int | Dim:
    """Rewrite div, mod, min and max of `x` with what the ranges prove."""
    if isinstance(x, int) or not any(isinstance(a, (Func, Value)) for a in atoms(x)):
        return x
    return substitute(x, {}, ranges=ranges)


def recombined(x: int | Dim) -> int | Dim:
    """`x` with quotient and remainder put together again: b * div(a, b) + mod(a, b) is a."""
    while isinstance(x, Dim):
        whole = next((y for m, c in x.terms if (y := _without_remainder(x, m, c)) is not None), None)
        if whole is None:
            return x
        x = whole
    return x


def _without_remainder(x: Dim, m: Monomial, c: Any) -> int | Dim | None:
    """`x` without the remainder in one of its terms, where the quotient is there too."""
    for f, power in m:
        if not isinstance(f, Func) or f.name != "mod" or power != 1:
            continue
        a, b = f.args
        factor = _make({tuple(t for t in m if t[0] != f): c})
        quotient = factor * b * _nested_floordiv(a, b)
        if isinstance(quotient, Dim) and set(quotient.terms) <= set(x.terms):
            out: int | Dim = x - quotient - _make({m: c}) + factor * a
            return out
    return None


def _nested_floordiv(a: int | Dim, b: int | Dim) -> int | Dim:
    """div(a, b), with div(div(k, d), b) as div(k, d * b) for positive integers."""
    if isinstance(a, Dim) and isinstance(b, int) and b > 0 and len(a.terms) == 1:
        ((m, c),) = a.terms
        if c == 1 and len(m) == 1 and m[0][1] == 1 and isinstance(m[0][0], Func):
            f = m[0][0]
            if f.name == "floordiv" and isinstance(f.args[1], int) and f.args[1] > 0:
                return floordiv(f.args[0], f.args[1] * b)
    return floordiv(a, b)


def evaluate(x: int | Dim, env: Mapping[str, int]) -> int:
    """The integer that `x` is under `env`.

    Raises KeyError for an unbound symbol and ValueError where a division is not exact.
    """
    if isinstance(x, int):
        return x
    try:
        out = substitute(x, env)
    except ZeroDivisionError as e:
        raise ValueError(f"{x} divides by zero for {dict(env)}") from e
    if isinstance(out, int):
        return out
    free = symbols(out)
    if free:
        raise KeyError(", ".join(sorted(free)))
    raise ValueError(f"{x} is not an integer for {dict(env)}")


# ---------------------------------------------------------------- text


def render(x: int | Dim, leaf: Callable[[Atom], str], div: str = " / ") -> str:
    """`x` as an infix expression; `leaf` spells atoms. Divisions are exact, over one denominator."""
    if isinstance(x, int):
        return str(x)
    den = lcm(*(Fraction(c).denominator for _, c in x.terms))
    worst: dict[Atom, int] = {}
    for m, _ in x.terms:
        for a, p in m:
            if p < 0:
                worst[a] = max(worst.get(a, 0), -p)
    below = tuple(sorted(worst.items(), key=lambda t: t[0].key))
    parts: list[str] = []
    for m, c in x.terms:
        factors = [leaf(a) for a, p in _mono_mul(m, below) for _ in range(p)]
        k = _tidy(Fraction(c) * den)
        if abs(k) != 1 or not factors:
            factors.insert(0, str(abs(k)))
        parts.append(("-" if k < 0 else "+") + " * ".join(factors))
    first = parts[0][1:] if parts[0][0] == "+" else parts[0]
    text = first + "".join(f" {p[0]} {p[1:]}" for p in parts[1:])
    bottom = [leaf(a) for a, p in below for _ in range(p)] + ([str(den)] if den > 1 else [])
    if not bottom:
        return text
    top = f"({text})" if len(parts) > 1 else text
    return f"{top}{div}" + (bottom[0] if len(bottom) == 1 else f"({' * '.join(bottom)})")


def product(sizes: Iterable[int | Dim]) -> int | Dim:
    """The product of all sizes; 1 for none."""
    out: int | Dim = 1
    for s in sizes:
        out = out * s
    return out


def common_divisor(x: int | Dim) -> int:
    """The largest integer that provably divides `x` (alignment of strides)."""
    if isinstance(x, int):
        return x
    if not _plain(x):
        return 1
    return gcd(*(c for _, c in x.terms))
