"""Items, members, types and documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from charl.syntax import ast, declarations
from tests.syntax.reading import function, module, short

PROGRAMS = Path(__file__).parent / "programs"

TYPES = {
    "f32": "(NamedType f32)",
    "f32[N, 64]": "(TensorType f32 N 64)",
    "bool[]": "(TensorType bool)",
    "E[*S, d]": "(TensorType E (Pack S) d)",
    "f32[B, T, 3 * d / heads]": "(TensorType f32 B T (/ (* 3 d) heads))",
    "f32[ceil_div(a, b), net.vocab, prod(*S)]": "(TensorType f32 (ceil_div! a b) (. net vocab) (prod! (Pack S)))",
    "(f32, i32[N])": "(TupleType (NamedType f32) (TensorType i32 N))",
    "(f32)": "(NamedType f32)",
    "(f32,)": "(TupleType (NamedType f32))",
    "()": "(TupleType)",
    "[Block(d, heads); depth]": "(RunType (NamedType Block d heads) depth)",
    "[f32[N]; 3]": "(RunType (TensorType f32 N) 3)",
    "Dense(i, o, bias: false)": "(NamedType Dense i o bias:False)",
    "Adam<Digits>": "(NamedType Adam (NamedType Digits))",
    "Pair<A<B>, C>(n)": "(NamedType Pair (NamedType A (NamedType B)) (NamedType C) n)",
    "fn(f32[D]) -> f32[D]": "(FnType (FnTypeParam (TensorType f32 D)) (TensorType f32 D))",
    "fn(mut Net, f32)": "(FnType (FnTypeParam (NamedType Net)) (FnTypeParam (NamedType f32)))",
    "fn() -> fn() -> f32": "(FnType (FnType (NamedType f32)))",
}


@pytest.mark.parametrize("text", TYPES)
def test_type(text: str) -> None:
    (param,) = function(f"fn f(x: {text}) = x\n").params
    assert short(param.type) == TYPES[text]


def test_fn_type_keeps_mut() -> None:
    (param,) = function("fn f(g: fn(mut Net, f32)) = g\n").params
    assert isinstance(param.type, ast.FnType)
    assert [p.mut for p in param.type.params] == [True, False]


def test_function() -> None:
    f = function(
        "/// First.\n/// Second.\n"
        "export fn step<M, E: float>(mut net: M, x: E[*S] = 1, r) -> (M, E)"
        " where N <= 64, N % 4 == 0 {\n    x\n}\n"
    )
    assert f.export and not f.short
    assert f.docs == "First.\nSecond."
    assert [(g.name.name, g.bound and g.bound.name) for g in f.generics] == [("M", None), ("E", "float")]
    assert [(p.name.name, p.mut, short(p.type), short(p.default)) for p in f.params] == [
        ("net", True, "(NamedType M)", "-"),
        ("x", False, "(TensorType E (Pack S))", "1"),
        ("r", False, "-", "-"),
    ]
    assert short(f.returns) == "(TupleType (NamedType M) (NamedType E))"
    assert [short(w) for w in f.where] == ["(<= N 64)", "(== (% N 4) 0)"]


def test_short_function() -> None:
    f = function("fn f(x: f32[N],) -> f32[N] where N < 4 = x + 1\n")
    assert f.short and short(f.body.value) == "(+ x 1)" and f.body.statements == ()


def test_decorators() -> None:
    f = function("@gradient(of: relu)\n@inline fn g(x, result, ct) = ct\n")
    assert [(d.name.name, short(d.args)) for d in f.decorators] == [
        ("gradient", "[of:relu]"),
        ("inline", "[]"),
    ]
    assert f.span.text.startswith("@gradient")


def test_struct() -> None:
    (item,) = module(
        "/// Doc.\nstruct Cache<M>(B: int, d: int = 3) {\n    /// Keys.\n    k: f32[B, d]\n"
        "    n: i32 = 0, m: Grad<M>\n    fn init(net: M) = Cache(k: 1)\n}\n"
    ).items
    assert isinstance(item, declarations.Struct)
    assert (item.name.name, item.docs, [p.name.name for p in item.params]) == ("Cache", "Doc.", ["B", "d"])
    assert [(f.kind, f.name.name, short(f.type), short(f.default), f.docs) for f in item.fields] == [
        ("field", "k", "(TensorType f32 B d)", "-", "Keys."),
        ("field", "n", "(NamedType i32)", "0", ""),
        ("field", "m", "(NamedType Grad (NamedType M))", "-", ""),
    ]
    assert [m.name.name for m in item.methods] == ["init"]


def test_one_line_struct() -> None:
    (item,) = module("struct Rng { key: u32[2], counter: u32 }\n").items
    assert isinstance(item, declarations.Struct)
    assert [f.name.name for f in item.fields] == ["key", "counter"]


def test_model() -> None:
    (item,) = module(
        "model Dense(i: int, o: int, bias: bool = true) {\n"
        "    param w: f32[i, o] = glorot_uniform()\n"
        "    param b: f32[o] = zeros() if bias\n"
        "    state mean: f32[o] = zeros()\n"
        "    inner: Other(o) if bias\n"
        "    param: f32\n"  # the soft keywords are names too
        "    state: f32\n"
        "    layers: f32\n"
        "    fn forward(x: f32[*S, i]) -> f32[*S, o] = x @ w\n"
        "}\n"
    ).items
    assert isinstance(item, declarations.Model) and item.layers is None
    assert [(f.kind, f.name.name, short(f.default), short(f.condition)) for f in item.fields] == [
        ("param", "w", "(glorot_uniform!)", "-"),
        ("param", "b", "(zeros!)", "bias"),
        ("state", "mean", "(zeros!)", "-"),
        ("field", "inner", "-", "bias"),
        ("field", "param", "-", "-"),
        ("field", "state", "-", "-"),
        ("field", "layers", "-", "-"),
    ]


def test_layers() -> None:
    (item,) = module(
        "model M {\n    layers {\n        Dense(1, 2)\n        relu\n        |x| x * 2\n    }\n}\n"
    ).items
    assert isinstance(item, declarations.Model) and item.layers is not None
    assert [short(e) for e in item.layers.entries] == [
        "(Dense! 1 2)",
        "relu",
        "(Closure (ClosureParam (NamePattern x)) (* x 2))",
    ]
    (item,) = module("model M { layers { a, b, } }\n").items
    assert isinstance(item, declarations.Model) and item.layers is not None and len(item.layers.entries) == 2


def test_imports() -> None:
    tree = module('from nn import A, B as C\nfrom "../f.ch" import D,\n    E\n')
    first, second = tree.items
    assert isinstance(first, declarations.Import) and isinstance(second, declarations.Import)
    assert (first.module, first.is_path, first.module_span.text) == ("nn", False, "nn")
    assert [(n.name.name, n.alias and n.alias.name) for n in first.names] == [("A", None), ("B", "C")]
    assert (second.module, second.is_path, second.module_span.text) == ("../f.ch", True, '"../f.ch"')
    assert [n.name.name for n in second.names] == ["D", "E"]


def test_const_alias_test() -> None:
    const, typed, alias, general, test = module(
        "/// Ten.\nconst A = 10\nconst B: int = A\ntype Net = Model(1)\ntype Pair<M>(n: int) = (M, f32[n])\n"
        'test "t" { assert true }\n'
    ).items
    assert isinstance(const, declarations.Const) and (const.docs, short(const.value), const.type) == (
        "Ten.",
        "10",
        None,
    )
    assert isinstance(typed, declarations.Const) and short(typed.type) == "(NamedType int)"
    assert isinstance(alias, declarations.TypeAlias) and short(alias.type) == "(NamedType Model 1)"
    assert isinstance(general, declarations.TypeAlias) and [p.name.name for p in general.params] == ["n"]
    assert isinstance(test, declarations.Test) and (test.name.value, len(test.body.statements)) == ("t", 1)


def test_soft_keywords_as_names() -> None:
    words = ("model", "state", "param", "layers", "type", "from", "export", "test", "where", "of")
    for word in words:
        f = function(
            f"fn {word}({word}: f32) {{\n    let {word} = {word}.{word}({word}: {word})\n    {word}\n}}\n"
        )
        assert f.name.name == word and short(f.body.value) == word


def test_module_docs() -> None:
    tree = module(
        "//! One.\n//!\n//!   Two.\n\n/// of f\nfn f() = 1\n//// no doc\nfn g() = 1\n/* /// no doc */ fn h() = 1\n"
    )
    assert tree.docs == "One.\n\n  Two."
    assert [i.docs for i in tree.items if isinstance(i, declarations.Function)] == ["of f", "", ""]


def test_nested_comments() -> None:
    assert len(module("/* a /* b */ fn f() = 1 */\nfn g() = 2 // */\n").items) == 1


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.ch")), ids=lambda p: p.stem)
def test_programs(path: Path) -> None:
    """Whole programs: no error, and every item that begins a line is there."""
    text = path.read_text(encoding="utf-8")
    tree = module(text)
    heads = ("from ", "const ", "type ", "struct ", "model ", "fn ", "export fn ", "test ")
    assert len(tree.items) == sum(line.startswith(heads) for line in text.splitlines())
    assert tree.docs
