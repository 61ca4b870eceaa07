"""Contractions of random shapes, layouts and epilogues in C against NumPy, by every schedule.

Each case is planned for any instruction set and for the one it runs on, with the caches and the stack of a machine and with
tiny ones, so that small shapes are packed, cut into blocks, streamed and transposed as large ones are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl import dims, ops
from charl.backends.c import printer
from charl.backends.capabilities import AVX2, AVX512, PORTABLE_C, Capabilities
from charl.compile import Options, compile_source
from charl.dtypes import DType, f32, f64, i32
from charl.graph import scalar
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.loops.ir import For, Prefetch, Simd
from charl.loops.text import print_kernel
from charl.loops.walk import statements
from charl.passes import optimise
from charl.source import Source
from tests.c import build
from tests.elaborate.programs import program

EXACT = {"scalar": PORTABLE_C, "avx2": AVX2, "avx512": AVX512}
SIZES = [1, 2, 3, 5, 8, 10, 16, 17, 31, 32, 40, 64, 65, 96, 100, 130]


@dataclass(frozen=True)
class Case:
    """A batched product with what is done to it, and which operands are stored transposed."""

    batch: int
    m: int
    n: int
    k: int
    turned: tuple[bool, bool]
    epilogue: str
    dtype: DType

    def graph(self) -> Graph:
        a = self._operand("a", (self.m, self.k), self.turned[0])
        b = self._operand("b", (self.k, self.n), self.turned[1])
        lead = 1 if self.batch > 1 else 0
        axes = (lead + (0 if self.turned[0] else 1)), (lead + (1 if self.turned[1] else 0))
        run = tuple(range(lead))
        y = ops.contract(a, b, batch=(run, run), sum=((axes[0],), (axes[1],)))
        bias = ops.parameter("bias", TensorType(self.dtype, (self.n,)))
        other = ops.parameter("other", TensorType(self.dtype, y.shape))
        return Graph("product", [a, b, bias, other], list(self._results(y, bias, other)))

    def _operand(self, name: str, shape: tuple[int, int], turned: bool) -> Node:
        lead = (self.batch,) if self.batch > 1 else ()
        return ops.parameter(name, TensorType(self.dtype, (*lead, *(shape[::-1] if turned else shape))))

    def _results(self, y: Node, bias: Node, other: Node) -> Iterator[Node]:
        """A bias, a residual, an activation, two results of one sum."""
        wide = ops.broadcast(bias, y.shape, (y.rank - 1,))
        if self.epilogue == "bias":
            yield ops.add(y, wide)
        elif self.epilogue == "long":
            yield ops.add(ops.mul(ops.tanh(ops.add(y, wide)), other), ops.sub(y, other))
        elif self.epilogue == "two":
            yield ops.sub(other, y)
            yield ops.mul(y, wide)
        else:
            yield y

    def arrays(self) -> list[Any]:
        rng = np.random.default_rng(self.m * self.n + self.k)
        shapes = [tuple(map(int, p.shape)) for p in self.graph().params]  # type: ignore[arg-type]
        if self.dtype == i32:
            return [rng.integers(-99, 99, s).astype(np.int32) for s in shapes]
        return [rng.standard_normal(s).astype(self.dtype.numpy) for s in shapes]


def _cases(count: int) -> list[Case]:
    rng = random.Random(7)
    out = []
    for i in range(count):
        m, n, k = (rng.choice(SIZES) for _ in range(3))
        turned = (bool(i & 1), bool(i & 2))
        epilogue = rng.choice(["none", "bias", "long", "two"])
        dtype = rng.choice([f32, f32, f32, f64, i32])
        if dtype == i32 and epilogue == "long":
            epilogue = "two"
        out.append(Case(rng.choice([1, 1, 3]), m, n, k, turned, epilogue, dtype))
    return out


def tiny(caps: Capabilities) -> Capabilities:
    return replace(caps, cache=(1 << 10, 2 << 10, 64 << 10), stack=8 << 10, packed=16 << 10, far=16)


def large_cases() -> Iterator[Case]:
    """Products of which `tiny` packs blocks into the workspace: whole sums, and those that grow in the results."""
    for i, k in enumerate((33, 64, 200, 130)):
        for n in (65, 200):
            yield Case(1 + i // 3, 340, n, k, (bool(i & 1), n == 65), ("none", "long", "bias", "two")[i], f32)


def thin_cases() -> Iterator[Case]:
    """A few rows by a matrix that `tiny` reads in the order of memory; columns and sums with and without a rest."""
    for rows, (n, k) in enumerate(((256, 96), (200, 70), (131, 49), (96, 40)), 1):
        yield Case(1, rows, n, k, (False, False), ("none", "bias", "long", "two")[rows - 1], f32)


STREAMED = Case(1, 80, 256, 384, (False, False), "bias", f32)


# Rows of the transposed operand lie 2 KB apart, and leave small caches.
COPIED = Case(1, 512, 192, 256, (True, False), "bias", f32)
ASKING = [
    Case(1, 40, 272, 112, (False, False), "bias", f32),
    Case(1, 61, 272, 107, (False, False), "long", f32),
]


def _streaming(caps: Capabilities) -> Capabilities:
    """With a second cache that does not hold the operand of `STREAMED`, so that each of its blocks asks for the next."""
    return replace(caps, cache=(16 << 10, 256 << 10, 1 << 20))


@pytest.mark.parametrize("isa", build.ISA)
def test_products(isa: str, tmp_path: Path) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    library = build.Library("products", tmp_path)
    kinds = {
        "any": PORTABLE_C,
        "exact": EXACT[isa],
        "tiny": tiny(PORTABLE_C),
        "tiny exact": tiny(EXACT[isa]),
        "streaming exact": _streaming(EXACT[isa]),
    }
    names = [kind for kind in list(kinds)[:4] if isa != "scalar" or "exact" not in kind]
    cases = [
        (c, kind)
        for i, c in enumerate([*_cases(32), *large_cases(), *thin_cases()])
        for kind in names[i % 2 :: 2]
    ]
    cases += [(STREAMED, "streaming exact"), *((c, "exact") for c in ASKING)] if isa != "scalar" else []
    blocks = 0
    for i, (case, kind) in enumerate(cases):
        plan = build.plan_graph(case.graph(), kinds[kind])
        library.add_plan(str(i), plan)
        # only what is cut for tiny caches has blocks in the workspace here, of products with many rows
        shared = any(p.kind == "scratch" for call in plan.calls for p in call.places)
        assert not shared or (("tiny" in kind or case is STREAMED) and case.m > 100)
        blocks += shared
    assert blocks >= 2
    library.build(isa, ["-O1", *build.WARNINGS])
    for i, (case, kind) in enumerate(cases):
        arrays = case.arrays()
        bound = {f32: 2e-5, f64: 1e-12, i32: 0}[case.dtype] * case.k
        for got, right in zip(
            library.run_plan(isa, str(i), arrays), evaluate(case.graph(), arrays), strict=True
        ):
            np.testing.assert_allclose(got, right, rtol=bound, atol=bound, err_msg=f"{kind}: {case}")


def _shared(n: int, places: int, columns: int, depth: int, turned: bool, more: bool) -> Graph:
    """The same matrix by each of `n` others, the results of which lie one way or the other."""
    w = ops.parameter("w", TensorType(f32, (depth, columns)))
    d = ops.parameter("d", TensorType(f32, (n, depth, places)))
    y = ops.transpose(ops.contract(w, d, ((), ()), ((0,), (1,))), (1, 0, 2) if turned else (1, 2, 0))
    other = ops.parameter("other", y.type)
    return Graph("shared", [w, d, other], [ops.add(ops.tanh(y), other) if more else y])


@pytest.mark.parametrize("isa", ("avx2", "avx512"))
def test_an_operand_of_many_products_is_packed_once(isa: str, tmp_path: Path) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    caps = replace(EXACT[isa], cache=(2 << 10, 16 << 10, 64 << 10), stack=32 << 10)
    shapes = [(6, 16, 320, 64), (12, 9, 330, 63), (5, 11, 300, 70)]
    graphs = [_shared(*s, turned, more) for s in shapes for turned in (False, True) for more in (False, True)]
    library = build.Library("shared", tmp_path)
    once = 0
    for i, graph in enumerate(graphs):
        plan = build.plan_graph(graph, caps)
        library.add_plan(str(i), plan)
        for nest in (n for call in plan.calls for n in call.kernel.nests):
            # what is packed stands in a loop over strips and before one over products
            loops = [s for s in statements(nest) if isinstance(s, For) and s.body]
            packing = [
                s
                for s in loops
                if any(getattr(x, "buffer", None) and x.buffer.name == "packed" for x in s.body)
            ]
            once += any(isinstance(x, For) and x.stop is not None for s in packing for x in s.body[1:])
    assert once >= 8
    library.build(isa, ["-O1", *build.WARNINGS])
    rng = np.random.default_rng(0)
    for i, graph in enumerate(graphs):
        arrays = [rng.standard_normal(p.shape).astype(np.float32) for p in graph.params]
        (got,), (right,) = library.run_plan(isa, str(i), arrays), evaluate(graph, arrays)
        np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4, err_msg=str(i))


def test_rows_far_apart_are_visited_once_for_all_strips() -> None:
    """Of many rows that lie along the results' other axis, as in a gradient of weights: what lies along the lanes is packed for
    the sake of the other operand, though its own rows are near; not where the cache keeps the rows of that one.
    """
    for rows, blocks in ((512, True), (500, False), (128, False)):
        (call,) = build.plan_graph(Case(1, rows, 128, 768, (True, False), "none", f32).graph(), AVX512).calls
        assert any(p.kind == "scratch" for p in call.places) == blocks


MOMENTUM = """
export fn step(mut w: f32[2048, 1040], mut m: f32[2048, 1040], x: f32[N, 2048], d: f32[N, 1040]) {
    m = 0.9 * m + einsum("ni,nj->ij", x, d)
    w = w - 0.01 * m
}
"""


@pytest.mark.parametrize("simd", ["auto", "avx2", "avx512"])
def test_sums_of_unknown_depth_that_no_result_can_hold(simd: str) -> None:
    """They are whole, or wait in an array of each thread; blocks in the workspace would leave them no place to grow in."""
    files = compile_source(Source("momentum.ch", MOMENTUM), Options(targets=("c",), simd=simd)).files
    text = next(data.decode() for path, data in files.items() if path.endswith("momentum.c"))
    body = re.search(r"^static void momentum_step.*?^}", text, re.S | re.M)
    assert body and "sums_space" in body[0] and "packed)" not in body[0]


UNKNOWN = "export fn layer(x: f32[M, K], w: f32[K, N], b: f32[N]) -> f32[M, N] = relu(x @ w + b)"


def test_blocks_read_what_lies_before_them_behind_their_terms() -> None:
    """And the first one nothing, the last one does what is done with whole sums: no passes over the results for either, but
    where there are no terms at all.
    """
    files = compile_source(Source("unknown.ch", UNKNOWN), Options(targets=("c",), simd="avx512")).files
    text = next(data.decode() for path, data in files.items() if path.endswith("unknown.c"))
    body = re.search(r"^static void unknown_layer.*?^}", text, re.S | re.M)
    assert body and not re.search(r"sum\d* = vf32_load\(result", body[0])
    tiles = body[0].count("vf32 sum = ")
    starts, ends = (re.findall(test, body[0]) for test in (r"if \(j != 0\)", r"if \(j \+ \d+ >= K\)"))
    assert tiles == len(starts) == len(ends) > 0


def test_tiles_ask_for_what_is_read_behind_their_sums() -> None:
    """From behind the second cache: for each row of a tile once, while the sums grow; not where the cache has it."""
    graph = Case(1, 256, 96, 192, (False, False), "long", f32).graph()
    for caps, asks in ((replace(AVX512, cache=(16 << 10, 80 << 10, 160 << 10)), True), (AVX512, False)):
        (call,) = build.plan_graph(graph, caps).calls
        found = [s for nest in call.kernel.nests for s in statements(nest) if isinstance(s, Prefetch)]
        assert bool(found) == asks and {s.buffer.name for s in found} <= {"other"}


def test_large_products_visit_results_once() -> None:
    """A strip's whole sum is packed where that fits: the other operand comes in order again and again, results would wait."""
    (call,) = build.plan_graph(Case(1, 1024, 1024, 1024, (False, False), "none", f32).graph(), AVX512).calls
    text = print_kernel(call.kernel)
    result = next(b.name for b in call.kernel.buffers if b.role == "output")
    assert "packed[" in text and not re.search(rf"= .*\b{re.escape(result)}\[", text)


def test_blocks_ask_for_the_next() -> None:
    """Every row of the block that is packed next, once at least, and nothing outside of the operand."""
    n, k = STREAMED.n, STREAMED.k
    (call,) = build.plan_graph(STREAMED.graph(), _streaming(AVX512)).calls
    asks = [s for nest in call.kernel.nests for s in statements(nest) if isinstance(s, Prefetch)]
    assert asks and {s.buffer.name for s in asks} == {"b"}
    asked: set[int] = set()
    for turn in _turns(call.kernel.nests, {}):
        asked.update(dims.evaluate(s.index, env) for s, env in turn)
    assert {i // n for i in asked} == set(range(k)) and max(asked) < n * k


@pytest.mark.parametrize(("case", "copies"), [(COPIED, True), (replace(COPIED, m=344), False)], ids=str)
def test_tiles_copy_rows_that_share_sets_of_a_cache(case: Case, copies: bool) -> None:
    """Those of a transposed operand, a power of two apart, that several strips read; others stay where they are."""
    caps = replace(AVX512, cache=(16 << 10, 64 << 10, 1 << 20), packed=128 << 10)
    (call,) = build.plan_graph(case.graph(), caps).calls
    text = print_kernel(call.kernel)
    assert "packed[" in text and copies == ("beside[" in text)


@pytest.mark.parametrize("turned", [(True, False), (False, False)])
def test_long_sums_go_in_blocks(turned: tuple[bool, bool]) -> None:
    """Where tiles would read operands again and again from behind the second cache, though their rows lie close together."""
    for depth, blocks in ((10000, True), (200, False)):
        (call,) = build.plan_graph(Case(1, 100, 100, depth, turned, "none", f32).graph(), AVX512).calls
        loops = [s for nest in call.kernel.nests for s in statements(nest) if isinstance(s, For)]
        assert blocks == any(s.stop == depth and isinstance(s.step, int) and s.step > 16 for s in loops)


def test_few_rows_pack_weights_from_memory() -> None:
    """Their tiles wait for such weights or ask for them in time; those that the second cache holds are read where they lie."""
    for rows, columns, packs in ((32, 768, True), (16, 768, True), (32, 64, False)):
        (call,) = build.plan_graph(
            Case(1, rows, columns, 3072, (False, False), "none", f32).graph(), AVX512
        ).calls
        text = print_kernel(call.kernel)
        assert ("packed[" in text) == packs == ("prefetch" in text)
        asked = re.findall(r"_prefetch\w*\(([^,]*),", printer.print_kernel(call.kernel, "p"))
        assert packs == bool(asked)
        assert all(x.strip().isidentifier() for x in asked)  # no pointer is moved: it might leave the array


BATCH = "export fn layer(x: f32[B, 768], w: f32[768, 768], b: f32[768]) -> f32[B, 768] = x @ w + b"


def test_rows_of_unknown_number_share_wide_blocks_of_large_weights() -> None:
    """A strip of one vector row after another would wait for each of them, 3 KB apart."""
    files = compile_source(Source("batch.ch", BATCH), Options(targets=("c",), simd="avx512")).files
    text = next(data.decode() for path, data in files.items() if path.endswith("batch.c"))
    body = re.search(r"^static void batch_layer.*?^}", text, re.S | re.M)
    assert body and "float *restrict packed" in body[0] and "packed_space" not in body[0]


def test_tiles_pack_and_ask_for_a_crowded_operand() -> None:
    """One that takes more than half of the second cache and is read by many tiles: the first of a block asks for its rows near
    and early and packs them, all others ask for what was packed and for what the next tile reads.
    """
    m, n, k = 600, 272, 32
    caps = replace(AVX2, cache=(2 << 10, 64 << 10, 32 << 20), packed=32 << 10)
    (call,) = build.plan_graph(Case(1, m, n, k, (False, False), "none", f32).graph(), caps).calls
    asked: dict[tuple[str, bool], list[int]] = {}
    for turn in _turns(call.kernel.nests, {}):
        for s, env in turn:
            asked.setdefault((s.buffer.name, s.near), []).append(dims.evaluate(s.index, env))
    assert asked.keys() == {("a", True), ("b", True), ("b", False), ("packed", True)}
    near, early, lines = asked["b", True], asked["b", False], n // 16
    assert {i // n for i in near} >= set(range(8, k)) and len(near) == k * lines  # once
    assert {i // 16 for i in early} >= {i for i in range(k * lines) if i % lines}
    assert {i // k for i in asked["a", True]} >= set(range(6, m)) and max(asked["a", True]) < m * k


@pytest.mark.parametrize("case", ASKING, ids=str)
def test_tiles_ask_for_rows_of_an_operand_where_it_lies(case: Case) -> None:
    """Near for each of its rows but the first ones, early for each of its lines but the first strip's, and for what the next
    tile reads; not where its rows are no lines of the cache.
    """
    n, k = case.n, case.k
    for caps in (AVX512, AVX2):
        (call,) = build.plan_graph(case.graph(), caps).calls
        asked: dict[tuple[str, bool], set[int]] = {
            ("a", True): set(),
            ("b", True): set(),
            ("b", False): set(),
        }
        for turn in _turns(call.kernel.nests, {}):
            for s, env in turn:
                asked[s.buffer.name, s.near].add(dims.evaluate(s.index, env))
        assert {i // n for i in asked["b", True]} >= set(range(8, k))
        lines = {i // 16 for i in asked["b", False]}
        assert lines >= {i // 16 for i in range(n * k) if i % n >= 64}
        assert max(asked["b", True] | asked["b", False]) < n * (
            k + 8
        )  # a minimum in each step would cost more
        assert {i // k for i in asked["a", True]} >= set(range(12, case.m)) and max(
            asked["a", True]
        ) < case.m * k
    (call,) = build.plan_graph(replace(case, n=n - 2).graph(), AVX512).calls
    assert not any(isinstance(s, Prefetch) for nest in call.kernel.nests for s in statements(nest))


# (function, whether its weights leave the second cache)
FEW_PLACES = [
    ("f(w: f32[512, 64, 3, 3], x: f32[1, 64, 7, 7]) = convolve(x, w, padding: 1)", True),
    ("f(w: f32[64, 64, 3, 3], x: f32[1, 64, 7, 7]) = convolve(x, w, padding: 1)", False),
    ("f(w: f32[1024, 300], x: f32[300, 40]) = w @ x", True),
    ("f(w: f32[64, 300], x: f32[300, 40]) = w @ x", False),
]


@pytest.mark.parametrize(("function", "far"), FEW_PLACES)
def test_tiles_ask_for_the_rows_of_the_next(function: str, far: bool) -> None:
    """Of weights from behind the second cache each line is asked for, by the tile before the one that reads it."""
    graph = optimise(program(f"from conv import convolve\nexport fn {function}").exports[0].graph)
    nests = [nest for call in build.plan_graph(graph, AVX512).calls for nest in call.kernel.nests]
    found = [t for turn in _turns(nests, {}) for t in turn]
    assert bool(found) == far and {s.buffer.name for s, _ in found} <= {"w"}
    if far:
        size = found[0][0].buffer.size
        lines = {dims.evaluate(s.index, env) // 16 for s, env in found}
        assert lines >= set(range(size // 16 * 14 // 512 + 1, size // 16 - 1)) and max(lines) < size // 16


@pytest.mark.parametrize(("columns", "asks"), [(120, True), (128, False), (20, False)])
def test_a_row_asks_for_weights_that_lie_across_lines(columns: int, asks: bool) -> None:
    """Six rows ahead, where they come from the second cache and do not begin at lines."""
    function = f"f(x: f32[400], w: f32[400, {columns}]) = x @ w"
    graph = optimise(program(f"export fn {function}").exports[0].graph)
    nests = [nest for call in build.plan_graph(graph, AVX512).calls for nest in call.kernel.nests]
    found = [dims.evaluate(s.index, env) for turn in _turns(nests, {}) for s, env in turn]
    assert bool(found) == asks and all(index < 400 * columns for index in found)
    assert not asks or {index // 16 for index in found} >= set(
        range(6 * columns // 16 + 1, 400 * columns // 16)
    )


def test_tiles_of_windows_ask_for_what_is_stored() -> None:
    """Each line of results that lie behind the second cache, in rows of images far from one another, while the sums grow."""
    function = "f(w: f32[32, 8, 3, 3], x: f32[9, 8, 32, 32], b: f32[32]) = convolve(x, w, padding: 1) + b[:, None, None]"
    graph = optimise(program(f"from conv import convolve\nexport fn {function}").exports[0].graph)
    nests = [nest for call in build.plan_graph(graph, AVX512).calls for nest in call.kernel.nests]
    found = [t for turn in _turns(nests, {}) for t in turn]
    (asked,) = {s.buffer for s, _ in found}
    assert asked.role == "output" and asked.size == 9 * 32 * 32 * 32
    assert {dims.evaluate(s.index, env) // 16 for s, env in found} >= set(range(asked.size // 16))


def _turns(nests: Any, env: dict[str, int]) -> Iterator[list[tuple[Prefetch, dict[str, int]]]]:
    """What is asked for in each turn of the loops."""
    for s in (x for nest in nests for x in nest):
        if isinstance(s, Prefetch):
            yield [(s, env)]
        elif isinstance(s, For) and any(isinstance(x, Prefetch) for x in statements(s.body)):
            start, stop, step = (dims.evaluate(x, env) for x in (s.start, s.stop or 0, s.step))
            for i in range(start, stop, step):
                yield from _turns([s.body], {**env, s.index: i})
        elif isinstance(s, Simd):
            yield from _turns([s.body], {**env, s.lane: 0})


def test_names_of_sums_are_none_of_the_loops_around() -> None:
    """A block of a sum has a loop of its own: numbers of names that met once took one for the other."""
    caps = tiny(AVX512)
    case = Case(1, 64, 130, 100, (False, False), "none", f32)
    texts = set()
    for n in range(40):
        scalar._COUNTER[0] = n
        (call,) = build.plan_graph(case.graph(), caps).calls
        texts.add(print_kernel(call.kernel))
    assert len(texts) == 1


SUMS = """
from optim import Sgd

model Net {
    param w: f32[40, 260] = zeros()

    fn forward(x: f32[8, 96, 40]) -> f32[8, 96, 260] = x @ w
}

fn objective(net: Net, x: f32[8, 96, 40], d: f32[96, 8, 260]) -> f32 = mean(net(x) * d.transpose(1, 0, 2))

/// No result can hold the sums while they grow: the step reads what it writes.
export fn step(mut net: Net, mut sgd: Sgd<Net>, x: f32[8, 96, 40], d: f32[96, 8, 260]) {
    sgd.update(mut net, grad(objective)(net, x, d), lr: 0.01, momentum: 0.5)
}
export fn copied(x: f32[8, 96, 40], d: f32[96, 8, 260]) = einsum("bti,tbn->in", x, d)
export fn turned(x: f32[8, 40, 96], d: f32[8, 260, 96]) = tanh(einsum("bit,bnt->in", x, d))
export fn flipped(x: f32[7, 30, 33], d: f32[7, 330, 33]) = einsum("bit,bnt->ni", x, d)
export fn batch(x: f32[3, 5, 40, 33], d: f32[3, 5, 330, 33]) = einsum("abit,abnt->ain", x, d)
"""


def test_sums_over_two_axes(tmp_path: Path) -> None:
    """Packed and cut into blocks of the outer one."""
    (tmp_path / "sums.ch").write_text(SUMS)
    rng = np.random.default_rng(0)
    packages = [charl.load(tmp_path / "sums.ch", backend=b) for b in ("evaluator", "c")]
    for name, x, d in (
        ("copied", (8, 96, 40), (96, 8, 260)),
        ("turned", (8, 40, 96), (8, 260, 96)),
        ("flipped", (7, 30, 33), (7, 330, 33)),
        ("batch", (3, 5, 40, 33), (3, 5, 330, 33)),
    ):
        arrays = [rng.standard_normal(s).astype(np.float32) for s in (x, d)]
        wanted, got = (getattr(p, name)(*arrays) for p in packages)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4, err_msg=name)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((8, 96, 40), (96, 8, 260))]
    weights = []
    for p in packages:
        net, sgd = p.Net(), p.Sgd()
        p.step(net, sgd, *arrays)
        p.step(net, sgd, *arrays)
        weights.append(net.w)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4, atol=1e-7)


WINDOWS = """
from conv import Conv2d
from optim import Sgd

model Net {
    conv: Conv2d(24, 20, 3, padding: 1)

    fn forward(x: f32[6, 24, 5, 5]) -> f32[6, 20, 5, 5] = relu(conv(x))
}

fn objective(net: Net, x: f32[6, 24, 5, 5], d: f32[6, 20, 5, 5]) -> f32 = mean(net(x) * d)

export fn step(mut net: Net, mut sgd: Sgd<Net>, x: f32[6, 24, 5, 5], d: f32[6, 20, 5, 5]) {
    sgd.update(mut net, grad(objective)(net, x, d), lr: 0.1, momentum: 0.9)
}
fn seen(x, k, stride) = windows(x, [k, k], stride: stride, padding: 1)
export fn deep(w: f32[40, 300, 3, 3], x: f32[8, 300, 4, 4]) = einsum("oikl,nipqkl->nopq", w, seen(x, 3, 1))
export fn odd(w: f32[33, 64, 3, 3], x: f32[2, 64, 7, 7]) = tanh(einsum("oikl,nipqkl->nopq", w, seen(x, 3, 1))) + 1.0
export fn groups(w: f32[3, 16, 20, 3, 3], x: f32[2, 3, 20, 6, 6]) = einsum("goikl,ngipqkl->ngopq", w, seen(x, 3, 1))
export fn stride(w: f32[24, 30, 2, 2], x: f32[3, 30, 9, 9]) = einsum("oikl,nipqkl->nopq", w, seen(x, 2, 2))
"""


def test_windows(tmp_path: Path) -> None:
    """Copied to strips: small images, groups, strides, and the gradient of weights with its update."""
    (tmp_path / "small.ch").write_text(WINDOWS)
    options = Options(targets=("c",), simd="avx512")
    files = compile_source(Source("small.ch", WINDOWS), options).files
    text = next(data.decode() for path, data in files.items() if path.endswith("small_.c"))
    for name in ("deep", "odd", "groups"):  # all lanes of a vector have work
        body = re.search(rf"static void small__{name}_(?!\w*pad\().*?^}}", text, re.S | re.M)
        assert body and "packed" in body[0], name
    rng = np.random.default_rng(0)
    packages = [charl.load(tmp_path / "small.ch", backend=b) for b in ("evaluator", "c")]
    for name, w, x in (
        ("deep", (40, 300, 3, 3), (8, 300, 4, 4)),
        ("odd", (33, 64, 3, 3), (2, 64, 7, 7)),
        ("groups", (3, 16, 20, 3, 3), (2, 3, 20, 6, 6)),
        ("stride", (24, 30, 2, 2), (3, 30, 9, 9)),
    ):
        arrays = [rng.standard_normal(s).astype(np.float32) for s in (w, x)]
        wanted, got = (getattr(p, name)(*arrays) for p in packages)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3, err_msg=name)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((6, 24, 5, 5), (6, 20, 5, 5))]
    start = rng.standard_normal((20, 24, 3, 3)).astype(np.float32)
    weights = []
    for p in packages:
        net, sgd = p.Net(), p.Sgd()
        net.conv.w[...] = start
        p.step(net, sgd, *arrays)
        p.step(net, sgd, *arrays)
        weights.append(net.conv.w)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4, atol=1e-5)


PANELS = """
from conv import convolve
from optim import Sgd

fn plane(w: f32[O, C, 3, 3], x: f32[N, C, L, L], d: f32[N, O, L, L]) = sum(convolve(x, w, padding: 1) * d)
fn line(w: f32[O, C, 3], x: f32[N, C, 2 * L + 1], d: f32[N, O, L]) = sum(convolve(x, w, stride: 2) * d)
fn wide(w: f64[O, C, 3], x: f64[N, C, L + 2], d: f64[N, O, L]) = sum(convolve(x, w) * d)

export fn chunks(w: f32[17, 70, 3, 3], x: f32[40, 70, 6, 6], d: f32[40, 17, 6, 6]) = grad(plane)(w, x, d)
export fn rows(w: f32[40, 7, 3, 3], x: f32[3, 7, 40, 40], d: f32[3, 40, 40, 40]) = grad(plane)(w, x, d)
export fn strided(w: f32[20, 3, 3], x: f32[5, 3, 41], d: f32[5, 20, 20]) = grad(line)(w, x, d)
export fn double(w: f64[33, 20, 3], x: f64[6, 20, 22], d: f64[6, 33, 20]) = grad(wide)(w, x, d)
export fn few(w: f32[5, 2, 3, 3], x: f32[3, 2, 19, 21], d: f32[3, 5, 19, 21]) = convolve(x, w, padding: 1) + d
export fn places(w: f32[90, 65, 3, 3], x: f32[1, 65, 7, 7], d: f32[1, 90, 7, 7]) = tanh(convolve(x, w, padding: 1)) * d

model Net {
    param w: f32[24, 70, 3, 3] = zeros()

    fn forward(x: f32[8, 70, 7, 7]) -> f32[8, 24, 7, 7] = convolve(x, w, padding: 1)
}

fn objective(net: Net, x: f32[8, 70, 7, 7], d: f32[8, 24, 7, 7]) -> f32 = mean(net(x) * d)

export fn step(mut net: Net, mut sgd: Sgd<Net>, x: f32[8, 70, 7, 7], d: f32[8, 24, 7, 7]) {
    sgd.update(mut net, grad(objective)(net, x, d), lr: 0.1, momentum: 0.9)
}
"""


@pytest.mark.parametrize("isa", build.ISA)
def test_panels(isa: str, tmp_path: Path) -> None:
    """Register tiles over taps, places or rows of places: uneven tiles, chunks, blocks of the sum, strides, updates."""
    if reason := build.missing(isa):
        pytest.skip(reason)
    (tmp_path / "taps.ch").write_text(PANELS)
    files = compile_source(Source("taps.ch", PANELS), Options(targets=("c",), simd=isa)).files
    text = next(data.decode() for path, data in files.items() if path.endswith("taps.c"))
    assert isa == "scalar" or ("vf32_spread" in text and "vf64_spread" in text)
    packages = [
        charl.load(tmp_path / "taps.ch", backend="evaluator"),
        charl.load(tmp_path / "taps.ch", backend="c", simd=isa),
    ]
    rng = np.random.default_rng(0)
    for name, *shapes in (
        ("chunks", (17, 70, 3, 3), (40, 70, 6, 6), (40, 17, 6, 6)),
        ("rows", (40, 7, 3, 3), (3, 7, 40, 40), (3, 40, 40, 40)),
        ("strided", (20, 3, 3), (5, 3, 41), (5, 20, 20)),
        ("few", (5, 2, 3, 3), (3, 2, 19, 21), (3, 5, 19, 21)),
        ("places", (90, 65, 3, 3), (1, 65, 7, 7), (1, 90, 7, 7)),
    ):
        arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
        wanted, got = (getattr(p, name)(*arrays) for p in packages)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=2e-3, err_msg=name)
    wide = [rng.standard_normal(s) for s in ((33, 20, 3), (6, 20, 22), (6, 33, 20))]
    wanted, got = (p.double(*wide) for p in packages)
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((8, 70, 7, 7), (8, 24, 7, 7))]
    weights = []
    for p in packages:
        net, sgd = p.Net(), p.Sgd()
        p.step(net, sgd, *arrays)
        p.step(net, sgd, *arrays)
        weights.append(net.w)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4, atol=1e-6)
