"""`vmap` and `map`: a function on every element.

Enters: a function and the arguments of a call. Leaves: its results for all elements. Over runs and tuples the function is called
once per element. Over the first axis of tensors it is elaborated once, for one lane, and `charl.batch` makes the graph of
all lanes of it; what the function captures is shared by them. Lane i of a stream of random numbers is its `split(i)`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from charl import dtypes, ops
from charl.batch import mapped
from charl.elaborate import indexing, initial, statements
from charl.elaborate import values as v
from charl.elaborate.calls import apply as call_value
from charl.elaborate.modules import rng_type
from charl.elaborate.parameters import Argument, Call, common_dtype, tensor_of_run
from charl.elaborate.scope import Binding, Variable
from charl.errors import Label, code, fail
from charl.graph.ir import Node, Size, TensorType
from charl.ops.lanes import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from charl.elaborate.elaborator import Elaborator

LANES = code("E0510", "the arguments of `vmap` or `map` do not go together")
SHARED = code("E0511", "a function under `vmap` writes what all elements share")


# ---------------------------------------------------------------- element by element


def over_items(el: Elaborator, name: str, f: Any, call: Call) -> Any:
    """`map(f)(xs)`: f on every element of runs and tuples, and of the first axis of tensors beside them."""
    sequences = [a for a in call.arguments if isinstance(a.value, (v.Run, v.Tuple))]
    lengths = {_length(a): a for a in call.arguments}
    if len(lengths) > 1:
        raise _unequal(name, [(a, str(_length(a))) for a in call.arguments], call)
    count = len(sequences[0].value.items)
    out = []
    for i in range(count):
        arguments = [Argument(_item(a.value, i), a.span, a.name) for a in call.arguments]
        out.append(call_value(el, f, Call(arguments, call.span, call.scope, call.mode)))
    first = sequences[0].value
    return v.Run(tuple(out), first.length) if isinstance(first, v.Run) else v.Tuple(tuple(out))


def _length(a: Argument) -> Size:
    if isinstance(a.value, v.Run):
        return a.value.length
    if isinstance(a.value, v.Tuple):
        return len(a.value.items)
    if isinstance(a.value, Node) and a.value.rank:
        return a.value.shape[0]
    raise fail(LANES, f"{v.describe_value(a.value)} has no elements to go over", a.span)


def _item(value: Any, i: int) -> Any:
    return indexing.row(value, i) if isinstance(value, Node) else value.items[i]


def _unequal(name: str, found: list[tuple[Argument, str]], call: Call) -> Exception:
    sizes = list(dict.fromkeys(size for _, size in found))
    return fail(
        LANES,
        f"the arguments of `{name}` have {' and '.join(sizes)} elements",
        call.span,
        labels=tuple(Label(a.span, f"{v.describe_value(a.value)}: {size} elements") for a, size in found),
        help="what all elements share is captured: `vmap(|x| f(x, shared))(xs)`",
    )


def map_call(el: Elaborator, f: Any, call: Call) -> Any:
    """`map(f)(xs)` over runs and tuples."""
    for a in call.arguments:
        if not isinstance(a.value, (v.Run, v.Tuple)):
            shown = v.describe_value(a.value)
            raise fail(
                LANES,
                f"`map` goes over runs and tuples, and this is {shown}",
                a.span,
                help="`vmap` goes over the first axis of tensors" if isinstance(a.value, Node) else None,
            )
    return over_items(el, "map", f, call)


# ---------------------------------------------------------------- all at once


@dataclass
class _Lanes:
    """What one lane sees in place of what all of them have."""

    size: Size
    table: dict[Node, tuple[Node, bool]] = field(default_factory=dict)
    places: list[tuple[Any, Binding]] = field(default_factory=list)  # `mut` arguments
    streams: list[tuple[Any, Any]] = field(
        default_factory=list
    )  # places of streams that move on, and what they held
    own: list[Binding] = field(default_factory=list)  # what a lane may write

    def one(self, x: Node) -> Node:
        """One lane of `x`."""
        lane = ops.parameter(x.name or "lane", TensorType(x.dtype, x.shape[1:]))
        self.table[lane] = x, True
        return lane

    def all(self, values: list[Node]) -> list[Node]:
        """Every lane of what was computed for one."""
        found = mapped(values, self.table, self.size)
        return [x if m else spread(x, self.size) for x, m in found]

    def stream(self, rng: v.Instance) -> v.Instance:
        """The stream of one lane: `split(i)` of the given one."""
        number = ops.parameter("lane", TensorType(dtypes.u32, ()))
        self.table[number] = ops.iota((self.size,), 0, dtypes.u32), True
        return initial.numbered_stream(rng, number)


def vmap_call(el: Elaborator, f: Any, call: Call) -> Any:
    """`vmap(f)(xs)`: f on every element of the first axis, stacked; over runs and tuples on every item."""
    for a in call.arguments:
        if v.is_table(a.value):
            a.value = tensor_of_run(a.value, common_dtype(a.value), a.span)
    if any(isinstance(a.value, (v.Run, v.Tuple)) for a in call.arguments):
        return over_items(el, "vmap", f, call)
    lanes = _Lanes(_size(call))
    arguments = [_argument(el, lanes, a) for a in call.arguments]
    with _own_stream(el, lanes, call), el.journal.frame() as before:
        result = call_value(el, f, Call(arguments, call.span, call.scope, call.mode))
        result = statements.of_each(el, result, call.span)
    if el.tests is not None:
        lanes.own += el.tests.after_lanes(before, lanes.all)
    _refuse_shared(lanes, before, call)
    for place, binding in lanes.places:
        place.set(_every(lanes, binding.value))
    for place, rng in lanes.streams:
        place.set(initial.moved_on(rng))
    return _every(lanes, result)


def _every(lanes: _Lanes, value: Any) -> Any:
    leaves = dict(v.leaves(value))
    found = dict(zip(leaves, lanes.all(list(leaves.values())), strict=True))
    return v.stacked(v.rebuild(value, lambda path, _: found[path]), (lanes.size,))


def _size(call: Call) -> Size:
    """The common size of the first axes of the arguments."""
    found: list[tuple[Argument, str]] = []
    sizes: dict[Size, None] = {}
    for a in call.arguments:
        if _is_stream(a.value):
            continue
        for _, n in v.leaves(a.value):
            if n.rank == 0:
                shown = v.describe_value(a.value)
                raise fail(
                    LANES,
                    f"`vmap` goes over the first axis, and {shown} has none",
                    a.span,
                    labels=(Label(a.span, shown),),
                    help="what all elements share is captured: `vmap(|x| f(x, shared))(xs)`",
                )
            sizes[n.shape[0]] = None
            found.append((a, str(n.shape[0])))
    if not sizes:
        raise fail(LANES, "`vmap` has nothing to go over: no argument is a tensor", call.span)
    if len(sizes) > 1:
        raise _unequal("vmap", list({id(a): (a, n) for a, n in found}.values()), call)
    return next(iter(sizes))


def _is_stream(value: Any) -> bool:
    return isinstance(value, v.Instance) and bool(value.type == rng_type())


def _argument(el: Elaborator, lanes: _Lanes, a: Argument) -> Argument:
    """One lane of an argument; a `mut` one is written by lane, and stacked behind the call."""
    value: Any
    if _is_stream(a.value):
        value = lanes.stream(a.value)
        if a.place is not None:
            lanes.streams.append((a.place, a.value))
            place, _ = _place(el, lanes, a, value)
            return Argument(value, a.span, a.name, place, a.marked, a.name_span)
        return Argument(value, a.span, a.name, None, a.marked, a.name_span)
    value = v.element(v.rebuild(a.value, lambda _, n: lanes.one(n)))
    if a.place is None:
        return Argument(value, a.span, a.name, None, a.marked, a.name_span)
    place, binding = _place(el, lanes, a, value)
    lanes.places.append((a.place, binding))
    return Argument(value, a.span, a.name, place, a.marked, a.name_span)


def _place(el: Elaborator, lanes: _Lanes, a: Argument, value: Any) -> tuple[Variable, Binding]:
    binding = Binding(a.name or a.span.text, value, True, a.span)
    lanes.own.append(binding)
    return Variable(binding, el.journal), binding


@contextmanager
def _own_stream(el: Elaborator, lanes: _Lanes, call: Call) -> Iterator[None]:
    """In training, what is drawn from the method's stream is drawn from one of the lane's own."""
    frame = call.scope.function
    mode = call.mode or (frame.mode if frame is not None else None)
    if mode is None or mode.rng is None:
        yield
        return
    outer = mode.rng
    start = lanes.stream(outer.get())
    binding = Binding("rng", start, True)
    lanes.own.append(binding)
    mode.rng = Variable(binding, el.journal)
    try:
        yield
    finally:
        mode.rng = outer
    if binding.value is not start:
        lanes.streams.append((outer, outer.get()))


def _refuse_shared(lanes: _Lanes, before: dict[Binding, Any], call: Call) -> None:
    """What was written outside the function must be the same for all lanes."""
    for binding in before:
        if binding in lanes.own:
            continue
        nodes = [n for _, n in v.leaves(binding.value)]
        if any(m for _, m in mapped(nodes, lanes.table, lanes.size)):
            raise fail(
                SHARED,
                f"every element would write `{binding.name}`, which they share",
                call.span,
                labels=(Label(binding.span, "declared here"),) if binding.span is not None else (),
                help="return the new values, and combine them behind the call",
            )
