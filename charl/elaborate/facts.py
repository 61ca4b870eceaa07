"""What is known of compile-time conditions that no number decides: inside a side of an `if`, its condition holds.

Enters: symbolic truth values. Leaves: whether they hold, by what is assumed; assumptions for a while. Comparisons of sizes
teach bounds and divisors (`dims.KNOWN`) and what differs (`numbers.DIFFERENT`), so that whatever compares sizes knows them too.
Never assumes that two sizes are equal: that is another world (`worlds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from charl.dims import KNOWN, Dim
from charl.elaborate import values as v
from charl.elaborate.numbers import DIFFERENT, compare_sizes, upright

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def holds(el: Elaborator, x: Any) -> bool | None:
    """Whether a condition holds; None where nothing tells."""
    if not isinstance(x, v.Unknown):
        return x if isinstance(x, bool) else None
    known = el.assumed.get(_form(x))
    if known is not None:
        return known
    if x.op == "not":
        inner = holds(el, x.parts[0])
        return None if inner is None else not inner
    if x.op in ("and", "or"):
        found = [holds(el, p) for p in x.parts]
        least = x.op == "or"  # one such part decides
        return least if least in found else None if None in found else not least
    if _sizes(x):
        again = compare_sizes(x.op, *x.parts)
        return again if isinstance(again, bool) else None
    return None


@contextmanager
def assumed(el: Elaborator, x: Any, truth: bool) -> Iterator[None]:
    """Inside, the condition holds, or does not."""
    before = el.assumed
    el.assumed = dict(before)
    known, different = dict(KNOWN.get()), DIFFERENT.get()
    for part, side in _settled(x, truth):
        el.assumed[_form(part)] = side
        if _sizes(part):
            known, different = _learned(part, side, known, different)
    tokens = KNOWN.set(known), DIFFERENT.set(different)
    try:
        yield
    finally:
        el.assumed = before
        KNOWN.reset(tokens[0])
        DIFFERENT.reset(tokens[1])


def comparisons(x: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of sizes whose equality a condition asks for, or denies."""
    if isinstance(x, v.Unknown):
        if _sizes(x) and x.op in ("==", "!="):
            yield x.parts
        elif x.op in ("not", "and", "or"):
            for p in x.parts:
                yield from comparisons(p)


def _settled(x: Any, truth: bool) -> Iterator[tuple[v.Unknown, bool]]:
    """A condition and those of its parts that are known with it."""
    if isinstance(x, v.Unknown):
        yield x, truth
        if x.op == "not":
            yield from _settled(x.parts[0], not truth)
        elif x.op in ("and", "or") and truth == (x.op == "and"):
            for p in x.parts:
                yield from _settled(p, truth)


def _sizes(x: v.Unknown) -> bool:
    return x.op in _NEGATED and all(isinstance(p, (int, Dim)) for p in x.parts)


def _form(x: Any) -> Any:
    """Equal for two conditions that say the same."""
    if not isinstance(x, v.Unknown):
        return (type(x), x)
    if not x.op:
        return x
    if _sizes(x) and x.op in ("==", "!="):
        return (x.op, upright(x.parts[0] - x.parts[1]))
    return (x.op, *map(_form, x.parts))


def _learned(
    x: v.Unknown, truth: bool, known: Mapping[str, Any], different: frozenset[Any]
) -> tuple[dict[str, Any], frozenset[Any]]:
    from charl.elaborate.clauses import learned

    op = x.op if truth else _NEGATED[x.op]
    left, right = x.parts
    if op == "!=":
        return dict(known), different | {upright(left - right)}
    return learned((str(x), left, op, right, None), known), different  # type: ignore[arg-type]
