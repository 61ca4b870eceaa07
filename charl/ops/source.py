"""Values that depend on no tensor: parameters, constants, sizes, counting, random bits.

Enters: attributes. Leaves: nodes without inputs (`random_bits` takes its key and counter). Holds no state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from charl import ops
from charl.dtypes import ALL, DType, bf16, boolean, f32, f64, i32, i64, u32
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, Shape, TensorType
from charl.graph.scalar import Const, Expr, Index, IndexValue
from charl.ops import lanes
from charl.ops.common import Array, Size, as_type, linear, number, require, sample
from charl.ops.record import Op, Sample, TypeRuleError, make, register

__all__ = [
    "constant",
    "constant_array",
    "dtype_of",
    "full",
    "iota",
    "parameter",
    "random_bits",
    "size_value",
    "threefry2x32",
    "zeros",
]


def _declared(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    return as_type(attrs["dtype"], attrs["shape"])


def _unbound(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    raise KeyError(f"parameter {attrs['name']} has no array")


def dtype_of(array: Array) -> DType:
    """The element type of a NumPy array (float32 is f32, ml_dtypes' bfloat16 is bf16)."""
    if array.dtype.name == "bfloat16":
        return bf16
    for t in ALL.values():
        if t != bf16 and t.numpy == array.dtype:
            return t
    raise TypeRuleError(f"no element type is a {array.dtype}")


# ---------------------------------------------------------------- parameter and constant


def parameter(name: str, type: TensorType) -> Node:
    """An input of the graph."""
    return make("parameter", hint=name, name=name, dtype=type.dtype, shape=type.shape)


def constant(value: Any, dtype: DType | None = None) -> Node:
    """A literal: a number, or an array of any rank (stored as a table unless all elements are the same bits).

    Without `dtype`: that of the array; of Python numbers f32, i32 or bool.
    """
    if dtype is None:
        plain = {bool: boolean, int: i32, float: f32}.get(type(value))
        dtype = plain or dtype_of(np.asarray(value))
    data = np.ascontiguousarray(np.asarray(value).astype(dtype.numpy)).reshape(np.shape(value))
    if data.ndim == 0:
        return make("constant", dtype=dtype, shape=(), value=data.item())
    flat = data.reshape(-1)
    if flat.size == 0 or flat.tobytes() == flat[:1].tobytes() * flat.size:
        same = constant(flat[0] if flat.size else 0, dtype)
        return ops.broadcast(same, data.shape, ())
    little = data.astype(data.dtype.newbyteorder("<"))
    return make("constant", dtype=dtype, shape=data.shape, value=little.tobytes())


def constant_array(node: Node) -> Array:
    """The elements of a constant node, with its shape; a table is read-only."""
    return _constant_ref((), node.attrs, tuple(int(n) for n in node.shape))  # type: ignore[arg-type]


def _constant_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    value, t = attrs["value"], attrs["dtype"].numpy
    if isinstance(value, bytes):
        stored = np.dtype(attrs.get("stored", t)).newbyteorder("<")
        return np.frombuffer(value, stored).reshape(shape).astype(t, copy=False)
    return np.asarray(value, t)


def _constant_at(node: Node, index: Index) -> Expr:
    value = node.attrs["value"]
    if isinstance(value, bytes):
        return scalar.read(node, index)  # a table: the planner stores it
    return Const(number(value, node.dtype), node.dtype)


def full(value: float | int | bool, type: TensorType) -> Node:
    """One number in every element of `type`."""
    one = constant(value, type.dtype)
    return one if not type.shape else ops.broadcast(one, type.shape, ())


def zeros(type: TensorType) -> Node:
    """Zeros (false) of `type`."""
    return full(0, type)


def _constant_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for t, value in ((f32, 1.5), (i32, -3), (boolean, True), (f64, float("inf")), (u32, 0xFFFFFFFF)):
        yield sample(dtype=t, shape=(), value=value)
    for t, shape in ((f32, (5,)), (i64, (2, 3)), (boolean, (1, 3, 2))):
        data = rng.integers(0, 2 if t == boolean else 99, shape).astype(t.numpy)
        yield sample(dtype=t, shape=shape, value=data.tobytes())


register(
    Op(
        "parameter",
        "An input of the graph.",
        _declared,
        _unbound,
        lambda node, index: scalar.read(node, index),
        lambda node, ct: (),
    )
)
register(
    Op(
        "constant",
        "A literal; `value` is a number or the bytes of a row-major little-endian table.",
        _declared,
        _constant_ref,
        _constant_at,
        lambda node, ct: (),
        _constant_samples,
    )
)


# ---------------------------------------------------------------- sizes and counting


def size_value(size: Size, dtype: DType = i32) -> Node:
    """A size (perhaps a dimension variable) as a run-time scalar."""
    return make("size_value", size=size, dtype=dtype)


def iota(shape: Shape, axis: int, dtype: DType = i32) -> Node:
    """Each element is its own index along `axis`."""
    return make("iota", shape=tuple(shape), axis=axis, dtype=dtype)


def _iota_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    out = as_type(attrs["dtype"], attrs["shape"])
    require(0 <= attrs["axis"] < out.rank, f"iota: axis {attrs['axis']} of rank {out.rank}")
    require(out.dtype != boolean, "iota: booleans do not count")
    return out


def _iota_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    counted = np.arange(shape[attrs["axis"]]).astype(attrs["dtype"].numpy)
    along = [1] * len(shape)
    along[attrs["axis"]] = -1
    return np.broadcast_to(counted.reshape(along), shape)


def _iota_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for t, shape, axis in (
        (i32, (7,), 0),
        (f32, (3, 5), 1),
        (u32, (2, 1, 3), 0),
        (i64, (2, 3, 1, 2, 5), 4),
        (f64, (0, 3), 1),
    ):
        yield sample(shape=shape, axis=axis, dtype=t)


register(
    Op(
        "size_value",
        "A size as a run-time scalar.",
        lambda types, attrs: TensorType(attrs["dtype"], ()),
        lambda arrays, attrs, shape: np.asarray(attrs["size"]).astype(attrs["dtype"].numpy),
        lambda node, index: IndexValue(node.attrs["size"], node.dtype),
        lambda node, ct: (),
        lambda rng: [sample(size=n, dtype=t) for n, t in ((7, i32), (0, f32), (40000, f64))],
    )
)
register(
    Op(
        "iota",
        "Each element is its own index along `axis`.",
        _iota_infer,
        _iota_ref,
        lambda node, index: IndexValue(index[node.attrs["axis"]], node.dtype),
        lambda node, ct: (),
        _iota_samples,
    )
)


# ---------------------------------------------------------------- random bits


def random_bits(key: Node, counter: Node, shape: Shape, word: int = 0) -> Node:
    """u32 bits: element i (row-major) is word `word` of Threefry-2x32-20 of `key` and counter words (i, counter).

    `key` is u32[*B, 2] and `counter` u32[*B]: each index of B numbers its elements (of `shape`) by itself: *B, *shape.
    """
    return make("random_bits", key, counter, shape=tuple(shape), word=word)


def threefry2x32(key0: Any, key1: Any, counter0: Any, counter1: Any) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011), elementwise over u32 arrays that broadcast."""
    words = [np.asarray(x, np.uint32) for x in (key0, key1)]
    keys = (*words, words[0] ^ words[1] ^ np.uint32(0x1BD11BDA))
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    with np.errstate(over="ignore"):
        a = np.asarray(counter0, np.uint32) + keys[0]
        b = np.asarray(counter1, np.uint32) + keys[1]
        for i in range(20):
            r = rotations[i % 8]
            a = a + b
            b = ((b << np.uint32(r)) | (b >> np.uint32(32 - r))) ^ a
            if i % 4 == 3:
                j = i // 4 + 1
                a = a + keys[j % 3]
                b = b + keys[(j + 1) % 3] + np.uint32(j)
    return np.asarray(a), np.asarray(b)


def _bits_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    key, counter = types
    batch = counter.shape
    wanted = TensorType(u32, (*batch, 2))
    require(key == wanted, f"random_bits: the key is {wanted}, not {key}")
    require(counter.dtype == u32, f"random_bits: the counter is u32, not {counter}")
    require(attrs["word"] in (0, 1), "random_bits: there are words 0 and 1")
    return as_type(u32, (*batch, *attrs["shape"]))


def _bits_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    key, counter = arrays
    positions = np.arange(int(np.prod(shape[counter.ndim :])), dtype=np.uint32)
    words = key[..., 0, None], key[..., 1, None], positions, counter[..., None]
    return threefry2x32(*words)[attrs["word"]].reshape(shape)


def _bits_at(node: Node, index: Index) -> Expr:
    key, counter = node.inputs
    lane, inner = index[: counter.rank], index[counter.rank :]
    words = (scalar.read(key, (*lane, 0)), scalar.read(key, (*lane, 1)))
    position = IndexValue(linear(inner, node.shape[counter.rank :]), u32)
    fn = "threefry1" if node.attrs["word"] else "threefry"
    return scalar.apply(fn, *words, position, scalar.read(counter, lane), dtype=u32)


def _bits_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, word in (((), 0), ((17,), 1), ((3, 5), 0), ((2, 0), 0), ((2, 1, 3, 1, 2), 1)):
        key = rng.integers(0, 2**32, 2, dtype=np.uint32)
        yield sample(key, np.uint32(rng.integers(0, 2**32)), shape=shape, word=word)
    for lanes_, shape in (((3,), (5,)), ((2, 1), (2, 2)), ((4,), ())):
        key = rng.integers(0, 2**32, (*lanes_, 2), dtype=np.uint32)
        yield sample(key, rng.integers(0, 2**32, lanes_, dtype=np.uint32), shape=shape, word=1)


register(
    Op(
        "random_bits",
        "Counter-based random bits: Threefry-2x32 with 20 rounds.",
        _bits_infer,
        _bits_ref,
        _bits_at,
        lambda node, ct: (None, None),
        _bits_samples,
        batch=lanes.elementwise,
    )
)
