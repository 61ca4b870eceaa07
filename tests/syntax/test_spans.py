"""Where nodes stand: the text of a span is the text of the construct, and spans nest."""

from __future__ import annotations

from pathlib import Path

import pytest

from charl.syntax import ast, declarations
from tests.syntax.reading import expression, function, module

PROGRAMS = Path(__file__).parent / "programs"


def texts(node: ast.Node) -> set[str]:
    return {n.span.text for n in ast.walk(node)}


def test_expression_spans() -> None:
    tree = expression("f(a.b[0:n], (x + y) * -z)")
    assert {
        "f(a.b[0:n], (x + y) * -z)",
        "a.b[0:n]",
        "a.b",
        "0:n",
        "(x + y) * -z",
        "(x + y)",
        "-z",
        "x",
    } <= texts(tree)


def test_operator_span() -> None:
    tree = expression("aa  @  bb")
    assert isinstance(tree, ast.Binary)
    assert (tree.op_span.text, tree.op_span.column) == ("@", 14)


def test_declaration_spans() -> None:
    f = function("export fn f(mut x: f32[N, 64] = 1) -> f32[N] {\n    let (a, b): T = x\n}\n")
    found = texts(f)
    assert {"mut x: f32[N, 64] = 1", "f32[N, 64]", "f32[N]", "let (a, b): T = x", "(a, b)", "64"} <= found
    assert f.span.text.startswith("export fn") and f.span.text.endswith("}")


def test_member_spans() -> None:
    (item,) = module("model M {\n    param w: f32[2] = z() if c\n}\n").items
    assert isinstance(item, declarations.Model)
    assert item.fields[0].span.text == "param w: f32[2] = z() if c"
    assert item.fields[0].name.span.text == "w"


def test_lines_and_columns() -> None:
    f = function("fn f() {\n\tlet é_free = 1\n}\n".replace("é_", "e"))
    (let,) = f.body.statements
    assert (let.span.line, let.span.column) == (2, 2)


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.ch")), ids=lambda p: p.stem)
def test_spans_nest(path: Path) -> None:
    """A child lies inside its parent, and siblings follow each other."""
    for node in ast.walk(module(path.read_text(encoding="utf-8"))):
        for child in ast.children(node):
            assert node.span.start <= child.span.start < child.span.end <= node.span.end, (node, child)
        if isinstance(node, ast.Name):
            assert node.span.text == node.name
