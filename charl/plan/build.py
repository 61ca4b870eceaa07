"""From the graphs of a program to kernels, their order and their memory, for one kind of target.

Enters: a checked program and capabilities. Leaves: `Lowered`. The steps read from top to bottom of `plan_export`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import product
from charl.dtypes import DType, boolean, u32
from charl.graph.ir import Graph, Node, Size
from charl.graph.labels import label
from charl.loops.canonical import Distinct
from charl.loops.lower import Lowering
from charl.loops.serial import region_kernel
from charl.ops.record import make
from charl.ops.source import constant_array
from charl.passes.target import decided
from charl.plan import sharing
from charl.plan.arena import Life, aligned
from charl.plan.blocks import blocked
from charl.plan.fusion import Fusion, Group
from charl.plan.halves import halved
from charl.plan.ir import Call, Choose, Lowered, Place, Plan, Repeat, Step
from charl.plan.layouts import laid_out
from charl.plan.levels import Branch, Level, Loop, build, copied, prepared
from charl.plan.placing import placed
from charl.plan.repeats import Known, Signature
from charl.plan.rotated import rotated
from charl.plan.serial import LOCAL, serial
from charl.plan.turns import threaded
from charl.plan.widened import widened
from charl.program import Export, Program, leaves


class Unsupported(Exception):
    """An export that needs an element type or a feature which the target lacks; the message says which."""


def plan_program(
    program: Program, caps: Capabilities, skip: Callable[[Export, str], None] | None = None
) -> Lowered:
    """Plan and lower every export. Exports the target cannot hold go to `skip` with the reason (raises without it)."""
    kernels = Distinct()
    known: Known = {}
    names: dict[str, int] = {}
    plans: list[Plan] = []
    for export in program.exports:
        try:
            _check_types(export, caps)
        except Unsupported as e:
            if skip is None:
                raise
            skip(export, str(e))
            continue
        plans.append(_plan_export(export, caps, kernels, known, names))
    settled = sharing.settled([placed(threaded(p, caps)) for p in plans], caps)
    used = {id(c.kernel): c.kernel for p in settled for c in p.calls}
    return Lowered(program, tuple(used.values()), settled)


def plan_export(export: Export, caps: Capabilities) -> Plan:
    """The plan of one export alone."""
    return placed(_plan_export(export, caps, Distinct(), {}, {}))


def _check_types(export: Export, caps: Capabilities) -> None:
    for node in export.graph.everywhere():
        if not node.regions and node.dtype.name not in caps.dtypes:
            where = f" (at {node.span})" if node.span else ""
            raise Unsupported(f"`{export.name}` computes with {node.dtype}{where}")


def _plan_export(
    export: Export, caps: Capabilities, kernels: Distinct, known: Known, names: dict[str, int]
) -> Plan:
    """The plan of an export, but for where its places lie in the workspace."""
    taken = frozenset(d.name for d in export.dims)
    graph = decided(export.graph, caps.grid)
    if not caps.grid:
        graph = laid_out(blocked(rotated(graph, caps.cache[0]), taken), caps)
        graph = halved(graph, frozenset(_mut_parameters(export)), caps)
    narrow = replace(export, graph=prepared(widened(_narrowed(graph, caps.max_buffers), caps)))
    graph, updates = _separate_results(narrow)
    root = build(graph, updates, caps, taken)
    places = _Places(export, root, caps)

    def lowered(level: Level) -> tuple[tuple[Step, ...], Size]:
        out: list[Step] = []
        flops: Size = 0
        for step in level.steps:
            inner = level.inner.get(step[0])
            if inner is not None and places.serial(step[0]):
                name = _kernel_name(export, step, {}, names, "loop" if isinstance(inner, Loop) else "branch")
                made, used = region_kernel(name, step[0], inner, places.of, caps)
                kernel = kernels.kept(made)
                flops = flops + kernel.flops
                out.append(Call(kernel, used, tuple(dims.sym(d) for d in kernel.dims)))
                continue
            if isinstance(inner, Branch):
                (then, cost), (otherwise, other) = (lowered(side) for side in inner.levels)
                out.append(Choose(places.of(inner.condition), then, otherwise))
                flops = flops + dims.maximum(cost, other)
                continue
            if inner is not None:
                body, cost = lowered(inner.level)
                condition = None if inner.condition is None else places.of(inner.condition)
                apart = not inner.carried and condition is None
                out.append(Repeat(inner.index, inner.extent, condition, body, apart))
                flops = flops + cost * (1 if inner.extent is None else inner.extent)
                continue
            name = _kernel_name(export, step, level.updates, names)
            signature = Signature(level.fusion, places.find, step)
            stacked = tuple(level.rows.get(n) for g in step for n in g.stored)
            same = (signature.key, stacked, tuple(level.ranges.items()))
            if same not in known:
                lowering = Lowering(level.fusion, places.of, caps, level.ranges, level.rows)
                made, buffers = lowering.kernel(name, step)
                if (
                    made.span is None and export.span is not None
                ):  # all that it computes is a copy, or a constant
                    made = replace(made, span=export.span.shown, sources=(export.span.shown,))
                order = tuple(p if p.kind == "scratch" else signature.places[p] for p in buffers)
                known[same] = (kernels.kept(made), order)
            kernel, order = known[same]
            used = places.used(order, list(signature.places))
            flops = flops + kernel.flops
            out.append(Call(kernel, used, tuple(dims.sym(d) for d in kernel.dims)))
        return tuple(out), flops

    steps, flops = lowered(root)
    return Plan(export, steps, 0, places.lives, flops)


def _narrowed(graph: Graph, limit: int) -> Graph:
    """The graph with concatenations of at least `limit` values (their result needs a buffer too) made of smaller ones."""
    new: dict[Node, Node] = {}
    for node in graph.nodes():
        inputs = tuple(new[x] for x in node.inputs)
        while node.op == "concatenate" and len(inputs) >= limit:
            parts = (inputs[i : i + limit - 1] for i in range(0, len(inputs), limit - 1))
            inputs = tuple(make("concatenate", *p, **node.attrs) if len(p) > 1 else p[0] for p in parts)
        same = inputs == node.inputs
        new[node] = (
            node if same else Node(node.op, inputs, node.attrs, node.type, node.regions, node.span, node.name)
        )
    return Graph(graph.name, graph.params, [new[r] for r in graph.results], graph.span)


# ---------------------------------------------------------------- results


def _separate_results(export: Export) -> tuple[Graph, dict[Node, Node]]:
    """Every result a node of its own that is computed, and which of them update a parameter.

    Results that are parameters, constants or a second use of one value become copies. The final value of a
    `mut` leaf that does not change is dropped.
    """
    graph = export.graph
    count = len(list(leaves(export.result))) if export.result is not None else 0
    targets = _mut_parameters(export)
    assert len(graph.results) == count + len(targets), export.name
    results: list[Node] = []
    updates: dict[Node, Node] = {}
    for i, node in enumerate(graph.results):
        parameter = targets[i - count] if i >= count else None
        if node is parameter:
            continue
        if node.op in ("parameter", "constant") or node in results:
            node = copied(node)
        results.append(node)
        if parameter is not None:
            updates[node] = parameter
    return replace(graph, results=results), updates


def _mut_parameters(export: Export) -> list[Node]:
    out: list[Node] = []
    at = 0
    for argument in export.arguments:
        n = len(list(leaves(argument.type)))
        if argument.mut:
            out += export.graph.params[at : at + n]
        at += n
    return out


def _kernel_name(
    export: Export, step: list[Group], updates: Mapping[Node, Node], names: dict[str, int], kind: str = ""
) -> str:
    """export_what, after what the step updates, or its last named value; numbered where it is not the first."""
    stored = [n for g in step for n in g.stored]
    changed = [updates[n].name for n in stored if n in updates and updates[n].name]
    if changed:
        what = f"update_{changed[-1]}"
    else:
        what = _last_whole([n for n in stored if n.name] or stored)
        what = "result" if what == export.name else what.removeprefix(f"{export.name.lower()}_")
    what = f"{what}_and_more" if len(step) > 1 else what
    what = f"{what}_{kind}" if kind else what
    base = f"{export.name}_{''.join(c if c.isalnum() else '_' for c in what or '')}"
    names[base] = names.get(base, 0) + 1
    return base if names[base] == 1 else f"{base}_{names[base]}"


def _last_whole(nodes: Sequence[Node]) -> str:
    """The label of the last node that is no operation inside of what another one is called after."""
    labels = list(map(label, nodes))
    return [x for x in labels if not any(x.startswith(f"{y}_") for y in labels)][-1]


# ---------------------------------------------------------------- places


class _Places:
    """Where each stored value and leaf lives."""

    def __init__(self, export: Export, root: Level, caps: Capabilities) -> None:
        self._caps = caps
        self._serial: set[Group] = set()
        self._places: dict[Node, Place] = {}
        self._same: dict[Node, Node] = {}
        self._scratch: dict[tuple[int, DType, Size], Place] = {}
        paths = [
            (f"{a.name}_{path}" if path else a.name).replace(".", "_")
            for a in export.arguments
            for path, _ in leaves(a.type)
        ]
        graph = root.fusion.graph
        for i, (node, path) in enumerate(zip(graph.params, paths)):
            self._places[node] = _place("parameter", path, node, position=i)
        self._results(export, root.fusion, root.updates)
        self._tables(root)
        self._arena(export, root)

    def _tables(self, level: Level) -> None:
        for node in level.fusion.graph.nodes():
            if node.op == "constant" and level.fusion.leaf(node):
                name = node.name or "table"
                self._places[node] = replace(_place("constant", name, node), data=constant_array(node))
        self._same |= level.same
        for region in level.inner.values():
            self._same |= region.same
            for inner in region.levels:
                self._same |= inner.updates
                self._tables(inner)

    def used(self, order: Sequence[int | Place], met: Sequence[Place]) -> tuple[Place, ...]:
        """The places of a kernel's buffers, by their numbers among those `met`; of its scratch, behind all that lives longer."""
        end = 0
        out: list[Place] = []
        for x in order:
            if isinstance(x, int):
                out.append(met[x])
                continue
            key = (end, x.dtype, x.size)
            if key not in self._scratch:
                self._scratch[key] = replace(x, offset=end)
            out.append(self._scratch[key])
            size = aligned(x.size * x.dtype.bytes)
            assert isinstance(size, int)
            end += size
        return tuple(out)

    def serial(self, group: Group) -> bool:
        """Whether a loop or branch is one kernel."""
        return group in self._serial

    def of(self, node: Node) -> Place:
        """The place of a leaf or a stored value."""
        return self._places[self._shared(node)]

    def _shared(self, node: Node) -> Node:
        """The node whose place this one has."""
        while node in self._same:
            node = self._same[node]
        return node

    def find(self, node: Node) -> Place | None:
        """The same; None for a value that nothing reads."""
        return self._places.get(self._shared(node))

    def _results(self, export: Export, fusion: Fusion, updates: dict[Node, Node]) -> None:
        position = 0
        names = [p for p, _ in leaves(export.result)] if export.result is not None else []
        for node in fusion.graph.results:
            if node in updates:
                self._places[node] = self._places[updates[node]]
            else:
                path = names[position].replace(".", "_")
                name = f"result_{path}" if path else "result"
                self._places[node] = _place("result", name, node, position=position)
                position += 1

    def _arena(self, export: Export, root: Level) -> None:
        lives: dict[Node, Life] = {}
        high = {d.name: d.high for d in export.dims if d.high is not None}

        local: list[Node] = []

        def visit(level: Level, at: int, within: frozenset[Node] | None = None) -> int:
            """Extend the lives by what a level does from step `at` on; the next free step.

            `within` a region that is one kernel: what other kernels know of it.
            """
            when: dict[Group, tuple[int, int]] = {}
            for step in level.steps:
                first, before = at, len(lives)
                if step[0] in level.inner:
                    region, known = level.inner[step[0]], within
                    if known is None and serial(step[0], region, self._caps):
                        self._serial.add(step[0])
                        known = frozenset(map(self._shared, (*step[0].members[0].inputs, *step[0].stored)))
                    for inner in region.levels:
                        at = visit(inner, at, known)
                    if within is None and step[0] in self._serial:  # its buffers are those of one kernel
                        for life in [*lives.values()][before:]:
                            life.first, life.last = first, at
                at += 1
                when |= dict.fromkeys(step, (first, at - 1))
            for group in sorted(when, key=lambda g: (*when[g], g.id)):
                for node in map(self._shared, group.stored):
                    if node not in self._places:
                        if within is not None and node not in within and _is_local(node):
                            local.append(node)
                            continue
                        size = dims.substitute(_bytes(node), high)
                        life = lives.setdefault(node, Life(node, aligned(size), *when[group]))
                        life.first = min(life.first, when[group][0])
                        life.last = max(life.last, when[group][1])
            for group, (_, last) in when.items():
                for node in group.reads:
                    life = lives.get(self._shared(node))  # type: ignore[assignment]
                    if life is not None:
                        life.last = max(life.last, last)
            return at

        visit(root, 0)
        self.lives = tuple(lives.values())
        taken: dict[str, int] = {}
        for node, life in lives.items():
            base = label(node).replace(".", "_")
            taken[base] = taken.get(base, 0) + 1
            name = base if taken[base] == 1 else f"{base}_{taken[base]}"
            life.key = self._places[node] = _place("arena", name, node)
        for node in dict.fromkeys(local):
            self._places[node] = _place("local", label(node).replace(".", "_"), node)


def _is_local(node: Node) -> bool:
    size = product(node.shape)
    return isinstance(size, int) and size <= LOCAL


def _storage(node: Node) -> DType:
    """Truth values in the workspace are 32-bit words."""
    return u32 if node.dtype == boolean else node.dtype


def _bytes(node: Node) -> Size:
    return product(node.shape) * _storage(node).bytes


def _place(kind: str, name: str, node: Node, position: int = -1) -> Place:
    dtype = _storage(node) if kind in ("arena", "local") else node.dtype
    return Place(kind, name, dtype, product(node.shape), position)  # type: ignore[arg-type]
