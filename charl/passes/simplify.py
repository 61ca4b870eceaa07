"""Simplification: the rules of `charl.passes.rules`, applied bottom-up until none fits.

Enters and leaves: a graph of the same meaning, as each rule promises. The rules are data; this only applies them.
"""

from __future__ import annotations

from charl.graph.ir import Graph
from charl.passes.pattern import stepper
from charl.passes.rewriter import Rewriter
from charl.passes.rules import RULES

STEP = stepper(RULES)


def simplify(graph: Graph) -> Graph:
    """`graph` with every rule applied wherever it fits."""
    return Rewriter("simplify", STEP, simplify).run(graph)
