"""Type expressions against types: resolving, matching (which binds dimension variables), and placeholders.

Enters: a type expression of the AST and a scope. Leaves: a type of `values`, or bindings in that scope. Names in
a shape that nothing binds are dimension variables of the signature; bare ones bind, others must agree once every
bare one is known. Never looks at how a value was computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from charl.dims import Dim
from charl.dtypes import DType
from charl.elaborate import stacks
from charl.elaborate import values as v
from charl.elaborate.mismatches import Mismatch, differs
from charl.elaborate.scope import Scope
from charl.errors import CharlError, code, fail
from charl.graph.ir import TensorType
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

UNKNOWN_TYPE = code("E0313", "unknown type")
UNBOUND = code("E0312", "a dimension variable does not occur bare in the parameters")
NOT_A_SIZE = code("E0217", "a dimension is not an integer")
TYPE_ARGUMENTS = code("E0404", "parameters of a struct or model do not fit its declaration")
NO_DEFAULT = code("E0606", "an open hyper-parameter has no default")

LONG = code("E0410", "a run has too many elements")
MAX_RUN = 1 << 16
MAX_SIZE = (1 << 31) - 1  # indices are i32

PLAIN = {"int": "int", "float": "float", "bool": "bool", "str": "str", "fn": "function"}
BOUNDS: dict[str, Callable[[DType], bool]] = {
    "float": lambda t: t.is_float,
    "int": lambda t: t.is_integer,
    "number": lambda t: t.kind != "bool",
}


@dataclass
class Matcher:
    """Matches declared types against actual ones, binding into `scope` (that of one signature)."""

    el: Elaborator
    scope: Scope
    parameters: frozenset[str] = frozenset()  # type parameters that may still be bound
    pending: list[tuple[Any, Any, Any]] = field(default_factory=list)  # (dimension, actual, whole type)
    open: dict[str, v.InstanceType] = field(default_factory=dict)

    def lookup(self, name: str) -> Any:
        """The compile-time value of a name in a type; None where nothing binds it."""
        found = self.scope.find(name)
        if found is None:
            return None
        value = found.value if found.alias is None else found.alias.get()
        return None if isinstance(value, v.FUNCTIONS) else value

    # ------------------------------------------------------------ matching

    def match(self, t: Any, actual: Any) -> None:
        """Raises Mismatch where `actual` is no instance of the type expression `t`."""
        stacked = stacks.base(self, t)
        if stacked is not None:
            self._stack(t, stacked, actual)
        elif self._binds_element(t, actual):
            self._stack_of_parameter(t, actual)
        elif isinstance(t, ast.TensorType):
            self._tensor(t, actual)
        elif isinstance(t, ast.NamedType):
            self._named(t, actual)
        elif isinstance(t, ast.TupleType):
            if not t.elements and actual == v.Plain("None"):
                return
            if not isinstance(actual, v.TupleType) or len(actual.items) != len(t.elements):
                raise Mismatch(t)
            for e, a in zip(t.elements, actual.items, strict=True):
                self.match(e, a)
        elif isinstance(t, ast.RunType):
            self._run(t, actual)
        elif isinstance(t, ast.FnType):
            if actual != v.Plain("function"):
                raise Mismatch(t)
        else:
            raise AssertionError(t)

    def _run(self, t: ast.RunType, actual: Any) -> None:
        if not isinstance(actual, v.RunType):
            raise Mismatch(t)
        self._size(t.count, actual.length, t)
        for item in actual.items:
            self.match(t.element, item)

    def _tensor(self, t: ast.TensorType, actual: Any) -> None:
        if not isinstance(actual, TensorType):
            raise Mismatch(t)
        self._element(t.element, actual.dtype)
        self._shape(t, actual.shape)

    def _stack(self, t: Any, element: Any, actual: Any) -> None:
        found = stacks.split(actual, lambda: self.resolve(element))
        if found is None:
            raise Mismatch(t)
        lead, one = found
        self._shape(t, lead)
        self.match(element, one)

    def _binds_element(self, t: Any, actual: Any) -> bool:
        """Whether `M[N]` meets a stack and nothing says yet what M is."""
        if not isinstance(t, ast.TensorType) or not isinstance(actual, stacks.STACKED) or not actual.lead:
            return False
        name = t.element.name
        return name in self.parameters and self.lookup(name) is None and not (actual.lanes or actual.each)

    def _stack_of_parameter(self, t: ast.TensorType, actual: Any) -> None:
        """A stack of anything: the axes that `t` writes are its own, what they are axes of is the parameter."""
        any_number = any(isinstance(d, ast.Pack) for d in t.dims)
        k = len(actual.lead) if any_number else len(t.dims)
        self._bind_parameter(t.element, replace(actual, lead=actual.lead[k:]))
        self._shape(t, actual.lead[:k])

    def _shape(self, t: Any, shape: tuple[Any, ...]) -> None:
        """The dimensions of a tensor, or of a stack."""
        rank = len(shape)
        dims = list(t.dims)
        packs = [i for i, d in enumerate(dims) if isinstance(d, ast.Pack)]
        unbound = [i for i in packs if self.lookup(dims[i].name.name) is None]
        if len(unbound) > 1:
            raise Mismatch(t, "only one pack of a shape can be inferred")
        known = sum(1 if i not in packs else 0 for i in range(len(dims)))
        for i in packs:
            if i not in unbound:
                known += len(self._pack(dims[i]))
        if rank < known or (not unbound and rank != known):
            raise Mismatch(t, f"rank {rank} instead of {known if not unbound else f'at least {known}'}")
        rest = list(shape)
        for i, d in enumerate(dims):
            if isinstance(d, ast.Pack):
                n = rank - known if i in unbound else len(self._pack(d))
                taken, rest = rest[:n], rest[n:]
                if i in unbound:
                    self.scope.bind(d.name.name, v.Run(tuple(taken), n), d.span)
                else:
                    for want, got in zip(self._pack(d), taken, strict=True):
                        if want != got:
                            raise Mismatch(t, f"{want} differs from {got}")
            else:
                self._size(d, rest.pop(0), t)

    def _pack(self, d: Any) -> tuple[Any, ...]:
        value = self.lookup(d.name.name)
        if not isinstance(value, (v.Run, v.Tuple)):
            raise fail(NOT_A_SIZE, f"`*{d.name}` is no pack of dimensions", d.span)
        return value.items

    def _element(self, name: ast.Name, actual: DType) -> None:
        want = self.el.dtypes.get(name.name) or self.lookup(name.name)
        if want is None and name.name in self.parameters:
            self._bind_parameter(name, actual)
        elif not isinstance(want, DType):
            raise self.unknown(name)
        elif want != actual:
            raise Mismatch(name, f"element type {actual} instead of {want}")

    def _bind_parameter(self, name: ast.Name, actual: Any) -> None:
        bound = self.el.bound_of(self.scope, name.name)
        if bound is not None:
            dtype = actual.dtype if isinstance(actual, TensorType) else actual
            if not isinstance(dtype, DType) or (bound in BOUNDS and not BOUNDS[bound](dtype)):
                raise Mismatch(name, f"`{name}` must be of kind {bound}")
        self.scope.bind(name.name, actual, name.span)

    def _size(self, d: Any, actual: Any, whole: Any) -> None:
        if isinstance(d, ast.Name) and self.lookup(d.name) is None:
            self.scope.bind(d.name, actual, d.span)
            return
        if self._unbound(d):
            self.pending.append((d, actual, whole))
            return
        want = self.size(d)
        if want != actual:
            raise Mismatch(whole, differs(d, want, actual))

    def _unbound(self, d: Any) -> Any:
        """A name of a dimension that nothing binds yet, or None."""
        if isinstance(d, ast.Name):
            return d if self.lookup(d.name) is None else None
        members = {id(m.name) for m in ast.walk(d) if isinstance(m, ast.Member)}
        named = {id(a.name) for a in ast.walk(d) if isinstance(a, ast.Arg) and a.name is not None}
        callees = {id(c.callee) for c in ast.walk(d) if isinstance(c, ast.Call)}
        skip = members | named | callees
        names = (n for n in ast.walk(d) if isinstance(n, ast.Name) and id(n) not in skip)
        return next((n for n in names if self.lookup(n.name) is None), None)

    def finish(self) -> None:
        """Checks what had to wait until every bare dimension was bound."""
        pending, self.pending = self.pending, []
        for d, actual, whole in pending:
            if self._unbound(d):
                raise fail(
                    UNBOUND,
                    f"nothing determines `{d.span.text}`",
                    d.span,
                    help="a dimension variable must stand alone somewhere in the parameters",
                )
            if isinstance(actual, _Argument):
                actual.check(self, d, whole)
            else:
                want = self.size(d)
                if want != actual:
                    raise Mismatch(whole, differs(d, want, actual))

    def _named(self, t: ast.NamedType, actual: Any) -> None:
        name = t.name.name
        if name in PLAIN:
            if actual != v.Plain(PLAIN[name]) and not (name == "float" and actual == v.Plain("int")):
                raise Mismatch(t)
            return
        if name in self.el.dtypes:
            if actual != TensorType(self.el.dtypes[name], ()):
                raise Mismatch(t)
            return
        if name == "Grad":
            if self.resolve(t) != actual:
                whole = isinstance(actual, v.InstanceType) and actual.part == "all"
                raise Mismatch(
                    t, "of a model, a gradient has the trained part: `params(net)`" if whole else ""
                )
            return
        found = self.lookup(name)
        if found is None and name in self.parameters:
            if isinstance(actual, TensorType) and self.el.bound_of(self.scope, name) is not None:
                if actual.rank:
                    raise Mismatch(t)
                self._bind_parameter(t.name, actual.dtype)
            else:
                self._bind_parameter(t.name, actual)
        elif isinstance(found, DType):
            if actual != TensorType(found, ()):
                raise Mismatch(t)
        elif isinstance(found, v.Declaration):
            self._instance(t, found, actual)
        elif isinstance(found, Alias):
            if self.alias_type(t, found) != actual:
                raise Mismatch(t)
        elif found is not None and v.is_type(found):
            if found != actual:
                raise Mismatch(t)
        else:
            raise self.unknown(t.name)

    def alias_type(self, t: ast.NamedType, alias: Alias) -> Any:
        """The type that an alias stands for."""
        with self.el.nested(alias.name, alias.ast.name.span):
            return self._alias_type(t, alias)

    def _alias_type(self, t: ast.NamedType, alias: Alias) -> Any:
        scope = Scope(alias.scope)
        for p, a in zip(alias.ast.params, t.args or (), strict=False):
            scope.bind(p.name.name, self.el.evaluate(a.value, self.scope))
        for g, a2 in zip(alias.ast.generics, t.generics, strict=False):
            scope.bind(g.name.name, self.resolve(a2))
        return Matcher(self.el, scope).resolve(alias.ast.type)

    def _instance(self, t: ast.NamedType, d: v.Declaration, actual: Any) -> None:
        if not isinstance(actual, v.InstanceType) or actual.declaration is not d or actual.part != "all":
            raise Mismatch(t)
        if not actual.plain:
            more = f"this is {actual}: `vmap` goes over its elements"
            raise Mismatch(t, f"{more}, and `{t.name}[…]` takes them all" if actual.lead else more)
        for g, want in zip(d.ast.generics, t.generics, strict=False):
            self.match(want, actual.argument(g.name.name))
        if t.args is None:
            if d.ast.params:
                first = self.open.setdefault(d.name, actual)
                if first != actual:
                    raise Mismatch(t, f"all bare `{d.name}` of a signature mean one instance, here {first}")
            return
        for param, arg in self.el.pair_parameters(d, t.args, t.span):
            got = actual.argument(param.name.name)
            if arg is None:
                if param.default is None or not self.el.same(self._default(d, param, actual), got):
                    raise Mismatch(t)
            elif isinstance(arg, ast.Name) and self.lookup(arg.name) is None:
                if self.scope.find(arg.name) is None:
                    self.scope.bind(arg.name, got, arg.span)
                elif not self.el.same(self.el.evaluate(arg, self.scope), got):
                    raise Mismatch(t)
            elif self._unbound(arg):
                self.pending.append((arg, _Argument(got), t))
            else:
                _Argument(got).check(self, arg, t)

    def _default(self, d: v.Declaration, param: Any, actual: v.InstanceType) -> Any:
        scope = Scope(d.scope)
        for n, value in actual.arguments:
            scope.bind(n, value)
        return self.el.evaluate(param.default, scope)

    # ------------------------------------------------------------ resolving

    def size(self, d: Any) -> Any:
        """The size that an expression in a shape stands for."""
        value = self.el.evaluate(d, self.scope)
        if isinstance(value, v.ErrorValue):
            raise v.Silenced
        if isinstance(value, bool) or not isinstance(value, (int, Dim)):
            shown = v.describe_value(value)
            raise fail(NOT_A_SIZE, f"a dimension must be an integer, and this is {shown}", d.span)
        if isinstance(value, int) and value < 0:
            raise fail(NOT_A_SIZE, f"a dimension cannot be negative: {value}", d.span)
        if isinstance(value, int) and value > MAX_SIZE:
            raise fail(NOT_A_SIZE, f"a dimension of {value} is too large: at most {MAX_SIZE}", d.span)
        return value

    def sizes(self, dims: tuple[Any, ...]) -> tuple[Any, ...]:
        out: list[Any] = []
        for d in dims:
            if isinstance(d, ast.Pack):
                if self.lookup(d.name.name) is None:
                    raise self.unbound(d.name)
                out.extend(self._pack(d))
            else:
                free = self._unbound(d)
                if free is not None:
                    raise self.unbound(free)
                out.append(self.size(d))
        return tuple(out)

    def unbound(self, name: ast.Name) -> CharlError:
        return fail(
            UNBOUND,
            f"nothing binds the dimension `{name}`",
            name.span,
            help="a dimension variable must occur alone in the type of a parameter",
        )

    def unknown(self, name: ast.Name) -> CharlError:
        from charl.elaborate.modules import help_for

        found = self.scope.find(name.name)
        if found is not None and isinstance(found.value, v.ErrorValue):
            raise v.Silenced  # told where it is declared or imported
        known = [*self.el.dtypes, *PLAIN, *self.scope.visible()]
        return fail(UNKNOWN_TYPE, f"no type is called `{name}`", name.span, help=help_for(name.name, known))

    def resolve(self, t: Any) -> Any:
        """The type that an expression stands for, every name of it bound."""
        stacked = stacks.base(self, t)
        if stacked is not None:
            return stacks.resolve(self, t, stacked)
        if isinstance(t, ast.TensorType):
            element = self.el.dtypes.get(t.element.name) or self.lookup(t.element.name)
            if not isinstance(element, DType):
                raise self.unknown(t.element)
            return TensorType(element, self.sizes(t.dims))
        if isinstance(t, ast.TupleType):
            return v.TupleType(tuple(self.resolve(e) for e in t.elements))
        if isinstance(t, ast.RunType):
            length = self.size(t.count)
            check_run(length, t.count.span)
            return v.RunType((self.resolve(t.element),), length)
        if isinstance(t, ast.FnType):
            return FunctionType(t, self.scope)
        return self._resolve_named(t)

    def _resolve_named(self, t: ast.NamedType) -> Any:
        name = t.name.name
        if name in PLAIN:
            return v.Plain(PLAIN[name])
        if name in self.el.dtypes:
            return TensorType(self.el.dtypes[name], ())
        if name == "Grad":
            if len(t.generics) != 1:
                raise fail(TYPE_ARGUMENTS, "`Grad` takes one type: `Grad<Net>`", t.span)
            return self.el.grad_type(self.resolve(t.generics[0]))
        found = self.lookup(name)
        if isinstance(found, DType):
            return TensorType(found, ())
        if isinstance(found, v.Declaration):
            return self.el.instance_type(found, t, self)
        if isinstance(found, Alias):
            return self.alias_type(t, found)
        if found is not None and v.is_type(found):
            return found
        raise self.unknown(t.name)


def check_run(length: Any, span: Span) -> None:
    """Refuses a run so long that its elements, each a value of its own, would not fit into memory."""
    if isinstance(length, int) and length > MAX_RUN:
        raise fail(
            LONG,
            f"a run of {length} elements is too long: at most {MAX_RUN}",
            span,
            help="make a tensor: `full([n], value)`, `f32[n, 3]`",
        )


@dataclass(frozen=True)
class _Argument:
    """A hyper-parameter that waits for names: compared as a value, not only as a size."""

    value: Any

    def check(self, matcher: Matcher, expression: Any, whole: Any) -> None:
        want = matcher.el.evaluate(expression, matcher.scope)
        if not matcher.el.same(want, self.value):
            raise Mismatch(
                whole,
                f"`{expression.span.text}` is {v._argument_text(want)}, not "
                f"{v._argument_text(self.value)}",
            )


@dataclass(frozen=True, eq=False)
class Alias:
    """`type Net = CharModel(96, 256)`."""

    ast: Any
    scope: Scope

    @property
    def name(self) -> str:
        return str(self.ast.name)


@dataclass(frozen=True, eq=False)
class FunctionType:
    """A function type with the scope in which its names are looked up."""

    ast: Any
    scope: Scope

    def __str__(self) -> str:
        return str(self.ast.span.text)
