"""How one node reads others: index-level facts that fusion decides on.

Enters: graph nodes. Leaves: for each node its element as a scalar expression over "own" indices, the
values it loads (looking through views, which cost nothing), its cost and its kind. Never decides.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from charl import dims
from charl.dtypes import accumulator, i32
from charl.graph.ir import Node, Size
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Reduce
from charl.loops.inline import Inliner
from charl.ops.record import OPS

# Cost of evaluating a scalar function once, in additions. Only ratios matter.
_COSTS = {
    **dict.fromkeys(("div", "mod", "sqrt", "rsqrt", "round", "floor", "ceil", "trunc"), 4),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sinh", "cosh"), 15),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "erf"), 20),
    "pow": 40,
    "threefry": 90,
    "threefry1": 90,
}


@dataclass(frozen=True)
class Read:
    """One load: which value, at what index, under which reduction indices."""

    node: Node
    index: tuple[Size, ...]
    reduced: bool


class Form:
    """The same of equal computations: what is read is a number instead of a value. Holds no nodes."""

    def __init__(self, node: Node, numbers: Mapping[Node, int]) -> None:
        """`numbers`: of what is read; everything else is expanded."""
        self.own: tuple[Size, ...] = tuple(
            0 if size == 1 else dims.sym(f"@{d}") for d, size in enumerate(node.shape)
        )
        ranges = {f"@{d}": (0, size - 1) for d, size in enumerate(node.shape)}
        self.expr = Inliner(numbers.get, ranges).element(node, self.own)
        self.checked = _checked(node, numbers)

    @cached_property
    def reads(self) -> list[tuple[int, tuple[Size, ...], bool]]:
        """Every distinct load of the expression, those of run-time indices too."""
        out: dict[tuple[int, tuple[Size, ...], bool], None] = {}
        seen: set[tuple[int, bool]] = set()

        def visit(e: Expr, reduced: bool) -> None:
            if (id(e), reduced) in seen:
                return
            seen.add((id(e), reduced))
            if isinstance(e, Load):
                out[e.source, e.index, reduced] = None
            for i in e.indices():
                for a in dims.atoms(i):
                    visit_atom(a, reduced)
            for c in e.children():
                visit(c, reduced or isinstance(e, Reduce))

        def visit_atom(a: dims.Atom, reduced: bool) -> None:
            if isinstance(a, dims.Value):
                visit(a.expr, reduced)
            elif isinstance(a, dims.Func):
                for arg in a.args:
                    for b in dims.atoms(arg):
                        visit_atom(b, reduced)

        visit(self.expr, False)
        return list(out)

    @cached_property
    def guarded(self) -> frozenset[int]:
        """What is loaded under a condition on the index, as the parts of a concatenation are."""
        guards = [e for e in nodes_of(self.expr) if isinstance(e, Guard)]
        below = (x for g in guards for c in g.children() for x in nodes_of(c))
        return frozenset(x.source for x in below if isinstance(x, Load))

    @cached_property
    def guarding(self) -> int:
        """The first axis whose place decides a condition on the index; more than there are where none does."""
        guards = [e for e in nodes_of(self.expr) if isinstance(e, Guard)]
        names = {n for g in guards for r in g.ranges for size in r for n in dims.symbols(size)}
        return next((d for d, i in enumerate(self.own) if dims.symbols(i) & names), len(self.own))

    @cached_property
    def reduces(self) -> bool:
        """Whether a reduction is part of the element, or of a place that it is read from."""
        return any(isinstance(e, Reduce) for e in nodes_of(self.expr, indices=True))

    @cached_property
    def heavy(self) -> bool:
        """A contraction or anything like it: operands are read again for other elements of the result."""
        if not self.reduces:
            return False
        own = {str(i) for i in self.own if not isinstance(i, int)}
        for _, index, reduced in self.reads:
            used: set[str] = set()
            for i in index:
                used |= dims.symbols(i)
            if reduced and own - used and index:
                return True
        return False

    @cached_property
    def mixed(self) -> bool:
        """Whether elements of different widths take part (f64 values chosen by i32 positions), which no vector holds.

        Half floats are as wide as what stands for them in registers.
        """
        types = {e.dtype for e in nodes_of(self.expr) if e.dtype.kind != "bool"}
        return len({accumulator(t).bits if t.is_half else t.bits for t in types}) > 1

    @cached_property
    def slides(self) -> bool:
        """Whether windows that overlap are reduced: elements are read again for neighbours of the result."""
        extents = {n: size for e in nodes_of(self.expr) if isinstance(e, Reduce) for n, size in e.over}
        return any(_overlaps(i, extents) for _, index, reduced in self.reads if reduced for i in index)

    @cached_property
    def cost(self) -> int:
        """Additions to evaluate one element, reductions counted once."""
        return expr_cost(self.expr)


_KNOWN: dict[Hashable, Form] = {}
_MANY = 1 << 14  # forms; more than any program has


def _form(node: Node, free: Callable[[Node], bool]) -> tuple[Form, list[Node]]:
    """The form of a node, and the values that its numbers stand for. Layers of a network have those of the first."""
    lines: list[Hashable] = []
    met: dict[Node, int] = {}
    numbers: dict[Node, int] = {}
    stack = [(node, False)]
    while stack:
        n, done = stack.pop()
        if n in met:
            continue
        inside = n is node or free(n)
        if inside and not done:
            stack.append((n, True))
            stack += [(i, False) for i in n.inputs]
            continue
        met[n] = len(lines)
        if inside or n.op == "constant":
            lines.append((inside, n.op, tuple(n.attrs.items()), n.type, *(met[i] for i in n.inputs)))
        else:
            lines.append(n.type)
        if not inside:
            numbers[n] = len(numbers)
    key = tuple(lines)
    found = _KNOWN.get(key)
    if found is None:
        if len(_KNOWN) >= _MANY:
            _KNOWN.clear()
        found = _KNOWN[key] = Form(node, numbers)
    return found, list(numbers)


def _within(node: Node, numbers: Mapping[Node, int]) -> Iterator[Node]:
    """A value and all that it is computed from, down to what has a number."""
    waiting, met = [node], {node}
    while waiting:
        n = waiting.pop()
        yield n
        new = [x for x in n.inputs if x not in met] if n not in numbers else []
        met.update(new)
        waiting += new


def _checked(node: Node, numbers: Mapping[Node, int]) -> list[int]:
    """What run-time indices are made of that can be at one place only: no element needs them, checks of debug builds do."""
    found: dict[int, None] = {}
    for n in _within(node, numbers):
        rule = OPS[n.op].indexed if n not in numbers else None
        for at in rule(n) if rule is not None else ():
            if at.extent - at.size == 0:
                found.update((numbers[x], None) for x in _within(at.operand, numbers) if x in numbers)
    return list(found)


class Facts:
    """What fusion needs to know of one node, where `free` says what is expanded."""

    def __init__(self, node: Node, free: Callable[[Node], bool]) -> None:
        self.node = node
        form, sources = _form(node, free)
        self.form, self.sources = form, sources
        self.own, self.expr, self.cost = form.own, form.expr, form.cost
        self.reduces, self.heavy, self.mixed, self.slides = form.reduces, form.heavy, form.mixed, form.slides
        self.reads = [Read(sources[k], index, reduced) for k, index, reduced in form.reads]
        read = {r.node for r in self.reads}
        self.checked = [sources[k] for k in form.checked if sources[k] not in read]
        self.reads += [Read(x, (), False) for x in self.checked]
        self.guarded = frozenset(sources[k] for k in form.guarded)
        self.guarding = form.guarding

    def prefix(self, read: Read) -> int:
        """How many leading indices of the read value are this node's own leading indices."""
        k = 0
        for mine, theirs, a, b in zip(self.own, read.index, self.node.shape, read.node.shape):
            if mine != theirs or a != b:
                break
            k += 1
        return k


def _overlaps(index: Size, extents: Mapping[str, Size]) -> bool:
    """Whether a step of an own index is less than what the taps of a window, of these extents, reach."""
    names = dims.symbols(index)
    steps = [dims.coefficient(index, s) for s in names - extents.keys()]
    for tap in names & extents.keys():
        reach, size = dims.coefficient(index, tap), extents[tap]
        if not (isinstance(reach, int) and isinstance(size, int)):
            continue
        far = reach * (size - 1)
        if any(isinstance(s, int) and far >= s > 0 for s in steps):
            return True
    return False


REGIONS = ("loop", "branch", "item")


class LoopFacts:
    """The same of a loop or branch, which reads its inputs as a whole, or of one of its results, which is just there."""

    reduces = heavy = True
    guarded: frozenset[Node] = frozenset()
    checked: Sequence[Node] = ()
    cost = 0

    def __init__(self, node: Node, uncopied: Mapping[Node, Node]) -> None:
        """`uncopied`: copy that takes the place of its source → the source."""
        self.node = node
        self.own: tuple[Size, ...] = ()
        inputs = dict.fromkeys(uncopied.get(x, x) for x in node.inputs) if node.regions else {}
        self.reads = [Read(x, (), True) for x in inputs]
        self.expr: Expr = Const(0, i32)

    def prefix(self, read: Read) -> int:
        """No index is its own."""
        return 0


def nodes_of(root: Expr, indices: bool = False) -> list[Expr]:
    """Every distinct sub-expression of a DAG of expressions, those of run-time indices only where asked for."""
    seen: dict[int, Expr] = {}
    stack = [root]
    while stack:
        e = stack.pop()
        if id(e) not in seen:
            seen[id(e)] = e
            stack.extend(e.children())
            if indices:
                stack.extend(x for i in e.indices() for x in dims.values(i))
    return list(seen.values())


def expr_cost(root: Expr) -> int:
    """Additions to evaluate an expression once, each shared part counted once."""
    return sum(
        _COSTS.get(e.fn, 1) if isinstance(e, Apply) else 1 if isinstance(e, Guard) else 0
        for e in nodes_of(root)
    )


def is_view(node: Node) -> bool:
    """Whether an element of `node` is an element of its input, a constant or an index: no work at all."""
    if node.op == "parameter" or (node.op == "constant" and node.shape):
        return False
    if node.op == "constant":
        return True
    return found_alike(_VIEWS, node, _is_view)


_VIEWS: dict[Hashable, bool] = {}


def like(node: Node) -> Hashable:
    """Equal for equal operations on values of equal types."""
    return node.op, tuple(node.attrs.items()), node.type, *(i.type for i in node.inputs)


def found_alike(known: dict[Hashable, bool], node: Node, find: Callable[[Node], bool]) -> bool:
    """What `find` says of an operation; `known` has what it has said of equal ones."""
    key = like(node)
    found = known.get(key)
    if found is None:
        if len(known) >= _MANY:
            known.clear()
        found = known[key] = find(node)
    return found


def _is_view(node: Node) -> bool:
    index = tuple(dims.sym(f"@{d}") for d in range(node.rank))
    expr = OPS[node.op].at(node, index)
    return isinstance(expr, (Load, Const, IndexValue)) and not (
        isinstance(expr, Load) and any(isinstance(a, dims.Value) for i in expr.index for a in dims.atoms(i))
    )


def is_rearranged(view: Node) -> bool:
    """Whether a view has elements of its input in any order: a transposition or a part, not a repetition.

    Windows are seen as parts; where they overlap, there are more elements than before.
    """
    own = [dims.sym(f"@{d}") if size != 1 else 0 for d, size in enumerate(view.shape)]
    expr = OPS[view.op].at(view, tuple(own))
    if not isinstance(expr, Load):
        return False
    names = [n for i in expr.index for n in sorted(dims.symbols(i)) if n.startswith("@")]
    linear = all(dims.coefficient(i, n) is not None for i in expr.index for n in dims.symbols(i))
    return linear and sorted(names) == sorted(str(i) for i in own if i != 0)
