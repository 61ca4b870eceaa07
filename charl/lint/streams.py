"""Random streams of which the same numbers are drawn twice.

A walk over each body that numbers the states of every stream: passing a stream as `mut` draws from its state and gives it a
new one, passing it by value lets the callee draw from its state, a copy shares it. A state that is drawn from twice gives
the same numbers twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from charl.errors import Diagnostic, Label
from charl.lint.codes import W_STREAM, warning
from charl.source import Span
from charl.syntax import ast, declarations


def stream_warnings(bodies: Iterable[declarations.Function | declarations.Test]) -> Iterator[Diagnostic]:
    """The warnings of a file about its streams."""
    for node in bodies:
        if isinstance(node, declarations.Function):
            yield from _Streams().function(node)
        else:
            yield from _Streams().body(node.body)


_KEEPERS = frozenset({"print", "save", "assert", "close", "zeros_like"})


@dataclass
class _State:
    """Which state each stream is in, and where each state was drawn from."""

    streams: dict[str, int] = field(default_factory=dict)
    drawn: dict[int, Span] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(dict(self.streams), dict(self.drawn))


class _Streams:
    def __init__(self) -> None:
        self.state = _State()
        self.numbers = count()
        self.out: dict[tuple[int, int], Diagnostic] = {}

    def function(self, f: declarations.Function) -> list[Diagnostic]:
        for p in f.params:
            if isinstance(p.type, ast.NamedType) and p.type.name.name == "Rng":
                self.state.streams[p.name.name] = next(self.numbers)
        return self.body(f.body)

    def body(self, block: ast.Block) -> list[Diagnostic]:
        self.visit(block)
        return list(self.out.values())

    def visit(self, node: ast.Node | None) -> None:
        if isinstance(node, (ast.Name, ast.Int, ast.Float)):  # most nodes, and nothing is drawn there
            return
        if isinstance(node, ast.Let):
            self.let(node)
        elif isinstance(node, ast.Assign):
            self.visit(node.value)
            if isinstance(node.target, ast.Name):
                self.bind(node.target.name, node.value)
        elif isinstance(node, ast.Arg):
            self.argument(node)
        elif isinstance(node, ast.Call):
            self.call(node)
        elif isinstance(node, ast.If):
            self.visit(node.condition)
            self.alternatives([node.then, node.otherwise])
        elif isinstance(node, ast.Match):
            self.visit(node.subject)
            self.alternatives([arm.body for arm in node.arms])
        elif isinstance(node, (ast.For, ast.While)):
            if isinstance(node, ast.For):
                self.visit(node.iterable)
            self.visit(node.condition)
            for _ in range(2):  # what the second iteration draws from, the first may have drawn from
                self.visit(node.body)
        elif isinstance(node, declarations.Function):
            return
        elif node is not None:
            ends = isinstance(node, (ast.Block, ast.Closure))  # names of the block end with it
            streams = set(self.state.streams) if ends else set()
            for child in ast.children(node):
                self.visit(child)
            if ends:
                self.state.streams = {n: s for n, s in self.state.streams.items() if n in streams}

    def let(self, node: ast.Let) -> None:
        self.visit(node.value)
        if isinstance(node.pattern, ast.NamePattern):
            self.bind(node.pattern.name.name, node.value)
        else:
            for part in ast.walk(node.pattern):
                if isinstance(part, ast.NamePattern):
                    self.state.streams.pop(part.name.name, None)

    def bind(self, name: str, value: ast.Expr) -> None:
        """A copy shares the state of what it was copied from."""
        if isinstance(value, ast.Name) and value.name in self.state.streams:
            self.state.streams[name] = self.state.streams[value.name]
        elif _makes_stream(value):
            self.state.streams[name] = next(self.numbers)
        else:
            self.state.streams.pop(name, None)

    def call(self, node: ast.Call) -> None:
        """Arguments draw, unless the callee only keeps or shows what it is given."""
        self.visit(node.callee)
        name = node.callee.name if isinstance(node.callee, ast.Name) else ""
        keeps = name in _KEEPERS or name[:1].isupper()
        for arg in node.args:
            if arg.mut or not keeps or not isinstance(arg.value, ast.Name):
                self.visit(arg)

    def argument(self, node: ast.Arg) -> None:
        name = node.value.name if isinstance(node.value, ast.Name) else ""
        state = self.state.streams.get(name)
        if state is None:
            self.visit(node.value)
            return
        before = self.state.drawn.get(state)
        if before is not None:
            self.report(name, node.span, before)
        self.state.drawn[state] = node.span
        if node.mut:
            self.state.streams[name] = next(self.numbers)

    def alternatives(self, branches: list[ast.Block | ast.Expr | ast.If | None]) -> None:
        """Branches of which one is run: each begins in the same state."""
        before = self.state
        after: list[_State] = []
        for branch in branches:
            self.state = before.copy()
            self.visit(branch)
            after.append(self.state)
        self.state = before.copy()
        for name, state in before.streams.items():
            moved = [s.streams.get(name, state) for s in after]
            if any(m != state for m in moved):
                self.state.streams[name] = next(self.numbers)
        for s in after:
            self.state.drawn.update(s.drawn)

    def report(self, name: str, span: Span, before: Span) -> None:
        again = before.start == span.start
        labels = () if again else (Label(before, "drawn from here before"),)
        message = f"`{name}` gives the same random numbers " + ("in every iteration" if again else "again")
        help_ = f"pass `mut {name}`, so that every draw moves the stream on, or `split` it"
        self.out.setdefault((span.start, before.start), warning(W_STREAM, message, span, help_, labels))


def _makes_stream(value: ast.Expr) -> bool:
    """`Rng(…)`, `Rng.init(…)` and the like."""
    if not isinstance(value, ast.Call):
        return False
    callee = value.callee.value if isinstance(value.callee, ast.Member) else value.callee
    return isinstance(callee, ast.Name) and callee.name == "Rng"
