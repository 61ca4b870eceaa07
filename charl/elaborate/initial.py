"""Initial values: parameters of models from their initializers, each from its own stream.

Enters: a model's type and a stream. Leaves: an instance. The stream of a parameter is derived from the given one by the
parameter's path, so that adding a parameter changes no other; the given stream moves on by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import dtypes, ops
from charl.elaborate import instances, operators, stacks
from charl.elaborate import values as v
from charl.elaborate.calls import apply, arguments
from charl.elaborate.parameters import ARGUMENT, MISSING, MUT_MARK, Argument, Call
from charl.elaborate.scope import Scope, Temporary, Variable
from charl.elaborate.types import Matcher
from charl.errors import Label, code, fail
from charl.graph.ir import Node, TensorType
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

INITIALIZER = code("E0403", "an initializer does not give what it initializes")


def fnv1a32(text: str) -> int:
    """The FNV-1a hash of UTF-8 text (Fowler, Noll, Vo)."""
    h = 0x811C9DC5
    for byte in text.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def model_init(el: Elaborator, t: Any, call: Call) -> Any:
    """`Net.init(mut rng)`: every parameter from its initializer."""
    if len(call.arguments) != 1 or call.arguments[0].name not in (None, "rng"):
        raise fail(MISSING, "`init` of a model takes the stream: `init(mut rng)`", call.span)
    a = call.arguments[0]
    stream(a, "init(mut rng)")
    assert a.place is not None
    if isinstance(t, v.Declaration):
        t = instances.open_instance(el, t, (), call.span)
    rng = a.value
    value = initialize(el, t, base_stream(rng))
    a.place.set(moved_on(rng))
    return value


def moved_on(rng: v.Instance) -> v.Instance:
    """A stream behind one draw."""
    return rng.replace("counter", ops.add(rng.members["counter"], ops.constant(1, dtypes.u32)))


def stream(a: Argument, form: str) -> None:
    """Refuses an argument that is no stream which may move on."""
    from charl.elaborate.modules import rng_type

    if v.type_of(a.value) != rng_type():
        raise fail(
            ARGUMENT, f"random numbers come from an `Rng`, and this is {v.describe_value(a.value)}", a.span
        )
    if a.place is None:
        raise fail(MUT_MARK, f"the stream moves on: write `{form}`", a.span)


def base_stream(rng: v.Instance) -> v.Instance:
    """The stream from which one `init` derives all others: a key that no draw of `rng` uses."""
    counter = ops.bitnot(rng.members["counter"])
    key = ops.random_bits(rng.members["key"], counter, (2,), 0)
    return v.Instance(rng.type, {"key": key, "counter": ops.constant(0, dtypes.u32)})


def derived_stream(base: v.Instance, path: str) -> v.Instance:
    """The stream of one parameter, named by its path."""
    return _stream_of(base, ops.constant(fnv1a32(path), dtypes.u32))


def numbered_stream(rng: v.Instance, number: Node) -> v.Instance:
    """`rng.split(number)`: one of the 2^32 streams that `rng` stands for at its present counter."""
    return _stream_of(base_stream(rng), number)


def _stream_of(base: v.Instance, number: Node) -> v.Instance:
    key = ops.random_bits(base.members["key"], number, (2,), 0)
    return v.Instance(base.type, {"key": key, "counter": ops.constant(0, dtypes.u32)})


def initialize(el: Elaborator, t: Any, base: v.Instance, path: str = "") -> Any:
    """A value of a type whose members come from their initializers."""

    def below(name: str) -> str:
        return f"{path}.{name}" if path else name

    if isinstance(t, v.RunType):
        n = t.length if isinstance(t.length, int) else 1
        items = tuple(initialize(el, t.items[0], base, below(str(i))) for i in range(n))
        return v.Run(items, t.length)
    if isinstance(t, v.TupleType):
        return v.Tuple(tuple(initialize(el, x, base, below(str(i))) for i, x in enumerate(t.items)))
    if isinstance(t, v.InstanceType) and t.lead:
        count, inner = t.lead[0], replace(t, lead=t.lead[1:])
        if not isinstance(count, int) or not count:
            message = (
                f"`{path or t}` is a stack of {count}, and only a known number of models has initial values"
            )
            raise fail(INITIALIZER, message, t.span)
        return stacks.together([initialize(el, inner, base, below(str(i))) for i in range(count)])
    if not isinstance(t, v.InstanceType):
        raise fail(INITIALIZER, f"`{path}` of type {v.describe(t)} has no initializer", None)
    scope = instances.instance_scope(t)
    members: dict[str, Any] = {}
    for f in t.declaration.ast.fields:
        members[f.name.name] = _member(el, t, f, scope, base, below(f.name.name))
    for name, entry in instances.layer_entries(el, t):
        known = isinstance(entry, v.InstanceType)
        members[name] = initialize(el, entry, base, below(name)) if known else entry
    return v.Instance(t, members)


def _member(el: Elaborator, t: v.InstanceType, f: Any, scope: Scope, base: v.Instance, path: str) -> Any:
    if f.condition is not None:
        condition = el.condition(f.condition, scope)
        if condition is False:
            return v.Absent(f.name.name)
    declared = Matcher(el, scope).resolve(f.type)
    if f.default is not None:
        return initial_value(el, f, declared, scope, derived_stream(base, path))
    if isinstance(declared, TensorType):
        raise fail(
            INITIALIZER,
            f"`{f.name}` of `{t.name}` has no initializer",
            f.span,
            help=f"write one: `param {f.name}: … = zeros()`",
        )
    return initialize(el, declared, base, path)


def initial_value(el: Elaborator, f: Any, declared: Any, scope: Scope, stream: v.Instance) -> Any:
    """The initializer of a member, called with the declared shape and a stream of its own."""
    e = f.default
    value: Any
    if isinstance(e, ast.Call) and isinstance(declared, TensorType):
        outer = Scope(scope)
        rng = outer.bind("rng", stream, e.span, mutable=True)
        callee = el.known(e.callee, scope)
        call = Call(arguments(el, e.args, scope), e.span, scope)
        call.extra = {
            "shape": Argument(v.Run(declared.shape, declared.rank), e.span),
            "rng": Argument(stream, e.span, None, Variable(rng, el.journal)),
        }
        value = apply(el, callee, call)
    else:
        value = el.known(e, scope)
    if not isinstance(declared, TensorType):
        return value
    return _fitted(value, declared, f)


def _fitted(value: Any, declared: TensorType, f: Any) -> Node:
    """The initial value in the declared element type and shape; a number fills it."""
    if v.is_compile_time_number(value) and not isinstance(value, Node):
        value = operators.to_node(value, declared.dtype, f.default.span)
    if not isinstance(value, Node):
        raise fail(
            INITIALIZER, f"the initializer of `{f.name}` gives {v.describe_value(value)}", f.default.span
        )
    if value.rank == 0 and declared.rank:
        value = operators.broadcast_to(value, declared.shape)
    if value.shape != declared.shape or value.dtype.is_float != declared.dtype.is_float:
        raise fail(
            INITIALIZER,
            f"the initializer of `{f.name}` gives {value.type} for {declared}",
            f.default.span,
            labels=(Label(f.type.span, "declared here"),),
        )
    return value if value.dtype == declared.dtype else ops.cast(value, declared.dtype)


def seeded(el: Elaborator, scope: Scope, seed: int) -> Any:
    """A stream from a seed: its low and high words are the key."""
    key = ops.constant(np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF], dtype=np.uint32), dtypes.u32)
    from charl.elaborate.modules import rng_type

    return v.Instance(rng_type(), {"key": key, "counter": ops.constant(0, dtypes.u32)})


__all__ = ["Temporary", "initialize", "model_init"]
