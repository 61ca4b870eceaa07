"""A session: names that stay, and the value of what is typed.

Enters text, leaves lines to show. A mistake is raised as CharlError and leaves every name as it was. Expressions are computed
by the evaluator, as `charl run` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from charl import ops
from charl.elaborate import check, host_library, methods, modules, statements
from charl.elaborate import values as v
from charl.elaborate.elaborator import Elaborator
from charl.elaborate.exports import export_function
from charl.elaborate.host import Host
from charl.elaborate.modules import Module
from charl.elaborate.parameters import Frame
from charl.elaborate.program import prepare, stop
from charl.elaborate.scope import Scope
from charl.errors import CharlError, code, fail
from charl.graph.ir import Graph, Node, topological
from charl.repl.reading import read
from charl.source import Source, Span
from charl.syntax import ast, declarations

E_NOTHING = code("E0753", "a command of the REPL has nothing to work on")


class Session:
    """Definitions and variables of one sitting."""

    def __init__(self) -> None:
        prepare()
        self.lines: list[str] = []
        self.el = Elaborator()
        self.host = Host(None, self.lines.append)
        self.definitions = Scope(modules.prelude())
        self.items: dict[str, Any] = {}
        body = ast.Block(Span(Source("<repl>", ""), 0, 0), (), None)
        main = v.Function("main", (), None, body, self.definitions, None)
        self.variables = Scope(host_library.scope(self.definitions, self.host), function=Frame(main))
        self.numbers = count(1)

    def run(self, text: str) -> list[str]:
        """Evaluate what was typed. Raises CharlError; then nothing has changed."""
        source = Source(f"<{next(self.numbers)}>", text)
        with self._kept():
            said = read(source)
            if isinstance(said, declarations.Module):
                self._define(said, source)
            else:
                self._execute(said)
        lines, self.lines[:] = list(self.lines), []
        return lines

    def load(self, path: Path) -> list[str]:
        """Take over what a file declares. Raises CharlError."""
        from charl.compile import read_source

        with self._kept():
            module = modules.load(self.el, read_source(path), [])
            check.check_module(self.el, module)
            stop(self.el)
            self.definitions.names.update(module.scope.names)
            self.items.update(
                {i.name.name: i for i in module.ast.items if isinstance(i, declarations.Function)}
            )
        return [f"{path}: {', '.join(module.scope.names)}"]

    # ---- evaluation

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Everything as it was, where the body fails."""
        scopes = (self.definitions, self.variables)
        before = [{n: (b, b.value) for n, b in scope.names.items()} for scope in scopes]
        self.el.diagnostics.clear()
        try:
            yield
        except BaseException as e:
            self.lines.clear()
            for scope, names in zip(scopes, before):
                scope.names = {n: b for n, (b, _) in names.items()}
                for b, value in names.values():
                    b.value = value
            if isinstance(e, v.Silenced):
                raise fail(E_NOTHING, "this has no value: a mistake before it took it away") from e
            raise
        finally:
            self.el.diagnostics.clear()
            self.el.host = None
            self.el.reuse.calls.clear()  # names that a function calls may mean something else by the next line

    def _define(self, tree: declarations.Module, source: Source) -> None:
        """Items; a name that is declared again is declared anew, and calls of it are traced anew."""
        self.host.traces.clear()
        for item in tree.items:
            if not isinstance(item, declarations.Import | declarations.Test):
                self.definitions.names.pop(item.name.name, None)  # type: ignore[attr-defined]
        for name in [
            n.alias or n.name for i in tree.items if isinstance(i, declarations.Import) for n in i.names
        ]:
            self.definitions.names.pop(name.name, None)
        module = Module("repl", source, tree, self.definitions, False)
        modules.populate(self.el, module, [])
        stop(self.el)
        check.check_module(self.el, module)
        stop(self.el)
        for item in tree.items:
            if isinstance(item, declarations.Function):
                self.items[item.name.name] = item
            if not isinstance(item, declarations.Import | declarations.Test):
                self.lines.append(f"defined {item.name.name}")  # type: ignore[attr-defined]

    def _execute(self, block: ast.Block) -> None:
        self.el.host = self.host
        for statement in block.statements:
            if isinstance(statement, ast.Return | ast.Yield):
                raise fail(E_NOTHING, "there is no function here to leave", statement.span)
            statements.statement(self.el, statement, self.variables)
            stop(self.el)
        if block.value is not None:
            value = self.el.evaluate(block.value, self.variables)
            stop(self.el)
            if value is not None:
                self.lines.append(self.shown(value))
        for binding in self.variables.names.values():
            binding.value = self.host.settle(binding.value)

    def value(self, text: str, compute: bool = False) -> Any:
        """The value of an expression; without `compute`, as a graph of what is known. Raises CharlError."""
        with self._kept():
            said = read(Source(f"<{next(self.numbers)}>", text))
            if not isinstance(said, ast.Block) or said.statements or said.value is None:
                raise fail(E_NOTHING, f"`{text}` is no expression")
            self.el.host = self.host if compute else None
            value = self.el.evaluate(said.value, self.variables)
            stop(self.el)
            return self.host.settle(value) if compute else value

    # ---- what is shown

    def shown(self, value: Any) -> str:
        """A value and its type."""
        value = self.host.settle(value)
        if isinstance(value, v.Instance):
            parts = [f"  {path}: {n.type}" for path, n in v.leaves(value)]
            return "\n".join([v.describe(v.type_of(value)), *parts])
        if isinstance(value, v.Named):
            return "\n".join(f"{n}: {v.describe_value(x)}" for n, x in v.children(value))
        text = host_library.text_of(self.host, value)
        return text if isinstance(value, bool | int | float | str) else f"{text} : {v.describe_value(value)}"

    def graph(self, text: str) -> str:
        """The graph of an expression over the variables that it uses, or of a function over its parameters."""
        value = self.value(text)
        if isinstance(value, v.Function) and value.name in self.items:
            return self._function_graph(self.items[value.name], value)
        leaves = ops.settled([n for _, n in v.leaves(value)])
        if not leaves:
            raise fail(
                E_NOTHING, f"`{text}` computes nothing at run time", help="give it variables, or a function"
            )
        known = [n for n in topological(leaves) if n in self.host.arrays]
        return _printed(Graph("expression", known, leaves))

    def gradient(self, text: str) -> str:
        """`f`: the graph of its derivative. `f(x, y)`: the gradient there, with respect to the first argument."""
        said = read(Source("<command>", text))
        if isinstance(said, ast.Block) and isinstance(said.value, ast.Call) and not said.statements:
            callee, call = said.value.callee.span, said.value.span
            rest = text[callee.end : call.end]
            return self.shown(self.value(f"grad({callee.text}){rest}", compute=True))
        item = self.items.get(text.strip())
        if item is None:
            raise fail(
                E_NOTHING, f"`{text}` is no function of this session", help="`:grad f`, or `:grad f(x)`"
            )
        params = ", ".join(p.span.text for p in item.params)
        given = ", ".join(f"mut {p.name}" if p.mut else p.name.name for p in item.params)
        bounds = ", ".join(g.span.text for g in item.generics)
        head = f"fn gradient_of_{item.name}{f'<{bounds}>' if bounds else ''}({params})"
        tree, diagnostics = parse_items(f"{head} = grad({item.name})({given})")
        if diagnostics:
            raise CharlError(diagnostics)
        made = tree.items[0]
        assert isinstance(made, declarations.Function)
        module = Module("repl", Source("<command>", ""), tree, Scope(self.definitions), False)
        return self._function_graph(made, methods.make_function(made, module.scope, module))

    def _function_graph(self, item: declarations.Function, f: v.Function) -> str:
        untyped = next((p for p in item.params if p.type is None), None)
        if untyped is not None:
            help_ = f"call it: `{item.name}(…)`, or give `{untyped.name}` a type"
            raise fail(
                E_NOTHING, f"the graph of `{item.name}` depends on what `{untyped.name}` is", help=help_
            )
        with self._kept():
            export = export_function(self.el, f, item, {}, [])
            stop(self.el)
        return _printed(export.graph)

    # ---- names

    def names(self) -> Iterator[str]:
        """Every name in reach."""
        yield from dict.fromkeys(self.variables.visible())

    def members(self, path: str) -> list[str]:
        """What may follow `path.`: members of a value; of a tensor, functions of it."""
        first, *rest = path.split(".")
        binding = self.variables.find(first)
        value = binding.value if binding is not None else None
        for name in rest:
            value = (
                dict(v.children(value)).get(name)
                if isinstance(value, v.Instance | v.Named | v.Tuple)
                else None
            )
        if isinstance(value, v.Instance):
            return [*value.members, *(m.name.name for m in value.type.declaration.ast.methods)]
        if isinstance(value, v.Declaration):
            return [*(m.name.name for m in value.ast.methods), "init"]
        if isinstance(value, v.Named | v.Tuple):
            return [n for n, _ in v.children(value)]
        if isinstance(value, Node):
            return ["T", *(n for n in self.names() if n.islower() and not n.startswith("_"))]
        return []


def parse_items(text: str) -> tuple[declarations.Module, Any]:
    """Items of a text that the session made."""
    from charl.syntax import parse

    return parse(Source("<command>", text))


def _printed(graph: Graph) -> str:
    from charl.graph.text import print_graph
    from charl.passes import optimise

    return print_graph(optimise(graph)).rstrip()
