"""`charl check`: each warning where it belongs, none where the code is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from charl.cli import main
from charl.lint import warnings
from charl.source import Source
from charl.syntax import parse

ROOT = Path(__file__).parents[2]
PROGRAMS = [
    p
    for folder in ("charl/lib", "examples", "tests/syntax/programs", "benchmarks")
    for p in (ROOT / folder).rglob("*.ch")
]


def _found(text: str) -> list[tuple[str, str, int]]:
    """(code, what is underlined, line) of every warning."""
    module, diagnostics = parse(Source("a.ch", text))
    assert not diagnostics
    return [(d.code, d.span.text, d.span.line) for d in warnings(module) if d.span is not None]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: str(p.relative_to(ROOT)))
def test_none_in_our_own_programs(path: Path) -> None:
    assert _found(path.read_text()) == []


CASES = {
    "a variable": ("fn f(x) {\n let a = 1\n let b = a\n x\n}", [("W0740", "b", 3)]),
    "part of a pattern": ("fn f(x) {\n let (a, b) = x\n b\n}", [("W0740", "a", 2)]),
    "only written": ("fn f(x) {\n let mut a = x\n a = 2.0\n x\n}", [("W0740", "a", 2)]),
    "shadowed before it is used": ("fn f(x) {\n let a = x\n let a = 2\n a\n}", [("W0740", "a", 2)]),
    "the index of a loop": ("fn f(x) {\n for i in 0..3 { yield x }\n}", [("W0740", "i", 2)]),
    "of a closure": ("fn f(x) = map(|p, q| p)(x)", [("W0740", "q", 1)]),
    "meant": ("fn f(x, _y) {\n let (_a, b) = x\n for _ in 0..3 { yield b }\n}", []),
    "a parameter": ("fn f(x, y) = x\n", [("W0741", "y", 1)]),
    "of an export": ("export fn f(x: f32, y: f32) -> f32 { x }", []),
    "of a function that is passed on": ("fn g(x, y) = x\nfn f(x) = fold(g, x)", []),
    "of a method": ("struct S { a: f32\n fn f(x: f32) -> f32 = a }", []),
    "of a model": ("model M(d: int, e: int) { param w: f32[d] = zeros() }", [("W0741", "e", 1)]),
    "there for its shape": ("fn f(x: f32[N], y: f32[M]) -> f32[N] = zeros(N) + y[0]", []),
    "whose shape others have": ("fn f(x: f32[N], y: f32[N]) -> f32[N] = zeros(N) + y", [("W0741", "x", 1)]),
    "used in a shape": ("fn f(n: int, x: f32[n]) -> f32[n] = x", []),
    "an import": (
        "from nn import Dense, Dropout\nexport fn f(x: f32) -> f32 = Dense(x)",
        [("W0742", "Dropout", 1)],
    ),
    "an import under another name": (
        "from nn import Dense as D\nexport fn f(x: f32) -> f32 = x",
        [("W0742", "D", 1)],
    ),
    "an import that others import": ("from nn import Dense\nfn f(x) = x", []),
    "a function of a program": (
        "fn a(x) = b(x)\nfn b(x) = x\nfn c(x) = d(x)\nfn d(x) = x\nconst K = 3\nexport fn f(x: f32) -> f32 = a(x)",
        [("W0743", "c", 3), ("W0743", "d", 4), ("W0743", "K", 5)],
    ),
    "called as a method": ("fn a(x) = x\nexport fn f(x: f32) -> f32 = x.a()", []),
    "of a file to import from": ("fn a(x) = x", []),
    "a test uses it": ('fn a(x) = x\nexport fn f(x: f32) -> f32 = x\ntest "a" { assert a(1) == 1 }', []),
    "mut": ("fn f(x) {\n let mut a = x\n a\n}", [("W0744", "a", 2)]),
    "a mut parameter": ("fn f(mut x: f32) -> f32 = x", [("W0744", "x", 1)]),
    "changed in many ways": (
        "fn f(mut a: A, mut b: B, mut c: C, mut d: D, mut e: f32[3]) {\n"
        " a.update(1)\n b(1, rng: mut c)\n for p in leaves(d) { p = 2.0 }\n e[0] += 1.0\n}",
        [],
    ),
    "a swap": ("fn f(x) {\n let mut a = x\n let mut b = x\n (a, b) = (b, a)\n a + b\n}", []),
    "a dimension": ("fn f(x: f32[N]) {\n let N = 3\n x * N\n}", [("W0745", "N", 2)]),
    "a hyper-parameter": (
        "model M(d: int) {\n fn f(x: f32[d]) {\n for d in x { yield d }\n }\n}",
        [("W0745", "d", 3)],
    ),
    "the same letter elsewhere": ("fn f(x: f32[N]) = x\nfn g(x) {\n let N = 3\n x * N\n}", []),
    "one stream, drawn from in turn": (
        "fn f(mut r: Rng) {\n let a = normal(2, mut r)\n for _ in 0..3 { yield a + normal(2, mut r) }\n}",
        [],
    ),
    "a copy": (
        "fn f(mut r: Rng) {\n let mut c = r\n let a = normal(2, mut r)\n a + normal(2, mut c)\n}",
        [("W0746", "mut c", 4)],
    ),
    "given by value twice": ("fn f(r: Rng) = draw(r) + draw(r)", [("W0746", "r", 1)]),
    "drawn from after a split": (
        "fn f(mut r: Rng) {\n let [a, b] = split(r, 2)\n g(a, b) + normal(2, mut r)\n}",
        [("W0746", "mut r", 3)],
    ),
    "the same in every iteration": (
        "fn f(r: Rng) {\n for _ in 0..3 {\n let mut c = r\n yield normal(2, mut c)\n }\n}",
        [("W0746", "mut c", 4)],
    ),
    "in branches": ("fn f(r: Rng, c: bool) = if c { draw(r) } else { draw(r) }", []),
    "kept": ('fn f(mut r: Rng) {\n save("r", r)\n let a = normal(2, mut r)\n a\n}', []),
    "behind return": ("fn f(x) {\n return x\n x\n}", [("W0747", "x", 3)]),
    "behind branches that return": (
        "fn f(x) {\n if x { return 1 } else { return 2 }\n let y = x\n y\n}",
        [("W0747", "let y = x", 3)],
    ),
    "behind one branch that returns": ("fn f(x) {\n if x { return 1 }\n x\n}", []),
}


@pytest.mark.parametrize("name", CASES)
def test_warnings(name: str) -> None:
    text, expected = CASES[name]
    assert _found(text) == expected


# ---------------------------------------------------------------- the command

PROGRAM = "export fn f(x: f32[N]) -> f32[N] {\n    let a = 1\n    x\n}\n"


def _check(*args: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, args)])


def test_the_exit_status(tmp_path: Path) -> None:
    path = tmp_path / "a.ch"
    path.write_text(PROGRAM)
    warned = _check(tmp_path)
    assert (
        warned.exit_code == 0
        and "warning[W0740]" in warned.output
        and "1 warning; exports f" in warned.output
    )
    for denied in ("warnings", "W0740"):
        result = _check("--deny", denied, path)
        assert result.exit_code == 1 and "error[W0740]" in result.output
    assert _check("--deny", "W0741", path).exit_code == 0
    allowed = _check("--deny", "warnings", "--allow", "W0740", path)
    assert allowed.exit_code == 0 and "no mistakes" in allowed.output
    assert _check("--deny", "unused", path).exit_code == 2
    path.write_text(PROGRAM.replace("a =", "_a ="))
    assert "no mistakes" in _check("--deny", "warnings", path).output


def test_mistakes_come_first(tmp_path: Path) -> None:
    path = tmp_path / "a.ch"
    path.write_text(PROGRAM.replace("    x\n", "    y\n"))
    result = _check(path)
    assert result.exit_code == 1 and "W0740" not in result.output
