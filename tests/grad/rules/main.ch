//! What is differentiated by rules from another file.

from "base.ch" import Cell, root
from "rules.ch" import push, step

fn total(x: f32[3], h: f32[3]) -> f32 {
    let mut c = Cell(h: h)
    let mut s = 0.0
    for i in 0..3 { s += c.advance(x * (i as f32)) }
    s
}

fn chain(x: f32, s: f32) -> f32 {
    let mut t = s
    let mut n = 0
    let mut out = 0.0
    for _ in 0..4 { out += step(x, mut t, mut n) }
    out + t + (n as f32)
}

fn pushed(x: f32) -> f32 {
    let mut s = 0.0
    push(x, mut s)
    push(2.0 * x, mut s)
    s
}

test "rules of imported functions and methods" {
    check_grad(|x| sum(root(x)), [0.3, 2.0], order: 2)
    check_grad(total, [0.3, 0.2, 0.5], [0.1, 0.4, 0.3])
    check_grad(|h| total([0.3, 0.2, 0.5], h), [0.1, 0.4, 0.3])
}

test "rules of what mut parameters are left with" {
    check_grad(chain, 0.7, 0.3, order: 2)
    check_grad(|s| chain(0.7, s), 0.3)
    assert close(jvp(chain)(0.7, 0.3, 1.0, 0.0)[1], grad(chain)(0.7, 0.3))
    assert close(grad(pushed)(0.4), 2.0 * cos(0.4) + 4.0 * cos(0.8))
}
