"""Gradient rules of the user: `@gradient(of: f) fn g(args…, result, ct)`.

Enters: decorated functions, and calls of the functions they belong to. Leaves: results that ask the rule when they are
differentiated. The rule is elaborated only then, with the values at hand; a file's own check elaborates it once for all
instances. It gives one cotangent per differentiable argument and must be linear in `ct`, which is told from its graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.elaborate import instances, methods, operators
from charl.elaborate import values as v
from charl.elaborate.parameters import Argument, Call, is_mut, parameter_name
from charl.errors import CharlError, Label, code, fail
from charl.grad.linear import nonlinear
from charl.graph.ir import Node, at_span, now
from charl.ops.regions import substituted
from charl.source import Span
from charl.syntax import ast, declarations

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.modules import Module

RECEIVER = code("E0411", "a method lists its receiver among its parameters")
DECORATOR = code("E0504", "a decorator without meaning")
NOT_LINEAR = code("E0514", "a gradient rule is not linear in its cotangent")
RULE = code("E0515", "a gradient rule does not fit the function it belongs to")
ORPHAN = code("E0293", "a gradient rule for a function that is not yours")
COTANGENTS = code("E0516", "a gradient rule gives the wrong cotangents")


# ---------------------------------------------------------------- declarations


def declare(el: Elaborator, module: Module, item: declarations.Function, rule: v.Function) -> None:
    """Enter the decorators of a function: the rules of the functions they name."""
    for d in item.decorators:
        if d.name.name != "gradient":
            raise fail(DECORATOR, f"`@{d.name}` means nothing", d.span, help="there is `@gradient(of: f)`")
        if len(d.args) != 1 or d.args[0].name is None or d.args[0].name.name != "of":
            raise fail(RULE, "`@gradient` names a function: `@gradient(of: f)`", d.span)
        f = _target(el, module, d.args[0].value)
        _check_place(el, module, f, rule, d)
        _check_form(f, rule)
        el.rules[f] = rule


def refuse(method: declarations.Function) -> None:
    """Methods have no decorators, and do not list their receiver."""
    for p in method.params:
        if p.name.name == "self":
            raise fail(
                RECEIVER,
                "`self` is in scope of a method by itself, and no parameter",
                p.name.span,
                help="leave it out: members are called by name, `w`, or as `self.w`",
            )
    for d in method.decorators:
        raise fail(
            DECORATOR,
            "a decorator stands before a function, not before a method",
            d.span,
            help="the rule of a method stands outside: `@gradient(of: Type.method) fn rule(self: Type, …)`",
        )


def _target(el: Elaborator, module: Module, e: Any) -> v.Function:
    """The function that `of:` names, `f` or `Type.method`."""
    if isinstance(e, ast.Member):
        owner = el.known(e.value, module.scope)
        f = methods.function_of(owner, e.name.name) if isinstance(owner, v.Declaration) else None
    else:
        f = el.known(e, module.scope)
    if not isinstance(f, v.Function):
        if isinstance(f, v.Builtin):
            raise _not_yours(f.name, "built in", e.span)
        raise fail(RULE, f"`of:` names a function, and `{e.span.text}` is none", e.span)
    return f


def _not_yours(name: str, what: str, span: Span) -> CharlError:
    return fail(
        ORPHAN,
        f"`{name}` is {what}, and a rule for it would change what others compute with it",
        span,
        help=f"write a function of your own that calls `{name}`, and the rule of that",
    )


def _check_place(
    el: Elaborator, module: Module, f: v.Function, rule: v.Function, d: declarations.Decorator
) -> None:
    """Whether this file may give `f` a rule, and the first one."""
    if f.module is not module and (f.module is None or f.module.is_library):
        raise _not_yours(f.name, "of the library", d.args[0].value.span)
    if f is rule:
        raise fail(RULE, f"`{f.name}` cannot be its own rule", d.span)
    other = el.rules.get(f)
    if other is not None:
        labels = (Label(other.span, "the other one"),) if other.span is not None else ()
        raise fail(RULE, f"`{f.name}` has two rules", d.span, labels=labels)


def _check_form(f: v.Function, rule: v.Function) -> None:
    where = (Label(f.span, "declared here"),) if f.span is not None else ()
    changed = next((p for p in rule.params if is_mut(p)), None)
    if changed is not None:
        raise fail(
            RULE,
            f"the rule of `{f.name}` changes nothing: `{parameter_name(changed)}` is what it was when `{f.name}` was called",
            changed.span,
            labels=where,
            help="leave out `mut`; what the call left there is part of `result`",
        )
    names = [*(["self"] if f.owner is not None else []), *map(parameter_name, f.params), "result", "ct"]
    if len(rule.params) != len(names):
        raise fail(
            RULE,
            f"the rule of `{f.name}` takes {len(names)} arguments, not {len(rule.params)}",
            rule.span,
            labels=where,
            help=f"write `fn {rule.name}({', '.join(names)})`",
        )


# ---------------------------------------------------------------- calls


def together(result: Any, left: Sequence[Any]) -> Any:
    """What a call gives, as a rule is told: its result, and what it left in its `mut` parameters that have a gradient."""
    items = [*([] if result is None else [result]), *left]
    return items[0] if len(items) == 1 else v.Tuple(tuple(items))


def written(f: v.Function, entered: Sequence[Any], now: Sequence[Any]) -> list[int]:
    """Which arguments, a receiver first, a call changes where that has a gradient, by their values before and after."""
    own = len(now) - len(f.params)
    return [
        k
        for k, (a, b) in enumerate(zip(entered, now, strict=True))
        if (a is not b if k < own else is_mut(f.params[k - own])) and operators.trained_leaves(b)
    ]


def ruled(
    el: Elaborator, f: v.Function, rule: v.Function, arguments: list[Any], result: Any, call: Call
) -> Any:
    """What a call of `f` gives (`together`), asking `rule` for its gradient. `arguments` are the values that entered."""
    leaves = [n for a in arguments for _, n in v.leaves(a)]
    outputs = dict(v.leaves(result))
    if not any(n.dtype.is_float for n in leaves) or not any(n.dtype.is_float for n in outputs.values()):
        return result
    found = ops.custom(list(outputs.values()), leaves, _Pull(el, f, rule, arguments, result, call))
    table = dict(zip(outputs, found, strict=True))
    return v.rebuild(result, lambda path, _: table[path])


class _Pull:
    """The rule of one call, as `charl.ops.custom` asks for it."""

    def __init__(
        self, el: Elaborator, f: v.Function, rule: v.Function, arguments: list[Any], result: Any, call: Call
    ) -> None:
        self.el, self.f, self.rule = el, f, rule
        self.arguments, self.result, self.call = arguments, result, call

    def seen_from(self, old: Span | None, new: Span) -> _Pull:
        """The rule of another call like this one, if this is the call at `old`."""
        if self.call.span is not old:
            return self
        return _Pull(self.el, self.f, self.rule, self.arguments, self.result, replace(self.call, span=new))

    def __call__(
        self, arguments: list[Node], results: list[Node], cotangents: list[Node]
    ) -> list[Node | None]:
        """The cotangent of every leaf of the arguments, in the graph of these values."""
        place = iter(arguments)
        values = [v.rebuild(a, lambda _, n: next(place)) for a in self.arguments]
        outputs = iter(results)
        result = v.rebuild(self.result, lambda _, n: next(outputs))
        start = now()
        fresh = [ops.parameter(f"d_{ct.name or 'ct'}", ct.type) for ct in cotangents]
        left = iter(fresh)
        ct = v.rebuild(instances.to_grad(result), lambda _, n: next(left))
        found = self._elaborated([*values, result, ct])
        given = [g for g in found if g is not None]
        self._check_linear(given, fresh, start)
        some = substituted(given, dict(zip(fresh, cotangents, strict=True)), after=start)
        new = iter(some)
        return [next(new) if g is not None else None for g in found]

    def _elaborated(self, values: Sequence[Any]) -> list[Node | None]:
        """The rule called; its cotangents laid out over the leaves of the arguments."""
        from charl.elaborate.calls import call_function

        span = self.rule.span or self.call.span
        given = [Argument(x, self.call.span) for x in values]
        with at_span(span):
            out = call_function(self.el, self.rule, Call(given, self.call.span, self.call.scope))
        if isinstance(out, v.ErrorValue):
            raise v.Silenced
        inputs = values[: len(self.arguments)]
        wanted = [k for k, a in enumerate(inputs) if operators.trained_leaves(a)]
        parts = list(out.items) if len(wanted) != 1 and isinstance(out, v.Tuple) else [out]
        if len(parts) != len(wanted):
            raise self._wrong(f"gives {len(parts)} cotangents, and `{self.f.name}` has {len(wanted)}", wanted)
        table = dict(zip(wanted, parts, strict=True))
        cotangents: list[Node | None] = []
        for k, a in enumerate(inputs):
            part = dict(v.leaves(self._fitted(k, a, table[k]))) if k in table else {}
            cotangents += [part.get(path) for path, _ in v.leaves(a)]
        return cotangents

    def _fitted(self, k: int, argument: Any, part: Any) -> Any:
        """The cotangent of one argument, checked; a number 0 stands for zeros."""
        if isinstance(part, v.ErrorValue):
            raise v.Silenced
        wanted = instances.to_grad(argument)
        if v.is_compile_time_number(part) and isinstance(wanted, Node) and not wanted.rank:
            part = operators.to_node(part, wanted.dtype, self.call.span)
        part = instances.to_grad(part)
        if part is None or v.type_of(part) != v.type_of(wanted):
            name = self._names()[k]
            raise self._wrong(
                f"gives {v.describe_value(part)} for `{name}`, which is {v.describe_value(argument)}", [k]
            )
        return part

    def _names(self) -> list[str]:
        own = ["self"] if len(self.arguments) > len(self.f.params) else []
        return own + [parameter_name(p) for p in self.f.params]

    def _wrong(self, what: str, wanted: Sequence[int]) -> CharlError:
        names = ", ".join(f"`{self._names()[k]}`" for k in wanted)
        return fail(
            COTANGENTS,
            f"the rule `{self.rule.name}` {what}",
            self.rule.span,
            labels=(Label(self.f.span, "its function"),) if self.f.span is not None else (),
            help=f"it returns one cotangent for each differentiable argument: {names}",
        )

    def _check_linear(self, found: Sequence[Node], cotangents: Sequence[Node], start: int) -> None:
        bad = nonlinear(found, cotangents, start)
        if bad is not None:
            name = parameter_name(self.rule.params[-1])
            raise fail(
                NOT_LINEAR,
                f"the rule of `{self.f.name}` is not linear in `{name}`",
                _inside(bad.span, self.rule),
                labels=(Label(self.rule.params[-1].span, "the cotangent"),),
                help=f"`{name}` is scaled, summed and moved; never compared, squared, or added to something else",
            )


def _inside(span: Span | None, rule: v.Function) -> Span | None:
    """A place in the body of the rule, else the rule's name."""
    body = rule.body.span
    if span is None or span.source is not body.source or not body.start <= span.start <= body.end:
        return rule.span
    return span


# ---------------------------------------------------------------- the check of a file


def check(
    el: Elaborator, f: v.Function, rule: v.Function, arguments: list[Any], result: Any, call: Call
) -> None:
    """The rule of a function, in the check of that function for all its instances; `result` as for `ruled`."""
    if isinstance(result, v.ErrorValue) or any(isinstance(a, v.ErrorValue) for a in arguments):
        return
    leaves = [n for a in arguments for _, n in v.leaves(a)]
    outputs = [n for _, n in v.leaves(result)]
    cts = [ops.parameter("ct", n.type) for n in outputs if n.dtype.is_float]
    if cts and any(n.dtype.is_float for n in leaves):
        with el.guarded():
            _Pull(el, f, rule, arguments, result, call)(leaves, outputs, cts)
