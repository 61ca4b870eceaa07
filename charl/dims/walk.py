"""What stands in a size: its symbols, atoms, run-time values, and its slope along a symbol.

Enters and leaves: sizes. Never changes one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from charl.dims.polynomial import Atom, Dim, Func, Monomial, Sym, Value, atom, make


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


def slope(x: Dim, a: Sym) -> tuple[int | Dim, int]:
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
    return make(out), degree


def coefficient(x: int | Dim, name: str) -> int | Dim | None:
    """The stride of `x` along symbol `name`; None when `x` is not linear in it."""
    if isinstance(x, int):
        return 0
    along, degree = slope(x, Sym(name))
    return along if degree == 1 and name not in symbols(along) else None
