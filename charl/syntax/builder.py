"""From what the grammar recognised to nodes: one function for every alternative of grammar.lark.

Enter the parts of an alternative (tokens, nodes, lists), leaves a node or a list. Mistakes that the grammar cannot
see (a target that is no place, a `param` in a struct, a number out of range) are reported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charl.errors import Diagnostic, Label
from charl.source import Source, Span
from charl.syntax import ast, codes
from charl.syntax.lexer import Lexed
from charl.syntax.operators import Chain, resolve
from charl.syntax.tokens import Token

Parts = list[Any]  # what the stack of an LALR parser holds
MAX_TRAILERS = 200
MAX_ELSE = 100
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\"}


class Trailing(list[Any]):
    """A sequence that ended with a comma."""


class Builder:
    def __init__(self, lexed: Lexed) -> None:
        self.source: Source = lexed.source
        self.docs = lexed.docs
        self.module_docs = lexed.module_docs
        self.diagnostics: list[Diagnostic] = []

    # ---- places

    def start(self, part: Any) -> int:
        if isinstance(part, Token):
            return part.start
        start: int = part.span.start
        return start

    def span(self, first: Any, last: Any) -> Span:
        end = last.end if isinstance(last, Token) else last.span.end
        return Span(self.source, self.start(first), end)

    def place(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def over(self, parts: Parts) -> Span:
        """From the first part that stands in the text to the last one."""
        solid = [p for p in parts if isinstance(p, Token | ast.Node)]
        return self.span(solid[0], solid[-1])

    def report(
        self, code: str, message: str, span: Span, labels: tuple[Label, ...] = (), help_: str | None = None
    ) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, labels, help=help_))

    def doc(self, part: Any) -> str:
        return self.docs.get(self.start(part), "")

    # ---- sequences

    def first(self, c: Parts) -> Parts:
        return [] if c[0] is None else c

    def more1(self, c: Parts) -> Parts:
        c[0].append(c[1])
        return c[0]  # type: ignore[no-any-return]

    def more2(self, c: Parts) -> Parts:
        if c[2] is not None:
            c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    more = more2

    def same(self, c: Parts) -> Any:
        return c[0]

    def same_all(self, c: Parts) -> Parts:
        return c

    def second(self, c: Parts) -> Any:
        return c[1]

    def nothing(self, c: Parts) -> None:
        return None

    def empty(self, c: Parts) -> Parts:
        return []

    def trailing(self, c: Parts) -> Parts:
        return Trailing(c[0])

    def string(self, c: Parts) -> ast.Str:
        token: Token = c[0]
        span = self.place(token)
        body = token.text[1:-1] if len(token.text) > 1 and token.text.endswith('"') else token.text[1:]
        if "\\" not in body:
            return ast.Str(span, body)
        out, i = [], 0
        while i < len(body):
            if body[i] != "\\" or i + 1 == len(body):
                out.append(body[i])
                i += 1
                continue
            if body[i + 1] not in _ESCAPES:
                where = Span(self.source, token.start + 1 + i, token.start + 3 + i)
                known = " ".join(f"`\\{c}`" for c in _ESCAPES)
                self.report(
                    codes.BAD_ESCAPE,
                    f"`\\{body[i + 1]}` is no escape sequence",
                    where,
                    help_=f"known are {known}",
                )
            out.append(_ESCAPES.get(body[i + 1], body[i + 1]))
            i += 2
        return ast.Str(span, "".join(out))

    def name(self, c: Parts) -> ast.Name:
        token: Token = c[0]
        return ast.Name(Span(self.source, token.start, token.end), token.text)

    # ---- items

    def module(self, c: Parts) -> ast.Module:
        items = tuple(c[0]) if c else ()
        return ast.Module(Span(self.source, 0, len(self.source.text)), self.module_docs, items, frozenset())

    def import_item(self, c: Parts) -> ast.Import:
        names: list[ast.ImportName] = c[3]
        module: ast.Name | ast.Str = c[1]
        is_path = isinstance(module, ast.Str)
        text = module.value if isinstance(module, ast.Str) else module.name
        return ast.Import(self.span(c[0], names[-1]), text, is_path, module.span, tuple(names))

    def import_name(self, c: Parts) -> ast.ImportName:
        return ast.ImportName(self.over(c), c[0], c[2] if len(c) > 1 else None)

    def const_item(self, c: Parts) -> ast.Const:
        return ast.Const(self.over(c), c[1], c[2], c[4], self.doc(c[0]))

    def alias_item(self, c: Parts) -> ast.TypeAlias:
        return ast.TypeAlias(self.over(c), c[1], tuple(c[2]), tuple(c[3]), c[5], self.doc(c[0]))

    def test_item(self, c: Parts) -> ast.Test:
        return ast.Test(self.over(c), self.string(c[1:2]), c[2], self.doc(c[0]))

    def function(self, c: Parts) -> ast.Function:
        return self._function(c[0], c[-1], False, [])

    def function_export(self, c: Parts) -> ast.Function:
        return self._function(c[0], c[-1], True, [])

    def function_decorated(self, c: Parts) -> ast.Function:
        return self._function(c[0][0], c[-1], False, c[0])

    def function_decorated_export(self, c: Parts) -> ast.Function:
        return self._function(c[0][0], c[-1], True, c[0])

    def _function(self, head: Any, signature: Parts, export: bool, decorators: Parts) -> ast.Function:
        name, generics, _, params, _, returns, where, (body, short) = signature
        span = self.span(head, body)
        return ast.Function(
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

    def decorator(self, c: Parts) -> ast.Decorator:
        return ast.Decorator(self.span(c[0], c[1]), c[1], ())

    def decorator_args(self, c: Parts) -> ast.Decorator:
        return ast.Decorator(self.span(c[0], c[4]), c[1], self._ordered(c[3]))

    def generic(self, c: Parts) -> ast.Generic:
        return ast.Generic(self.over(c), c[0], c[2] if len(c) > 1 else None)

    def param(self, c: Parts) -> ast.Param:
        return ast.Param(self.over(c), c[0], False, c[1], c[2])

    def param_mut(self, c: Parts) -> ast.Param:
        return ast.Param(self.over(c), c[1], True, c[2], c[3])

    # ---- members

    def struct_item(self, c: Parts) -> ast.Struct:
        head, name, generics, params, (members, end) = c
        fields, methods, layers = self._sort(members)
        for member in [f for f in fields if f.kind != "field"] + layers:
            kind = member.kind if isinstance(member, ast.Field) else "layers"
            self.report(
                codes.MISPLACED_MEMBER,
                f"a struct has no `{kind}`",
                member.span,
                help_=f"`{name}` can be a model: `model {name} {{ … }}`",
            )
        return ast.Struct(
            self.span(head, end), name, tuple(generics), tuple(params), fields, methods, self.doc(head)
        )

    def model_item(self, c: Parts) -> ast.Model:
        head, name, generics, params, (members, end) = c
        fields, methods, layers = self._sort(members)
        for extra in layers[1:]:
            label = Label(layers[0].span, "the first one")
            self.report(codes.MISPLACED_MEMBER, "a model has one `layers`", extra.span, (label,))
        return ast.Model(
            self.span(head, end),
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
    ) -> tuple[tuple[ast.Field, ...], tuple[ast.Function, ...], list[ast.Layers]]:
        for member in members:
            if isinstance(member, ast.Function) and member.export:
                self.report(codes.MISPLACED_MEMBER, "a method cannot be exported", member.name.span)
        return (
            tuple(m for m in members if isinstance(m, ast.Field)),
            tuple(m for m in members if isinstance(m, ast.Function)),
            [m for m in members if isinstance(m, ast.Layers)],
        )

    def members(self, c: Parts) -> tuple[Parts, Token]:
        return (c[1] if len(c) > 2 else []), c[-1]

    def field(self, c: Parts) -> ast.Field:
        condition = c[5] if len(c) > 4 else None
        return ast.Field(self.over(c), "field", c[0], c[2], c[3], condition, "")

    def _member(self, kind: str, head: Any, field: ast.Field) -> ast.Field:
        return replace(field, span=self.span(head, field), kind=kind, docs=self.doc(head))

    def member_field(self, c: Parts) -> ast.Field:
        return self._member("field", c[0], c[0])

    def member_param(self, c: Parts) -> ast.Field:
        return self._member("param", c[0], c[1])

    def member_state(self, c: Parts) -> ast.Field:
        return self._member("state", c[0], c[1])

    def layers(self, c: Parts) -> ast.Layers:
        return ast.Layers(self.span(c[0], c[-1]), tuple(c[2]) if len(c) > 3 else ())

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

    # ---- statements

    def block(self, c: Parts) -> ast.Block:
        statements: list[ast.Statement] = c[1] if len(c) > 2 else []
        value = None
        if statements and isinstance(statements[-1], ast.ExprStatement):
            value = statements.pop().value
        return ast.Block(self.span(c[0], c[-1]), tuple(statements), value)

    def let(self, c: Parts) -> ast.Let:
        return ast.Let(self.over(c), c[1], c[2], c[4])

    def assign(self, c: Parts) -> ast.Assign:
        target: ast.Expr = c[0]
        if not _is_place(target):
            self.report(
                codes.NOT_A_PLACE, "this cannot be assigned to", target.span, help_=_place_help(target)
            )
        return ast.Assign(self.over(c), target, c[1].text[:-1], c[2])

    def yield_statement(self, c: Parts) -> ast.Yield:
        return ast.Yield(self.over(c), c[1])

    def return_unit(self, c: Parts) -> ast.Return:
        return ast.Return(self.place(c[0]), None)

    def return_value(self, c: Parts) -> ast.Return:
        return ast.Return(self.over(c), c[1])

    def assert_statement(self, c: Parts) -> ast.Assert:
        return ast.Assert(self.over(c), c[1], c[3] if len(c) > 2 else None)

    def expr_statement(self, c: Parts) -> ast.ExprStatement:
        value: ast.Expr = c[0]
        if isinstance(value, ast.Name) and value.name in ("break", "continue"):
            self.report(
                codes.NO_SUCH_STATEMENT,
                f"Charl has no `{value.name}`",
                value.span,
                help_="`for _ in 0..n while c { }` stops when `c` fails",
            )
        return ast.ExprStatement(value.span, value)

    # ---- patterns

    def name_pattern(self, c: Parts) -> ast.NamePattern:
        return ast.NamePattern(c[0].span, c[0], False)

    def tuple_pattern(self, c: Parts) -> ast.TuplePattern:
        return ast.TuplePattern(self.over(c), tuple(c[1]))

    def array_pattern(self, c: Parts) -> ast.ArrayPattern:
        return ast.ArrayPattern(self.over(c), tuple(c[1]))

    def mut_pattern(self, c: Parts) -> ast.Pattern:
        return replace(_mutable(c[1]), span=self.over(c))

    # ---- operators

    def chain(self, c: Parts) -> ast.Expr:
        parts: Chain = c[0]
        if len(parts) == 1:
            only = parts[0]
            assert isinstance(only, ast.Expr)
            return only
        return resolve(parts, self.source, self.diagnostics)

    def chain_more(self, c: Parts) -> Parts:
        c[0] += c[1:]
        return c[0]  # type: ignore[no-any-return]

    def chain_join(self, c: Parts) -> Parts:
        return [*c[0], c[1], *c[2]]

    def chain_prefix_more(self, c: Parts) -> Parts:
        return [c[0], *c[1]]

    # ---- values

    def closure_param(self, c: Parts) -> ast.ClosureParam:
        return ast.ClosureParam(self.over(c), c[0], c[1])

    def closure(self, c: Parts) -> ast.Closure:
        return ast.Closure(self.over(c), tuple(c[1]) if len(c) > 3 else (), c[-1])

    def integer(self, c: Parts) -> ast.Int:
        token: Token = c[0]
        digits = token.text.replace("_", "").lower()
        if len(digits) > 40:
            self.report(
                codes.BAD_NUMBER, "this number is too large for every element type", self.place(token)
            )
            return ast.Int(self.place(token), 0)
        base = {"0x": 16, "0b": 2}.get(digits[:2], 10)
        try:
            value = int(digits, base)
        except ValueError:  # what sticks to the digits was reported by the lexer
            value = 0
        return ast.Int(self.place(token), value)

    def floating(self, c: Parts) -> ast.Float:
        token: Token = c[0]
        try:
            value = float(token.text.replace("_", ""))
        except ValueError:
            value = 0.0
        if value == float("inf"):
            self.report(codes.BAD_NUMBER, "this number is larger than every f64", self.place(token))
        return ast.Float(self.place(token), value, token.text)

    def true(self, c: Parts) -> ast.Bool:
        return ast.Bool(self.place(c[0]), True)

    def false(self, c: Parts) -> ast.Bool:
        return ast.Bool(self.place(c[0]), False)

    def none(self, c: Parts) -> ast.NoneValue:
        return ast.NoneValue(self.place(c[0]))

    def member(self, c: Parts) -> ast.Member:
        return ast.Member(self.span(c[0], c[2]), self._trailed(c[0]), c[2])

    def member_number(self, c: Parts) -> ast.Member:
        return self.member([c[0], c[1], self.name(c[2:])])

    def call(self, c: Parts) -> ast.Call:
        return ast.Call(self.span(c[0], c[3]), self._trailed(c[0]), self._ordered(c[2]))

    def index(self, c: Parts) -> ast.Index:
        return ast.Index(self.span(c[0], c[3]), self._trailed(c[0]), tuple(c[2]))

    def _trailed(self, value: ast.Expr) -> ast.Expr:
        """`value`, unless so many calls, members and indices follow each other that nobody could walk them."""
        if value.span.end - value.span.start < 2 * MAX_TRAILERS:
            return value
        count, inner = 0, value
        while isinstance(inner, ast.Member | ast.Call | ast.Index):
            inner = inner.callee if isinstance(inner, ast.Call) else inner.value
            count += 1
        if count < MAX_TRAILERS:
            return value
        self.report(
            codes.TOO_DEEP,
            "too many calls in one expression",
            value.span,
            help_="give parts of it names with `let`",
        )
        return inner

    def _ordered(self, args: Sequence[ast.Arg]) -> tuple[ast.Arg, ...]:
        named: ast.Arg | None = None
        for arg in args:
            if arg.name is not None:
                named = arg
            elif named is not None:
                label = Label(named.span, "a named one")
                self.report(
                    codes.ARGUMENT_ORDER, "a positional argument follows a named one", arg.span, (label,)
                )
        return tuple(args)

    def parentheses(self, c: Parts) -> ast.Expr:
        inner: list[ast.Expr] = c[1]
        span = self.span(c[0], c[2])
        if len(inner) == 1 and not isinstance(inner, Trailing):
            return replace(inner[0], span=span)
        return ast.Tuple(span, tuple(inner))

    def array(self, c: Parts) -> ast.Array:
        return ast.Array(self.span(c[0], c[2]), tuple(c[1]))

    def repeat(self, c: Parts) -> ast.Repeat:
        return ast.Repeat(self.span(c[0], c[4]), c[1], c[3])

    def pack(self, c: Parts) -> ast.Pack:
        return ast.Pack(self.over(c), c[1])

    def range(self, c: Parts) -> ast.Range:
        return ast.Range(self.over(c), c[0], c[2])

    def if_expr(self, c: Parts) -> ast.If:
        otherwise = c[4] if len(c) > 3 else None
        levels, inner = 0, otherwise
        while isinstance(inner, ast.If):
            levels, inner = levels + 1, inner.otherwise
        if levels > MAX_ELSE:
            self.report(
                codes.TOO_DEEP, "too many `else if`", self.place(c[0]), help_="`match` has many branches"
            )
            otherwise = None
        return ast.If(self.over(c), c[1], c[2], otherwise)

    def for_plain(self, c: Parts) -> ast.For:
        return ast.For(self.over(c), c[1], False, c[3], None, c[4])

    def for_const(self, c: Parts) -> ast.For:
        return ast.For(self.over(c), c[2], True, c[4], None, c[5])

    def for_while(self, c: Parts) -> ast.For:
        return ast.For(self.over(c), c[1], False, c[3], c[5], c[6])

    def while_expr(self, c: Parts) -> ast.While:
        return ast.While(self.over(c), c[1], c[2])

    def match(self, c: Parts) -> ast.Match:
        return ast.Match(self.over(c), c[1], tuple(c[3]))

    def arm(self, c: Parts) -> ast.MatchArm:
        patterns: list[ast.Expr] = c[0]
        span = self.span(patterns[0], c[2])
        if any(isinstance(p, ast.Name) and p.name == "_" for p in patterns):
            patterns = []
        return ast.MatchArm(span, tuple(patterns), c[2])

    def negative(self, c: Parts) -> ast.Unary:
        return ast.Unary(self.over(c), "-", c[1])

    # ---- arguments and indices

    def arg(self, c: Parts) -> ast.Arg:
        return ast.Arg(c[0].span, c[0], None, False)

    def arg_mut(self, c: Parts) -> ast.Arg:
        return ast.Arg(self.over(c), c[1], None, True)

    def arg_named(self, c: Parts) -> ast.Arg:
        return ast.Arg(self.over(c), c[2], c[0], False)

    def arg_named_mut(self, c: Parts) -> ast.Arg:
        return ast.Arg(self.over(c), c[3], c[0], True)

    def dots(self, c: Parts) -> ast.Dots:
        return ast.Dots(self.place(c[0]))

    def slice(self, c: Parts) -> ast.Slice:
        return ast.Slice(self.over(c), c[0], c[2], c[4] if len(c) > 3 else None)


def _is_place(target: ast.Expr) -> bool:
    if isinstance(target, ast.Tuple | ast.Array):
        return bool(target.elements) and all(_is_place(e) for e in target.elements)
    return isinstance(target, ast.Name | ast.Member | ast.Index)


def _place_help(target: ast.Expr) -> str | None:
    if isinstance(target, ast.Binary):
        return "compare with `==`"
    return "a name, a field or an element can be assigned to"


def _mutable(pattern: ast.Pattern) -> ast.Pattern:
    if isinstance(pattern, ast.NamePattern):
        return replace(pattern, mut=True)
    assert isinstance(pattern, ast.TuplePattern | ast.ArrayPattern)
    return replace(pattern, elements=tuple(_mutable(p) for p in pattern.elements))
