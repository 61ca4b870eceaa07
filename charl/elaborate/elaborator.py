"""The abstract interpreter of the AST: expressions to values, run-time ones as graph nodes.

Enters: AST and scopes. Leaves: values, and diagnostics collected in `diagnostics`. Symbolic dimensions are ordinary
sizes, so the check of a body for all its instances and its elaboration for one are the same walk; `checking` says
which of the two is under way. Never decides an order of execution: values are immutable, `mut` rebinds.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from charl import dtypes, ops
from charl.dims import Dim, learn_multiple
from charl.elaborate import (
    branches,
    calls,
    facts,
    indexing,
    instances,
    loops,
    methods,
    numbers,
    operators,
    returns,
)
from charl.elaborate import values as v
from charl.elaborate.modules import help_for
from charl.elaborate.names import OTHER_NAMES, suggest_member
from charl.elaborate.operators import Operand
from charl.elaborate.reuse import Reuse
from charl.elaborate.scope import Journal, Part, Place, Scope, Temporary, Variable
from charl.elaborate.types import Matcher, check_run
from charl.elaborate.worlds import Worlds
from charl.errors import CharlError, Diagnostic, Label, code, fail
from charl.graph.ir import Node, Size, at_span
from charl.ops import TypeRuleError
from charl.source import Span
from charl.syntax import ast
from charl.syntax.codes import NO_SUCH_STATEMENT

UNKNOWN_NAME = code("E0301", "unknown name")
UNKNOWN_MEMBER = code("E0302", "unknown member")
ABSENT = code("E0401", "a member may be absent")
ENDLESS = code("E0408", "a type contains itself")
BEFORE = code("E0321", "a name is used where it is not bound")
# Names that stand for something in `main` or in tests only.
ELSEWHERE = {
    **dict.fromkeys(("load", "save", "print", "batches"), "only `fn main()` reads, writes and prints"),
    "seeded": "streams come from the caller: add a parameter `mut rng: Rng`; `seeded` is for `main` and tests",
    "check_grad": "gradients are checked in a `test`",
    **dict.fromkeys(("np", "jnp", "torch", "tf", "F"), "functions are in scope by themselves: `relu(x)`"),
    "len": "a size is the name that stands in the shape, or `x.shape[0]`",
    **dict.fromkeys(("int", "float"), "a run-time value is converted by `as`: `x as f32`"),
    **OTHER_NAMES,
}
MAX_NESTING = 60
RULE = code("E0215", "an operation refuses its operands")
CONDITION = code("E0210", "a condition is not a truth value")


def _bound_elsewhere(e: ast.Name, body: Any) -> ast.Name | None:
    """Where a function binds a name by `let` or in a pattern, though not where `e` uses it."""
    found = [p.name for p in ast.walk(body) if isinstance(p, ast.NamePattern) and p.name.name == e.name]
    earlier = [n for n in found if n.span.start < e.span.start]
    return earlier[-1] if earlier else found[0] if found else None


# Functions of the library → the gradient rule of each; a module of the library is bound once for all programs.
LIBRARY_RULES: dict[v.Function, v.Function] = {}


class Elaborator:
    """One elaboration of one module with what it imports."""

    def __init__(self, reveal: Callable[[Any, Any], None] | None = None) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.journal = Journal()
        self.indices: dict[Node, tuple[Size, Size]] = {}  # of loops: the smallest and the largest they are
        self.checking = False  # bodies for all their instances
        self.exporting = False  # … that of an export, whose open parameters take their defaults
        self.reveal = reveal
        self.files: dict[str, Any] = {}  # modules of imported files, by their real paths
        self.obligations: list[Any] = []  # comparisons of sizes that the export under way checks on entry
        self.tests: Any = None  # collects what a test asserts (testing.Collector)
        self.host: Any = None  # executes `main`: real arrays behind the nodes (host.Host)
        self.rules: ChainMap[v.Function, v.Function] = ChainMap(
            {}, LIBRARY_RULES
        )  # function → its gradient rule
        self.assumed: dict[Any, bool] = {}  # conditions that hold where the walk is, or do not
        self.worlds = Worlds()
        self.depth = 0  # calls under way
        self.nesting = 0  # types inside types
        self.active: list[v.Function] = []  # their functions
        self.overrides: dict[tuple[str, str], Any] = {}  # (declaration, hyper-parameter) from --set
        self.dtypes = dtypes.ALL
        self._inserted: set[Node] = set()
        self.reuse = Reuse(self)
        self._grad_types: dict[Any, Any] = {}
        self.member_types: dict[Any, list[tuple[str, Any, Any]]] = {}  # of instance types
        self._evaluators: dict[type, Callable[[Any, Scope], Any]] = {
            ast.Name: self._name,
            ast.Int: lambda e, s: e.value,
            ast.Float: lambda e, s: e.value,
            ast.Str: lambda e, s: e.value,
            ast.Bool: lambda e, s: e.value,
            ast.NoneValue: lambda e, s: None,
            ast.Array: self._array,
            ast.Repeat: self._repeat,
            ast.Tuple: lambda e, s: v.Tuple(tuple(self.spread(e.elements, s))),
            ast.Unary: self._unary,
            ast.Binary: self._binary,
            ast.Pipe: lambda e, s: calls.pipe(self, e, s),
            ast.Cast: self._cast,
            ast.Call: lambda e, s: calls.call_expression(self, e, s),
            ast.Member: self._member,
            ast.Index: lambda e, s: indexing.index_expression(self, e, s),
            ast.Closure: lambda e, s: calls.closure(self, e, s),
            ast.Block: lambda e, s: returns.block(self, e, s),
            ast.If: lambda e, s: branches.if_expression(self, e, s),
            ast.For: lambda e, s: loops.for_expression(self, e, s),
            ast.While: lambda e, s: loops.while_expression(self, e, s),
            ast.Match: lambda e, s: branches.match_expression(self, e, s),
        }

    # ------------------------------------------------------------ diagnostics

    def report(self, error: CharlError) -> None:
        """Keep the diagnostics of a failure; the same mistake met twice is told once."""
        self.reuse.spoil()
        for d in error.diagnostics:
            if not any(d.code == o.code and d.span == o.span for o in self.diagnostics):
                self.diagnostics.append(d)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Failures inside are reported and the work goes on behind."""
        try:
            yield
        except CharlError as e:
            self.report(e)
        except v.Silenced:
            pass

    @contextmanager
    def nested(self, name: str, span: Span) -> Iterator[None]:
        """One level of a type inside another; a type that contains itself has no end of them."""
        self.nesting += 1
        try:
            if self.nesting > MAX_NESTING:
                raise fail(ENDLESS, f"`{name}` contains itself", span)
            yield
        finally:
            self.nesting -= 1

    # ------------------------------------------------------------ expressions

    def evaluate(self, e: Any, scope: Scope) -> Any:
        """The value of an expression; raises CharlError, or Silenced after an error told before."""
        evaluator = self._evaluators.get(type(e))
        if evaluator is None:
            raise fail(UNKNOWN_NAME, "this has no meaning here", e.span)
        try:
            value = evaluator(e, scope)
        except TypeRuleError as error:
            raise fail(RULE, str(error), e.span) from None
        if self.reveal is not None:
            self.reveal(e, value)
        return value

    def known(self, e: Any, scope: Scope) -> Any:
        """As `evaluate`, refusing error values and members that may be absent."""
        value = self.evaluate(e, scope)
        if isinstance(value, v.ErrorValue):
            raise v.Silenced
        return value

    def operand(self, e: Any, scope: Scope) -> Operand:
        """An expression's value with where it stands, and where the name it consists of is declared."""
        binding = scope.find(e.name) if isinstance(e, ast.Name) else None
        return Operand(self.known(e, scope), e.span, binding.span if binding is not None else None)

    def _name(self, e: ast.Name, scope: Scope) -> Any:
        binding = scope.find(e.name)
        if binding is not None:
            value = binding.value if binding.alias is None else binding.alias.get()
            return self.present(value, e.span)
        mode = scope.function.mode if scope.function is not None else None
        if mode is not None and e.name == "training":
            return mode.training
        if mode is not None and e.name == "rng" and mode.rng is not None:
            return mode.rng.get()
        raise self.unknown_name(e, scope)

    def unknown_name(self, e: ast.Name, scope: Scope) -> CharlError:
        """The mistake of a name that stands for nothing here: bound later, bound in a block that has ended, or nowhere."""
        if e.name in ("break", "continue"):
            return fail(
                NO_SUCH_STATEMENT,
                f"Charl has no `{e.name}`",
                e.span,
                help="`for _ in 0..n while c { }` stops when `c` fails",
            )
        if e.name in ELSEWHERE:
            return fail(UNKNOWN_NAME, f"nothing is called `{e.name}` here", e.span, help=ELSEWHERE[e.name])
        f = getattr(scope.function, "function", None)
        binding = _bound_elsewhere(e, f.body) if f is not None else None
        if binding is not None:
            later = binding.span.start > e.span.start
            return fail(
                BEFORE,
                (
                    f"`{e.name}` is used before it is bound"
                    if later
                    else f"`{e.name}` is bound in another block only"
                ),
                e.span,
                labels=(Label(binding.span, "bound here"),),
                help=(
                    "bind it before the first use"
                    if later
                    else "bind it before the block, or make the block give its value"
                ),
            )
        help_ = help_for(e.name, scope.visible())
        return fail(UNKNOWN_NAME, f"nothing is called `{e.name}`", e.span, help=help_)

    def present(self, value: Any, span: Span) -> Any:
        """A member's value, which must exist here."""
        if isinstance(value, Node):
            return value
        if isinstance(value, v.Absent):
            raise fail(
                ABSENT, f"`{value.name}` is absent in this instance", span, help="test its condition first"
            )
        if isinstance(value, v.Maybe):
            if facts.holds(self, value.condition) is not True:
                raise fail(
                    ABSENT,
                    f"`{value.name}` exists only if `{value.condition}`",
                    span,
                    help=f"use it inside `if {value.condition} {{ … }}`",
                )
            return value.value
        if isinstance(value, v.ErrorValue):
            raise v.Silenced
        return value

    def _array(self, e: ast.Array, scope: Scope) -> Any:
        items = self.spread(e.elements, scope)
        return self.array(items, e.elements, e.span)

    def array(self, items: list[Any], elements: Any, span: Span) -> Any:
        """An array literal: run-time scalars make a tensor, anything else a run."""
        scalars = any(isinstance(x, Node) and x.rank == 0 for x in items)
        if scalars and len(items) == len(elements):
            operands = [Operand(x, a.span) for x, a in zip(items, elements, strict=True)]
            nodes = operators.same_dtype(self, operands, "an array", span)
            if all(n.rank == 0 for n in nodes):
                with at_span(span):
                    return ops.concatenate([ops.reshape(n, (1,)) for n in nodes], axis=0)
        return v.Run(tuple(items), len(items))

    def spread(self, elements: Any, scope: Scope) -> list[Any]:
        """Values of a list of expressions, packs taken apart."""
        out: list[Any] = []
        for a in elements:
            if isinstance(a, ast.Pack):
                out.extend(self.pack(a, scope))
            else:
                out.append(self.known(a, scope))
        return out

    def pack(self, e: ast.Pack, scope: Scope) -> tuple[Any, ...]:
        value = self._name(e.name, scope)
        if not isinstance(value, (v.Run, v.Tuple)):
            raise fail(
                operators.OPERAND, f"`*` takes a pack apart, and this is {v.describe_value(value)}", e.span
            )
        return value.items

    def _repeat(self, e: ast.Repeat, scope: Scope) -> Any:
        value, count = self.known(e.value, scope), Matcher(self, scope).size(e.count)
        if isinstance(count, int):
            check_run(count, e.span)
            return v.Run((value,) * count, count)
        return v.Run((value,), count)

    def _unary(self, e: ast.Unary, scope: Scope) -> Any:
        operand = self.operand(e.operand, scope)
        with at_span(e.span):
            return operators.unary(self, e.op, operand, e.span)

    def _binary(self, e: ast.Binary, scope: Scope) -> Any:
        left = self.attempt(lambda: self.operand(e.left, scope))
        if e.op in ("and", "or") and left is not None and left.value is (e.op == "or"):
            return left.value
        right = self.operand(e.right, scope)
        if left is None:
            raise v.Silenced
        with at_span(e.span):
            value = operators.binary(self, e.op, left, right, e.op_span)
        if e.op == "/" and isinstance(value, Dim) and scope.function is not None and scope.function.running:
            learn_multiple(left.value, right.value)
        return value

    def settle(self, value: Any) -> Any:
        """While `main` runs, the value with everything computed."""
        return value if self.host is None else self.host.settle(value)

    def attempt(self, work: Callable[[], Any]) -> Any:
        """In a body's own check, report a failure and go on with None, so that what stands beside is checked too."""
        if not self.checking or self.depth:
            return work()
        try:
            return work()
        except CharlError as e:
            self.report(e)
        except v.Silenced:
            pass
        return None

    def _cast(self, e: ast.Cast, scope: Scope) -> Any:
        a = self.operand(e.value, scope)
        dtype = self.dtypes.get(e.to.name) or Matcher(self, scope).lookup(e.to.name)
        if not isinstance(dtype, dtypes.DType):
            raise Matcher(self, scope).unknown(e.to)
        with at_span(e.span):
            made = operators.cast(self, a, dtype, e.span)
        return (
            made if isinstance(a.value, Node) or not isinstance(made, Node) else numbers.literal(made, e.span)
        )

    def _member(self, e: ast.Member, scope: Scope) -> Any:
        place = self.place(e.value, scope)
        value = self.present(place.get(), e.value.span)
        name = e.name.name
        if isinstance(value, (v.Instance, v.Named)) and name in value.members:
            return self.present(value.members[name], e.span)
        if isinstance(value, (v.Tuple, v.Run)) and name.isdigit() and int(name) < len(value.items):
            return value.items[int(name)]
        found = methods.member(self, value, place, e)
        if found is not None:
            return found
        raise self.unknown_member(value, e)

    def unknown_member(self, value: Any, e: ast.Member) -> CharlError:
        known = [n for n, _ in v.children(value)]
        if isinstance(value, v.Instance) and isinstance(value.type, v.InstanceType):
            known += [m.name.name for m in value.type.declaration.ast.methods]
            known += [n for n, _ in value.type.arguments]
            if value.type.lead and e.name.name in known:
                message = f"`{e.name}` is a method of one element, and this is {v.describe_value(value)}"
                return fail(UNKNOWN_MEMBER, message, e.name.span, help=instances.ELEMENTS)
        help_ = suggest_member(e.name.name, known) or OTHER_NAMES.get(e.name.name)
        return fail(
            UNKNOWN_MEMBER,
            f"{v.describe_value(value)} has no member `{e.name}`",
            e.name.span,
            help=help_,
        )

    # ------------------------------------------------------------ places

    def place(self, e: Any, scope: Scope) -> Place:
        """The place an expression names; a temporary for the value of any other expression."""
        if isinstance(e, ast.Name):
            binding = scope.find(e.name)
            if binding is not None:
                return Variable(binding, self.journal)
            mode = scope.function.mode if scope.function is not None else None
            if mode is not None and e.name == "rng" and mode.rng is not None:
                return mode.rng  # type: ignore[no-any-return]
        elif isinstance(e, ast.Member):
            base = self.place(e.value, scope)
            value = base.get()
            if isinstance(value, v.Instance) and e.name.name in value.members:
                return Part(base, e.name.name)
            if isinstance(value, (v.Tuple, v.Run)) and any(n == e.name.name for n, _ in v.children(value)):
                return Part(base, e.name.name)
        elif isinstance(e, ast.Index) and len(e.items) == 1:
            base = self.place(e.value, scope)
            value = base.get()
            if isinstance(value, (v.Tuple, v.Run)) and not isinstance(e.items[0], ast.Slice):
                return Part(base, str(indexing.item_position(self, value, e.items[0], scope)))
        return Temporary(self.known(e, scope))

    # ------------------------------------------------------------ services to the other modules

    def same(self, a: Any, b: Any) -> bool:
        """Whether two compile-time values are equal."""
        if isinstance(a, (v.Tuple, v.Run)) and isinstance(b, (v.Tuple, v.Run)):
            return len(a.items) == len(b.items) and all(map(self.same, a.items, b.items))
        return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)

    def bound_of(self, scope: Scope, name: str) -> str | None:
        """The bound of a type parameter (`E: float`)."""
        found = scope.find(name + ":")
        return found.value if found is not None else None

    def pair_parameters(self, d: v.Declaration, args: Any, span: Span) -> list[tuple[Any, Any]]:
        return instances.pair_parameters(d, args, span)

    def instance_type(self, d: v.Declaration, t: ast.NamedType, matcher: Matcher) -> v.InstanceType:
        return instances.instance_type(self, d, t, matcher)

    def grad_type(self, t: Any) -> Any:
        if t not in self._grad_types:
            self._grad_types[t] = instances.grad_type(self, t)
        return self._grad_types[t]

    def inserted(self, value: Any) -> bool:
        """Whether the user put an axis of 1 into this value by hand (`x[:, None]`)."""
        return value in self._inserted

    def mark_inserted(self, node: Node) -> Node:
        self._inserted.add(node)
        return node

    def condition(self, e: Any, scope: Scope) -> Any:
        """A truth value: bool, Unknown or a run-time scalar."""
        return self.truth(self.known(e, scope), e.span)

    def truth(self, value: Any, span: Span) -> Any:
        """A value that must be a truth value."""
        if isinstance(value, v.Unknown) and value.kind == "bool":
            known = facts.holds(self, value)
            return value if known is None else known
        if isinstance(value, bool):
            return value
        if isinstance(value, Node) and value.dtype == dtypes.boolean and value.rank == 0:
            return value if self.host is None else self.host.truth(value)
        shown = v.describe_value(value)
        raise fail(
            CONDITION,
            f"a condition must be a truth value, and this is {shown}",
            span,
            labels=(Label(span, shown),),
            help="compare it, or reduce it with `any` or `all`",
        )
