"""The self-test of a package: inputs that both sides make alike, and what the exports must answer.

Enters: an `Api` and the graphs of its exports. Leaves: the C program. Expected values are computed by the evaluator with f32 as
f64 and written with six digits; inputs come from a hash, exact in every element type, so that they need no tables. Never looks
at kernels.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from charl import dims, templating
from charl.backends.c.api import Api, Function, Parameter, is_stream
from charl.backends.c.quoting import quoted
from charl.backends.c.spelling import C_TYPES, literal
from charl.dtypes import ALL, DType, f32, rounded
from charl.graph.ir import Graph, Size, TensorType
from charl.ops.regions import endless
from charl.program import Assertion, Test, Tree, leaves

Array = np.ndarray[Any, Any]

SAMPLES = 32  # elements of a tensor that are compared one by one; all together by their sum
HALF_ULP = {"f16": 2.0**-11, "bf16": 2.0**-8}  # what rounding loses
LIMIT = 1 << 28  # operations of an export above which its reference is not computed: a second
VALUES = 1 << 15  # tensors that the evaluator computes for it, turns of loops counted: 0.2 s
TABLES = 1 << 16  # numbers written in a `test` block, as tables
ELEMENTS = 1 << 22  # of its arguments and results, likewise: a self-test is to fit a device


@dataclass(frozen=True)
class Fill:
    """How a leaf is filled: low + scale * (16 bits of a hash) / 65536; for integers bits & mask."""

    stream: int
    low: float = 0.0
    scale: float = 1.0
    mask: int = 0xFFFF

    def values(self, t: DType, count: int) -> Array:
        """What the C program computes, in NumPy."""
        i = np.arange(count, dtype=np.uint32) + np.uint32(self.stream * 0x9E3779B9 & 0xFFFFFFFF)
        i ^= i >> 16
        i *= np.uint32(0x7FEB352D)
        i ^= i >> 15
        i *= np.uint32(0x846CA68B)
        bits = (i ^ i >> 16) >> 16
        if t.is_float:
            return np.asarray(rounded(self.low + self.scale * (bits / 65536.0), t))
        return (bits & self.mask).astype(t.numpy)


@dataclass(frozen=True)
class Leaf:
    """One tensor of the arguments."""

    type: TensorType
    stream: bool  # the bits of a random stream
    trained: bool
    tensor: bool  # an argument by itself


def files(api: Api, tested: Api | None = None, blocks: Sequence[Test] = ()) -> dict[str, str]:
    """`<prefix>_selftest.c`; `tested` is the package of the program's `test` blocks."""
    functions = [i.function for i in api.initializers if i.function is not None] + list(api.functions)
    tests, left_out = [], []
    for f in functions:
        test = _test(api, f)
        if test is None:
            left_out.append(f.name)
        else:
            tests.append(test)
    types = sorted({d.name for t in tests for d in t["types"]})
    checked = sorted({c["type"] for t in tests for c in t["checks"]})
    halves = sorted({d.name for t in tests for d in (*t["types"], *t["results"]) if d.is_half})
    text = templating.load("c/selftest.c.j2").render(
        api=api,
        left_out=left_out,
        fills=[_filling(ALL[n]) for n in types],
        halves=bool(halves),
        compared=bool(checked),
        checked=[_checking(ALL[n]) for n in checked],
        tests=tests,
        tested=tested,
        blocks=[_block(f, t) for f, t in _blocks(tested, blocks)],
    )
    return {f"{api.prefix}_selftest.c": text}


def _checking(t: DType) -> dict[str, str]:
    """How element i of an array x is read as a number."""
    read = f"(double){t}_value(x[i])" if t.is_half else "(double)x[i]"
    return {"name": t.name, "stored": C_TYPES[t.name], "read": read}


def _filling(t: DType) -> dict[str, str]:
    """The function that fills arrays of a type: its parameters behind the stream, and an element."""
    stored = C_TYPES[t.name]
    if not t.is_float:
        value, parameters = f"({stored})(bits(stream, i) & mask)", "uint32_t mask"
    else:
        real = C_TYPES[(f32 if t.is_half else t).name]
        value, parameters = f"low + scale * (({real})bits(stream, i) / 65536)", f"{real} low, {real} scale"
        if t.is_half:
            value = f"({stored}){t}_bits({value})"
    return {"name": t.name, "stored": stored, "parameters": parameters, "value": value}


def _blocks(tested: Api | None, blocks: Sequence[Test]) -> Iterator[tuple[Function, Test]]:
    """The `test` blocks with the functions that run them; those too large for a device are left out."""
    by_name = {t.export.name: t for t in blocks}
    for f in tested.functions if tested is not None else ():
        test = by_name[f.export.name]
        if f.plan is not None and sum(a.size for a in test.given) <= TABLES:
            yield f, test


def _block(f: Function, test: Test) -> dict[str, Any]:
    """A `test` block: tables of what is written in it, and one call, which says which assertion fails and what it compares."""
    declarations = []
    for p, a in zip(f.arguments, test.given):
        assert p.tensor is not None
        t = p.tensor.dtype
        words = [literal(x.item(), t).text for x in a.reshape(-1)]
        if p.kind == "value":
            declarations.append(f"const {C_TYPES[t.name]} {p.name} = {words[0]};")
            continue
        lines = textwrap.wrap(", ".join(words), 100, break_long_words=False, break_on_hyphens=False)
        declarations.append(f"static const {C_TYPES[t.name]} {p.name}[] = {{")
        declarations += [*(f"    {line}" for line in lines), "};"]
    declarations += [
        f"{C_TYPES[p.tensor.dtype.name]} {p.name}[1];" for p in f.results if p.tensor is not None
    ]
    assert f.plan is not None
    return {
        "name": f.name,
        "title": quoted(test.name),
        "declarations": declarations,
        "assertions": [_assertion(a) for a in test.assertions],
        "shown": ", ".join(f"{p.name}[0]" for p in f.results),
        "workspace": max(dims.evaluate(f.plan.arena_bytes, {}), 8),
        "call": f"{f.name}({', '.join(_call_arguments(f, {}))})",
    }


def _assertion(a: Assertion) -> str:
    left, right = (quoted(x) for x in a.labels or ("", ""))
    return f"{{{quoted(a.text)}, {left}, {right}, {'true' if a.scalar else 'false'}}}"


def _test(api: Api, f: Function) -> dict[str, Any] | None:
    sizes = small_sizes(f)
    if sizes is None or f.plan is None or dims.evaluate(f.plan.flops, sizes) > LIMIT:
        return None
    if endless(f.export.graph.results):  # on arbitrary numbers it may never end
        return None
    if dims.evaluate(_computed(f.export.graph), sizes) > VALUES:
        return None
    inputs = _leaves_of(f)
    held = [*(leaf.type.shape for leaf in inputs), *(n.shape for n in f.export.graph.results)]
    if sum(dims.evaluate(dims.product(shape), sizes) for shape in held) > ELEMENTS:
        return None
    found = _references(f, inputs, sizes)
    if found is None:
        return None
    fills, outputs = found
    return {
        "name": f.name,
        "title": quoted(f"{f.name}({', '.join(f'{k} = {v}' for k, v in sizes.items())})"),
        "types": {leaf.type.dtype for leaf in inputs},
        "results": {n.dtype for n in f.export.graph.results},
        "declarations": [_declaration(p, sizes) for p in f.parameters]
        + [f"static {ctype} {name}[{count}];" for _, ctype, name, count in _pointed(f, sizes)],
        "pointers": [f"{place} = {name};" for place, _, name, _ in _pointed(f, sizes)],
        "workspace": max(dims.evaluate(f.plan.arena_bytes, sizes), 0),
        "fills": list(_fill_calls(f, inputs, fills, sizes)),
        "call": f"{f.name}({', '.join(_call_arguments(f, sizes))})",
        "checks": list(_checks(f, outputs)),
    }


def _computed(graph: Graph) -> Size:
    """How many tensors the evaluator computes, those of a loop's body once a turn."""
    total: Size = 0
    for node in graph.nodes():
        turns = node.attrs["extent"] if node.op == "loop" else 1
        total = total + 1 + sum((_computed(region) * turns for region in node.regions), 0)
    return total


def small_sizes(f: Function) -> dict[str, int] | None:
    """Dimensions of a reference call: 3 where that is allowed, else what is near; None where nothing small is."""
    choices = []
    for d in f.dimensions:
        steps = (
            [d.multiple_of * k for k in (3, 2, 4, 1, 5, 8, 0)]
            if d.multiple_of == 1
            else [d.multiple_of, 2 * d.multiple_of]
        )
        high = d.high if d.high is not None else max(*steps, d.low)
        first = -(-d.low // d.multiple_of) * d.multiple_of
        choices.append(
            [n for n in dict.fromkeys([*steps, first, first + d.multiple_of]) if d.low <= n <= high]
        )
    for values in itertools.islice(itertools.product(*choices), 4096):
        sizes = dict(zip((d.source for d in f.dimensions), values))
        if all(_holds(c, sizes) for c in f.export.constraints):
            return sizes
    return None


def _holds(constraint: tuple[Any, ...], sizes: Mapping[str, int]) -> bool:
    _, left, relation, right, _ = constraint
    a, b = dims.evaluate(left, sizes), dims.evaluate(right, sizes)
    table = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
    return table[relation] if relation in table else a != 0 and b % a == 0


def _leaves_of(f: Function) -> list[Leaf]:
    out: list[Leaf] = []
    for a in f.export.arguments:
        out += _walk(a.type, False, False, isinstance(a.type, TensorType))
    return out


def _walk(tree: Tree, stream: bool, trained: bool, tensor: bool) -> Iterator[Leaf]:
    if isinstance(tree, TensorType):
        yield Leaf(tree, stream, trained, tensor)
        return
    for field in tree.fields:
        yield from _walk(field.type, stream or is_stream(tree), field.trained or trained, tensor)


def _fill(leaf: Leaf, number: int, attempt: int) -> Fill:
    """Of both signs at first; then positive; then small too, for what grows fast."""
    t = leaf.type.dtype
    if leaf.stream:
        return Fill(number)
    if not t.is_float:
        return Fill(number, mask=1)  # a label, a count: in range wherever there are two of something
    if attempt == 2:
        return Fill(number, 0.015625, 0.03125)
    if attempt == 1 or not (leaf.trained or leaf.tensor):
        return Fill(number, 0.25, 0.5)
    fan = (
        prod(n for n in leaf.type.shape[:-1] if isinstance(n, int))
        if leaf.type.rank > 1 and leaf.trained
        else 1
    )
    scale = 2.0 ** -((max(fan, 1).bit_length() - 1) // 2)
    return Fill(number, -scale, 2 * scale)


def _references(
    f: Function, inputs: list[Leaf], sizes: dict[str, int]
) -> tuple[list[Fill], list[tuple[Array, float]]] | None:
    """Fills of the arguments, and (value, tolerance) of every result: the first ones on which all are numbers.

    None where there are none, or float64 and the types of the program do not agree on what is infinite.
    """
    from charl.graph.evaluate import evaluate

    found = []
    for attempt in range(3):
        fills = [_fill(leaf, n + 1, attempt) for n, leaf in enumerate(inputs)]
        arrays = []
        for leaf, fill in zip(inputs, fills):
            shape = tuple(dims.evaluate(n, sizes) for n in leaf.type.shape)
            arrays.append(fill.values(leaf.type.dtype, prod(shape)).reshape(shape))
        with np.errstate(all="ignore"):
            wide = evaluate(f.export.graph, arrays, sizes, widen=True)
            narrow = evaluate(f.export.graph, arrays, sizes)
        found.append((fills, wide, narrow))
        if all(np.isfinite(a).all() for a in (*wide, *narrow) if a.dtype.kind == "f"):
            break
    else:
        found = [x for x in found if all(map(_same_infinities, *x[1:]))]
    if not found:
        return None
    fills, wide, narrow = found[-1]
    types = {n.dtype.name for n in f.export.graph.everywhere() if not n.regions}
    unit = max((4 * HALF_ULP[t] for t in types & HALF_ULP.keys()), default=2e-5)
    return fills, [(a, _tolerance(a, b, unit)) for a, b in zip(wide, narrow)]


def _same_infinities(wide: Array, narrow: Array) -> bool:
    if wide.dtype.kind != "f":
        return True
    infinite = ~np.isfinite(wide) | ~np.isfinite(narrow)
    return bool((wide == narrow)[infinite].all())


def _tolerance(wide: Array, narrow: Array, unit: float) -> float:
    """How far a right answer may be off: rounding of the sums, to `unit`, and what f32 itself loses in this export."""
    if wide.dtype.kind != "f" or not wide.size:
        return 0.0
    with np.errstate(all="ignore"):
        off = np.nan_to_num(np.abs(wide - narrow), posinf=0.0).max()
        largest = np.nan_to_num(np.abs(wide), posinf=0.0, neginf=0.0).max()
    return float(f"{max(unit * largest, 8 * off, 1e-7):.3g}")


# ---------------------------------------------------------------- text


def _extent(p: Parameter, sizes: Mapping[str, int]) -> int:
    assert p.tensor is not None
    return max(prod(dims.evaluate(n, sizes) for n in p.tensor.shape), 1)


def _declaration(p: Parameter, sizes: Mapping[str, int]) -> str:
    if p.struct is not None:
        return f"static struct {p.struct.name} {p.name};"
    assert p.tensor is not None
    if p.kind == "value":
        return f"{C_TYPES[p.tensor.dtype.name]} {p.name};"
    return f"static {C_TYPES[p.tensor.dtype.name]} {p.name}[{_extent(p, sizes)}];"


def _pointed(f: Function, sizes: Mapping[str, int]) -> Iterator[tuple[str, str, str, int]]:
    """(place, C type, name, elements) of the arrays that structs only point to."""
    for p in f.parameters:
        for i, leaf in enumerate(p.struct.leaves() if p.struct is not None else ()):
            if not isinstance(dims.product(leaf.type.shape), int):
                count = max(prod(dims.evaluate(n, sizes) for n in leaf.type.shape), 1)
                yield f"{p.name}.{leaf.place}", C_TYPES[leaf.type.dtype.name], f"{p.name}_array_{i}", count


def _places(f: Function, results: bool) -> Iterator[tuple[Parameter, str, str]]:
    """(parameter, path, pointer) of every leaf of the arguments or of the results."""
    for p in f.results if results else f.arguments:
        if p.struct is not None:
            for leaf in p.struct.leaves():
                yield p, f"{p.source}.{leaf.path}", leaf.pointer(f"{p.name}.")
        else:
            yield p, p.source, f"&{p.name}" if p.kind == "value" else p.name


def _fill_calls(
    f: Function, inputs: list[Leaf], fills: list[Fill], sizes: Mapping[str, int]
) -> Iterator[str]:
    for (_, _, pointer), leaf, fill in zip(_places(f, False), inputs, fills):
        t = leaf.type.dtype
        count = prod(dims.evaluate(n, sizes) for n in leaf.type.shape)
        real = f32 if t.is_half else t
        how = f"{_number(fill.low, real)}, {_number(fill.scale, real)}" if t.is_float else f"{fill.mask}u"
        yield f"fill_{t.name}({pointer}, {count}, {fill.stream}u, {how});"


def _number(value: float, t: DType) -> str:
    return literal(value, t).text


def _call_arguments(f: Function, sizes: Mapping[str, int]) -> list[str]:
    out = [str(sizes[d.source]) for d in f.dimensions]
    for p in f.parameters:
        out.append(f"&{p.name}" if p.struct is not None else p.name)
    return [*out, "workspace.bytes"]


def _checks(f: Function, outputs: list[tuple[Array, float]]) -> Iterator[dict[str, Any]]:
    places = [*_places(f, True)]
    written = [(path, pointer) for _, path, pointer in places]
    written += [(path, pointer) for p, path, pointer in _places(f, False) if p.mut]
    results = zip(_ordered(f, written), f.export.graph.results, strict=True)
    number = 0
    for ((path, pointer), node), (value, tolerance) in zip(results, outputs):
        if value.size:  # an empty result has nothing to compare
            number += 1
            expected = f"expected_{f.name}_{number}"
            yield _check(path, pointer, expected, value, tolerance, node.dtype)


def _ordered(f: Function, written: list[tuple[str, str]]) -> list[tuple[str, str]]:
    count = sum(1 for a in f.export.arguments if a.mut for _ in leaves(a.type))
    count += sum(1 for _ in leaves(f.export.result)) if f.export.result is not None else 0
    assert len(written) == count, f.name
    return written


def _check(
    path: str, pointer: str, expected: str, value: Array, tolerance: float, t: DType
) -> dict[str, Any]:
    flat = value.reshape(-1)
    stride = max(-(-flat.size // SAMPLES), 1)
    if stride > 1 and stride % 2 == 0:
        stride += 1  # meets every column of a matrix of even width
    floating = flat.dtype.kind == "f"
    words = [_expected(x) for x in flat[::stride]]
    total = (
        float(np.sum(flat, dtype=np.float64))
        if floating or flat.dtype.kind == "b"
        else float(sum(map(int, flat)))
    )
    return {
        "title": quoted(path),
        "pointer": pointer,
        "type": t.name,
        "expected": expected,
        "count": flat.size,
        "stride": stride,
        "tolerance": repr(tolerance),
        "sum": _expected(total, 9),
        "lines": textwrap.wrap(", ".join(words), 100, break_long_words=False, break_on_hyphens=False),
        "samples": len(words),
    }


def _expected(x: Any, digits: int = 6) -> str:
    """A double literal: six digits of a float, all of an integer."""
    if isinstance(x, (np.bool_, np.integer)):
        return f"{int(x)}.0"
    if not np.isfinite(x):
        return "(double)NAN" if np.isnan(x) else "(double)INFINITY" if x > 0 else "-(double)INFINITY"
    text = f"{float(x):.{digits}g}"
    return text if "." in text or "e" in text else f"{text}.0"
