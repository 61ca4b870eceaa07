"""No text leads to anything but a program or diagnostics: the tour with words lost or exchanged, and texts made to hurt."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from charl.compile import Options, compile_source
from charl.elaborate import elaborate
from charl.errors import CharlError, render
from charl.source import Source
from charl.syntax.automaton import tables
from charl.syntax.lexer import lex

TOUR = sorted((Path(__file__).resolve().parents[2] / "examples" / "tour").glob("*.ch"))

NASTY = {
    "empty": "",
    "a null byte": "fn f(x: f32) -> f32 = x\0",
    "line ends of Windows": "fn f(x: f32) -> f32 {\r\n    let y = x\r\n    y\r\n}\r\n",
    "a mark at the start": "\ufefffn f(x: f32) -> f32 = x\n",
    "letters of everywhere": "fn größe(ф: f32) -> f32 = ф // é \u202e",
    "an invisible space": "fn f(x:\u200bf32) = x",
    "brackets": "fn f(x: f32) -> f32 = " + "(" * 4000 + "x" + ")" * 4000,
    "braces": "fn f(x: f32) -> f32 = " + "{" * 4000 + "x" + "}" * 4000,
    "types": "fn f(x: " + "(" * 4000 + "f32" + ",)" * 4000 + ") = x",
    "prefixes": "fn f(x: f32) -> f32 = " + "-" * 4000 + "x",
    "branches": "fn f(x: f32) -> f32 = " + "if x > 0.0 { " * 400 + "x" + " } else { x }" * 400,
    "a long sum": "fn f(x: f32) -> f32 = " + " + ".join(["x"] * 3000),
    "a large number": "fn f(x: f32) -> f32 = x + " + "9" * 5000,
    "a large power": "const K = 2 ** 2 ** 2 ** 2 ** 2 ** 2",
    "a large dimension": "export fn f(x: f32[99999999999999999999]) -> f32 = sum(x)",
    "a large run": "fn f(x: f32) { let r = [x; 1000000000]\n 1.0 }",
    "many parameters": "fn f(" + ", ".join(f"x{i}: f32" for i in range(1500)) + ") -> f32 = x0",
    "types in circles": "type A = B\ntype B = A\nfn f(a: A) -> f32 = 1.0",
    "models in circles": "model A { a: [A; 2] }\nexport fn f(a: A) -> f32 = 1.0",
    "calls without end": "fn f(n: i32) -> i32 = n * f(n - 1)\nexport fn g(n: i32) -> i32 = f(n)",
}


def told(source: Source) -> list[str]:
    """The diagnostics of a text, rendered; none for a program."""
    try:
        elaborate(source)
    except CharlError as e:
        assert e.diagnostics
        return [render(d) for d in e.diagnostics]
    return []


@pytest.mark.parametrize("name", NASTY)
def test_nasty_texts(name: str) -> None:
    told(Source("nasty.ch", NASTY[name]))


def changed(text: str, words: list[str], rng: random.Random) -> str:
    """The text with one word deleted, doubled, exchanged with the next, replaced, or with a foreign one behind it."""
    tokens = [(t.start, t.end) for t in lex(Source("a.ch", text), tables().terminals).tokens]
    i = rng.randrange(len(tokens) - 1)
    (a, b), (c, d) = tokens[i], tokens[i + 1]
    return rng.choice(
        [
            text[:a] + text[b:],
            text[:b] + " " + text[a:b] + text[b:],
            text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:],
            text[:a] + rng.choice(words) + text[b:],
            text[:b] + " " + rng.choice(words) + text[b:],
        ]
    )


@pytest.mark.parametrize("path", TOUR, ids=[p.stem for p in TOUR])
def test_words_lost_doubled_and_exchanged(path: Path) -> None:
    """A small part of what was tried while this was written: several thousand texts."""
    rng = random.Random(path.stem)
    text = path.read_text(encoding="utf-8")
    words = [text[t.start : t.end] for t in lex(Source("a.ch", text), tables().terminals).tokens]
    for _ in range(25):
        mutant = text
        for _ in range(rng.choice((1, 1, 2))):
            mutant = changed(mutant, words, rng)
        told(Source(path.name, mutant))


def test_a_long_program_is_no_deep_one() -> None:
    """A value that is made of thousands of others: one kernel held all of it, and what walked its expression ran out of stack."""
    body = "".join("    y = y * 1.0001 + x\n" for _ in range(2900))
    text = f"export fn f(x: f32) -> f32 {{\n    let mut y = x\n{body}    y\n}}\n"
    made = compile_source(Source("many.ch", text), Options(targets=("c",)))
    assert "many.c" in made.files
