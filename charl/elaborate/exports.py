"""Exports to graphs: `export fn` at its defaults, and the initializers of what exports mention.

Enters: a checked module. Leaves: the `Export`s and `Record`s of a `Program`. One graph parameter per leaf of every
argument, results first, then final values of `mut` leaves. Knows nothing of targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.dims import Dim, sym
from charl.elaborate import clauses, initial, instances, methods, returns, skolems, statements
from charl.elaborate import values as v
from charl.elaborate.modules import rng_type
from charl.elaborate.obligations import add_comparisons, add_obligations
from charl.elaborate.options import Bounds, bounds_of
from charl.elaborate.parameters import Argument as Given
from charl.elaborate.parameters import Call, Frame, bind_parameters, signature
from charl.elaborate.scope import Scope, Variable
from charl.elaborate.types import Matcher
from charl.errors import code, fail
from charl.graph.ir import Graph, Node, Size, TensorType, topological
from charl.program import Argument, DimVar, Export, Field, Record, Tree
from charl.source import Span
from charl.syntax import ast, declarations

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

STACKED = code("E0517", "a struct of further axes crosses the border of an export")
EXPORTED = code("E0605", "a type cannot cross the border of the package")

GivenDims = Mapping[str, "int | tuple[int, int]"]


def dimension_names(f: v.Function) -> list[str]:
    """Names that an export leaves to its caller, in order of appearance."""
    scope = Scope(f.scope)
    probe = Matcher(None, scope)  # type: ignore[arg-type]
    skolems.dimensions(probe, [p.type for p in f.params])
    return [n for n, b in scope.names.items() if isinstance(b.value, Dim)]


def export_function(
    el: Elaborator, f: v.Function, item: declarations.Function, given: GivenDims, mentioned: list[v.Instance]
) -> Export:
    """The graph of an export. Instances that cross the border are added to `mentioned`."""
    scope = Scope(f.scope, function=Frame(f))
    matcher = signature(el, f, scope)
    names = dimension_names(f)
    for p in f.params:
        _refuse_compile_time(f, p)
    for name in names:
        bound = given.get(name)
        scope.bind(name, bound if isinstance(bound, int) else sym(name))
    _refuse_packs(f)
    skolems.dimensions(matcher, [p.type for p in f.params])
    equal = clauses.made_equal(el, f, scope)
    el.obligations = []
    values = []
    for p in f.params:
        value = instances.placeholder(el, matcher.resolve(p.type), ops.parameter, p.name.name)
        _refuse_parts(value, p.name.name, f, p.span)
        values.append(value)
        scope.bind(p.name.name, value, p.span)
    params = [n for x in values for _, n in v.leaves(x)]
    bounds = bounds_of(el, f, scope, names, given)
    pairs = [(p, Given(x, p.span)) for p, x in zip(f.params, values, strict=True)]
    assert f.span is not None
    call = Call([], f.span, scope)
    bind_parameters(el, f, scope, matcher, pairs, call)
    with clauses.relied_on(el, f, scope, None):
        value = returns.function_value(el, f, scope, matcher, call)
    value = _run_time(el, value, f.span)
    _refuse_parts(value, "result", f, f.span)
    finals = [scope.names[p.name.name].value for p in f.params if p.mut]
    results = ops.settled([n for x in [value, *finals] for _, n in v.leaves(x)])
    mentioned.extend(i for x in [*values, value] for i in instances_in(x))
    symbolic = [n for n in names if not isinstance(given.get(n), int) and n not in equal]
    add_comparisons(el.obligations, symbolic, bounds)
    add_obligations(topological(results, params), symbolic, bounds)
    arguments = tuple(
        Argument(p.name.name, tree(x, f), p.mut, "", p.span, _default(el, p, x, scope))
        for p, x in zip(f.params, values, strict=True)
    )
    return Export(
        f.name,
        item.docs,
        arguments,
        None if value is None else tree(value, f),
        Graph(f.name, params, results, item.span),
        tuple(_dim_var(n, bounds) for n in symbolic),
        tuple(bounds.constraints),
        item.name.span,
    )


def _default(el: Elaborator, p: Any, value: Any, scope: Scope) -> bool | int | float | None:
    """The number that a parameter of rank 0 is by itself."""
    if p.default is None or p.mut or not isinstance(value, Node) or value.rank:
        return None
    found = el.known(p.default, scope)
    if not isinstance(found, (bool, int, float)) or isinstance(found, bool) != (value.dtype.kind == "bool"):
        return None
    return float(found) if value.dtype.is_float else found


def _dim_var(name: str, b: Bounds) -> DimVar:
    return DimVar(name, b.low.get(name, 0), b.high.get(name), b.multiple.get(name, 1))


def _refuse_compile_time(f: v.Function, p: Any) -> None:
    name = p.type.name.name if isinstance(p.type, ast.NamedType) else ""
    if isinstance(p.type, ast.FnType) or p.type is None or name in ("int", "float", "bool", "str", "fn"):
        hint = {"int": "i32", "float": "f32", "bool": "bool[]"}.get(name)
        raise fail(
            EXPORTED,
            f"`{p.name}` of the export `{f.name}` is known while transpiling only",
            p.span,
            help=f"a run-time scalar is `{hint}`" if hint else "call it from an export with that argument",
        )


def _refuse_packs(f: v.Function) -> None:
    """The rank of an export is known, and so are its element types."""
    if f.generics:
        g = f.generics[0]
        raise fail(
            EXPORTED,
            f"`{g.name}` of the export `{f.name}` is known at a call only",
            g.span,
            help="export a function for each type that is wanted, which calls this one",
        )
    for p in f.params:
        packs = (n for n in ast.walk(p.type) if isinstance(n, ast.Pack)) if p.type is not None else iter(())
        pack = next(packs, None)
        if pack is not None:
            raise fail(
                EXPORTED,
                f"`*{pack.name}` leaves open how many dimensions `{p.name}` of the export `{f.name}` has",
                pack.span,
                help="write them out: `f32[N, M]`, and call the general function from there",
            )


def _refuse_parts(value: Any, path: str, f: v.Function, span: Span) -> None:
    """Parts of an aggregate that are known while transpiling only have no place in a package."""
    if isinstance(value, (Dim, v.Unknown, v.OpaqueFunction, bool, int, float, str)):
        raise fail(
            EXPORTED,
            f"`{path}` is known while transpiling only, so it cannot cross the border of `{f.name}`",
            span,
            help="give it an element type (`i32`, `f32`, `bool[]`), or make it a parameter of its struct",
        )
    odd = isinstance(value, v.Instance) and isinstance(value.type, v.InstanceType) and value.type
    if odd and (odd.lanes or odd.each):
        raise fail(
            STACKED,
            f"`{path}` is {v.describe_value(value)}, which no struct of the package is",
            span,
            help="return its tensors, or a struct that declares the axes",
        )
    for name, part in v.children(value):
        _refuse_parts(part, f"{path}.{name}", f, span)


def _run_time(el: Elaborator, value: Any, span: Span) -> Any:
    """Compile-time numbers of a result as run-time scalars, those in tuples and runs too."""
    if isinstance(value, v.Tuple):
        return v.Tuple(tuple(_run_time(el, x, span) for x in value.items))
    if isinstance(value, v.Run):
        return v.Run(tuple(_run_time(el, x, span) for x in value.items), value.length)
    return statements.run_time(el, value, span)


# ---------------------------------------------------------------- trees


def tree(value: Any, f: v.Function) -> Tree:
    """The type of a value as later levels see it."""
    found = _tree(value, f)
    if found is None:
        raise fail(
            EXPORTED, f"{v.describe_value(value)} holds no tensors, so it cannot leave `{f.name}`", f.span
        )
    return found


def _tree(value: Any, f: v.Function) -> Tree | None:
    if isinstance(value, Node):
        return value.type
    if isinstance(value, v.Instance):
        return _record(value, f)
    if isinstance(value, (v.Tuple, v.Run)):
        parts = [(n, _tree(x, f)) for n, x in v.children(value)]
        fields = tuple(Field(n, t) for n, t in parts if t is not None)
        kind = "tuple" if isinstance(value, v.Tuple) else "run"
        return Record("", kind, fields) if fields else None
    return None


def _record(value: v.Instance, f: v.Function) -> Record | None:
    d = value.type.declaration
    declared = {m.name.name: m for m in d.ast.fields}
    fields = []
    for name, part in v.children(value):
        t = _tree(part, f)
        if t is not None:
            m = declared.get(name)
            fields.append(
                Field(name, t, m.docs if m is not None else "", m is not None and m.kind == "param")
            )
    if not fields:
        return None
    name = ("Grad" if value.type.part == "grad" else d.name) + _stacked(value.type.lead)
    return Record(name, "struct" if value.type.part == "grad" else d.kind, tuple(fields), d.ast.docs)


def _stacked(lead: tuple[Size, ...]) -> str:
    """What a record of a stack is called behind its declaration's name: `ParticleStackN`, `LayerStack6`."""
    plain = "x".join(str(n) for n in lead if str(n).isalnum())
    return f"Stack{plain}" if lead else ""


def records(trees: list[Tree | None]) -> list[Record]:
    """Every record in some trees, inner ones first, each once."""
    out: dict[Record, None] = {}
    for t in trees:
        for r in _inner(t):
            out.setdefault(r)
    return list(out)


def _inner(t: Tree | None) -> Iterator[Record]:
    if isinstance(t, Record):
        for f in t.fields:
            yield from _inner(f.type)
        yield t


# ---------------------------------------------------------------- initializers


def initializers(el: Elaborator, found: list[v.Instance], taken: set[str]) -> list[Export]:
    """`X_init` of every model or struct that an export mentions and that can be initialized."""
    out: list[Export] = []
    done: list[v.InstanceType] = []
    for value in found:
        t = value.type
        if t in done:
            continue
        done.append(t)
        d = t.declaration
        own = methods.function_of(d, "init") if d.kind == "struct" else None
        if own is not None:
            export = struct_init(el, t, own)
        elif d.kind == "model" or all(m.default is not None for m in d.ast.fields):
            export = model_init(el, t)
        else:
            export = None  # nothing says how it begins
        if export is None:
            continue
        count = sum(1 for o in done if o.declaration.name == t.declaration.name)
        name = f"{t.declaration.name}_init" if count == 1 else f"{t.declaration.name}_{count}_init"
        if name not in taken:
            taken.add(name)
            export.name = export.graph.name = name
            out.append(export)
    return out


def instances_in(value: Any) -> Iterator[v.Instance]:
    """The instances that are arguments or results themselves, or parts of tuples and runs of them."""
    if isinstance(value, v.Instance) and value.type.part == "all":
        made = value.type.declaration.kind == "model" and all(
            isinstance(n, int) and n for n in value.type.lead
        )
        if (
            made or not value.type.lead
        ):  # a stack of models begins as its elements do, one of structs as the caller says
            yield value
    elif isinstance(value, (v.Tuple, v.Run)):
        for x in value.items:
            yield from instances_in(x)


def model_init(el: Elaborator, t: v.InstanceType) -> Export | None:
    """Parameters from their initializers; the stream is the one argument."""
    scope = t.declaration.scope
    rng = instances.placeholder(el, rng_type(), ops.parameter, "rng")
    place = Scope().bind("rng", rng, None, mutable=True)
    span = t.declaration.ast.name.span
    given = Given(rng, span, None, Variable(place, el.journal))
    value = initial.model_init(el, t, Call([given], span, scope))
    f = v.Function("init", (), None, None, scope, t.declaration.module, span=span)
    if _tree(value, f) is None:
        return None
    results = ops.settled([n for x in (value, place.value) for _, n in v.leaves(x)])
    params = [n for _, n in v.leaves(rng)]
    doc = f"Initial values of `{t.name}`, drawn from `rng`."
    argument = Argument("rng", tree(rng, f), True)
    return Export(
        "",
        doc,
        (argument,),
        tree(value, f),
        Graph("", params, results, span),
        (),
        (),
        span,
        "init",
    )


def struct_init(el: Elaborator, t: v.InstanceType, f: v.Function) -> Export | None:
    """The struct's `init`, with those arguments that its result depends on."""
    scope = Scope(instances.instance_scope(t), function=Frame(f))
    matcher = signature(el, f, scope)
    if any(p.type is None for p in f.params):
        return None
    skolems.dimensions(matcher, [p.type for p in f.params])
    values = [
        instances.placeholder(el, matcher.resolve(p.type), ops.parameter, p.name.name) for p in f.params
    ]
    cells = [
        Scope().bind(p.name.name, x, p.span, mutable=True) for p, x in zip(f.params, values, strict=True)
    ]
    span = t.declaration.ast.name.span
    given = [
        Given(x, p.span, None, Variable(c, el.journal) if p.mut else None)
        for p, x, c in zip(f.params, values, cells, strict=True)
    ]
    static = replace(f, scope=instances.instance_scope(t), owner=None)
    from charl.elaborate.calls import call_function

    value = call_function(el, static, Call(given, span, scope))
    finals = [c.value for p, c in zip(f.params, cells, strict=True) if p.mut]
    results = ops.settled([n for x in (value, *finals) for _, n in v.leaves(x)])
    used = set(topological(results))
    kept = [
        (p, x)
        for p, x in zip(f.params, values, strict=True)
        if p.mut or any(n in used for _, n in v.leaves(x))
    ]
    arguments = tuple(Argument(p.name.name, tree(x, f), p.mut, "", p.span) for p, x in kept)
    params = [n for _, x in kept for _, n in v.leaves(x)]
    return Export(
        "",
        _doc(t, f),
        arguments,
        tree(value, f),
        Graph("", params, results, span),
        (),
        (),
        span,
        "init",
    )


def _doc(t: v.InstanceType, f: v.Function) -> str:
    m = next(m for m in t.declaration.ast.methods if m.name.name == f.name)
    return str(m.docs) or f"The initial `{t.name}`."


__all__ = ["TensorType", "export_function", "initializers"]
