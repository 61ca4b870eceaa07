"""Names that nothing uses, `mut` that nothing changes, names that hide a dimension.

A walk over the tree with the scopes of the language; a name that is not found belongs to the prelude. Where a use cannot be
told from the tree alone (methods borrow their receiver, a function may be called as a method), it counts as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charl.errors import Diagnostic, Label
from charl.lint.codes import W_DIMENSION, W_IMPORT, W_ITEM, W_MUT, W_PARAMETER, W_VARIABLE, warning
from charl.source import Span
from charl.syntax import ast, declarations

_NAMED = (
    declarations.Const,
    declarations.TypeAlias,
    declarations.Function,
    declarations.Struct,
    declarations.Model,
)


@dataclass(eq=False)
class Binding:
    """A name and what became of it. `kind`: variable, parameter, dimension, element (of a `for`), member, import, item."""

    name: str
    span: Span
    kind: str
    mut: bool = False
    used: bool = False
    changed: bool = False
    sources: list[Binding] = field(default_factory=list)  # an element's: changing it changes these
    quiet: bool = False  # asked for elsewhere, used or not
    fixed: bool = False  # its `mut` too
    shape: frozenset[str] = frozenset()  # dimension variables that a parameter's type names


class Scope:
    def __init__(self, parent: Scope | None) -> None:
        self.parent = parent
        self.names: dict[str, Binding] = {}

    def find(self, name: str) -> Binding | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None


def name_warnings(
    module: declarations.Module, nodes: Mapping[type[ast.Node], Sequence[Any]]
) -> list[Diagnostic]:
    """The warnings of a file about its names; `nodes` are all of its tree, by class."""
    return _Names(module, _values(nodes)).run()


class _Names:
    def __init__(self, module: declarations.Module, values: set[str]) -> None:
        self.module = module
        self.out: list[Diagnostic] = []
        self.top = Scope(None)
        self.references: dict[str, set[str]] = {}  # what each item mentions
        self.mentioned: set[str] = set()
        self.values = values  # functions that are passed on

    def run(self) -> list[Diagnostic]:
        for item in self.module.items:
            self.declare(item)
        for item in self.module.items:
            self.mentioned = set()
            self.item(item)
            name = item.name.name if isinstance(item, _NAMED) else ""
            self.references.setdefault(name, set()).update(self.mentioned)
        self.unused_items()
        return self.out

    # ---- items

    def declare(self, item: declarations.Item) -> None:
        if isinstance(item, declarations.Import):
            for n in item.names:
                name = n.alias or n.name
                self.top.names[name.name] = Binding(name.name, name.span, "import")
        elif isinstance(item, _NAMED):
            self.top.names[item.name.name] = Binding(item.name.name, item.name.span, "item")

    def unused_items(self) -> None:
        """In a program (a file that exports or has a `main`): imports that nothing mentions, and declarations that nothing
        reaches. What another file declares or imports, others may import from it."""
        functions = [i for i in self.module.items if isinstance(i, declarations.Function)]
        roots = [f.name.name for f in functions if f.export or f.name.name == "main"]
        if not roots:
            return
        everywhere = set().union(*self.references.values())
        for binding in self.top.names.values():
            if (
                binding.kind == "import"
                and binding.name not in everywhere
                and not binding.name.startswith("_")
            ):
                message = f"`{binding.name}` is imported and never used"
                self.out.append(warning(W_IMPORT, message, binding.span, "remove the import"))
        roots += [f.name.name for f in functions if f.decorators]
        reached: set[str] = set()
        waiting = [*roots, *self.references.get("", ())]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += self.references.get(name, ())
        for binding in self.top.names.values():
            if binding.kind == "item" and binding.name not in reached and not binding.name.startswith("_"):
                message = f"`{binding.name}` is never used: no export, `main` or test leads to it"
                self.out.append(
                    warning(W_ITEM, message, binding.span, "remove it, or begin its name with `_`")
                )

    def item(self, item: declarations.Item) -> None:
        if isinstance(item, declarations.Function):
            wanted = item.export or bool(item.decorators) or item.name.name in self.values
            self.function(item, self.top, wanted)
        elif isinstance(item, (declarations.Struct, declarations.Model)):
            self.data(item)
        elif isinstance(item, declarations.TypeAlias):
            scope = Scope(self.top)
            self.parameters(item.params, scope)
            for g in item.generics:
                scope.names[g.name.name] = Binding(g.name.name, g.name.span, "member")
            self.visit(item.type, scope)
            self.close(scope)
        elif isinstance(item, (declarations.Const, declarations.Test)):
            scope = Scope(self.top)
            for child in ast.children(item):
                if child is not item.name:
                    self.visit(child, scope)
            self.close(scope)

    def data(self, item: declarations.Struct | declarations.Model) -> None:
        """A struct or a model: parameters, members, methods."""
        scope = Scope(self.top)
        for g in item.generics:
            scope.names[g.name.name] = Binding(g.name.name, g.name.span, "member")
        self.parameters(item.params, scope)
        for f in item.fields:
            for part in (f.type, f.default, f.condition):
                self.visit(part, scope)
        inner = Scope(scope)
        for f in item.fields:
            inner.names[f.name.name] = Binding(f.name.name, f.name.span, "member")
        for m in item.methods:
            inner.names[m.name.name] = Binding(m.name.name, m.name.span, "member")
        if isinstance(item, declarations.Model) and item.layers is not None:
            for entry in item.layers.entries:
                self.visit(entry, scope)
        for m in item.methods:
            self.function(m, inner, True)
        self.close(scope)

    def function(self, f: declarations.Function, outer: Scope, quiet: bool) -> None:
        scope = Scope(outer)
        for d in f.decorators:
            for a in d.args:
                self.visit(a.value, outer)
        for g in f.generics:
            scope.names[g.name.name] = Binding(g.name.name, g.name.span, "member")
        for name in _dimensions(f, scope):
            scope.names[name.name] = Binding(name.name, name.span, "dimension", quiet=True)
        self.parameters(f.params, scope, quiet, bool(f.decorators) or f.name.name in self.values)
        for b in scope.names.values():  # what the types of parameters name, they bind
            b.used = b.used and not (b.kind == "dimension" and b.quiet)
        for part in (f.returns, *f.where):
            self.visit(part, scope)
        self.block(f.body, scope)
        self.close(scope)

    def parameters(
        self, params: Sequence[declarations.Param], scope: Scope, quiet: bool = False, fixed: bool = False
    ) -> None:
        for p in params:
            self.visit(p.type, scope)
            self.visit(p.default, scope)
            number = isinstance(p.type, ast.NamedType) and p.type.name.name == "int"
            kind = "dimension" if number else "parameter"
            b = Binding(p.name.name, p.name.span, kind, p.mut, quiet=quiet, fixed=fixed)
            if p.type is not None:
                b.shape = frozenset(n.name for n in ast.walk(p.type) if isinstance(n, ast.Name))
            scope.names[p.name.name] = b

    # ---- expressions and statements

    def visit(self, node: ast.Node | None, scope: Scope) -> None:
        if node is None or isinstance(node, (ast.Int, ast.Float)):
            return
        if isinstance(node, ast.Name):
            self.use(node.name, scope)
        elif isinstance(node, ast.Block):
            self.block(node, scope)
        elif isinstance(node, ast.For):
            self.loop(node, scope)
        elif isinstance(node, ast.Closure):
            inner = Scope(scope)
            for p in node.params:
                self.visit(p.type, scope)
                self.pattern(p.pattern, inner, "element")
            self.visit(node.body, inner)
            self.close(inner)
        elif isinstance(node, ast.Member):
            self.mentioned.add(node.name.name)
            self.visit(node.value, scope)
        elif isinstance(node, ast.Arg):
            if node.mut:
                self.change(node.value, scope)
            self.visit(node.value, scope)
        elif isinstance(node, ast.Call):
            callee = node.callee
            self.change(callee.value if isinstance(callee, ast.Member) else callee, scope)
            self.children(node, scope)
        elif isinstance(node, ast.Cast):
            self.visit(node.value, scope)
            self.use(node.to.name, scope)
        elif isinstance(node, ast.MatchArm):
            for pattern in node.patterns:
                self.visit(pattern, scope)
            self.visit(node.body, scope)
        else:
            self.children(node, scope)

    def children(self, node: ast.Node, scope: Scope) -> None:
        for child in ast.children(node):
            self.visit(child, scope)

    def block(self, block: ast.Block, outer: Scope) -> None:
        scopes = [Scope(outer)]
        for statement in block.statements:
            self.statement(statement, scopes)
        self.visit(block.value, scopes[-1])
        for scope in reversed(scopes):
            self.close(scope)

    def statement(self, node: ast.Statement, scopes: list[Scope]) -> None:
        scope = scopes[-1]
        if isinstance(node, ast.Let):
            self.visit(node.type, scope)
            self.visit(node.value, scope)
            scopes.append(Scope(scope))  # what is shadowed keeps its own account
            self.pattern(node.pattern, scopes[-1], "variable")
        elif isinstance(node, ast.Assign):
            self.visit(node.value, scope)
            self.change(node.target, scope)
            self.target(node.target, scope)
        else:
            self.children(node, scope)

    def target(self, node: ast.Expr, scope: Scope) -> None:
        """The parts of a place that are read."""
        if isinstance(node, (ast.Tuple, ast.Array)):
            for element in node.elements:
                self.target(element, scope)
        elif isinstance(node, ast.Index):
            for item in node.items:
                self.visit(item, scope)
            self.target(node.value, scope)
        elif isinstance(node, ast.Member):
            self.target(node.value, scope)

    def loop(self, node: ast.For, scope: Scope) -> None:
        self.visit(node.iterable, scope)
        inner = Scope(scope)
        places: list[Binding] = []
        if not isinstance(node.iterable, ast.Range):
            for part in ast.walk(node.iterable):
                found = scope.find(part.name) if isinstance(part, ast.Name) else None
                places += [found] if found is not None else []
        self.pattern(node.pattern, inner, "element", places)
        self.visit(node.condition, inner)
        self.block(node.body, inner)
        self.close(inner)

    def pattern(self, pattern: ast.Pattern, scope: Scope, kind: str, sources: Sequence[Binding] = ()) -> None:
        if isinstance(pattern, ast.NamePattern):
            name = pattern.name
            self.shadows(name, scope)
            scope.names[name.name] = Binding(name.name, name.span, kind, pattern.mut, sources=list(sources))
        elif isinstance(pattern, (ast.TuplePattern, ast.ArrayPattern)):
            for element in pattern.elements:
                self.pattern(element, scope, kind, sources)

    # ---- what becomes of names

    def use(self, name: str, scope: Scope) -> None:
        self.mentioned.add(name)
        found = scope.find(name)
        if found is not None:
            found.used = True

    def change(self, node: ast.Expr, scope: Scope) -> None:
        """The variables at the roots of a place may hold something else now."""
        while isinstance(node, (ast.Member, ast.Index)):
            node = node.value
        if isinstance(node, (ast.Tuple, ast.Array)):
            for element in node.elements:
                self.change(element, scope)
        found = scope.find(node.name) if isinstance(node, ast.Name) else None
        waiting = [found] if found is not None else []
        while waiting:
            binding = waiting.pop()
            binding.changed = True
            if binding.kind != "variable":
                binding.used = True
            waiting += [b for b in binding.sources if not b.changed]

    def shadows(self, name: ast.Name, scope: Scope) -> None:
        hidden = scope.find(name.name)
        if hidden is None or hidden.kind != "dimension" or name.name.startswith("_"):
            return
        label = Label(hidden.span, "the dimension")
        message = f"`{name}` hides the dimension of that name"
        self.out.append(warning(W_DIMENSION, message, name.span, "choose another name", (label,)))

    def close(self, scope: Scope) -> None:
        """Judge the names of a scope that ends."""
        for b in scope.names.values():
            if b.name.startswith("_") or b.kind == "member":
                continue
            if not b.used and not b.quiet and not self.binds(b, scope):
                self.unused(b)
            elif b.mut and not b.changed and not b.fixed:
                help_ = "remove the `mut`"
                self.out.append(warning(W_MUT, f"`{b.name}` is `mut` and never changed", b.span, help_))

    def binds(self, b: Binding, scope: Scope) -> bool:
        """Whether a parameter is there for a dimension of its shape, which no parameter that is used has."""
        bound = {
            n for n in b.shape if (d := scope.names.get(n)) is not None and d.kind == "dimension" and d.used
        }
        others = [p for p in scope.names.values() if p.used and p.kind == "parameter"]
        return any(all(n not in p.shape for p in others) for n in bound)

    def unused(self, b: Binding) -> None:
        if b.kind in ("variable", "element"):
            what = "changed, but never read" if b.changed else "never used"
            self.out.append(
                warning(W_VARIABLE, f"`{b.name}` is {what}", b.span, f"remove it, or write `_{b.name}`")
            )
        else:
            message = f"the parameter `{b.name}` is never used"
            self.out.append(warning(W_PARAMETER, message, b.span, f"remove it, or call it `_{b.name}`"))


def _values(nodes: Mapping[type[ast.Node], Sequence[Any]]) -> set[str]:
    """Names that stand for a value somewhere, other than as what a call calls: a function among them has the parameters
    that its caller asks for."""
    skipped = {id(n.callee) for n in nodes[ast.Call]} | {id(n.name) for n in nodes[declarations.Function]}
    return {n.name for n in nodes[ast.Name] if id(n) not in skipped}


def _dimensions(f: declarations.Function, scope: Scope) -> Iterator[ast.Name]:
    """The dimension variables of a signature: names in shapes of parameters that nothing else binds."""
    params = {p.name.name for p in f.params}
    for p in f.params:
        for node in ast.walk(p.type) if p.type is not None else ():
            if isinstance(node, (ast.TensorType, ast.StackType)):
                for d in node.dims:
                    name = d.name if isinstance(d, ast.Pack) else d
                    if (
                        isinstance(name, ast.Name)
                        and name.name not in params
                        and scope.find(name.name) is None
                    ):
                        yield name
