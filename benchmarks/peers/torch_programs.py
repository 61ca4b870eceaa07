"""Numerical programs in PyTorch, in double precision. Parameters are the leaves of Charl's records, by path."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from benchmarks.case import Case, Peer


def mixture(m: Any, x: Any) -> Any:
    """mixture.ch"""
    d = x.shape[1]
    q = torch.diag_embed(torch.exp(m["logdiag"]))
    rows, columns = torch.tril_indices(d, d, -1)
    q = q.index_put((torch.arange(len(q))[:, None], rows, columns), m["lower"])
    r = torch.einsum("kij,nkj->nki", q, x[:, None] - m["mean"])
    logp = m["alpha"] + m["logdiag"].sum(-1) - 0.5 * (r**2).sum(-1)
    prior = 0.5 * ((torch.exp(m["logdiag"]) ** 2).sum() + (m["lower"] ** 2).sum()) - m["logdiag"].sum()
    return torch.logsumexp(logp, -1).sum() - len(x) * torch.logsumexp(m["alpha"], 0) - prior


def diagonal_lstm(p: Any, start: Any, text: Any) -> Any:
    """diagonal_lstm.ch"""

    def gate(at: str, i: int, x: Any) -> Any:
        return x * p[f"{at}.scale"][i] + p[f"{at}.shift"][i]

    states, total = [(s["hid"], s["cell"]) for s in start], torch.zeros((), dtype=torch.float64)
    for x, following in pairwise(text):
        y = x * p["extra"][0]
        for i, (hid, cell) in enumerate(states):
            at, sigmoid = f"layers.{i}", torch.sigmoid
            cell = cell * sigmoid(gate(at, 0, y)) + sigmoid(gate(at, 1, hid)) * torch.tanh(gate(at, 3, hid))
            y = sigmoid(gate(at, 2, y)) * torch.tanh(cell)
            states[i] = (y, cell)
        y = y * p["extra"][1] + p["extra"][2]
        total = total + (following * (y - torch.log(torch.exp(y).sum() + 2))).sum()
    return -total / text[1:].numel()


PROGRAMS: dict[str, Callable[..., Any]] = {"mixture": mixture, "diagonal_lstm": diagonal_lstm}


def make(name: str, case: Case, a: dict[str, Any]) -> Peer:
    """The program, or its value and gradient by the first argument, as the case has it."""
    as_tensors: Callable[[Any], Any] = lambda v: (  # noqa: E731
        {k: as_tensors(w) for k, w in v.items()} if isinstance(v, dict)
        else [as_tensors(w) for w in v] if isinstance(v, list) else torch.from_numpy(v)
    )  # fmt: skip
    first, *rest = (as_tensors(v) for v in a.values())
    program = PROGRAMS[case.model]
    if case.key.endswith("objective"):

        def value() -> Any:
            with torch.no_grad():
                return program(first, *rest)

        return Peer(name, value, lambda z: z.numpy())
    for leaf in first.values():
        leaf.requires_grad_(True)

    def gradient() -> Any:
        for leaf in first.values():
            leaf.grad = None
        loss = program(first, *rest)
        loss.backward()
        return loss.detach()

    return Peer(name, gradient, lambda z: z.numpy(), lambda: {k: v.grad.numpy() for k, v in first.items()})
