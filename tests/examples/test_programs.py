"""The programs of examples/ that are no neural classifiers, against figures computed here in NumPy, on every backend.

A program in float64 is compared closely on the evaluator and in C; shaders compute it in float32.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ALL = [
    pytest.param("evaluator", id="evaluator"),
    pytest.param("c", marks=needs_cc, id="c"),
    pytest.param("wgpu", marks=needs_vulkan, id="wgsl"),
]
on_every_backend = pytest.mark.parametrize("backend", ALL)


@cache
def load(name: str, backend: str) -> Any:
    """A program's package; float64 becomes float32 where there is none."""
    f64 = "f32" if backend == "wgpu" else "f64"
    return charl.load(EXAMPLES / name / f"{name}.ch", backend=backend, f64=f64)


def close(backend: str) -> dict[str, float]:
    """How near a float64 program comes."""
    return {"rtol": 2e-3, "atol": 2e-3} if backend == "wgpu" else {"rtol": 1e-8, "atol": 1e-9}


def floats(backend: str, *arrays: Any) -> list[Any]:
    """Arguments in the element type of the package."""
    return [np.asarray(a, np.float32 if backend == "wgpu" else np.float64) for a in arrays]


def slope(f: Any, x: Array, h: float = 1e-5) -> Array:
    """Central differences."""
    return np.array([(f(x + d) - f(x - d)) / (2 * h) for d in np.eye(len(x)) * h])


# ---------------------------------------------------------------- kalman


def kalman(levels: Array, track: Array) -> tuple[float, Array]:
    """Log-likelihood and means of the textbook filter."""
    dt, (q, r) = 0.1, np.exp(levels)
    one = np.eye(2)
    move = np.block([[one, dt * one], [0 * one, one]])
    noise = q * np.block([[dt**3 / 3 * one, dt**2 / 2 * one], [dt**2 / 2 * one, dt * one]])
    see = np.hstack([one, 0 * one])
    mean, covariance, total, means = np.zeros(4), 10 * np.eye(4), 0.0, []
    for z in track:
        mean, covariance = move @ mean, move @ covariance @ move.T + noise
        spread = see @ covariance @ see.T + r * one
        off = z - see @ mean
        total -= 0.5 * (off @ np.linalg.solve(spread, off) + np.log(np.linalg.det(2 * np.pi * spread)))
        gain = covariance @ see.T @ np.linalg.inv(spread)
        mean, covariance = mean + gain @ off, covariance - gain @ see @ covariance
        means.append(mean)
    return total, np.array(means)


@on_every_backend
def test_kalman(backend: str) -> None:
    package = load("kalman", backend)
    track = np.cumsum(np.random.default_rng(0).standard_normal((20, 2)), 0)
    levels = np.array([-0.5, -1.0])
    total, means = kalman(levels, track)
    given = floats(backend, levels, track)
    np.testing.assert_allclose(package.filtered(*given), means, **close(backend))
    moved, data, lr = floats(backend, levels.copy(), track, 1e-3)
    np.testing.assert_allclose(package.fit_step(moved, data, lr), total, **close(backend))
    uphill = levels + 1e-3 * slope(lambda x: kalman(x, track)[0], levels)
    np.testing.assert_allclose(moved, uphill, rtol=1e-3 if backend == "wgpu" else 1e-8)


# ---------------------------------------------------------------- Gaussian process


def gaussian(k: Array, x: Array, y: Array, at: Array) -> tuple[float, Array, Array]:
    """log p(y | x), means and deviations at new places, by dense algebra."""
    amplitude, length, noise = np.exp(k)

    def kernel(a: Array, b: Array) -> Array:
        return np.asarray(amplitude**2 * np.exp(-0.5 * ((a[:, None] - b) / length) ** 2))

    c = kernel(x, x) + noise**2 * np.eye(len(x))
    value = -0.5 * (y @ np.linalg.solve(c, y) + np.linalg.slogdet(2 * np.pi * c)[1])
    cross = kernel(at, x)
    spread = amplitude**2 - np.einsum("ij,ij->i", cross, np.linalg.solve(c, cross.T).T)
    return float(value), cross @ np.linalg.solve(c, y), np.sqrt(spread)


@on_every_backend
def test_gaussian_process(backend: str) -> None:
    package = load("gaussian_process", backend)
    rng = np.random.default_rng(1)
    x, at = rng.uniform(-3, 3, 12), np.linspace(-2, 2, 5)
    y, k = np.sin(2 * x), np.array([0.1, -0.2, -1.0])
    value, mean, deviation = gaussian(k, x, y, at)
    kernel = package.Kernel()
    for name, v in zip(("amplitude", "length", "noise"), k, strict=True):
        setattr(kernel, name, v)
    found = package.predict(kernel, *floats(backend, x, y, at))
    np.testing.assert_allclose(found[0], mean, **close(backend))
    np.testing.assert_allclose(found[1], deviation, **close(backend))
    np.testing.assert_allclose(
        package.fit_step(kernel, *floats(backend, x, y, 0.01)), value, **close(backend)
    )
    uphill = k + 0.01 * slope(lambda k: gaussian(k, x, y, at)[0], k)
    moved = [kernel.amplitude, kernel.length, kernel.noise]
    np.testing.assert_allclose(moved, uphill, rtol=2e-2 if backend == "wgpu" else 1e-7)


# ---------------------------------------------------------------- bodies


def leapfrog(place: Array, speed: Array, mass: Array, dt: float, steps: int) -> tuple[Array, Array]:
    def pull(p: Array) -> Array:
        d = p[None] - p[:, None]
        return np.asarray((d * (mass / ((d**2).sum(-1) + 0.05**2) ** 1.5)[..., None]).sum(1))

    for _ in range(steps):
        speed = speed + 0.5 * dt * pull(place)
        place = place + dt * speed
        speed = speed + 0.5 * dt * pull(place)
    return place, speed


@on_every_backend
def test_n_body(backend: str) -> None:
    package = load("n_body", backend)
    place = np.array([[0.97, -0.24], [-0.97, 0.24], [0.0, 0.0]])
    speed = np.array([[0.466, 0.432], [0.466, 0.432], [-0.932, -0.864]])
    b = package.Bodies()
    b.place[...], b.speed[...] = place, speed
    mass, dt = floats(backend, np.ones(3), 0.002)
    end = package.run(b, mass, dt)
    wanted = leapfrog(place, speed, np.ones(3), 0.002, 1000)
    np.testing.assert_allclose(end.place, wanted[0], **close(backend))
    np.testing.assert_allclose(
        package.total_energy(end, mass),
        package.total_energy(b, mass),
        rtol=1e-4 if backend == "wgpu" else 1e-6,
    )
    if backend == "evaluator":
        return  # a thousand steps with twelve derivatives take NumPy half a minute
    jacobian = package.sensitivity(b, mass, dt)
    omega = np.block([[np.zeros((6, 6)), np.eye(6)], [-np.eye(6), np.zeros((6, 6))]])
    np.testing.assert_allclose(jacobian.T @ omega @ jacobian, omega, atol=2e-2 if backend == "wgpu" else 1e-9)


# ---------------------------------------------------------------- k-means


@on_every_backend
def test_newton_is_lloyd(backend: str) -> None:
    package = load("kmeans_newton", backend)
    rng = np.random.default_rng(2)
    x, centres = floats(backend, rng.standard_normal((30, 2)), rng.standard_normal((3, 2)))
    distance = ((x[:, None] - centres) ** 2).sum(-1)
    mine = distance.argmin(1)
    wanted = [x[mine == k].mean(0) if (mine == k).any() else centres[k] for k in range(3)]
    newton, lloyd = centres.copy(), centres.copy()
    value = package.newton_step(newton, x)
    package.lloyd_step(lloyd, x)
    np.testing.assert_allclose(value, 0.5 * distance.min(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(newton, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lloyd, wanted, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- networks


@on_every_backend
def test_a_net_learns_its_equation(backend: str) -> None:
    """The residual falls, and the answer's own differences fit what the net says of itself."""
    package = load("pinn", backend)
    rng = package.Rng.init(seed=0)
    net = package.Net.init(rng)
    adam = package.Adam.init()
    steps = 10 if backend == "evaluator" else 40
    losses = [package.train_step(net, adam, rng, np.float32(3e-3)) for _ in range(steps)]
    assert losses[-1] < 0.7 * losses[0]
    x, t = (np.array(v, np.float32) for v in ([0.3, 0.6], [0.2, 0.7]))
    h = np.float32(0.05)

    def u(dx: float, dt: float) -> Array:
        return np.asarray(package.solution(net, x + np.float32(dx), t + np.float32(dt)), float)

    u_t = (u(0, h) - u(0, -h)) / (2 * h)
    u_xx = (u(h, 0) - 2 * u(0, 0) + u(-h, 0)) / h**2
    np.testing.assert_allclose(package.residuals(net, x, t), u_t - 0.2 * u_xx, atol=0.05)


def forward(w: list[Array], x: Array) -> tuple[Array, list[Array]]:
    """The net of maml.ch and what its gradient needs."""
    a = x[:, None]
    b = np.tanh(a @ w[0] + w[1])
    c = np.tanh(b @ w[2] + w[3])
    return (c @ w[4] + w[5])[:, 0], [a, b, c]


def adapted(w: list[Array], x: Array, y: Array) -> list[Array]:
    """Three steps of gradient descent, by hand."""
    for _ in range(3):
        out, (a, b, c) = forward(w, x)
        d = (2 * (out - y) / len(x))[:, None]
        e = d @ w[4].T * (1 - c**2)
        f = e @ w[2].T * (1 - b**2)
        g = [a.T @ f, f.sum(0), b.T @ e, e.sum(0), c.T @ d, d.sum(0)]
        w = [p - 0.02 * q for p, q in zip(w, g, strict=True)]
    return w


@on_every_backend
def test_maml(backend: str) -> None:
    """The outer gradient, through three inner gradients, against differences of the objective written by hand."""
    package = load("maml", backend)
    net = package.Net.init(seed=3)
    rng = np.random.default_rng(4)
    tasks = []
    for k in range(4):
        task = package.Task()
        task.amplitude, task.phase = 1.0 + k / 2, k / 3
        task.seen[...], task.asked[...] = rng.uniform(-4, 4, (2, 10))
        tasks.append(task)
    weights = {n: a.astype(float) for n, a in net.leaves().items()}

    def outer(w: dict[str, Array]) -> float:
        total = 0.0
        for t in tasks:
            seen, asked = (np.asarray(v, float) for v in (t.seen, t.asked))
            sine = lambda x: float(t.amplitude) * np.sin(x + float(t.phase))  # noqa: B023, E731
            out, _ = forward(adapted(list(w.values()), seen, sine(seen)), asked)
            total += float(((out - sine(asked)) ** 2).mean()) / 4
        return total

    value, gradient = package.meta_gradient(net, tuple(tasks))
    assert value == pytest.approx(outer(weights), rel=1e-4)
    direction = {n: rng.standard_normal(a.shape) for n, a in weights.items()}
    h = 1e-6
    up, down = (outer({n: a + s * h * direction[n] for n, a in weights.items()}) for s in (1, -1))
    found = sum(float((a * direction[n]).sum()) for n, a in gradient.leaves().items())
    assert found == pytest.approx((up - down) / (2 * h), rel=2e-3)


@on_every_backend
def test_vae(backend: str) -> None:
    """The divergence is exact, and the bound falls."""
    package = load("vae", backend)
    x = np.load(EXAMPLES / "digits/data/digits.npz")["images"][:32].reshape(32, 64).astype(np.float32) / 16
    net = package.Vae.init(seed=5)
    w = {n: a.astype(float) for n, a in net.leaves().items()}
    h = np.maximum(x @ w["encoder.body.w"] + w["encoder.body.b"], 0)
    mean, logvar = (h @ w[f"encoder.{n}.w"] + w[f"encoder.{n}.b"] for n in ("mean", "logvar"))
    divergence = 0.5 * (mean**2 + np.exp(logvar) - logvar - 1).sum() / 32
    restored = np.maximum(mean @ w["decoder.0.w"] + w["decoder.0.b"], 0) @ w["decoder.1.w"] + w["decoder.1.b"]
    np.testing.assert_allclose(package.restore(net, x), 1 / (1 + np.exp(-restored)), rtol=1e-4, atol=1e-5)
    adam, rng = package.Adam.init(), package.Rng.init(seed=6)
    first = package.train_step(net, adam, rng, x, np.float32(1e-3))
    assert first[2] == pytest.approx(divergence, rel=1e-4)
    assert first[0] == pytest.approx(first[1] + first[2], rel=1e-5)
    for _ in range(30):
        last = package.train_step(net, adam, rng, x, np.float32(1e-3))
    assert last[0] < 0.8 * first[0]
    drawn = package.draw(net, rng)
    assert drawn.shape == (16, 64) and np.all((drawn > 0) & (drawn < 1))


@on_every_backend
def test_diffusion(backend: str) -> None:
    """The same noise on every backend gives the same points; a net that says nothing leaves noise."""
    package = load("diffusion", backend)
    rng = package.Rng.init(seed=7)
    net = package.Denoiser.init(rng)
    adam = package.Adam.init()
    x = package.batch(rng)
    radius = np.hypot(*x.T)
    turn = np.arctan2(x[:, 1], x[:, 0])
    away = (3 * np.pi * radius - turn + np.pi) % (2 * np.pi) - np.pi
    assert np.median(np.abs(away)) < 0.2 and package.distance(x) < 0.02
    losses = [package.train_step(net, adam, rng, x, np.float32(1e-3)) for _ in range(60)]
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])
    points = package.sample(net, rng)
    assert points.shape == (256, 2) and np.isfinite(points).all()
    oracle = load("diffusion", "evaluator")
    again = oracle.Rng.init(seed=8)
    same = oracle.Denoiser.init(again)
    other = package.Rng.init(seed=8)
    np.testing.assert_allclose(
        package.sample(package.Denoiser.init(other), other), oracle.sample(same, again), rtol=1e-2, atol=1e-3
    )


@on_every_backend
def test_experts(backend: str) -> None:
    """Two experts a row, weights that sum to one, and the answer that they make."""
    package = load("mixture_of_experts", backend)
    rng = package.Rng.init(seed=9)
    net = package.Mixture.init(rng)
    adam = package.Adam.init()
    x, y = package.batch(rng)
    w = {n: a.astype(float) for n, a in net.leaves().items()}
    logits = x @ w["gate.w"] + w["gate.b"]
    order = np.argsort(-logits, 1)[:, :2]
    chosen = np.full_like(logits, -np.inf)
    np.put_along_axis(chosen, order, np.take_along_axis(logits, order, 1), 1)
    weights = np.exp(chosen - chosen.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    answers = [
        np.tanh(x @ w[f"experts.{k}.0.w"] + w[f"experts.{k}.0.b"]) @ w[f"experts.{k}.1.w"]
        + w[f"experts.{k}.1.b"]
        for k in range(4)
    ]
    np.testing.assert_allclose(
        package.predict(net, x), (weights * np.hstack(answers)).sum(1), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(package.load_of_experts(net, x), weights.mean(0), rtol=1e-3, atol=1e-5)
    losses = [package.train_step(net, adam, x, y, np.float32(5e-3)) for _ in range(60)]
    assert losses[-1] < 0.6 * losses[0]


@on_every_backend
def test_beam_search(backend: str) -> None:
    """Dynamic programming finds what trying all sequences finds; beams return what they say, the best first."""
    package = load("beam_search", backend)
    rng = np.random.default_rng(10)
    c = package.Chain()
    leaves = c.leaves()
    for a in leaves.values():
        z = 2 * rng.standard_normal(a.shape)
        a[...] = z - np.log(np.exp(z).sum(-1, keepdims=True))
    seen = np.array([3, 7, 0, 11], np.int32)

    def score(path: tuple[int, ...]) -> float:
        total = leaves["first"][path[0]] + leaves["emit"][path[0], seen[0]]
        for t in range(1, len(path)):
            total += leaves["next"][path[t - 1], path[t]] + leaves["emit"][path[t], seen[t]]
        return float(total)

    best = max(product(range(12), repeat=4), key=score)
    path, value = package.exact(c, seen)
    assert tuple(path) == best and value == pytest.approx(score(best), rel=1e-5)
    for beam in (package.wide, package.narrow):
        paths, scores = beam(c, seen)
        assert len({tuple(p) for p in paths}) == len(paths) and (np.diff(scores) <= 0).all()
        for p, s in zip(paths, scores, strict=True):
            assert s == pytest.approx(score(tuple(p)), rel=1e-5) and s <= value + 1e-4
    paths, scores = package.wide(c, seen[:2])  # of two symbols, it sees every sequence
    assert tuple(paths[0]) == max(product(range(12), repeat=2), key=score)
