"""`charl fmt`: the canonical text, what it keeps, and what a run of it leaves behind."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from charl.cli import main
from charl.errors import CharlError
from charl.format import format_source
from charl.format.comments import comments
from charl.format.doc import WIDTH
from charl.source import Source
from charl.syntax import ast, parse
from charl.syntax.automaton import tables
from charl.syntax.layout import arrange
from charl.syntax.lexer import lex
from charl.syntax.tokens import SEP
from tests.format.variants import variant

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "charl/lib",
    "examples",
    "tests/syntax/programs",
    "tests/loops_runtime",
    "benchmarks",
    "tests/format",
)
PROGRAMS = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.ch"))
VARIANTS = int(os.environ.get("CHARL_FORMAT_VARIANTS", "40"))  # 1000 take a few minutes


def _formatted(text: str) -> str:
    return format_source(Source("a.ch", text))


def _tree(text: str) -> str:
    module, diagnostics = parse(Source("a.ch", text))
    assert not diagnostics, diagnostics
    return ast.dump(module)


def _comments(text: str) -> list[str]:
    tokens = arrange(lex(Source("a.ch", text), tables().terminals))[0]
    return comments(text, [token for token in tokens if token.type != SEP])


def _check(text: str) -> None:
    made = _formatted(text)
    assert _tree(made) == _tree(text)
    assert sorted(_comments(made)) == sorted(_comments(text))
    assert _formatted(made) == made
    assert not any(line != line.rstrip() for line in made.split("\n"))
    assert made.endswith("\n") or not made


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_programs_keep_their_meaning(path: Path) -> None:
    _check(path.read_text())


def test_variants() -> None:
    """Random white space, line ends and comments: seeded, so that a failure can be repeated."""
    texts = {path: path.read_text() for path in PROGRAMS}
    trees = {path: _tree(text) for path, text in texts.items()}
    for seed in range(VARIANTS):
        rng = random.Random(seed)
        path = PROGRAMS[seed % len(PROGRAMS)]
        text = variant(Source(str(path), texts[path]), rng)
        assert _tree(text) == trees[path], f"variant {seed} of {path} is another program"
        try:
            _check(text)
        except Exception as e:
            raise AssertionError(f"variant {seed} of {path}") from e


# ---------------------------------------------------------------- the form


def test_lines_that_fit_are_joined_and_others_are_split() -> None:
    text = "fn f(a: f32[N],\n     b: f32[N]) -> f32[N] {\n  g(a,\n  b)\n}\n"
    assert _formatted(text) == "fn f(a: f32[N], b: f32[N]) -> f32[N] {\n    g(a, b)\n}\n"
    long = f"fn f(x) = g({', '.join(f'argument_{i} + 1' for i in range(12))})\n"
    made = _formatted(long)
    assert made.startswith("fn f(x) =\n    g(\n        argument_0 + 1,\n")
    assert made.endswith("        argument_11 + 1,\n    )\n")
    assert all(len(line) <= WIDTH for line in made.splitlines())


def test_layouts_that_a_person_chose_stay() -> None:
    text = "fn f(x) {\n    x\n        |> g\n        |> h(2)\n}\n"
    assert _formatted(text) == text
    text = "fn f(x) {\n    let y = x.reshape(2, 3)\n        .transpose(1, 0)\n    if a { y } else { x }\n}\n"
    assert _formatted(text) == text


def test_spaces() -> None:
    text = "fn f<E:float>( x:E[ *S ],n :int=3 )->E[*S]{ x[ : ,t : t+1 ]* - 2**n+( |a,b|a@b )(x,not y) }\n"
    made = (
        "fn f<E: float>(x: E[*S], n: int = 3) -> E[*S] { x[:, t:t+1] * -2 ** n + (|a, b| a @ b)(x, not y) }\n"
    )
    assert _formatted(text) == made


def test_entries_of_braces() -> None:
    text = "struct S { a: f32, b: i32 }\nmodel M { layers { Dense(1, 2), relu } }\nfn f(n) = match n {0=>1,_=>2}\n"
    made = (
        "struct S { a: f32, b: i32 }\n\nmodel M { layers { Dense(1, 2), relu } }\n\n"
        "fn f(n) = match n { 0 => 1, _ => 2 }\n"
    )
    assert _formatted(text) == made
    assert _formatted("struct S {\n a: f32,\n\n\n b: i32 }\n") == "struct S {\n    a: f32\n\n    b: i32\n}\n"


def test_comments_stay_where_they_belong() -> None:
    text = (
        "//! The file.\n\n\n// Above.\n/// Documents f.\nfn f(x) { // behind\n let a = 1 /* inside */ + x // one\n"
        "  let bcd = 2   // two\n\n  // before the end\n}\n/* at the\n   end */"
    )
    made = (
        "//! The file.\n\n// Above.\n/// Documents f.\nfn f(x) {  // behind\n    let a = 1 /* inside */ + x  // one\n"
        "    let bcd = 2                 // two\n\n    // before the end\n}\n/* at the\n   end */\n"
    )
    assert _formatted(text) == made


def test_an_empty_file() -> None:
    assert _formatted("") == "" == _formatted("\n\n  \n")


def test_a_syntax_error_is_reported() -> None:
    with pytest.raises(CharlError):
        _formatted("fn f(x = x")


# ---------------------------------------------------------------- the command


def _charl(*args: object, **more: str) -> Result:
    return CliRunner().invoke(main, ["fmt", *map(str, args)], **more)  # type: ignore[arg-type]


def test_files_folders_and_standard_input(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "a.ch").write_text("fn f( x )=x\n")
    (inner / "b.ch").write_text("fn g(x) = x\n")
    os.chmod(tmp_path / "a.ch", 0o640)
    checked = _charl("--check", tmp_path)
    assert checked.exit_code == 1 and "would change" in checked.output and "1 of 2" in checked.output
    shown = _charl("--diff", tmp_path)
    assert shown.exit_code == 1 and "-fn f( x )=x\n+fn f(x) = x\n" in shown.output
    assert (tmp_path / "a.ch").read_text() == "fn f( x )=x\n"
    assert _charl(tmp_path).exit_code == 0
    assert (tmp_path / "a.ch").read_text() == "fn f(x) = x\n"
    assert (tmp_path / "a.ch").stat().st_mode & 0o777 == 0o640
    assert _charl("--check", tmp_path).exit_code == 0
    assert _charl("-", input="fn f( x )=x").output == "fn f(x) = x\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ch", "inner"]


def test_what_is_wrong_leaves_files_alone(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.ch", tmp_path / "good.ch"
    bad.write_text("fn f(x = x")
    good.write_text("fn  f(x) = x\n")
    result = _charl(tmp_path)
    assert result.exit_code == 1 and "E0102" in result.output
    assert bad.read_text() == "fn f(x = x" and good.read_text() == "fn f(x) = x\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "E0740" in _charl(empty).output
    assert "E0701" in _charl(tmp_path / "missing.ch").output


def test_a_file_that_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ch"
    path.write_text("fn  f(x) = x\n")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = _charl(path)
    assert result.exit_code == 1 and "E0741" in result.output and "No space left" in result.output
    assert path.read_text() == "fn  f(x) = x\n" and len(list(tmp_path.iterdir())) == 1
