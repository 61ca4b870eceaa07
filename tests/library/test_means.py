"""The means of optimizers end as 0, and are never subnormal numbers, which are slow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import charl

PROGRAM = """
from optim import {name}
struct Net {{ w: f32[3] }}
export fn step(mut net: Net, mut opt: {name}<Net>, g: Net) {{ opt.update(mut net, g{more}) }}
export fn zeros(net: Net) -> {name}<Net> = {name}.init(net)
"""


@pytest.mark.parametrize("options", [{}, {"f32": "f64"}], ids=["f32", "f64"])
@pytest.mark.parametrize(
    "name, means, more",
    [
        ("Adam", ("m.w", "v.w"), ""),
        ("Lion", ("m.w",), ""),
        ("RmsProp", ("square.w",), ""),
        ("Sgd", ("velocity.w",), ", lr: 0.1, momentum: 0.9"),
    ],
)
def test_means_of_nothing_become_zero(
    tmp_path: Path, name: str, means: tuple[str, ...], more: str, options: dict[str, str]
) -> None:
    path = tmp_path / "net.ch"
    path.write_text(PROGRAM.format(name=name, more=more))
    package = charl.load(path, backend="evaluator", **options)
    net, gradient = package.Net(), package.Net()
    net.leaves()["w"][...] = 1
    opt = package.zeros(net)
    normal = np.finfo(net.leaves()["w"].dtype).tiny
    for mean in means:
        opt.leaves()[mean][...] = [1.001e4 * normal, 1.0, 0.0]
    gradient.leaves()["w"][...] = [0.0, 1.0, np.sqrt(normal) / 10]  # the square of the last is subnormal
    for _ in range(30):
        package.step(net, opt, gradient)
        for mean in means:
            size = np.abs(opt.leaves()[mean])
            assert ((size == 0) | (size >= normal)).all()
    for mean in means:
        found = opt.leaves()[mean]
        assert found[0] == 0 and found[1] != 0
    assert np.isfinite(net.leaves()["w"]).all()


def test_halves_keep_what_is_computed_in_f32(tmp_path: Path) -> None:
    path = tmp_path / "small.ch"
    path.write_text("export fn f(x: f16[2], y: f64[2]) = (smallest_normal(x), smallest_normal(y))\n")
    half, double = charl.load(path, backend="evaluator").f(np.zeros(2, np.float16), np.zeros(2))
    assert half == 0 and double == np.finfo(np.float64).tiny
