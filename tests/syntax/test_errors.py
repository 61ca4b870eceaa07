"""Syntax errors: one for each mistake, all of a file at once, the carets on the mistake, the exact words."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charl.errors import CODES, render
from charl.source import Source
from charl.syntax import declarations, parse
from tests.syntax.reading import errors, messages
from tests.work import calls

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.ch"))

# A line inside `fn f() { … }`, and what is said about it; the line is line 2.
LINES = {
    "let x 3": ["E0101 2:7-8 expected `:` or `=`, found the number `3`"],
    "let y = ": ["E0101 2:8-9 expected an expression after `=`"],
    "g(a b)": ["E0101 2:5-6 expected `,` or `)`, found the name `b`"],
    "g(a,, b)": ["E0101 2:5-6 expected an expression after `,`, found `,`"],
    "x +": ["E0101 2:4-5 expected an expression after `+`"],
    "x = Cache { k: 3 }": ["E0101 2:11-12 expected `}`, found `{`"],
    "if a { b } else c": ["E0101 2:17-18 expected `{`, found the name `c`"],
    "for i 0..3 { }": ["E0101 2:7-8 expected `in`, found the number `0`"],
    "|x x": ["E0101 2:4-5 expected `:`, `,` or `|`, found the name `x`"],
    "match x { 1 -> a }": ["E0101 2:13-15 expected `=>`, `|` or `..`, found `->`"],
    "x[1:2:3:4]": ["E0101 2:8-9 expected `,` or `]`, found `:`"],
    "f(a = 1)": ["E0119 2:5-6 `=` cannot stand inside an expression"],
    "if x = 3 { y }": ["E0119 2:6-7 `=` cannot stand inside an expression"],
    'let s = "abc': ["E0103 2:9-13 this string does not end on its line"],
    "let s = 'a b'": ["E0105 2:9-10 a string stands between double quotes, not `'`"],
    "a && b": ["E0105 2:3-5 `&` has no meaning in Charl"],
    "a ? b : c": ["E0105 2:3-4 `?` has no meaning in Charl"],
    "größe": ["E0105 2:3-6 `ö` (latin small letter o with diaeresis) has no meaning in Charl"],
    "\x01": ["E0105 2:1-2 `\\u0001` has no meaning in Charl"],
    "1.": ["E0106 2:1-3 a float has a digit on both sides of its dot"],
    "x + .5": ["E0106 2:5-7 a float has a digit on both sides of its dot"],
    "1.e5": ["E0106 2:1-5 a float has a digit on both sides of its dot"],
    "3x": ["E0106 2:1-3 `3x` is neither a number nor a name"],
    "1f32": ["E0106 2:1-5 `1f32` is neither a number nor a name"],
    "1e999": ["E0106 2:1-6 this number is larger than every f64"],
    "9" * 60: ["E0106 2:1-61 this number is too large for every element type"],
    "a < b < c": ["E0108 2:7-8 comparisons do not chain"],
    "a == b != c": ["E0108 2:8-10 comparisons do not chain"],
    "a + b = 3": ["E0109 2:1-6 this cannot be assigned to"],
    "f(x) += 3": ["E0109 2:1-5 this cannot be assigned to"],
    "x |> f + 1": ["E0110 2:6-11 the right side of `|>` is a function, a member or a call"],
    "var x = 3": ["E0111 2:1-4 Charl has no `var`"],
    "elif x { }": ["E0111 2:1-5 Charl has no `elif`"],
    "-" * 80 + "x": ["E0112 2:1-2 too many operators in one expression"],
    " + ".join("x" * 600): ["E0112 2:1-2 too many operators in one expression"],
    "x" + ".f()" * 300: ["E0112 2:1-402 too many calls in one expression"],
    '"a\\qb"': ["E0113 2:3-5 `\\q` is no escape sequence"],
    "g(a))": ["E0115 2:5-6 nothing is open that this `)` could close"],
    "let a = 1 let b = 2": ["E0116 2:11-14 expected the end of the statement, found `let`"],
    "let for = 1": ["E0117 2:5-8 `for` is a keyword and cannot be a name"],
    "g(a: 1, 2)": ["E0118 2:9-10 a positional argument follows a named one"],
    "g(x]": ["E0102 2:2-3 this `(` is never closed"],
    "let y = (x + 1": ["E0102 2:9-10 this `(` is never closed"],
    "(" * 120 + ")" * 120: ["E0112 2:100-101 more than 100 brackets are open here"],
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:24])
def test_line(line: str) -> None:
    assert messages(f"fn f() {{\n{line}\n}}\n") == LINES[line]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:24])
def test_other_statements_and_items_are_still_read(line: str) -> None:
    """A second mistake behind the first is found too, and the items around are whole."""
    text = f"fn before() = 1\nfn f() {{\n{line}\nlet 3 = x\n}}\nfn after() = 2\n"
    tree, found = parse(Source("test.ch", text))
    lines = [d.span.line for d in found if d.span is not None]
    deep_or_open = found[0].code == "E0112" and "brackets" in found[0].message
    swallows = found[0].code in ("E0102",) and line.startswith("let")
    if not deep_or_open:
        assert lines[0] == 3 and (swallows or lines[-1] == 4), [d.message for d in found]
        names = [i.name.name for i in tree.items if isinstance(i, declarations.Function)]
        assert names == ["before", "after"] and tree.broken == {"f"}


FILES = {
    "model M {\n  Dense(1, 2)\n  Dense(2, 3)\n}\n": ["E0101 2:8-9 expected `:`, found `(`"],
    "fn in(x: f32) = x\n": ["E0117 1:4-6 `in` is a keyword and cannot be a name"],
    "fn f(x: mut f32) = x\n": ["E0117 1:9-12 `mut` is a keyword and cannot be a name"],
    "fn f(x f32) = x\n": ["E0101 1:8-11 expected `:`, `=`, `,` or `)`, found the name `f32`"],
    "fn f(x: f32[N) = x\n": ["E0102 1:12-13 this `[` is never closed"],
    "fn f() -> = 3\n": ["E0101 1:11-12 expected a type after `->`, found `=`"],
    "fn (x) = 3\n": ["E0101 1:4-5 expected a name after `fn`, found `(`"],
    "fn f<M(x: M) = 3\n": ["E0101 1:7-8 expected `:`, `,` or `>`, found `(`"],
    "fn": ["E0101 1:3-4 expected a name after `fn`"],
    "fn f() {": ["E0102 1:8-9 this `{` is never closed"],
    "}": ["E0115 1:1-2 nothing is open that this `}` could close"],
    "from nn import\nfn g() = 1\n": ["E0101 1:15-16 expected a name after `import`"],
    "from nn Dense\n": ["E0101 1:9-14 expected `import`, found the name `Dense`"],
    "type A = \ntype B = f32[3]\n": ["E0101 1:9-10 expected a type after `=`"],
    "const A 3\n": ["E0101 1:9-10 expected `:` or `=`, found the number `3`"],
    "test foo { }\n": ["E0101 1:6-9 expected a string after `test`, found the name `foo`"],
    "export model M { }\n": ["E0101 1:8-13 expected `fn`, found the name `model`"],
    "def f(x) = x\n": ["E0120 1:1-4 expected an item, found the name `def`"],
    "x = 3\nfoo(1)\n": ["E0120 1:1-2 expected an item, found the name `x`"],
    "fn f() = 1 /* abc\n": ["E0104 1:12-14 this comment is never closed"],
    "struct S { param w: f32 }\n": ["E0114 1:12-24 a struct has no `param`"],
    "model M { layers { a }\nlayers { b } }\n": ["E0114 2:1-13 a model has one `layers`"],
    "model M { export fn f() = 1 }\n": ["E0114 1:21-22 a method cannot be exported"],
    "model M {\n  a: Dense(d\n  b: Dense(d)\n}\n": ["E0102 2:11-12 this `(` is never closed"],
    "fn f() {\n    for i in 0..3 {\n        x\n    x\n}\n\nfn g() = 3\n": [
        "E0102 2:19-20 this `{` is never closed"
    ],
    "fn f() {\n    g(x, [1, 2\n    let z = 3\n    z\n}\n": ["E0102 2:10-11 this `[` is never closed"],
    "fn f() { x[1 }\nfn g() { (a }\n": [
        "E0102 1:11-12 this `[` is never closed",
        "E0102 2:10-11 this `(` is never closed",
    ],
    "fn f() { if a { 1 } " + "else if b { 2 } " * 150 + "}": ["E0112 1:794-796 too many `else if`"],
}


@pytest.mark.parametrize("text", FILES, ids=lambda text: text[:24])
def test_file(text: str) -> None:
    assert messages(text) == FILES[text]


def test_every_code_of_syntax_is_provoked_here() -> None:
    given_ = {m.split()[0] for ms in [*LINES.values(), *FILES.values()] for m in ms} | {
        "E0107"
    }  # test_newlines
    assert given_ == {code for code in CODES if code.startswith("E01")}


def test_all_mistakes_of_a_file() -> None:
    text = """//! Five mistakes in five places.
const K =

model M(d: int) {
    a: Dense(d
    fn forward(x: f32[N]) {
        let y = x @@ a
        y
    }
}

struct S { state x: f32 }

fn f(x: f32[N]) {
    let a = g(x, 1 2)
    let b = if a < x < 3 { 1 } else { 2 }
    b
}

fn whole() = 1
"""
    assert messages(text) == [
        "E0101 2:10-11 expected an expression after `=`",
        "E0102 5:13-14 this `(` is never closed",
        "E0101 7:20-21 expected an expression after `@`, found `@`",
        "E0114 12:12-24 a struct has no `state`",
        "E0101 15:20-21 expected `,` or `)`, found the number `2`",
        "E0108 16:22-23 comparisons do not chain",
    ]
    tree = parse(Source("test.ch", text))[0]
    assert [i.name.name for i in tree.items if isinstance(i, declarations.Function)] == ["whole"]
    assert tree.broken == {"K", "M", "S", "f"}


def test_names_of_what_is_broken() -> None:
    tree = parse(Source("t", "from nn import A, B C\nfn g() = (\nconst D = 1\n"))[0]
    assert tree.broken == {"*", "g"} and len(tree.items) == 1


def test_what_is_no_program_is_refused_with_little_work() -> None:
    """The first hundred mistakes are told, in linear time."""
    for text in ("#é$", ")\n", "fn f() = x y\n", "x y\n", "fn f( {\n"):
        short, long = text * 200, text * 2_000
        assert 0 < len(errors(long)) <= 100
        assert calls(partial(errors, long)) < 11 * calls(partial(errors, short)) + 10_000
    found = errors("fn f() = x y\n" * 150)
    assert len(found) == 100 and found[-1].notes == ("50 more mistakes are left out",)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="fn letx=+-*/()[]{}<>|,:;.\"'\\\n 01é@#\t_", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    tree, found = parse(Source("test.ch", text))
    assert isinstance(tree, declarations.Module)
    for d in found:
        assert d.span is not None and 0 <= d.span.start <= d.span.end <= len(text)
        assert render(d).startswith(f"error[{d.code}]: ")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PROGRAMS),
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.sampled_from(["", "(", "}", "]", "=", "let"]),
)
def test_a_damaged_program(path: Path, at: int, size: int, insertion: str) -> None:
    """Whatever is cut out of a program or put into it, the parser ends, and reports few errors, not a cascade."""
    text = path.read_text(encoding="utf-8")
    at %= len(text)
    damaged = text[:at] + insertion + text[at + size :]
    tree, found = parse(Source("test.ch", damaged))
    assert len(found) <= 5, [d.message for d in found]
    if not found:
        assert not tree.broken
    else:
        assert tree.broken
    assert errors(damaged) == found


def test_mut_stands_before_the_name() -> None:
    found = parse(Source("mut.ch", "fn f(x: mut f32) = x\n"))[1]
    assert [d.help for d in found] == ["it stands before the name: `mut x: T`"]
