"""The statements of `main`, one after the other, with values.

Enters: the AST of `main`. Leaves: what it did. Branches and loops over run-time values are taken here, as often as their
values say; every other statement is elaborated as in any function and computed at once. A statement that comes again
with values of the same types is not elaborated again: its graph is run on the new values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from charl import dtypes
from charl.elaborate import loops, statements
from charl.elaborate import values as v
from charl.elaborate.calls import Frame, Returned
from charl.elaborate.elaborator import Elaborator
from charl.elaborate.modules import Module
from charl.elaborate.program import stop
from charl.elaborate.scope import Binding, Scope
from charl.errors import fail
from charl.graph.ir import Node
from charl.run.machine import Machine, Step, array_of, held, known, parameters
from charl.syntax import ast


@dataclass
class Replay:
    """A statement ready to be run again: what to compute, and where the results go."""

    step: Step | None
    results: list[Node]
    inputs: dict[Node, int]  # known values of the first time, numbered
    written: list[tuple[str, Any]]
    bound: list[tuple[str, Any, bool, Any]]
    alive: list[Any]  # what the key compares by identity


class Interpreter:
    """One run of one `main`."""

    def __init__(
        self, el: Elaborator, module: Module, main: v.Function, machine: Machine, tell: Callable[[str], None]
    ) -> None:
        from charl.run.effects import effects

        self.el = el
        self.machine = machine
        self.main = main
        self.tell = tell
        self.effects = 0  # calls that did something besides computing
        self.outer = Scope(module.scope, function=Frame(main))
        for b in effects(self):
            self.outer.bind(b.name, b)
        self.names: dict[int, frozenset[str]] = {}
        self.replays: dict[Any, Replay | None] = {}
        self.where: list[str] = []

    def run(self) -> None:
        """Execute the body."""
        with suppress(Returned):
            self.block(self.main.body, self.outer)

    # ------------------------------------------------------------ control

    def block(self, e: ast.Block, outer: Scope) -> None:
        """Statements in a scope of their own."""
        scope = Scope(outer)
        for s in e.statements:
            self.statement(s, scope)
        if e.value is not None:
            self.expression(e.value, scope, e.value)

    def statement(self, s: Any, scope: Scope) -> None:
        """One statement."""
        if isinstance(s, ast.ExprStatement):
            self.expression(s.value, scope, s)
        elif isinstance(s, ast.Assert):
            if not self.truth(s.condition, scope):
                message = self.el.known(s.message, scope) if s.message is not None else s.condition.span.text
                raise fail(statements.ASSERTION, f"assertion failed: {message}", s.condition.span)
        else:
            self.compute(s, scope, lambda: statements.statement(self.el, s, scope))

    def expression(self, e: Any, scope: Scope, s: Any) -> None:
        """An expression for its effect; `s` is the statement it makes, or itself at the end of a block."""
        if isinstance(e, ast.If):
            if self.truth(e.condition, scope):
                self.block(e.then, scope)
            elif e.otherwise is not None:
                self.expression(e.otherwise, scope, e.otherwise)
        elif isinstance(e, ast.Block):
            self.block(e, scope)
        elif isinstance(e, ast.While):
            while self.truth(e.condition, scope):
                self.block(e.body, scope)
        elif isinstance(e, ast.For):
            self.loop(e, scope)
        elif isinstance(s, ast.ExprStatement):
            self.compute(s, scope, lambda: statements.statement(self.el, s, scope))
        else:
            self.compute(s, scope, lambda: self.el.evaluate(e, scope))

    def truth(self, e: Any, scope: Scope) -> bool:
        """The value of a condition."""
        value = self.el.condition(e, scope)
        stop(self.el)
        return bool(self.machine.compute([value])[0]) if isinstance(value, Node) else bool(value)

    def loop(self, e: ast.For, scope: Scope) -> None:
        """A `for` over a range, batches, or the elements of a value."""
        label = e.pattern.name.name if isinstance(e.pattern, ast.NamePattern) else "batch"
        total, items = self.items(e, scope)
        self.where.append("")
        try:
            for i, (value, place) in enumerate(items):
                self.where[-1] = f"{label if label != '_' else 'iteration'} {i + 1} of {total}"
                self.tell(", ".join(self.where))
                inner = Scope(scope)
                statements.bind_pattern(self.el, e.pattern, value, inner, e.iterable, place)
                if e.condition is not None and not self.truth(e.condition, inner):
                    break
                self.block(e.body, inner)
        finally:
            self.where.pop()

    def items(self, e: ast.For, scope: Scope) -> tuple[int, Iterator[tuple[Any, Any]]]:
        """How many elements, and each as a value with its place."""
        from charl.run.effects import Batches

        if isinstance(e.iterable, ast.Range):
            indices = range(self.integer(e.iterable.start, scope), self.integer(e.iterable.stop, scope))
            made = (i if e.const else known(np.int32(i), dtypes.i32, "i") for i in indices)
            return len(indices), ((x, None) for x in made)
        if isinstance(e.iterable, ast.Call):
            value = self.el.known(e.iterable, scope)
            stop(self.el)
            if isinstance(value, Batches):
                return len(value), ((x, None) for x in value)
        places = loops.iterate(self.el, e.iterable, scope, e.const).places
        stop(self.el)
        return len(places), ((p.get(), p) for p in places)

    def integer(self, e: Any, scope: Scope) -> int:
        """The value of a loop bound."""
        value = self.el.known(e, scope)
        if isinstance(value, Node) and value.rank == 0 and value.dtype.is_integer:
            return int(self.machine.compute([value])[0])
        if isinstance(value, bool) or not isinstance(value, int):
            what = f"a loop bound is an integer, and this is {v.describe_value(value)}"
            raise fail(loops.NOT_ITERABLE, what, e.span)
        return value

    # ------------------------------------------------------------ computing

    def compute(self, s: Any, scope: Scope, elaborate: Callable[[], Any]) -> None:
        """Elaborate a statement and compute what it binds and writes, or run it again on new values."""
        mentioned = self.mentioned(s, scope)
        inputs: dict[Node, int] = {}
        alive: list[Any] = [s]
        key = (id(s), tuple((n, _signature(_value(b), inputs, alive)) for n, b in mentioned.items()))
        replay = self.replays.get(key)
        if replay is not None:
            self.again(replay, mentioned, list(inputs), scope)
            return
        again = self.first(s, scope, elaborate, mentioned, inputs, alive)
        if again is not None:
            self.replays[key] = again

    def mentioned(self, s: Any, scope: Scope) -> dict[str, Binding]:
        """Variables of `main` whose names occur in a statement."""
        names = self.names.get(id(s))
        if names is None:
            names = self.names[id(s)] = frozenset(n.name for n in ast.walk(s) if isinstance(n, ast.Name))
        out: dict[str, Binding] = {}
        at: Scope | None = scope
        while at is not None and at is not self.outer:
            for name, binding in at.names.items():
                if name in names:
                    out.setdefault(name, binding)
            at = at.parent
        return dict(sorted(out.items()))

    def first(
        self,
        s: Any,
        scope: Scope,
        elaborate: Callable[[], Any],
        mentioned: dict[str, Binding],
        inputs: dict[Node, int],
        alive: list[Any],
    ) -> Replay | None:
        """Elaborate and compute. Gives what is needed to do it again, None where it has to be elaborated again."""
        effects, old = self.effects, dict(scope.names)
        with self.el.journal.frame() as before:
            elaborate()
        stop(self.el)
        names = [n for n, b in scope.names.items() if old.get(n) is not b]
        bound = [(n, scope.names[n].value, scope.names[n].mutable, scope.names[n].span) for n in names]
        written = [(n, b.value) for n, b in mentioned.items() if b in before]
        values = [x for _, x in written] + [b[1] for b in bound]
        leaves = [n for x in values for _, n in v.leaves(x)]
        results = list(dict.fromkeys(n for n in leaves if held(n) is None))
        pure = (
            effects == self.effects
            and all(b.alias is None for b in mentioned.values())
            and all(map(_plain, values))
            and all(n in inputs for n in [*parameters(results), *(n for n in leaves if held(n) is not None)])
        )
        step = self.machine.step(f"line{s.span.line}", list(inputs), results) if pure and results else None
        arrays = step([array_of(p) for p in inputs]) if step is not None else self.machine.compute(results)
        made = {n: known(a, n.dtype, n.name) for n, a in zip(results, arrays, strict=True)}
        for b in [*before, *(scope.names[n] for n in names)]:
            if b.alias is None:
                b.value = v.rebuild(b.value, lambda path, node: made.get(node, node))
        return Replay(step, results, inputs, written, bound, alive) if pure else None

    def again(self, replay: Replay, mentioned: dict[str, Binding], leaves: list[Node], scope: Scope) -> None:
        """Run a statement on new values."""
        arrays = replay.step([array_of(n) for n in leaves]) if replay.step is not None else []
        made = {n: known(a, n.dtype, n.name) for n, a in zip(replay.results, arrays, strict=True)}

        def settle(path: str, node: Node) -> Node:
            return made[node] if node in made else leaves[replay.inputs[node]]

        for name, x in replay.written:
            self.el.journal.note(mentioned[name])
            mentioned[name].value = v.rebuild(x, settle)
        for name, x, mutable, span in replay.bound:
            scope.bind(name, v.rebuild(x, settle), span, mutable=mutable)


def _value(b: Binding) -> Any:
    return b.alias.get() if b.alias is not None else b.value


def _signature(value: Any, inputs: dict[Node, int], alive: list[Any]) -> Any:
    """Equal for values for which a statement has the same graph; known values are numbered in `inputs`."""
    if isinstance(value, Node) and held(value) is not None:
        return "value", inputs.setdefault(value, len(inputs)), value.type
    if isinstance(value, v.Instance):
        parts = tuple((n, _signature(x, inputs, alive)) for n, x in value.members.items())
        alive.append(value.type)
        return "instance", id(value.type.declaration), str(value.type), parts
    if isinstance(value, (v.Tuple, v.Run)):
        return type(value).__name__, tuple(_signature(x, inputs, alive) for x in value.items)
    if isinstance(value, (bool, int, float, str)) or value is None:
        return type(value).__name__, repr(value)
    alive.append(value)
    return "same", id(value)


def _plain(value: Any) -> bool:
    """Whether a value consists of tensors and numbers only, so that it can be made again from new ones."""
    if isinstance(value, (v.Instance, v.Tuple, v.Run)):
        return all(_plain(x) for _, x in v.children(value))
    return isinstance(value, (Node, bool, int, float, str, v.Absent)) or value is None
