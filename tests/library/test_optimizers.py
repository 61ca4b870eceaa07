"""Optimizers: their means end as 0, and are never subnormal numbers, which are slow; leaves are of any float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import charl
from tests.language.backends import BACKENDS

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


MIXED = """
from optim import Accumulator, AdaGrad, Adam, AdamW, Lamb, Lion, RmsProp, Sgd
from optim import clip_by_norm, clip_by_value, clip_leaves_by_norm, sharpest

struct Net { wide: f64[3], plain: f32[3], half: bf16[3] }
struct Opt { a: Adam<Net>, b: AdamW<Net>, c: Sgd<Net>, d: RmsProp<Net>, e: AdaGrad<Net>, f: Lamb<Net>, h: Lion<Net> }

export fn begin(net: Net) -> Opt {
    Opt(
        a: Adam.init(net),
        b: AdamW.init(net),
        c: Sgd.init(net),
        d: RmsProp.init(net),
        e: AdaGrad.init(net),
        f: Lamb.init(net),
        h: Lion.init(net),
    )
}

export fn step(mut net: Net, mut opt: Opt, g: Net, lr: f32) {
    let mut total = Accumulator.init(net)
    total.add(g)
    opt.a.update(mut net, total.take(), lr: lr)
    opt.b.update(mut net, clip_by_norm(g, 1.0), lr: lr)
    opt.c.update(mut net, clip_leaves_by_norm(g, 1.0), lr: lr, momentum: 0.9)
    opt.d.update(mut net, clip_by_value(g, 1.0), lr: lr)
    opt.e.update(mut net, g, lr: lr)
    opt.f.update(mut net, g, lr: lr)
    opt.h.update(mut net, g, lr: lr)
    net = sharpest(net, g)
}
"""


@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_leaves_are_of_any_float(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "mixed.ch"
    path.write_text(MIXED)
    package = charl.load(path, backend=backend)
    net, gradient = package.Net(), package.Net()
    for leaf in ("wide", "plain", "half"):
        net.leaves()[leaf][...] = [1.0, -2.0, 0.5]
        gradient.leaves()[leaf][...] = [0.5, 0.25, -4.0]
    opt = package.begin(net)
    package.step(net, opt, gradient, 0.125)
    found = {k: x.astype(np.float64) for k, x in net.leaves().items()}
    np.testing.assert_allclose(found["wide"], found["plain"], rtol=1e-5)
    np.testing.assert_allclose(found["half"], found["plain"], rtol=0.05)
    assert (np.abs(found["wide"] - [1.0, -2.0, 0.5]) > 0.1).all()
