"""JAX, jitted, with donated state where a step changes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.case import Case, Peer
from benchmarks.peers import jax_nets as nets
from benchmarks.peers import jax_programs as programs


def make(name: str, case: Case, a: dict[str, Any], threads: int, folder: Any) -> Peer | None:
    """See `benchmarks.peers`."""
    if case.kind == "program":
        return _program(name, case, a)
    if case.model == "fit":
        return _fit(name, case, a)
    if case.key == "kernels.adamw":
        return None
    if case.kind == "training":
        return _training(name, case, a)
    if case.key == "gpt.token":
        return _token(name, case, a)
    function = _functions(case).get(case.key)
    if function is None:
        return None
    jitted = jax.jit(function)
    given = jax.device_put(tuple(a.values()))
    return Peer(name, lambda: jax.block_until_ready(jitted(*given)), np.asarray)


def _functions(case: Case) -> dict[str, Callable[..., Any]]:
    return {
        "products.product": lambda a, b: a @ b,
        "products.product_left_transposed": lambda a, b: a.T @ b,
        "products.product_right_transposed": lambda a, b: a @ b.T,
        "mlp.predict": lambda p, x: jax.nn.softmax(nets.mlp(p, x)),
        "lstm.run": nets.lstm,
        "lenet.predict": lambda p, x: jax.nn.softmax(nets.lenet(p, x)),
        "resnet.predict": lambda p, x: nets.resnet(p, x, False),
        "mobilenet.predict": nets.mobilenet,
        "gpt.prompt": lambda p, ids: nets.hidden(p, ids, case.options)[:, -1] @ p["wte.table"].T,
        "kernels.attend": nets.attention,
        "kernels.normalise": lambda p, x: nets.norm({f"n.{k}": v for k, v in p.items()}, "n", x),
        "kernels.activate": jax.nn.gelu,
    }


def _program(name: str, case: Case, a: dict[str, Any]) -> Peer:
    """In double precision, which the process then has for good: cases of a program run in one of their own."""
    jax.config.update("jax_enable_x64", True)
    program = {"mixture": programs.mixture, "diagonal_lstm": programs.diagonal_lstm}[case.model]
    given = jax.device_put(tuple(a.values()))
    if case.key.endswith("objective"):
        jitted = jax.jit(program)
        return Peer(name, lambda: jax.block_until_ready(jitted(*given)), np.asarray)
    jitted, kept = jax.jit(jax.value_and_grad(program)), {}

    def once() -> Any:
        loss, g = jax.block_until_ready(jitted(*given))
        kept.update(g)
        return loss

    return Peer(name, once, np.asarray, lambda: {k: np.asarray(v) for k, v in kept.items()})


def _token(name: str, case: Case, a: dict[str, Any]) -> Peer:
    given = jax.device_put((a["net"], a["id"], a["t"]))
    kept = [jax.device_put([dict(c) for c in a["caches"]])]
    jitted = jax.jit(lambda p, i, t, c: nets.token(p, i, c, t, case.options), donate_argnums=3)

    def step() -> Any:
        scores, kept[0] = jitted(*given, kept[0])
        return jax.block_until_ready(scores)

    return Peer(name, step, np.asarray)


Step = Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]


def _step(case: Case) -> tuple[Step, Callable[[Any], Any]]:
    """One step of training, and the state of the optimizer before the first."""
    which = case.options.get("optimizer", case.name.lower())
    forward = {
        "mlp": nets.mlp,
        "fit": nets.mlp,
        "lstm": nets.classify,
        "lenet": nets.lenet,
        "resnet": lambda p, x, moved: nets.resnet(p, x, True, moved),
        "gpt": lambda p, x: nets.hidden(p, x, case.options) @ p["wte.table"].T,
    }[case.model]
    rate = 1e-3 if case.model in ("mlp", "fit") else 1e-4
    decay = rate * 0.01 if which.endswith("adamw") else 0.0
    over = jax.tree_util.tree_map

    def objective(p: Any, x: Any, y: Any) -> Any:
        moved: dict[str, Any] = {}  # what a forward pass changes: running moments
        scores = jax.nn.log_softmax(forward(p, x, moved) if case.model == "resnet" else forward(p, x))
        return -jnp.take_along_axis(scores, y[..., None], -1).mean(), moved

    def step(p: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
        p, state, loss, moved = update(p, state, x, y)
        return p | moved, state, loss

    def update(p: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        (loss, moved), g = jax.value_and_grad(objective, has_aux=True)(p, x, y)
        if which.endswith("momentum"):
            (u,) = state
            u = over(lambda u, d: 0.9 * u + d, u, g)
            return over(lambda w, u: w - 1e-3 * u, p, u), (u,), loss, moved
        if which.endswith("sgd"):
            return over(lambda w, d: w - 0.01 * d, p, g), state, loss, moved
        m, v, t = state
        t = t + 1
        m = over(lambda m, d: 0.9 * m + 0.1 * d, m, g)
        v = over(lambda v, d: 0.999 * v + 0.001 * d * d, v, g)
        first, second = 1 - 0.9**t, 1 - 0.999**t

        def move(w: Any, m: Any, v: Any) -> Any:
            return w * (1 - decay) - rate * (m / first) / (jnp.sqrt(v / second) + 1e-8)

        return over(move, p, m, v), (m, v, t), loss, moved

    def start(p: Any) -> Any:
        zeros = lambda: over(jnp.zeros_like, p)  # noqa: E731
        if which.endswith("momentum"):
            return (zeros(),)
        return () if which.endswith("sgd") else (zeros(), zeros(), jnp.zeros(()))

    return step, start


def _training(name: str, case: Case, a: dict[str, Any]) -> Peer | None:
    step, start = _step(case)
    jitted = jax.jit(step, donate_argnums=(0, 1))
    x = jax.device_put(a["x"] if "x" in a else a["ids"])
    y = jax.device_put(a["y"] if "y" in a else a["next"])
    net = {k: jnp.array(v) for k, v in a["net"].items()}
    kept = [net, start(net)]

    def once() -> Any:
        kept[0], kept[1], loss = jitted(*kept, x, y)
        jax.block_until_ready((loss, kept))
        return loss

    return Peer(name, once, np.asarray, lambda: {k: np.asarray(v) for k, v in kept[0].items()})


def _fit(name: str, case: Case, a: dict[str, Any]) -> Peer:
    """The whole loop inside one jit; every call trains from the same start. XLA takes subnormal numbers for zero."""
    step, start = _step(case)
    rows = case.options["batch"]
    whole = len(a["x"]) // rows * rows
    x, y = jnp.array(a["x"]), jnp.array(a["y"])
    xs, ys = x[:whole].reshape(-1, rows, x.shape[1]), y[:whole].reshape(-1, rows)
    rest = (x[whole:], y[whole:])

    def one(carry: Any, batch: Any) -> Any:
        p, state, loss = step(*carry, *batch)
        return (p, state), loss

    def epoch(carry: Any, _: Any) -> Any:
        carry, losses = lax.scan(one, carry, (xs, ys))
        if whole == len(x):
            return carry, losses[-1]
        return one(carry, rest)

    @jax.jit
    def fit(p: Any) -> Any:
        (p, _), losses = lax.scan(epoch, (p, start(p)), None, length=5)
        return p, losses[-1]

    first = {k: jnp.array(v) for k, v in a["start"].items()}
    kept: list[Any] = [None]

    def once() -> Any:
        kept[0], loss = fit(first)
        return jax.block_until_ready((loss, kept[0]))[0]

    return Peer(name, once, np.asarray, lambda: {k: np.asarray(v) for k, v in kept[0].items()})
