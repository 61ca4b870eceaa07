"""Schedules from PyTorch, metrics from torchmetrics and scikit-learn, augmentations with what is drawn given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn.metrics as M
import torch
import torchmetrics.functional.classification as C
import torchmetrics.functional.regression as R
from cases import File, Tensor, draw, gradients


def numbers() -> None:
    file = File("numbers")
    for t in (0, 2, 3, 5, 11):
        file.case(f"schedules@{t}", [np.int32(t)], [schedules(t)])
    x, t = draw(9, 4), torch.tensor([0, 1, 2, 3, 3, 2, 2, 0, 1])
    x[torch.arange(9), t] += 1.0
    y, seen = draw(9), draw(9)
    file.case("metrics", [x, t.to(torch.int32), y, seen], metrics(x, t, y, seen))
    # nothing is of class 3, and nothing is predicted to be of class 1
    x[:, 1] = -9.0
    t[t == 3] = 1
    file.case("metrics@absent", [x, t.to(torch.int32), y, seen], metrics(x, t, y, seen))
    one = torch.tensor(1.0)
    file.case("explained", [y, seen], gradients(lambda y: R.r2_score(y, seen), one, y))
    augmented(file)
    file.write()


def schedules(t: int) -> np.ndarray:
    """PyTorch's schedulers after t steps; its one-cycle ends after its last."""

    def rate(make: Callable[[torch.optim.Optimizer], Any], lr: float = 0.5, limit: int = 1000) -> float:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        scheduler = make(optimizer)
        for _ in range(min(t, limit)):
            optimizer.step()
            scheduler.step()
        return float(optimizer.param_groups[0]["lr"])

    s = torch.optim.lr_scheduler
    warm = rate(lambda o: s.LinearLR(o, start_factor=0.25, total_iters=4))
    cosine = rate(lambda o: s.CosineAnnealingLR(o, 8), limit=8)
    return np.array(
        [
            rate(lambda o: s.StepLR(o, 3, 0.1)),
            rate(lambda o: s.ExponentialLR(o, 0.9)),
            rate(lambda o: s.CosineAnnealingLR(o, 8, eta_min=0.1), limit=8),
            warm,
            rate(lambda o: s.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=8)),
            rate(lambda o: s.OneCycleLR(o, 0.5, total_steps=12), limit=11),
            cosine * min(t / 4, 1),
        ]
    )


def metrics(x: Tensor, t: Tensor, y: Tensor, seen: Tensor) -> list[Any]:
    """torchmetrics, whose numbers have 32 bits, and scikit-learn in 64 bits; there, a class that does not occur counts as 0."""
    c, labels = x.argmax(-1), list(range(4))
    pairs: list[tuple[Any, Any]] = [
        (C.multiclass_accuracy(x, t, 4, average="micro"), M.accuracy_score(t, c)),
        (
            C.multiclass_accuracy(x, t, 4, average="micro", top_k=2),
            M.top_k_accuracy_score(t, x, k=2, labels=labels),
        ),
    ]
    for theirs, score in (
        (C.multiclass_precision, M.precision_score),
        (C.multiclass_recall, M.recall_score),
        (C.multiclass_f1_score, M.f1_score),
    ):
        for average in ("macro", "micro"):
            found = score(t, c, labels=labels, average=average, zero_division=0)
            pairs.append((theirs(x, t, 4, average=average), found))
    everywhere = torch.cat([t, c]).unique().numel() == 4  # else torchmetrics leaves a class out of its mean
    for k, (theirs, found) in enumerate(pairs):
        assert abs(float(theirs) - found) < 1e-6 or (not everywhere and k in (2, 4, 6)), k
    scores: list[Any] = [found for _, found in pairs]
    scores += [R.mean_squared_error(y, seen), R.mean_absolute_error(y, seen), R.r2_score(y, seen)]
    confusion = C.multiclass_confusion_matrix(x, t, 4).numpy().astype(np.int32)
    return [np.array([float(s) for s in scores]), confusion]


def augmented(file: File) -> None:
    x, y = draw(3, 2, 4, 5), draw(3, 2)
    order, lam = [2, 0, 1], 0.25
    row, column = [0, 2, 3], [1, 4, 2]
    erased = x.clone()
    for n in range(3):
        top, left = row[n] - 1, column[n] - 1
        erased[n, :, max(top, 0) : top + 3, max(left, 0) : left + 3] = 0
    inputs = [x, y, np.int32(order), np.float64(lam), np.int32(row), np.int32(column), np.int32(1)]
    mix = [torch.lerp(a[order], a, lam) for a in (x, y)]
    file.case("augmented", inputs, [*mix, erased, y[1:3]])
