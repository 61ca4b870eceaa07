"""Elementwise work moves before what only repeats or reorders elements.

`f(broadcast(s), broadcast(t))` becomes `broadcast(f(s, t))`: arithmetic on scalars is done once. Reshapes and transposes
move after elementwise functions too, towards reductions and contractions, which take them for nothing. All exact: the same
function of the same elements.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from charl import ops
from charl.dtypes import DType, boolean, f32, i8, i32, u32
from charl.graph.ir import Attrs, Node, Shape, TensorType
from charl.graph.scalar import FUNCTIONS
from charl.ops.record import OPS, TypeRuleError, make
from charl.passes.pattern import Apply, Match, Rule
from charl.passes.rules.shapes import ones_only, param
from charl.passes.values import scalar_of

ELEMENTWISE = tuple(name for name in FUNCTIONS if name in OPS)


def _before_broadcast(m: Match) -> Node | None:
    """f over the axes that any input really varies along, then one broadcast."""
    node = m.root
    if any(i.op != "broadcast" for i in node.inputs) or not node.inputs:
        return None
    axes = sorted({a for i in node.inputs for a in i.attrs["axes"]})
    if len(axes) == len(node.shape):
        return None
    shape = tuple(node.shape[a] for a in axes)
    inner = []
    for i in node.inputs:
        places = tuple(axes.index(a) for a in i.attrs["axes"])
        inner.append(ops.broadcast(i.inputs[0], shape, places))
    return ops.broadcast(make(node.op, *inner, **node.attrs), node.shape, tuple(axes))


def _before(op: str, m: Match) -> Node | None:
    """f before a reshape or transpose that all inputs share; scalars fit any shape, and so does what is broadcast."""
    node = m.root
    moved = [i for i in node.inputs if i.op == op]
    if not moved:
        return None
    shape, attrs = moved[0].inputs[0].shape, moved[0].attrs
    inner = []
    for i in node.inputs:
        one = scalar_of(i)
        if i.op == op and i.inputs[0].shape == shape and i.attrs == attrs:
            inner.append(i.inputs[0])
        elif one is not None:
            inner.append(ops.broadcast(one, shape, ()) if shape else one)
        else:
            back = _back(i, moved[0])
            if back is None:
                return None
            inner.append(back)
    return make(op, make(node.op, *inner, **node.attrs), **attrs)


def _back(i: Node, moved: Node) -> Node | None:
    """A value that, moved as `moved` is, is `i`: one that is broadcast, or anything that only gains axes of size 1."""
    where = ones_only(moved) if moved.op == "reshape" else None
    if where is not None and moved.inputs[0].rank < moved.rank:
        return ops.reshape(i, moved.inputs[0].shape)
    if i.op != "broadcast":
        return None
    if moved.op == "transpose":
        perm = moved.attrs["perm"]
        places = [perm[a] for a in i.attrs["axes"]]
    elif where is None:
        return None
    else:
        origin = {new: old for old, new in where.items()}
        if any(a not in origin for a in i.attrs["axes"]):
            return None
        places = [origin[a] for a in i.attrs["axes"]]
    order = sorted(range(len(places)), key=lambda k: places[k])
    axes = tuple(places[k] for k in order)
    return ops.broadcast(ops.transpose(i.inputs[0], order), moved.inputs[0].shape, axes)


def _types(op: str) -> list[DType]:
    """Element types that `op` takes, one for each input."""
    for t in (f32, i32, boolean):
        types = [boolean, t, t] if op == "select" else [t] * FUNCTIONS[op]
        try:
            OPS[op].infer([TensorType(x, ()) for x in types], _attrs(op))
            return types
        except TypeRuleError:
            continue
    raise AssertionError(op)


def _attrs(op: str) -> Attrs:
    return {"cast": {"dtype": i8}, "bitcast": {"dtype": u32}}.get(op, {})


def _samples(op: str, moved: Callable[[Node], Node], shape: Shape, movable: bool = False) -> list[Node]:
    """`op` over moved values only, over one moved value and scalars, and where those can move over what is broadcast."""
    values = [param(shape, t, f"x{i}") for i, t in enumerate(_types(op))]
    all_moved = [moved(v) for v in values]
    scalars = [
        ops.broadcast(param((), v.dtype, f"s{i}"), all_moved[0].shape, ()) for i, v in enumerate(values)
    ]
    lines = [
        ops.broadcast(param((v.shape[1],), v.dtype, f"b{i}"), v.shape, (1,)) for i, v in enumerate(all_moved)
    ]
    mixed = [*all_moved[:1], *scalars[1:]], [*all_moved[:1], *lines[1:]]
    return [make(op, *i, **_attrs(op)) for i in (all_moved, *(mixed if movable else mixed[:1]))]


def _rules(op: str) -> list[Rule]:
    inputs = Apply(op, None)
    repeat = lambda v: ops.broadcast(v, (2, 3, 4), (1,))  # noqa: E731
    shape = lambda v: ops.reshape(v, (3, 4))  # noqa: E731
    turn = lambda v: ops.transpose(v, (1, 0))  # noqa: E731
    grown = lambda v: ops.reshape(v, (2, 6, 1))  # noqa: E731
    return [
        Rule(f"{op} before broadcast", inputs, _before_broadcast, samples=lambda: _samples(op, repeat, (3,))),
        Rule(
            f"{op} before reshape",
            inputs,
            partial(_before, "reshape"),
            samples=lambda: _samples(op, shape, (2, 6)) + _samples(op, grown, (2, 6), True),
        ),
        Rule(
            f"{op} before transpose",
            inputs,
            partial(_before, "transpose"),
            samples=lambda: _samples(op, turn, (2, 6), True),
        ),
    ]


RULES: list[Rule] = [rule for op in ELEMENTWISE for rule in _rules(op)]
