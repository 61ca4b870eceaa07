"""The rewrite rules, in the order in which they are tried. Adding one: append it to the list of its module.

Every rule is checked by evaluating both sides on random values (tests/passes); nothing else has to be written for it.
"""

from __future__ import annotations

from charl.passes.pattern import Rule
from charl.passes.rules import algebra, borders, contraction, hoist, indexing, layout, reduction, windows

RULES: tuple[Rule, ...] = (
    *algebra.RULES,
    *layout.RULES,
    *borders.RULES,
    *indexing.RULES,
    *reduction.RULES,
    *contraction.RULES,
    *windows.RULES,
    *hoist.RULES,
)
