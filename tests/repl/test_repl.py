"""`charl repl`, as a person at a terminal uses it, and its session without one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest

from charl.errors import CharlError
from charl.repl.commands import command
from charl.repl.reading import incomplete
from charl.repl.session import Session
from charl.repl.terminal import answer, completions


class Terminal:
    """A REPL in a pseudo-terminal, and the screen that a person would see."""

    def __init__(self, home: Path, *args: str) -> None:
        env = {**os.environ, "XDG_STATE_HOME": str(home), "TERM": "xterm", "NO_COLOR": "1"}
        self.screen = pyte.Screen(100, 60)
        self.stream = pyte.ByteStream(self.screen)
        command = [sys.executable, "-m", "charl", "repl", *args]
        self.child = pexpect.spawn(command[0], command[1:], env=env, dimensions=(60, 100), timeout=60)
        self.wait("charl>")

    def read(self) -> str:
        try:
            data = self.child.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return self.text()
        if b"\x1b[6n" in data:  # it asks where the cursor is
            self.child.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")
        self.stream.feed(data)
        return self.text()

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait(self, wanted: str, seconds: float = 60.0) -> str:
        end = time.monotonic() + seconds
        while wanted not in self.read():
            assert time.monotonic() < end, f"no {wanted!r} in\n{self.text()}"
        return self.text()

    def type(self, keys: str, wanted: str) -> str:
        """Type, and wait for what must appear."""
        self.child.send(keys)
        return self.wait(wanted)

    def close(self) -> None:
        self.type("\x03", "charl>")
        self.child.send("\x04")
        self.child.expect(pexpect.EOF)
        self.child.close()


def test_a_person_at_a_terminal(tmp_path: Path) -> None:
    repl = Terminal(tmp_path)
    repl.type("let start: f32[2] = [1.0, 2.0]\r1 + 2\r", "\n3\n")
    repl.type("fn area(x: f32[N]) -> f32 {\r", "   ...")  # a definition of several lines
    repl.type("sum(x * x)\r", "sum(x * x)")
    repl.type("}\r", "defined area")
    repl.type("are\t", "charl> area")  # completion of a name
    repl.type("(star\t", "charl> area(start")
    repl.type(")\r", "5 : f32[]")
    repl.type("area(missing)\r", "error[E0301]")  # a mistake
    repl.type("area(start) + 1\r", "6 : f32[]")  # which does not lose the session
    repl.type(":type area(start)\r", "\nf32[]\n")
    repl.type("struct Point { x: f32, height: f32 }\r", "defined Point")
    repl.type("let p = Point(x: 1.0, height: 7.5)\rp.h\t", "charl> p.height")  # a member
    repl.type("\r", "7.5 : f32[]")
    repl.type("let abandoned = 3\x03", "charl>")  # Ctrl-C drops the line
    repl.type("abandoned\r", "`abandoned`")
    repl.close()
    again = Terminal(tmp_path)  # what was typed is known the next day
    again.type("\x1b[A\x1b[A", "charl> p.height")
    again.close()


def test_a_file_is_there_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.ch"
    path.write_text("/// Twice.\nfn twice(x: f32[N]) -> f32[N] = 2.0 * x\n")
    lines = "twice([1.0, 2.0])\n:quit\ntwice([3.0])\n"
    ran = subprocess.run(
        [sys.executable, "-m", "charl", "repl", str(path)], input=lines, capture_output=True, text=True
    )
    assert ran.returncode == 0 and ran.stdout.strip() == "[2. 4.] : f32[2]", ran.stdout + ran.stderr


# ---------------------------------------------------------------- the session


@pytest.fixture
def session() -> Session:
    return Session()


def _error(session: Session, text: str) -> str:
    with pytest.raises(CharlError) as e:
        command(session, text) if text.startswith(":") else session.run(text)
    return str(e.value)


def test_statements_and_expressions(session: Session) -> None:
    assert session.run("let x: f32[2] = [1.0, 2.0]") == []
    assert session.run("let mut y = x\ny[0] = 5.0\ny + x") == ["[6. 4.] : f32[2]"]
    assert session.run("y") == ["[5. 2.] : f32[2]"]
    assert session.run("for i in 0..2 { print(i) }") == ["0", "1"]
    assert session.run('print("a", 1)') == ["a 1"]
    assert session.run(
        "let mut r = seeded(1)\nlet a = normal([2], mut r)\nlet b = normal([2], mut r)\na == b"
    ) == ["[False False] : bool[2]"]


def test_definitions_replace_each_other(session: Session) -> None:
    session.run("fn f(x: f32) -> f32 = x + 1.0")
    session.run("fn g(x: f32) -> f32 = f(x)")
    assert session.run("g(1.0)") == ["2 : f32[]"]
    assert session.run("fn f(x: f32) -> f32 = x + 2.0") == ["defined f"]
    assert session.run("g(1.0)") == ["3 : f32[]"]
    session.run("from nn import Dense\nmodel M { layers { Dense(2, 3, activation: relu) } }")
    shown = session.run("let mut r = seeded(1)\nlet net = M.init(mut r)\nnet")
    assert shown == ["M\n  0.w: f32[2, 3]\n  0.b: f32[3]"]
    assert session.run("sum(net([1.0, 2.0])) >= 0.0") == ["True : bool[]"]


def test_a_mistake_changes_nothing(session: Session) -> None:
    session.run("let mut x = 1.0 as f32")
    session.run("fn f(x: f32) -> f32 = x")
    text = _error(session, "x = 2.0\nx + missing")
    assert "E0301" in text and "<3>:2:5" in text and "x + missing" in text
    assert session.run("x") == ["1 : f32[]"]
    _error(session, "fn f(x: f32) -> f32 = missing")
    assert session.run("f(x)") == ["1 : f32[]"]
    _error(session, "let = 3")
    _error(session, "return x")
    _error(session, "fn f(")
    assert session.run("x") == ["1 : f32[]"]


def test_commands(session: Session) -> None:
    session.run("fn cube(x: f32[N]) -> f32 = sum(x ** 3)")
    session.run("let x: f32[2] = [1.0, 2.0]")
    assert command(session, ":type cube(x)") == ["f32[]"]
    assert command(session, ":type cube") == ["the function `cube`"]
    assert command(session, ":grad cube(x)") == ["[ 3. 12.] : f32[2]"]
    assert command(session, ":grad cube")[0].startswith("graph gradient_of_cube {\n  %0: f32[N] = parameter")
    assert "reduce_sum" in command(session, ":graph cube")[0]
    assert "mul" in command(session, ":graph x * x")[0]
    assert ":grad f" in command(session, ":help")[1] + "".join(command(session, ":help"))
    assert "cube: the function `cube`" in command(session, ":names")
    for wrong in (
        ":typo x",
        ":type",
        ":type let a = 1",
        ":grad 3",
        ":graph 3",
        ":load missing.ch",
        ":type missing",
    ):
        _error(session, wrong)
    session.run("fn same(x) = x")
    assert "depends on what `x` is" in _error(session, ":graph same")


def test_loading_a_file(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "a.ch"
    path.write_text("const K = 3\nfn times(x: f32) -> f32 = K * x\n")
    assert "times" in command(session, f":load {path}")[0]
    assert session.run("times(2.0)") == ["6 : f32[]"]
    path.write_text("fn times(x: f32) -> f32 = missing\n")
    _error(session, f":load {path}")
    assert session.run("times(2.0)") == ["6 : f32[]"]


def test_completion(session: Session) -> None:
    session.run("let weight = 1.0")
    session.run("fn weigh(x: f32) -> f32 = x")
    session.run("struct P { width: f32\n fn wide() -> f32 = width }")
    session.run("let p = P(width: 1.0)\nlet t: f32[1] = [1.0]")

    def found(text: str) -> list[str]:
        return [name for name, _ in completions(session, text)]

    assert found("weig") == ["weigh", "weight"]
    assert found("1 + p.w") == ["width", "wide"]
    assert "reshape" in found("t.resh") and "softmax" in found("softm") and "match" in found("mat")
    assert found(":gr") == [":grad", ":graph"]
    assert found("nothing.") == []


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("fn f(x) {", True),
        ("fn f(x) {\n x\n}", False),
        ("let x = ", True),
        ("x |>", True),
        ("1 +", True),
        ("f(1,", True),
        ("/* a comment", True),
        ("x", False),
        ("f(1))", False),
        ("", False),
    ],
)
def test_where_more_lines_must_follow(text: str, more: bool) -> None:
    assert incomplete(text) is more


def test_a_defect_does_not_end_the_session(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: Any) -> Any:
        raise ValueError("broken")

    monkeypatch.setattr(session, "run", broken)
    assert answer(session, "1 + 1")
    assert "defect of Charl" in capsys.readouterr().out
    assert not answer(session, ":quit")
