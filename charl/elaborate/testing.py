"""`test` blocks: what they assert, as graphs that any backend can run.

Enters: a checked module and one of its tests. Leaves: a `TestCase`: an export without results of its own, whose graph gives the
number of the first assertion that fails (0: none) and the values that assertions compare. Numbers written in a test are
arguments of its graph, so that nothing is computed before it runs. Never runs anything.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import dtypes, ops, program
from charl.dims import product
from charl.elaborate import indexing, numbers, operators, returns
from charl.elaborate import values as v
from charl.elaborate.builtins import Missing, bind, constant, tensor
from charl.elaborate.initial import seeded
from charl.elaborate.numbers import literal
from charl.elaborate.parameters import Argument, Call, Frame, tensor_of_run
from charl.elaborate.scope import Binding, Scope, Variable
from charl.errors import code, fail
from charl.graph.evaluate import Evaluator
from charl.graph.ir import Graph, Node, TensorType, at_span, topological
from charl.program import Assertion, Export, Field, Record, Test
from charl.source import Span
from charl.syntax import ast, declarations

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.modules import Module

CHECK = code("E0320", "`check_grad` is used wrongly")
OUTSIDE = code("E0319", "a run-time value is asserted outside a test")

Array = np.ndarray[Any, Any]

# Step of a finite difference and how far it may be from the derivative, by the element type that computes it.
DIFFERENCES = {"f32": (5e-3, 3e-2), "f64": (1e-5, 1e-5)}


@dataclass
class Site:
    """One assertion: where it stands and which values it compares."""

    number: int
    span: Span
    message: str
    compared: tuple[Node, ...] = ()
    labels: tuple[str, ...] = ()
    inside: bool = False  # of a loop, a branch or a lane: the values are those that made it fail first


@dataclass
class TestCase:
    """A test as a graph. `given` are its arguments; two may be the step and the tolerance of finite differences."""

    name: str
    graph: Graph
    given: list[Array]
    sites: list[Site]
    positions: dict[Node, int]  # of what sites compare among the results of the graph
    difference: dict[str, int] = field(default_factory=dict)  # "step", "tolerance": which parameter
    doc: str = ""

    def values(self, site: Site, results: Sequence[Array]) -> list[Array]:
        """What a site compared, of the results of the graph."""
        return [np.asarray(results[self.positions[n]]) for n in site.compared]


@dataclass
class Collector:
    """What is met while a test is elaborated."""

    span: Span
    failed: Binding
    sites: list[Site] = field(default_factory=list)
    given: dict[Node, Array] = field(default_factory=dict)
    difference: dict[str, Node] = field(default_factory=dict)
    kept: dict[tuple[int, TensorType], Binding] = field(default_factory=dict)

    def place(self, position: int, type: TensorType) -> Binding:
        """The variable around the whole test that keeps what the first assertion to fail compared, where that is in a loop,
        a branch or a lane: one for each type, as only one fails first."""
        key = position, type
        if key not in self.kept:
            failed = self.failed
            self.kept[key] = Binding(failed.name, ops.zeros(type), True, failed.span, born=failed.born)
        return self.kept[key]

    def after_lanes(
        self, before: Mapping[Binding, Any], every: Callable[[list[Node]], list[Node]]
    ) -> list[Binding]:
        """Leaves, of what the assertions of each lane of a `vmap` noted, that of the first lane in which one failed."""
        noted = [b for b in (self.failed, *self.kept.values()) if b in before]
        if noted:
            numbers, *values = every([self.failed.value, *(b.value for b in noted)])
            if numbers.shape[0] == 0:  # no lane asserts anything
                values = [before[b] for b in noted]
            else:
                failing = ops.cast(ops.ne(numbers, ops.zeros(numbers.type)), dtypes.i32)
                first = ops.argmax(failing, 0)
                values = [indexing.row(x, first) for x in values]
            for binding, value in zip(noted, values, strict=True):
                binding.value = value
        return noted

    def compared(self, site: Site) -> tuple[Node, ...]:
        """What a site compares, as it is at the end of the test."""
        if not site.inside:
            return site.compared
        return tuple(self.place(k, n.type).value for k, n in enumerate(site.compared))

    def literal(self, node: Node, span: Span) -> Node:
        """A parameter in place of what the text of the test says, or what primitives make of that."""
        shown = span.shown
        inside = shown.source is self.span.source and self.span.start <= shown.start < self.span.end
        if not inside or node in self.given or node.op == "parameter":
            return node
        if any(n.op == "parameter" for n in topological([node])):
            return node
        (array,) = Evaluator(Graph("literal", [], [node]))([])
        return self.parameter(np.asarray(array), node.dtype)

    def parameter(self, array: Array, dtype: dtypes.DType) -> Node:
        """An argument of the graph."""
        array = array.astype(dtype.numpy)
        for known, value in self.given.items():
            same = known.dtype == dtype and value.shape == array.shape and value.tobytes() == array.tobytes()
            if same and known not in self.difference.values():
                return known
        made = ops.parameter(f"given_{len(self.given)}", TensorType(dtype, array.shape))
        self.given[made] = array
        return made

    def constant_of_differences(self, what: str) -> Node:
        """The step or the tolerance, which depend on what computes the test."""
        if what not in self.difference:
            value = DIFFERENCES["f32"][what == "tolerance"]
            self.difference[what] = self.parameter(np.asarray(value), numbers.REAL.get())
        return self.difference[what]


def elaborate_test(el: Elaborator, module: Module, item: declarations.Test) -> TestCase:
    """The graph of one test. Raises CharlError where it cannot be elaborated."""
    failed = Scope().bind("assert", ops.constant(0, dtypes.i32), item.span, mutable=True)
    collector = Collector(item.body.span, failed)
    el.tests = collector
    token = numbers.LITERALS.set(collector.literal)
    try:
        returns.body_value(el, item.body, Scope(scope(module.scope)))
    finally:
        numbers.LITERALS.reset(token)
        el.tests = None
    sites = [replace(s, compared=collector.compared(s)) for s in collector.sites]
    compared = dict.fromkeys(n for s in sites for n in s.compared)
    results = ops.settled([failed.value, *compared])
    used = [n for n in topological(results) if n in collector.given]
    graph = Graph(item.name.value, used, results, item.span)
    where = {what: used.index(n) for what, n in collector.difference.items() if n in used}
    given = [collector.given[n] for n in used]
    positions = {n: k for k, n in enumerate(compared, start=1)}
    return TestCase(item.name.value, graph, given, sites, positions, where, item.docs)


def export_of(case: TestCase, name: str) -> Export:
    """A test as an export of a package, which also gives what its assertions compare."""
    return _export(case, name, case.graph.results, [str(i) for i, _ in enumerate(case.graph.results)])


def _export(case: TestCase, name: str, results: Sequence[Node], fields: Sequence[str]) -> Export:
    params = [p for p in case.graph.params if p in set(topological(results))]
    graph = Graph(name, params, list(results), case.graph.span)
    arguments = tuple(program.Argument(f"given_{i}", p.type) for i, p in enumerate(params))
    tree = Record("", "tuple", tuple(Field(f, n.type) for f, n in zip(fields, results, strict=True)))
    return Export(name, case.doc, arguments, tree, graph, (), (), graph.span)


def program_test(case: TestCase, name: str) -> Test:
    """A test for the self-test of a package, which has room for two numbers of what an assertion compares."""
    failed = case.graph.results[0]
    shown = [ops.constant(0, dtypes.i32), *[ops.constant(0.0, dtypes.f64)] * 2]
    assertions = []
    for site in case.sites:
        at = site.span.shown
        text = f"{Path(at.source.path).name}:{at.line}:{at.column}: {' '.join(at.text.split())}"
        most = _differing_most(site.compared)
        if most is not None:
            here = ops.eq(failed, ops.constant(site.number, dtypes.i32))
            shown = [ops.select(here, new, old) for new, old in zip(most, shown, strict=True)]
        labels = site.labels if most is not None else ()
        scalar = not any(n.rank for n in site.compared)
        assertions.append(Assertion(f"{text}: {site.message}" if site.message else text, labels, scalar))
    export = _export(case, name, [failed, *shown], ("failed", "element", "left", "right"))
    given = dict(zip(case.graph.params, case.given, strict=True))
    return Test(case.name, export, tuple(given[p] for p in export.graph.params), tuple(assertions))


def _differing_most(sides: tuple[Node, ...]) -> tuple[Node, Node, Node] | None:
    """The element at which two sides differ most, in row-major order, and both there; the first that is no number counts."""
    if len(sides) != 2:
        return None
    shape = max((n.shape for n in sides), key=len)
    if any(n.rank and n.shape != shape for n in sides) or 0 in shape:
        return None
    left, right = (ops.reshape(operators.broadcast_to(n, shape), (product(shape),)) for n in sides)
    left, right = (ops.cast(n, dtypes.f64) for n in (left, right))
    far = ops.select(ops.eq(left, right), ops.zeros(left.type), ops.abs_(ops.sub(left, right)))
    at = ops.argmax(far, 0)
    return at, indexing.row(left, at), indexing.row(right, at)


def scope(outer: Scope) -> Scope:
    """The names of a test: those of its module, a stream from a seed, and the check of a gradient."""
    out = Scope(outer, function=Frame(None, testing=True))
    for name, body in (("seeded", _seeded), ("check_grad", _check_grad)):
        if outer.names.get(name) is None:
            out.bind(name, v.Builtin(name, body))
    return out


def _seeded(el: Elaborator, c: Call) -> Any:
    p = bind("seeded", {"seed": Missing}, c)
    return seeded(el, c.scope, constant(p["seed"], "int", "seed"))


# ---------------------------------------------------------------- assertions


def asserted(el: Elaborator, s: ast.Assert, scope: Scope) -> None:
    """`assert condition` of a test: its number is kept where it is the first that fails."""
    ok, compared = _condition(el, s.condition, scope)
    message = str(el.known(s.message, scope)) if s.message is not None else ""
    if not isinstance(ok, Node):
        ok = operators.to_node(ok, dtypes.boolean, s.condition.span)
    note(el, ok, s.condition.span, message, compared, ("left", "right"))


def note(
    el: Elaborator, ok: Node, span: Span, message: str, compared: tuple[Node, ...], labels: tuple[str, ...]
) -> None:
    """An assertion that holds where `ok` does."""
    tests = el.tests
    if tests is None:
        return
    number = len(tests.sites) + 1
    place = Variable(tests.failed, el.journal)
    before = place.get()
    zero = ops.constant(0, dtypes.i32)
    first = ops.and_(ops.eq(before, zero), ops.not_(ok))
    tests.sites.append(Site(number, span, message, compared, labels, el.journal.inside))
    for k, node in enumerate(compared if el.journal.inside else ()):
        kept = Variable(tests.place(k, node.type), el.journal)
        kept.set(ops.select(ops.broadcast(first, node.shape, ()), node, kept.get()))
    place.set(ops.select(first, ops.constant(number, dtypes.i32), before))


def _condition(el: Elaborator, e: Any, scope: Scope) -> tuple[Any, tuple[Node, ...]]:
    """The truth of an assertion and the tensors that it compares: sides of an operator, or the first two arguments."""
    sides: list[Any] = []
    if isinstance(e, ast.Binary) and e.op in numbers.COMPARISONS:
        left, right = el.operand(e.left, scope), el.operand(e.right, scope)
        with at_span(e.span):
            ok = operators.binary(el, e.op, left, right, e.op_span)
        sides = [left.value, right.value]
        ok = el.truth(ok, e.span)
    elif isinstance(e, ast.Call) and isinstance(e.callee, ast.Name):
        from charl.elaborate import calls

        callee, first = calls.resolve_callee(el, e.callee, scope)
        call = Call(first + calls.arguments(el, e.args, scope), e.span, scope)
        ok = el.truth(calls.apply(el, callee, call), e.span)
        sides = [a.value for a in call.arguments if a.name is None][:2]
    else:
        ok = el.condition(e, scope)
    nodes = [_side(x, sides, e.span) for x in sides]
    return ok, tuple(n for n in nodes if n is not None) if all(n is not None for n in nodes) else ()


def _side(x: Any, sides: list[Any], span: Span) -> Node | None:
    if isinstance(x, Node):
        return x
    found = next((y for y in sides if isinstance(y, Node)), None)
    if found is None or not (v.is_table(x) or v.is_compile_time_number(x)):
        return None
    made = tensor_of_run(x, found.dtype, span) if v.is_table(x) else operators.to_node(x, found.dtype, span)
    return made if isinstance(made, Node) else None


# ---------------------------------------------------------------- gradients


def _check_grad(el: Elaborator, c: Call) -> None:
    """`check_grad(f, x, …)`: the derivative of f along a direction is what finite differences say.

    The direction is fixed and goes through every float of the arguments; of a tensor that f gives, a weighted sum is
    differentiated. `order: 2` checks the derivative of the derivative as well.
    """
    options = {a.name: a for a in c.arguments if a.name in ("order", "tolerance")}
    given = [a for a in c.arguments if a.name not in options]
    order = constant(options["order"], "int", "order") if "order" in options else 1
    tolerance = constant(options["tolerance"], "float", "tolerance") if "tolerance" in options else None
    if not given or not isinstance(given[0].value, (*v.FUNCTIONS, v.Instance)) or order not in (1, 2):
        raise fail(
            CHECK,
            "`check_grad` takes a function and its arguments, and `order: 1` or `order: 2`",
            c.span,
            help="write `check_grad(f, x)`",
        )
    f, arguments = given[0].value, [_run_time(a) for a in given[1:]]
    if not any(operators.trained_leaves(a.value) for a in arguments):
        raise fail(CHECK, "`check_grad` needs an argument of floats", c.span)

    def objective(values: list[Any]) -> Node:
        return _scalar(el, _called(el, f, arguments, values, c), c.span)

    _compare(el, objective, arguments, tolerance, c)
    if order == 2:
        direction = [_direction(el, a, "second", c.span) for a in arguments]
        _compare(el, lambda x: _along(el, objective, x, arguments, direction, c), arguments, tolerance, c)


def _run_time(a: Argument) -> Argument:
    """An argument whose numbers are tensors."""
    if v.is_table(a.value) or v.is_compile_time_number(a.value):
        return replace(a, value=literal(tensor("check_grad", a), a.span))
    return a


def _compare(
    el: Elaborator,
    objective: Callable[[list[Any]], Node],
    arguments: list[Argument],
    tolerance: float | None,
    c: Call,
) -> None:
    values = [a.value for a in arguments]
    direction = [_direction(el, a, "first", c.span) for a in arguments]
    derivative = _along(el, objective, values, arguments, direction, c)
    tests = el.tests
    if tests is None:
        return
    step = tests.constant_of_differences("step")
    ends = [objective([_moved(x, d, h) for x, d in zip(values, direction, strict=True)])
            for h in (step, ops.neg(step))]  # fmt: skip
    kind = ends[0].dtype  # arguments may be of others
    derivative, width = ops.cast(derivative, kind), ops.cast(ops.add(step, step), kind)
    difference = ops.div(ops.sub(*ends), width)
    far = ops.cast(tests.constant_of_differences("tolerance"), kind)
    if tolerance is not None:
        far = tests.parameter(np.asarray(tolerance), kind)
    size = ops.max_(ops.abs_(derivative), ops.abs_(difference))
    # What rounding leaves of the difference of two values is small against them.
    size = ops.max_(size, ops.mul(ops.abs_(ends[0]), ops.constant(0.01, kind)))
    bound = ops.add(ops.mul(far, size), ops.constant(1e-6, kind))
    ok = ops.le(ops.abs_(ops.sub(derivative, difference)), bound)
    note(el, ok, c.span, "", (derivative, difference), ("derivative", "difference"))


def _along(
    el: Elaborator,
    objective: Callable[[list[Any]], Node],
    values: list[Any],
    arguments: list[Argument],
    direction: list[dict[str, Node]],
    c: Call,
) -> Node:
    """The derivative of `objective` at `values` along `direction`, by reverse mode."""
    from charl.elaborate import differentiation

    chosen = [k for k, d in enumerate(direction) if d]

    def body(el_: Elaborator, call: Call) -> Node:
        return objective([a.value for a in call.arguments])

    f = v.Derived("grad", v.Builtin("objective", body), {"wrt": v.Tuple(tuple(chosen))})
    call = Call([Argument(x, a.span) for x, a in zip(values, arguments, strict=True)], c.span, c.scope)
    gradients = differentiation.gradient(el, f, call)
    total: Node | None = None
    for k, g in zip(chosen, gradients.items, strict=True):
        for path, n in v.leaves(g):
            part = ops.mul(n, direction[k][path])
            part = ops.reduce_sum(part, tuple(range(part.rank)))
            total = part if total is None else ops.add(total, ops.cast(part, total.dtype))
    assert total is not None
    return total


def _called(el: Elaborator, f: Any, arguments: list[Argument], values: list[Any], c: Call) -> Any:
    """f of the values; a `mut` argument begins as it is in every call."""
    from charl.elaborate.calls import apply

    fresh = []
    for a, x in zip(arguments, values, strict=True):
        place = Variable(Scope().bind("argument", x, a.span, mutable=True), el.journal)
        fresh.append(Argument(x, a.span, a.name, place if a.marked else None, a.marked))
    return apply(el, f, Call(fresh, c.span, c.scope))


def _scalar(el: Elaborator, value: Any, span: Span) -> Node:
    """The value, or a weighted sum of it where it is no scalar."""
    if isinstance(value, v.Tuple) and value.items:
        value = value.items[0]
    if not isinstance(value, Node) or not value.dtype.is_float:
        raise fail(
            CHECK, f"`check_grad` takes a function to floats, and this gives {v.describe_value(value)}", span
        )
    if not value.rank:
        return value
    weighted = ops.mul(value, _pattern(el, value.type, "weights", span))
    return ops.reduce_sum(weighted, tuple(range(value.rank)))


def _direction(el: Elaborator, a: Argument, name: str, span: Span) -> dict[str, Node]:
    return {
        path: _pattern(el, n.type, f"{name}.{path}", span) for path, n in operators.trained_leaves(a.value)
    }


def _pattern(el: Elaborator, t: TensorType, name: str, span: Span) -> Node:
    """Fixed numbers between a half and one, of either sign."""
    tests: Collector | None = el.tests
    shape = [n for n in t.shape if isinstance(n, int)]
    if len(shape) < t.rank or tests is None:
        return ops.full(1.0, t)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    array = rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape)
    return tests.parameter(np.asarray(array), t.dtype)


def _moved(x: Any, direction: dict[str, Node], step: Node) -> Any:
    """x + step * direction, leaf by leaf."""

    def leaf(path: str, n: Node) -> Node:
        d = direction.get(path)
        if d is None:
            return n
        h = operators.broadcast_to(ops.cast(step, n.dtype), n.shape)
        return ops.add(n, ops.mul(h, d))

    return v.rebuild(x, leaf)
