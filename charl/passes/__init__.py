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
from charl.passes.deferred import deferred
from charl.passes.fold import Folder
from charl.passes.join import joined
from charl.passes.pattern import stepper
from charl.passes.regions import prune
from charl.passes.rewriter import Rewriter, Step
from charl.passes.rules import RULES

Dump: TypeAlias = Callable[[str, Graph], None]


@dataclass(frozen=True)
class Pass:
    """One pass; called with a graph, it gives the new one (the same where nothing changes).

    `step` makes the function that replaces values. The engine shares equal values whatever the step does.
    """

    name: str
    help: str
    step: Callable[[], Step]

    def __call__(self, graph: Graph) -> Graph:
        return self.engine(self).run(graph)

    def engine(self, regions: Callable[[Graph], Graph]) -> Rewriter:
        """The engine of one run; `regions` treats the bodies of loops and branches."""
        return Rewriter(self.name, self.step(), regions)


_RULES = stepper(RULES)

SHARE = Pass("share", "Compute once what is asked for twice.", lambda: lambda node: None)
FOLD = Pass("fold", "Compute now what depends on no input.", lambda: Folder().step)
SIMPLIFY = Pass("simplify", "Apply the rewrite rules until none fits.", lambda: _RULES)

_LOOPS = (("prune", prune), ("defer", deferred))

PASSES: tuple[Pass, ...] = (SHARE, FOLD, SIMPLIFY)

ROUNDS = 8  # far more than any graph has needed: a round without change ends the run


def optimise(graph: Graph, dump: Dump | None = None, check: bool | None = None) -> Graph:
    """The passes over `graph`, again and again until a round changes nothing.

    `dump` gets the name of each pass that changed something and its result. `check` verifies after each pass (by
    default where the environment sets CHARL_VERIFY). Raises InternalError where a pass breaks the graph.
    """
    check = bool(os.environ.get("CHARL_VERIFY")) if check is None else check
    bodies: dict[int, tuple[Graph, Graph]] = {}

    def region(body: Graph) -> Graph:
        """The body of a loop, optimised once; what comes out stays as it is."""
        if id(body) not in bodies:
            new = optimise(body, None, check)
            bodies[id(body)] = (body, new)
            bodies[id(new)] = (new, new)
        return bodies[id(body)][1]

    graph = joined(graph)
    engines = [p.engine(region) for p in PASSES]
    for _ in range(ROUNDS):
        before = graph
        for engine in engines:
            new = engine.run(graph)
            if new is graph:
                continue
            graph = new
            if check:
                verify(graph, engine.stage)
            if dump is not None:
                dump(engine.stage, graph)
        for name, treat in _LOOPS:
            new = treat(graph)
            if new is graph:
                continue
            graph = new
            if check:
                verify(graph, name)
            if dump is not None:
                dump(name, graph)
        if graph is before:
            break
    return graph


__all__ = ["FOLD", "PASSES", "SHARE", "SIMPLIFY", "Pass", "optimise"]
