"""The newline rule, clause by clause."""

from __future__ import annotations

import pytest

from tests.syntax.reading import messages, module, short, statements

# One statement for every line that ends one.
SEPARATE = [
    "a\nb",
    "1\nb",
    "1.5\nb",
    '"s"\nb',
    "f()\nb",
    "x[0]\nb",
    "{ a }\nb",
    "true\nb",
    "false\nb",
    "None\nb",
    "a;b",
]


@pytest.mark.parametrize("text", SEPARATE)
def test_a_line_ends_after_what_can_end_a_statement(text: str) -> None:
    assert len(statements(text)) == 2


def test_return_ends_a_line() -> None:
    assert [short(s) for s in statements("return\nx")] == ["(Return)", "(ExprStatement x)"]


def test_a_type_ends_a_line() -> None:
    tree = module("struct S<M> {\n    m: Grad<M>\n    n: f32\n}\n")
    assert len(tree.items) == 1


@pytest.mark.parametrize(
    "text", ["a +\nb", "a *\n\n// comment\nb", "f(\na\n,\nb\n)", "x[\n0\n]", "[a\n, b\n]", "not\na"]
)
def test_other_tokens_go_on(text: str) -> None:
    assert len(statements(text)) == 1


def test_brackets_inside_brackets() -> None:
    """In braces inside parentheses lines end again, in parentheses inside those they do not."""
    (call,) = statements("f(|x| {\n    let y = x\n    g(y\n    , 1)\n}\n, 2)")
    assert (
        short(call)
        == "(ExprStatement (f! (Closure (ClosureParam (NamePattern x)) (Block (Let (NamePattern y) x) (g! y 1))) 2))"
    )


@pytest.mark.parametrize(
    "text, structure",
    [
        ("x\n|> f\n\n    // why\n    |> g", "(|> (|> x f) g)"),
        ("x\n    .sum()\n    .T", "(. ((. x sum)!) T)"),
        ("if c { a }\nelse { b }", "(If c (Block a) (Block b))"),
        (
            "if c { a }\n/* why */ else if d { b }\n\nelse { e }",
            "(If c (Block a) (If d (Block b) (Block e)))",
        ),
    ],
)
def test_lines_that_continue(text: str, structure: str) -> None:
    (only,) = statements(text)
    assert short(only) == f"(ExprStatement {structure})"


def test_a_line_may_begin_with_a_negative_value() -> None:
    assert [short(s) for s in statements("a\n-b")] == ["(ExprStatement a)", "(ExprStatement (- b))"]


@pytest.mark.parametrize("op", ["- ", "+", "*", "/", "%", "**", "==", "<", "and", "or", "as", "@ "])
def test_a_line_may_not_begin_with_an_operator(op: str) -> None:
    (message,) = messages(f"fn f() {{\n    a\n    {op} b\n}}\n")
    end = 5 + len(op.strip())
    assert message == f"E0107 3:5-{end} a line cannot begin with `{op if op == '- ' else op.strip()}`"


def test_an_operator_may_begin_a_line_inside_parentheses() -> None:
    assert len(statements("(a\n- b\n+ c)")) == 1


def test_carriage_returns_tabs_and_a_byte_order_mark() -> None:
    tree = module("\ufefffn f() {\r\n\tlet a = 1\r\n\ta\r\n}\r\n\r\nfn g() = 1")
    assert len(tree.items) == 2


def test_separators_at_the_edges() -> None:
    assert len(statements(";a;;b;")) == 2
    assert module("").items == module("\n\n // nothing\n").items == ()
