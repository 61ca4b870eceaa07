"""Polynomials over named symbols in normal form, and their arithmetic.

Enters: Python integers, symbols and opaque functions. Leaves: the same as sums of products; a constant is always a plain
`int`. Never decides what is positive, and never rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import gcd, lcm, prod
from typing import Any, ClassVar, TypeAlias
from weakref import WeakValueDictionary

Size: TypeAlias = "int | Dim"

# A program asks for the same few sums and products over and over: every layer has the sizes of the others.
_MEMO = 1 << 16


class Sym:
    """A named unknown. Dimension variables use the user's name, loop indices a unique one. One object for each name."""

    __slots__ = ("__weakref__", "key", "name")
    _known: ClassVar[WeakValueDictionary[str, Sym]] = WeakValueDictionary()
    key: str  # what monomials are sorted by
    name: str

    def __new__(cls, name: str) -> Sym:
        found = cls._known.get(name)
        if found is None:
            found = super().__new__(cls)
            found.key = found.name = name
            cls._known[name] = found
        return found

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Sym({self.name!r})"


class Func:
    """An opaque integer function: `floordiv`, `ceildiv`, `mod`, `min`, `max` of two sizes. One object for each."""

    __slots__ = ("__weakref__", "_key", "args", "name")
    _known: ClassVar[WeakValueDictionary[tuple[str, tuple[Any, ...]], Func]] = WeakValueDictionary()
    _key: str | None
    args: tuple[Any, ...]  # of Size
    name: str

    def __new__(cls, name: str, args: tuple[Any, ...]) -> Func:
        found = cls._known.get((name, args))
        if found is None:
            found = super().__new__(cls)
            found.name, found.args, found._key = name, args, None
            cls._known[name, args] = found
        return found

    @property
    def key(self) -> str:
        """What monomials are sorted by."""
        if self._key is None:
            self._key = f"~{self}"
        return self._key

    def __str__(self) -> str:
        spelled = {"floordiv": "div", "ceildiv": "ceil_div"}.get(self.name, self.name)
        return f"{spelled}({', '.join(map(str, self.args))})"

    def __repr__(self) -> str:
        return f"Func({self.name!r}, {self.args!r})"


@dataclass(frozen=True)
class Value:
    """A run-time integer used as an index (a gather); `expr` is a scalar expression."""

    expr: Any

    @cached_property
    def key(self) -> str:
        return f"~~{self.expr}"

    @cached_property
    def _hash(self) -> int:
        return hash(self.expr)

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"[{self.expr}]"


Atom = Sym | Func | Value
Monomial = tuple[tuple[Atom, int], ...]  # sorted by atom key, no zero powers


def tidy(c: Any) -> Any:
    return c.numerator if isinstance(c, Fraction) and c.denominator == 1 else c


@lru_cache(maxsize=_MEMO)
def times(a: Monomial, b: Monomial) -> Monomial:
    if not a:
        return b
    if not b:
        return a
    powers: dict[Atom, int] = dict(a)
    for atom, p in b:
        powers[atom] = powers.get(atom, 0) + p
    return tuple(sorted(((x, p) for x, p in powers.items() if p), key=lambda t: t[0].key))


@lru_cache(maxsize=_MEMO)
def _mono_key(m: Monomial) -> tuple[Any, ...]:
    return (-sum(p for _, p in m), tuple((a.key, -p) for a, p in m))


def make(terms: Mapping[Monomial, Any]) -> int | Dim:
    kept = {m: c if type(c) is int else tidy(c) for m, c in terms.items() if c}
    if not kept:
        return 0
    if len(kept) == 1:
        if () in kept and isinstance(kept[()], int):
            return int(kept[()])
        return Dim(tuple(kept.items()))
    return Dim(tuple(sorted(kept.items(), key=lambda t: _mono_key(t[0]))))


def terms_of(x: int | Dim) -> dict[Monomial, Any]:
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
        return _sum(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    __radd__ = __add__

    def __neg__(self) -> int | Dim:
        return make({m: -c for m, c in self.terms})

    def __sub__(self, other: int | Dim) -> int | Dim:
        if not isinstance(other, (int, Dim)):
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: int | Dim) -> int | Dim:
        return (-self) + other

    def __mul__(self, other: int | Dim) -> int | Dim:
        return _product(self, other) if isinstance(other, (int, Dim)) else NotImplemented

    __rmul__ = __mul__

    def __pow__(self, n: int) -> int | Dim:
        out: int | Dim = 1
        for _ in range(n):
            out = out * self
        return out

    def __floordiv__(self, other: int | Dim) -> int | Dim:
        from charl.dims.functions import floordiv

        return floordiv(self, other)

    def __rfloordiv__(self, other: int | Dim) -> int | Dim:
        from charl.dims.functions import floordiv

        return floordiv(other, self)

    def __mod__(self, other: int | Dim) -> int | Dim:
        from charl.dims.functions import mod

        return mod(self, other)

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        if self._str is None:
            from charl.dims.text import render

            self._str = render(self, str)
        return self._str

    __repr__ = __str__


@lru_cache(maxsize=_MEMO)
def _sum(a: Dim, b: int | Dim) -> int | Dim:
    out = terms_of(a)
    for m, c in terms_of(b).items():
        out[m] = out.get(m, 0) + c
    return make(out)


@lru_cache(maxsize=_MEMO)
def _product(a: Dim, b: int | Dim) -> int | Dim:
    if isinstance(b, int):
        return a if b == 1 else make({m: c * b for m, c in a.terms})
    out: dict[Monomial, Any] = {}
    for m, c in a.terms:
        for n, d in b.terms:
            k = times(m, n)
            out[k] = out.get(k, 0) + c * d
    return make(out)


@lru_cache(maxsize=_MEMO)
def sym(name: str) -> Dim:
    """The size called `name`."""
    return Dim(((((Sym(name), 1),), 1),))


def atom(a: Atom) -> Dim:
    """An atom as a size."""
    return Dim(((((a, 1),), 1),))


def product(sizes: Iterable[int | Dim]) -> int | Dim:
    """The product of all sizes; 1 for none."""
    out: int | Dim = 1
    for s in sizes:
        out = out * s
    return out


@lru_cache(maxsize=_MEMO)
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
        return make({m: Fraction(c) / b for m, c in a.terms})
    if a == 0:
        return 0
    if len(b.terms) == 1:
        m, c = b.terms[0]
        inverse = tuple((x, -p) for x, p in m)
        return make({times(n, inverse): Fraction(d) / c for n, d in terms_of(a).items()})
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
        q = times(m, tuple((x, -p) for x, p in lead))
        if any(p < 0 for _, p in q):
            return None
        step = make({q: Fraction(d) / c})
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


def content(x: int | Dim) -> tuple[int, int | Dim]:
    """The largest integer that divides every coefficient, and what it is multiplied with. Of an integer: itself, and 1."""
    if isinstance(x, int):
        return x, 1
    if not all(isinstance(c, int) for _, c in x.terms):
        return 1, x
    common = gcd(*(c for _, c in x.terms))
    return common, make({m: c // common for m, c in x.terms})


def plain(x: int | Dim) -> bool:
    """No fraction and no negative power: an integer for sure."""
    return isinstance(x, int) or all(isinstance(c, int) and all(p > 0 for _, p in m) for m, c in x.terms)
