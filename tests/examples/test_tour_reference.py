"""The six programs of examples/tour against JAX and PyTorch, on every backend, for weights and data from a recipe.

`examples/tour/reference/make.py` wrote the numbers; large arrays are compared by digest.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
TOUR = Path(__file__).resolve().parents[2] / "examples" / "tour"
WANTED = json.loads((TOUR / "reference" / "reference.json").read_text())
_SPEC = importlib.util.spec_from_file_location("recipe", TOUR / "reference" / "recipe.py")
assert _SPEC is not None and _SPEC.loader is not None
recipe = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(recipe)

BACKENDS = [
    pytest.param("evaluator", "f64", 1e-9, id="evaluator"),
    pytest.param("c", "f64", 1e-9, marks=needs_cc, id="c-f64"),
    pytest.param("c", "f32", 2e-5, marks=needs_cc, id="c-f32"),
    pytest.param("wgpu", "f32", 2e-5, marks=needs_vulkan, id="wgsl"),
]
each_backend = pytest.mark.parametrize("backend, floats, tolerance", BACKENDS)


def package(name: str, backend: str, floats: str, **sets: int) -> Any:
    chosen = {f"net.{k}": v for k, v in sets.items()}
    return charl.load(TOUR / f"{name}.ch", backend=backend, f32=floats, f64=floats, sets=chosen)


def records(function: Any, package: Any) -> dict[str, Any]:
    """New records for the parameters of a function that are records or runs of them, all zeros."""
    out: dict[str, Any] = {}
    for name, p in inspect.signature(function).parameters.items():
        kinds = p.annotation.strip("'").removeprefix("tuple[").removesuffix("]").split(", ")
        if all(hasattr(package, k) for k in kinds):
            made = tuple(getattr(package, k)() for k in kinds)
            out[name] = made if p.annotation.strip("'").startswith("tuple[") else made[0]
    return out


def fill(record: Any, leaves: dict[str, Array]) -> None:
    places = record.leaves()
    for name, array in leaves.items():
        places[name][...] = array


def parameters(record: Any, but: tuple[str, ...] = ()) -> dict[str, Array]:
    """Weights from the recipe for all leaves but the given ones."""
    shapes = {k: x.shape for k, x in record.leaves().items() if k not in but}
    found: dict[str, Array] = recipe.weights(shapes)
    return found


def agree(name: str, found: Any, tolerance: float, but: str | None = None) -> None:
    """An array, or a record's leaves by digest, those apart whose path ends with `but`."""
    wanted = WANTED[name]
    if isinstance(wanted, dict):
        for leaf, digest in wanted.items():
            if but is not None and leaf.endswith(but):
                continue
            array = found.leaves()[leaf]
            bound = tolerance * max(1.0, float(np.abs(digest).max())) * max(1.0, array.size**0.5 / 100)
            np.testing.assert_allclose(
                recipe.digest(array), digest, rtol=0, atol=bound, err_msg=f"{name} {leaf}"
            )
    else:
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale, err_msg=name)


def trained(p: Any, given: dict[str, Any], names: list[str], arrays: list[Any], steps: int) -> list[float]:
    """Losses of some training steps."""
    return [float(p.train_step(*(given[n] for n in names), *arrays)) for _ in range(steps)]


def floating(floats: str, array: Array) -> Array:
    return array.astype("float64" if floats == "f64" else "float32")


@each_backend
def test_digits(backend: str, floats: str, tolerance: float) -> None:
    p = package("digits", backend, floats)
    made = records(p.train_step, p)
    fill(made["net"], parameters(made["net"]))
    fill(made["rng"], {"key": np.array([11, 12], np.uint32)})
    x, y = floating(floats, recipe.numbers(80, 6, 64) + 0.5), recipe.indices(81, 10, 6)
    agree("digits.predict", p.predict(made["net"], x), tolerance)
    agree("digits.losses", trained(p, made, ["net", "adam", "rng"], [x, y], 3), tolerance)
    agree("digits.net", made["net"], tolerance)
    assert made["rng"].leaves()["counter"] == 3


@each_backend
def test_gmm(backend: str, floats: str, tolerance: float) -> None:
    p = package("gmm", backend, floats)
    m, v = p.Mixture(), p.Mixture()
    fill(m, parameters(m))
    fill(v, {k: recipe.numbers(50 + i, *x.shape) for i, (k, x) in enumerate(sorted(v.leaves().items()))})
    x = floating(floats, recipe.numbers(60, 37, 16, scale=2))
    value, gradient = p.gradient(m, x)
    agree("gmm.value", value, tolerance)
    agree("gmm.gradient", gradient, tolerance)
    agree("gmm.hvp", p.hvp(m, v, x), tolerance)


@each_backend
def test_pendulum(backend: str, floats: str, tolerance: float) -> None:
    p = package("pendulum", backend, floats)
    pendulum = p.Pendulum()
    fill(pendulum, {"length": np.float64(1.25), "friction": np.float64(0.125)})
    start, seen = (floating(floats, a) for a in (np.array([0.5, 0.0]), recipe.numbers(70, 40)))
    losses = [float(p.fit_step(pendulum, start, 0.03125, seen, 0.0625)) for _ in range(3)]
    agree("pendulum.losses", losses, tolerance)
    leaves = pendulum.leaves()
    agree("pendulum.p", [float(leaves["length"]), float(leaves["friction"])], tolerance)


@each_backend
def test_lstm(backend: str, floats: str, tolerance: float) -> None:
    p = package("lstm", backend, floats)
    made = records(p.train_step, p)
    fill(made["net"], parameters(made["net"]))
    ids, following = (recipe.indices(90 + k, 96, 2, 5) for k in (0, 1))
    agree("lstm.losses", trained(p, made, ["net", "opt"], [ids, following], 2), tolerance)
    agree("lstm.net", made["net"], tolerance)


@each_backend
def test_convnet(backend: str, floats: str, tolerance: float) -> None:
    p = package("convnet", backend, floats)
    made = records(p.train_step, p)
    net = made["net"]
    state = {"1.mean": (30, 8, 0), "1.variance": (31, 8, 1), "5.mean": (32, 16, 0), "5.variance": (33, 16, 1)}
    fill(net, parameters(net, but=tuple(state)))
    fill(net, {k: recipe.numbers(seed, n) + plus for k, (seed, n, plus) in state.items()})
    x, y = floating(floats, recipe.numbers(34, 4, 1, 28, 28) + 0.5), recipe.indices(35, 10, 4)
    agree("convnet.predict", p.predict(net, x), tolerance)
    agree("convnet.losses", trained(p, made, ["net", "sgd", "rng"], [x, y, 0.05], 2), tolerance)
    agree("convnet.net", net, tolerance)
    agree("convnet.state", net, tolerance)


@pytest.mark.parametrize("backend, floats, tolerance", [b for b in BACKENDS if b.id != "c-f64"])
def test_gpt(backend: str, floats: str, tolerance: float) -> None:
    """Training steps, and generation from the cache, position by position, equal to the whole sequence at once."""
    depth = 2 if backend == "evaluator" else 1  # planning the deeper one takes half a minute
    p = package("gpt", backend, floats, vocab=17, context=8, d=12, heads=3, depth=depth)
    made = records(p.train_step, p)
    net = made["net"]
    fill(net, parameters(net))
    ids, following = (recipe.indices(40 + k, 17, 2, 6) for k in (0, 1))
    caches = records(p.decode, p)["caches"]
    logits = [p.decode(net, ids[:1, t], caches, np.int32(t))[0] for t in range(6)]
    agree(f"gpt{depth}.forward", np.stack(logits), tolerance)
    agree(f"gpt{depth}.losses", trained(p, made, ["net", "adamw"], [ids, following, 0.01], 2), tolerance)
    # Keys' biases have no gradient but rounding, which Adam divides by itself: in f32 they say nothing.
    agree(f"gpt{depth}.net", net, 5 * tolerance, but="attn.qkv.b" if floats == "f32" else None)
