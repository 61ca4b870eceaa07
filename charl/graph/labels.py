"""What emitted code calls a value: after the name that the user gave it, else after the nearest name around its place.

Enters: a node. Leaves: a word such as `h`, `net.0.w`, `softmax`, `h_mul` (an operation inside of what is called so), `d_h`
(its derivative). Not unique: who emits makes it so.
"""

from __future__ import annotations

from typing import TypeVar

from charl.graph.ir import Node
from charl.source import Span

# What only shows another value.
_VIEWS = ("broadcast", "reshape", "transpose")
_WORDS = {"contract": "product", "neg": "negative", "broadcast": "fill"}


def label(node: Node) -> str:
    """A hint for identifiers that stand for `node`."""
    if node.name:
        return node.name
    if node.op == "item" and node.inputs[0].regions:
        return label(node.inputs[0].regions[0].results[node.attrs["position"]])
    if node.op in _VIEWS and node.inputs[0].op != "constant":
        return label(node.inputs[0])
    word = _WORDS.get(node.op) or node.op.removeprefix("reduce_")
    if node.span is None:
        return word
    return "d_" * node.span.order + (_around(node.span, word) or word)


_D = TypeVar("_D", Node, "Node | None")


def named_derivative(of: Node, derivative: _D) -> _D:
    """The cotangent or tangent of a value, named after that unless it has a name (or is the caller's, without inputs)."""
    if derivative is not None and derivative.name is None and derivative.inputs:
        derivative.name = f"d_{label(of)}"
    return derivative


def _around(span: Span, word: str) -> str:
    """The operation `word` after the names around its place; in the library also after what its function belongs to."""
    names = span.definitions
    function = next((d for d in reversed(names) if d.kind in ("function", "export", "rule")), None)
    if function is None:
        return _around(span.user, word) if span.user is not None else ""
    let = names[-1] if names[-1].kind == "let" else None
    whole = let is not None and let.value == (span.start, span.end)
    parts = [word]
    if let is not None and (whole or span.user is None):
        parts = [let.name] if whole or let.name == word else [let.name, word]
    if function.kind != "export" and (let is None or span.user is not None):
        owner = next((d.name.lower() for d in names if d.kind == "type"), "")
        methods = [owner] if owner and function.name == "forward" else [owner, function.name]
        parts = methods + parts
    return "_".join(filter(None, ["d" if function.kind == "rule" else "", *parts]))
