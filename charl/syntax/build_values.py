"""From what the grammar recognised to expressions, patterns and statements: one method for every alternative.

Mistakes that the grammar cannot see (a target that is no place, a number out of range, an argument out of order)
are reported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charl.errors import Label
from charl.source import Span
from charl.syntax import ast, codes
from charl.syntax.builder import Base, Parts, Trailing
from charl.syntax.operators import Chain, resolve
from charl.syntax.tokens import Token

MAX_TRAILERS = 200
MAX_ELSE = 100
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\"}


class Values(Base):
    # ---- words

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

    # ---- statements

    def block(self, c: Parts) -> ast.Block:
        statements: list[ast.Statement] = c[1] if len(c) > 2 else []
        last = statements[-1] if statements else None
        value = None
        if isinstance(last, ast.ExprStatement):
            value = last.value
            statements.pop()
        return ast.Block(self.span(c[0], c[-1]), tuple(statements), value)

    def let(self, c: Parts) -> ast.Let:
        span, pattern, value = self.over(c), c[1], c[4]
        if isinstance(pattern, ast.NamePattern):
            self.define(pattern.name, "let", span, value.span)
        return ast.Let(span, pattern, c[2], value)

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
        while isinstance(inner, (ast.Member, ast.Call, ast.Index)):
            inner = inner.callee if isinstance(inner, ast.Call) else inner.value
            count += 1
        if count < MAX_TRAILERS:
            return value
        self.too_deep("too many calls in one expression", value.span, "give parts of it names with `let`")
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
            self.too_deep("too many `else if`", self.place(c[0]), "`match` has many branches")
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
    if isinstance(target, (ast.Tuple, ast.Array)):
        return bool(target.elements) and all(_is_place(e) for e in target.elements)
    return isinstance(target, (ast.Name, ast.Member, ast.Index))


def _place_help(target: ast.Expr) -> str | None:
    if isinstance(target, ast.Binary):
        return "compare with `==`"
    return "a name, a field or an element can be assigned to"


def _mutable(pattern: ast.Pattern) -> ast.Pattern:
    if isinstance(pattern, ast.NamePattern):
        return replace(pattern, mut=True)
    assert isinstance(pattern, ast.TuplePattern | ast.ArrayPattern)
    return replace(pattern, elements=tuple(_mutable(p) for p in pattern.elements))
