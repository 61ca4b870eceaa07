//! Rules: of imported functions, of a method that changes its receiver, of `mut` parameters.

from "base.ch" import Cell, root

@gradient(of: root)
fn root_rule(x, result, ct) = 0.5 * ct / result

@gradient(of: Cell.advance)
fn advance_rule(self: Cell, x: f32[3], result, ct) {
    let (_, after) = result
    let (dy, dafter) = ct
    let dh = dafter.h + 2.0 * after.h * dy
    (Cell(h: 0.5 * dh), dh)
}

fn step(x: f32, mut s: f32, mut n: i32) -> f32 {
    s = s * x + 1.0
    n += 1
    s * s
}

@gradient(of: step)
fn step_rule(x, s, n, result, ct) {
    let (_, after) = result
    let (dy, ds) = ct
    let d = ds + 2.0 * after * dy
    (d * s, d * x)
}

fn push(x: f32, mut s: f32) { s = s + sin(x) }

@gradient(of: push)
fn push_rule(x, s, result, ct) = (2.0 * ct * cos(x), ct)   // twice the slope: it is the rule that counts
