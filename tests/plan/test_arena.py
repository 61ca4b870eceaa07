"""Buffers of any sizes in the workspace: none overlaps another that is needed at the same time, and little is lost."""

from __future__ import annotations

import random

import pytest

from charl import dims
from charl.plan.arena import Life, aligned, assign, live_bytes

N, T = dims.sym("N"), dims.sym("T")


def forward_and_back(sizes: list[dims.Size]) -> list[Life]:
    """What a network of layers keeps for the way back, and what it needs on either way."""
    last = 4 * len(sizes)
    lives = []
    for k, size in enumerate(sizes):
        lives += [Life(k, size, 2 * k, last - 2 * k), Life(k, size, 2 * k + 1, 2 * k + 2)]
        lives += [
            Life(k, size, last - 2 * k - 1, last - 2 * k),
            Life(k, size, last - 2 * k, last - 2 * k + 1),
        ]
    return lives


def check(lives: list[Life], total: dims.Size, env: dict[str, int]) -> tuple[int, int]:
    """Bytes of the arena and the most that lives at once."""
    spans = [(dims.evaluate(x.offset, env), dims.evaluate(x.offset + x.bytes, env), x) for x in lives]
    for i, (low, high, x) in enumerate(spans):
        assert low >= 0 and high <= dims.evaluate(total, env) and low % 64 == 0
        for other_low, other_high, y in spans[:i]:
            assert not x.overlaps(y) or high <= other_low or other_high <= low
    return dims.evaluate(total, env), dims.evaluate(live_bytes(lives), env)


@pytest.mark.parametrize("n", [0, 1, 7, 64])
def test_sizes_that_are_known_at_run_time_only(n: int) -> None:
    rng = random.Random(1)
    lives = forward_and_back([aligned(rng.choice((4, 40, 512, 3136)) * 4 * N) for _ in range(12)])
    rng.shuffle(lives)
    arena, live = check(lives, assign(lives), {"N": n})
    assert arena <= 1.1 * live or n < 7


def test_sizes_of_which_none_is_provably_larger() -> None:
    lives = forward_and_back([aligned(s) for s in (16 * N * T, 4 * T * T, 1 << 20, 16 * N * T, 4 * T * T)])
    total = assign(lives)
    for env in ({"N": 1, "T": 1}, {"N": 64, "T": 3}, {"N": 0, "T": 500}):
        check(lives, total, env)


def test_small_buffers_share_what_a_large_one_has_left() -> None:
    lives = [Life("large", 1024 * N, 0, 1), *(Life(k, 256 * N, 2, 3) for k in range(4))]
    assert assign(lives) == 1024 * N


def training_step(weights: int, activation: dims.Size, depth: int) -> list[Life]:
    """Activations that are kept for the way back, and gradients that are kept until all of them are there."""
    last = 2 * depth
    lives = [Life(("a", k), activation, k, last - k - 1) for k in range(depth)]
    lives += [Life(("t", k), activation, last - k - 1, last - k) for k in range(depth)]
    return lives + [Life(("g", k), weights, last - k - 1, last) for k in range(depth)]


@pytest.mark.parametrize("n", [0, 1, 6, 64, 100, 1000, 100_000])
def test_gradients_take_the_room_of_activations_whichever_are_larger(n: int) -> None:
    lives = training_step(1 << 20, aligned(10240 * N), 24)
    arena, live = check(lives, assign(lives), {"N": n})
    assert arena <= 1.1 * live


def test_ends_that_meet_hold_random_lives() -> None:
    rng = random.Random(3)
    sizes = [aligned(s) for s in (4096, 1 << 16, 640 * N, 4096 * N, 40 * N, 64 * N * T, 4 * N * T)]
    for _ in range(60):
        lives = []
        for k in range(rng.randrange(2, 40)):
            first = rng.randrange(30)
            lives.append(Life(k, rng.choice(sizes), first, rng.randrange(first, 31)))
        total = assign(lives)
        for n, t in ((0, 3), (1, 1), (7, 2), (200, 90)):
            check(lives, total, {"N": n, "T": t})


def test_what_is_nearly_a_multiple_is_packed_with_the_others() -> None:
    lives = [
        Life("kept", 4096 * N, 0, 3),
        Life("odd", aligned(4 * 1001 * N), 4, 5),
        Life("large", 1 << 20, 0, 5),
    ]
    assert assign(lives) == 4096 * N + (1 << 20)


@pytest.mark.parametrize("n", [1, 40, 1000])
def test_sizes_with_a_constant_part(n: int) -> None:
    """`f32[N + 16]`, as rows with a border are: rounded up, a quotient and a number."""
    lives = forward_and_back([aligned(4 * (N + 16)), aligned(8 * N), aligned(4 * N * (N + 16)), 64])
    check(lives, assign(lives), {"N": n})
