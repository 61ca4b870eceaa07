"""From what the grammar recognised to types and items: one method for every alternative.

Mistakes that the grammar cannot see (a `param` in a struct, two `layers`) are reported here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from charl.errors import Label
from charl.source import Span
from charl.syntax import ast, codes, declarations
from charl.syntax.build_values import Values
from charl.syntax.builder import Parts
from charl.syntax.tokens import Token


class Builder(Values):
    # ---- items

    def module(self, c: Parts) -> declarations.Module:
        items = tuple(c[0]) if c else ()
        return declarations.Module(
            Span(self.source, 0, len(self.source.text)), self.module_docs, items, frozenset()
        )

    def import_item(self, c: Parts) -> declarations.Import:
        names: list[declarations.ImportName] = c[3]
        module: ast.Name | ast.Str = c[1]
        is_path = isinstance(module, ast.Str)
        text = module.value if isinstance(module, ast.Str) else module.name
        return declarations.Import(self.span(c[0], names[-1]), text, is_path, module.span, tuple(names))

    def import_name(self, c: Parts) -> declarations.ImportName:
        return declarations.ImportName(self.over(c), c[0], c[2] if len(c) > 1 else None)

    def const_item(self, c: Parts) -> declarations.Const:
        return declarations.Const(self.over(c), c[1], c[2], c[4], self.doc(c[0]))

    def alias_item(self, c: Parts) -> declarations.TypeAlias:
        return declarations.TypeAlias(self.over(c), c[1], tuple(c[2]), tuple(c[3]), c[5], self.doc(c[0]))

    def test_item(self, c: Parts) -> declarations.Test:
        return declarations.Test(self.over(c), self.string(c[1:2]), c[2], self.doc(c[0]))

    def function(self, c: Parts) -> declarations.Function:
        return self._function(c[0], c[-1], False, [])

    def function_export(self, c: Parts) -> declarations.Function:
        return self._function(c[0], c[-1], True, [])

    def function_decorated(self, c: Parts) -> declarations.Function:
        return self._function(c[0][0], c[-1], False, c[0])

    def function_decorated_export(self, c: Parts) -> declarations.Function:
        return self._function(c[0][0], c[-1], True, c[0])

    def _function(
        self, head: Any, signature: Parts, export: bool, decorators: Parts
    ) -> declarations.Function:
        name, generics, _, params, _, returns, where, (body, short) = signature
        span = self.span(head, body)
        rules = (a.value for d in decorators for a in d.args if isinstance(a.value, ast.Name))
        result = body.value.span if body.value is not None else None
        of = next(rules, None)
        kind = "export" if export else "function" if of is None else "rule"
        self.define(of or name, kind, span, result)
        return declarations.Function(
            span,
            name,
            export,
            tuple(decorators),
            tuple(generics),
            tuple(params),
            returns,
            tuple(where),
            body,
            short,
            self.doc(head),
        )

    def long_body(self, c: Parts) -> tuple[ast.Block, bool]:
        return c[0], False

    def short_body(self, c: Parts) -> tuple[ast.Block, bool]:
        value: ast.Expr = c[1]
        return ast.Block(value.span, (), value), True

    def decorator(self, c: Parts) -> declarations.Decorator:
        return declarations.Decorator(self.span(c[0], c[1]), c[1], ())

    def decorator_args(self, c: Parts) -> declarations.Decorator:
        return declarations.Decorator(self.span(c[0], c[4]), c[1], self._ordered(c[3]))

    def generic(self, c: Parts) -> declarations.Generic:
        return declarations.Generic(self.over(c), c[0], c[2] if len(c) > 1 else None)

    def param(self, c: Parts) -> declarations.Param:
        return declarations.Param(self.over(c), c[0], False, c[1], c[2])

    def param_mut(self, c: Parts) -> declarations.Param:
        return declarations.Param(self.over(c), c[1], True, c[2], c[3])

    # ---- members

    def struct_item(self, c: Parts) -> declarations.Struct:
        head, name, generics, params, (members, end) = c
        fields, methods, layers = self._sort(members)
        for member in [f for f in fields if f.kind != "field"] + layers:
            kind = member.kind if isinstance(member, declarations.Field) else "layers"
            self.report(
                codes.MISPLACED_MEMBER,
                f"a struct has no `{kind}`",
                member.span,
                help_=f"`{name}` can be a model: `model {name} {{ … }}`",
            )
        span = self.span(head, end)
        self.define(name, "type", span)
        return declarations.Struct(
            span, name, tuple(generics), tuple(params), fields, methods, self.doc(head)
        )

    def model_item(self, c: Parts) -> declarations.Model:
        head, name, generics, params, (members, end) = c
        fields, methods, layers = self._sort(members)
        for extra in layers[1:]:
            label = Label(layers[0].span, "the first one")
            self.report(codes.MISPLACED_MEMBER, "a model has one `layers`", extra.span, (label,))
        span = self.span(head, end)
        self.define(name, "type", span)
        return declarations.Model(
            span,
            name,
            tuple(generics),
            tuple(params),
            fields,
            methods,
            layers[0] if layers else None,
            self.doc(head),
        )

    def _sort(
        self, members: Parts
    ) -> tuple[tuple[declarations.Field, ...], tuple[declarations.Function, ...], list[declarations.Layers]]:
        for member in members:
            if isinstance(member, declarations.Function) and member.export:
                self.report(codes.MISPLACED_MEMBER, "a method cannot be exported", member.name.span)
        return (
            tuple(m for m in members if isinstance(m, declarations.Field)),
            tuple(m for m in members if isinstance(m, declarations.Function)),
            [m for m in members if isinstance(m, declarations.Layers)],
        )

    def members(self, c: Parts) -> tuple[Parts, Token]:
        return (c[1] if len(c) > 2 else []), c[-1]

    def field(self, c: Parts) -> declarations.Field:
        condition = c[5] if len(c) > 4 else None
        return declarations.Field(self.over(c), "field", c[0], c[2], c[3], condition, "")

    def _member(self, kind: str, head: Any, field: declarations.Field) -> declarations.Field:
        return replace(field, span=self.span(head, field), kind=kind, docs=self.doc(head))

    def member_field(self, c: Parts) -> declarations.Field:
        return self._member("field", c[0], c[0])

    def member_param(self, c: Parts) -> declarations.Field:
        return self._member("param", c[0], c[1])

    def member_state(self, c: Parts) -> declarations.Field:
        return self._member("state", c[0], c[1])

    def layers(self, c: Parts) -> declarations.Layers:
        return declarations.Layers(self.span(c[0], c[-1]), tuple(c[2]) if len(c) > 3 else ())

    # ---- types

    def named_type(self, c: Parts) -> ast.NamedType:
        return ast.NamedType(c[0].span, c[0], (), None)

    def named_type_args(self, c: Parts) -> ast.NamedType:
        return ast.NamedType(self.over(c), c[0], (), self._ordered(c[2]))

    def named_type_generics(self, c: Parts) -> ast.NamedType:
        return ast.NamedType(self.over(c), c[0], tuple(c[2]), None)

    def named_type_full(self, c: Parts) -> ast.NamedType:
        return ast.NamedType(self.over(c), c[0], tuple(c[2]), self._ordered(c[5]))

    def tensor_type(self, c: Parts) -> ast.TensorType:
        return ast.TensorType(self.over(c), c[0], tuple(c[2]))

    def stack_type_args(self, c: Parts) -> ast.StackType:
        return self._stack(c, self.named_type_args(c[:4]))

    def stack_type_generics(self, c: Parts) -> ast.StackType:
        return self._stack(c, self.named_type_generics(c[:4]))

    def stack_type_full(self, c: Parts) -> ast.StackType:
        return self._stack(c, self.named_type_full(c[:7]))

    def _stack(self, c: Parts, base: ast.NamedType) -> ast.StackType:
        return ast.StackType(self.over(c), base, tuple(c[-2]))

    def tuple_type(self, c: Parts) -> ast.Type:
        inner: list[ast.Type] = c[1]
        return inner[0] if len(inner) == 1 else ast.TupleType(self.over(c), tuple(inner))

    def tuple_type_comma(self, c: Parts) -> ast.TupleType:
        return ast.TupleType(self.over(c), tuple(c[1]))

    def unit_type(self, c: Parts) -> ast.TupleType:
        return ast.TupleType(self.over(c), ())

    def run_type(self, c: Parts) -> ast.RunType:
        return ast.RunType(self.over(c), c[1], c[3])

    def fn_type(self, c: Parts) -> ast.FnType:
        return ast.FnType(self.over(c), tuple(c[2]), c[5] if len(c) > 4 else None)

    def fn_param(self, c: Parts) -> ast.FnTypeParam:
        return ast.FnTypeParam(c[0].span, False, c[0])

    def fn_param_mut(self, c: Parts) -> ast.FnTypeParam:
        return ast.FnTypeParam(self.over(c), True, c[1])
