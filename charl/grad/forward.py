"""Forward mode, as the transpose of reverse mode: tangents of results from tangents of inputs.

Enters: nodes of a graph and tangent nodes. Leaves: ordinary nodes. Has no rules of its own: reverse mode is linear in its
cotangent, so that its own reverse mode with respect to that cotangent is the Jacobian itself. What was computed only to
be transposed back is dead code, which the passes remove.
"""

from __future__ import annotations

from collections.abc import Sequence

from charl import ops
from charl.grad.reverse import vjp
from charl.graph.ir import Node


def jvp(
    outputs: Sequence[Node], inputs: Sequence[Node], tangents: Sequence[Node | None]
) -> list[Node | None]:
    """Tangents of `outputs`, given those of `inputs` (None: zero).

    None where no differentiable path leads to an output; integers and booleans have no tangent.
    """
    # Ones, not zeros: behind a `select`, reverse mode replaces what is not finite where its cotangent is 0.
    dummies = [ops.full(1, y.type) if y.dtype.is_float else None for y in outputs]
    pulled = vjp(outputs, inputs, dummies)
    known = [(g, t) for g, t in zip(pulled, tangents, strict=True) if g is not None and t is not None]
    floating = [d for d in dummies if d is not None]
    found = dict(zip(floating, vjp([g for g, _ in known], floating, [t for _, t in known]), strict=True))
    return [None if d is None else found[d] for d in dummies]
