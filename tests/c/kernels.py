"""Kernels of the loop IR written by hand, for tests of printers, headers and the evaluator."""

from __future__ import annotations

from collections.abc import Sequence

from charl import dims
from charl.dims import sym
from charl.dtypes import DType, boolean, f32, i32
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Ref, apply
from charl.loops.ir import (
    Accumulator,
    Buffer,
    For,
    Horizontal,
    If,
    Kernel,
    Let,
    Simd,
    Stmt,
    Store,
    Update,
)

N = sym("N")
i, j, k, lane = sym("i.1"), sym("j.2"), sym("k.3"), sym("lane.4")


def load(b: Buffer, index: dims.Size) -> Load:
    return Load(b, (index,), b.dtype)


def lanes(width: int) -> dims.Dim:
    return sym(f"VL{width}")


def over_lanes(extent: dims.Size, width: int, body: Sequence[Stmt], index: str = "i.1") -> tuple[Stmt, ...]:
    """Whole vectors, then a partial one; `body` uses `index` + lane.4."""
    vl = lanes(width)
    return (
        For(
            index,
            extent,
            (Simd("lane.4", width, dims.minimum(extent - sym(index), vl), tuple(body)),),
            step=vl,
        ),
    )


def elementwise(name: str, fn: str, arguments: Sequence[DType], result: DType) -> Kernel:
    """result = fn(arguments), in vectors; truth values are stored and loaded as words or double words."""
    width = next(t.bits for t in (*arguments, result) if t.kind != "bool")
    word = i32 if width == 32 else next(t for t in (*arguments, result) if t.kind != "bool")
    buffers = [Buffer(f"x{n}", word if t.kind == "bool" else t, N, "input") for n, t in enumerate(arguments)]
    out = Buffer("y", word if result.kind == "bool" else result, N, "output")
    values: list[Expr] = []
    for b, t in zip(buffers, arguments):
        value: Expr = load(b, i + lane)
        if t.kind == "bool":
            value = apply("ne", value, Const(0.0 if word.is_float else 0, word))
        values.append(value)
    value = Apply(fn, tuple(values), result)
    if result.kind == "bool":
        one, zero = (Const(float(c) if word.is_float else c, word) for c in (1, 0))
        value = apply("select", value, one, zero)
    return Kernel(name, (*buffers, out), ("N",), (over_lanes(N, width, [Store(out, i + lane, value)]),))


def elementwise_masks(name: str, fn: str, arguments: Sequence[DType]) -> Kernel:
    """A function of truth values, which memory holds as i32."""
    buffers = [Buffer(f"x{n}", i32, N, "input") for n in range(len(arguments))]
    out = Buffer("y", i32, N, "output")
    masks = tuple(apply("ne", load(b, i + lane), Const(0, i32)) for b in buffers)
    value = apply("select", Apply(fn, masks, boolean), Const(1, i32), Const(0, i32))
    return Kernel(name, (*buffers, out), ("N",), (over_lanes(N, 32, [Store(out, i + lane, value)]),))


def sum_of_products() -> Kernel:
    """y[0] = sum of x * w, lanes along the sum, whole vectors and a tail."""
    x, w, y = (Buffer(n, f32, s, r) for n, s, r in (("x", N, "input"), ("w", N, "input"), ("y", 1, "output")))
    product = apply("mul", load(x, k + lane), load(w, k + lane))
    nest: tuple[Stmt, ...] = (
        Accumulator("sum.9", "add", f32, vector=True),
        *over_lanes(N, 32, [Update("sum.9", "add", product)], "k.3"),
        Horizontal("total.5", "add", "sum.9", f32),
        Store(y, 0, Ref("total.5", f32)),
    )
    return Kernel("sum_of_products", (x, w, y), ("N",), (nest,))


def matmul(m: int, n: int, depth: int, rows: int) -> Kernel:
    """c = a @ b with a register tile of `rows` rows by one vector; `rows` divides m."""
    a = Buffer("a", f32, m * depth, "input")
    b = Buffer("b", f32, depth * n, "input")
    c = Buffer("c", f32, m * n, "output")
    names = [f"acc.{r}" for r in range(rows)]
    body: list[Stmt] = [Accumulator(name, "add", f32, vector=True) for name in names]
    updates: list[Stmt] = [Let("row_of_b.7", load(b, k * n + j + lane))]
    for r, name in enumerate(names):
        factor = load(a, (i + r) * depth + k)
        updates.append(Update(name, "add", apply("mul", factor, Ref("row_of_b.7", f32))))
    body.append(For("k.3", depth, tuple(updates)))
    body += [Store(c, (i + r) * n + j + lane, Ref(name, f32)) for r, name in enumerate(names)]
    tile = over_lanes(n, 32, body, "j.2")
    return Kernel("matmul", (a, b, c), (), ((For("i.1", m, tile, step=rows),),))


def softmax(rows: int, columns: int) -> Kernel:
    """Softmax of each row: three passes over lanes, with an exponential that is not 0 where lanes are left out."""
    x, y = Buffer("x", f32, rows * columns, "input"), Buffer("y", f32, rows * columns, "output")
    at = i * columns + j + lane
    shifted = apply("exp", apply("sub", load(x, at), Ref("largest.1", f32)))
    body: tuple[Stmt, ...] = (
        Accumulator("max.1", "max", f32, vector=True),
        *over_lanes(columns, 32, [Update("max.1", "max", load(x, at))], "j.2"),
        Horizontal("largest.1", "max", "max.1", f32),
        Accumulator("sum.1", "add", f32, vector=True),
        *over_lanes(columns, 32, [Update("sum.1", "add", shifted)], "j.2"),
        Horizontal("total.1", "add", "sum.1", f32),
        *over_lanes(columns, 32, [Store(y, at, apply("div", shifted, Ref("total.1", f32)))], "j.2"),
    )
    return Kernel("softmax", (x, y), (), ((For("i.1", rows, body),),))


def extreme(fn: str, dtype: DType, vector: bool) -> Kernel:
    """y[0] = position of the extreme of x."""
    x, y = Buffer("x", dtype, N, "input"), Buffer("y", i32, 1, "output")
    at = k + lane if vector else k
    update = Update("best.1", fn, load(x, at), IndexValue(at, i32))
    loop = over_lanes(N, dtype.bits, [update], "k.3") if vector else (For("k.3", N, (update,)),)
    result: tuple[Stmt, ...] = (Store(y, 0, Ref("best.1", i32)),)
    if vector:
        result = (Horizontal("first.1", fn, "best.1", i32), Store(y, 0, Ref("first.1", i32)))
    return Kernel(
        f"{fn}_{dtype}", (x, y), ("N",), ((Accumulator("best.1", fn, dtype, vector), *loop, *result),)
    )


def scatter(rows: int) -> Kernel:
    """table[index[i], :] += update[i, :], vectors along the columns; indices outside are dropped."""
    index = Buffer("index", i32, N, "input")
    update = Buffer("update", f32, N * 5, "input")
    table = Buffer("table", f32, rows * 5, "inout")
    where = load(index, i)
    inside = apply("and", apply("ge", where, Const(0, i32)), apply("lt", where, Const(rows, i32)))
    store = Store(
        table, dims.atom(dims.Value(where)) * 5 + j + lane, load(update, i * 5 + j + lane), add=True
    )
    nest = (For("i.1", N, (If(inside, over_lanes(5, 32, [store], "j.2")),)),)
    return Kernel("scatter", (index, update, table), ("N",), (nest,))


def odd_vectors(width_of: DType) -> Kernel:
    """What a vector region may meet: a guard along lanes, a gather, strides both ways, a condition on lanes."""
    t = width_of
    x, y, z = Buffer("x", t, 3 * N, "input"), Buffer("y", t, N, "output"), Buffer("z", t, 3 * N, "inout")
    index = Buffer("index", i32, N, "input")
    zero = Const(0.0 if t.is_float else 0, t)
    shifted = Guard(((i + lane - 2, 0, N - 3),), load(x, i + lane - 2), zero)
    other = Guard(((N, 5, 50),), load(x, i + lane), Const(7.0 if t.is_float else 7, t))
    gathered = load(x, dims.atom(dims.Value(load(index, i + lane))))
    backwards = load(x, N - 1 - i - lane)
    body: list[Stmt] = [
        Let("t.1", apply("add", shifted, other)),
        Let("u.2", apply("add", gathered, apply("add", backwards, load(x, 3 * (i + lane))))),
        Let("v.3", apply("add", Ref("u.2", t), IndexValue(2 * (i + lane) + 1, t))),
        Store(y, i + lane, apply("sub", Ref("t.1", t), Ref("v.3", t))),
        If(Apply("gt", (Ref("t.1", t), zero), boolean), (Store(z, 3 * (i + lane) + 1, Ref("v.3", t)),)),
        Store(z, 3 * (i + lane) + 2, Ref("t.1", t), add=True),
        Store(z, 3 * (i + lane), IndexValue(dims.floordiv(i + lane, 3), t)),
    ]
    return Kernel(f"odd_vectors_{t}", (x, y, z, index), ("N",), (over_lanes(N, t.bits, body),))


def joined(t: DType) -> Kernel:
    """Arrays joined along the lanes and across them, of exact sizes: whatever a guard leaves out is out of bounds.

    a: 2 * N rows of y as three parts along the lanes. b: a vector under a test of the rows alone, and one under tests of
    rows and lanes whose value is one element for all lanes.
    """
    x, y, one = Buffer("x", t, 3, "input"), Buffer("y", t, N - 3, "input"), Buffer("one", t, 1, "input")
    a, b = Buffer("a", t, 2 * N, "output"), Buffer("b", t, 2 * N, "output")
    rest = Guard(((i + lane, 0, N - 1),), load(y, i + lane - 3), load(one, N - 1 - i - lane))
    parts = Guard(((i + lane, 0, 3),), load(x, i + lane), rest)
    inner = Guard(((i + lane, 3, N),), load(y, i + lane - 3), load(x, i + lane))
    rows = Guard(((j, 1, 2),), inner, load(one, j))
    both = Guard(((j, 1, 2), (i + lane, 2, 5)), load(one, j - 1), Const(7.0 if t.is_float else 7, t))
    body: list[Stmt] = [
        Store(a, j * N + i + lane, parts),
        Store(b, j * N + i + lane, apply("add", rows, both)),
    ]
    return Kernel(f"joined_{t}", (x, y, one, a, b), ("N",), ((For("j.2", 2, over_lanes(N, t.bits, body)),),))
