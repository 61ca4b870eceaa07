"""The evaluator: what a graph computes, in NumPy. The oracle of every backend.

Enters: a graph, arrays for its parameters, perhaps sizes of dimension variables. Leaves: the arrays of its results, of
the shapes and element types the graph declares, computed by the `ref` of each operation and by nothing else. Values are
freed after their last use. Never looks at `at`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from charl import dims as sizes
from charl.dims import Dim
from charl.dtypes import DType, f32, f64, loaded
from charl.errors import InternalError, code, fail
from charl.graph.ir import Graph, Node
from charl.ops import OPS
from charl.ops.numeric import in_single

Array: TypeAlias = np.ndarray[Any, Any]

E_SHAPE = code("E0801", "an array has the wrong shape")
E_DTYPE = code("E0802", "an array has the wrong element type")
E_COUNT = code("E0803", "the number of arrays is wrong")
E_DIMS = code("E0804", "a dimension has no value, or one that is impossible")


def evaluate(
    graph: Graph, arrays: Sequence[Any], dims: Mapping[str, int] | None = None, widen: bool = False
) -> list[Array]:
    """The results of `graph` for `arrays`, one per parameter in order.

    Dimension variables are bound by `dims` and by the shapes of the arrays where they stand bare. `widen` computes f32 as
    f64 (results too). Raises CharlError for arrays that do not fit the parameters.
    """
    return Evaluator(graph, widen)(arrays, dims)


class Evaluator:
    """A graph made ready to be evaluated many times. What depends on sizes alone is prepared once per set of sizes."""

    def __init__(self, graph: Graph, widen: bool = False) -> None:
        self.graph = graph
        self.widen = widen
        self._plans: dict[tuple[tuple[str, int], ...], _Plan] = {}

    def __call__(self, arrays: Sequence[Any], dims: Mapping[str, int] | None = None) -> list[Array]:
        """The results for `arrays`; see `evaluate`."""
        given = _checked(self.graph, arrays)
        env = bind(self.graph.params, [a.shape for a in given], dims)
        key = tuple(sorted(env.items()))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _Plan(self.graph, env, self.widen)
        if self.widen:
            given = [a.astype(np.float64) if p.dtype == f32 else a for a, p in zip(given, self.graph.params)]
        return plan.run(given)


# ---------------------------------------------------------------- arguments


def _checked(graph: Graph, arrays: Sequence[Any]) -> list[Array]:
    if len(arrays) != len(graph.params):
        raise fail(E_COUNT, f"{graph.name} takes {len(graph.params)} arrays, not {len(arrays)}")
    given = [np.asarray(a) for a in arrays]
    given = [loaded(a, n.dtype) if a.dtype == n.dtype.memory else a for n, a in zip(graph.params, given)]
    for node, a in zip(graph.params, given):
        if a.dtype != node.dtype.numpy:
            raise fail(
                E_DTYPE, f"{node.name}: an array of {node.dtype} is wanted, not of {a.dtype}", node.span
            )
        if a.ndim != node.rank:
            raise fail(E_SHAPE, f"{node.name}: {node.type} is wanted, not shape {a.shape}", node.span)
    return given


def bind(
    params: Sequence[Node], shapes: Sequence[tuple[int, ...]], dims: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Values of all dimension variables, from `dims` and from the sizes of the arrays.

    A variable is bound where it stands bare; every other size is then checked. Raises CharlError.
    """
    env: dict[str, int] = dict(dims or {})
    pairs = [(node, s, n) for node, shape in zip(params, shapes) for s, n in zip(node.shape, shape)]
    for _, s, n in pairs:
        if isinstance(s, Dim) and (name := _bare(s)) is not None:
            env.setdefault(name, n)
    for node, s, n in pairs:
        try:
            wanted = sizes.evaluate(s, env)
        except KeyError as e:
            raise fail(E_DIMS, f"{node.name}: the value of {e.args[0]} is not known", node.span) from e
        except ValueError as e:
            raise fail(E_DIMS, f"{node.name}: {e}", node.span) from e
        if wanted != n:
            said = f" = {wanted}" if isinstance(s, Dim) else ""
            raise fail(E_SHAPE, f"{node.name}: a size is {n} where {node.type} wants {s}{said}", node.span)
    return env


def _bare(size: Dim) -> str | None:
    names = sizes.symbols(size)
    return next(iter(names)) if len(names) == 1 and size == sizes.sym(next(iter(names))) else None


# ---------------------------------------------------------------- execution

Step: TypeAlias = tuple[
    Callable[..., Any], tuple[int, ...], Mapping[str, Any], "tuple[int, ...] | None", int, Node
]


class _Plan:
    """Steps in order over numbered slots, with every attribute and shape made of integers."""

    def __init__(self, graph: Graph, env: Mapping[str, int], widen: bool) -> None:
        order = graph.nodes()
        slot = {node: i for i, node in enumerate(order)}
        self.count = len(graph.params)
        self.size = len(order)
        self.results = [slot[r] for r in graph.results]
        self.result_types = [_numpy(r.dtype, widen) for r in graph.results]
        last: dict[int, int] = {}
        fixed: dict[int, Array] = {}
        steps: list[Step] = []
        for node in order[self.count :]:
            step = self._step(node, slot, env, widen)
            if not node.regions and all(i in fixed for i in step[1]):  # the same in every run
                fixed[slot[node]] = _apply(step, [fixed[i] for i in step[1]])
                continue
            for i in step[1]:
                last[i] = len(steps)
            steps.append(step)
        self.fixed = [(i, a) for i, a in fixed.items() if i in last or i in self.results]
        keep = {*self.results, *fixed}
        dead: list[list[int]] = [[] for _ in steps]
        for i, at in last.items():
            if i not in keep:
                dead[at].append(i)
        self.steps = list(zip(steps, dead))

    def _step(self, node: Node, slot: Mapping[Node, int], env: Mapping[str, int], widen: bool) -> Step:
        if node.regions:
            run = _loop(node, env, widen) if node.op == "loop" else _branch(node, env, widen)
            return run, tuple(slot[x] for x in node.inputs), {}, None, slot[node], node
        shape = tuple(sizes.evaluate(n, env) for n in node.shape)
        if any(n < 0 for n in shape):
            raise fail(E_DIMS, f"{node} has the shape {shape} for {dict(env)}", node.span)
        attrs = {k: _concrete(v, env, widen) for k, v in node.attrs.items()}
        if widen and node.op == "constant":
            attrs["stored"] = node.dtype.numpy
        ref = in_single(OPS[node.op].ref, node.op, node.dtype)
        return ref, tuple(slot[x] for x in node.inputs), attrs, shape, slot[node], node

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        values: list[Any] = [None] * self.size
        values[: self.count] = arrays
        for i, array in self.fixed:
            values[i] = array
        with np.errstate(all="ignore"):
            for step, dead in self.steps:
                ref, inputs, attrs, shape, out, node = step
                result = ref([values[i] for i in inputs], attrs, shape)
                if shape is not None and result.shape != shape:
                    raise InternalError("evaluate", f"{node} gave the shape {result.shape}, not {shape}")
                values[out] = result
                for i in dead:
                    values[i] = None
        return [np.array(values[i], t, order="C") for i, t in zip(self.results, self.result_types)]


def _loop(node: Node, env: Mapping[str, int], widen: bool) -> Callable[..., Any]:
    """Runs the body of a loop; the result is the list of the loop's results."""
    body = _Plan(node.regions[0], env, widen)
    extent, carried, types = node.attrs["extent"], node.attrs["carried"], node.attrs["types"]
    count = None if extent is None else max(sizes.evaluate(extent, env), 0)
    stacked = [
        (tuple(sizes.evaluate(n, env) for n in t.shape), _numpy(t.dtype, widen)) for t in types[carried:]
    ]
    stops = count is None or (node.attrs["halts"] and not stacked)

    def run(arrays: Sequence[Array], attrs: Mapping[str, Any], shape: object) -> list[Array]:
        values, captured = list(arrays[:carried]), list(arrays[carried:])
        yields = [np.zeros(s, t) for s, t in stacked]
        t = 0
        while (count is None or t < count) and not (stops and not values[0]):
            values = body.run([np.asarray(t, np.int32), *values, *captured])
            for target, row in zip(yields, values[carried:], strict=True):
                target[t] = row
            del values[carried:]
            t += 1
        return [*values, *yields]

    return run


def _branch(node: Node, env: Mapping[str, int], widen: bool) -> Callable[..., Any]:
    """Runs one side of a branch; the result is the list of the branch's results."""
    then, otherwise = (_Plan(side, env, widen) for side in node.regions)

    def run(arrays: Sequence[Array], attrs: Mapping[str, Any], shape: object) -> list[Array]:
        return (then if arrays[0] else otherwise).run(arrays[1:])

    return run


def _apply(step: Step, arrays: Sequence[Array]) -> Array:
    ref, _, attrs, shape, _, _ = step
    with np.errstate(all="ignore"):
        return np.asarray(ref(arrays, attrs, shape))


def _concrete(value: Any, env: Mapping[str, int], widen: bool) -> Any:
    """An attribute with its sizes as integers, and f32 as f64 where that is asked for."""
    if isinstance(value, Dim):
        return sizes.evaluate(value, env)
    if isinstance(value, tuple):
        return tuple(_concrete(v, env, widen) for v in value)
    return f64 if widen and value == f32 else value


def _numpy(dtype: DType, widen: bool) -> Any:
    return np.dtype(np.float64) if widen and dtype == f32 else dtype.numpy
