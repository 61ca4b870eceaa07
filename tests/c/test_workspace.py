"""Pointers into the workspace: each is where the plan put its place, whatever the sizes."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from charl import dims
from charl.backends.c.names import Namer
from charl.backends.c.scalars import c_size
from charl.backends.c.workspace import Workspace
from charl.graph.ir import Size
from charl.plan.arena import aligned

B, T = dims.sym("B"), dims.sym("T")
WIDE, NARROW, SQUARE = aligned(768 * 4 * B * T), aligned(4 * B * T), aligned(4 * T * T)


def evaluated(workspace: Workspace, offset: Size, env: dict[str, int]) -> int:
    names: dict[str, int] = {**env, "arena": 0}
    function = {"size_ceildiv": lambda a, b: -(-a // b)}
    for line in workspace.declarations:
        name, value = re.fullmatch(
            r"(?:unsigned char|const ptrdiff_t) ?\*?(?:const )?(\w+) = (.*);", line
        ).groups()
        names[name] = eval(value, function, names)
    return eval(workspace.at(offset), function, names)


@pytest.mark.parametrize("env", [{"B": 1, "T": 1}, {"B": 3, "T": 50}, {"B": 0, "T": 7}])
def test_every_place_is_where_the_plan_put_it(env: dict[str, int]) -> None:
    offsets: list[Size] = [0]
    for k in range(24):
        offsets.append(offsets[-1] + (WIDE, NARROW, SQUARE, NARROW)[k % 4])
    workspace = Workspace(offsets, lambda s: c_size(s, {}), Namer(["arena"]))
    assert [evaluated(workspace, o, env) for o in offsets] == [dims.evaluate(o, env) for o in offsets]
    # a size that recurs is computed once
    words = Counter(w for line in workspace.declarations for w in re.findall(r"size_ceildiv\([^)]*\)", line))
    assert max(words.values()) <= 2, workspace.declarations


def test_what_is_short_stands_where_it_is_used() -> None:
    offsets: list[Size] = [0, 3072 * B * T, 128, NARROW]
    workspace = Workspace(offsets, lambda s: c_size(s, {}), Namer(["arena"]))
    assert workspace.declarations == []
    assert [workspace.at(o) for o in offsets] == [
        "arena",
        "arena + 3072 * B * T",
        "arena + 128",
        "arena + 64 * size_ceildiv(4 * B * T, 64)",
    ]
