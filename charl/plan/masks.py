"""Where values are 0 whatever their operands are, and where nobody looks at them: what masks leave, as triangles, and borders.

Enters: the facts of a fusion. Leaves: conditions on an index, each an affine size that is at least 0 wherever a value may be
anything but 0, or wherever an element is looked at. As in rules that hold for finite numbers, 0 times anything is 0, and a
difference from -infinity is -infinity where each row has an element that no mask hides. Never makes loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from charl import dims
from charl.dims import Dim, nonnegative
from charl.graph.ir import Node
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Reduce
from charl.plan.access import Facts, Form, nodes_of

if TYPE_CHECKING:
    from charl.plan.fusion import Fusion

Size = int | Dim
Index: TypeAlias = tuple[Size, ...]
# All of them hold where it matters; None: it matters nowhere.
Conditions: TypeAlias = tuple[Size, ...] | None

_COMPARISONS = frozenset(("le", "lt", "ge", "gt", "eq"))
# Functions that are 0 at 0.
_AT_ZERO = frozenset(
    ("neg", "abs", "sign", "sqrt", "sin", "tan", "asin", "atan", "sinh", "tanh", "expm1", "log1p", "erf", "cast",
     "floor", "ceil", "round", "trunc")
)  # fmt: skip


def both(a: Conditions, b: Conditions) -> Conditions:
    """What holds where either matters only together with the other."""
    return None if a is None or b is None else tuple(dict.fromkeys((*a, *b)))


def common(a: Conditions, b: Conditions) -> Conditions:
    """What holds wherever one of them matters."""
    if a is None or b is None:
        return b if a is None else a
    return tuple(f for f in a if f in b)


class Masks:
    """The conditions of the values of a fusion."""

    def __init__(self, fusion: Fusion) -> None:
        self._fusion = fusion
        self._compare: dict[Form, bool] = {}
        self._nodes = [n for n in fusion.order if n in fusion.group_of]

    def outside(self, node: Node, value: float) -> Conditions:
        """Outside which a value is `value`: 0 or -infinity. On its index @0, @1, …"""
        return self._values.get((node, value), ())

    def needed(self, node: Node) -> Conditions:
        """Outside which nobody looks at an element."""
        return self._needed.get(node, ())

    def key(self, node: Node) -> tuple[Conditions, ...]:
        """All that is known of a value."""
        return self.outside(node, 0.0), self.outside(node, -math.inf), self.needed(node)

    @cached_property
    def _values(self) -> dict[tuple[Node, float], Conditions]:
        out: dict[tuple[Node, float], Conditions] = {}
        self._values = out  # what is known so far, while it grows
        for node in self._nodes:
            fact = self._fusion.fact(node)
            if isinstance(fact, Facts) and self._masked(fact):
                reading = self._reading(fact)
                for value in (0.0, -math.inf):
                    if found := reading.outside(fact.expr, value):
                        out[node, value] = found
        return out

    @cached_property
    def _needed(self) -> dict[Node, Conditions]:
        out: dict[Node, Conditions] = {n: () for n in self._fusion.results}
        for node in reversed(self._nodes):
            fact = self._fusion.fact(node)
            mine = out.get(node)
            if not isinstance(fact, Facts) or not (mine or self._masked(fact)):
                out.update((r.node, ()) for r in fact.reads)
                continue
            met = set()
            for load, conditions in self._reading(fact).uses([(fact.expr, mine)]).items():
                if isinstance(load, Load):
                    source = fact.sources[load.source]
                    met.add(source)
                    out[source] = common(out.get(source), _turned(conditions, load.index))
            out.update((r.node, ()) for r in fact.reads if r.node not in met)
        return out

    def _masked(self, fact: Facts) -> bool:
        """Whether an element compares indices, or reads what has conditions."""
        if fact.form not in self._compare:
            self._compare[fact.form] = any(_compares(e) or _bordered(e) for e in nodes_of(fact.form.expr))
        known = self._values
        return self._compare[fact.form] or any(
            (n, v) in known for n in fact.sources for v in (0.0, -math.inf)
        )

    def _reading(self, fact: Facts) -> Reading:
        ranges = {f"@{d}": (0, size - 1) for d, size in enumerate(fact.node.shape)}
        return Reading(self, lambda load: (fact.sources[load.source], load.index), ranges)


class Reading:
    """What one expression says. `place`: value and index of a load; `ranges` of index names."""

    def __init__(
        self,
        masks: Masks,
        place: Callable[[Load], tuple[Node, Index] | None],
        ranges: Mapping[str, tuple[Size, Size]],
    ) -> None:
        self._masks = masks
        self._place = place
        self._ranges = dict(ranges)
        self._known: dict[tuple[int, float], tuple[Expr, Conditions]] = {}

    def outside(self, e: Expr, value: float) -> Conditions:
        """Outside which an expression is `value`: 0 or -infinity."""
        key = (id(e), value)
        if key not in self._known:
            self._known[key] = e, self._outside(e, value)
        return self._known[key][1]

    def _outside(self, e: Expr, value: float) -> Conditions:
        if isinstance(e, Const):
            return None if e.value == value else ()
        if isinstance(e, Load):
            found = self._place(e)
            if found is None:
                return ()
            inside = self._masks.outside(found[0], value)
            env = {f"@{d}": i for d, i in enumerate(found[1])}
            return None if inside is None else tuple(dims.substitute(f, env) for f in inside)
        if isinstance(e, Reduce):
            self._ranges.update((n, (0, extent - 1)) for n, extent in e.over)
            if e.fn not in (("max",) if value else ("add",)):
                return ()
            inside, bound = self.outside(e.body, value), {n for n, _ in e.over}
            return None if inside is None else tuple(f for f in inside if not dims.symbols(f) & bound)
        if isinstance(e, Guard):
            return self._within(e, value)
        return self._of_function(e, value) if isinstance(e, Apply) else ()

    def _within(self, e: Guard, value: float) -> Conditions:
        """The same of what has a border, as what is padded."""
        if not isinstance(e.other, Const) or e.other.value != value:
            return ()
        sides = [f for i, low, high in e.ranges for f in (i - low, high - 1 - i)]
        border = tuple(f for f in sides if not isinstance(f, int) and not nonnegative(f, self._ranges))
        return both(border, self.outside(e.then, value))

    def _of_function(self, e: Apply, value: float) -> Conditions:
        if e.fn == "select":
            test, then, other = e.args
            return common(
                both(self._holds(test, True), self.outside(then, value)),
                both(self._holds(test, False), self.outside(other, value)),
            )
        if e.dtype.kind == "bool":
            return self._holds(e, True)  # false is 0
        first, *rest = (self.outside(a, value) for a in e.args)
        if e.fn == "max" or (not value and e.fn in ("add", "sub", "min")):
            return common(first, *rest)
        if value:
            return self._of_infinite(e, first)
        if e.fn == "mul":
            return both(first, *rest)
        if e.fn in ("exp", "exp2"):
            return self.outside(e.args[0], -math.inf)
        return first if e.fn == "div" or e.fn in _AT_ZERO else ()

    def _of_infinite(self, e: Apply, first: Conditions) -> Conditions:
        """The same of -infinity, where the first operand is it."""
        scaled = e.fn == "mul" and isinstance(e.args[1], Const) and e.args[1].value > 0
        if scaled or (e.fn in ("add", "sub") and first and self._somewhere(first, e.args[1])):
            return first
        return ()

    def _somewhere(self, conditions: Index, beside: Expr) -> bool:
        """Whether they hold for some element of each row for which `beside` is one number, as a row's maximum."""
        names = set().union(*(dims.symbols(f) for f in conditions))
        free = sorted(names - beside.symbols() & self._ranges.keys())
        for name in (n for n in free if n not in beside.symbols()):
            low, high = self._ranges[name]
            for at in (low, high, *map(dims.sym, sorted(names - {name}))):
                inside = (at - low, high - at, *(dims.substitute(f, {name: at}) for f in conditions))
                if all(nonnegative(x, self._ranges) for x in inside):
                    return True
        return not any(n not in beside.symbols() for n in free)

    def _holds(self, test: Expr, truth: bool) -> Conditions:
        """Conditions without which a test is not true, or not false."""
        if not isinstance(test, Apply):
            return self.outside(test, 0.0) if truth else ()
        if test.fn == "not":
            return self._holds(test.args[0], not truth)
        if test.fn == ("and" if truth else "or"):
            return both(*(self._holds(a, truth) for a in test.args))
        if test.fn == "ne" and truth and isinstance(test.args[0], Load):  # a truth value in a word of memory
            return self.outside(test.args[0], 0.0) if test.args[1] == Const(0, test.args[1].dtype) else ()
        if not _compares(test):
            return ()
        a, b = (_affine(x) for x in test.args)
        assert a is not None and b is not None
        if test.fn == "eq":
            return (a - b, b - a) if truth else ()
        more = {"le": b - a, "lt": b - a - 1, "ge": a - b, "gt": a - b - 1}[test.fn]
        return (more,) if truth else (-more - 1,)

    def uses(self, roots: list[tuple[Expr, Conditions]]) -> dict[Expr, Conditions]:
        """Loads and sums below `roots`, and where they are looked at, each root only where its conditions hold."""
        out: dict[Expr, Conditions] = {}
        seen: set[tuple[int, Conditions]] = set()
        waiting = list(roots)
        while waiting:
            e, where = waiting.pop()
            if (id(e), where) in seen:
                continue
            seen.add((id(e), where))
            if isinstance(e, (Load, Reduce)):
                out[e] = common(out.get(e), where)
            waiting += [(x, ()) for i in e.indices() for x in dims.values(i)]
            waiting += self._below(e, where)
        return out

    def _below(self, e: Expr, where: Conditions) -> list[tuple[Expr, Conditions]]:
        if isinstance(e, Guard):
            return [(c, ()) for c in e.children()]
        if isinstance(e, Apply) and e.fn == "mul":
            a, b = e.args
            return [(a, both(where, self.outside(b, 0.0))), (b, both(where, self.outside(a, 0.0)))]
        if isinstance(e, Apply) and e.fn == "select":
            test, a, b = e.args
            either = common(self.outside(a, 0.0), self.outside(b, 0.0))
            ways = ((test, either), (a, self._holds(test, True)), (b, self._holds(test, False)))
            return [(x, both(where, also)) for x, also in ways]
        return [(c, where) for c in e.children()]


def _compares(e: Expr) -> bool:
    return isinstance(e, Apply) and e.fn in _COMPARISONS and None not in map(_affine, e.args)


def _bordered(e: Expr) -> bool:
    return isinstance(e, Guard) and isinstance(e.other, Const) and e.other.value in (0.0, -math.inf)


def _affine(e: Expr) -> Size | None:
    """An integer made of indices alone; None for anything else."""
    if e.dtype.kind != "int":
        return None
    if isinstance(e, Const):
        return int(e.value)
    if isinstance(e, IndexValue):
        plain = isinstance(e.index, int) or not any(isinstance(a, dims.Value) for a in dims.atoms(e.index))
        return e.index if plain else None
    if isinstance(e, Apply) and e.fn in ("add", "sub"):
        a, b = map(_affine, e.args)
        return None if a is None or b is None else a + b if e.fn == "add" else a - b
    return None


def _turned(conditions: Conditions, index: Index) -> Conditions:
    """Conditions on the index of a reader as conditions on the index at which it reads; what that does not tell is left out."""
    if conditions is None:
        return None
    env: dict[str, Size] = {}
    for d, i in enumerate(index):
        names = [n for n in dims.symbols(i) if dims.coefficient(i, n) == 1]
        if len(names) == 1 == len(dims.symbols(i)):
            env.setdefault(names[0], dims.sym(f"@{d}") - (i - dims.sym(names[0])))
    told = [f for f in conditions if all(n in env or not _bound(n) for n in dims.symbols(f))]
    return tuple(dims.substitute(f, env) for f in told)


def _bound(name: str) -> bool:
    """Whether a name is that of an index rather than of a size."""
    return "@" in name or "." in name
