"""Reading Charl text in tests."""

from __future__ import annotations

from charl.errors import Diagnostic, render
from charl.source import Source
from charl.syntax import ast, declarations, parse


def module(text: str) -> declarations.Module:
    """A file that must be free of syntax errors."""
    tree, found = parse(Source("test.ch", text))
    assert not found, "\n".join(render(d) for d in found)
    return tree


def errors(text: str) -> list[Diagnostic]:
    return parse(Source("test.ch", text))[1]


def messages(text: str) -> list[str]:
    """`code line:column-end message` of every error; the columns are those that the carets cover."""
    out = []
    for d in errors(text):
        assert d.span is not None
        start, end = d.span.column, d.span.column + max(1, d.span.end - d.span.start)
        out.append(f"{d.code} {d.span.line}:{start}-{end} {d.message}")
    return out


def function(text: str) -> declarations.Function:
    (item,) = module(text).items
    assert isinstance(item, declarations.Function)
    return item


def expression(text: str) -> ast.Expr:
    value = function(f"fn f() = {text}\n").body.value
    assert value is not None
    return value


def statements(text: str) -> tuple[ast.Statement, ...]:
    """The statements of a body, its last expression included."""
    body = function("fn f() {\n" + text + "\n}\n").body
    last = () if body.value is None else (ast.ExprStatement(body.value.span, body.value),)
    return body.statements + last


def short(value: object) -> str:
    """A tree as an S-expression that reads like the language: `(+ a (* b 2))`."""
    match value:
        case None:
            return "-"
        case ast.Name():
            return value.name
        case ast.Int() | ast.Float() | ast.Bool():
            return str(value.value)
        case ast.Str():
            return repr(value.value)
        case ast.NoneValue():
            return "None"
        case ast.Binary():
            return f"({value.op} {short(value.left)} {short(value.right)})"
        case ast.Unary():
            return f"({value.op} {short(value.operand)})"
        case ast.Pipe():
            return f"(|> {short(value.value)} {short(value.function)})"
        case ast.Cast():
            return f"(as {short(value.value)} {value.to})"
        case ast.Member():
            return f"(. {short(value.value)} {value.name})"
        case ast.Call():
            return f"({short(value.callee)}! {' '.join(map(short, value.args))})".replace(" )", ")")
        case ast.Arg():
            mark = ("mut " if value.mut else "") + short(value.value)
            return f"{value.name}:{mark}" if value.name else mark
        case tuple():
            return f"[{' '.join(map(short, value))}]"
        case ast.Node():
            parts = " ".join(short(c) for c in ast.children(value))
            return f"({type(value).__name__}{' ' if parts else ''}{parts})"
    return repr(value)
