"""Distinctions of cases in the check of a body for all its instances.

Enters: work that checks a body. Leaves: its diagnostics. A condition such as `groups == 1` splits the instances: in those where
it holds, `groups` is 1 in every type, and only their side of the `if` is right; in the others it is any number but 1. So the
body is checked once for either, from the start, with the symbol replaced or known to differ. Exports know their
hyper-parameters, and their dimensions are compared when the program runs: they are not split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from charl import dims
from charl.dims import Dim
from charl.elaborate import facts
from charl.elaborate.numbers import DIFFERENT, compare_sizes, factors, upright
from charl.errors import Diagnostic

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

MOST = 16  # worlds of one body; further conditions have both sides checked in each


@dataclass(frozen=True)
class World:
    """Some of the instances: what a symbol is in them, and which sizes are not 0."""

    values: dict[str, Any] = field(default_factory=dict)
    different: frozenset[Any] = frozenset()


class Fork(Exception):
    """A condition that splits the instances: where `symbol` is `value`, and where it is not."""

    def __init__(self, symbol: str, value: Any) -> None:
        super().__init__()
        self.symbol = symbol
        self.value = value


class Worlds:
    """The world under way, and which symbols stand for what a body is checked for."""

    def __init__(self) -> None:
        self.world = World()
        self.symbols: set[str] = set()
        self.room = 0  # how many more worlds may come of the body under way

    def symbol(self, name: str) -> Any:
        """A symbol of the body under way, or what it is in this world."""
        self.symbols.add(name)
        return self.world.values.get(name, dims.sym(name))

    def split(self, condition: Any) -> None:
        """Raises Fork where the condition asks whether one of the symbols has a certain value."""
        if not self.room:
            return
        for left, right in facts.comparisons(condition):
            if isinstance(compare_sizes("==", left, right), bool):
                continue
            found = self._solved(left, right)
            if found is not None:
                raise found

    def _solved(self, left: Any, right: Any) -> Fork | None:
        """A symbol whose value makes two sizes equal, or without which they are not."""
        gap = right - left
        for name in sorted(dims.symbols(gap) & self.symbols):
            slope = dims.coefficient(gap, name)
            if isinstance(slope, int) and slope:
                value = dims.exact_div(slope * dims.sym(name) - gap, slope)
                if value is not None and dims.integral(value):
                    return Fork(name, value)
        parts = factors(left) if right == 1 else factors(right) if left == 1 else []
        if parts and all(dims.symbols(f) <= self.symbols for f in parts):
            return Fork(next(iter(dims.symbols(parts[0]))), 1)
        return None


def in_each(el: Elaborator, work: Callable[[], None]) -> None:
    """`work` in every world that its conditions split the instances into."""
    worlds = el.worlds
    outer = worlds.world, worlds.room
    todo, worlds.room = [World()], MOST - 1
    try:
        while todo:
            worlds.world = todo.pop()
            count = len(el.diagnostics)
            token = DIFFERENT.set(worlds.world.different)
            try:
                work()
            except Fork as fork:
                worlds.room -= 1
                del el.diagnostics[count:]  # they are found again where they belong
                todo += [_where(worlds.world, fork), _elsewhere(worlds.world, fork)]
            else:
                el.diagnostics[count:] = [_told(d, worlds.world) for d in el.diagnostics[count:]]
            finally:
                DIFFERENT.reset(token)
    finally:
        worlds.world, worlds.room = outer


def _where(world: World, fork: Fork) -> World:
    """The instances in which the symbol has the value."""
    here = {fork.symbol: fork.value}
    values = {n: dims.substitute(x, here) for n, x in world.values.items()} | here
    different = (dims.substitute(x, here) for x in world.different)
    return World(values, frozenset(upright(x) for x in different if isinstance(x, Dim)))


def _elsewhere(world: World, fork: Fork) -> World:
    """The others."""
    return replace(world, different=world.different | {upright(dims.sym(fork.symbol) - fork.value)})


def _told(d: Diagnostic, world: World) -> Diagnostic:
    """A mistake that is one in some instances says in which."""
    if not world.values:
        return d
    where = " and ".join(f"`{n}` is {x}" for n, x in world.values.items())
    return replace(d, notes=(*d.notes, f"where {where}"))
