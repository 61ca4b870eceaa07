"""A size as text."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import lcm

from charl.dims.polynomial import Atom, Dim, tidy, times


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
        factors = [leaf(a) for a, p in times(m, below) for _ in range(p)]
        k = tidy(Fraction(c) * den)
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
