"""Expressions rewritten: what is known of one is never taken for another."""

from __future__ import annotations

from charl import dims
from charl.dtypes import i32
from charl.graph.scalar import IndexValue
from charl.loops.inline import Memo, substitute


def test_expressions_that_are_gone_leave_nothing_to_those_in_their_place() -> None:
    memo = Memo()
    for k in range(1000):  # each may lie where the one before it lay
        assert substitute(IndexValue(dims.sym("i") + k, i32), {"i": 1}, memo) == IndexValue(k + 1, i32)
