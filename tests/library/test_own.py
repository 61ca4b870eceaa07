"""A user's own layer, optimizer and schedule, outside the package, become the same code as the library's."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from charl.compile import Options, compile_file
from charl.elaborate import modules

PROGRAM = """{imports}
model Net {{
    one: Dense(6, 5, activation: tanh)
    norm: LayerNorm(5)
    two: Dense(5, 1)

    fn forward(x: f32[N, 6]) -> f32[N, 1] = two(norm(one(x)))
}}

fn cost(net: Net, x: f32[N, 6], y: f32[N]) -> f32 = huber(net(x)[:, 0], y)

export fn step(mut net: Net, mut adam: Adam<Net>, x: f32[N, 6], y: f32[N], t: i32, lr: f32) -> f32 {{
    let (loss, g) = value_and_grad(cost)(net, x, y)
    adam.update(mut net, clip_by_norm(g, 1.0), lr: cosine_decay(t, lr, 100))
    loss
}}
"""
LIBRARY = """from nn import Dense
from norm import LayerNorm
from optim import Adam, clip_by_norm
from schedule import cosine_decay
"""
OWN = {
    "layers.ch": (("nn", "Dense"), ("norm", "LayerNorm")),
    "steps.ch": (
        ("optim", "decayed"),
        ("optim", "seen"),
        ("optim", "like"),
        ("optim", "global_norm"),
        ("optim", "adapted"),
        ("optim", "Adam"),
        ("optim", "clip_by_norm"),
    ),
    "rates.ch": (("schedule", "cosine_decay"), ("schedule", "part"), ("loss", "huber")),
}


def text_of(module: str, name: str) -> str:
    """A declaration as the library has it."""
    found = modules.library(module)
    assert found is not None
    (item,) = (i for i in found.ast.items if getattr(getattr(i, "name", None), "name", "") == name)
    return item.span.text


def code(source: Path) -> list[str]:
    """The functions of a program's C without comments and hashes, every name by the number of its first use in its function, or
    since it was declared again in another block.
    """
    compiled = compile_file(source, Options(targets=("c",)))
    (text,) = (data.decode() for name, data in compiled.files.items() if name.endswith("net.c"))
    text = re.sub(r"/\*.*?\*/|//[^\n]*|\"[^\"\n]*\"", "", text, flags=re.S)
    return [_numbered(part) for part in text.split("\n}\n")]


def _numbered(part: str) -> str:
    numbers: dict[str, str] = {}
    fresh = map("n{}".format, itertools.count())

    def number(found: re.Match[str]) -> str:
        kind, member, name = found.groups()
        if member:  # which a variable may be called like
            return member + (numbers.get(member + name) or numbers.setdefault(member + name, next(fresh)))
        if kind:
            numbers[name] = next(fresh)
            return f"{kind} {numbers[name]}"
        return numbers.get(name) or numbers.setdefault(name, next(fresh))

    part = re.sub(r"(?:\b(float|bool|ptrdiff_t|vf32|vm32)\s+|(->|\.)|\b)([A-Za-z_]\w*)", number, part)
    return " ".join(part.split()).replace("( ", "(")  # where lines break depends on how long names are


def test_own_code_is_as_good_as_the_library(tmp_path: Path) -> None:
    heads = {"library": LIBRARY, "own": ""}
    for file, entries in OWN.items():
        (tmp_path / file).write_text("\n\n".join(text_of(m, n) for m, n in entries) + "\n")
        heads["own"] += f'from "../{file}" import {", ".join(n for _, n in entries)}\n'
    built = {}
    for kind, head in heads.items():
        (tmp_path / kind).mkdir()
        source = tmp_path / kind / "net.ch"
        source.write_text(PROGRAM.format(imports=head))
        built[kind] = code(source)
    assert len(built["own"]) > 20 and built["own"] == built["library"]
