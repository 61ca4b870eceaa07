"""Stacks in signatures, on every backend, against NumPy; a stack of layers against a run of the same layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from tests.language.backends import BACKENDS

Arrays = dict[str, Any]
TYPES = {"position": (3,), "velocity": (3,), "mass": ()}


def _particles(*axes: int) -> Arrays:
    rng = np.random.default_rng(sum(axes))
    return {n: rng.uniform(1, 2, (*axes, *s)).astype("f4") for n, s in TYPES.items()}


def _close(record: Any, expected: Arrays) -> None:
    for name, array in expected.items():
        np.testing.assert_allclose(getattr(record, name), array, rtol=2e-6, err_msg=name)


def _map(arrays: Arrays, change: Any) -> Arrays:
    return {n: change(a) for n, a in arrays.items()}


@pytest.fixture(scope="module", params=BACKENDS)
def package(request: pytest.FixtureRequest) -> Any:
    return charl.load(Path(__file__).with_name("stacks.ch"), backend=request.param)


def test_a_stack_goes_in_and_out(package: Any) -> None:
    own = _particles(5)
    all_ = package.ParticleStackN(**_map(own, np.copy))
    energy, second = package.step(all_, 0.25)
    expected = {**own, "position": own["position"] + np.float32(0.25) * own["velocity"]}
    expected["mass"] = np.concatenate([np.float32([2]), own["mass"][1:]])
    _close(all_, expected)
    _close(second, _map(expected, lambda a: a[1]))
    assert energy == pytest.approx(
        float(np.sum(0.5 * expected["mass"] * np.sum(own["velocity"] ** 2, 1))), rel=1e-5
    )


def test_elements_are_read_and_written(package: Any) -> None:
    own, order = _particles(4), np.array([3, 1, 1, 0, 2], np.int32)
    all_ = package.ParticleStackN(**_map(own, np.copy))
    moved = package.swap(all_, 0, 2, order)
    expected = _map(own, lambda a: a[[2, 1, 0, 3]])
    _close(all_, expected)
    _close(moved, _map(expected, lambda a: a[order]))


def test_elements_change_in_place(package: Any) -> None:
    own, by = _particles(5), _particles()
    all_ = package.ParticleStackN(**_map(own, np.copy))
    twice = np.array([4, 0, 4], np.int32)
    package.kicked(all_, package.Particle(**by), 2, twice)
    expected = _map(own, np.copy)
    for name, array in expected.items():
        array[2] += 2 * by[name]
        np.add.at(array, twice, by[name])
        array[1:3] -= array[0:2].copy()
        array[2] *= np.float32(0.5)
    _close(all_, expected)


def test_gradients_of_a_stack_are_one(package: Any) -> None:
    own = _particles(3)
    forces = package.forces(package.ParticleStackN(**_map(own, np.copy)))
    _close(forces, {"position": np.zeros((3, 3)), "velocity": own["mass"][:, None] * own["velocity"],
                    "mass": 0.5 * np.sum(own["velocity"] ** 2, 1)})  # fmt: skip


def test_several_axes(package: Any) -> None:
    own = _particles(4, 3)
    parts = package.cut(package.ParticleStackNxM(**_map(own, np.copy)))
    for part, expected in zip(parts, (lambda a: a[0], lambda a: a[3:0:-2], lambda a: a[:, -1]), strict=True):
        _close(part, _map(own, expected))


def test_a_loop_goes_over_a_stack(package: Any) -> None:
    own = _particles(6)
    np.testing.assert_array_equal(
        package.records(package.ParticleStackN(**_map(own, np.copy))), np.maximum.accumulate(own["mass"])
    )


def test_a_stack_of_layers_is_a_run_of_them(package: Any) -> None:
    """The same initial values, losses and weights after some steps."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4)).astype("f4"), rng.integers(0, 3, 8).astype("i4")
    stack, run = package.Deep.init(1), package.Run.init(1)
    for i in range(5):
        np.testing.assert_array_equal(stack.hidden.dense.w[i], run.hidden[i].dense.w)
    first, second = package.Adam.init(), package.Adam_2.init()
    for _ in range(3):
        a = package.train(stack, first, x, y, 0.05)
        b = package.train_run(run, second, x, y, 0.05)
        assert a == pytest.approx(b, rel=1e-5)
    np.testing.assert_allclose(stack.hidden.dense.w[4], run.hidden[4].dense.w, rtol=1e-4, atol=1e-6)


def test_an_ensemble(package: Any) -> None:
    rng = np.random.default_rng(1)
    w, b, x = (rng.normal(size=s).astype("f4") for s in ((3, 4, 4), (3, 4), (5, 4)))
    nets = package.LayerStackK()
    nets.dense.w, nets.dense.b = w, b
    expected = x + np.tanh(x @ w + b[:, None])
    np.testing.assert_allclose(package.ensemble(nets, x), expected, rtol=2e-5, atol=1e-6)


def test_layers_of_a_stack_are_one_loop() -> None:
    """The emitted code does not grow with the depth."""
    from charl.elaborate import elaborate
    from charl.source import Source

    text = Path(__file__).with_name("stacks.ch").read_text()
    sizes = []
    for depth in (5, 50):
        program = elaborate(Source("stacks.ch", text), sets={"net.depth": str(depth)})
        train = next(e for e in program.exports if e.name == "train")
        sizes.append(len(train.graph.nodes()))
    assert sizes[0] == sizes[1]
