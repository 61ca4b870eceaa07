"""Reductions, matrices, order and comparisons, from PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from cases import File, draw, gradients, whole


def reductions() -> None:
    file = File("reductions")
    one, x, row, column = torch.tensor(1.0), draw(3, 4), draw(1, 4), draw(3)
    table = [
        (torch.mean, one),
        (lambda x: x.mean(0, keepdim=True), row),
        (lambda x: x.var(correction=0), one),
        (lambda x: x.var(1, correction=0), column),
        (torch.linalg.norm, one),
        (lambda x: torch.linalg.vector_norm(x, dim=0, keepdim=True), row),
        (lambda x: torch.logsumexp(x, (0, 1)), one),
        (lambda x: torch.logsumexp(x, 1), column),
        (lambda x: torch.logsumexp(torch.cat([x, torch.full((3, 1), -torch.inf)], 1), 1), column),
    ]
    file.case("reduced", [x, row, column], [g for f, ct in table for g in gradients(f, ct, x)])
    x, ct = torch.tensor([-2.5, -0.5, 0.25, 0.75, 3.0]), draw(5)
    c = [0.5, -1.0, 2.0, 0.25]
    found = [
        gradients(lambda x: x.clamp(-0.75, 0.5), ct, x),
        gradients(lambda x: sum(a * x ** (3 - k) for k, a in enumerate(c)), ct, x),
        gradients(lambda x: torch.erfinv(x / 4), ct, x),
    ]
    file.case("elements", [x, ct], [g for case in found for g in case])
    x, t, big, small, low = draw(4), draw(6), draw(4, 4), draw(3, 3), draw(4, 4)

    def triangle(t: torch.Tensor, n: int, offset: int) -> torch.Tensor:
        rows, columns = torch.tril_indices(n, n, offset)
        return torch.zeros(n, n).index_put((rows, columns), t)

    found = [
        gradients(torch.diag, big, x),
        gradients(lambda t: triangle(t, 3, 0), small, t),
        gradients(lambda t: triangle(t, 4, -1), low, t),
        gradients(torch.diagonal, x, big),
        gradients(torch.diag, x, low),
    ]
    file.case("matrices", [x, t, big, small, low], [g for case in found for g in case])
    a = draw(6)
    far = [(a, a), (a, a * (1 + 1e-4)), (a, a * (1 + 1e-4)), (a, a + 1e-3)]
    limits = [{}, {}, {"rtol": 1e-3}, {"rtol": 0, "atol": 2e-3}]
    near = [
        torch.allclose(p, q, **{"rtol": 1e-5, "atol": 1e-6, **k})
        for (p, q), k in zip(far, limits, strict=True)
    ]
    file.case("near", [a, a * (1 + 1e-4), a + 1e-3], [np.array(near, np.int32)])
    file.write()


def orders() -> None:
    file = File("orders")
    x, ct, two = draw(3, 6), draw(3, 6), draw(3, 2)
    found = [
        gradients(lambda x: x.sort(-1).values, ct, x),
        gradients(lambda x: x.sort(0, descending=True).values, ct, x),
        gradients(lambda x: x.topk(2).values, two, x),
        gradients(lambda x: x.cumprod(1), ct, x),
        gradients(lambda x: x.cumprod(0), ct, x),
    ]
    indices = [x.argsort(-1), x.argsort(0, descending=True), x.topk(2).indices]
    ties = whole(0, 4, 60)  # more than are counted: they are merged, or sorted by their digits
    indices += [ties.argsort(stable=True), ties.argsort(stable=True, descending=True)]
    file.case(
        "ordered", [x, ct, two, ties], [*(g for c in found for g in c), *(i.to(torch.int32) for i in indices)]
    )
    file.write()
