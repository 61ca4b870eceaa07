"""Forward mode through a loop: one loop that carries the tangents beside the values.

Enters: a loop, values and tangents of its inputs. Leaves: values and tangents of its results, from one loop without a
trajectory: also where it has no bound. What is tested stays what was tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

    count, saved = node.attrs["carried"], node.attrs["saved"]
    turn = _turn(node, inputs, push)
    end = saved if saved >= 0 else len(turn.results)
    yields = turn.results[count:end]
    moving = [k for k, t in enumerate(turn.tangents) if t is not None]
    sliding = [k for k, d in enumerate(yields) if d.tangent is not None]
    done = assembled(
        node.attrs["extent"],
        turn.index,
        [*turn.params, *(t for t in turn.tangents if t is not None)],
        [*(d.value for d in inputs[:count]), *(_filled(inputs[k]) for k in moving)],
        [*(d.value for d in turn.results[:count]), *(_filled(turn.results[k]) for k in moving)],
        [*(d.value for d in yields), *(_filled(yields[k]) for k in sliding)],
        node.attrs["halts"],
    )
    along = dict(zip(moving, done.carried[count:], strict=True))
    stacked = dict(zip(sliding, done.yields[len(yields) :], strict=True))
    out = [Dual(x, along.get(k), turn.behind) for k, x in enumerate(done.carried[:count])]
    out += [Dual(x, stacked.get(k), turn.behind) for k, x in enumerate(done.yields[: len(yields)])]
    if saved >= 0 and count:
        whole = done.carried[0].inputs[0]
        first, beside = whole.attrs["saved"], {k: count + i for i, k in enumerate(moving)}
        for k in range(count):
            t = item(whole, first + beside[k]) if k in beside else None
            out.append(Dual(item(whole, first + k), t, turn.behind))
    return out


def _filled(d: Dual) -> Node:
    return d.tangent if d.tangent is not None else ops.zeros(d.value.type)


@dataclass(frozen=True)
class _Turn:
    """One iteration with tangents: of the carried values that get one in any iteration."""

    index: Node
    params: list[Node]
    tangents: list[Node | None]
    results: list[Dual]
    behind: bool


def _turn(node: Node, inputs: Sequence[Dual], push: Push) -> _Turn:
    """The body in forward mode. What has a tangent, and comes from a side not taken, is found by looking until it stays."""
    from charl.grad.forward import Dual

    (body,) = node.regions
    count = node.attrs["carried"]
    carried, captured = body.params[1 : 1 + count], body.params[1 + count :]
    behind = any(d.behind for d in inputs)
    active = [d.tangent is not None for d in inputs[:count]]
    while True:
        index, params = counter(), [parameter_like(p, p.attrs["name"]) for p in carried]
        tangents = [
            ops.parameter(f"d_{p.name or 'carried'}", p.type) if a else None for p, a in zip(params, active)
        ]
        given = {body.params[0]: Dual(index)}
        given |= {p: Dual(x, t, behind) for p, x, t in zip(carried, params, tangents, strict=True)}
        given |= {p: d._replace(behind=behind) for p, d in zip(captured, inputs[count:], strict=True)}
        results = push(body.results, given)
        grown = [a or d.tangent is not None for a, d in zip(active, results[:count], strict=True)]
        branches = behind or any(d.behind for d in results)
        if grown == active and branches == behind:
            return _Turn(index, params, tangents, results, behind)
        active, behind = grown, branches
