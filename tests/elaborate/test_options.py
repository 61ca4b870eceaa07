"""`--dim`, `--set`, `where` and the defaults of open hyper-parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charl.program import DimVar, leaves
from tests.elaborate.programs import diagnostics, export, program, run

NET = """
from nn import Dense
model Net(hidden: int = 8, bias: bool = true) {
    layers {
        Dense(4, hidden, bias: bias)
        Dense(hidden, 2)
    }
}
export fn f(net: Net, x: f32[N, 4]) -> f32[N, 2] = net(x)
"""


def shapes(**options: Any) -> dict[str, tuple[Any, ...]]:
    return {p: t.shape for p, t in leaves(export(NET, **options).arguments[0].type)}


def test_open_hyper_parameters_take_their_defaults() -> None:
    assert shapes() == {"0.w": (4, 8), "0.b": (8,), "1.w": (8, 2), "1.b": (2,)}


@pytest.mark.parametrize("owner", ["net", "Net"])
def test_set_overrides_a_default(owner: str) -> None:
    found = shapes(sets={f"{owner}.hidden": "32", f"{owner}.bias": "false"})
    assert found == {"0.w": (4, 32), "1.w": (32, 2), "1.b": (2,)}


def test_a_fixed_dimension_is_substituted() -> None:
    e = export(NET, dims={"N": 32})
    assert e.dims == () and e.graph.results[0].shape == (32, 2)


def test_a_bounded_dimension_stays() -> None:
    assert export(NET, dims={"N": (1, 64)}).dims == (DimVar("N", 1, 64),)


def test_where_clauses_bound_and_constrain() -> None:
    text = "export fn f(x: f32[N, T]) -> f32 where N <= 64, N > 1, T % 4 == 0 = sum(x)\n"
    e = export(text)
    assert e.dims == (DimVar("N", 2, 64), DimVar("T", 0, None, 4))
    assert [c[0] for c in e.constraints] == ["T % 4 == 0"]  # the others are bounds
    both = export(text, dims={"N": (1, 16), "T": 8})
    assert both.dims == (DimVar("N", 2, 16),)


def test_the_same_dimension_in_two_exports_is_fixed_in_both() -> None:
    text = """
    export fn f(x: f32[N]) -> f32 = sum(x)
    export fn g(x: f32[N, M]) -> f32 = sum(x)
    """
    p = program(text, dims={"N": 3})
    assert [[d.name for d in e.dims] for e in p.exports] == [[], ["M"]]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"dims": {"M": 3}}, "E0603"),
    ({"dims": {"N": (9, 3)}}, "E0604"),
    ({"dims": {"N": -1}}, "E0604"),
    ({"sets": {"net.hiden": "3"}}, "E0601"),
    ({"sets": {"nett.hidden": "3"}}, "E0601"),
    ({"sets": {"hidden": "3"}}, "E0601"),
    ({"sets": {"net.hidden": "three"}}, "E0602"),
    ({"sets": {"net.hidden": "-3"}}, "E0602"),
    ({"sets": {"net.bias": "1"}}, "E0602"),
]


@pytest.mark.parametrize(("options", "code"), BAD, ids=[str(o) for o, _ in BAD])
def test_an_option_that_does_not_fit(options: dict[str, Any], code: str) -> None:
    assert [d.code for d in diagnostics(NET, **options)] == [code]


def test_set_contradicts_what_the_program_says() -> None:
    text = NET.replace("net: Net,", "net: Net(16),")
    (d,) = diagnostics(text, sets={"net.hidden": "3"})
    assert d.code == "E0604" and d.span is not None and d.span.text == "Net(16)"


@pytest.mark.parametrize("dim", [65, (65, 70)])
def test_dim_contradicts_a_where_clause(dim: Any) -> None:
    text = "export fn f(x: f32[N]) -> f32 where N <= 64 = sum(x)\n"
    (d,) = diagnostics(text, dims={"N": dim})
    assert d.code == "E0604" and d.span is not None and d.span.text == "N <= 64"


def test_dim_never_helps_the_check() -> None:
    text = "export fn f(x: f32[N], y: f32[M]) -> f32[N] = x + y\n"
    assert [d.code for d in diagnostics(text, dims={"N": 3, "M": 3})] == ["E0202"]


def test_f64_narrows_only_when_asked() -> None:
    text = "export fn f(x: f64[N]) -> f64 = sum(x)\n"
    assert export(text).graph.results[0].dtype.name == "f64"
    assert export(text, floats={"f64": "f32"}).graph.results[0].dtype.name == "f32"


def test_f32_widens_with_all_its_literals() -> None:
    """0.1 is the double, not a float made wider; so are numbers that stand alone, and what `zeros` makes."""
    text = """
    export fn f(x: f32[N]) -> f32 {
        let mut total = 0.1
        for i in 0..N { total = total + x[i] * 0.1 }
        total + sum(zeros(N)) + where(x[0] > 0.0, 0.3, 0.7)
    }
    """
    (out,) = run(text, np.array([1.0, 2.0]), floats={"f32": "f64"})
    assert out.dtype == np.float64 and abs(out - 0.7) < 1e-15


def test_the_digest_depends_on_source_and_options() -> None:
    digests = {program(NET).digest, program(NET, dims={"N": 3}).digest, program(NET + "\n").digest}
    assert len(digests) == 3 and program(NET).digest in digests
    assert np.all([len(d) == 64 for d in digests])
