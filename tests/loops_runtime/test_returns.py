"""`return` from loops and branches, against the same programs in Python, on every backend, with derivatives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl.compile import Options, compile_source
from charl.source import Source
from tests.loops_runtime.test_loops import BACKENDS, close

PROGRAMS = Path(__file__).with_name("returns.ch")


@pytest.fixture(scope="module", params=BACKENDS)
def package(request: pytest.FixtureRequest) -> Any:
    """The programs on a backend; they compute in f32."""
    return charl.load(PROGRAMS, backend=request.param[0])


def slope(f: Callable[[Any], float], x: Any, h: float = 1e-6) -> Any:
    """Central differences in float64."""
    x = np.asarray(x, np.float64)
    steps = np.eye(x.size).reshape(x.size, *x.shape) * h
    return np.array([(f(x + s) - f(x - s)) / (2 * h) for s in steps]).reshape(x.shape)


def first(x: Any) -> float:
    return next((e * e for e in x if e > 0.5), -1.0)


@pytest.mark.parametrize("x", [[0.1, 0.7, 0.9, 0.2], [0.9], [0.1, 0.2, 0.3], []])
def test_the_first_of_an_axis(package: Any, x: list[float]) -> None:
    value, gradient = package.first_large(np.array(x, np.float32))
    close(value, first(np.array(x)), 1e-6)
    close(gradient, slope(first, x), 1e-5)


def test_a_loop_that_returns_is_differentiated_in_every_mode(package: Any) -> None:
    value, reverse, forward = package.roots(np.float32(2.5))
    close(value, np.sqrt(2.5), 1e-5)
    close(reverse, 0.5 / np.sqrt(2.5), 1e-4)
    close(forward, 0.5 / np.sqrt(2.5), 1e-4)
    close(package.curvature(np.float32(2.5)), -0.25 * 2.5**-1.5, 1e-3)


def test_lanes_return_on_their_own(package: Any) -> None:
    x = np.array([0.5, 0.005, 1e9, 0.02, 0.2, 0.013], np.float32)
    y, n = package.in_lanes(x)
    for k, value in enumerate(x):
        turns = 0
        while True:
            value, turns = value * np.float32(0.7), turns + 1
            if value < 0.01 or turns > 9:
                break
        found = (value, turns) if value < 0.01 else (0.0, -1)
        close(y[k], found[0], 1e-5)
        assert n[k] == found[1]


@pytest.mark.parametrize("t", [0.0, 4.5, 10.5, 11.0])
def test_a_return_leaves_every_loop_around_it(package: Any, t: float) -> None:
    m = np.arange(12, dtype=np.float32).reshape(3, 4)
    where = np.argwhere(m > t)
    wanted = tuple(where[0]) if len(where) else (-1, -1)
    assert tuple(package.position(m, np.float32(t))) == wanted


@pytest.mark.parametrize("x", [[0.1, 0.2, 0.7, 0.1], [0.1, 0.2]])
def test_what_was_written_stays(package: Any, x: list[float]) -> None:
    n = np.array(5, np.int32)
    package.effects(np.array(x, np.float32), n)
    assert n == (5 + 2 * 11 + 1 if len(x) > 2 else 5 + 2 * 11 + 100)


@pytest.mark.parametrize(("top", "z"), [(0.5, 0.2), (0.5, 0.4), (0.9, 0.2)])
def test_returns_in_values(package: Any, top: float, z: float) -> None:
    x = np.array([0.1, top, 0.3], np.float32)
    place = np.array(z, np.float32)
    found = package.mixed(x, place)
    early = z > 0.3
    close(place, z if early else 2 * z, 1e-6)
    close(found, 2 * x if early else x if top > 0.8 else x * 2 * z, 1e-6)


def tangle(x: Any, k: int) -> float:
    s = 0.0
    for i in range(k):
        s += x[i]
        if s > 2:
            return s
    for i in range(8):
        if not s < 1.5:
            break
        s += 0.1
        if x[i] < 0.05:
            return -s
    for q in range(3):
        if x[q] > 0.6:
            return float(x[q])
        s += 1
    if k > 1:
        if s > 4.3:
            return 7.0
        s += 1
    else:
        s += 2
    return s if k == 2 else 2 * s


@pytest.mark.parametrize("seed", range(6))
def test_loops_and_branches_in_each_other(package: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for k in (0, 1, 2, 3, 8):
        x = (rng.random(8) * (0.6 if seed % 2 else 1.0)).astype(np.float32)
        close(package.tangle(x, np.int32(k)), tangle(x.astype(float), k), 1e-5)


def last_resort(x: Any) -> float:
    for e in x:
        if e > 0.9:
            return float(10 * e)
        y = e * e
        if y > 0.2:
            t = y
            while True:
                t = t * t
                if t < 1e-2:
                    return float(t + y)
    return float(np.sum(x))


@pytest.mark.parametrize(
    "x", [[0.1, 0.2, 0.95, 0.3, 0.6], [0.1, 0.7, 0.95, 0.3, 0.2], [0.1, 0.2, 0.3, 0.1, 0.4]]
)
def test_forward_mode_through_endless_loops(package: Any, x: list[float]) -> None:
    close(package.slopes(np.array(x, np.float32)), slope(last_resort, x), 1e-4)


def guarded(w: Any, x: Any) -> float:
    h = x
    for _ in range(6):
        h = w @ h
        if np.sum(h * h) > 4:
            return float(np.sum(h / np.sqrt(np.sum(h * h))))
    return float(np.sum(h))


def test_reverse_mode_through_products_that_end_early(package: Any) -> None:
    x = np.array([0.8, -0.3])
    w = np.array([[[1.2, 0.3], [0.1, 1.1]], [[0.5, 0.2], [-0.3, 0.4]], [[3.0, 0.1], [0.2, 1.0]]])
    wanted = np.array([slope(lambda u: guarded(u, x), one) for one in w])
    for one, expected in zip(w, wanted, strict=True):
        value, gradient = package.recurrence(one.astype(np.float32), x.astype(np.float32))
        close(value, guarded(one, x), 1e-5)
        close(gradient, expected, 1e-4)
    close(package.each_recurrence(w.astype(np.float32), x.astype(np.float32)), wanted, 1e-4)


def test_the_emitted_loop_ends_at_the_return() -> None:
    source = "export fn f(x: f32[N]) -> i32 {\n    for i in 0..N { if x[i] > 0.5 { return i } }\n    -1\n}\n"
    made = compile_source(Source("f.ch", source), Options(targets=("c",)))
    assert "i < N && go" in made.files["f.c"].decode()


def test_returns_one_behind_the_other_do_not_multiply() -> None:
    """Branches whose sides both go on are followed by one copy of the rest."""
    lines = "\n".join(
        f"    if x > {k}.0 {{ if y > {k}.0 {{ return {k}.5 }} }}\n    s += y" for k in range(24)
    )
    source = f"export fn f(x: f32, y: f32) -> f32 {{\n    let mut s = x\n{lines}\n    s\n}}\n"
    made = compile_source(Source("f.ch", source), Options(targets=("c",)))
    assert len(made.files["f.c"]) < 40_000
