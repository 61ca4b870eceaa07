"""Products and rows with masks and borders in C against NumPy: what is 0 by them is left out of the loops, nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charl import dims
from charl.backends.capabilities import AVX512
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph
from charl.loops.ir import For, If, Stmt, Transpose
from charl.loops.walk import statements
from charl.passes import optimise
from charl.plan.build import plan_program
from tests.c import build
from tests.c.test_contractions import EXACT, tiny
from tests.elaborate.programs import program

HEAD = "let row = iota(100)[:, None]; let column = iota(100)[None, :]"
ATTENTION = "einsum('bqk,bkd->bqd', softmax(where({mask}, einsum('bqd,bkd->bqk', q, k) * 0.2, -infinity)), v)"
WINDOWS = "einsum('ocuv,ncpquv->nopq', w, windows(x, [5, 5], stride: 1, padding: {border}))"
ARGUMENTS = "q: f32[2, 100, 24], k: f32[2, 100, 24], v: f32[2, 100, 24]"

# name: (arguments, body, kernels of which a mask shortens the loops)
CASES = {
    "causal": (ARGUMENTS, ATTENTION.format(mask="column <= row"), 3),
    "window": (ARGUMENTS, ATTENTION.format(mask="(column <= row) and (column > row - 7)"), 3),
    "later": (ARGUMENTS, ATTENTION.format(mask="not (column < row + -3)"), 2),
    # no key is seen by the first query, whose results are NaN
    "blind": (ARGUMENTS, ATTENTION.format(mask="column < row"), 2),
    "gradient": (
        ARGUMENTS,
        f"grad(|q, k, v| sum(sin({ATTENTION.format(mask='column <= row')})), wrt: (0, 1, 2))(q, k, v)",
        8,
    ),
    "lower": ("a: f32[100, 100], x: f32[100, 50]", "where(column <= row, a, 0.0) @ x", 1),
    "upper": ("a: f32[100, 100], x: f32[50, 100]", "x @ where(column >= row, a, 0.0)", 1),
    "triangles": (
        "a: f32[100, 100], b: f32[100, 100]",
        "where(column <= row, a, 0.0) @ where(column < row, b, 0.0)",
        1,
    ),
    "half of it": ("a: f32[100, 30]", "where(column <= row, 2.0 * (a @ a.T), 0.0)", 1),
    "gradient of a triangle": (
        "a: f32[100, 100], x: f32[100, 50]",
        "grad(|a| sum(sin(where(column <= row, a, 0.0) @ x)))(a)",
        2,
    ),
    "rows": ("s: f32[3, 100, 100]", "softmax(where(column <= row, s, -infinity))", 1),
    "rows that end later": ("s: f32[3, 100, 100]", "softmax(where(column < row + 9, s, -infinity))", 1),
    "rows of unknown maximum": (
        "s: f32[3, 100, 100]",
        "{ let p = softmax(where(column <= row, s, -infinity)); let best = argmax(p, axis: -1); p * (best as f32)[:, :, None] }",
        1,
    ),
    "sums of rows": ("s: f32[3, 100, 100]", "{ let t = where(column < row, s, 0.0); t * sum(t * t, axis: -1)[:, :, None] }", 1),
    "border": ("x: f32[6, 3, 9, 18], w: f32[7, 3, 5, 5]", WINDOWS.format(border=3), 1),
    "far border": ("x: f32[2, 3, 5, 17], w: f32[4, 3, 5, 5]", WINDOWS.format(border="[(6, 1), (0, 4)]"), 1),
    "gradient of windows": (
        "x: f32[6, 3, 14, 14], w: f32[7, 3, 5, 5]",
        f"grad(|x| sum(sin(0.1 * {WINDOWS.format(border=0)})))(x)",
        1,
    ),
    "wide": ("x: f32[1, 3, 99, 18], w: f32[7, 3, 3, 3]", WINDOWS.format(border=1).replace("5", "3"), 0),
    "whole": ("a: f32[100, 100], x: f32[100, 50]", "where(column <= row + 100, a, 0.0) @ x", 0),
}  # fmt: skip


def _graph(name: str) -> Graph:
    arguments, body, _ = CASES[name]
    return _compiled(arguments, body)


def _compiled(arguments: str, body: str) -> Graph:
    body = body.replace("'", '"')
    lines = "\n".join(HEAD.split("; "))
    return optimise(program(f"export fn f({arguments}) {{\n{lines}\n{body}\n}}").exports[0].graph)


def _shortened(nest: tuple[Stmt, ...]) -> bool:
    """Whether a loop ends or begins where an index around it says, or a test decides whether it runs."""
    around: set[str] = set()
    for s in statements(nest):
        if isinstance(s, If):
            return True
        if isinstance(s, For):
            bounds = dims.symbols(s.start) | dims.symbols(s.stop or 0)
            if bounds & around:
                return True
            around.add(s.index)
    return False


@pytest.mark.parametrize("name", CASES)
def test_what_a_mask_hides_is_left_out(name: str) -> None:
    plan = build.plan_graph(_graph(name), AVX512)
    shortened = [c for c in plan.calls if any(map(_shortened, c.kernel.nests))]
    assert len(shortened) == CASES[name][2]


def test_keys_that_no_query_of_a_block_sees_are_not_packed() -> None:
    heads = "f32[1, 4, 512, 32]"
    text = f"export fn f(q: {heads}, k: {heads}, v: {heads}) -> {heads} = attention(q, k, v, causal: true)"
    (plan,) = plan_program(program(text), AVX512).plans
    bodies = [s for c in plan.calls for nest in c.kernel.nests for s in statements(nest)]
    tested = [x for s in bodies if isinstance(s, If) for x in s.body if isinstance(x, Transpose)]
    assert tested and len(tested) == sum(isinstance(s, Transpose) for s in bodies)


def test_shorter_loops_are_work_for_threads() -> None:
    """A sum that a border shortens is as long as in the middle of the image, not as beyond its end, where it has no term."""
    arguments, body, _ = CASES["gradient of windows"]
    many = arguments.replace("f32[6", "f32[64").replace("f32[7", "f32[30")
    plan = build.plan_graph(_compiled(many, body), AVX512)
    nests = [nest for c in plan.calls for nest in c.kernel.nests if any(map(_shortened, c.kernel.nests))]
    assert nests and all(isinstance(s, For) and s.kind == "parallel" for nest in nests for s in nest)


@pytest.mark.parametrize("isa", build.ISA)
def test_masks(isa: str, tmp_path: Path) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    library = build.Library("masks", tmp_path)
    kinds = {"exact": EXACT[isa], "tiny": tiny(EXACT[isa])}
    for name in CASES:
        for kind, caps in kinds.items():
            library.add_plan(f"{name} {kind}", build.plan_graph(_graph(name), caps))
    library.build(isa, ["-O1", *build.WARNINGS])
    rng = np.random.default_rng(5)
    for name in CASES:
        graph = _graph(name)
        arrays = [rng.standard_normal([int(n) for n in p.shape]).astype(np.float32) for p in graph.params]
        wanted = evaluate(graph, arrays)
        for kind in kinds:
            for got, right in zip(library.run_plan(isa, f"{name} {kind}", arrays), wanted, strict=True):
                np.testing.assert_allclose(got, right, rtol=2e-4, atol=2e-5, err_msg=f"{name} {kind}")
