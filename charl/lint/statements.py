"""Statements behind one that leaves: they are never run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from charl.errors import Diagnostic, Label
from charl.lint.codes import W_UNREACHABLE, warning
from charl.syntax import ast


def unreachable(blocks: Iterable[ast.Block]) -> Iterator[Diagnostic]:
    """A warning for the first statement of every block that cannot be reached."""
    for node in blocks:
        rest: list[ast.Node] = [*node.statements, *([node.value] if node.value is not None else [])]
        for statement, following in pairwise(rest):
            if _leaves(statement):
                label = Label(statement.span, "this always leaves")
                yield warning(W_UNREACHABLE, "this is never reached", following.span, "remove it", (label,))
                break


def _leaves(node: ast.Node | None) -> bool:
    """Whether what follows `node` in its block cannot be reached."""
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, ast.ExprStatement):
        return _leaves(node.value)
    if isinstance(node, ast.If):
        return node.otherwise is not None and _leaves(node.then) and _leaves(node.otherwise)
    if isinstance(node, ast.Block):
        return any(map(_leaves, node.statements)) or _leaves(node.value)
    if isinstance(node, ast.Match):
        return all(_leaves(arm.body) for arm in node.arms)
    return False
