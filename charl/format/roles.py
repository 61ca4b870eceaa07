"""What a token alone does not say, from the AST: which `-` is binary, which `<` opens type arguments, what a brace holds.

Enters the tree and its tokens, leaves sets of places in the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from charl.syntax import ast, declarations
from charl.syntax.tokens import Token


@dataclass
class Roles:
    """Starts of tokens. `binary`: operators between two operands. `bars`: the first `|` of a closure to its last one.
    `slices`: where an index item that is a slice begins. `names`: soft keywords that are names. `lists`: braces whose
    entries may be separated by commas. `ones`: `(` of tuples of one element."""

    binary: set[int] = field(default_factory=set)
    bars: dict[int, int] = field(default_factory=dict)
    slices: set[int] = field(default_factory=set)
    names: set[int] = field(default_factory=set)
    lists: set[int] = field(default_factory=set)
    ones: set[int] = field(default_factory=set)


def roles(module: declarations.Module, tokens: list[Token]) -> Roles:
    """The roles of a file's tokens (without separators)."""
    return _Finder(tokens).run(module)


class _Finder:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = {token.start: i for i, token in enumerate(tokens)}
        self.ending = {token.end: i for i, token in enumerate(tokens) if token.text}
        self.out = Roles()

    def run(self, module: declarations.Module) -> Roles:
        out = self.out
        for node in ast.walk(module):
            if isinstance(node, ast.Name):
                out.names.add(self._first(node, "LPAR"))
            elif isinstance(node, ast.Binary):
                out.binary.add(node.op_span.start)
            elif isinstance(node, ast.Slice):
                out.slices.add(node.span.start)
            elif isinstance(node, ast.Closure):
                self._bars(node)
            elif isinstance(node, ast.Match):
                out.lists.add(self.tokens[self.at[node.arms[0].span.start] - 1].start)
            elif isinstance(node, (declarations.Struct, declarations.Model, declarations.Layers)):
                self._brace(node)
            elif isinstance(node, ast.Tuple) and len(node.elements) == 1:
                out.ones.add(self.tokens[self.at[node.elements[0].span.start] - 1].start)
            elif isinstance(node, (ast.TupleType, ast.TuplePattern)) and len(node.elements) == 1:
                out.ones.add(self._first(node, "MUT"))
        return out

    def _first(self, node: ast.Node, skipped: str) -> int:
        """The start of the first token of `node` that is not `skipped`."""
        i = self.at[node.span.start]
        while self.tokens[i].type == skipped:
            i += 1
        return self.tokens[i].start

    def _bars(self, node: ast.Closure) -> None:
        found: list[int] = []
        i = self.at[node.span.start]
        while len(found) < 2:
            if self.tokens[i].type == "VBAR":
                found.append(self.tokens[i].start)
            i += 1
        self.out.bars[found[0]] = found[1]

    def _brace(self, node: ast.Node) -> None:
        """The `{` that the last `}` of `node` closes."""
        i = self.ending[node.span.end]
        depth = 0
        while True:
            depth += (self.tokens[i].type == "RBRACE") - (self.tokens[i].type == "LBRACE")
            if not depth:
                break
            i -= 1
        self.out.lists.add(self.tokens[i].start)
