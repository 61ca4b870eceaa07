"""PyTorch, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.case import Case, Peer
from benchmarks.peers import torch_nets, torch_programs


def make(name: str, case: Case, a: dict[str, Any], threads: int, folder: Any, compiled: bool) -> Peer | None:
    """See `benchmarks.peers`."""
    torch.set_num_threads(threads)
    if case.key.startswith("products."):
        return None if compiled else _product(name, case, a)
    if case.key.startswith("kernels."):
        return _layer(name, case, a, compiled)
    if case.kind == "program":
        return None if compiled else torch_programs.make(name, case, a)
    if case.model == "fit":
        return _flushing(_fit(name, case, a, compiled), case)
    if case.kind == "training":
        return _flushing(_training(name, case, a, compiled), case)
    return _inference(name, case, a, compiled)


def _product(name: str, case: Case, a: dict[str, Any]) -> Peer:
    x, y = torch.from_numpy(a["a"]), torch.from_numpy(a["b"])
    x, y = (x.T if "left" in case.key else x), (y.T if "right" in case.key else y)
    out = torch.empty(x.shape[0], y.shape[1])
    return Peer(name, lambda: torch.mm(x, y, out=out), lambda z: z.numpy())


def _compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    import torch._inductor.config as config

    config.freezing = True
    torch._dynamo.reset()
    out: Callable[..., Any] = torch.compile(f)
    return out


def _layer(name: str, case: Case, a: dict[str, Any], compiled: bool) -> Peer | None:
    given = {k: torch.from_numpy(v) for k, v in a.items() if not isinstance(v, dict)}
    wrap = _compiled if compiled else lambda f: f
    if case.key == "kernels.attend":
        f = wrap(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    elif case.key == "kernels.activate":
        f = wrap(lambda x: F.gelu(x, approximate="tanh"))
    elif case.key == "kernels.normalise":
        scale, shift = (torch.from_numpy(a["norm"][k]) for k in ("scale", "shift"))
        f = wrap(lambda x: F.layer_norm(x, (x.shape[-1],), scale, shift))
    elif case.key == "kernels.adamw" and not compiled:
        w = torch.from_numpy(a["net"]["w"].copy())
        w.grad = torch.from_numpy(a["g"]["w"])
        optimizer = torch.optim.AdamW([w], 1e-4, fused=True)
        return Peer(name, optimizer.step, lambda _: (), lambda: {"w": w.numpy()})
    else:
        return None

    def step() -> Any:
        with torch.no_grad():
            return f(**given)

    return Peer(name, step, lambda z: z.numpy())


def _inference(name: str, case: Case, a: dict[str, Any], compiled: bool) -> Peer | None:
    found = torch_nets.inference(case.key, a, case.options)
    if found is None:
        return None
    module, inputs = found
    f = _compiled(module) if compiled else module

    def step() -> Any:
        with torch.no_grad():
            return f(*inputs)

    return Peer(name, step, lambda z: (z[0] if isinstance(z, tuple) else z).numpy())


def _flushing(peer: Peer | None, case: Case) -> Peer | None:
    """The same with subnormal numbers as zero where the case wants it: a mode of the process, so only while it runs."""
    if peer is None or not case.flush:
        return peer

    def many(calls: int) -> Any:
        torch.set_flush_denormal(True)
        try:
            for _ in range(calls):
                out = peer.step()
        finally:
            torch.set_flush_denormal(False)
        return out

    return Peer(peer.name, lambda: many(1), peer.result, peer.state, many=many)


Step = Callable[[Any, Any], Any]


def _stepper(case: Case, net: Any, compiled: bool) -> Callable[[], Step]:
    """Makes a step of training with an optimizer that has made none yet."""
    net.train()

    def objective(x: Any, y: Any) -> Any:
        z = net(x)
        return F.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1))

    if compiled:
        objective = _compiled(objective)  # type: ignore[assignment]

    def start() -> Step:
        optimizer = _optimizer(case, [p for p in net.parameters() if p.requires_grad])

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad(set_to_none=True)
            loss = objective(x, y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    return start


def _training(name: str, case: Case, a: dict[str, Any], compiled: bool) -> Peer | None:
    found = torch_nets.trained(case.key, case.options)
    if found is None:
        return None
    net, places = found
    torch_nets.fill(places, a["net"])
    step = _stepper(case, net, compiled)()
    x = torch.from_numpy(a["x"] if "x" in a else a["ids"])
    x = x if x.is_floating_point() else x.long()
    y = torch.from_numpy(a["y"] if "y" in a else a["next"]).long()
    state = lambda: torch_nets.leaves(places)  # noqa: E731
    return Peer(name, lambda: step(x, y), lambda z: z.detach().numpy(), state)


def _fit(name: str, case: Case, a: dict[str, Any], compiled: bool) -> Peer:
    """Every call trains from the same start."""
    net, places = torch_nets.mlp()
    start = _stepper(case, net, compiled)
    x, y, rows = torch.from_numpy(a["x"]), torch.from_numpy(a["y"]).long(), case.options["batch"]

    def fit() -> Any:
        torch_nets.fill(places, a["start"])
        step = start()
        for _ in range(5):
            for i in range(0, len(x), rows):
                loss = step(x[i : i + rows], y[i : i + rows])
        return loss.detach()

    return Peer(name, fit, lambda z: z.numpy(), lambda: torch_nets.leaves(places))


def _optimizer(case: Case, parameters: list[Any]) -> Any:
    which = case.options.get("optimizer", case.name.lower())
    if which.endswith("momentum"):
        return torch.optim.SGD(parameters, 1e-3, momentum=0.9, fused=True)
    if which.endswith("sgd"):
        return torch.optim.SGD(parameters, 0.01, fused=True)
    rate = 1e-3 if case.model in ("mlp", "fit") else 1e-4
    kind = torch.optim.AdamW if which.endswith("adamw") else torch.optim.Adam
    return kind(parameters, rate, fused=True)
