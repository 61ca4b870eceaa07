"""Tokens to a module: the LALR automaton of the grammar (see `automaton`), and what happens when it gets stuck.

Enters a source, leave its AST and every syntax error of the file. Where the text does not continue as the grammar
allows, the parser gives up on the innermost statement, member, match arm or item, goes on behind it (panic mode, with
the ERROR token of the grammar in its place), and leaves the item out of the module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from charl.errors import Diagnostic
from charl.source import Source
from charl.syntax import declarations
from charl.syntax.automaton import Reduction, Tables, tables
from charl.syntax.build_items import Builder
from charl.syntax.expectations import MEMBER, unexpected
from charl.syntax.layout import arrange, begins_item
from charl.syntax.lexer import Lexed, lex
from charl.syntax.mistakes import bounded, independent, without_broken
from charl.syntax.tokens import CLOSERS, END, ERROR, OPENERS, SEP, Token

_RESTART = frozenset({"LET", "RETURN", "YIELD", "ASSERT", "FN", "FOR", "WHILE", "STRUCT", "CONST"})


def parse(source: Source) -> tuple[declarations.Module, list[Diagnostic]]:
    """The module that `source` says, and its syntax errors in the order of the text."""
    module, diagnostics = _parsed(source)
    return module, list(diagnostics)


@lru_cache(maxsize=4)
def _parsed(source: Source) -> tuple[declarations.Module, list[Diagnostic]]:
    """Kept for the levels that ask for the same file again; trees do not change."""
    lexed = lex(source, tables().terminals)
    return parse_words(lexed, *arrange(lexed))


def parse_words(
    lexed: Lexed, tokens: list[Token], bracket_errors: list[Diagnostic]
) -> tuple[declarations.Module, list[Diagnostic]]:
    """The module that arranged tokens say, and the syntax errors of the file."""
    builder = Builder(lexed)
    parser = _Parser(tables(), builder, tokens)
    module = parser.run()
    certain = lexed.diagnostics + bracket_errors
    found = independent(certain, parser.diagnostics + builder.diagnostics, parser.structural, tokens)
    if found:
        module = without_broken(module, tokens, found)
    return module, bounded(found)


class _Parser:
    def __init__(self, automaton: Tables, builder: Builder, tokens: list[Token]) -> None:
        self.states = automaton.states
        self.accepting = automaton.end
        self.builder = builder
        self.tokens = tokens
        self.state_stack: list[Any] = [automaton.start]
        self.before: list[Any] = []
        self.values: list[Any] = []
        self.diagnostics: list[Diagnostic] = []
        self.structural: list[Diagnostic] = []  # the kind of thing is wrong, not its form
        self.restarted = 0
        self.told: set[tuple[int, frozenset[str]]] = (
            set()
        )  # per brace, so that a list of layers is one mistake
        self.build: dict[str, Callable[[list[Any]], Any]] = {
            a: getattr(builder, a) for a in automaton.aliases
        }

    def run(self) -> declarations.Module:
        tokens, at = self.tokens, 0
        while tokens[at].type != END:
            if self.feed(tokens[at]):
                at += 1
            else:
                at = self.recover(at)
        while not self.feed(tokens[at]):
            self.recover(at)
        module = self.values[-1]
        assert isinstance(module, declarations.Module)
        return module

    def feed(self, token: Token) -> bool:
        """Reduce as far as `token` asks for and shift it; False where it cannot follow."""
        states, stack, values, build = self.states, self.state_stack, self.values, self.build
        kind = token.type
        self.before = stack[:]  # a token that cannot follow may be noticed only after some reductions
        while True:
            action = states[stack[-1]].get(kind)
            if action is None:
                return False
            if type(action) is not Reduction:
                stack.append(action)
                values.append(token)
                return True
            size, symbol, alias = action
            if size == 1 and alias == "same":
                del stack[-1]
            elif size:
                values[-size:] = [build[alias](values[-size:])]
                del stack[-size:]
            else:
                values.append(build[alias]([]))
            top = states[stack[-1]][symbol]
            stack.append(top)
            if top == self.accepting:
                return True

    def recover(self, at: int) -> int:
        """Report tokens[at], drop what it interrupts, and find where to go on."""
        tokens = self.tokens
        taken = tokens[at - 1] if at > 1 and tokens[at - 2].type != SEP else None
        if taken is not None and taken is self.values[-1] and taken.first and begins_item(taken, tokens[at]):
            at -= 1  # a soft keyword, taken for a name
            self.state_stack.pop()
            self.values.pop()
            self.before = self.state_stack[:]
        expected = self.expected()
        brace = self.abandon()
        mistake = (brace.start if brace else -1, expected)
        if not tokens[at].inserted and not (expected == MEMBER and mistake in self.told):
            previous = tokens[at - 1] if at else None
            self.diagnostics.append(unexpected(self.builder.source, tokens[at], previous, expected))
            if expected == MEMBER or tokens[at].type in _RESTART or "STRUCT" in expected:
                self.structural.append(self.diagnostics[-1])
            self.told.add(mistake)
        assert self.feed(Token(ERROR, "", tokens[at].start, tokens[at].start, False))
        return self.resume(at, brace.depth + 1 if brace else 0)

    def abandon(self) -> Token | None:
        """Drop the innermost unfinished statement, member, arm or item; the brace that it stood in."""
        stack, values = self.state_stack, self.values
        closed = 0  # brackets that are complete in the text, though not yet reduced
        while closed or ERROR not in self.states[stack[-1]]:
            stack.pop()
            value = values.pop()
            if isinstance(value, Token):
                closed += (value.type in CLOSERS) - (value.type in OPENERS and closed > 0)
        return next((v for v in reversed(values) if isinstance(v, Token) and v.type == "LBRACE"), None)

    def resume(self, at: int, depth: int) -> int:
        """The first token from `at` on that ends what was abandoned, or begins the next, inside `depth` brackets."""
        for i in range(at, len(self.tokens)):
            token = self.tokens[i]
            if token.type == END or (token.type == SEP and token.depth == depth):
                return i
            if token.type == "RBRACE" and token.depth < depth:
                return i
            if token.first and token.depth == depth and i > self.restarted and self._restarts(i):
                self.restarted = i  # once: the same token may not fit there either
                assert self.feed(Token(SEP, "", token.start, token.start, False))
                return i
        raise AssertionError("tokens end with END")

    def expected(self) -> frozenset[str]:
        """The terminals that can follow: of those in the table, the ones that reductions lead to a shift of."""
        return frozenset(kind for kind in self.states[self.before[-1]] if self._shifts(kind))

    def _shifts(self, kind: str) -> bool:
        stack = self.before[:]
        while True:
            action = self.states[stack[-1]].get(kind)
            if action is None:
                return False
            if not isinstance(action, Reduction):
                return kind.isupper() and kind != ERROR
            if action.size:
                del stack[-action.size :]
            stack.append(self.states[stack[-1]][action.symbol])
            if stack[-1] == self.accepting:
                return kind == END

    def _restarts(self, i: int) -> bool:
        return self.tokens[i].type in _RESTART or begins_item(self.tokens[i], self.tokens[i + 1])
