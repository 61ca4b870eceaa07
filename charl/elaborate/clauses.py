"""`where` clauses: what a function asks of sizes, and what its body may rely on.

Enters: the clauses of a function, and the scope of its signature. Leaves: comparisons of sizes; dimensions made equal; what is
known of each while the body is elaborated; and what nothing could decide, for the export under way to check on entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charl import dims
from charl.dims import KNOWN, Dim, Known
from charl.elaborate import values as v
from charl.elaborate.numbers import COMPARISONS
from charl.elaborate.scope import Scope
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Size
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

WHERE = code("E0607", "a `where` clause is violated")
NOT_SIZES = code("E0233", "a `where` clause says something that is not about sizes")

Comparison = tuple[str, Any, str, Any, Span]  # text, left, relation, right, place
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def conjuncts(e: Any) -> list[Any]:
    """The parts of a clause that is joined by `and`."""
    if isinstance(e, ast.Binary) and e.op == "and":
        return [*conjuncts(e.left), *conjuncts(e.right)]
    return [e]


def undecided(el: Elaborator, e: Any, scope: Scope) -> Comparison | bool | None:
    """A part of a clause: decided, a comparison of symbolic sizes, or None where only an instance can tell."""
    value = el.condition(e, scope)
    if isinstance(value, bool):
        return value
    if isinstance(e, ast.Binary) and e.op in COMPARISONS:
        left, right = el.known(e.left, scope), el.known(e.right, scope)
        if all(isinstance(x, (int, Dim)) for x in (left, right)):
            return e.span.text, left, e.op, right, e.span
    if isinstance(value, v.Unknown) and el.checking:
        el.reuse.bind()
        return None
    raise fail(
        NOT_SIZES,
        f"`{e.span.text}` is no comparison of sizes",
        e.span,
        help="a `where` clause compares dimensions and integers, joined by `and` or commas",
    )


def made_equal(el: Elaborator, f: v.Function, scope: Scope) -> dict[str, Size]:
    """`where N == M`: one of the two stands for the other from here on. Which names stand for what."""
    out: dict[str, Size] = {}
    for e in [p for clause in f.where for p in conjuncts(clause)]:
        if not (isinstance(e, ast.Binary) and e.op == "=="):
            continue
        try:
            left, right = el.known(e.left, scope), el.known(e.right, scope)
        except (CharlError, v.Silenced):  # it speaks of what is not bound yet, or is told later
            continue
        for name, other in ((_bare(left), right), (_bare(right), left)):
            own = name is not None and name in scope.names and isinstance(other, (int, Dim))
            if own and name not in dims.symbols(other):
                assert name is not None
                out = {n: dims.substitute(x, {name: other}) for n, x in out.items()} | {name: other}
                for b in scope.names.values():
                    if isinstance(b.value, Dim):
                        b.value = dims.substitute(b.value, {name: other})
                    elif isinstance(b.value, v.Run):
                        b.value = v.Run(
                            tuple(dims.substitute(x, {name: other}) for x in b.value.items), b.value.length
                        )
                break
    return out


def _bare(x: Any) -> str | None:
    if not isinstance(x, Dim):
        return None
    names = dims.symbols(x)
    return next(iter(names)) if len(names) == 1 and x == dims.sym(next(iter(names))) else None


def learned(comparison: Comparison, known: Mapping[str, Known]) -> dict[str, Known]:
    """What is known with one comparison more: bounds of a dimension by a number or a size, and what divides it."""
    _, left, op, right, _ = comparison
    if isinstance(left, int):
        left, op, right = right, _TURNED.get(op, op), left
    out = dict(known)
    if isinstance(left, Dim) and isinstance(right, Dim):
        return _between(_between(out, left, op, right), right, _TURNED.get(op, op), left)
    if not isinstance(left, Dim) or not isinstance(right, int):
        return out
    name = _bare(left)
    atoms = list(dims.atoms(left))
    if name is not None:
        k = out.get(name, Known())
        if op in ("<", "<="):
            top = right - (op == "<")
            out[name] = replace(k, high=top if k.high is None else min(k.high, top))
        elif op in (">", ">="):
            out[name] = replace(k, low=max(k.low, right + (op == ">")))
    elif op == "==" and right == 0 and len(atoms) == 1 and isinstance(atoms[0], dims.Func):
        by = atoms[0].args[1]
        inner = _bare(atoms[0].args[0])
        if atoms[0].name == "mod" and isinstance(by, int) and inner is not None and by > 0:
            out[inner] = replace(out.get(inner, Known()), multiple=by)
    return out


def _between(known: dict[str, Known], left: Dim, op: str, right: Dim) -> dict[str, Known]:
    """What is known where `left` is a dimension and `right` a bound of it that is another size."""
    name = _bare(left)
    if name is None or op not in _TURNED or name in dims.symbols(right):
        return known
    k = known.get(name, Known())
    if op in ("<", "<="):
        return {**known, name: replace(k, below=(*k.below, right - (op == "<")))}
    return {**known, name: replace(k, above=(*k.above, right + (op == ">")))}


@contextmanager
def relied_on(el: Elaborator, f: v.Function, scope: Scope, span: Span | None) -> Iterator[None]:
    """The body of `f` may rely on its clauses. `span` is the call that must satisfy them (None: whoever calls).

    What cannot be decided here is left to the export under way, which checks it on entry.
    """
    known: Mapping[str, Known] = KNOWN.get()
    for e in [p for clause in f.where for p in conjuncts(clause)]:
        found = undecided(el, e, scope)
        if found is False:
            shown = span if span is not None else e.span
            labels = (Label(e.span, "required here"),) if span is not None else ()
            raise fail(WHERE, f"`{f.name}` requires {e.span.text}", shown, labels=labels)
        if isinstance(found, tuple):
            if span is not None and found[2] == "==" and not isinstance(found[3], int):
                _, left, _, right, _ = found
                message = f"`{f.name}` requires {e.span.text}, and {left} is not known to be {right}"
                raise fail(WHERE, message, span, labels=(Label(e.span, "required here"),))
            if span is not None:
                el.obligations.append((*found[:4], span))
            known = learned(found, known)
    token = KNOWN.set(known)
    try:
        yield
    finally:
        KNOWN.reset(token)


def proved(comparison: Comparison) -> bool:
    """Whether a comparison holds for all sizes."""
    _, left, op, right, _ = comparison
    low = {"<": right - left - 1, "<=": right - left, ">": left - right - 1, ">=": left - right}
    return op in low and dims.nonnegative(low[op], least=0)
