"""The precedence of operators, as a table, and the trees it makes of a flat chain of operands and operators.

Enters what the grammar calls a chain (operands, prefix and binary operators, `as name`), leaves one expression.
"""

from __future__ import annotations

from collections.abc import Sequence

from charl.errors import Diagnostic
from charl.source import Source, Span
from charl.syntax import codes
from charl.syntax.ast import Binary, Cast, Expr, Name, Pipe, Unary
from charl.syntax.tokens import Token

# How tightly each binary operator holds its operands, loosest first. `**` alone groups to the right.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("|>",),
    ("or",),
    ("and",),
    ("not",),  # a prefix
    ("==", "!=", "<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "%", "@"),
    ("as",),
    ("negative",),  # a prefix, written -
    ("**",),
)
BINDING = {op: level for level, ops in enumerate(LEVELS) for op in ops}
COMPARISONS = frozenset(LEVELS[4])
MAX_OPERATORS = 500
MAX_PREFIXES = 50  # also of `**`: what nests to the right

Chain = Sequence[Expr | Token]


def resolve(chain: Chain, source: Source, diagnostics: list[Diagnostic]) -> Expr:
    """The expression that a chain means. Chained comparisons and misplaced pipes are reported."""
    operators = [e for e in chain if isinstance(e, Token)]
    rightward = sum(1 for op in operators if op.text in ("-", "not", "**"))
    if len(operators) > MAX_OPERATORS or (rightward > MAX_PREFIXES and _nests(chain)):
        message = "too many operators in one expression"
        help_ = "give parts of it names with `let`"
        diagnostics.append(Diagnostic(codes.TOO_DEEP, message, _place(source, chain[0]), help=help_))
        return next(e for e in chain if isinstance(e, Expr))
    return _Resolver(chain, source, diagnostics).expression(0)


class _Resolver:
    """Precedence climbing over the chain."""

    def __init__(self, chain: Chain, source: Source, diagnostics: list[Diagnostic]) -> None:
        self.chain = chain
        self.at = 0
        self.source = source
        self.diagnostics = diagnostics

    def expression(self, least: int) -> Expr:
        """An expression of operators that bind at least as tightly as `least`."""
        left = self.operand()
        while self.at < len(self.chain):
            op = self.chain[self.at]
            assert isinstance(op, Token)
            binding = BINDING[op.text]
            if binding < least:
                break
            self.at += 1
            if op.text == "as":
                name = self.chain[self.at]
                assert isinstance(name, Name)
                self.at += 1
                left = Cast(left.span.to(name.span), left, name)
                continue
            right = self.expression(binding if op.text == "**" else binding + 1)
            left = self.combine(left, op, right)
        return left

    def operand(self) -> Expr:
        first = self.chain[self.at]
        self.at += 1
        if isinstance(first, Token):
            binding = BINDING["negative" if first.text == "-" else first.text]
            inner = self.expression(binding)
            return Unary(Span(self.source, first.start, inner.span.end), first.text, inner)
        return first

    def combine(self, left: Expr, op: Token, right: Expr) -> Expr:
        span, place = left.span.to(right.span), Span(self.source, op.start, op.end)
        if op.text == "|>":
            if not _postfix(right):
                self._report_pipe(right)
            return Pipe(span, left, right)
        chained = op.text in COMPARISONS and isinstance(left, Binary) and left.op in COMPARISONS
        if chained and not _postfix(left):
            self._report_comparison(left, place, span)
        return Binary(span, op.text, left, right, place)

    def _report_comparison(self, left: Expr, place: Span, span: Span) -> None:
        assert isinstance(left, Binary)
        middle = left.right.span.text
        rest = Span(self.source, place.start, span.end).text
        self.diagnostics.append(
            Diagnostic(
                codes.CHAINED_COMPARISON,
                "comparisons do not chain",
                place,
                help=f"write `{left.span.text} and {middle} {rest}`",
            )
        )

    def _report_pipe(self, right: Expr) -> None:
        self.diagnostics.append(
            Diagnostic(
                codes.PIPE_TARGET,
                "the right side of `|>` is a function, a member or a call",
                right.span,
                help="put the whole pipe between parentheses to compute with its result",
            )
        )


def _postfix(node: Expr) -> bool:
    """Whether an operand was written as one: a postfix expression, or anything between parentheses."""
    if isinstance(node, Binary):
        return node.span.start < node.left.span.start
    if isinstance(node, Cast):
        return node.span.start < node.value.span.start
    return not isinstance(node, Unary) or node.span.source.text.startswith("(", node.span.start)


def _nests(chain: Chain) -> bool:
    """Whether prefixes or powers follow each other without an end."""
    run = longest = 0
    for part in chain:
        if isinstance(part, Token):
            run = run + 1 if part.text in ("-", "not", "**") else 0
            longest = max(longest, run)
    return longest > MAX_PREFIXES


def _place(source: Source, part: Expr | Token) -> Span:
    return part.span if isinstance(part, Expr) else Span(source, part.start, part.end)
