"""The order of kernels and the arena: what lives at once is close to what must."""

from __future__ import annotations

from charl.backends.capabilities import PORTABLE_C
from charl.compile import Options, elaborated
from charl.plan.build import plan_export
from charl.plan.verify import verify
from charl.source import Source

DEEP = """
from nn import Dense, LayerNorm
from optim import clip_by_norm

model Block(d: int) {
    norm: LayerNorm(d)
    dense: Dense(d, d)
    fn forward(x: f32[N, d]) -> f32[N, d] = x + relu(dense(norm(x)))
}

model Net(d: int = 64, depth: int = 6) {
    blocks: [Block(d); depth]
    fn forward(x: f32[N, d]) -> f32[N, d] {
        let mut y = x
        for block in blocks { y = block(y) }
        y
    }
}

fn loss(net: Net, x: f32[N, net.d]) -> f32 = sum(net(x) ** 2)

export fn step(mut net: Net, x: f32[N, net.d]) {
    let g = clip_by_norm(grad(loss)(net, x), 1.0)
    for (p, d) in zip(leaves(net), leaves(g)) { p = p - 0.1 * d }
}
"""


def test_sums_over_a_batch_do_not_keep_what_they_are_made_of() -> None:
    """Backward frees the activations of a layer as it goes; the gradients of scale and shift are small but do not wait."""
    n, d, depth = 1024, 64, 6
    program = elaborated(Source("deep.ch", DEEP), Options(dims={"N": n}))
    plan = plan_export(next(e for e in program.exports if e.name == "step"), PORTABLE_C)
    verify(plan)
    activation = 4 * n * d
    # Of each layer what its gradient reads (its input, normalised or not, the product's sign), and a few on their way.
    assert plan.live_bytes <= activation * 5 * depth
    assert plan.arena_bytes <= 1.1 * plan.live_bytes


EMBEDDING = """
from nn import Embedding

fn loss(net: Embedding(500, 16), ids: i32[B]) -> f32 = mean(sum(net(ids) ** 2, axis: -1))

export fn step(mut net: Embedding(500, 16), ids: i32[B], lr: f32) {
    let g = grad(loss)(net, ids)
    for (p, d) in zip(leaves(net), leaves(g)) { p = p - lr * d }
}
"""


def test_the_gradient_of_an_embedding_touches_the_rows_that_were_read() -> None:
    """Plain gradient descent adds to the table where it lies: nothing of its size is made, cleared or read."""
    program = elaborated(Source("embedding.ch", EMBEDDING), Options(dims={"B": 8}))
    plan = plan_export(next(e for e in program.exports if e.name == "step"), PORTABLE_C)
    verify(plan)
    assert plan.arena_bytes <= 2 * 4 * 8 * 16
    assert plan.flops < 500 * 16


TIED = """
from nn import Embedding

fn loss(net: Embedding(500, 16), ids: i32[B], next: i32[B]) -> f32 = mean(cross_entropy(tanh(net(ids)) @ net.table.T, next))

export fn step(mut net: Embedding(500, 16), ids: i32[B], next: i32[B]) {
    let g = grad(loss)(net, ids, next)
    for (p, d) in zip(leaves(net), leaves(g)) { p = p - d * d }
}
"""


def test_what_is_added_to_a_product_is_added_where_it_lies() -> None:
    """The gradient of a table that is also the last layer: one array of its size, to which the rows that were read are added."""
    program = elaborated(Source("tied.ch", TIED), Options(dims={"B": 8}))
    plan = plan_export(next(e for e in program.exports if e.name == "step"), PORTABLE_C)
    verify(plan)
    assert plan.arena_bytes <= 4 * 500 * (16 + 2 * 8)


RATE = """
export fn step(x: f32[64, 64], w: f32[64, 64], mut a: f32[64, 64], mut b: f32[64, 64], mut c: f32[64, 64], mut t: i32[64]) {
    t += 1
    let rate = 1.0 / mean(t as f32)
    let p = x @ w
    let q = p @ w
    let r = q @ w
    let s = r @ w
    a += rate * (p.T @ q)
    b += rate * (q.T @ r)
    c += rate * (r.T @ s)
}
"""


def test_a_small_value_that_every_update_waits_for_is_made_early() -> None:
    """Otherwise all of p, q, r and s would be there at once."""
    (export,) = elaborated(Source("rate.ch", RATE), Options()).exports
    plan = plan_export(export, PORTABLE_C)
    verify(plan)
    assert plan.arena_bytes <= 3.1 * 4 * 64 * 64


MANY = """
struct Many { PLACES: f32[4, 4] }
export fn scaled(mut m: Many) {
    let norm = sqrt(SUM)
    m = m * (1.0 / norm)
}
"""


def test_no_kernel_takes_more_arrays_than_its_target_allows() -> None:
    """The norm of all gradients of a deep network had a function of 150 parameters; C promises 127."""
    names = [f"p{k}" for k in range(150)]
    text = MANY.replace("PLACES: f32[4, 4]", ", ".join(f"{n}: f32[4, 4]" for n in names))
    text = text.replace("SUM", " + ".join(f"sum(m.{n} ** 2)" for n in names))
    (export,) = elaborated(Source("many.ch", text), Options()).exports
    plan = plan_export(export, PORTABLE_C)
    verify(plan)
    assert max(len(c.kernel.buffers) for c in plan.calls) <= PORTABLE_C.max_buffers == 32
