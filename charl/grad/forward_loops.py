"""Forward mode through a loop: one loop that carries the tangents beside the values.

Enters: a loop, values and tangents of its inputs. Leaves: values and tangents of its results, from one loop without a
trajectory: also where it has no bound. What is tested stays what was tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from charl import ops
from charl.graph.ir import Node
from charl.ops.regions import assembled, counter, item, parameter_like

if TYPE_CHECKING:
    from charl.grad.forward import Dual

Push: TypeAlias = "Callable[[Sequence[Node], Mapping[Node, Dual]], list[Dual]]"


def through(node: Node, inputs: Sequence[Dual], push: Push) -> list[Dual]:
    """The results of a loop with their tangents."""
    from charl.grad.forward import Dual

    (body,) = node.regions
    count, extent, halts = node.attrs["carried"], node.attrs["extent"], node.attrs["halts"]
    carried = body.params[1 : 1 + count]
    behind = any(d.behind for d in inputs)
    active = [d.tangent is not None for d in inputs[:count]]
    while True:
        index, params = counter(), [parameter_like(p, p.attrs["name"]) for p in carried]
        tangents = [
            ops.parameter(f"d_{p.name or 'carried'}", p.type) if a else None for p, a in zip(params, active)
        ]
        given = {body.params[0]: Dual(index)}
        given |= {p: Dual(x, t, behind) for p, x, t in zip(carried, params, tangents, strict=True)}
        given |= {
            p: Dual(d.value, d.tangent, behind)
            for p, d in zip(body.params[1 + count :], inputs[count:], strict=True)
        }
        results = push(body.results, given)
        grown = [a or d.tangent is not None for a, d in zip(active, results[:count], strict=True)]
        branches = any(d.behind for d in results)
        if grown == active and (behind or not branches):
            break
        active, behind = grown, behind or branches
    end = node.attrs["saved"] if node.attrs["saved"] >= 0 else len(results)
    yields = results[count:end]
    moving = [k for k in range(count) if active[k]]
    sliding = [k for k, d in enumerate(yields) if d.tangent is not None]

    def filled(d: Dual) -> Node:
        return d.tangent if d.tangent is not None else ops.zeros(d.value.type)

    done = assembled(
        extent,
        index,
        [*params, *(t for t in tangents if t is not None)],
        [*(d.value for d in inputs[:count]), *(filled(inputs[k]) for k in moving)],
        [*(d.value for d in results[:count]), *(filled(results[k]) for k in moving)],
        [*(d.value for d in yields), *(filled(yields[k]) for k in sliding)],
        halts,
    )
    along = dict(zip(moving, done.carried[count:], strict=True))
    stacked = dict(zip(sliding, done.yields[len(yields) :], strict=True))
    out = [Dual(x, along.get(k), behind) for k, x in enumerate(done.carried[:count])]
    out += [Dual(x, stacked.get(k), behind) for k, x in enumerate(done.yields[: len(yields)])]
    if node.attrs["saved"] >= 0 and count:
        whole = done.carried[0].inputs[0]
        first, beside = whole.attrs["saved"], {k: count + i for i, k in enumerate(moving)}
        for k in range(count):
            t = item(whole, first + beside[k]) if k in beside else None
            out.append(Dual(item(whole, first + k), t, behind))
    return out
