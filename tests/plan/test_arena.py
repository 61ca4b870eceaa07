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
