"""Optimizers and what is done to gradients, from PyTorch and optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
import torch
from cases import File, Tensor, draw
from torch import nn


def optimizers() -> None:
    file = File("optimizers")
    start = {"w": draw(3), "b": draw(2, 2)}
    grads = [{"w": draw(3), "b": draw(2, 2)} for _ in range(3)]
    run = {f"{i}.{k}": g[k] for i, g in enumerate(grads) for k in g}

    def steps(
        name: str, step: Callable[[dict[str, Tensor], dict[str, Tensor]], None], p: dict[str, Tensor]
    ) -> None:
        for g in grads:
            step(p, g)
        file.case(name, [start, run], [p])

    def torch_steps(name: str, make: Callable[[list[Tensor]], torch.optim.Optimizer]) -> None:
        p = {k: t.clone().requires_grad_(True) for k, t in start.items()}
        optimizer = make(list(p.values()))

        def step(p: dict[str, Tensor], g: dict[str, Tensor]) -> None:
            for k in p:
                p[k].grad = g[k].clone()
            optimizer.step()

        steps(name, step, p)

    torch_steps("sgd", lambda p: torch.optim.SGD(p, lr=0.1))
    torch_steps("momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01))
    torch_steps(
        "nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    )
    torch_steps("adam", lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.9)))
    torch_steps("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1))
    torch_steps("rmsprop", lambda p: torch.optim.RMSprop(p, lr=0.1))
    torch_steps("adagrad", lambda p: torch.optim.Adagrad(p, lr=0.1))
    lamb = optax.lamb(0.1, weight_decay=0.1)
    optax_steps(file, "lamb", lamb, start, grads)
    # the trust ratio of a tensor of zeros, or of one that does not move, is 1
    still = [{**g, "w": torch.zeros(3)} for g in grads]
    optax_steps(file, "lamb@zeros", lamb, {**start, "b": torch.zeros(2, 2)}, grads)
    optax_steps(file, "light@still", optax.lamb(0.1, b1=0.8, b2=0.95, eps=1e-3), start, still)
    optax_steps(file, "lion", optax.lion(0.1, weight_decay=0.1), start, grads)
    optax_steps(file, "lion_plain", optax.lion(0.05, b1=0.8, b2=0.95, weight_decay=0.0), start, grads)
    sharpness(file, start)
    treatments(file, grads, run)
    file.write()


def optax_steps(
    file: File,
    name: str,
    optimizer: optax.GradientTransformation,
    start: dict[str, Tensor],
    grads: list[dict[str, Tensor]],
) -> None:
    """Steps of an optimizer of optax with given gradients."""
    p = {k: jnp.asarray(t.numpy()) for k, t in start.items()}
    state = optimizer.init(p)
    for g in grads:
        updates, state = optimizer.update({k: jnp.asarray(t.numpy()) for k, t in g.items()}, state, p)
        p = optax.apply_updates(p, updates)
    run = {f"{i}.{k}": g[k] for i, g in enumerate(grads) for k in g}
    file.case(name, [start, run], [p])


def sharpness(file: File, start: dict[str, Tensor]) -> None:
    """optax.contrib.sam: two steps of 0.1 by gradients from a distance of 0.1, and the first of those places."""

    def bowl(p: dict[str, jax.Array]) -> jax.Array:
        return (p["w"] ** 4).sum() + jnp.exp(p["b"]).sum()

    slope = jax.grad(bowl)
    uphill = optax.chain(optax.contrib.normalize(), optax.sgd(0.1))
    p = {k: jnp.asarray(t.numpy()) for k, t in start.items()}
    away, _ = uphill.update(slope(p), uphill.init(p), p)
    file.case("uphill", [start], [{k: p[k] - away[k] for k in p}])
    sam = optax.contrib.sam(optax.sgd(0.1), uphill, opaque_mode=True)
    state = sam.init(p)
    for _ in range(2):
        updates, state = sam.update(slope(p), state, p, grad_fn=lambda q, _: slope(q))
        p = optax.apply_updates(p, updates)
    file.case("sam", [start], [p])


def treatments(file: File, grads: list[dict[str, Tensor]], run: Any) -> None:
    def parameters(g: dict[str, Tensor]) -> dict[str, Tensor]:
        out = {k: torch.zeros_like(t).requires_grad_(True) for k, t in g.items()}
        for k, t in out.items():
            t.grad = g[k].clone()
        return out

    g = grads[0]
    whole, value = parameters(g), parameters(g)
    norm = nn.utils.clip_grad_norm_(whole.values(), 1.5)
    nn.utils.clip_grad_value_(value.values(), 0.5)
    each = parameters(g)
    for t in each.values():
        nn.utils.clip_grad_norm_([t], 1.0)
    grad_of = [{k: t.grad for k, t in p.items()} for p in (whole, each, value)]
    file.case("clipped", [g], [*grad_of, norm])
    total = {k: torch.zeros_like(t).requires_grad_(True) for k, t in g.items()}
    for batch in grads:  # PyTorch adds up what several backward passes leave
        (sum((total[k] * batch[k]).sum() for k in batch) / 3).backward()
    file.case("accumulated", [run], [{k: t.grad for k, t in total.items()}, grads[1]])
