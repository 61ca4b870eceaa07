"""Rewrite rules as data: a pattern, what replaces it, when, and values on which it is checked.

Enters: nodes. Leaves: a replacement, or None. A pattern names the values it meets (`X`, `Y`), wants literals, or an operation
over patterns; both orders of a commutative operation are tried. A replacement is a pattern over the same names, or a
function of the match where shapes and axes have to be computed. A rule that is exact gives the same bits for every input,
NaN, infinities and -0.0 included (any NaN is as good as another).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal as TypingLiteral
from typing import TypeAlias

from charl.graph.ir import Node
from charl.ops.record import make
from charl.passes.rewriter import COMMUTATIVE, Step
from charl.passes.values import Number, full_like, same_number, splat


@dataclass(frozen=True)
class Var:
    """Any value; the same name twice means the same value."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A constant whose elements all are `value`."""

    value: Number


@dataclass(frozen=True)
class Splat:
    """A constant whose elements all are one number."""

    name: str


@dataclass(frozen=True)
class Apply:
    """An operation over patterns (None: over anything); `name` binds its node."""

    op: str
    args: tuple[Pattern, ...] | None
    name: str = ""


Pattern: TypeAlias = Var | Literal | Splat | Apply


@dataclass(frozen=True)
class Match:
    """Where a pattern stands: `root` and what its names met."""

    root: Node
    values: dict[str, Node]

    def __getitem__(self, name: str) -> Node:
        return self.values[name]

    def number(self, name: str) -> Number:
        """The number of a `Splat`."""
        found = splat(self.values[name])
        assert found is not None, name
        return found


Promise: TypeAlias = "TypingLiteral['exact', 'rounded', 'finite']"
Build: TypeAlias = "Callable[[Match], Node | None]"


@dataclass(frozen=True)
class Rule:
    """One rewrite, valid for the given `kinds` of element type (of the last input).

    `promise`: "exact" (the same bits), "rounded" (the same but for rounding), "finite" (so where all values are finite).
    `samples` makes nodes that the rule must rewrite; without it the tests make them from the pattern.
    """

    name: str
    pattern: Pattern
    replacement: Pattern | Build
    where: Callable[[Match], bool] | None = None
    promise: Promise = "exact"
    kinds: tuple[str, ...] = ("float", "int", "uint", "bool")
    samples: Callable[[], Sequence[Node]] | None = None
    variants: tuple[Pattern, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variants", tuple(dict.fromkeys(_orders(self.pattern))))

    def apply(self, node: Node) -> Node | None:
        """What replaces `node`, or None."""
        if node.inputs and node.inputs[-1].dtype.kind not in self.kinds:
            return None
        for variant in self.variants:
            values: dict[str, Node] = {}
            if not matches(variant, node, values):
                continue
            match = Match(node, values)
            if self.where is not None and not self.where(match):
                continue
            new = self.replacement(match) if callable(self.replacement) else build(self.replacement, match)
            if new is not None:
                return new
        return None


def _orders(pattern: Pattern) -> Iterator[Pattern]:
    """The pattern with the inputs of commutative operations in every order."""
    if not isinstance(pattern, Apply) or pattern.args is None:
        yield pattern
        return
    for args in product(*(list(_orders(a)) for a in pattern.args)):
        yield Apply(pattern.op, args, pattern.name)
        if pattern.op in COMMUTATIVE and len(args) == 2:
            yield Apply(pattern.op, args[::-1], pattern.name)


def matches(pattern: Pattern, node: Node, values: dict[str, Node]) -> bool:
    """Whether `node` is what `pattern` describes; adds to `values` what its names met."""
    if isinstance(pattern, Apply):
        if node.op != pattern.op:
            return False
        if pattern.name:
            values[pattern.name] = node
        if pattern.args is None:
            return True
        return len(node.inputs) == len(pattern.args) and all(
            matches(p, i, values) for p, i in zip(pattern.args, node.inputs)
        )
    if isinstance(pattern, Var):
        return values.setdefault(pattern.name, node) is node
    number = splat(node)
    if number is None:
        return False
    if isinstance(pattern, Splat):
        return values.setdefault(pattern.name, node) is node
    return same_number(number, pattern.value, node.dtype)


def build(pattern: Pattern, match: Match, like: Node | None = None) -> Node:
    """The node that `pattern` describes over the values of `match`. A literal is of the type of its neighbour."""
    if isinstance(pattern, Literal):
        return full_like(match.root if like is None else like, pattern.value)
    if not isinstance(pattern, Apply):
        return match[pattern.name]
    assert pattern.args is not None, pattern
    inputs: list[Node | None] = [None if isinstance(a, Literal) else build(a, match) for a in pattern.args]
    neighbour = next((i for i in reversed(inputs) if i is not None), None)
    filled = [
        build(a, match, neighbour) if i is None else i for a, i in zip(pattern.args, inputs, strict=True)
    ]
    return make(pattern.op, *filled)


def stepper(rules: Sequence[Rule]) -> Step:
    """A step that applies the first rule that fits."""
    table: dict[str, list[Rule]] = {}
    for rule in rules:
        assert isinstance(rule.pattern, Apply), rule.name
        table.setdefault(rule.pattern.op, []).append(rule)

    def step(node: Node) -> Node | None:
        for rule in table.get(node.op, ()):
            new = rule.apply(node)
            if new is not None and new is not node:
                return new
        return None

    return step
