"""Rounding, extremes, proofs of bounds, and replacing symbols: what simplifies the opaque functions of sizes.

Enters: sizes, and what is known of their symbols. Leaves: sizes without the functions that a proof makes superfluous. The three
stand together because they need one another: a quotient is simplified by a proof, a proof replaces symbols by their bounds,
and what is replaced inside a quotient is simplified again. Never guesses: what cannot be proved stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import lcm
from types import MappingProxyType
from typing import Any

from charl.dims.polynomial import (
    Atom,
    Dim,
    Func,
    Monomial,
    Sym,
    Value,
    atom,
    exact_div,
    integral,
    make,
    plain,
    product,
    sym,
    terms_of,
)
from charl.dims.walk import atoms, coefficient, slope, symbols


@dataclass(frozen=True)
class Known:
    """What is known of a symbol besides that it is a size: from a `where` clause, or checked on entry."""

    low: int = 0
    high: int | None = None
    multiple: int = 1
    above: tuple[int | Dim, ...] = ()  # sizes that it is not below
    below: tuple[int | Dim, ...] = ()  # sizes that it is not above


# Of symbols by name, while a program is elaborated.
KNOWN: ContextVar[Mapping[str, Known]] = ContextVar("KNOWN", default=MappingProxyType({}))


def learn_multiple(x: int | Dim, by: int | Dim) -> None:
    """From here on a symbol is known to be a multiple of a number, because it is divided by it without a remainder.

    What a branch or the turn of a loop learns ends with it: whoever elaborates those sets `KNOWN` back.
    """
    if isinstance(by, int) and by > 1 and isinstance(x, Dim) and len(x.terms) == 1:
        m, c = x.terms[0]
        if c == 1 and len(m) == 1 and m[0][1] == 1 and isinstance(m[0][0], Sym):
            name, known = m[0][0].name, KNOWN.get()
            k = known.get(name, Known())
            KNOWN.set({**known, name: replace(k, multiple=lcm(k.multiple, by))})


def floordiv(a: int | Dim, b: int | Dim, ranges: Mapping[str, Any] | None = None) -> int | Dim:
    """Division rounded down, simplified where the remainder is provably in 0..b."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    whole, rest = _split(a, b)
    if rest == 0 or _within(rest, b, ranges):
        return whole
    if isinstance(rest, int) and isinstance(b, int):
        return whole + rest // b
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
    if isinstance(rest, int) and isinstance(b, int):
        return rest % b
    return atom(Func("mod", (rest, b)))


def ceildiv(a: int | Dim, b: int | Dim) -> int | Dim:
    """Division rounded up."""
    if isinstance(a, int) and isinstance(b, int):
        return -(-a // b)
    if b == 1:
        return a
    whole, rest = _split(a, b)
    if isinstance(rest, int) and (rest == 0 or isinstance(b, int)):
        return whole if rest == 0 else whole + ceildiv(rest, b)
    return whole + atom(Func("ceildiv", (rest, b)))


def rounded_down(a: int | Dim, b: int | Dim) -> int | Dim:
    """`floordiv` of two sizes, in the one form that has no -1: (n - 1) // s is ceildiv(n, s) - 1, so that these are equal."""
    rest = _split(a, b)[1] if isinstance(a, Dim) and b != 1 else 0
    terms = terms_of(rest)
    left = terms.pop((), 0)
    shorter = (left + 1) % b == 0 if isinstance(b, int) and b else left == -1
    return ceildiv(a + 1, b) - 1 if shorter and terms and min(terms.values()) > 0 else floordiv(a, b)


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
    for m, c in terms_of(a).items():
        term = make({m: c})
        q = exact_div(term, b)
        if q is not None and (plain(q) or _divides(q)):
            whole = whole + q
        elif isinstance(b, int) and isinstance(c, int) and abs(c) > b > 0:
            whole = whole + make({m: c // b})
            rest = rest + make({m: c % b})
        else:
            rest = rest + term
    return whole, rest


def _divides(q: int | Dim) -> bool:
    """Whether a quotient is an integer for the multiples that are known."""
    known = KNOWN.get()
    multiples = {n: k.multiple * sym(n) for n, k in known.items() if k.multiple > 1}
    return bool(multiples) and integral(substitute(q, multiples))


def _within(rest: int | Dim, b: int | Dim, ranges: Mapping[str, Any] | None) -> bool:
    return nonnegative(rest, ranges) and nonnegative(b - rest - 1, ranges)


def nonnegative(x: int | Dim, ranges: Mapping[str, Any] | None = None, least: int = 1) -> bool:
    """Whether x >= 0 is proved, `ranges` giving (low, high), inclusive, of some symbols.

    Symbols without a range are sizes of at least `least`: 1 inside a loop nest, where every extent is. False means
    "not proved", not "negative".
    """
    if isinstance(x, int):
        return x >= 0
    known = KNOWN.get()
    if not ranges and not known:
        return _proved(x, (), (), least)
    names = sorted(_reached(x, ranges or {}, known))
    within = tuple((n, ranges[n]) for n in names if n in ranges) if ranges else ()
    return _proved(x, within, tuple((n, known[n]) for n in names if n in known), least)


def _reached(x: Dim, ranges: Mapping[str, Any], known: Mapping[str, Known]) -> set[str]:
    """The symbols that a proof about `x` may meet: its own, and those of the bounds of these."""
    names: set[str] = set()
    todo = list(symbols(x))
    while todo:
        name = todo.pop()
        if name not in names:
            names.add(name)
            k = known.get(name, Known())
            todo += [n for bound in (*ranges.get(name, ()), *k.above, *k.below) for n in symbols(bound)]
    return names


@lru_cache(maxsize=1 << 16)
def _proved(
    x: int | Dim, within: tuple[tuple[str, Any], ...], facts: tuple[tuple[str, Known], ...], least: int
) -> bool:
    """`nonnegative`, by what is known of the symbols that the proof may meet and by nothing else."""
    if _proved_by_terms(x, within, facts, least):
        return True
    for name, k in facts:  # where `x` grows or falls with a symbol, by another size that is a bound of it
        falls = isinstance(c := coefficient(x, name), int) and c < 0
        rest = tuple((n, replace(q, above=(), below=()) if n == name else q) for n, q in facts)
        for bound in k.below if falls else k.above if isinstance(c, int) and c > 0 else ():
            if _proved(substitute(x, {name: bound}), within, rest, least):
                return True
    cleared = _cleared(x, dict(within)) if isinstance(x, Dim) else None
    return cleared is not None and nonnegative(cleared, dict(within), least)


def _proved_by_terms(
    x: int | Dim, within: tuple[tuple[str, Any], ...], facts: tuple[tuple[str, Known], ...], least: int
) -> bool:
    if not within and all(c >= 0 and all(_nonneg_atom(a, {}) for a, _ in m) for m, c in terms_of(x).items()):
        return True  # a sum of sizes
    known = dict(facts)
    both = {n: (max(least, k.low), k.high) for n, k in facts if k.high is not None}
    ranges = {**both, **dict(within)}
    x = _functions_bounded(x, ranges)
    for _ in range(24):
        if isinstance(x, int):
            return x >= 0
        ranged = [a for m, _ in x.terms for a, _ in m if isinstance(a, Sym) and a.name in ranges]
        if not ranged:
            break
        a = max(ranged, key=lambda s: s.name)
        along, degree = slope(x, a)
        if degree != 1:
            return False
        low, high = ranges[a.name]
        if nonnegative(along, ranges, least):
            x = substitute(x, {a.name: low})
        elif nonnegative(-along, ranges, least):
            x = substitute(x, {a.name: high})
        else:
            return False
    if isinstance(x, int):
        return x >= 0
    names = {a.name for m, _ in x.terms for a, _ in m if isinstance(a, Sym)}
    at_least = {n: max(least, known[n].low if n in known else 0) for n in names}
    shifted = substitute(x, {n: sym(n) + at_least[n] for n in names if _only_positive(x, n)})
    return all(c >= 0 and all(_nonneg_atom(a, ranges) for a, _ in m) for m, c in terms_of(shifted).items())


def _cleared(x: Dim, ranges: Mapping[str, Any]) -> int | Dim | None:
    """Negative wherever `x` is: quotients and remainders that are subtracted are replaced by what they do not exceed.

    A quotient of `a` by `b` is at most `a / b`. So `x` is at least some `y`, and as it is an integer not negative where
    `y > -1`; with the product `d` of all divisors, where `d y + d - 1` is not negative.
    """
    found: dict[Monomial, tuple[Dim | int, Dim | int, Dim | int]] = {}
    for m, c in x.terms:
        f = next((a for a, p in m if p == 1 and isinstance(a, Func)), None)
        if c >= 0 or f is None or f.name not in ("floordiv", "ceildiv", "mod"):
            continue
        rest = tuple((a, p) for a, p in m if a is not f)
        a, b = f.args
        if nonnegative(b - 1, ranges) and all(_nonneg_factor(a, ranges) for a, _ in rest):
            top, below = (b - 1, 1) if f.name == "mod" else (a if f.name == "floordiv" else a + b - 1, b)
            found[m] = top, below, make({rest: c})
    if not found:
        return None
    divisors = dict.fromkeys(below for _, below, _ in found.values())
    total: int | Dim = product(divisors)
    out = make({m: c for m, c in x.terms if m not in found}) * total + total - 1
    for top, below, times in found.values():
        out = out + times * top * product(d for d in divisors if d != below)
    return out


def _nonneg_factor(a: Atom, ranges: Mapping[str, Any]) -> bool:
    if isinstance(a, Sym) and a.name in ranges:
        return nonnegative(ranges[a.name][0], ranges)
    return _nonneg_atom(a, ranges)


def _functions_bounded(x: int | Dim, ranges: Mapping[str, Any]) -> int | Dim:
    """Nothing above `x`: a quotient or remainder that is subtracted is replaced by the most that it can be."""
    out: int | Dim = x
    for m, c in x.terms if isinstance(x, Dim) else ():
        if isinstance(c, int) and c < 0 and len(m) == 1 and m[0][1] == 1 and isinstance(m[0][0], Func):
            most = _most(m[0][0], ranges)
            if most is not None:
                out = out - make({m: c}) + c * most
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


def substitute(
    x: int | Dim,
    env: Mapping[str, int | Dim],
    value: Callable[[Any], Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
) -> int | Dim:
    """Replace symbols by sizes; `value` maps the scalar expressions of run-time indices to such or to sizes.

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
        for n, d in terms_of(_substitute_term(m, c, env, value, ranges)).items():
            kept[n] = kept.get(n, 0) + d
    return make(kept)


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
            return make({(): Fraction(c) * Fraction(above, below)})
        if q is None:
            raise ZeroDivisionError(f"{above} / {below}")
        above = q
    return above * c if isinstance(c, int) else _scale(above, c)


def _scale(x: int | Dim, c: Any) -> int | Dim:
    return make({m: d * c for m, d in terms_of(x).items()})


def _substitute_atom(
    a: Atom, env: Mapping[str, int | Dim], value: Callable[[Any], Any] | None, ranges: Any
) -> int | Dim:
    if isinstance(a, Sym):
        return env.get(a.name, atom(a))
    if isinstance(a, Value):
        new = value(a.expr) if value else a.expr.substitute(env)
        if isinstance(new, (int, Dim)):
            return new
        number = getattr(new, "value", None)  # of a constant
        return number if type(number) is int else atom(Value(new))
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
        factor = make({tuple(t for t in m if t[0] != f): c})
        quotient = factor * b * _nested_floordiv(a, b)
        if isinstance(quotient, Dim) and set(quotient.terms) <= set(x.terms):
            out: int | Dim = x - quotient - make({m: c}) + factor * a
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


@lru_cache(maxsize=1 << 16)
def sampled(x: int | Dim, size: int) -> int:
    """The value of `x` where every symbol is `size`, to compare what cannot be proved."""
    return evaluate(x, dict.fromkeys(symbols(x), size))


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
