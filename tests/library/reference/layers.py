"""Dense and normalising layers, embeddings and residual blocks, from PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from cases import File, Tensor, draw, fill, module_case, same, turned
from torch import nn


def layers() -> None:
    file = File("layers")
    dense = nn.Linear(4, 3)
    fill(dense)
    names = {"0.w": (dense.weight, turned), "0.b": (dense.bias, same)}
    module_case(file, "linear", lambda x: torch.tanh(dense(x)), names, draw(2, 3, 4))
    a, b, norm = nn.Linear(4, 3), nn.Linear(3, 4, bias=False), nn.LayerNorm(4)
    rms = nn.RMSNorm(4, eps=1e-6)
    for m in (a, b, norm, rms):
        fill(m)
    names = {
        "0.inner.one.w": (a.weight, turned), "0.inner.one.b": (a.bias, same), "0.inner.two.w": (b.weight, turned),
        "1.scale": (norm.weight, same), "1.shift": (norm.bias, same), "2.scale": (rms.weight, same),
    }  # fmt: skip
    module_case(file, "mixed", lambda x: rms(norm(x + b(F.silu(a(x))))), names, draw(2, 3, 4))
    group = nn.GroupNorm(2, 4)
    fill(group)
    names = {"0.scale": (group.weight, same), "0.shift": (group.bias, same)}
    module_case(file, "grouped", lambda x: group(x).reshape(2, 24), names, draw(2, 4, 3, 2))
    embedding = nn.Embedding(5, 3)
    fill(embedding)
    ids = torch.tensor([[0, 4, 4, 1], [2, 0, 4, 2]], dtype=torch.int32)
    module_case(file, "table", embedding, {"0.table": (embedding.weight, same)}, ids, outputs="ln")
    norm = nn.BatchNorm2d(3)
    fill(norm)
    with torch.no_grad():
        norm.running_mean.copy_(draw(3))
        norm.running_var.copy_(draw(3).abs() + 0.5)
    names = {"0.scale": (norm.weight, same), "0.shift": (norm.bias, same)}
    state = {"0.mean": norm.running_mean.clone(), "0.variance": norm.running_var.clone()}
    x = draw(4, 3, 2, 3)
    norm.eval()
    module_case(file, "batch_eval", norm, names, x.clone(), state=state)
    norm.train()
    stream = {"key": np.array([1, 2], np.uint32), "counter": np.uint32(0)}
    batch_train(file, norm, names, state, x.clone(), stream)
    file.write()


def batch_train(file: File, norm: nn.BatchNorm2d, names: Any, state: Any, x: Tensor, stream: Any) -> None:
    x.requires_grad_(True)
    y = norm(x)
    ct = draw(*y.shape)
    gx, *gs = torch.autograd.grad((y * ct).sum(), [x, norm.weight, norm.bias])
    before = {"0.scale": norm.weight, "0.shift": norm.bias, **state}
    after = {
        "0.scale": norm.weight,
        "0.shift": norm.bias,
        "0.mean": norm.running_mean,
        "0.variance": norm.running_var,
    }
    grads = dict(zip(names, gs, strict=True))
    file.case("batch_train", [before, stream, x, ct], [y, gx, grads, after])


def residual() -> None:
    file = File("residual")

    def norm(n: int) -> nn.BatchNorm2d:
        m = nn.BatchNorm2d(n)
        fill(m)
        with torch.no_grad():
            m.running_mean.copy_(draw(n))
            m.running_var.copy_(draw(n).abs() + 0.5)
        return m.eval()

    def conv(i: int, o: int, k: int, stride: int = 1) -> nn.Conv2d:
        m = nn.Conv2d(i, o, k, stride=stride, padding=k // 2, bias=False)
        fill(m)
        return m

    def names(
        convs: Sequence[nn.Conv2d], norms: Sequence[nn.BatchNorm2d]
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        out: dict[str, Any] = {}
        state = {}
        for k, (c, n) in enumerate(zip(convs, norms, strict=True), 1):
            out |= {
                f"conv{k}.w": (c.weight, same),
                f"norm{k}.scale": (n.weight, same),
                f"norm{k}.shift": (n.bias, same),
            }
            state |= {f"norm{k}.mean": n.running_mean, f"norm{k}.variance": n.running_var}
        return out, state

    c, n = [conv(3, 3, 3), conv(3, 3, 3)], [norm(3), norm(3)]
    params, state = names(c, n)
    module_case(
        file, "same", lambda x: F.relu(n[1](c[1](F.relu(n[0](c[0](x))))) + x), params, draw(1, 3, 4, 4), state=state
    )  # fmt: skip
    d, m = [conv(2, 3, 3, 2), conv(3, 3, 3), conv(2, 3, 1, 2)], [norm(3), norm(3), norm(3)]
    params, state = names(d, m)
    module_case(
        file, "halved", lambda x: F.relu(m[1](d[1](F.relu(m[0](d[0](x))))) + m[2](d[2](x))), params,
        draw(1, 2, 4, 4), state=state,
    )  # fmt: skip
    e = [conv(2, 2, 1), conv(2, 2, 3, 2), conv(2, 4, 1), conv(2, 4, 1, 2)]
    o = [norm(2), norm(2), norm(4), norm(4)]
    params, state = names(e, o)
    module_case(
        file, "bottleneck",
        lambda x: F.relu(o[2](e[2](F.relu(o[1](e[1](F.relu(o[0](e[0](x)))))))) + o[3](e[3](x))), params,
        draw(1, 2, 4, 4), state=state,
    )  # fmt: skip
    file.write()
