"""What the command line says about sizes: `--dim` and `--set`, and the bounds of `where` clauses.

Enters: options and declarations. Leaves: hyper-parameters that replace defaults, bounds of dimension variables,
constraints to check on entry. Never touches a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from charl.elaborate import values as v
from charl.elaborate.clauses import Comparison, conjuncts, learned, undecided
from charl.elaborate.names import suggest
from charl.elaborate.parameters import Argument
from charl.elaborate.scope import Scope
from charl.errors import CharlError, Label, code, fail
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

NO_SUCH_SET = code("E0601", "`--set` names nothing that is open")
BAD_SET = code("E0602", "`--set` gives a value of the wrong kind")
NO_SUCH_DIM = code("E0603", "`--dim` names no dimension variable")
CONTRADICTION = code("E0604", "an option contradicts the program")

Bound = int | tuple[int, int]


# ---------------------------------------------------------------- --set


def apply_sets(el: Elaborator, exports: list[v.Function], sets: Mapping[str, str]) -> None:
    """`net.hidden=32`: the hyper-parameter of the model of that argument, in every export."""
    for path, text in sets.items():
        with el.guarded():
            found = [d for f in exports for d in _open_models(f, path.rpartition(".")[0])]
            if not found:
                raise _unknown_set(exports, path)
            for d in found:
                el.overrides[(d.name, path.rpartition(".")[2])] = _value(d, path, text)


def _open_models(f: v.Function, owner: str) -> list[v.Declaration]:
    out = []
    for p in f.params:
        for t in ast.walk(p.type):
            if not isinstance(t, ast.NamedType):
                continue
            binding = f.scope.find(t.name.name)
            d = binding.value if binding is not None else None
            if isinstance(d, v.Declaration) and owner in (p.name.name, d.name) and d.ast.params:
                if t.args is not None:
                    raise fail(
                        CONTRADICTION,
                        f"`--set {owner}.…`: `{f.name}` already says `{t.span.text}`",
                        t.span,
                        help=f"leave the parameters open: `{d.name}`",
                    )
                out.append(d)
    return out


def _unknown_set(exports: list[v.Function], path: str) -> CharlError:
    known = [
        f"{p.name}.{h.name}"
        for f in exports
        for p in f.params
        if isinstance(p.type, ast.NamedType)
        for b in [f.scope.find(p.type.name.name)]
        if b is not None and isinstance(b.value, v.Declaration)
        for h in b.value.ast.params
    ]
    return fail(
        NO_SUCH_SET, f"`--set {path}`: no export has such an open hyper-parameter", help=suggest(path, known)
    )


def _value(d: v.Declaration, path: str, text: str) -> Argument:
    name = path.rpartition(".")[2]
    p = next((p for p in d.ast.params if p.name.name == name), None)
    if p is None:
        known = [q.name.name for q in d.ast.params]
        raise fail(
            NO_SUCH_SET,
            f"`--set {path}`: `{d.name}` has no `{name}`",
            d.ast.name.span,
            help=suggest(name, known),
        )
    kind = (
        p.type.name.name
        if isinstance(p.type, ast.NamedType)
        else v.plain_name(getattr(p.default, "value", 0))
    )
    value = parse(text, kind)
    if value is None:
        raise fail(
            BAD_SET,
            f"`--set {path}={text}`: `{name}` is {'an' if kind == 'int' else 'a'} {kind}",
            p.span,
            labels=(Label(p.span, "declared here"),),
        )
    if kind == "int" and value < 0:
        raise fail(BAD_SET, f"`--set {path}={text}`: `{name}` cannot be negative", p.span)
    return Argument(value, p.span)


def parse(text: str, kind: str) -> Any:
    """A value of the command line; None where it is none of that kind."""
    if kind == "bool":
        return {"true": True, "false": False}.get(text)
    try:
        return (
            int(text)
            if kind == "int"
            else float(text) if kind == "float" else text if kind == "str" else None
        )
    except ValueError:
        return None


# ---------------------------------------------------------------- dimensions


@dataclass
class Bounds:
    """What is known about the dimension variables of one export."""

    low: dict[str, int] = field(default_factory=dict)
    high: dict[str, int] = field(default_factory=dict)
    multiple: dict[str, int] = field(default_factory=dict)
    constraints: list[tuple[str, Any, str, Any, Any]] = field(default_factory=list)

    def learn(self, comparison: Comparison) -> None:
        """Note what a comparison says: as bounds of one dimension where it says no more, else to be checked as it stands."""
        found = learned(comparison, {})
        if all(k.multiple > 1 or k.above or k.below for k in found.values()):
            self.constraints.append(comparison)
        for name, k in found.items():
            if k.above or k.below:
                continue
            self.low[name] = max(k.low, self.low.get(name, 0))
            if k.high is not None:
                self.high[name] = min(k.high, self.high.get(name, 1 << 62))
            if k.multiple > 1:
                self.multiple[name] = k.multiple


def check_dims(el: Elaborator, known: set[str], given: Mapping[str, Bound]) -> None:
    """Every `--dim` must name a dimension variable of some export."""
    for name, bound in given.items():
        with el.guarded():
            if name not in known:
                raise fail(
                    NO_SUCH_DIM,
                    f"`--dim {name}`: no export has this dimension variable",
                    help=suggest(name, sorted(known)),
                )
            low, high = bound if isinstance(bound, tuple) else (bound, bound)
            if low < 0 or high < low:
                raise fail(CONTRADICTION, f"`--dim {name}={low}..{high}` leaves no size")


def bounds_of(
    el: Elaborator, f: v.Function, scope: Scope, names: list[str], given: Mapping[str, Bound]
) -> Bounds:
    """Bounds from `where` clauses and `--dim`; a contradiction is an error."""
    out = Bounds()
    for part in [p for clause in f.where for p in conjuncts(clause)]:
        found = undecided(el, part, scope)
        if found is False:
            raise fail(
                CONTRADICTION,
                f"`{part.span.text}` is violated",
                part.span,
                help="another size is fixed, by `--dim` or here",
            )
        if isinstance(found, tuple):
            out.learn(found)
    for name in names:
        bound = given.get(name)
        if isinstance(bound, tuple):
            _meet(f, out, name, bound)
    return out


def _meet(f: v.Function, out: Bounds, name: str, bound: tuple[int, int]) -> None:
    low, high = bound
    if high < out.low.get(name, 0) or low > out.high.get(name, 1 << 62):
        raise fail(
            CONTRADICTION,
            f"`--dim {name}={low}..{high}` contradicts the `where` clause of `{f.name}`",
            f.where[0].span if f.where else f.span,
        )
    out.low[name] = max(low, out.low.get(name, 0))
    out.high[name] = min(high, out.high.get(name, 1 << 62))
