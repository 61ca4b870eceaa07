"""The check of every body of a file for all its instances.

Enters: a populated module. Leaves: diagnostics in the elaborator. Dimensions and hyper-parameters are symbols of their
own names, so that messages speak the user's language; bodies of the library are not checked here but by its tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.elaborate import (
    clauses,
    custom,
    facts,
    host_library,
    initial,
    instances,
    methods,
    returns,
    skolems,
    testing,
    worlds,
)
from charl.elaborate import values as v
from charl.elaborate.modules import Module, rng_type
from charl.elaborate.parameters import (
    Argument,
    Call,
    Frame,
    bind_parameters,
    parameter_name,
    signature,
)
from charl.elaborate.scope import Mode, Scope, Variable
from charl.elaborate.types import Matcher
from charl.elaborate.worlds import World
from charl.errors import CharlError
from charl.graph.ir import Node, TensorType
from charl.syntax import ast, declarations

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator


def check_module(el: Elaborator, module: Module) -> None:
    """Check everything that a file declares, and the files that it imports."""
    for found in [module, *el.files.values()]:
        _check_file(el, found)


def _check_file(el: Elaborator, module: Module) -> None:
    el.checking = True
    try:
        for item in module.ast.items:
            declares = isinstance(item, (declarations.Function, declarations.Struct, declarations.Model))
            binding = module.scope.names.get(item.name.name) if declares else None
            if (
                isinstance(item, declarations.Function)
                and binding is not None
                and binding.span == item.name.span
            ):
                el.exporting = item.export
                check_function(el, binding.value)
                el.exporting = False
            elif isinstance(item, (declarations.Struct, declarations.Model)) and binding is not None:
                if isinstance(binding.value, v.Declaration) and binding.value.ast is item:
                    check_declaration(el, binding.value)
            elif isinstance(item, declarations.Test):
                with el.guarded():
                    returns.body_value(el, item.body, Scope(testing.scope(module.scope)))
    finally:
        el.checking = el.exporting = False


def parameter(path: str, t: TensorType) -> Node:
    """A tensor about which only its type is known."""
    return ops.parameter(path, t)


def check_declaration(el: Elaborator, d: v.Declaration) -> None:
    """Members, initializers and methods of a struct or model."""
    try:
        whole = declared(el, d)
    except CharlError as e:
        el.report(e)
        return
    except v.Silenced:
        return

    def here() -> v.Instance:
        """A value of the declaration, in this world."""
        return whole if el.worlds.world == World() else declared(el, d)

    worlds.in_each(el, lambda: check_initializers(el, d, here().type))
    for m in d.ast.methods:
        f = methods.function_of(d, m.name.name)
        if f is not None:
            check_function(el, f, here)


def declared(el: Elaborator, d: v.Declaration) -> v.Instance:
    """A value of a declaration about whose parameters only their types are known."""
    scope = Scope(d.scope)
    arguments: list[tuple[str, Any]] = []
    for g in d.ast.generics:
        value = skolems.opaque(g.name.name, g.bound.name if g.bound is not None else None)
        scope.bind(g.name.name, value, g.name.span)
        arguments.append((g.name.name, value))
    for p in d.ast.params:
        if p.default is not None:
            with el.guarded():
                el.known(p.default, scope)
        value = skolems.symbolic(el, p, p.name.name, scope)
        scope.bind(p.name.name, value, p.span)
        arguments.append((p.name.name, value))
    whole = instances.placeholder(el, v.InstanceType(d, tuple(arguments)), parameter)
    assert isinstance(whole, v.Instance)
    return whole


def check_initializers(el: Elaborator, d: v.Declaration, t: v.InstanceType) -> None:
    """Every `param` and `state` has an initializer that gives its type."""
    for f in d.ast.fields:
        if f.kind == "field" or f.default is None:
            continue
        with el.guarded():
            scope = instances.instance_scope(t)
            condition = el.condition(f.condition, scope) if f.condition is not None else True
            if condition is False:
                continue
            with facts.assumed(el, condition, True):
                declared = Matcher(el, scope).resolve(f.type)
                initial.initial_value(el, f, declared, scope, rng_placeholder(el))


def check_function(el: Elaborator, f: v.Function, receiver: Callable[[], v.Instance] | None = None) -> None:
    """Check one body with symbolic parameters, in each of the worlds that its conditions make; an export in one."""

    def work() -> None:
        try:
            _check_function(el, f, receiver() if receiver is not None else None)
        except CharlError as e:
            el.report(e)
        except v.Silenced:
            pass

    el.active.append(f)
    try:
        if el.exporting:
            work()
        else:
            worlds.in_each(el, work)
    finally:
        el.active.pop()


def _check_function(el: Elaborator, f: v.Function, receiver: v.Instance | None) -> None:
    mode = None
    place = Scope().bind("self", receiver, f.span, mutable=True)
    if receiver is not None:
        rng = Scope().bind("rng", rng_placeholder(el), f.span, mutable=True)
        mode = Mode(skolems.unknown("bool", "training"), Variable(rng, el.journal))
    outer = f.scope
    if f.name == "main" and f.owner is None:
        outer = host_library.scope(outer, None)
    scope = Scope(outer, function=Frame(f, mode))
    if receiver is not None:
        methods.bind_owner(el, scope, f, Variable(place, el.journal))
        if _is_static(f):
            scope.parent = instances.instance_scope(receiver.type)
            scope.function.mode = None
    matcher = signature(el, f, scope)
    for g in f.generics:
        scope.bind(g.name.name, skolems.opaque(g.name.name, g.bound.name if g.bound is not None else None))
    values = symbolic_arguments(el, matcher, f)
    call = Call([], f.span, scope)  # type: ignore[arg-type]
    pairs = [(p, Argument(x, p.span)) for p, x in zip(f.params, values, strict=True)]
    bind_parameters(el, f, scope, matcher, pairs, call)
    for p in f.params:
        if p.default is not None:
            with el.guarded():
                el.known(p.default, scope)
    if f.result is not None:
        matcher.resolve(f.result)
    with clauses.relied_on(el, f, scope, None):
        value = returns.function_value(el, f, scope, matcher, call)
    rule = el.rules.get(f)
    if rule is not None:
        entered = [*([] if receiver is None else [receiver]), *values]
        now = [] if receiver is None else [place.value]
        now += [scope.names[parameter_name(p)].value for p in f.params]
        after = [now[k] for k in custom.written(f, entered, now)]
        custom.check(el, f, rule, entered, custom.together(value, after), call)


def _is_static(f: v.Function) -> bool:
    """`init` makes the value that other methods receive."""
    return f.name == "init"


def rng_placeholder(el: Elaborator) -> Any:
    """A stream about which nothing is known."""
    return instances.placeholder(el, rng_type(), parameter, "rng")


def symbolic_arguments(el: Elaborator, matcher: Matcher, f: v.Function) -> list[Any]:
    """A value for every parameter about which only its type is known; compile-time ones first, which sizes may mention."""
    skolems.dimensions(matcher, [p.type for p in f.params], symbol=el.worlds.symbol)
    clauses.made_equal(el, f, matcher.scope)
    values: dict[int, Any] = {}
    for k, p in sorted(enumerate(f.params), key=lambda item: not _compile_time(item[1].type)):
        values[k] = _symbolic_argument(el, matcher, p)
        matcher.scope.bind(parameter_name(p), values[k], p.span)
    return [values[k] for k in range(len(f.params))]


def _compile_time(t: Any) -> bool:
    plain = ("int", "float", "bool", "fn", "str")
    return isinstance(t, ast.FnType) or (isinstance(t, ast.NamedType) and t.name.name in plain)


def _symbolic_argument(el: Elaborator, matcher: Matcher, p: Any) -> Any:
    t, name = p.type, parameter_name(p)
    if t is None:
        return v.ERROR  # anything at all: what does not depend on it is checked
    if not _compile_time(t):
        return instances.placeholder(el, matcher.resolve(t), parameter, name)
    bound = matcher.scope.names.get(name)
    if bound is not None and isinstance(t, ast.NamedType) and t.name.name == "int":
        return bound.value
    return skolems.symbolic(el, p, name, matcher.scope)
