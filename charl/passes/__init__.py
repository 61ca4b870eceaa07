"""The optimiser: passes from graph to graph, each a name, a sentence and a function.

Enters: the graph of an export, gradients already in it. Leaves: a cheaper graph with the same parameters, the same types
of results and the same meaning. Knows no target, decides no order and no buffer. There is no pass against dead values: a
graph is what its results reach, so what is not needed is gone as soon as nothing asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from charl.graph.ir import Graph
from charl.graph.verify import verify
from charl.passes.common import share
from charl.passes.fold import folding
from charl.passes.rewriter import Rewriter, Step
from charl.passes.simplify import STEP

Dump: TypeAlias = Callable[[str, Graph], None]


@dataclass(frozen=True)
class Pass:
    """One pass. `step` makes the function that replaces values, fresh for each graph."""

    name: str
    help: str
    step: Callable[[], Step]


PASSES: tuple[Pass, ...] = (
    Pass("share", "Compute what is asked for twice once.", lambda: lambda node: None),
    Pass("fold", "Compute now what depends on no input.", folding),
    Pass("simplify", "Apply the rewrite rules until none fits.", lambda: STEP),
)

ROUNDS = 8  # far more than any graph has needed: a round without change ends the run


def optimise(graph: Graph, dump: Dump | None = None, check: bool | None = None) -> Graph:
    """The passes over `graph`, again and again until a round changes nothing.

    `dump` gets the name of each pass that changed something and its result. `check` verifies after each pass (by
    default where the environment sets CHARL_VERIFY). Raises InternalError where a pass breaks the graph.
    """
    check = bool(os.environ.get("CHARL_VERIFY")) if check is None else check
    engines = [(p, Rewriter(p.name, p.step(), lambda g: optimise(g, None, check))) for p in PASSES]
    for _ in range(ROUNDS):
        before = graph
        for pass_, engine in engines:
            new = engine.run(graph)
            if new is graph:
                continue
            graph = new
            if check:
                verify(graph, pass_.name)
            if dump is not None:
                dump(pass_.name, graph)
        if graph is before:
            break
    return graph


__all__ = ["PASSES", "Pass", "optimise", "share"]
