"""Terms of short sums that are written out: which conditions are decided, and which are left to run time."""

from __future__ import annotations

from charl import dims
from charl.dtypes import f32
from charl.graph.scalar import Const, Guard, Reduce
from charl.loops.nests.taps import _terms


def test_a_condition_with_a_bound_of_run_time_stays() -> None:
    one, other, start = Const(1.0, f32), Const(0.0, f32), dims.sym("i")
    body = Guard(((dims.sym("k"), 1, 9), (dims.sym("k"), start, 9)), one, other)
    outside, inside = _terms(Reduce("add", (("k", 2),), body, f32), ["j"])
    assert outside == other
    assert inside == Guard(((1, start, 9),), one, other)
