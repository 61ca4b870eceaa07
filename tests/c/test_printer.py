"""The text of emitted kernels: names, literals, precedence, comments; random expressions against the evaluator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charl.backends.c import words
from charl.backends.c.layout import WIDTH, wrapped
from charl.backends.c.names import Namer
from charl.backends.c.printer import print_kernel
from charl.backends.c.spelling import literal
from charl.dims import Func, atom, floordiv, sym
from charl.dtypes import ALL, DType, boolean, f32, f64, i8, i32, i64, u8, u32, u64
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Ref, apply
from charl.loops.evaluate import evaluate
from charl.loops.ir import Accumulator, Buffer, Check, Debug, For, Kernel, Let, Simd, Store, Update
from charl.source import Source, Span
from tests.c import build, kernels

N = sym("N")


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (0.1, f32, "0.1f"),
        (0.1, f64, "0.1"),
        (1, f32, "1.0f"),
        (-2.5, f32, "-2.5f"),
        (1e-8, f32, "1e-8f"),
        (3.4028234663852886e38, f32, "3.4028235e38f"),
        (1e300, f64, "1e300"),
        (float("inf"), f32, "INFINITY"),
        (float("-inf"), f64, "-(double)INFINITY"),
        (float("nan"), f32, "NAN"),
        (-0.0, f32, "-0.0f"),
        (True, boolean, "true"),
        (-5, i32, "-5"),
        (-(2**31), i32, "INT32_MIN"),
        (2**31, i64, "INT64_C(2147483648)"),
        (-(2**63), i64, "INT64_MIN"),
        (7, u32, "7u"),
        (2**64 - 1, u64, "UINT64_C(18446744073709551615)"),
        (-128, i8, "-128"),
        (255, u8, "255u"),
    ],
)
def test_literals(value: Any, dtype: DType, text: str) -> None:
    assert literal(value, dtype).text == text


def _store(value: Expr, dtype: DType = f32, *more: Buffer) -> Kernel:
    out = Buffer("out", dtype, N, "output")
    return Kernel("k", (*more, out), ("N",), ((For("i.1", N, (Store(out, sym("i.1"), value),)),),))


def _body(kernel: Kernel, prefix: str = "p") -> str:
    return print_kernel(kernel, prefix).split("{\n", 1)[1]


def test_user_names_are_kept_and_reserved_ones_mangled() -> None:
    buffers = [
        Buffer(n, f32, N, "input") for n in ("double", "exp", "w", "vf32_add", "0.w", "größe", "i", "N")
    ]
    value: Expr = Const(0.0, f32)
    for b in buffers:
        value = apply("add", value, Load(b, (sym("i.1"),), f32))
    text = print_kernel(_store(value, f32, *buffers), "p")
    declared = [line.strip(" ,)").split()[-1] for line in text.split("{")[0].splitlines()[1:]]
    assert declared[:5] == ["double_", "exp_", "w", "buffer_vf32_add", "buffer_0_w"]
    assert declared[5].startswith("gr") and declared[6:] == ["i", "N", "out", "N2"]
    assert "for (ptrdiff_t j = 0; j < N2; ++j)" in text, "the loop must not capture the buffer i"
    assert len(set(declared)) == len(declared)


def test_reserved_words() -> None:
    for word in (
        "int",
        "class",
        "not_eq",
        "expf",
        "y0",
        "VL32",
        "i32_add",
        "_Bool",
        "a__b",
        "INT8_MAX",
        "uint8_t",
    ):
        assert words.reserved(word), word
    for word in ("x", "w1", "loss", "i32", "N", "T"):
        assert not words.reserved(word), word


def test_names_do_not_depend_on_what_was_compiled_before() -> None:
    first = kernels.softmax(3, 20)
    text = print_kernel(first, "p")
    assert text == print_kernel(kernels.softmax(3, 20), "p")
    i, many = sym("k.9"), sym("k.10")
    x = Buffer("x", f32, 100, "input")
    out = Buffer("y", f32, 10, "output")

    def nest(a: str, b: str) -> Kernel:
        total = f"t.{a}"
        body = (
            Accumulator(total, "add", f32),
            For(b, 10, (Update(total, "add", Load(x, (10 * sym(a) + sym(b),), f32)),)),
            Store(out, sym(a), Ref(total, f32)),
        )
        return Kernel("k", (x, out), (), ((For(a, 10, body),),))

    assert print_kernel(nest("k.9", "k.10"), "p") == print_kernel(nest("k.100", "k.99"), "p")
    assert i != many


def test_precedence_without_scars() -> None:
    a, b, c = (Load(Buffer(n, f32, N, "input"), (sym("i.1"),), f32) for n in "abc")

    def text(e: Expr) -> str:
        line = next(
            x for x in _body(_store(e, f32, a.source, b.source, c.source)).splitlines() if "out[" in x
        )
        return line.strip().removeprefix("out[i] = ").removesuffix(";")

    assert text(apply("add", a, apply("mul", b, c))) == "a[i] + b[i] * c[i]"
    assert text(apply("mul", apply("add", a, b), c)) == "(a[i] + b[i]) * c[i]"
    assert text(apply("sub", a, apply("sub", b, c))) == "a[i] - (b[i] - c[i])"
    assert text(apply("sub", apply("sub", a, b), c)) == "a[i] - b[i] - c[i]"
    assert text(apply("add", a, apply("add", b, c))) == "a[i] + (b[i] + c[i])"
    assert text(apply("div", a, apply("mul", b, c))) == "a[i] / (b[i] * c[i])"
    assert text(apply("neg", apply("neg", a))) == "-(-a[i])"
    assert text(apply("neg", apply("add", a, b))) == "-(a[i] + b[i])"
    both = apply("and", apply("lt", a, b), apply("or", apply("lt", b, c), apply("ge", a, c)))
    assert text(apply("select", both, a, b)) == "a[i] < b[i] && (b[i] < c[i] || a[i] >= c[i]) ? a[i] : b[i]"
    nested = apply("select", apply("lt", a, b), a, apply("select", apply("lt", b, c), b, c))
    assert text(nested) == "a[i] < b[i] ? a[i] : b[i] < c[i] ? b[i] : c[i]"
    assert text(apply("mul", nested, a)) == "(a[i] < b[i] ? a[i] : b[i] < c[i] ? b[i] : c[i]) * a[i]"


def test_sizes() -> None:
    i = sym("i.1")
    x = Buffer("x", f32, N * 64, "input")
    half = (N * N + N) * floordiv(i, 8)

    def index(e: Any) -> str:
        line = next(t for t in _body(_store(Load(x, (e,), f32), f32, x)).splitlines() if "out[" in t)
        return line.split("x[")[1].removesuffix("];")

    assert index(64 * i + 3) == "64 * i + 3"
    assert index(i * N + N - 1 - i) == "i * N - i + N - 1"
    assert index(floordiv(i, 8) * 8 + atom(Func("mod", (i, 8)))) == "8 * (i / 8) + i % 8"
    assert index(half) == "N * N * (i / 8) + N * (i / 8)" or "/ 8" in index(half)
    assert index(floordiv(i - 3, 8)) == "size_floordiv(i - 3, 8)"
    assert index(atom(Func("min", (i, N - 1)))) == "size_min(i, N - 1)"


def test_guard_is_lazy_and_says_no_more_than_needed() -> None:
    i = sym("i.1")
    x = Buffer("x", f32, N, "input")
    shifted = Guard(((i - 1, 0, N),), Load(x, (i - 1,), f32), Const(0.0, f32))
    assert "out[i] = i >= 1 ? x[i - 1] : 0.0f;" in print_kernel(_store(shifted, f32, x), "p")
    inside = Guard(((i, 0, N),), Load(x, (i,), f32), Const(0.0, f32))
    assert "out[i] = x[i];" in print_kernel(_store(inside, f32, x), "p")
    never = Guard(((i, 3, 3),), Load(x, (i,), f32), Const(4.0, f32))
    assert "out[i] = 4.0f;" in print_kernel(_store(never, f32, x), "p")


def test_comment_quotes_the_source_and_cannot_be_closed() -> None:
    source = Source("folder/model.ch", "fn f() = 1 /* x */ + 2\nlet y = 3\n")
    kernel = replace(
        _store(Const(1.0, f32)),
        comment="the loss */",
        span=Span(source, 0, 5),
        sources=(Span(source, 23, 26),),
    )
    head = print_kernel(kernel, "p").split("static")[0]
    assert head.splitlines() == [
        "/* the loss * /",
        " * model.ch:1: fn f() = 1 / * x * / + 2",
        " * model.ch:2: let y = 3 */",
    ]


def test_signature() -> None:
    text = " ".join(print_kernel(kernels.sum_of_products(), "net").split())
    arguments = "const float *restrict x, const float *restrict w, float *restrict y, ptrdiff_t N"
    assert f"static void net_sum_of_products( {arguments}) {{" in text


def test_checks_leave_release_builds() -> None:
    x = Buffer("x", i32, N, "input")
    holds = apply("lt", Load(x, (sym("i.1"),), i32), Const(10, i32))
    source = Source("a/b.ch", "pick(x)")
    check = Check(holds, 'label "y" out of range', (Span(source, 0, 4),))
    text = print_kernel(Kernel("k", (x,), ("N",), ((Debug((For("i.1", N, (check,)),)),),)), "net")
    inside = text.split("#ifdef NET_DEBUG\n")[1].split("#endif")[0]
    assert 'NET_CHECK(x[i] < 10, "label \\"y\\" out of range", "b.ch:1:1");' in inside
    assert "(void)x;" in text and "(void)N;" in text


def test_partial_products_need_no_blend() -> None:
    text = print_kernel(kernels.sum_of_products(), "p")
    assert "sum = vf32_fma(vf32_load_mask(x + i, active), vf32_load_mask(w + i, active), sum);" in text
    assert "vf32_select(active" in print_kernel(kernels.softmax(2, 9), "p"), "exp(0 - max) must stay out"


def test_a_literal_is_added_while_a_product_is_rounded_but_no_second_product_is() -> None:
    x = Buffer("x", f32, N, "input")
    at = Load(x, (sym("i.1") + sym("lane.1"),), f32)
    square = apply("mul", at, at)
    for value, fused in (
        (apply("add", square, Const(2.0, f32)), True),
        (apply("add", Const(2.0, f32), square), True),
        (apply("add", square, apply("mul", at, Const(3.0, f32))), False),
        (apply("sub", square, square), False),
    ):
        out = Buffer("out", f32, N, "output")
        store = Store(out, sym("i.1") + sym("lane.1"), value)
        loop = For("i.1", N, (Simd("lane.1", 32, None, (store,)),), step=sym("VL32"))
        assert ("_fma(" in _body(Kernel("k", (x, out), ("N",), ((loop,),)))) == fused


def test_long_lines_are_broken_where_they_nest_least() -> None:
    long = (
        "    const float value = "
        + " + ".join(f"first{n}(second[{n} * i + j], third)" for n in range(9))
        + ";"
    )
    lines = list(wrapped(long))
    assert len(lines) > 2 and all(len(x) <= WIDTH for x in lines)
    assert " ".join(x.strip() for x in lines) == long.strip()
    assert all(x.strip().startswith("+ first") for x in lines[1:])
    text = f'    CHECK(x, "{"a, b " * 40}", "c");'
    assert all(x.count('"') % 2 == 0 for x in wrapped(text))


# ---------------------------------------------------------------- random expressions

_FLOAT = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "min": 2,
    "max": 2,
    "neg": 1,
    "abs": 1,
    "floor": 1,
    "sqrt": 1,
    "sign": 1,
}
_INT = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "div": 2,
    "mod": 2,
    "min": 2,
    "max": 2,
    "neg": 1,
    "bitand": 2,
    "bitor": 2,
}
_INT |= {"bitxor": 2, "shl": 2, "shr": 2, "bitnot": 1, "sign": 1, "abs": 1, "pow": 2}
TYPES = [ALL[n] for n in ("f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")]


def _random(rng: np.random.Generator, t: DType, inputs: list[Buffer], at: Any, depth: int) -> Expr:
    """An expression of type `t`."""
    if depth == 0 or rng.random() < 0.1:
        kind = rng.integers(0, 5)
        if kind == 0:
            value = float(rng.integers(-8, 9)) / 4 if t.is_float else int(rng.integers(0, 9))
            return Const(value, t)
        if kind == 1:
            return IndexValue(2 * at + 1, t)
        return Load(inputs[int(rng.integers(0, len(inputs)))], (at,), t)
    again = lambda: _random(rng, t, inputs, at, depth - 1)  # noqa: E731
    if rng.random() < 0.2:
        return apply("select", _truth(rng, t, inputs, at, depth - 1), again(), again())
    table = _FLOAT if t.is_float else _INT
    fn = list(table)[int(rng.integers(0, len(table)))]
    arguments = [again() for _ in range(table[fn])]
    if fn == "pow":
        arguments[1] = Const(int(rng.integers(0, 6)), t)
    return apply(fn, *arguments)


def _truth(rng: np.random.Generator, t: DType, inputs: list[Buffer], at: Any, depth: int) -> Expr:
    kind = rng.integers(0, 4)
    if kind == 0 or depth <= 0:
        fn = str(rng.choice(["lt", "le", "gt", "ge", "eq", "ne"]))
        return apply(fn, _random(rng, t, inputs, at, 1), _random(rng, t, inputs, at, 1))
    if kind == 1:
        return apply("not", _truth(rng, t, inputs, at, depth - 1))
    fn = str(rng.choice(["and", "or", "eq", "ne", "lt", "ge", "min", "max"]))
    parts = (_truth(rng, t, inputs, at, depth - 1), _truth(rng, t, inputs, at, depth - 1))
    return Apply(fn, parts, boolean)


def _random_kernel(t: DType, seed: int) -> Kernel:
    rng = np.random.default_rng([seed, t.bits, ord(t.name[0])])
    inputs = [Buffer(n, t, N, "input") for n in "ab"]
    out = Buffer("out", t, N, "output")
    if seed % 2 and t.bits >= 32:
        at = sym("i.1") + sym("lane.2")
        store = Store(out, at, _random(rng, t, inputs, at, 4))
        region = Simd("lane.2", t.bits, N - sym("i.1"), (store,))
        return Kernel(
            f"r{seed}", (*inputs, out), ("N",), ((For("i.1", N, (region,), step=sym(f"VL{t.bits}")),),)
        )
    at = sym("i.1")
    named = Let("part.3", _random(rng, t, inputs, at, 3))
    value = apply("select", _truth(rng, t, inputs, at, 2), Ref("part.3", t), _random(rng, t, inputs, at, 4))
    return Kernel(f"r{seed}", (*inputs, out), ("N",), ((For("i.1", N, (named, Store(out, at, value))),),))


@pytest.fixture(scope="module")
def random_kernels(tmp_path_factory: pytest.TempPathFactory) -> build.Library:
    library = build.Library("random", tmp_path_factory.mktemp("random"))
    for t in TYPES:
        for seed in range(6):
            library.add_kernel(f"{t} {seed}", _random_kernel(t, seed))
    return library


# Random expressions compare an operand with itself or a constant with a constant, which compilers remark.
_QUIET = ["-Wno-tautological-compare", "-Wno-bool-compare", "-Wno-logical-op", "-Wno-type-limits"]


@pytest.mark.parametrize("isa", list(build.ISA))
def test_random_expressions(random_kernels: build.Library, isa: str) -> None:
    """Precedence, promotion and wrapping: the compiled text means what the expression means."""
    if reason := build.missing(isa):
        pytest.skip(reason)
    flags = ["-O1", *build.WARNINGS, *_QUIET]
    random_kernels.build(
        isa,
        flags
        + (["-fsanitize=undefined", "-fno-sanitize-recover=all", "-static-libubsan"] * (isa == "scalar")),
    )
    rng = np.random.default_rng(11)
    for key, kernel in random_kernels._kernels.items():
        t = kernel.buffers[0].dtype
        if t.is_float:
            given = [rng.integers(-12, 13, 37).astype(t.numpy) / 4 for _ in range(2)]
        else:
            info = np.iinfo(t.numpy)
            given = [rng.integers(info.min, info.max, 37, t.numpy, endpoint=True) for _ in range(2)]
            given[0][::2] %= 9
        found, expected = ([*(g.copy() for g in given), np.zeros(37, t.numpy)] for _ in range(2))
        evaluate(kernel, expected, {"N": 37})
        random_kernels.run_kernel(isa, key, found, {"N": 37})
        np.testing.assert_allclose(
            found[2], expected[2], rtol=1e-6 * t.is_float, err_msg=print_kernel(kernel, "p")
        )


def test_names_that_c_reserves_are_numbered_without_what_it_reserves() -> None:
    names = Namer()
    assert [names("this") for _ in range(3)] == ["this_", "this_2", "this_3"]
    assert [names("new_"), names("x"), names("x")] == ["new_", "x", "x_2"]
