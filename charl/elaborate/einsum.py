"""`einsum`: sums of products over named axes, any subscripts that NumPy has.

Enters: subscripts and tensors. Leaves: contractions of two tensors at a time, from left to right; the diagonal of an axis that
one term names twice; sums over axes that nothing names later. `...` stands for any further axes, which broadcast.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from charl import dtypes, ops
from charl.elaborate import values as v
from charl.elaborate.builtins import BUILTINS, tensor
from charl.elaborate.parameters import Call
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node, Size
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

EINSUM = code("E0230", "the subscripts of `einsum` do not fit")

Term = list[str]  # the name of each axis; those of `...` are numbers, counted from its end
_TERM = re.compile(r"([^\W\d_]*)(\.\.\.)?([^\W\d_]*)")
_PACK = re.compile(r"\*([A-Za-z])")
_SPARE = range(0x4E00, 0x9FFF)  # letters that no user writes: the axes of packs


def einsum(el: Elaborator, c: Call) -> Any:
    """`einsum("bik,bkj->bij", a, b)`."""
    if not c.arguments or not isinstance(c.arguments[0].value, str):
        raise fail(
            EINSUM,
            "`einsum` takes subscripts, then tensors",
            c.span,
            help='write `einsum("ij,jk->ik", a, b)`',
        )
    text, span = "".join(c.arguments[0].value.split()), c.arguments[0].span
    left, arrow, wanted = text.partition("->")
    written = left.split(",")
    nodes = [tensor("einsum", a) for a in c.arguments[1:]]
    if len(written) != len(nodes):
        raise fail(
            EINSUM, f"the subscripts name {len(written)} tensors, and {len(nodes)} are given", c.span,
            labels=(Label(span, f"{len(written)} terms"),),
        )  # fmt: skip
    written, wanted = _without_packs(written, wanted, nodes, span)
    spans = [a.span for a in c.arguments[1:]]
    terms = [_axes(t, n, s) for t, n, s in zip(written, nodes, spans, strict=True)]
    extent = _extents(terms, nodes, spans, span)
    result = _result(wanted, terms, span) if arrow else _implicit(terms)
    for k in result:
        if k not in extent:
            raise fail(EINSUM, f"the result names the axis `{k}`, which no term has", span)
    parts = [_plain(t, n, extent) for t, n in zip(terms, nodes, strict=True)]
    return _product(parts, result, extent)


BUILTINS["einsum"] = v.Builtin("einsum", einsum)


# ---------------------------------------------------------------- subscripts


def _without_packs(terms: list[str], result: str, nodes: list[Node], span: Span) -> tuple[list[str], str]:
    """Subscripts in which a letter of its own stands for every axis of a pack."""
    letters: dict[str, str] = {}
    left = list(zip(terms, nodes, strict=True))
    spare = map(chr, _SPARE)
    while any("*" in term for term, _ in left):
        ready = [(t, n) for t, n in left if len(set(_PACK.findall(t)) - letters.keys()) == 1]
        if not ready:
            break
        term, node = ready[0]
        (name,) = set(_PACK.findall(term)) - letters.keys()
        known = _PACK.sub(lambda m: letters.get(m[1], ""), term)
        letters[name] = "".join(next(spare) for _ in range(node.rank - len(known)))
        left = [(t, n) for t, n in left if set(_PACK.findall(t)) - letters.keys()]
    unknown = set(_PACK.findall("".join(terms) + result)) - letters.keys()
    if unknown:
        raise fail(EINSUM, f"nothing says how many axes `*{min(unknown)}` has", span)
    return [_PACK.sub(lambda m: letters[m[1]], t) for t in terms], _PACK.sub(lambda m: letters[m[1]], result)


def _axes(text: str, n: Node, span: Span) -> Term:
    """The names of the axes of an operand."""
    found = _TERM.fullmatch(text)
    if found is None:
        raise fail(EINSUM, f"`{text}` is no term: letters name axes, and `...` may stand once", span)
    before, dots, after = found.groups()
    more = n.rank - len(before) - len(after)
    if more < 0 or (more and not dots):
        raise fail(
            EINSUM, f"`{text}` does not name the {n.rank} axes of {n.type}", span,
            labels=(Label(span, str(n.type)),), help="name every axis, or write `...` for the others",
        )  # fmt: skip
    return [*before, *(str(k) for k in reversed(range(more))), *after]


def _result(text: str, terms: list[Term], span: Span) -> Term:
    """The axes of a result as written."""
    found = _TERM.fullmatch(text)
    if found is None or len(set(text.replace("...", ""))) != len(text.replace("...", "")):
        raise fail(EINSUM, f"the result `{text}` names an axis twice, or something that is no axis", span)
    before, dots, after = found.groups()
    return [*before, *(_dots(terms) if dots else ()), *after]


def _implicit(terms: list[Term]) -> Term:
    """Without `->`: the axes of `...`, then those that occur once, in the order of the alphabet."""
    every = [k for t in terms for k in t if not k.isdigit()]
    return [*_dots(terms), *sorted(k for k in set(every) if every.count(k) == 1)]


def _dots(terms: list[Term]) -> Term:
    return sorted({k for t in terms for k in t if k.isdigit()}, key=int, reverse=True)


def _extents(terms: list[Term], nodes: list[Node], spans: list[Span], span: Span) -> dict[str, Size]:
    """The size of every axis; those of `...` broadcast."""
    out: dict[str, Size] = {}
    for term, n, where in zip(terms, nodes, spans, strict=True):
        for k, size in zip(term, n.shape, strict=True):
            old = out.setdefault(k, size)
            if old == size or (k.isdigit() and size == 1):
                continue
            if k.isdigit() and old == 1:
                out[k] = size
                continue
            raise _unequal(k, old, size, where, n, span)
    return out


def _unequal(k: str, old: Size, size: Size, where: Span, n: Node, span: Span) -> CharlError:
    shown = "an axis of `...`" if k.isdigit() else "an axis of a pack" if ord(k) in _SPARE else f"axis `{k}`"
    return fail(EINSUM, f"{shown} is {old} and {size}", span, labels=(Label(where, str(n.type)),))


# ---------------------------------------------------------------- sums of products


def _plain(term: Term, n: Node, extent: dict[str, Size]) -> tuple[Term, Node]:
    """An operand whose axes have different names: diagonals taken, axes that only broadcast left out."""
    kept = [k for k, size in zip(term, n.shape, strict=True) if size == extent[k]]
    if len(kept) < len(term):
        n = ops.reshape(n, tuple(extent[k] for k in kept))
    while len(set(kept)) < len(kept):
        name = next(k for k in kept if kept.count(k) > 1)
        first = kept.index(name)
        second = kept.index(name, first + 1)
        rows, columns = (ops.iota(n.shape, axis, dtypes.i32) for axis in (first, second))
        zero = ops.zeros(n.type)
        n = ops.reduce_sum(ops.select(ops.eq(rows, columns), n, zero), (second,))
        del kept[second]
    return kept, n


def _product(parts: list[tuple[Term, Node]], result: Term, extent: dict[str, Size]) -> Node:
    term, out = parts[0]
    for i, (other, n) in enumerate(parts[1:], 1):
        later = {*result, *(k for t, _ in parts[i + 1 :] for k in t)}
        if result and result[-1] in term and result[-1] not in other:  # its free axis is to be the last one
            term, out, other, n = other, n, term, out
        term, out = _pair(term, out, other, n, later)
    gone = tuple(i for i, k in enumerate(term) if k not in result)
    out = ops.reduce_sum(out, gone) if gone else out
    term = [k for k in term if k in result]
    out = ops.transpose(out, tuple(term.index(k) for k in result if k in term))
    shape = tuple(extent[k] for k in result)  # an axis that is 1 everywhere stands in no operand
    return out if out.shape == shape else ops.reshape(out, shape)


def _pair(p: Term, x: Node, q: Term, y: Node, later: set[str]) -> tuple[Term, Node]:
    """Two operands as one: what nothing names later is summed over."""

    def drop(term: Term, n: Node, other: Term) -> tuple[Term, Node]:
        gone = tuple(i for i, k in enumerate(term) if k not in other and k not in later)
        return [k for k in term if k in other or k in later], ops.reduce_sum(n, gone) if gone else n

    p, x = drop(p, x, q)
    q, y = drop(q, y, p)
    batch = [k for k in p if k in q and k in later]
    summed = [k for k in p if k in q and k not in later]

    def axes(keys: Term) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(p.index(k) for k in keys), tuple(q.index(k) for k in keys)

    out = ops.contract(x, y, batch=axes(batch), sum=axes(summed))
    both = {*batch, *summed}
    return [*batch, *(k for k in p if k not in both), *(k for k in q if k not in both)], out
